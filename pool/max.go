package pool

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// Max is a plan for max pooling:
//
//	dst[n][y][x][c] = max over r, s of
//	    src[n][y*StrideH-PadTop+r*DilationH][x*StrideW-PadLeft+s*DilationW][c]
//
// over the taps that lie inside the map. Among equal values the first in
// row-major order wins, which decides where the gradient goes; -0 equals 0. A
// NaN wins over everything, the last over other NaNs.
type Max struct {
	*grid
	shape Shape
	job   maxJob

	forwardRows, backwardRows     func(lo, hi int)
	forwardBlocks, backwardBlocks func(lo, hi int)
	forwardPlanes, backwardPlanes func(lo, hi int)
	planes                        planes
}

// maxJob holds the arguments of the running call.
type maxJob struct {
	dst, src []float32
	arg      *Argmax
}

// NewMax returns the plan for a shape, or what is wrong with it: besides sizes,
// a window that lies in the padding altogether.
func NewMax(shape Shape) (*Max, error) {
	g, err := newGrid(shape, CountInside)
	if err != nil {
		return nil, err
	}
	p := &Max{grid: g, shape: shape.normalized()}
	p.forwardRows, p.backwardRows = p.forwardRange, p.backwardRange
	p.forwardBlocks, p.backwardBlocks = p.forwardBlocksRange, p.backwardBlocksRange
	p.forwardPlanes, p.backwardPlanes = p.forwardPlanesRange, p.backwardPlanesRange
	p.planes.init(p.shape)
	g.init([]span{{0, g.cols.out}})
	return p, nil
}

// Shape returns the plan's shape, with 1 for strides and dilations of 0.
func (p *Max) Shape() Shape { return p.shape }

// String says what the plan computes.
func (p *Max) String() string { return "pool.Max " + p.shape.String() }

// String returns the shape in one line.
func (s Shape) String() string {
	return fmt.Sprintf("%dx%dx%dx%d window %dx%d stride %dx%d pad %d,%d,%d,%d dilation %dx%d ceil %v",
		s.N, s.H, s.W, s.C, s.R, s.S, s.StrideH, s.StrideW,
		s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, s.DilationH, s.DilationW, s.Ceil)
}

// Argmax remembers for every output which tap of its window was the maximum: a
// byte each in windows of up to 256 taps, else four. It belongs to the layout
// it was written in: NHWC or NCHW.
type Argmax struct {
	narrow []uint8
	wide   []int32
	nchw   bool
}

// NewArgmax returns room for the plan's outputs.
func (p *Max) NewArgmax() *Argmax {
	if p.shape.R*p.shape.S > math.MaxUint8+1 {
		return &Argmax{wide: make([]int32, p.DstLen())}
	}
	return &Argmax{narrow: make([]uint8, p.DstLen())}
}

func (p *Max) checkArgmax(name string, a *Argmax) {
	if max(len(a.narrow), len(a.wide)) != p.DstLen() || (a.wide != nil) != (p.shape.R*p.shape.S > math.MaxUint8+1) {
		panic("pool." + name + ": argmax of another plan")
	}
}

// Forward computes dst from src, both NHWC, and fills arg for [Max.Backward]
// unless arg is nil. It reads src about once and writes dst, and a byte of arg
// for four of dst.
func (p *Max) Forward(dst []float32, arg *Argmax, src []float32) {
	p.check("Max.Forward", dst, src)
	if arg != nil {
		p.checkArgmax("Max.Forward", arg)
		arg.nchw = false
	}
	p.job = maxJob{dst, src, arg}
	item := p.cols.in * p.c * p.shape.StrideH
	kernels.Parallel(p.n*p.rows.out, grain(item), p.forwardRows)
	p.job = maxJob{}
}

// forwardRange computes rows lo to hi of the n*OH output rows.
func (p *Max) forwardRange(lo, hi int) {
	j := &p.job
	srcImage, dstImage := p.rows.in*p.cols.in*p.c, p.rows.out*p.cols.out*p.c
	for i := lo; i < hi; {
		n := i / p.rows.out
		first := n * p.rows.out
		dst, src, arg := j.dst[n*dstImage:(n+1)*dstImage], j.src[n*srcImage:(n+1)*srcImage], j.arg.image(n*dstImage, dstImage)
		for ; i < min(hi, first+p.rows.out); i++ {
			p.forwardRow(dst, arg, src, i-first, p.c)
		}
	}
}

// argImage is the part of an Argmax that belongs to one map.
type argImage struct {
	narrow []uint8
	wide   []int32
}

func (a *Argmax) image(at, n int) argImage {
	switch {
	case a == nil:
		return argImage{}
	case a.wide != nil:
		return argImage{wide: a.wide[at : at+n]}
	default:
		return argImage{narrow: a.narrow[at : at+n]}
	}
}

// forwardRow computes output row o of a map with c channels.
func (p *Max) forwardRow(dst []float32, arg argImage, src []float32, o, c int) {
	w, d, x := p.forwardWindow(o, c, p.shape.S)
	w.Columns = p.layout(c).forward[0]
	switch {
	case arg.narrow != nil:
		kernels.WindowMax(dst[d:], arg.narrow[d:], src[x:], &w)
	case arg.wide != nil:
		kernels.WindowMaxWide(dst[d:], arg.wide[d:], src[x:], &w)
	default:
		kernels.WindowMax(dst[d:], nil, src[x:], &w)
	}
}

// Backward computes dx, the gradient with respect to src, from dy, the gradient
// with respect to dst, and what Forward left in arg; all NHWC. Each gradient
// goes to the element that was the maximum. dx is overwritten, every element
// once; where windows overlap, contributions are added in row-major order of the
// outputs, with an error of at most n*eps*sum|dy| for n windows over an element.
func (p *Max) Backward(dx, dy []float32, arg *Argmax) {
	p.check("Max.Backward", dy, dx)
	p.checkArgmax("Max.Backward", arg)
	if arg.nchw {
		panic("pool.Max.Backward: argmax of ForwardNCHW")
	}
	p.job = maxJob{dy, dx, arg}
	kernels.Parallel(p.n*p.rows.in, grain(p.cols.in*p.c), p.backwardRows)
	p.job = maxJob{}
}

// backwardRange computes rows lo to hi of the n*H input rows.
func (p *Max) backwardRange(lo, hi int) {
	j := &p.job
	dxImage, dyImage := p.rows.in*p.cols.in*p.c, p.rows.out*p.cols.out*p.c
	how := kernels.StoreFor(p.SrcLen())
	for i := lo; i < hi; {
		n := i / p.rows.in
		first := n * p.rows.in
		dx, dy, arg := j.src[n*dxImage:(n+1)*dxImage], j.dst[n*dyImage:(n+1)*dyImage], j.arg.image(n*dyImage, dyImage)
		for ; i < min(hi, first+p.rows.in); i++ {
			p.backwardRow(dx, dy, arg, i-first, p.c, how)
		}
	}
	how.Fence()
}

// backwardRow computes row h of the gradient of a map with c channels.
func (p *Max) backwardRow(dx, dy []float32, arg argImage, h, c int, how kernels.Store) {
	w, x, y := p.backwardWindow(h, c, p.shape.S, how)
	if arg.wide != nil {
		kernels.WindowMaxBackwardWide(dx[x:], dy[y:], arg.wide[y:], &w)
		return
	}
	kernels.WindowMaxBackward(dx[x:], dy[y:], arg.narrow[y:], &w)
}
