package attention

import "github.com/golanes/lanes/kernels"

// A State keeps what Backward needs of the Forward before it.
type State struct {
	mean   []float32 // n*c: z
	max    []float32 // n*c: CBAM only
	index  []int32   // n*c: pixel of the maximum
	hidden []float32 // n*cr of z, behind them n*cr of max: relu(W1*z + b1)
}

// check panics where there is no state: a Forward without one keeps nothing.
func (st *State) check(method string) {
	if st == nil {
		panic("attention." + method + ": no State, which Forward must have been given")
	}
}

// An exciter is the part in which the modules differ: how the squeezed vectors
// of samples lo to hi become attention, and the gradient of that. It works on
// the gate's running call.
type exciter interface {
	// excite sets logits from the state; the maximum is its own business.
	excite(logits []float32, lo, hi int)
	// exciteBackward sets dmean from dlogits.
	exciteBackward(dmean, dlogits []float32, lo, hi int)
	// scatter adds to dx what flows back through anything but the mean.
	scatter(dx []float32, lo, hi int)
}

// A gate runs the passes that the modules share, group by group.
type gate struct {
	features
	exciter exciter
	job     job
	own     *State // used when the caller gives none

	dlogits, dmean    []float32 // n*c each, made by the first Backward
	forward, backward func(lo, hi int)
}

// A job holds the arguments of the running call.
type job struct {
	dst, a, src []float32
	dx, dy, da  []float32
	state       *State
}

func (g *gate) init(f features, e exciter) {
	g.features, g.exciter = f, e
	g.forward, g.backward = g.forwardRange, g.backwardRange
}

func (g *gate) checkForward(method string, dst, a, src []float32) {
	if !g.opt.HeadOnly {
		g.checkMaps(method, "dst", dst)
	}
	g.checkVectors(method, "a", a)
	g.checkMaps(method, "src", src)
}

// runForward computes a and dst.
func (g *gate) runForward(dst, a, src []float32, st *State) {
	g.job = job{dst: dst, a: a, src: src, state: st}
	kernels.Parallel(g.groups(), 1, g.forward)
	g.job = job{}
}

func (g *gate) forwardRange(first, end int) {
	j := &g.job
	for i := first; i < end; i++ {
		lo, hi := g.samples(i)
		g.squeeze(j.state.mean, j.src, lo, hi)
		g.exciter.excite(j.a, lo, hi)
		kernels.Activate(kernels.Sigmoid, g.vectors(j.a, lo, hi), g.vectors(j.a, lo, hi))
		if !g.opt.HeadOnly {
			g.scale(j.dst, j.src, j.a, lo, hi)
		}
	}
}

func (g *gate) checkBackward(method string, dx, dy, da, src, a []float32, st *State) {
	st.check(method)
	g.checkMaps(method, "dx", dx)
	g.checkVectors(method, "a", a)
	if da != nil {
		g.checkVectors(method, "da", da)
	}
	if !g.opt.HeadOnly {
		g.checkMaps(method, "dy", dy)
		g.checkMaps(method, "src", src)
	} else if dy != nil {
		g.checkMaps(method, "dy", dy)
	}
}

// runBackward computes dx and leaves the logits' gradient in dlogits.
func (g *gate) runBackward(dx, dy, da, src, a []float32, st *State) {
	g.makeGradients()
	g.job = job{a: a, src: src, dx: dx, dy: dy, da: da, state: st}
	kernels.Parallel(g.groups(), 1, g.backward)
	g.job = job{}
}

// makeGradients makes the vectors of the backward pass.
func (g *gate) makeGradients() {
	if g.dlogits != nil {
		return
	}
	buffer := make([]float32, 2*g.n*g.c)
	g.dlogits, g.dmean = buffer[:g.n*g.c], buffer[g.n*g.c:]
}

func (g *gate) backwardRange(first, end int) {
	j := &g.job
	for i := first; i < end; i++ {
		lo, hi := g.samples(i)
		g.logitGradient(lo, hi)
		g.exciter.exciteBackward(g.dmean, g.dlogits, lo, hi)
		// From here on dmean is what each element's gradient takes of it.
		kernels.Scale(1/float32(g.hw), g.vectors(g.dmean, lo, hi))
		switch {
		case !g.opt.HeadOnly:
			g.scaleShift(j.dx, j.dy, j.a, g.dmean, lo, hi)
		case j.dy == nil:
			g.fill(j.dx, g.dmean, lo, hi)
		default:
			g.addShift(lo, hi)
		}
		g.exciter.scatter(j.dx, lo, hi)
	}
}

// logitGradient sets dlogits = (da + sum over pixels of dy*src) * a*(1-a).
func (g *gate) logitGradient(lo, hi int) {
	j := &g.job
	if g.opt.HeadOnly {
		clear(g.vectors(g.dlogits, lo, hi))
	} else {
		g.dots(g.dlogits, j.dy, j.src, lo, hi)
	}
	d := g.vectors(g.dlogits, lo, hi)
	if j.da != nil {
		kernels.Add(d, d, g.vectors(j.da, lo, hi))
	}
	for k, a := range g.vectors(j.a, lo, hi)[:len(d)] {
		d[k] *= a * (1 - a)
	}
}

// addShift sets dx = dy + dmean.
func (g *gate) addShift(lo, hi int) {
	j := &g.job
	c := 1
	if !g.opt.NCHW {
		c = g.c
	}
	for k := lo * g.c; k < hi*g.c; k += c {
		dx, dy := j.dx[k*g.hw:(k+c)*g.hw], j.dy[k*g.hw:(k+c)*g.hw]
		for i := range dx {
			dx[i] = dy[i] + g.dmean[k+i%c]
		}
	}
}
