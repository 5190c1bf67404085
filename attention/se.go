package attention

import "fmt"

// SE is a plan for squeeze-and-excitation (Hu, Shen, Sun, "Squeeze-and-Excitation
// Networks", CVPR 2018): global average, fully connected layer, ReLU, fully
// connected layer, sigmoid, scale.
type SE struct {
	gate
	mlp     mlp
	w       MLP // of the running call
	dhidden []float32
}

// NewSE returns the plan for maps of a shape and reduced hidden units (Cr, C
// divided by the reduction), or what is wrong with them.
func NewSE(shape Shape, reduced int, opt Options) (*SE, error) {
	f, err := newFeatures(shape, opt)
	if err != nil {
		return nil, err
	}
	l, err := newMLP(f.c, reduced)
	if err != nil {
		return nil, err
	}
	p := &SE{mlp: l}
	p.init(f, p)
	p.own = p.NewState()
	return p, nil
}

// NewState returns room for what Backward needs of one Forward.
func (p *SE) NewState() *State {
	return &State{mean: make([]float32, p.n*p.c), hidden: make([]float32, p.n*p.mlp.cr)}
}

// String says what the plan computes.
func (p *SE) String() string {
	return fmt.Sprintf("attention.SE %s hidden=%d", p.features.String(), p.mlp.cr)
}

// Forward computes the attention a (N x C) of src and dst = src*a. dst may be
// src; with HeadOnly it is ignored. st is filled for Backward, or nil at
// inference.
func (p *SE) Forward(dst, a, src []float32, w MLP, st *State) {
	p.checkForward("SE.Forward", dst, a, src)
	p.mlp.check("SE.Forward", w, false)
	if st == nil {
		st = p.own
	}
	p.w = w
	p.runForward(dst, a, src, st)
	p.w = MLP{}
}

// Backward computes dx, the gradient with respect to src, and adds the weights'
// gradients to dw, from dy, the gradient with respect to dst, and da, the
// gradient that reaches the attention vector directly; da may be nil. src, a, w
// and st are those of Forward. dx is overwritten and may be dy.
//
// With HeadOnly dx = dy + the gradient through a, or that alone if dy is nil;
// src is ignored.
func (p *SE) Backward(dx []float32, dw MLP, dy, da, src, a []float32, w MLP, st *State) {
	p.checkBackward("SE.Backward", dx, dy, da, src, a)
	p.mlp.check("SE.Backward", w, false)
	p.mlp.check("SE.Backward", dw, true)
	if p.dhidden == nil {
		p.dhidden = make([]float32, p.n*p.mlp.cr)
	}
	p.w = w
	p.runBackward(dx, dy, da, src, a, st)
	p.w = MLP{}
	p.mlp.gradients(&dw, p.dlogits, p.dhidden, st.hidden, st.mean, p.n)
}

func (p *SE) excite(logits []float32, lo, hi int) {
	st, cr := p.job.state, p.mlp.cr
	clear(p.vectors(logits, lo, hi))
	p.mlp.forward(p.vectors(logits, lo, hi), st.hidden[lo*cr:hi*cr], p.vectors(st.mean, lo, hi), hi-lo, &p.w)
}

func (p *SE) exciteBackward(dmean, dlogits []float32, lo, hi int) {
	st, cr := p.job.state, p.mlp.cr
	p.mlp.backward(p.vectors(dmean, lo, hi), p.dhidden[lo*cr:hi*cr], p.vectors(dlogits, lo, hi), st.hidden[lo*cr:hi*cr], hi-lo, &p.w)
}

func (p *SE) scatter([]float32, int, int) {}
