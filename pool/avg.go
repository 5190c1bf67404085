package pool

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// Avg is a plan for average pooling: dst is the sum over the taps of the window
// that lie inside the map, divided by a count of taps.
//
// The taps of a row of the window are added in order, then the rows, and the sum
// is multiplied by the rounded reciprocal of the count, so the error is at most
// (R+S+2)*eps times the average of |src|, eps = 2^-24.
type Avg struct {
	*grid
	name string
	// scale is 1/count of every output pixel.
	scale []float32
	// Backward adds up dy where all counts are equal, else scaled, which
	// is dy divided by the counts.
	uniform bool
	scaled  []float32
	job     avgJob

	forwardRows, scaleRows, backwardRows func(lo, hi int)
	forwardBlocks, backwardBlocks        func(lo, hi int)
	backwardPlanes                       func(lo, hi int)
	planes                               planes
}

// avgJob holds the arguments of the running call.
type avgJob struct{ dst, src []float32 }

// NewAvg returns the plan for a shape and a counting rule, or what is wrong with
// them: besides sizes, a window that lies in the padding altogether.
func NewAvg(shape Shape, count Count) (*Avg, error) {
	if count > CountInside {
		return nil, fmt.Errorf("pool: unknown counting rule %d", count)
	}
	g, err := newGrid(shape, count)
	if err != nil {
		return nil, err
	}
	rule := " counting the padding"
	if count == CountInside {
		rule = " counting inside"
	}
	p := newAvg(g, "pool.Avg "+shape.normalized().String()+rule)
	p.planes.init(shape.normalized())
	return p, nil
}

// NewAdaptiveAvg returns the plan that averages maps of h x w to oh x ow:
// output (y, x) is the mean of the inputs from floor(y*h/oh) up to
// ceil((y+1)*h/oh) and likewise in the columns, as in PyTorch. Windows overlap
// where h is no multiple of oh.
func NewAdaptiveAvg(n, c, h, w, oh, ow int) (*Avg, error) {
	if err := (Shape{N: n, C: c, H: h, W: w, R: 1, S: 1}).normalized().check(); err != nil {
		return nil, err
	}
	if err := (Shape{N: n, C: c, H: oh, W: ow, R: 1, S: 1}).normalized().check(); err != nil {
		return nil, fmt.Errorf("pool: adaptive average to %dx%d: %w", oh, ow, err)
	}
	g := &grid{n: n, c: c, rows: newAdaptiveAxis(h, oh), cols: newAdaptiveAxis(w, ow)}
	return newAvg(g, fmt.Sprintf("pool.Avg %dx%dx%dx%d adaptive to %dx%d", n, h, w, c, oh, ow)), nil
}

func newAvg(g *grid, name string) *Avg {
	p := &Avg{grid: g, name: name, uniform: true, scale: make([]float32, 0, g.rows.out*g.cols.out)}
	for _, row := range g.rows.windows {
		for _, col := range g.cols.windows {
			p.scale = append(p.scale, float32(1/(float64(row.count)*float64(col.count))))
			p.uniform = p.uniform && p.scale[len(p.scale)-1] == p.scale[0]
		}
	}
	p.forwardRows, p.scaleRows, p.backwardRows = p.forwardRange, p.scaleRange, p.backwardRange
	p.forwardBlocks, p.backwardBlocks = p.forwardBlocksRange, p.backwardBlocksRange
	p.backwardPlanes = p.backwardPlanesRange
	g.init(g.cols.countSpans())
	return p
}

// String says what the plan computes.
func (p *Avg) String() string { return p.name }

// Forward computes dst from src, both NHWC.
func (p *Avg) Forward(dst, src []float32) {
	p.check("Avg.Forward", dst, src)
	p.job = avgJob{dst, src}
	kernels.Parallel(p.n*p.rows.out, grain(p.SrcLen()/p.n/p.rows.out), p.forwardRows)
	p.job = avgJob{}
}

// forwardRange computes rows lo to hi of the n*OH output rows.
func (p *Avg) forwardRange(lo, hi int) {
	j := &p.job
	srcImage, dstImage := p.rows.in*p.cols.in*p.c, p.rows.out*p.cols.out*p.c
	for i := lo; i < hi; i++ {
		n, o := i/p.rows.out, i%p.rows.out
		p.forwardRow(j.dst[n*dstImage:(n+1)*dstImage], j.src[n*srcImage:(n+1)*srcImage], o, p.c)
	}
}

// forwardRow computes output row o of a map with c channels.
func (p *Avg) forwardRow(dst, src []float32, o, c int) {
	w, d, x := p.forwardWindow(o, c, 0)
	l := p.layout(c)
	for k, part := range l.spans {
		w.Columns = l.forward[k]
		kernels.WindowAvg(dst[d+part.from*c:], src[x:], p.scale[o*p.cols.out+part.from], &w)
	}
}

// Backward computes dx, the gradient with respect to src, from dy, the gradient
// with respect to dst; both NHWC. dx is overwritten, every element once: it is
// the sum of the dy whose window covers it, each divided by its window's count,
// added row by row in order, with an error of at most (n+m+2)*eps times the same
// sum of |dy| for n x m windows over an element. Where the counts differ, which
// takes padding, Ceil or an adaptive plan, dy is first divided into a buffer of
// its size, which the plan keeps.
func (p *Avg) Backward(dx, dy []float32) {
	p.check("Avg.Backward", dy, dx)
	p.job = avgJob{dy, dx}
	if !p.uniform {
		if p.scaled == nil {
			p.scaled = make([]float32, p.DstLen())
		}
		kernels.Parallel(p.n*p.rows.out, grain(2*p.cols.out*p.c), p.scaleRows)
		p.job.dst = p.scaled
	}
	kernels.Parallel(p.n*p.rows.in, grain(p.cols.in*p.c), p.backwardRows)
	p.job = avgJob{}
}

// scaleRange divides rows lo to hi of the n*OH rows of dy by their counts.
func (p *Avg) scaleRange(lo, hi int) {
	row := p.cols.out * p.c
	for i := lo; i < hi; i++ {
		o := i % p.rows.out
		kernels.PlaneScale(p.scaled[i*row:(i+1)*row], p.job.dst[i*row:(i+1)*row], p.scale[o*p.cols.out:(o+1)*p.cols.out], p.cols.out, p.c, 0, kernels.Cached)
	}
}

// backwardRange computes rows lo to hi of the n*H input rows.
func (p *Avg) backwardRange(lo, hi int) {
	j := &p.job
	dxImage, dyImage := p.rows.in*p.cols.in*p.c, p.rows.out*p.cols.out*p.c
	how := kernels.StoreFor(p.SrcLen())
	for i := lo; i < hi; i++ {
		n, h := i/p.rows.in, i%p.rows.in
		p.backwardRow(j.src[n*dxImage:(n+1)*dxImage], j.dst[n*dyImage:(n+1)*dyImage], h, p.c, how)
	}
	how.Fence()
}

// backwardRow computes row h of the gradient of a map with c channels from dy,
// which is divided by the counts already unless they are uniform.
func (p *Avg) backwardRow(dx, dy []float32, h, c int, how kernels.Store) {
	scale := float32(1)
	if p.uniform {
		scale = p.scale[0]
	}
	w, x, y := p.backwardWindow(h, c, 0, how)
	kernels.WindowAvg(dx[x:], dy[y:], scale, &w)
}
