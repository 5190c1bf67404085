package attention

import "fmt"

// CBAM is a plan for the channel half of the convolutional block attention
// module (Woo, Park, Lee, Kweon, "CBAM", ECCV 2018): the mean and the maximum of
// each channel go through the same two layers, and the sigmoid of the sum scales
// the map. B2 is part of both branches. The gradient of a maximum goes to the
// first pixel that has it.
type CBAM struct {
	gate
	mlp           mlp
	w             MLP // of the running call
	dhidden, dmax []float32
}

// NewCBAM returns the plan for maps of a shape and reduced hidden units, or what
// is wrong with them.
func NewCBAM(shape Shape, reduced int, opt Options) (*CBAM, error) {
	f, err := newFeatures(shape, opt)
	if err != nil {
		return nil, err
	}
	l, err := newMLP(f.c, reduced)
	if err != nil {
		return nil, err
	}
	f.atOnce()
	p := &CBAM{mlp: l}
	p.init(f, p)
	p.own = p.NewState()
	return p, nil
}

// NewState returns room for what Backward needs of one Forward.
func (p *CBAM) NewState() *State {
	return &State{
		mean: make([]float32, p.n*p.c), max: make([]float32, p.n*p.c), index: make([]int32, p.n*p.c),
		hidden: make([]float32, 2*p.n*p.mlp.cr),
	}
}

// String says what the plan computes.
func (p *CBAM) String() string {
	return fmt.Sprintf("attention.CBAM %s hidden=%d", p.features.String(), p.mlp.cr)
}

// Forward computes the attention a (N x C) of src and dst = src*a, as
// [SE.Forward] does. It reads src once more, for the maximum.
func (p *CBAM) Forward(dst, a, src []float32, w MLP, st *State) {
	p.checkForward("CBAM.Forward", dst, a, src)
	p.mlp.check("CBAM.Forward", w, false)
	if st == nil {
		st = p.own
	}
	p.w = w
	p.runForward(dst, a, src, st)
	p.w = MLP{}
}

// Backward is [SE.Backward] for this module.
func (p *CBAM) Backward(dx []float32, dw MLP, dy, da, src, a []float32, w MLP, st *State) {
	p.checkBackward("CBAM.Backward", dx, dy, da, src, a, st)
	p.mlp.check("CBAM.Backward", w, false)
	p.mlp.check("CBAM.Backward", dw, true)
	if p.dhidden == nil {
		p.dhidden, p.dmax = make([]float32, 2*p.n*p.mlp.cr), make([]float32, p.n*p.c)
	}
	p.w = w
	p.runBackward(dx, dy, da, src, a, st)
	p.w = MLP{}
	half := p.n * p.mlp.cr
	p.mlp.gradients(&dw, p.dlogits, p.dhidden[:half], st.hidden[:half], st.mean, p.n)
	p.mlp.gradients(&dw, p.dlogits, p.dhidden[half:], st.hidden[half:], st.max, p.n)
}

func (p *CBAM) extremes(lo, hi int) {
	st := p.job.state
	p.maximum(st.max, st.index, p.job.src, lo, hi)
}

func (p *CBAM) excite(logits []float32, lo, hi int) {
	st, cr := p.job.state, p.mlp.cr
	mean, top := st.hidden[:p.n*cr], st.hidden[p.n*cr:]
	p.mlp.forward(p.vectors(logits, lo, hi), mean[lo*cr:hi*cr], p.vectors(st.mean, lo, hi), hi-lo, &p.w, 0)
	p.mlp.forward(p.vectors(logits, lo, hi), top[lo*cr:hi*cr], p.vectors(st.max, lo, hi), hi-lo, &p.w, 1)
}

func (p *CBAM) exciteBackward(dmean, dlogits []float32, lo, hi int) {
	st, cr, half := p.job.state, p.mlp.cr, p.n*p.mlp.cr
	d := p.vectors(dlogits, lo, hi)
	p.mlp.backward(p.vectors(dmean, lo, hi), p.dhidden[lo*cr:hi*cr], d, st.hidden[lo*cr:hi*cr], hi-lo, &p.w)
	p.mlp.backward(p.vectors(p.dmax, lo, hi), p.dhidden[half+lo*cr:half+hi*cr], d, st.hidden[half+lo*cr:half+hi*cr], hi-lo, &p.w)
}

func (p *CBAM) scatter(dx []float32, lo, hi int) {
	p.features.scatter(dx, p.dmax, p.job.state.index, lo, hi)
}
