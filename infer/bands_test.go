package infer

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestBands checks that convolutions in bands give the bits of the same one after the
// other, as a plan runs them whose caller asks for what lies between, on any number
// of threads.
func TestBands(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for i, c := range []bandCase{
		{97, 3, 1, 1, 1, "wide deep"}, {97, 3, 2, 1, 1, "wide deep narrow"}, {192, 3, 2, 0, 1, "deep narrow"},
		{96, 5, 1, 2, 2, "wide deep narrow residual"}, {101, 5, 2, 2, 2, "wide deep"}, {96, 3, 1, 0, 0, "wide deep narrow"},
		{96, 3, 3, 1, 0, "wide deep narrow"}, {96, 3, 1, 1, 1, "deep narrow residual"},
	} {
		for _, procs := range []int{1, 2, 3} {
			if testing.Short() && (procs != 2 || i%2 == 0) {
				continue
			}
			runtime.GOMAXPROCS(procs)
			c.check(t, fmt.Sprintf("%+v/procs=%d", c, procs))
		}
	}
}

// A bandCase is a depthwise convolution of so many rows and padding, and the layers of
// its chain.
type bandCase struct {
	h, size, stride, before, after int
	layers                         string
}

const (
	bandCaseWidth  = 96
	bandCaseNarrow = 7
	bandCaseWide   = 64
)

// graph returns the layers as a model, and the tensors between them.
func (c bandCase) graph() (g onnx.Graph, between []string) {
	rng := kerneltest.Rand(uint64(140 + c.h + c.size))
	node := func(op, in, out string, attributes ...onnx.Attribute) {
		g.Nodes = append(g.Nodes, onnx.Node{Op: op, Inputs: strings.Fields(in), Outputs: []string{out}, Attributes: attributes})
	}
	ints := func(name string, v ...int64) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
	}
	weights := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		g.Initializers = append(g.Initializers, onnx.NewFloat32(name, rng.Normal(n), shape...))
	}
	last, channels := "x", bandCaseWide
	if strings.Contains(c.layers, "wide") {
		channels = bandCaseNarrow
		weights("w1", bandCaseWide, channels, 1, 1)
		weights("b1", bandCaseWide)
		node("Conv", "x w1 b1", "c1")
		node("Relu", "c1", "r1")
		last, between = "r1", append(between, "r1")
	}
	g.Inputs = []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: 1}, {Size: int64(channels)}, {Size: int64(c.h)}, {Size: bandCaseWidth}}}}
	weights("w2", bandCaseWide, 1, c.size, c.size)
	pad := int64(c.size / 2)
	node("Conv", last+" w2", "c2", ints("pads", int64(c.before), pad, int64(c.after), pad), ints("strides", int64(c.stride), int64(c.stride)),
		onnx.Attribute{Name: "group", Type: onnx.AttributeInt, Int: bandCaseWide})
	last = "c2"
	if strings.Contains(c.layers, "narrow") {
		between = append(between, "c2")
		weights("w3", channels, bandCaseWide, 1, 1)
		node("Conv", "c2 w3", "c3")
		last = "c3"
	}
	if strings.Contains(c.layers, "residual") {
		node("Add", last+" x", "s")
		last = "s"
	}
	g.Outputs = []onnx.ValueInfo{{Name: last, Type: onnx.Float32}}
	return g, between
}

func (c bandCase) check(t *testing.T, name string) {
	g, between := c.graph()
	n := 1
	shape := []int{}
	for _, d := range g.Inputs[0].Shape {
		n *= int(d.Size)
		shape = append(shape, int(d.Size))
	}
	x := FromFloat32s(kerneltest.Rand(7).Normal(n), shape...)
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
		if i == 0 { // without bands other tests count
			if n := kerneltest.AllocsPerRun(1, run); n > 0 {
				t.Errorf("%s: %v allocations a run", name, n)
			}
		}
		table, err := s.Explain()
		if err != nil {
			t.Fatal(err)
		}
		if banded := strings.Contains(table, " bands "); banded != (i == 0) {
			t.Errorf("%s: %s", name, table)
		}
		results[i] = out[0]
	}
	if !bytes.Equal(results[0].mem, results[1].mem) {
		t.Errorf("%s: bands change the result", name)
	}
}
