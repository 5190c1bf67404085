package onnx_test

import (
	"fmt"
	"log"

	"github.com/golanes/lanes/infer/onnx"
)

func Example() {
	m := &onnx.Model{
		IRVersion: 8,
		Opsets:    []onnx.Opset{{Version: 17}},
		Graph: onnx.Graph{
			Name:         "scale",
			Nodes:        []onnx.Node{{Op: "Mul", Inputs: []string{"x", "two"}, Outputs: []string{"y"}}},
			Initializers: []onnx.Tensor{onnx.NewFloat32("two", []float32{2}, 1)},
			Inputs:       []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: 3}}}},
			Outputs:      []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
		},
	}
	b, err := onnx.Marshal(m)
	if err != nil {
		log.Fatal(err)
	}
	read, err := onnx.Parse(b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("opset", read.Opset(), read.Graph.Nodes[0].Op, read.Graph.Inputs[0].Shape, read.Graph.Initializers[0].Float32s())
	// Output: opset 17 Mul [N 3] [2]
}
