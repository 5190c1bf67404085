package train

import (
	"errors"
	"fmt"
)

// Shape is the shape of one sample of an activation: H x W positions of C
// channels, stored with C fastest. A vector has H = W = 1.
type Shape struct{ H, W, C int }

// Size is the number of elements of one sample.
func (s Shape) Size() int { return s.H * s.W * s.C }

// valid reports whether all sizes are positive and their product is at most
// maxSample.
func (s Shape) valid() bool {
	if s.H < 1 || s.W < 1 || s.C < 1 || s.H > maxSample || s.W > maxSample || s.C > maxSample {
		return false
	}
	return int64(s.H)*int64(s.W) <= maxSample && int64(s.H)*int64(s.W)*int64(s.C) <= maxSample
}

func (s Shape) String() string { return fmt.Sprintf("%dx%dx%d", s.H, s.W, s.C) }

// Value names an activation of a Graph: the image or the output of a layer.
type Value int

// Layer is a node of a Graph: what it computes and which tensors it holds, for
// any batch size. Plan turns it into an Op for one.
type Layer interface {
	// Name is the prefix of the layer's tensors, and names it in errors.
	Name() string
	// Params returns the layer's tensors in the order they are saved.
	Params() []*Param
	// Outputs returns the shapes of what the layer computes from inputs of
	// the given shapes, or an error when it cannot.
	Outputs(in []Shape) ([]Shape, error)
	// Plan returns the layer's computation for batches of n samples. train
	// asks for an Op that can run backward and uses batch statistics.
	Plan(n int, in []Shape, train bool) (Op, error)
}

// Op is a Layer fixed for a batch size. Its methods allocate nothing.
type Op interface {
	// Needs states which buffers the Op works with.
	Needs() Needs
	// Forward computes io.Dst from io.Src.
	Forward(io *IO)
	// Backward computes io.DSrc and the gradients of the layer's tensors
	// (both overwritten) from io.DDst.
	Backward(io *IO)
}

// Needs tells the plan of a Graph what an Op reads and may overwrite.
type Needs struct {
	// Src and Dst: Backward reads all inputs, all outputs of Forward.
	Src, Dst bool
	// OnlyFirst: of the inputs it reads the first only.
	OnlyFirst bool
	// Work is the scratch space of Forward and of Backward, in float32.
	Work int
	// InPlace: Forward may be given Dst[0] in the storage of Src[0].
	InPlace bool
	// View: Dst[0] is Src[0] in another shape, and DSrc[0] is DDst[0]. Where
	// the plan can let them share storage it does, and does not call Forward
	// or Backward, which copy.
	View bool
	// GradInPlace[i]: Backward may be given DSrc[i] in the storage of
	// DDst[0]; it has the same size, and where it is not the same storage
	// Backward copies.
	GradInPlace [2]bool
	// GradAdd: Backward can add to DSrc[0] (see IO.Add) in place of
	// overwriting it.
	GradAdd bool
}

// IO is what an Op works on. All slices of one batch are NHWC.
type IO struct {
	Src, Dst [][]float32
	// DSrc[i] is nil when nobody needs that gradient. DDst[i] is nil when
	// no gradient reaches that output; at least one is not.
	DSrc, DDst [][]float32
	Work       []float32
	// Add is set when DSrc[0] holds a gradient to add to.
	Add bool
	// Train is false in evaluation: dropout passes everything and batch
	// normalisation uses its running statistics.
	Train bool
	// Step seeds what is random in a training pass: the same Step gives the
	// same pass.
	Step uint64
}

type node struct {
	layer Layer
	in    []Value
	out   []Value
}

type valueInfo struct {
	shape Shape
	node  int // producer; -1 for the image
}

// Graph is a network as a list of layers in the order they run, each applied to
// the image or to outputs of earlier layers. Its methods add a layer and return
// the new activation; the first error sticks and is reported by NewModel, so
// that a network can be written as an unbroken list of calls.
type Graph struct {
	nodes  []node
	values []valueInfo
	err    error

	logits     Value
	features   Value
	attentions []Value
}

// NewGraph starts a network on images of the given shape and returns it with
// the activation that holds the image.
func NewGraph(image Shape) (*Graph, Value) {
	g := &Graph{values: []valueInfo{{shape: image, node: -1}}, logits: -1, features: -1}
	if !image.valid() {
		g.err = fmt.Errorf("train: image shape %v", image)
	}
	return g, 0
}

// maxSample bounds one sample of an activation, in elements.
const maxSample = 1 << 28

// Shape returns the shape of one sample of v.
func (g *Graph) Shape(v Value) Shape {
	if v < 0 || int(v) >= len(g.values) {
		return Shape{}
	}
	return g.values[v].shape
}

// Add appends a layer applied to the given activations and returns its first
// output.
func (g *Graph) Add(l Layer, in ...Value) Value {
	out := g.AddAll(l, in...)
	if len(out) == 0 {
		return 0
	}
	return out[0]
}

// AddAll is Add for a layer with several outputs. It returns nil when the graph
// holds an error.
func (g *Graph) AddAll(l Layer, in ...Value) []Value {
	if g.err != nil {
		return nil
	}
	shapes := make([]Shape, len(in))
	for i, v := range in {
		if v < 0 || int(v) >= len(g.values) {
			g.err = fmt.Errorf("train: layer %s reads activation %d of %d", l.Name(), v, len(g.values))
			return nil
		}
		shapes[i] = g.values[v].shape
	}
	outs, err := l.Outputs(shapes)
	if err != nil {
		g.err = fmt.Errorf("train: layer %s: %w", l.Name(), err)
		return nil
	}
	n := node{layer: l, in: in}
	for _, s := range outs {
		if !s.valid() {
			g.err = fmt.Errorf("train: layer %s: input %v gives output %v", l.Name(), shapes, s)
			return nil
		}
		n.out = append(n.out, Value(len(g.values)))
		g.values = append(g.values, valueInfo{shape: s, node: len(g.nodes)})
	}
	g.nodes = append(g.nodes, n)
	return n.out
}

// SetOutputs declares what losses and evaluation look at: the class scores, the
// feature vector they are computed from, and the attention vectors, the main one
// last.
func (g *Graph) SetOutputs(logits, features Value, attentions ...Value) {
	g.logits, g.features, g.attentions = logits, features, attentions
}

// outputs lists what SetOutputs declared.
func (g *Graph) outputs() []Value {
	return append([]Value{g.logits, g.features}, g.attentions...)
}

// check reports the first error of the graph.
func (g *Graph) check() error {
	if g.err != nil {
		return g.err
	}
	if g.logits < 0 || g.features < 0 {
		return errors.New("train: SetOutputs was not called")
	}
	for _, v := range g.outputs() {
		if int(v) >= len(g.values) || v < 1 {
			return fmt.Errorf("train: output %d is not the output of a layer", v)
		}
		if s := g.values[v].shape; s.H != 1 || s.W != 1 {
			return fmt.Errorf("train: output %d has shape %v, not a vector", v, s)
		}
	}
	return nil
}
