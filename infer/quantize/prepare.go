package quantize

import (
	"fmt"
	"math"
	"slices"

	"github.com/golanes/lanes/infer/onnx"
)

// unchanged are the operators whose meaning is the same from opset 7 to 13, as
// far as models that this package reads use them.
var unchanged = []string{
	"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "Relu", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid",
	"Tanh", "Elu", "Selu", "Softplus", "Erf", "Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Log", "Abs", "Neg", "Min", "Max", "Mean", "Sum",
	"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ArgMax", "Flatten", "Reshape",
	"Transpose", "Concat", "Expand", "Gather", "Cast", "Shape", "Size", "Constant", "ConstantOfShape", "Identity", "Where", "Equal", "Less", "Greater",
	"Not", "And", "Or", "LRN", "InstanceNormalization", "Floor", "Ceil", "Reciprocal", "Tile",
}

// targetOpset is the first with scales by channel in DequantizeLinear.
const targetOpset = 13

// prepare copies a model, brings it to opset 13, and simplifies it: constants
// become initializers, dropout goes, batch norm is folded into convolutions, and
// a product with its bias becomes one node.
func prepare(m *onnx.Model) (*network, error) {
	c := *m
	c.Graph.Nodes, c.Graph.Initializers = nil, slices.Clone(m.Graph.Initializers)
	g := &network{m: &c, shapes: map[string][]int{}}
	for _, n := range m.Graph.Nodes {
		if len(n.Outputs) == 0 || len(n.Inputs) == 0 && n.Op != "Constant" {
			return nil, fmt.Errorf("node %q: %s without input or output", n.Name, n.Op)
		}
		n.Inputs, n.Outputs, n.Attributes = slices.Clone(n.Inputs), slices.Clone(n.Outputs), slices.Clone(n.Attributes)
		if n.Op == "Constant" && len(n.Outputs) == 1 {
			if a := n.Attribute("value"); a != nil && a.Tensor != nil {
				t := *a.Tensor
				t.Name = n.Outputs[0]
				c.Graph.Initializers = append(c.Graph.Initializers, t)
				continue
			}
		}
		c.Graph.Nodes = append(c.Graph.Nodes, n)
	}
	c.Graph.Values = nil
	// Initializers need not be inputs, and must not be to be constants elsewhere.
	constant := map[string]bool{}
	for _, t := range c.Graph.Initializers {
		constant[t.Name] = true
	}
	c.Graph.Inputs = slices.DeleteFunc(slices.Clone(m.Graph.Inputs), func(v onnx.ValueInfo) bool { return constant[v.Name] })
	g.index()
	if err := g.upgrade(); err != nil {
		return nil, err
	}
	g.foldBatchNorm()
	g.joinBias()
	g.dropConstants()
	return g, nil
}

// upgrade rewrites the nodes of an older opset.
func (g *network) upgrade() error {
	old := g.m.Opset()
	if old >= targetOpset {
		return nil
	}
	if old < 7 {
		return fmt.Errorf("opset %d is too old (7 or later)", old)
	}
	var nodes []onnx.Node
	for _, n := range g.m.Graph.Nodes {
		switch {
		case slices.Contains(unchanged, n.Op) || old >= 10 && n.Op == "Slice" || old >= 11 && (n.Op == "Pad" || n.Op == "Resize"):
		case n.Op == "Dropout":
			n = onnx.Node{Name: n.Name, Op: "Identity", Inputs: n.Inputs[:1], Outputs: n.Outputs[:1]}
		case n.Op == "Clip":
			if old < 11 {
				g.clipInputs(&n)
			}
		case n.Op == "Squeeze" || n.Op == "Unsqueeze" || n.Op == "ReduceSum" || n.Op == "Split":
			g.axesInput(&n)
		case n.Op == "Softmax" || n.Op == "LogSoftmax":
			nodes = append(nodes, g.flatSoftmax(&n)...)
			continue
		default:
			return fmt.Errorf("node %q: %s of opset %d has no form in opset %d here", n.Name, n.Op, old, targetOpset)
		}
		nodes = append(nodes, n)
	}
	g.m.Graph.Nodes = nodes
	g.m.Opsets = slices.Clone(g.m.Opsets)
	for i := range g.m.Opsets {
		if d := g.m.Opsets[i].Domain; d == "" || d == "ai.onnx" {
			g.m.Opsets[i].Version = targetOpset
		}
	}
	g.m.IRVersion = max(g.m.IRVersion, 7)
	return nil
}

// flatSoftmax returns the nodes of a softmax over all dimensions from its axis
// on, which is what the operator meant before opset 13.
func (g *network) flatSoftmax(n *onnx.Node) []onnx.Node {
	axis := int64(1)
	if a := n.Attribute("axis"); a != nil {
		axis = a.Int
	}
	last := []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: -1}}
	if axis == -1 || axis == 1 && g.flat(n.Inputs[0], flatDepth) {
		n.Attributes = last
		return []onnx.Node{*n}
	}
	out := n.Outputs[0]
	shape, rows, soft := g.newName(out+"_shape"), g.newName(out+"_rows"), g.newName(out+"_softmax")
	return []onnx.Node{
		{Name: shape, Op: "Shape", Inputs: n.Inputs, Outputs: []string{shape}},
		{Name: rows, Op: "Flatten", Inputs: n.Inputs, Outputs: []string{rows}, Attributes: []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: axis}}},
		{Name: n.Name, Op: n.Op, Inputs: []string{rows}, Outputs: []string{soft}, Attributes: last},
		{Name: out, Op: "Reshape", Inputs: []string{soft, shape}, Outputs: n.Outputs},
	}
}

// constant adds an initializer and returns its name.
func (g *network) constant(stem string, t onnx.Tensor) string {
	t.Name = g.newName(stem)
	g.m.Graph.Initializers = append(g.m.Graph.Initializers, t)
	return t.Name
}

func (g *network) clipInputs(n *onnx.Node) {
	lo, hi := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if a := n.Attribute("min"); a != nil {
		lo = a.Float
	}
	if a := n.Attribute("max"); a != nil {
		hi = a.Float
	}
	n.Inputs = append(n.Inputs[:1], g.constant(n.Outputs[0]+"_min", onnx.NewFloat32("", []float32{lo})), g.constant(n.Outputs[0]+"_max", onnx.NewFloat32("", []float32{hi})))
	n.Attributes = nil
}

// axesInput turns the attribute axes, or split, into an input.
func (g *network) axesInput(n *onnx.Node) {
	for i, a := range n.Attributes {
		if a.Name == "axes" || a.Name == "split" {
			n.Attributes = slices.Delete(n.Attributes, i, i+1)
			n.Inputs = append(n.Inputs, g.constant(n.Outputs[0]+"_"+a.Name, onnx.NewInt64("", a.Ints, len(a.Ints))))
			return
		}
	}
}

// floats returns the elements of a constant float32 input, nil if it is none.
func (g *network) floats(n *onnx.Node, i int) []float32 {
	if i >= len(n.Inputs) {
		return nil
	}
	if t := g.constants[n.Inputs[i]]; t != nil && t.Type == onnx.Float32 {
		return t.Float32s()
	}
	return nil
}

// foldBatchNorm folds each batch norm behind a convolution with constant weights
// that nothing else reads into its weights and bias.
func (g *network) foldBatchNorm() {
	g.index()
	drop := map[int]bool{}
	for i := range g.m.Graph.Nodes {
		n := &g.m.Graph.Nodes[i]
		if n.Op != "BatchNormalization" || len(n.Inputs) != 5 {
			continue
		}
		at, ok := g.maker[n.Inputs[0]]
		if !ok || g.sole(n.Inputs[0]) != i || g.m.Graph.Nodes[at].Op != "Conv" {
			continue
		}
		c := &g.m.Graph.Nodes[at]
		w := g.floats(c, 1)
		var p [4][]float32
		fits := w != nil
		for k := range p {
			p[k] = g.floats(n, k+1)
			fits = fits && len(p[k]) > 0 && len(p[k]) == g.constants[c.Inputs[1]].Shape[0]
		}
		if len(c.Inputs) > 2 && c.Inputs[2] != "" {
			fits = fits && len(g.floats(c, 2)) == len(p[0])
		}
		if !fits {
			continue
		}
		eps := 1e-5
		if a := n.Attribute("epsilon"); a != nil {
			eps = float64(a.Float)
		}
		weights, bias := slices.Clone(w), make([]float32, len(p[0]))
		copy(bias, g.floats(c, 2))
		filter := len(w) / len(bias)
		for k := range bias {
			scale := float64(p[0][k]) / math.Sqrt(float64(p[3][k])+eps)
			for j := range filter {
				weights[k*filter+j] = float32(float64(weights[k*filter+j]) * scale)
			}
			bias[k] = float32((float64(bias[k])-float64(p[2][k]))*scale + float64(p[1][k]))
		}
		shape := g.constants[c.Inputs[1]].Shape
		c.Inputs = []string{c.Inputs[0], g.constant(n.Outputs[0]+"_weight", onnx.NewFloat32("", weights, shape...)), g.constant(n.Outputs[0]+"_bias", onnx.NewFloat32("", bias, len(bias)))}
		c.Outputs = n.Outputs[:1]
		drop[i] = true
	}
	g.drop(drop)
}

// joinBias makes one Gemm of a MatMul with a constant matrix and the sum with a
// constant row behind it.
func (g *network) joinBias() {
	drop := map[int]bool{}
	for i := range g.m.Graph.Nodes {
		n := &g.m.Graph.Nodes[i]
		if n.Op != "Add" || len(n.Inputs) != 2 {
			continue
		}
		for k := range 2 {
			at, ok := g.maker[n.Inputs[k]]
			if !ok || g.sole(n.Inputs[k]) != i || g.m.Graph.Nodes[at].Op != "MatMul" {
				continue
			}
			p := &g.m.Graph.Nodes[at]
			w, b := g.constants[second(p)], g.constants[n.Inputs[1-k]]
			// Two dimensions behind a reshape or flattening are the rule; Gemm takes
			// no other, and the bias must not widen the result.
			if w == nil || b == nil || len(w.Shape) != 2 || b.Len() != w.Shape[1] || len(b.Shape) < 1 || len(b.Shape) > 2 || b.Shape[len(b.Shape)-1] != b.Len() || !g.flat(p.Inputs[0], flatDepth) {
				continue
			}
			row := *b
			row.Shape = []int{b.Len()}
			p.Op, p.Inputs, p.Outputs, p.Attributes = "Gemm", []string{p.Inputs[0], p.Inputs[1], g.constant(n.Outputs[0]+"_bias", row)}, n.Outputs, nil
			drop[i] = true
			break
		}
	}
	g.drop(drop)
}

// second returns the name of a node's second input, "" if there is none.
func second(n *onnx.Node) string {
	if len(n.Inputs) < 2 {
		return ""
	}
	return n.Inputs[1]
}

// flatDepth is how many layers [network.flat] looks back.
const flatDepth = 16

// flat reports whether a value surely has two dimensions, as far as depth layers
// before it tell.
func (g *network) flat(name string, depth int) bool {
	at, ok := g.maker[name]
	if !ok || depth == 0 {
		return false
	}
	n := &g.m.Graph.Nodes[at]
	switch n.Op {
	case "Flatten", "Gemm":
		return true
	case "Relu", "Sigmoid", "Tanh", "Identity", "Clip":
		return g.flat(n.Inputs[0], depth-1)
	case "Add", "MatMul":
		w := g.constants[second(n)]
		return w != nil && len(w.Shape) <= 2 && g.flat(n.Inputs[0], depth-1)
	case "Reshape":
		shape := g.constants[second(n)]
		return shape != nil && shape.Len() == 2
	}
	return false
}

// drop removes nodes.
func (g *network) drop(which map[int]bool) {
	kept := g.m.Graph.Nodes[:0]
	for i, n := range g.m.Graph.Nodes {
		if !which[i] {
			kept = append(kept, n)
		}
	}
	g.m.Graph.Nodes = kept
	g.index()
}

// dropConstants removes initializers that nothing reads.
func (g *network) dropConstants() {
	g.index()
	g.m.Graph.Initializers = slices.DeleteFunc(g.m.Graph.Initializers, func(t onnx.Tensor) bool {
		return len(g.readers[t.Name]) == 0 && !g.outputs[t.Name]
	})
	g.index()
}
