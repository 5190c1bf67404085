package train

import (
	"fmt"
	"time"

	"github.com/golanes/lanes/kernels"
)

// Plan is a Model fixed for a batch size: every activation, gradient and
// scratch buffer has its place in one arena, where buffers that are not in use
// at the same time share storage. Forward and Backward allocate nothing.
//
// A Plan is not safe for concurrent use, and a Model's tensors are shared by
// all its plans.
type Plan struct {
	model *Model
	graph *Graph // the model's with layers fused
	n     int
	train bool
	steps []step
	size  int // of the arena
	arena []float32

	values    []*region // by Value; nil for the image
	grads     []*region // by Value; nil where no gradient flows
	images    []imageRef
	bound     [][]float32
	boundGrad [][]float32
}

type imageRef struct{ step, input int }

// step is one layer of a plan.
type step struct {
	op           Op
	view         bool // Dst[0] is Src[0]
	aside        bool // neither the class scores nor the features depend on it
	skip         bool
	gradView     bool // and DSrc[0] is DDst[0]
	backward     bool
	add          bool // DSrc[0] is added to
	io           IO
	work         [2]*region // forward, backward
	dsrc         []*region
	adds         []*adder
	workSlices   [2][]float32
	forwardTime  time.Duration
	backwardTime time.Duration
}

// PlanOptions says what a Plan is for.
type PlanOptions struct {
	// Batch is the number of samples, at least 1.
	Batch int
	// Train plans for Backward too, with batch statistics and dropout.
	Train bool
	// Gradients lists the outputs whose gradient the caller provides to
	// Backward; the class scores if empty.
	Gradients []Value

	// separate gives every buffer storage of its own and lets nothing work in
	// place, for tests of the sharing.
	separate bool
	// plain fuses no layers, for tests of the fusion.
	plain bool
}

// NewPlan lays out the buffers for batches of opt.Batch samples. The plan has no
// storage until Bind.
func (m *Model) NewPlan(opt PlanOptions) (*Plan, error) {
	if opt.Batch < 1 {
		return nil, fmt.Errorf("train: batch of %d samples", opt.Batch)
	}
	for _, v := range m.graph.values {
		if v.shape.Size() > maxBuffer/opt.Batch {
			return nil, fmt.Errorf("train: a batch of %d samples of %v is too large", opt.Batch, v.shape)
		}
	}
	gradients := opt.Gradients
	if len(gradients) == 0 {
		gradients = []Value{m.graph.logits}
	}
	g := m.graph
	if !opt.plain {
		g = g.fused(append(g.outputs(), gradients...))
	}
	p := &Plan{model: m, graph: g, n: opt.Batch, train: opt.Train, steps: make([]step, len(g.nodes))}
	c := compiler{plan: p, graph: g, needs: make([]Needs, len(g.nodes))}
	for i, n := range g.nodes {
		op, err := n.layer.Plan(opt.Batch, c.shapes(n.in), opt.Train)
		if err != nil {
			return nil, fmt.Errorf("train: layer %s: %w", n.layer.Name(), err)
		}
		p.steps[i].op = op
		c.needs[i] = op.Needs()
		if opt.separate {
			c.needs[i].InPlace, c.needs[i].View, c.needs[i].GradInPlace, c.needs[i].GradAdd = false, false, [2]bool{}, false
		}
	}
	c.findGradients(gradients)
	c.findLastUses()
	c.placeValues()
	c.placeGradients(gradients)
	if opt.separate {
		for _, r := range c.regions {
			r.first, r.last = 0, 2*len(p.steps)+1
		}
	}
	p.size = layOut(c.regions)
	c.findAside()
	return p, nil
}

// skipAside makes Forward leave out, or not, the layers that neither the class
// scores nor the features depend on: attention that does not rescale.
func (p *Plan) skipAside(skip bool) {
	for i := range p.steps {
		p.steps[i].skip = skip && p.steps[i].aside
	}
}

// maxBuffer bounds one buffer, in elements.
const maxBuffer = 1<<31 - 1

// Size is the length of the arena that Bind needs, in float32.
func (p *Plan) Size() int { return p.size }

// Batch is the number of samples the plan is for.
func (p *Plan) Batch() int { return p.n }

// Bind gives the plan its storage, of at least Size elements. Plans that do not
// run at the same time may share one arena; whatever a plan's buffers held is
// lost when another runs.
func (p *Plan) Bind(arena []float32) {
	if len(arena) < p.size {
		panic("train.Plan.Bind: the arena is too small")
	}
	p.arena = arena
	g := p.graph
	p.bound = p.bindAll(p.values)
	p.boundGrad = p.bindAll(p.grads)
	p.images = p.images[:0]
	for i, n := range g.nodes {
		s := &p.steps[i]
		s.io = IO{Train: p.train, Add: s.add}
		for j, v := range n.in {
			s.io.Src = append(s.io.Src, p.bound[v])
			if v == 0 {
				p.images = append(p.images, imageRef{i, j})
			}
		}
		for _, v := range n.out {
			s.io.Dst = append(s.io.Dst, p.bound[v])
			s.io.DDst = append(s.io.DDst, p.boundGrad[v])
		}
		for j, r := range s.dsrc {
			var d []float32
			if r != nil {
				d = p.slice(r, p.n*g.values[n.in[j]].shape.Size())
			}
			s.io.DSrc = append(s.io.DSrc, d)
		}
		for _, a := range s.adds {
			a.dst = p.boundGrad[a.value]
			a.src = p.slice(a.from, len(a.dst))
		}
		for k, r := range s.work {
			s.workSlices[k] = nil
			if r != nil {
				s.workSlices[k] = p.slice(r, r.size)
			}
		}
	}
}

func (p *Plan) bindAll(regions []*region) [][]float32 {
	bound := make([][]float32, len(regions))
	for v, r := range regions {
		if r != nil {
			bound[v] = p.slice(r, p.n*p.graph.values[v].shape.Size())
		}
	}
	return bound
}

func (p *Plan) slice(r *region, n int) []float32 {
	return p.arena[r.offset : r.offset+n : r.offset+n]
}

// Forward runs the network on images, Batch samples in NHWC, which the plan
// reads until Backward has returned. step seeds what is random in training.
func (p *Plan) Forward(images []float32, step uint64) {
	p.setImages(images, step)
	for i := range p.steps {
		p.forwardStep(&p.steps[i])
	}
}

func (p *Plan) setImages(images []float32, step uint64) {
	if len(images) != p.n*p.model.Image().Size() {
		panic("train.Plan.Forward: images have the wrong length")
	}
	for _, r := range p.images {
		p.steps[r.step].io.Src[r.input] = images
	}
	for i := range p.steps {
		p.steps[i].io.Step = step
	}
}

func (p *Plan) forwardStep(s *step) {
	if s.view || s.skip {
		return
	}
	start := time.Now()
	s.io.Work = s.workSlices[0]
	s.op.Forward(&s.io)
	s.forwardTime += time.Since(start)
}

// Output returns the activation v of the last Forward, one of the model's
// outputs. It is valid until the next Forward of a plan on the same arena.
func (p *Plan) Output(v Value) []float32 { return p.bound[v] }

// OutputGrad returns the buffer that takes the gradient of v, one of
// PlanOptions.Gradients, between Forward and Backward. Whoever computes the loss
// must fill it.
func (p *Plan) OutputGrad(v Value) []float32 { return p.boundGrad[v] }

// Backward computes the gradients of all trained tensors, overwriting what
// they held, from the OutputGrad buffers.
func (p *Plan) Backward() {
	if !p.train {
		panic("train.Plan.Backward: the plan is for evaluation")
	}
	for i := len(p.steps) - 1; i >= 0; i-- {
		s := &p.steps[i]
		if !s.backward {
			continue
		}
		start := time.Now()
		if !s.gradView {
			s.io.Work = s.workSlices[1]
			s.op.Backward(&s.io)
		}
		for _, a := range s.adds {
			a.run()
		}
		s.backwardTime += time.Since(start)
	}
}

// FindNonFinite runs Forward on images and returns the name of what first holds
// a NaN or an infinity: "images", a tensor, or a layer; "" if nothing does.
// It advances the running statistics of a training plan; restoring them is up
// to the caller.
func (p *Plan) FindNonFinite(images []float32, step uint64) string {
	if !allFinite(images) {
		return "images"
	}
	p.setImages(images, step)
	for i, n := range p.graph.nodes {
		for _, q := range n.layer.Params() {
			if !allFinite(q.Value) {
				return "tensor " + q.Name
			}
		}
		p.forwardStep(&p.steps[i])
		for _, dst := range p.steps[i].io.Dst {
			if !allFinite(dst) {
				return "layer " + n.layer.Name()
			}
		}
	}
	return ""
}

// LayerTime is how long a layer ran, summed over the steps of a plan.
type LayerTime struct {
	Layer             Layer
	Forward, Backward time.Duration
}

// Times returns the time each layer took so far.
func (p *Plan) Times() []LayerTime {
	times := make([]LayerTime, len(p.steps))
	for i, n := range p.graph.nodes {
		times[i] = LayerTime{n.layer, p.steps[i].forwardTime, p.steps[i].backwardTime}
	}
	return times
}

// adder adds one gradient of an activation to the sum of the others.
type adder struct {
	value    Value
	from     *region
	dst, src []float32
	body     func(lo, hi int)
}

func newAdder(v Value, from *region) *adder {
	a := &adder{value: v, from: from}
	a.body = func(lo, hi int) { kernels.Add(a.dst[lo:hi], a.dst[lo:hi], a.src[lo:hi]) }
	return a
}

func (a *adder) run() { kernels.Parallel(len(a.dst), elementGrain, a.body) }
