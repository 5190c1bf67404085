package infer

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestRandomGraphs compares plans, with all they fuse and reorder, with the same
// nodes one after the other.
func TestRandomGraphs(t *testing.T) {
	graphs := 1500
	if testing.Short() {
		graphs = 150
	}
	for seed := range graphs {
		g := newRandomGraph(uint64(seed), seed%3 == 0)
		s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: g.Graph}, &Options{Exact: true})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g)
		}
		planned, nodes := make([]*Tensor, len(g.Outputs)), make([]*Tensor, len(g.Outputs))
		if err := s.Run(planned, []*Tensor{g.x}); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g)
		}
		if err := s.evaluate(nodes, []*Tensor{g.x}); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g)
		}
		for i, want := range nodes {
			if err := nearTensors(planned[i], want, g.tolerance()); err != nil {
				t.Fatalf("seed %d: output %d: %v\n%s", seed, i, err, g)
			}
		}
	}
}

// tolerance is how far from each other elements may be, relative to the largest: a
// graph has some ten layers of sums of mostly less than 100 products, which may
// cancel, or of bytes, whose scales are 1/16 and which may round to either side, again
// and again. A layer that is left out or misplaced changes everything.
func (g *randomGraph) tolerance() float64 {
	if g.bytes {
		return 0.1
	}
	return 1e-3
}

func nearTensors(got, want *Tensor, tolerance float64) error {
	if !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("shape %v, want %v", got.Shape, want.Shape)
	}
	x, y := got.Float64s(), want.Float64s()
	scale := 1.0
	for _, v := range y {
		if !math.IsInf(v, 0) {
			scale = max(scale, math.Abs(v))
		}
	}
	for i, v := range y {
		if d := math.Abs(x[i] - v); x[i] != v && !(d <= tolerance*scale) && !(math.IsNaN(v) && math.IsNaN(x[i])) {
			return fmt.Errorf("[%d] = %v, want %v", i, x[i], v)
		}
	}
	return nil
}

// randomFloats is a size from which a tensor is not taken any further.
const randomFloats = 1 << 14

// A randomGraph is a chain of layers with branches, as models have them and as they
// do not.
type randomGraph struct {
	onnx.Graph
	rng    *kerneltest.Random
	x      *Tensor
	values []randomValue
	names  int
	bytes  bool // between layers, and weights
}

type randomValue struct {
	name  string
	shape []int
}

func (g *randomGraph) String() string {
	text := fmt.Sprintf("x%v", g.x.Shape)
	for _, n := range g.Nodes {
		text += fmt.Sprintf("\n%s %s%v", n.Outputs[0], n.Op, n.Inputs)
		for _, v := range g.values {
			if v.name == n.Outputs[0] {
				text += fmt.Sprint(" = ", v.shape)
			}
		}
	}
	return text
}

func newRandomGraph(seed uint64, bytes bool) *randomGraph {
	g := &randomGraph{rng: kerneltest.Rand(seed), bytes: bytes}
	shape := g.shape(2 + g.rng.IntN(3))
	if len(shape) == 4 {
		shape = []int{shape[0], g.rng.IntN(10) + 1, 3 + g.rng.IntN(8), 3 + g.rng.IntN(8)}
	}
	dims := make([]onnx.Dim, len(shape))
	for i, d := range shape {
		dims[i].Size = int64(d)
	}
	g.Inputs = []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: dims}}
	g.x = FromFloat32s(g.rng.Normal(product(shape)), shape...)
	g.values = []randomValue{{"x", shape}}
	for range 3 + g.rng.IntN(8) {
		v := g.last()
		if g.rng.IntN(4) == 0 || len(v.shape) == 0 {
			v = g.values[g.rng.IntN(len(g.values))]
		}
		if n := len(v.shape); n > 0 && product(v.shape) < randomFloats {
			g.layer(v)
			if g.bytes {
				g.quantised(g.last(), onnx.Uint8)
			}
		}
	}
	if len(g.Nodes) == 0 {
		g.node("Relu", nil, shape, "x")
	}
	g.Outputs = []onnx.ValueInfo{{Name: g.last().name}}
	if v := g.values[1+g.rng.IntN(len(g.values)-1)]; v.name != g.last().name && g.rng.IntN(2) == 0 {
		g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: v.name})
	}
	return g
}

func (g *randomGraph) last() randomValue { return g.values[len(g.values)-1] }

func (g *randomGraph) shape(rank int) []int {
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = 1 + g.rng.IntN(4)
	}
	return shape
}

// part returns a shape that is broadcast to another one.
func (g *randomGraph) part(shape []int) []int {
	part := slices.Clone(shape[g.rng.IntN(len(shape)+1):])
	for i := range part {
		if g.rng.IntN(3) == 0 {
			part[i] = 1
		}
	}
	return part
}

func (g *randomGraph) name() string {
	g.names++
	return fmt.Sprintf("v%d", g.names)
}

// constant adds normally distributed numbers, numbers from 0.5 to 1.5 if positive.
func (g *randomGraph) constant(positive bool, shape ...int) string {
	data := g.rng.Normal(product(shape))
	for i := range data {
		if positive {
			data[i] = 0.5 + g.rng.Float32()
		}
	}
	return g.number(data, shape...)
}

func (g *randomGraph) number(data []float32, shape ...int) string {
	name := g.name()
	g.Initializers = append(g.Initializers, onnx.NewFloat32(name, data, shape...))
	return name
}

// hidden adds a node whose result is no layer's input but that of the next node.
func (g *randomGraph) hidden(op string, attributes []onnx.Attribute, inputs ...string) string {
	name := g.name()
	g.Nodes = append(g.Nodes, onnx.Node{Op: op, Inputs: inputs, Outputs: []string{name}, Attributes: attributes})
	return name
}

func (g *randomGraph) node(op string, attributes []onnx.Attribute, shape []int, inputs ...string) string {
	name := g.hidden(op, attributes, inputs...)
	g.values = append(g.values, randomValue{name, slices.Clone(shape)})
	return name
}

// quantised takes v to bytes of a scale of 1/16 and back.
func (g *randomGraph) quantised(v randomValue, typ onnx.DataType) string {
	zero := g.name()
	g.Initializers = append(g.Initializers, onnx.Tensor{Name: zero, Type: typ, Raw: []byte{100}})
	scale := g.number([]float32{1. / 16})
	x := g.hidden("QuantizeLinear", nil, v.name, scale, zero)
	return g.node("DequantizeLinear", nil, v.shape, x, scale, zero)
}

// weights adds a constant of which each index of the last dimension, or the first,
// is an out-channel: as bytes if the graph has them.
func (g *randomGraph) weights(last bool, shape ...int) string {
	if !g.bytes {
		return g.constant(false, shape...)
	}
	raw := make([]byte, product(shape))
	for i := range raw {
		raw[i] = byte(g.rng.IntN(255) - 127)
	}
	name, axis := g.name(), 0
	if last {
		axis = len(shape) - 1
	}
	g.Initializers = append(g.Initializers, onnx.Tensor{Name: name, Type: onnx.Int8, Shape: shape, Raw: raw})
	scale := make([]float32, shape[axis])
	for i := range scale {
		scale[i] = g.rng.Float32() / 100
	}
	return g.hidden("DequantizeLinear", []onnx.Attribute{intAttribute("axis", axis)}, name, g.number(scale, len(scale)))
}

func intsAttribute(name string, v ...int64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
}

func intAttribute(name string, v int) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeInt, Int: int64(v)}
}

// layer adds a random layer on v, or none if v does not fit.
func (g *randomGraph) layer(v randomValue) {
	s := v.shape
	rank := len(s)
	maps := rank == 4
	switch g.rng.IntN(20) {
	case 18, 19:
		if maps {
			g.block(v)
		}
	case 14, 15:
		g.reduction(v)
	case 16, 17:
		g.region(v)
	case 0, 1:
		if maps {
			g.convolution(v)
		}
	case 2, 3:
		if rank >= 2 {
			n := []int{s[rank-1], 4, 8}[g.rng.IntN(3)]
			g.node("MatMul", nil, append(slices.Clone(s[:rank-1]), n), v.name, g.weights(true, s[rank-1], n))
		}
	case 4, 5, 6:
		op := []string{"Add", "Mul", "Sub", "Div", "Max", "Min", "Sum", "Mean", "PRelu"}[g.rng.IntN(9)]
		c := g.constant(op == "Div", g.part(s)...)
		if op != "Div" && op != "PRelu" && g.rng.IntN(3) == 0 {
			g.node(op, nil, s, c, v.name)
		} else {
			g.node(op, nil, s, v.name, c)
		}
	case 7, 8:
		g.activation(v)
	case 9:
		var alike []string
		for _, w := range g.values {
			if w.name != v.name && slices.Equal(w.shape, s) {
				alike = append(alike, w.name)
			}
		}
		if len(alike) > 0 {
			g.node([]string{"Add", "Mul", "Sub"}[g.rng.IntN(3)], nil, s, v.name, alike[g.rng.IntN(len(alike))])
		}
	case 10:
		if maps {
			one := []int{s[0], s[1], 1, 1}
			x := g.node([]string{"GlobalAveragePool", "GlobalMaxPool"}[g.rng.IntN(2)], nil, one, v.name)
			x = g.node("Conv", nil, one, x, g.constant(false, s[1], s[1], 1, 1))
			x = g.node("Sigmoid", nil, one, x)
			g.node("Mul", nil, s, v.name, x)
		}
	case 11:
		g.move(v)
	case 12:
		if maps && g.rng.IntN(2) == 0 {
			g.branches(v)
			return
		}
		axis := g.rng.IntN(rank)
		shape := slices.Clone(s)
		shape[axis] *= 2
		g.node("Concat", []onnx.Attribute{intAttribute("axis", axis)}, shape, v.name, v.name)
	case 13:
		if maps && s[2] > 2 && s[3] > 2 && g.rng.IntN(2) == 0 {
			g.node([]string{"MaxPool", "AveragePool"}[g.rng.IntN(2)], []onnx.Attribute{intsAttribute("kernel_shape", 2, 2)},
				[]int{s[0], s[1], s[2] - 1, s[3] - 1}, v.name)
		} else if rank >= 2 {
			n := s[1]
			g.node("BatchNormalization", nil, s, v.name, g.constant(false, n), g.constant(false, n), g.constant(false, n), g.constant(true, n))
		}
	}
}

func (g *randomGraph) convolution(v randomValue) {
	s := v.shape
	size := []int{1, 1, 3}[g.rng.IntN(3)]
	if s[2] < 3 || s[3] < 3 {
		size = 1
	}
	pad := int64(size / 2)
	pads := intsAttribute("pads", pad, pad, pad, pad)
	if g.rng.IntN(3) == 0 {
		g.node("Conv", []onnx.Attribute{pads, intAttribute("group", s[1])}, s, v.name, g.weights(false, s[1], 1, size, size))
		return
	}
	k := []int{s[1], 4, 8, 3}[g.rng.IntN(4)]
	inputs := []string{v.name, g.weights(false, k, s[1], size, size)}
	if g.rng.IntN(2) == 0 {
		inputs = append(inputs, g.constant(false, k))
	}
	g.node("Conv", []onnx.Attribute{pads}, []int{s[0], k, s[2], s[3]}, inputs...)
}

// block adds two convolutions of v and their sum, whose terms are in the order in
// which they are made or the other, and often a scale by channel behind.
func (g *randomGraph) block(v randomValue) {
	g.convolution(v)
	a := g.last()
	b := g.node("Conv", nil, a.shape, v.name, g.weights(false, a.shape[1], v.shape[1], 1, 1))
	terms := []string{a.name, b}
	if g.rng.IntN(2) == 0 {
		terms = []string{b, a.name}
	}
	sum := g.node("Add", nil, a.shape, terms...)
	if g.rng.IntN(2) == 0 {
		g.node("Mul", nil, a.shape, sum, g.constant(false, a.shape[1], 1, 1))
	}
}

// branches adds convolutions of v, joined with each other, with v, and twice.
func (g *randomGraph) branches(v randomValue) {
	shape, parts := slices.Clone(v.shape), []string{}
	shape[1] = 0
	join := func(x randomValue) {
		parts, shape[1] = append(parts, x.name), shape[1]+x.shape[1]
	}
	for range 2 + g.rng.IntN(3) {
		g.convolution(v)
		if g.rng.IntN(2) == 0 {
			g.activation(g.last())
		}
		join(g.last())
		if g.rng.IntN(4) == 0 {
			join([]randomValue{v, g.last()}[g.rng.IntN(2)])
		}
	}
	g.node("Concat", []onnx.Attribute{intAttribute("axis", 1-4*g.rng.IntN(2))}, shape, parts...)
}

func (g *randomGraph) activation(v randomValue) {
	one := func(x float32) string { return g.number([]float32{x}) }
	alpha := func(x float32) []onnx.Attribute {
		return []onnx.Attribute{{Name: "alpha", Type: onnx.AttributeFloat, Float: x}}
	}
	s := v.shape
	switch op := g.rng.IntN(9); op {
	case 0:
		g.node("Clip", nil, s, v.name, one(0), one(6))
	case 1:
		g.node("Clip", nil, s, v.name, one(-1), one(1))
	case 2:
		g.node("Pow", nil, s, v.name, one(2))
	case 3:
		g.node("Mul", nil, s, v.name, g.node("Sigmoid", nil, s, v.name))
	case 4:
		x := g.node("Clip", nil, s, g.node("Add", nil, s, v.name, one(3)), one(0), one(6))
		g.node("Div", nil, s, g.node("Mul", nil, s, v.name, x), one(6))
	case 5:
		g.node("LeakyRelu", alpha(0.2), s, v.name)
	case 6:
		g.node("Elu", alpha(0.5), s, v.name)
	default:
		ops := []string{"Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Softplus", "LeakyRelu", "Elu", "Abs", "Erf"}
		g.node(ops[g.rng.IntN(len(ops))], nil, s, v.name)
	}
}

// reduction adds a layer of sums: over maps or one dimension, or a normalisation.
func (g *randomGraph) reduction(v randomValue) {
	s := v.shape
	rank := len(s)
	op := []string{"ReduceMean", "ReduceMax", "ReduceSum", "Softmax", "LayerNormalization", "Gemm"}[g.rng.IntN(6)]
	axis := g.rng.IntN(rank)
	switch op {
	case "Softmax":
		g.node(op, []onnx.Attribute{intAttribute("axis", axis)}, s, v.name)
	case "LayerNormalization":
		g.node(op, []onnx.Attribute{intAttribute("axis", axis)}, s, v.name, g.constant(false, s[axis:]...), g.constant(false, s[axis:]...))
	case "Gemm":
		if rank != 2 {
			return
		}
		n := []int{8, s[0]}[g.rng.IntN(2)]
		shape := []int{s[0], n}
		bias := [][]int{{}, {1}, {n}, {1, n}, {s[0], 1}, {s[0], n}}[g.rng.IntN(6)]
		if g.rng.IntN(2) == 0 {
			g.node(op, []onnx.Attribute{intAttribute("transB", 1)}, shape, v.name, g.constant(false, n, s[1]), g.constant(false, bias...))
		} else {
			g.node(op, nil, shape, v.name, g.constant(false, s[1], n), g.constant(false, bias...))
		}
	default:
		axes := []int64{int64(axis)}
		if rank == 4 && g.rng.IntN(2) == 0 {
			axes = []int64{2, -1}
		}
		keep := g.rng.IntN(2)
		var shape []int
		for i, d := range s {
			switch {
			case !slices.Contains(axes, int64(i)) && !slices.Contains(axes, int64(i-rank)):
				shape = append(shape, d)
			case keep == 1:
				shape = append(shape, 1)
			}
		}
		attributes := []onnx.Attribute{intAttribute("keepdims", keep)}
		if op == "ReduceSum" {
			name := g.name()
			g.Initializers = append(g.Initializers, onnx.NewInt64(name, axes, len(axes)))
			g.node(op, attributes, shape, v.name, name)
		} else {
			g.node(op, append(attributes, intsAttribute("axes", axes...)), shape, v.name)
		}
	}
}

// region adds a layer that takes a part, adds a margin, or makes maps of another size.
func (g *randomGraph) region(v randomValue) {
	s := v.shape
	rank := len(s)
	axis := g.rng.IntN(rank)
	shape := slices.Clone(s)
	list := func(v ...int64) string {
		name := g.name()
		g.Initializers = append(g.Initializers, onnx.NewInt64(name, v, len(v)))
		return name
	}
	switch op := g.rng.IntN(5); {
	case op == 0 && s[axis] > 1:
		shape[axis] = s[axis] - 1
		g.node("Slice", nil, shape, v.name, list(int64(s[axis])-1), list(0), list(int64(axis)), list(-1))
	case op == 1:
		pads := make([]int64, 2*rank)
		pads[axis], pads[rank+axis] = 1, 2
		shape[axis] += 3
		g.node("Pad", nil, shape, v.name, list(pads...), g.number([]float32{0.5}))
	case op == 2 && rank == 4:
		shape[2], shape[3] = 2*s[2], 2*s[3]
		mode := onnx.Attribute{Name: "mode", Type: onnx.AttributeString, String: []string{"nearest", "linear"}[g.rng.IntN(2)]}
		g.node("Resize", []onnx.Attribute{mode}, shape, v.name, "", g.number([]float32{1, 1, 2, 2}, 4))
	case op == 3 && rank == 4:
		shape = []int{s[0], 4, 2 * s[2], 2 * s[3]}
		g.node("ConvTranspose", []onnx.Attribute{intsAttribute("strides", 2, 2)}, shape, v.name, g.constant(false, s[1], 4, 2, 2))
	case op == 4 && rank == 4 && s[1]%4 == 0:
		g.node("DepthToSpace", []onnx.Attribute{intAttribute("blocksize", 2)}, []int{s[0], s[1] / 4, 2 * s[2], 2 * s[3]}, v.name)
	}
}

// move adds a transposition or another shape.
func (g *randomGraph) move(v randomValue) {
	s := v.shape
	rank := len(s)
	switch {
	case g.rng.IntN(2) == 0:
		perm := g.rng.Perm(rank)
		if rank == 4 && g.rng.IntN(2) == 0 {
			perm = [][]int{{0, 2, 3, 1}, {0, 3, 1, 2}}[g.rng.IntN(2)]
		}
		shape, wide := make([]int, rank), make([]int64, rank)
		for i, p := range perm {
			shape[i], wide[i] = s[p], int64(p)
		}
		g.node("Transpose", []onnx.Attribute{intsAttribute("perm", wide...)}, shape, v.name)
	case rank == 4 && g.rng.IntN(2) == 0:
		g.node("Flatten", nil, []int{s[0], s[1] * s[2] * s[3]}, v.name)
	case rank == 4:
		g.reshape(v, s[0], s[1], s[2]*s[3])
	case rank == 3:
		g.reshape(v, s[0], s[1], 1, s[2])
	}
}

func (g *randomGraph) reshape(v randomValue, shape ...int) {
	name, wide := g.name(), make([]int64, len(shape))
	for i, d := range shape {
		wide[i] = int64(d)
	}
	g.Initializers = append(g.Initializers, onnx.NewInt64(name, wide, len(wide)))
	g.node("Reshape", nil, shape, v.name, name)
}
