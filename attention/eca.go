package attention

import (
	"fmt"
	"math"
)

// ECA is a plan for efficient channel attention (Wang et al., "ECA-Net", CVPR
// 2020): instead of fully connected layers a correlation of K weights along the
// channels, zero outside,
//
//	logits[n][c] = sum over t < K of w[t]*z[n][c+t-K/2]
type ECA struct {
	gate
	k       int
	w       []float32 // of the running call
	partial []float64 // n*k: a sample's part of dw
}

// ECASize returns the K that the paper chooses for c channels: the odd number
// nearest to (log2(c)+1)/2 from below, or the next one.
func ECASize(c int) int {
	k := int(math.Abs((math.Log2(float64(c)) + 1) / 2))
	return k | 1
}

// NewECA returns the plan for maps of a shape and k weights, an odd number, or
// what is wrong with them.
func NewECA(shape Shape, k int, opt Options) (*ECA, error) {
	f, err := newFeatures(shape, opt)
	if err != nil {
		return nil, err
	}
	if k < 1 || k%2 == 0 || k > 2*f.c+1 {
		return nil, fmt.Errorf("attention: ECA with %d weights for %d channels, want an odd number up to %d", k, f.c, 2*f.c+1)
	}
	p := &ECA{k: k}
	p.init(f, p)
	p.own = p.NewState()
	return p, nil
}

// NewState returns room for what Backward needs of one Forward.
func (p *ECA) NewState() *State { return &State{mean: make([]float32, p.n*p.c)} }

// String says what the plan computes.
func (p *ECA) String() string {
	return fmt.Sprintf("attention.ECA %s k=%d", p.features.String(), p.k)
}

// Forward computes the attention a (N x C) of src and dst = src*a, as
// [SE.Forward] does. w has K weights.
func (p *ECA) Forward(dst, a, src, w []float32, st *State) {
	p.checkForward("ECA.Forward", dst, a, src)
	p.checkWeights("ECA.Forward", w)
	if st == nil {
		st = p.own
	}
	p.w = w
	p.runForward(dst, a, src, st)
	p.w = nil
}

// Backward is [SE.Backward] for this module. dw, unless nil, is added to: the
// sums over channels and samples are in float64 and rounded once.
func (p *ECA) Backward(dx, dw, dy, da, src, a, w []float32, st *State) {
	p.checkBackward("ECA.Backward", dx, dy, da, src, a, st)
	p.checkWeights("ECA.Backward", w)
	if dw != nil {
		p.checkWeights("ECA.Backward", dw)
	}
	if p.partial == nil {
		p.partial = make([]float64, p.n*p.k)
	}
	p.w = w
	p.runBackward(dx, dy, da, src, a, st)
	p.w = nil
	if dw == nil {
		return
	}
	for t := range p.k {
		sum := float64(dw[t])
		for i := range p.n {
			sum += p.partial[i*p.k+t]
		}
		dw[t] = float32(sum)
	}
}

func (p *ECA) checkWeights(method string, w []float32) {
	if len(w) < p.k {
		panic(fmt.Sprintf("attention.%s: %d weights, want %d", method, len(w), p.k))
	}
}

// span returns the channels c for which c+t-K/2 is a channel.
func (p *ECA) span(t int) (first, end, shift int) {
	shift = t - p.k/2
	return max(0, -shift), min(p.c, p.c-shift), shift
}

func (p *ECA) extremes(int, int) {}

func (p *ECA) excite(logits []float32, lo, hi int) {
	for i := lo; i < hi; i++ {
		d, z := p.vectors(logits, i, i+1), p.vectors(p.job.state.mean, i, i+1)
		clear(d)
		for t, w := range p.w[:p.k] {
			first, end, shift := p.span(t)
			for c := first; c < end; c++ {
				d[c] += w * z[c+shift]
			}
		}
	}
}

func (p *ECA) exciteBackward(dmean, dlogits []float32, lo, hi int) {
	for i := lo; i < hi; i++ {
		dz, d, z := p.vectors(dmean, i, i+1), p.vectors(dlogits, i, i+1), p.vectors(p.job.state.mean, i, i+1)
		clear(dz)
		for t, w := range p.w[:p.k] {
			first, end, shift := p.span(t)
			sum := 0.0
			for c := first; c < end; c++ {
				dz[c+shift] += w * d[c]
				sum += float64(d[c]) * float64(z[c+shift])
			}
			p.partial[i*p.k+t] = sum
		}
	}
}

func (p *ECA) scatter([]float32, int, int) {}
