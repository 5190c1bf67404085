package train

import (
	"fmt"
	"math"
	"slices"
)

// Model is a network with its tensors.
type Model struct {
	// Spec is what the model was built from; zero for a hand-made graph.
	Spec  Spec
	graph *Graph
	set   *paramSet
}

// NewModel gives the layers of g their tensors and initialises them from seed.
func NewModel(g *Graph, seed uint64) (*Model, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	var params []*Param
	for _, n := range g.nodes {
		params = append(params, n.layer.Params()...)
	}
	set, err := newParamSet(params)
	if err != nil {
		return nil, err
	}
	set.initialise(seed)
	return &Model{graph: g, set: set}, nil
}

// Params returns the model's tensors, buffers included, in the order of its
// layers.
func (m *Model) Params() []*Param { return m.set.all }

// Param returns the tensor of that name, or nil.
func (m *Model) Param(name string) *Param { return m.set.byName[name] }

// NumParams is the number of trained elements.
func (m *Model) NumParams() int {
	n := 0
	for _, p := range m.set.trained {
		n += p.size()
	}
	return n
}

// Image is the shape of the images the model takes.
func (m *Model) Image() Shape { return m.graph.values[0].shape }

// Classes is the number of class scores the model computes.
func (m *Model) Classes() int { return m.graph.Shape(m.graph.logits).C }

// Features is the length of the feature vector before the classifier.
func (m *Model) Features() int { return m.graph.Shape(m.graph.features).C }

// Attentions returns the length of each attention vector, the main one last;
// empty for a model without attention.
func (m *Model) Attentions() []int {
	c := make([]int, len(m.graph.attentions))
	for i, v := range m.graph.attentions {
		c[i] = m.graph.Shape(v).C
	}
	return c
}

// Node is a layer of a model with the activations it reads and writes; the
// image is activation 0.
type Node struct {
	Layer   Layer
	In, Out []Value
}

// Nodes returns the layers in the order they run.
func (m *Model) Nodes() []Node {
	nodes := make([]Node, len(m.graph.nodes))
	for i, n := range m.graph.nodes {
		nodes[i] = Node{n.layer, n.in, n.out}
	}
	return nodes
}

// Outputs returns the activations that hold the class scores, the features and
// the attention vectors.
func (m *Model) Outputs() (logits, features Value, attentions []Value) {
	return m.graph.logits, m.graph.features, m.graph.attentions
}

// StepFLOPs returns the floating-point operations of convolutions and linear
// layers in a training step, forward and backward, for one sample: two for each
// multiply-add of the direct sums. Gradients of the image are not computed.
func (m *Model) StepFLOPs() float64 {
	var total float64
	for _, n := range m.graph.nodes {
		var pass float64
		switch l := n.layer.(type) {
		case *Conv2D:
			s := l.shape(1, m.graph.values[n.in[0]].shape)
			pass = s.FLOPs()
		case *Linear:
			pass = 2 * float64(l.In) * float64(l.Out)
		case *CosineLinear:
			pass = 2 * float64(l.In) * float64(l.Out)
		}
		passes := 3.0
		if n.in[0] == 0 {
			passes = 2
		}
		total += passes * pass
	}
	return total
}

// Load copies values into the model's tensors: get returns the shape and the
// elements of the tensor of a name. It fails, and changes nothing, on a tensor
// that is absent or of another shape.
func (m *Model) Load(get func(name string) ([]int, []float32, error)) error {
	values := make([][]float32, len(m.set.all))
	for i, p := range m.set.all {
		shape, v, err := get(p.Name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", p.Name, err)
		}
		if !slices.Equal(shape, p.Shape) || len(v) != p.size() {
			return fmt.Errorf("tensor %q has shape %v, the model needs %v", p.Name, shape, p.Shape)
		}
		values[i] = v
	}
	for i, p := range m.set.all {
		copy(p.Value, values[i])
	}
	return nil
}

// firstNonFinite returns the name of the first tensor that holds a NaN or an
// infinity, or "".
func (m *Model) firstNonFinite() string {
	for _, p := range m.set.all {
		if !allFinite(p.Value) {
			return p.Name
		}
	}
	return ""
}

func allFinite(x []float32) bool {
	const exponent = 0x7f800000
	for _, v := range x {
		if math.Float32bits(v)&exponent == exponent {
			return false
		}
	}
	return true
}
