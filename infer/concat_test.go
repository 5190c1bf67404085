package infer

import (
	"fmt"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// fireModel joins convolutions of different kinds, some of which something else reads,
// and a map that no convolution makes.
func fireModel(rng *kerneltest.Random) *onnx.Model {
	g := onnx.Graph{
		Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: 32}, {Size: 14}, {Size: 14}}}},
		Outputs: []onnx.ValueInfo{{Name: "d"}, {Name: "third"}},
	}
	weights := func(name string, shape ...int) string {
		g.Initializers = append(g.Initializers, onnx.NewFloat32(name, rng.Normal(product(shape)), shape...))
		return name
	}
	node := func(op, out string, in []string, attributes ...onnx.Attribute) {
		g.Nodes = append(g.Nodes, onnx.Node{Name: out, Op: op, Inputs: in, Outputs: []string{out}, Attributes: attributes})
	}
	pads := intsAttribute("pads", 1, 1, 1, 1)
	node("Conv", "squeeze", []string{"x", weights("w0", 16, 32, 1, 1)})
	node("Conv", "a", []string{"squeeze", weights("w1", 64, 16, 1, 1), weights("b1", 64)})
	node("Relu", "ar", []string{"a"})
	node("Conv", "b", []string{"squeeze", weights("w2", 64, 16, 3, 3)}, pads)
	node("Relu", "br", []string{"b"})
	node("Concat", "first", []string{"ar", "br"}, intAttribute("axis", 1))
	node("MaxPool", "pool", []string{"first"}, intsAttribute("kernel_shape", 3, 3), pads)
	node("Conv", "c", []string{"first", weights("w3", 20, 128, 1, 1)})
	node("Conv", "d", []string{"first", weights("w4", 16, 128, 1, 1)}) // an output too
	node("Conv", "e", []string{"squeeze", weights("w5", 16, 1, 3, 3)}, pads, intAttribute("group", 16))
	node("Conv", "f", []string{"squeeze", weights("w6", 8, 16, 1, 1)})
	node("Tanh", "ft", []string{"f"})
	node("Concat", "second", []string{"c", "pool", "d", "e", "ft"}, intAttribute("axis", -3))
	node("Conv", "h", []string{"second", weights("w7", 32, 188, 1, 1)})
	node("Add", "hx", []string{"h", "x"})
	node("Conv", "i", []string{"second", weights("w8", 16, 188, 3, 3)}, pads)
	node("Concat", "third", []string{"i", "hx"}, intAttribute("axis", 1))
	return &onnx.Model{Opsets: []onnx.Opset{{Version: 13}}, Graph: g}
}

// TestParts compares convolutions that write into a Concat with the same nodes one
// after the other, and counts what is left to copy.
func TestParts(t *testing.T) {
	for _, exact := range []bool{false, true} {
		s, err := New(fireModel(kerneltest.Rand(170)), &Options{Exact: exact})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 16} {
			x := []*Tensor{FromFloat32s(kerneltest.Rand(171).Normal(n*32*14*14), n, 32, 14, 14)}
			got, want := make([]*Tensor, 2), make([]*Tensor, 2)
			if err := s.Run(got, x); err != nil {
				t.Fatal(err)
			}
			if err := s.evaluate(want, x); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				// Sums of up to 1692 products of products, by Winograd's algorithm too.
				if err := nearTensors(got[i], want[i], 1e-4); err != nil {
					t.Errorf("exact=%v batch=%d: output %d: %v", exact, n, i, err)
				}
			}
			left := ""
			for _, in := range s.plans[0].instrs {
				if in.how == "the other channels, NHWC" {
					left += fmt.Sprintf("%s %d, ", in.title, len(in.in))
				}
			}
			if left != "Concat second 4, Concat third 1, " {
				t.Errorf("exact=%v batch=%d: copied are %s", exact, n, left)
			}
		}
	}
}
