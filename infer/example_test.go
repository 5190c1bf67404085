package infer_test

import (
	"fmt"
	"image"
	"log"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// brightness is a network of one product that tells dark from bright 2x2 images.
func brightness() []byte {
	b, err := onnx.Marshal(&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: onnx.Graph{
		Name: "brightness",
		Nodes: []onnx.Node{
			{Op: "Flatten", Inputs: []string{"image"}, Outputs: []string{"x"}},
			{Op: "Gemm", Inputs: []string{"x", "w", "b"}, Outputs: []string{"scores"}},
		},
		Initializers: []onnx.Tensor{onnx.NewFloat32("w", []float32{-1, 1, -1, 1, -1, 1, -1, 1}, 4, 2), onnx.NewFloat32("b", []float32{2, -2}, 2)},
		Inputs:       []onnx.ValueInfo{{Name: "image", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: 1}, {Size: 2}, {Size: 2}}}},
		Outputs:      []onnx.ValueInfo{{Name: "scores", Type: onnx.Float32}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func Example() {
	s, err := infer.Parse(brightness(), nil) // or infer.Load("model.onnx", nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := infer.NewClassifier(s, infer.ImageOptions{Labels: []string{"dark", "bright"}})
	if err != nil {
		log.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = 250
	}
	classes, err := c.Classify(img, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.2f\n", classes[0].Name, classes[0].Probability)
	// Output: bright 0.98
}

func ExampleSession_Run() {
	s, err := infer.Parse(brightness(), nil)
	if err != nil {
		log.Fatal(err)
	}
	images := infer.FromFloat32s([]float32{0, 0, 0, 0, 1, 1, 1, 1}, 2, 1, 2, 2)
	scores := make([]*infer.Tensor, 1)
	if err := s.Run(scores, []*infer.Tensor{images}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(scores[0].Shape, scores[0].Float32s())
	// Output: [2 2] [2 -2 -2 2]
}
