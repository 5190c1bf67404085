package kernels

import "math"

// A GatedNorm runs the passes of a batch norm whose result is multiplied by a
// factor for each sample and channel and added to a residual, as in the blocks of
// a residual network with squeeze and excitation:
//
//	y = act( ((x-mean)/sqrt(variance+eps)*gamma + beta) * a[sample] + residual )
//
// The caller computes the vectors between the passes. Since a factor depends on the
// mean of its channel over the sample, which the statistics imply, two passes over
// the maps go forward and two go backward, where the separate operations take
// twelve reads and writes in each direction.
//
// Maps are x[(i*rows+r)*c+j], NHWC with rows = H*W; vectors of samples have n*c
// elements, those of channels c. The passes run on all threads, sample by sample,
// and add up in a fixed order. A GatedNorm is for one goroutine at a time and
// allocates nothing after it is made.
type GatedNorm struct {
	n, rows, c int
	act        Activation
	lo, hi     float32 // bounds of act as a clamp
	how        Store   // of maps
	sums       []float32
	totals     []float64 // 3*c

	kind       gatedKind
	dst, dst2  []float32
	x, y, z    []float32
	mean       []float32
	p0, p1, p2 []float32
	run        func(lo, hi int)
}

type gatedKind uint8

const (
	gatedMoments gatedKind = iota
	gatedApply
	gatedGradSums
	gatedGradApply
)

// NewGatedNorm returns the passes for n samples of rows x c, all at least 1, with
// an activation of Identity, ReLU or ReLU6.
func NewGatedNorm(n, rows, c int, act Activation) *GatedNorm {
	if n < 1 || rows < 1 || c < 1 || rows > math.MaxInt/c || n > math.MaxInt/(rows*c) {
		panic("kernels.NewGatedNorm: bad shape")
	}
	if !activationIsClamp(act) {
		panic("kernels.NewGatedNorm: activation is not Identity, ReLU or ReLU6")
	}
	g := &GatedNorm{n: n, rows: rows, c: c, act: act, how: StoreFor(n * rows * c),
		sums: make([]float32, 2*n*c), totals: make([]float64, 3*c)}
	g.run = g.samples
	return g
}

func (g *GatedNorm) check(method string, maps, samples, channels [][]float32) {
	for i, list := range [][][]float32{maps, samples, channels} {
		want := [...]int{g.n * g.rows * g.c, g.n * g.c, g.c}[i]
		for _, v := range list {
			if len(v) != want {
				panic("kernels.GatedNorm." + method + ": " + [...]string{"a map", "a vector of samples", "a vector of channels"}[i] +
					" has the wrong length")
			}
		}
	}
}

// parallel runs a pass and lets go of the operands.
func (g *GatedNorm) parallel(kind gatedKind) {
	g.kind = kind
	Parallel(g.n, max(1, parallelGrain/(g.rows*g.c)), g.run)
	g.dst, g.dst2, g.x, g.y, g.z, g.mean, g.p0, g.p1, g.p2 = nil, nil, nil, nil, nil, nil, nil, nil, nil
}

// Stats computes the mean and the biased variance of each channel over all
// samples, as [BatchNormStats] does, and the mean of each channel of each sample,
// in one pass. Sums run relative to the first row of each sample in float32 and
// are combined in float64.
func (g *GatedNorm) Stats(mean, variance, sampleMean, x []float32) {
	g.check("Stats", [][]float32{x}, [][]float32{sampleMean}, [][]float32{mean, variance})
	clear(g.sums)
	g.x = x
	g.parallel(gatedMoments)
	c, rows := g.c, float64(g.rows)
	total, within, between := g.totals[:c], g.totals[c:2*c], g.totals[2*c:]
	clear(g.totals)
	for i := range g.n {
		s, first := g.sums[2*i*c:][:c], x[i*g.rows*c:][:c]
		for k, v := range s {
			m := float64(first[k]) + float64(v)/rows
			total[k] += m
			sampleMean[i*c+k] = float32(m)
		}
	}
	for k := range total {
		total[k] /= float64(g.n)
	}
	for i := range g.n {
		s, q, first := g.sums[2*i*c:][:c], g.sums[(2*i+1)*c:][:c], x[i*g.rows*c:][:c]
		for k, v := range s {
			d := float64(first[k]) + float64(v)/rows - total[k]
			within[k] += float64(q[k]) - float64(v)*float64(v)/rows
			between[k] += rows * d * d
		}
	}
	for k, m := range total {
		mean[k] = float32(m)
		// Rounding may leave less than 0 where all elements are nearly the same.
		variance[k] = float32(max(0, (within[k]+between[k])/(float64(g.n)*rows)))
	}
}

// Apply computes dst = act(x*scale + shift + residual), where scale and shift are
// vectors of samples; product and first sum are fused where the ISA has FMA. dst
// may be x or residual.
func (g *GatedNorm) Apply(dst, x, residual, scale, shift []float32) {
	g.check("Apply", [][]float32{dst, x, residual}, [][]float32{scale, shift}, nil)
	g.lo, g.hi = activationBounds(g.act)
	g.dst, g.x, g.y, g.p0, g.p1 = dst, x, residual, scale, shift
	g.parallel(gatedApply)
}

// GradSums sets sum and dot, vectors of samples, to the sums over a sample's rows
// of g and of g*(x-mean), where g = dy*act' and y is the result of act: 0 where y
// is at a bound, see [ActivateGrad]. mean is a vector of channels.
func (g *GatedNorm) GradSums(sum, dot, dy, x, y, mean []float32) {
	g.check("GradSums", [][]float32{dy, x, y}, [][]float32{sum, dot}, [][]float32{mean})
	clear(sum)
	clear(dot)
	g.gate()
	g.p0, g.p1, g.x, g.y, g.z, g.mean = sum, dot, x, dy, y, mean
	g.parallel(gatedGradSums)
}

// GradApply computes dx = f0*g + f1*(x-mean) + f2 and dres = g, with g as in
// [GatedNorm.GradSums], f0 and f2 vectors of samples, f1 and mean of channels.
// dres may be dy; dx may not.
func (g *GatedNorm) GradApply(dx, dres, dy, x, y, mean, f0, f1, f2 []float32) {
	g.check("GradApply", [][]float32{dx, dres, dy, x, y}, [][]float32{f0, f2}, [][]float32{mean, f1})
	g.gate()
	g.dst, g.dst2, g.x, g.y, g.z, g.mean, g.p0, g.p1, g.p2 = dx, dres, x, dy, y, mean, f0, f1, f2
	g.parallel(gatedGradApply)
}

// gate sets the bounds outside which the gradient is 0.
func (g *GatedNorm) gate() {
	g.lo, g.hi = 0, notANumber
	switch g.act {
	case Identity:
		g.lo = notANumber
	case ReLU6:
		g.hi = 6
	}
}

// samples runs the pass over samples lo to hi-1. Passes that write maps begin with
// the last: what the sums before them read last is in a cache yet.
func (g *GatedNorm) samples(lo, hi int) {
	sums := g.kind == gatedMoments || g.kind == gatedGradSums
	step := max(1, mapBlock/g.c) * g.c
	if sums {
		step = max(1, sumBlock/g.c) * g.c
	}
	for i := lo; i < hi; i++ {
		i := i
		if !sums {
			i = g.n - 1 - i
		}
		end := (i + 1) * g.rows * g.c
		for from := i * g.rows * g.c; from < end; from += step {
			g.block(i, from, min(from+step, end))
		}
	}
}

// block runs the pass over elements from to to-1, which belong to sample i.
func (g *GatedNorm) block(i, from, to int) {
	c := g.c
	x := g.x[from:to]
	switch g.kind {
	case gatedMoments:
		rowsMoment(g.sums[2*i*c:][:c], g.sums[(2*i+1)*c:][:c], x, g.x[i*g.rows*c:][:c])
	case gatedApply:
		rowsScaleShiftAddClamp(g.dst[from:to], x, g.y[from:to], g.p0[i*c:][:c], g.p1[i*c:][:c], g.lo, g.hi, g.how)
	case gatedGradSums:
		rowsGradSumGated(g.p0[i*c:][:c], g.p1[i*c:][:c], g.y[from:to], x, g.z[from:to], g.mean, g.lo, g.hi)
	case gatedGradApply:
		rowsGradRes(g.dst[from:to], g.dst2[from:to], g.y[from:to], x, g.z[from:to], g.mean,
			g.p0[i*c:][:c], g.p1, g.p2[i*c:][:c], g.lo, g.hi, g.how)
	}
}
