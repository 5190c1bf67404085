package infer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestBands checks that convolutions in bands give the bits of the same ones one
// after the other, as a plan runs them whose caller asks for what lies between.
func TestBands(t *testing.T) {
	for _, c := range []bandCase{
		{97, 3, 1, 1, 1, true, 0, false}, {97, 3, 2, 1, 1, true, 0, false}, {96, 3, 2, 0, 1, true, 0, false},
		{96, 5, 1, 2, 2, true, 0, false}, {101, 5, 2, 2, 2, true, 0, false}, {96, 3, 1, 0, 0, true, 0, false}, {96, 3, 3, 1, 0, true, 0, false},
		{97, 3, 1, 1, 1, true, 9, false}, {97, 3, 1, 1, 1, true, 7, true}, {101, 5, 2, 2, 2, true, 24, false}, {96, 3, 3, 1, 0, true, 40, false},
		{97, 3, 1, 1, 1, false, 9, false}, {97, 3, 1, 1, 1, false, 64, true}, {96, 5, 1, 2, 2, false, 9, false},
	} {
		t.Run(fmt.Sprintf("h=%d/size=%d/stride=%d/pad=%d,%d/wide=%v/narrow=%d,%v", c.h, c.size, c.stride, c.before, c.after, c.wide, c.narrow, c.residual), c.run)
	}
}

// A bandCase is a depthwise convolution, with one in front that widens, and one
// behind that narrows to so many channels, unless 0, and may add the chain's input.
type bandCase struct {
	h, size, stride, before, after int
	wide                           bool
	narrow                         int
	residual                       bool
}

// graph returns the case's graph, and the values between its convolutions.
func (c bandCase) graph(rng *kerneltest.Random) (g onnx.Graph, between []string) {
	const w, few, many = 96, 7, 64
	ints := func(name string, v ...int64) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
	}
	from, channels := "x", many
	if c.wide {
		channels, from = few, "r"
		g.Initializers = append(g.Initializers, onnx.NewFloat32("w1", rng.Normal(many*few), many, few, 1, 1), onnx.NewFloat32("b1", rng.Normal(many), many))
		g.Nodes = append(g.Nodes, onnx.Node{Op: "Conv", Inputs: []string{"x", "w1", "b1"}, Outputs: []string{"c"}},
			onnx.Node{Op: "Relu", Inputs: []string{"c"}, Outputs: []string{"r"}})
		between = append(between, "r")
	}
	g.Inputs = []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: 1}, {Size: int64(channels)}, {Size: int64(c.h)}, {Size: w}}}}
	g.Initializers = append(g.Initializers, onnx.NewFloat32("w2", rng.Normal(many*c.size*c.size), many, 1, c.size, c.size))
	g.Nodes = append(g.Nodes, onnx.Node{Op: "Conv", Inputs: []string{from, "w2"}, Outputs: []string{"d"}, Attributes: []onnx.Attribute{
		ints("pads", int64(c.before), int64(c.size/2), int64(c.after), int64(c.size/2)), ints("strides", int64(c.stride), int64(c.stride)),
		{Name: "group", Type: onnx.AttributeInt, Int: many}}})
	last := "d"
	if c.narrow > 0 {
		last = "n"
		between = append(between, "d")
		g.Initializers = append(g.Initializers, onnx.NewFloat32("w3", rng.Normal(c.narrow*many), c.narrow, many, 1, 1))
		g.Nodes = append(g.Nodes, onnx.Node{Op: "Conv", Inputs: []string{"d", "w3"}, Outputs: []string{"n"}})
	}
	if c.residual {
		g.Nodes = append(g.Nodes, onnx.Node{Op: "Add", Inputs: []string{last, "x"}, Outputs: []string{"s"}})
		last = "s"
	}
	g.Outputs = []onnx.ValueInfo{{Name: last, Type: onnx.Float32}}
	return g, between
}

func (c bandCase) run(t *testing.T) {
	seed := uint64(140 + c.h + c.size)
	rng := kerneltest.Rand(seed)
	g, between := c.graph(rng)
	var shape []int
	for _, d := range g.Inputs[0].Shape {
		shape = append(shape, int(d.Size))
	}
	x := FromFloat32s(rng.Normal(product(shape)), shape...)
	var results [2]*Tensor
	for i := range results {
		if i == 1 {
			for _, name := range between {
				g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: name, Type: onnx.Float32})
			}
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
			t.Errorf("%v allocations a run", n)
		}
		banded := slices.ContainsFunc(s.plans[0].instrs, func(in instr) bool { return strings.HasSuffix(in.how, "bands") })
		if banded != (i == 0) {
			t.Errorf("bands: %v", banded)
		}
		results[i] = out[0]
	}
	if !bytes.Equal(results[0].mem, results[1].mem) {
		t.Errorf("seed=%d: bands change the result", seed)
	}
}
