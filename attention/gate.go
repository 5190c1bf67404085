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
	// extremes sets what the state keeps of the maps beside their means.
	extremes(lo, hi int)
	// excite sets logits from the state.
	excite(logits []float32, lo, hi int)
	// exciteBackward sets dmean from dlogits.
	exciteBackward(dmean, dlogits []float32, lo, hi int)
	// scatter adds to dx what flows back through anything but the mean.
	scatter(dx []float32, lo, hi int)
}

// A gate runs the passes that the modules share, group by group; where one group is
// the whole batch, each pass is split by samples instead.
type gate struct {
	features
	exciter exciter
	job     job
	own     *State // used when the caller gives none

	dlogits, dmean []float32 // n*c each, made by the first Backward
	// The methods of like names, kept so that calls do not allocate.
	forward, squeezing, scaling, backward, gradient, spreading func(lo, hi int)
}

// A job holds the arguments of the running call.
type job struct {
	dst, a, src []float32
	dx, dy, da  []float32
	state       *State
}

func (g *gate) init(f features, e exciter) {
	g.features, g.exciter = f, e
	g.forward, g.squeezing, g.scaling = g.forwardRange, g.squeezeRange, g.scaleRange
	g.backward, g.gradient, g.spreading = g.backwardRange, g.logitGradient, g.spreadRange
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
	if g.groups() > 1 {
		kernels.Parallel(g.groups(), 1, g.forward)
	} else {
		kernels.Parallel(g.n, g.grain(), g.squeezing)
		g.exciter.excite(a, 0, g.n)
		kernels.Parallel(g.n, g.grain(), g.scaling)
	}
	g.job = job{}
}

func (g *gate) forwardRange(first, end int) {
	for i := first; i < end; i++ {
		lo, hi := g.samples(i)
		g.squeezeRange(lo, hi)
		g.exciter.excite(g.job.a, lo, hi)
		g.scaleRange(lo, hi)
	}
}

func (g *gate) squeezeRange(lo, hi int) {
	g.squeeze(g.job.state.mean, g.job.src, lo, hi)
	g.exciter.extremes(lo, hi)
}

// scaleRange makes attention of the logits and scales the maps by it.
func (g *gate) scaleRange(lo, hi int) {
	j := &g.job
	kernels.Activate(kernels.Sigmoid, g.vectors(j.a, lo, hi), g.vectors(j.a, lo, hi))
	if !g.opt.HeadOnly {
		g.scale(j.dst, j.src, j.a, lo, hi)
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
	if g.groups() > 1 {
		kernels.Parallel(g.groups(), 1, g.backward)
	} else {
		kernels.Parallel(g.n, g.grain(), g.gradient)
		g.exciter.exciteBackward(g.dmean, g.dlogits, 0, g.n)
		kernels.Parallel(g.n, g.grain(), g.spreading)
	}
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
	for i := first; i < end; i++ {
		lo, hi := g.samples(i)
		g.logitGradient(lo, hi)
		g.exciter.exciteBackward(g.dmean, g.dlogits, lo, hi)
		g.spreadRange(lo, hi)
	}
}

// spreadRange computes dx from the gradient with respect to the means, of which each
// element takes its share.
func (g *gate) spreadRange(lo, hi int) {
	j := &g.job
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
	sigmoidGradient(d, d, g.vectors(j.a, lo, hi))
}

var ones = func() (x [512]float32) {
	for i := range x {
		x[i] = 1
	}
	return x
}()

// sigmoidGradient sets dx = dy*a*(1-a), where a is the sigmoid. dx may be dy.
func sigmoidGradient(dx, dy, a []float32) {
	var slope [len(ones)]float32
	for len(a) > 0 {
		n := min(len(ones), len(a))
		s := slope[:n]
		kernels.Sub(s, ones[:n], a[:n])
		kernels.Mul(s, s, a[:n])
		kernels.Mul(dx[:n], dy[:n], s)
		dx, dy, a = dx[n:], dy[n:], a[n:]
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
