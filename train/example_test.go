package train_test

import (
	"context"
	"fmt"
	"log"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Fit trains a small network with the channel-correlation loss on a few of the
// built-in glyphs. Result.Model is what it trained.
func ExampleFit() {
	glyphs, err := data.Open("glyphs", data.Options{Seed: 1, Limit: 90})
	if err != nil {
		log.Fatal(err)
	}
	result, err := train.Fit(context.Background(), train.Config{
		Data: glyphs, Spec: train.Spec{Name: "se-resnet8"}, Epochs: 1, Batch: 32,
		Loss:      train.LossConfig{Kind: train.LossCC, Lambda: 0.1},
		Optimizer: train.OptimizerConfig{LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Epochs), "epoch,", result.Test.Images, "test images,", len(result.Test.PerClass), "classes")
	// Output: 1 epoch, 30 test images, 36 classes
}

// A network of one's own is a Graph: each call adds a layer and returns its
// output.
func ExampleNewModel() {
	g, image := train.NewGraph(train.Shape{H: 8, W: 8, C: 3})
	x := g.Add(train.NewAvgPool("pool", 2, 2, 0), image)
	x = g.Add(train.NewFlatten("flatten"), x)
	hidden := g.Add(train.NewLinear("fc1", 48, 16, true), x)
	scores := g.Add(train.NewLinear("fc2", 16, 10, true), hidden)
	g.SetOutputs(scores, hidden)
	m, err := train.NewModel(g, 1)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range m.Params() {
		fmt.Println(p.Name, p.Shape)
	}
	// Output:
	// fc1.weight [16 48]
	// fc1.bias [16]
	// fc2.weight [10 16]
	// fc2.bias [10]
}
