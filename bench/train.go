package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/golanes/lanes/train"
)

// TrainModels are the networks of suite train that are measured if none is
// named.
var TrainModels = []string{"se-resnet18", "vgg16-bn", "se-resnet20"}

const (
	trainSize    = 32 // of the square RGB images
	trainClasses = 10
	trainBatch   = 128
)

// trainCases returns the training step of each network, forward, loss, backward
// and update by SGD with momentum, with Winograd's algorithm (fast) and with
// direct sums (exact).
func trainCases(opt Options) ([]benchCase, error) {
	models, batch := TrainModels, trainBatch
	if opt.Model != "" {
		models = []string{opt.Model}
	}
	if opt.Batch != 0 {
		batch = opt.Batch
	}
	var cases []benchCase
	for _, name := range models {
		if !slices.Contains(train.ModelNames(), name) {
			return nil, fmt.Errorf("unknown model %q (one of %s)", name, strings.Join(train.ModelNames(), ", "))
		}
		for _, exact := range []bool{false, true} {
			c, err := trainCase(name, batch, exact)
			if err != nil {
				return nil, err
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

func trainCase(name string, batch int, exact bool) (benchCase, error) {
	accuracy := "fast"
	if exact {
		accuracy = "exact"
	}
	spec := train.Spec{Name: name, Image: train.Shape{H: trainSize, W: trainSize, C: 3}, Classes: trainClasses, Exact: exact}
	model, err := train.New(spec, 1)
	if err != nil {
		return benchCase{}, err
	}
	// The plan says what is wrong with the batch.
	if _, err := model.NewPlan(train.PlanOptions{Batch: batch, Train: true}); err != nil {
		return benchCase{}, err
	}
	return benchCase{
		name:   fmt.Sprintf("%s/n=%d/%s", name, batch, accuracy),
		flops:  float64(batch) * model.StepFLOPs(),
		images: batch,
		setup:  func() func() { return trainRun(spec, batch) },
		torch:  torchTrain(name, batch),
	}, nil
}

// trainRun returns one training step on noise.
func trainRun(spec train.Spec, batch int) func() {
	model, err := train.New(spec, 1)
	if err != nil {
		panic(err) // trainCase has made the same model
	}
	s, err := train.NewStepper(train.StepConfig{Model: model, Batch: batch, Loss: train.LossConfig{Kind: train.LossCE},
		Optimizer: train.OptimizerConfig{Momentum: 0.9, WeightDecay: 5e-4}})
	if err != nil {
		panic(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	images, labels := make([]float32, batch*model.Image().Size()), make([]int32, batch)
	for i := range images {
		images[i] = float32(rng.NormFloat64())
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(trainClasses))
	}
	return func() {
		if _, err := s.Step(images, labels, 1e-3, 0); err != nil {
			panic(err)
		}
	}
}

// torchTrain is the same step in PyTorch, in both layouts; nil for networks
// that the helper does not have.
func torchTrain(name string, batch int) *torchCase {
	if !slices.Contains(TrainModels, name) {
		return nil
	}
	c := &torchCase{Run: "step()"}
	for _, layout := range []string{"contiguous_format", "channels_last"} {
		c.Setups = append(c.Setups, fmt.Sprintf("step = training(%q, %d, %d, %d, torch.%s)", name, batch, trainSize, trainClasses, layout))
	}
	return c
}
