package infer

import (
	"bytes"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// frontModel has layers that run image by image, results of theirs that the rest
// and the caller read, and an input that the rest reads too.
func frontModel(rng *kerneltest.Random) *onnx.Model {
	node := func(op string, in []string, out string, attributes ...onnx.Attribute) onnx.Node {
		return onnx.Node{Name: out, Op: op, Inputs: in, Outputs: []string{out}, Attributes: attributes}
	}
	ints := func(name string, v ...int64) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
	}
	one := func(name string, v int64) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeInt, Int: v}
	}
	weights := func(name string, shape ...int) onnx.Tensor {
		x := make([]float32, product(shape))
		rng.Fill(x)
		return onnx.NewFloat32(name, x, shape...)
	}
	open := []onnx.Dim{{Size: -1, Name: "N"}, {Size: 3}, {Size: 120}, {Size: 120}}
	return &onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: onnx.Graph{
		Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: open}},
		Outputs: []onnx.ValueInfo{{Name: "wide", Type: onnx.Float32}, {Name: "scores", Type: onnx.Float32}, {Name: "most", Type: onnx.Float32}},
		Initializers: []onnx.Tensor{
			weights("w1", 16, 3, 3, 3), weights("b1", 16), weights("w2", 16, 16, 1, 1), weights("w3", 32, 32, 3, 3), weights("w4", 3, 32), onnx.NewInt64("gates", []int64{-1, 3, 1, 1}, 4),
			onnx.NewFloat32("zero", []float32{0}), onnx.NewFloat32("six", []float32{6}),
		},
		Nodes: []onnx.Node{
			node("Conv", []string{"x", "w1", "b1"}, "c1", ints("pads", 1, 1, 1, 1)),
			node("Relu", []string{"c1"}, "wide"),
			node("MaxPool", []string{"wide"}, "half", ints("kernel_shape", 2, 2), ints("strides", 2, 2)),
			node("Conv", []string{"half", "w2"}, "c2"),
			node("Add", []string{"c2", "half"}, "sum"),
			node("Concat", []string{"sum", "half"}, "both", one("axis", 1)),
			node("Clip", []string{"both", "zero", "six"}, "low"),
			node("Conv", []string{"low", "w3"}, "c3", ints("strides", 3, 3)),
			node("GlobalAveragePool", []string{"c3"}, "mean"),
			node("Flatten", []string{"mean"}, "rows"),
			node("Gemm", []string{"rows", "w4"}, "scores", one("transB", 1)),
			node("Reshape", []string{"scores", "gates"}, "gate"),
			node("Mul", []string{"x", "gate"}, "gated"),
			node("ReduceMax", []string{"gated"}, "most", ints("axes", 1), one("keepdims", 1)),
		},
	}}
}

// TestFront checks that a batch whose front part runs image by image gives the
// bits of single images.
func TestFront(t *testing.T) {
	rng := kerneltest.Rand(130)
	s, err := New(frontModel(rng), &Options{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	const n = 3
	x := make([]float32, n*3*120*120)
	rng.Fill(x)
	many := make([]*Tensor, 3)
	for range 2 {
		if err := s.Run(many, []*Tensor{FromFloat32s(x, n, 3, 120, 120)}); err != nil {
			t.Fatal(err)
		}
	}
	front := s.plans[0].front
	if front.images != n || front.steps < 4 || front.steps == len(s.plans[0].instrs) {
		t.Errorf("%d of %d steps run for each of %d images", front.steps, len(s.plans[0].instrs), front.images)
	}
	if table, err := s.Explain(); err != nil || !bytes.Contains([]byte(table), []byte("image by image, 3 times")) {
		t.Errorf("Explain: %v\n%s", err, table)
	}
	for i := range n {
		one := make([]*Tensor, 3)
		if err := s.Run(one, []*Tensor{FromFloat32s(x[i*len(x)/n:(i+1)*len(x)/n], 1, 3, 120, 120)}); err != nil {
			t.Fatal(err)
		}
		for k := range one {
			size := len(one[k].mem)
			if len(many[k].mem) != n*size || !bytes.Equal(many[k].mem[i*size:(i+1)*size], one[k].mem) {
				t.Errorf("image %d: output %d differs in a batch", i, k)
			}
		}
	}
}
