// Package quantize makes int8 models from float ones.
//
// The result is ONNX of opset 13 or later in the form that other runtimes know
// as QDQ: convolutions, fully connected layers, residual sums and maximum pooling
// stand between DequantizeLinear and QuantizeLinear, weights are signed bytes
// with a scale for each output channel, biases 32-bit integers, activations
// unsigned bytes with one scale and zero point for each tensor. What is left,
// and results that no such layer reads, stays in float32.
//
// Scales of activations come from running the float model on sample inputs.
package quantize

import (
	"fmt"
	"math"
	"slices"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// A Method chooses the range of an activation from its samples.
type Method string

const (
	// MinMax takes all values.
	MinMax Method = "minmax"
	// Percentile leaves out 0.01 % at either end.
	Percentile Method = "percentile"
	// MSE takes the part of the range whose rounding and clipping errors have the
	// least mean square.
	MSE Method = "mse"
)

// Methods lists the methods.
func Methods() []string { return []string{string(MinMax), string(Percentile), string(MSE)} }

// Options say how a model is quantised.
type Options struct {
	Method Method // by default MinMax
}

// A Report says what became of a model.
type Report struct {
	Layers  int `json:"layers"`  // convolutions and fully connected layers on bytes
	Sums    int `json:"sums"`    // residual sums on bytes
	Pools   int `json:"pools"`   // maximum poolings on bytes
	Tensors int `json:"tensors"` // quantised activations
	Samples int `json:"samples"` // inputs that ranges were taken from
	Float   int `json:"float"`   // nodes left in float32
}

// Samples are the inputs to calibrate with. Each call of the sequence's body
// gets one value for each input of the model. They are read twice.
type Samples func(yield func(inputs []*infer.Tensor) error) error

// Run returns the quantised form of m, which is not changed.
func Run(m *onnx.Model, samples Samples, opt Options) (*onnx.Model, *Report, error) {
	switch opt.Method {
	case "":
		opt.Method = MinMax
	case MinMax, Percentile, MSE:
	default:
		return nil, nil, fmt.Errorf("quantize: unknown method %q (one of %v)", opt.Method, Methods())
	}
	g, err := prepare(m)
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	g.candidates()
	report := &Report{}
	ranges, err := g.calibrate(samples, opt.Method, report)
	if err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	g.choose()
	if err := g.rewrite(ranges, report); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	if report.Layers == 0 {
		return nil, nil, fmt.Errorf("quantize: the model has no convolution or fully connected layer with constant weights")
	}
	return g.m, report, nil
}

// A network is a model that is being changed.
type network struct {
	m         *onnx.Model
	constants map[string]*onnx.Tensor
	maker     map[string]int   // value -> node
	readers   map[string][]int // value -> nodes, once for each use
	outputs   map[string]bool
	names     map[string]bool

	quantised map[string]bool   // activations that become bytes
	roles     map[int]role      // of nodes
	shapes    map[string][]int  // seen in calibration
	pooled    map[string]string // result of a pooling on bytes -> its input
	report    *Report
}

// A role is how a node takes part.
type role uint8

const (
	product role = iota + 1 // Conv or Gemm with constant weights
	sum
	maxPool
)

// index finds who makes and reads what.
func (g *network) index() {
	g.constants, g.maker, g.readers = map[string]*onnx.Tensor{}, map[string]int{}, map[string][]int{}
	g.outputs, g.names = map[string]bool{}, map[string]bool{}
	for i := range g.m.Graph.Initializers {
		t := &g.m.Graph.Initializers[i]
		g.constants[t.Name], g.names[t.Name] = t, true
	}
	for _, v := range g.m.Graph.Inputs {
		g.names[v.Name] = true
	}
	for i := range g.m.Graph.Nodes {
		n := &g.m.Graph.Nodes[i]
		for _, out := range n.Outputs {
			g.maker[out], g.names[out] = i, true
		}
		for _, in := range n.Inputs {
			if in != "" {
				g.readers[in] = append(g.readers[in], i)
			}
		}
	}
	for _, v := range g.m.Graph.Outputs {
		g.outputs[v.Name] = true
	}
}

// sole returns the only reader of a value, -1 if there are others or it is an
// output of the model.
func (g *network) sole(name string) int {
	if r := g.readers[name]; len(r) == 1 && !g.outputs[name] {
		return r[0]
	}
	return -1
}

// newName returns a name that nothing has yet.
func (g *network) newName(stem string) string {
	name := stem
	for i := 1; g.names[name]; i++ {
		name = fmt.Sprintf("%s_%d", stem, i)
	}
	g.names[name] = true
	return name
}

// result returns the value that a layer leaves behind the activation that it
// takes along: a ReLU, or a clip to a range that holds zero.
func (g *network) result(i int) string {
	out := g.m.Graph.Nodes[i].Outputs[0]
	if next := g.sole(out); next >= 0 {
		if n := &g.m.Graph.Nodes[next]; (n.Op == "Relu" || n.Op == "Clip") && n.Inputs[0] == out {
			return n.Outputs[0]
		}
	}
	return out
}

// candidates gives nodes their roles as far as the graph alone decides them.
func (g *network) candidates() {
	g.index()
	g.roles = map[int]role{}
	for i := range g.m.Graph.Nodes {
		n := &g.m.Graph.Nodes[i]
		if n.Domain != "" && n.Domain != "ai.onnx" || len(n.Inputs) == 0 || len(n.Outputs) == 0 || g.constants[n.Inputs[0]] != nil {
			continue
		}
		switch n.Op {
		case "Conv", "Gemm":
			if g.quantisable(n) {
				g.roles[i] = product
			}
		case "Add":
			if len(n.Inputs) == 2 && g.constants[n.Inputs[1]] == nil {
				g.roles[i] = sum
			}
		case "MaxPool":
			if len(n.Outputs) == 1 {
				g.roles[i] = maxPool
			}
		}
	}
}

// quantisable reports whether a product has weights and bias that can become
// integers.
func (g *network) quantisable(n *onnx.Node) bool {
	if len(n.Inputs) < 2 {
		return false
	}
	w := g.constants[n.Inputs[1]]
	if w == nil || w.Type != onnx.Float32 || len(w.Shape) < 2 || w.Len() == 0 || n.Op == "Conv" && len(w.Shape) != 4 ||
		n.Op == "Gemm" && (len(w.Shape) != 2 || !plainGemm(n)) || !finite(w) {
		return false
	}
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		b := g.constants[n.Inputs[2]]
		return b != nil && b.Type == onnx.Float32 && b.Len() == w.Shape[channelAxis(n)] && finite(b)
	}
	return true
}

func finite(t *onnx.Tensor) bool {
	return !slices.ContainsFunc(t.Float32s(), func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) })
}

// plainGemm reports whether a Gemm is x*W + b, W transposed or not.
func plainGemm(n *onnx.Node) bool {
	for _, a := range n.Attributes {
		if a.Name == "transA" && a.Int != 0 || (a.Name == "alpha" || a.Name == "beta") && a.Float != 1 {
			return false
		}
	}
	return true
}

// channelAxis is the axis of the weights that counts output channels.
func channelAxis(n *onnx.Node) int {
	if n.Op == "Gemm" {
		if a := n.Attribute("transB"); a == nil || a.Int == 0 {
			return 1
		}
	}
	return 0
}

// choose decides which activations become bytes: what products read and, where
// that makes chains of them, what sums and poolings read and leave.
func (g *network) choose() {
	g.quantised, g.pooled = map[string]bool{}, map[string]string{}
	for i, r := range g.roles {
		n := &g.m.Graph.Nodes[i]
		switch {
		case r == product:
			g.quantised[n.Inputs[0]] = true
		case r == sum && !slices.Equal(g.shapes[n.Inputs[0]], g.shapes[n.Inputs[1]]):
			delete(g.roles, i)
		}
	}
	// A sum or pooling takes part if its result is read as bytes and its inputs
	// come from layers that leave bytes; from the end to the start.
	for i := len(g.m.Graph.Nodes) - 1; i >= 0; i-- {
		r := g.roles[i]
		if r != sum && r != maxPool {
			continue
		}
		n := &g.m.Graph.Nodes[i]
		if !g.quantised[g.result(i)] || r == maxPool && g.result(i) != n.Outputs[0] {
			delete(g.roles, i)
			continue
		}
		for _, in := range n.Inputs {
			g.quantised[in] = true
		}
		if r == maxPool {
			g.pooled[n.Outputs[0]] = n.Inputs[0]
		}
	}
}
