package infer

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// byteTensor returns random elements of a type of bytes.
func byteTensor(rng *kerneltest.Random, name string, typ onnx.DataType, shape ...int) onnx.Tensor {
	raw := make([]byte, product(shape))
	for i := range raw {
		raw[i] = byte(rng.IntN(256))
	}
	return onnx.Tensor{Name: name, Type: typ, Shape: shape, Raw: raw}
}

func intTensor(rng *kerneltest.Random, name string, n int) onnx.Tensor {
	t := onnx.Tensor{Name: name, Type: onnx.Int32, Shape: []int{n}}
	for range n {
		v := uint32(int32(rng.IntN(4000) - 2000))
		t.Raw = append(t.Raw, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return t
}

func randomScales(rng *kerneltest.Random, name string, n int) onnx.Tensor {
	x := make([]float32, n)
	for i := range x {
		x[i] = 0.002 + 0.01*rng.Float32()
	}
	if n == 1 {
		return onnx.NewFloat32(name, x)
	}
	return onnx.NewFloat32(name, x, n)
}

// An int8Case is a node on bytes with constant parameters.
type int8Case struct {
	op            string
	x, w, y       onnx.DataType
	xShape, shape []int // of input and weights
	attributes    []onnx.Attribute
	planned       bool // runs on the kernels for bytes
}

func (c *int8Case) model(rng *kerneltest.Random) *onnx.Model {
	channels := c.shape[0]
	if c.op == "MatMulInteger" || c.op == "QLinearMatMul" {
		channels = c.shape[1]
	}
	w := byteTensor(rng, "w", c.w, c.shape...)
	zero := byteTensor(rng, "wz", c.w)
	zero.Raw[0] = 0
	if c.w == onnx.Uint8 {
		zero.Raw[0] = 128
	}
	xz, yz := byteTensor(rng, "xz", c.x), byteTensor(rng, "yz", c.y)
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 13}}, Graph: onnx.Graph{Name: "g", Initializers: []onnx.Tensor{w, zero, xz, yz}}}
	in := []string{"x", "w", "xz", "wz"}
	if c.op[0] == 'Q' {
		m.Graph.Initializers = append(m.Graph.Initializers, randomScales(rng, "xs", 1), randomScales(rng, "ws", channels), randomScales(rng, "ys", 1), intTensor(rng, "b", channels))
		in = []string{"x", "xs", "xz", "w", "ws", "wz", "ys", "yz"}
		if c.op == "QLinearConv" {
			in = append(in, "b")
		}
	}
	shape := []onnx.Dim{}
	for _, d := range c.xShape {
		shape = append(shape, onnx.Dim{Size: int64(d)})
	}
	m.Graph.Inputs = []onnx.ValueInfo{{Name: "x", Type: c.x, Shape: shape}}
	m.Graph.Nodes = []onnx.Node{{Op: c.op, Inputs: in, Outputs: []string{"y"}, Attributes: c.attributes}}
	m.Graph.Outputs = []onnx.ValueInfo{{Name: "y"}}
	return m
}

// TestInt8Plans compares plans on bytes with evaluation by definition: they must
// agree exactly, on every instruction set.
func TestInt8Plans(t *testing.T) {
	pads := []onnx.Attribute{{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 0, 2, 1}}, {Name: "strides", Type: onnx.AttributeInts, Ints: []int64{2, 1}}}
	group := append([]onnx.Attribute{{Name: "group", Type: onnx.AttributeInt, Int: 6}}, pads...)
	const u, s = onnx.Uint8, onnx.Int8
	cases := []int8Case{
		{"QLinearConv", u, s, u, []int{2, 5, 7, 6}, []int{9, 5, 3, 3}, pads, true},
		{"QLinearConv", s, s, s, []int{1, 6, 7, 6}, []int{6, 1, 3, 3}, group, true},
		{"QLinearConv", s, u, u, []int{1, 3, 4, 4}, []int{2, 3, 1, 1}, nil, true},
		{"QLinearConv", u, s, s, []int{2, 3, 8}, []int{4, 3, 3}, nil, false},
		{"ConvInteger", u, u, u, []int{1, 4, 5, 5}, []int{3, 4, 2, 2}, nil, true},
		{"ConvInteger", s, s, s, []int{1, 4, 5, 5}, []int{3, 4, 2, 2}, nil, true},
		{"QLinearMatMul", u, s, u, []int{5, 11}, []int{11, 7}, nil, true},
		{"QLinearMatMul", s, s, s, []int{2, 3, 11}, []int{11, 7}, nil, true},
		{"QLinearMatMul", u, s, u, []int{1, 2, 3, 4}, []int{4, 5}, nil, false},
		{"MatMulInteger", u, s, u, []int{4, 70}, []int{70, 33}, nil, true},
	}
	kerneltest.ForEachInt8(t, func(t *testing.T) {
		for i, c := range cases {
			t.Run(fmt.Sprintf("%s/%d", c.op, i), func(t *testing.T) {
				rng := kerneltest.Rand(uint64(90 + i))
				s, err := New(c.model(rng), nil)
				if err != nil {
					t.Fatal(err)
				}
				raw := byteTensor(rng, "", c.x, c.xShape...)
				x, err := FromONNX(&raw)
				if err != nil {
					t.Fatal(err)
				}
				got, want := make([]*Tensor, 1), make([]*Tensor, 1)
				if err := s.Run(got, []*Tensor{x}); err != nil {
					t.Fatal(err)
				}
				if err := s.evaluate(want, []*Tensor{x}); err != nil {
					t.Fatal(err)
				}
				if !sameShape(got[0].Shape, want[0].Shape) || !bytes.Equal(got[0].mem, want[0].mem) {
					t.Errorf("seed=%d: %v %v, want %v %v", rng.Seed, got[0].Shape, got[0].Float64s(), want[0].Shape, want[0].Float64s())
				}
				planned := false
				for _, in := range s.plans[0].instrs {
					planned = planned || len(in.how) > 4 && in.how[:5] == "int8 "
				}
				if planned != c.planned {
					t.Errorf("on the kernels for bytes: %v, want %v", planned, c.planned)
				}
			})
		}
	})
}

// TestConversions compares QuantizeLinear and DequantizeLinear, in plans, with
// their evaluation.
func TestConversions(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, shape := range [][]int{{7}, {2, 5, 3, 4}, {3, 33}, {1, 6, 1, 1}} {
			for _, typ := range []onnx.DataType{onnx.Uint8, onnx.Int8} {
				rng := kerneltest.Rand(uint64(110 + i))
				m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 13}}, Graph: onnx.Graph{
					Initializers: []onnx.Tensor{randomScales(rng, "s", 1), byteTensor(rng, "z", typ)},
					Inputs:       []onnx.ValueInfo{{Name: "x", Type: onnx.Float32}},
					Nodes: []onnx.Node{
						{Op: "QuantizeLinear", Inputs: []string{"x", "s", "z"}, Outputs: []string{"q"}},
						{Op: "DequantizeLinear", Inputs: []string{"q", "s", "z"}, Outputs: []string{"y"}},
					},
					Outputs: []onnx.ValueInfo{{Name: "q"}, {Name: "y"}},
				}}
				s, err := New(m, nil)
				if err != nil {
					t.Fatal(err)
				}
				src := []*Tensor{FromFloat32s(rng.Slice(product(shape)), shape...)}
				got, want := make([]*Tensor, 2), make([]*Tensor, 2)
				if err := s.Run(got, src); err != nil {
					t.Fatal(err)
				}
				if err := s.evaluate(want, src); err != nil {
					t.Fatal(err)
				}
				for k := range got {
					if !bytes.Equal(got[k].mem, want[k].mem) {
						t.Errorf("%v %v seed=%d: output %d is %v, want %v", typ, shape, rng.Seed, k, got[k].Float64s(), want[k].Float64s())
					}
				}
			}
		}
	})
}
