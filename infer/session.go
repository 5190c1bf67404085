package infer

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// Options say how a model is run. The zero value, and a nil pointer, are the
// defaults.
type Options struct {
	// Exact keeps convolutions to algorithms that add up the defining products.
	// By default Winograd's may be used, whose rounding errors are up to 8 times
	// as large.
	Exact bool
	// TakeWeights lets New keep the weights of the model in the form that its
	// kernels read, in their own memory, so that they are in memory once. The
	// contents of the model's tensors are undefined after that. Load does so.
	TakeWeights bool
}

// A Session is a model that is ready to run. Its methods may be called from
// many goroutines at once.
type Session struct {
	graph *graph
	opt   Options

	takes bool // weights may be taken: while the session is made

	mu      sync.Mutex
	plans   []*plan // the last used one first
	guess   *plan   // made before the first run, until that needs it
	packs   map[packKey]*packed
	scratch []float32
	int8    map[string]*conv.Int8Weights // by nodes and kernel
}

// maxPlans is the number of plans that a session keeps: one for each combination
// of input shapes.
const maxPlans = 8

// Load reads a model from an ONNX file and the external data it refers to.
func Load(path string, opt *Options) (*Session, error) {
	m, err := onnx.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	var own Options
	if opt != nil {
		own = *opt
	}
	own.TakeWeights = true
	s, err := New(m, &own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Parse reads a model from the bytes of an ONNX file, which may be embedded in
// the program. The session shares their memory.
func Parse(b []byte, opt *Options) (*Session, error) {
	m, err := onnx.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return New(m, opt)
}

// New makes a session for a model, whose memory it shares: the contents of its
// tensors must not change while the session is in use. The error names node, operator
// and opset if something is not supported; it wraps an [UnsupportedError] if that is
// an operator.
func New(m *onnx.Model, opt *Options) (*Session, error) {
	g, err := newGraph(m)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	s := &Session{graph: g, packs: map[packKey]*packed{}, int8: map[string]*conv.Int8Weights{}}
	if opt != nil {
		s.opt = *opt
	}
	s.takes = s.opt.TakeWeights
	err = s.prepare()
	s.takes = false
	return s, err
}

// prepare plans for the shapes that the model declares, with one image where the
// batch is open, so that the first run finds its weights packed. Models whose
// other sizes are open are planned when they run.
func (s *Session) prepare() error {
	fixed := true
	var inputs []*value
	for _, v := range s.graph.inputs {
		if v.Shape == nil || v.Type.Size() == 0 {
			return nil
		}
		x := &value{typ: v.Type}
		for d, size := range v.Shape {
			switch {
			case size.Size >= 0:
				x.shape = append(x.shape, clampInt(size.Size))
			case d == 0:
				x.shape = append(x.shape, 1)
				fixed = false
			default:
				return nil
			}
		}
		if _, err := elements(x.shape, x.typ.Size()); err != nil {
			return fmt.Errorf("infer: input %q: %w", v.Name, err)
		}
		inputs = append(inputs, x)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.plan(inputs)
	if err != nil && fixed {
		return fmt.Errorf("infer: %w", err)
	}
	s.guess = p
	return nil
}

// plan returns the plan for inputs, from the session's or compiled. s.mu is held.
func (s *Session) plan(inputs []*value) (*plan, error) {
	p, err := s.compile(inputs)
	if errors.Is(err, errUnknown) {
		p.dynamic, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	if len(s.plans) == maxPlans {
		s.plans = s.plans[:maxPlans-1]
	}
	s.plans = slices.Insert(s.plans, 0, p)
	s.packAll(p)
	if p.dynamic {
		return p, nil
	}
	st, err := p.newState()
	if err != nil {
		s.plans = s.plans[1:]
		return nil, err
	}
	p.free = append(p.free, st)
	return p, nil
}

// planFor returns the plan for the shapes of src.
func (s *Session) planFor(src []*Tensor) (*plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.plans {
		if p.fits(src) {
			copy(s.plans[1:i+1], s.plans[:i])
			s.plans[0] = p
			s.guess = nil
			return p, nil
		}
	}
	if s.guess != nil { // it was wrong
		s.plans = slices.DeleteFunc(s.plans, func(p *plan) bool { return p == s.guess })
		s.guess = nil
	}
	inputs := make([]*value, len(src))
	for i, t := range src {
		inputs[i] = &value{typ: t.Type, shape: t.Shape}
	}
	return s.plan(inputs)
}

func (p *plan) fits(src []*Tensor) bool {
	for i, t := range src {
		if t.Type != p.types[i] || !slices.Equal(t.Shape, p.shapes[i]) {
			return false
		}
	}
	return true
}

// Inputs and Outputs describe what the model takes and gives. A negative size is
// one that the model leaves open.
func (s *Session) Inputs() []onnx.ValueInfo { return s.graph.inputs }

// Outputs is documented with [Session.Inputs].
func (s *Session) Outputs() []onnx.ValueInfo { return s.graph.outputs }

// checkInputs compares tensors with what the model declares.
func (s *Session) checkInputs(src []*Tensor) error {
	if len(src) != len(s.graph.inputs) {
		return fmt.Errorf("infer: %d inputs, want %d", len(src), len(s.graph.inputs))
	}
	for i, v := range s.graph.inputs {
		t := src[i]
		if t == nil {
			return fmt.Errorf("infer: input %q is nil", v.Name)
		}
		if v.Type != onnx.Undefined && t.Type != v.Type {
			return fmt.Errorf("infer: input %q is %v, want %v", v.Name, t.Type, v.Type)
		}
		if v.Shape == nil {
			continue
		}
		ok := len(v.Shape) == len(t.Shape)
		for d := 0; ok && d < len(v.Shape); d++ {
			ok = v.Shape[d].Size < 0 || v.Shape[d].Size == int64(t.Shape[d])
		}
		if !ok {
			return fmt.Errorf("infer: input %q of shape %v, want %v", v.Name, t.Shape, v.Shape)
		}
	}
	return nil
}

// Run computes the outputs of the model: src are its inputs, in order, dst its
// outputs. An output that is not nil is overwritten: it takes the type and the
// shape of the result, and keeps its memory if that is large enough. Outputs
// that are nil are allocated. Outputs must not share memory with inputs.
//
// The first run with inputs of some shape plans for it; runs after that allocate
// nothing if the model is made of float32 layers and dst has its memory.
func (s *Session) Run(dst, src []*Tensor) error {
	if len(dst) != len(s.graph.out) {
		return fmt.Errorf("infer: %d outputs, want %d", len(dst), len(s.graph.out))
	}
	if err := s.checkInputs(src); err != nil {
		return err
	}
	p, err := s.planFor(src)
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	if p.dynamic {
		return s.evaluate(dst, src)
	}
	st, err := p.take()
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	defer p.give(st)
	p.bind(st, dst, src)
	for image := range p.front.images {
		st.image(p, src, image)
		if err := st.run(p, 0, p.front.steps); err != nil {
			return err
		}
	}
	return st.run(p, p.front.steps, len(st.steps))
}

// run carries out instructions lo to hi-1.
func (st *state) run(p *plan, lo, hi int) error {
	for i := lo; i < hi; i++ {
		x := &st.steps[i]
		if err := x.run(x.in, x.out, st.work); err != nil {
			return fmt.Errorf("infer: %s: %w", p.instrs[i].title, err)
		}
	}
	return nil
}

// evaluate runs node by node, with shapes as they come.
func (s *Session) evaluate(dst, src []*Tensor) error {
	inputs := make([]*value, len(src))
	for i, t := range src {
		inputs[i] = &value{t.Type, t.Shape, t}
	}
	r, err := s.graph.resolve(inputs, true)
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	for i, id := range s.graph.out {
		t := r.values[id].data
		dst[i] = dst[i].reuse(t.Type, t.Shape)
		copy(dst[i].mem, t.mem)
	}
	return nil
}

// reuse returns t as a tensor of another type and shape, or a new one if t is
// nil or too small.
func (t *Tensor) reuse(typ onnx.DataType, shape []int) *Tensor {
	n := product(shape) * typ.Size()
	if t == nil || cap(t.mem) < n {
		return &Tensor{Type: typ, Shape: append([]int{}, shape...), mem: kernels.AlignedBytes(n)}
	}
	t.Type, t.Shape, t.mem = typ, append(t.Shape[:0], shape...), t.mem[:n]
	return t
}
