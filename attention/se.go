package attention

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

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
	f.atOnce()
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
	p.checkBackward("SE.Backward", dx, dy, da, src, a, st)
	p.mlp.check("SE.Backward", w, false)
	p.mlp.check("SE.Backward", dw, true)
	p.makeGradients()
	p.w = w
	p.runBackward(dx, dy, da, src, a, st)
	p.w = MLP{}
	p.mlp.gradients(&dw, p.dlogits, p.dhidden, st.hidden, st.mean, p.n)
}

// Vector computes the attention a (N x C) from the means z (N x C) of the
// channels, for callers that have them and scale the features themselves. st is
// filled for VectorBackward, or nil at inference.
func (p *SE) Vector(a, z []float32, w MLP, st *State) {
	p.checkVectors("SE.Vector", "a", a)
	p.checkVectors("SE.Vector", "z", z)
	p.mlp.check("SE.Vector", w, false)
	if st == nil {
		st = p.own
	}
	size := p.n * p.c
	copy(st.mean, z[:size])
	p.mlp.forward(a, st.hidden, st.mean, p.n, &w, 0)
	kernels.Activate(kernels.Sigmoid, a[:size], a[:size])
}

// VectorBackward computes dz, the gradient with respect to the means, and adds the
// weights' gradients to dw, from da, the whole gradient with respect to the vector
// a. a, w and st are those of Vector.
func (p *SE) VectorBackward(dz []float32, dw MLP, da, a []float32, w MLP, st *State) {
	for _, v := range []struct {
		name string
		x    []float32
	}{{"dz", dz}, {"da", da}, {"a", a}} {
		p.checkVectors("SE.VectorBackward", v.name, v.x)
	}
	p.mlp.check("SE.VectorBackward", w, false)
	p.mlp.check("SE.VectorBackward", dw, true)
	st.check("SE.VectorBackward")
	p.makeGradients()
	sigmoidGradient(p.dlogits, da[:p.n*p.c], a[:p.n*p.c])
	p.mlp.backward(dz, p.dhidden, p.dlogits, st.hidden, p.n, &w)
	p.mlp.gradients(&dw, p.dlogits, p.dhidden, st.hidden, st.mean, p.n)
}

// makeGradients makes the buffers of the backward pass.
func (p *SE) makeGradients() {
	p.gate.makeGradients()
	if p.dhidden == nil {
		p.dhidden = make([]float32, p.n*p.mlp.cr)
	}
}

func (p *SE) extremes(int, int) {}

func (p *SE) excite(logits []float32, lo, hi int) {
	st, cr := p.job.state, p.mlp.cr
	p.mlp.forward(p.vectors(logits, lo, hi), st.hidden[lo*cr:hi*cr], p.vectors(st.mean, lo, hi), hi-lo, &p.w, 0)
}

func (p *SE) exciteBackward(dmean, dlogits []float32, lo, hi int) {
	st, cr := p.job.state, p.mlp.cr
	p.mlp.backward(p.vectors(dmean, lo, hi), p.dhidden[lo*cr:hi*cr], p.vectors(dlogits, lo, hi), st.hidden[lo*cr:hi*cr], hi-lo, &p.w)
}

func (p *SE) scatter([]float32, int, int) {}
