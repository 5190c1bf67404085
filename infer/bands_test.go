package infer

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestBands checks that a pair of convolutions in bands gives the bits of the two
// one after the other, as a plan runs them whose caller asks for the first.
func TestBands(t *testing.T) {
	for _, c := range []struct{ h, size, stride, before, after int }{
		{97, 3, 1, 1, 1}, {97, 3, 2, 1, 1}, {96, 3, 2, 0, 1}, {96, 5, 1, 2, 2}, {101, 5, 2, 2, 2}, {96, 3, 1, 0, 0}, {96, 3, 3, 1, 0},
	} {
		name := fmt.Sprintf("h=%d/size=%d/stride=%d/pad=%d,%d", c.h, c.size, c.stride, c.before, c.after)
		rng := kerneltest.Rand(uint64(140 + c.h + c.size))
		const w, narrow, wide = 96, 7, 64
		ints := func(name string, v ...int64) onnx.Attribute {
			return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
		}
		g := onnx.Graph{
			Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: 1}, {Size: narrow}, {Size: int64(c.h)}, {Size: w}}}},
			Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
			Initializers: []onnx.Tensor{
				onnx.NewFloat32("w1", rng.Normal(wide*narrow), wide, narrow, 1, 1), onnx.NewFloat32("b1", rng.Normal(wide), wide),
				onnx.NewFloat32("w2", rng.Normal(wide*c.size*c.size), wide, 1, c.size, c.size),
			},
			Nodes: []onnx.Node{
				{Op: "Conv", Inputs: []string{"x", "w1", "b1"}, Outputs: []string{"c"}},
				{Op: "Relu", Inputs: []string{"c"}, Outputs: []string{"r"}},
				{Op: "Conv", Inputs: []string{"r", "w2"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{
					ints("pads", int64(c.before), 1, int64(c.after), 1), ints("strides", int64(c.stride), int64(c.stride)),
					{Name: "group", Type: onnx.AttributeInt, Int: wide}}},
			},
		}
		x := FromFloat32s(rng.Normal(narrow*c.h*w), 1, narrow, c.h, w)
		var results [2]*Tensor
		for i := range results {
			if i == 1 {
				g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: "r", Type: onnx.Float32})
			}
			s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: g}, nil)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]*Tensor, len(g.Outputs))
			run := func() {
				if err := s.Run(out, []*Tensor{x}); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if n := kerneltest.AllocsPerRun(2, run); n > 0 {
				t.Errorf("%s: %v allocations a run", name, n)
			}
			if banded := len(s.plans[0].instrs) == 3; banded != (i == 0) {
				t.Errorf("%s: %d instructions", name, len(s.plans[0].instrs))
			}
			results[i] = out[0]
		}
		if !bytes.Equal(results[0].mem, results[1].mem) {
			t.Errorf("%s: bands change the result", name)
		}
	}
}
