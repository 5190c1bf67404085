package pool

import (
	"sync"

	"github.com/golanes/lanes/kernels"
)

// In NCHW a window's taps are scattered and a vector along a row needs shuffles
// for every stride. But for the windows of planes.go, the entry points of this file
// instead take a few channels of a sample at a time, turn them to NHWC in a buffer that stays in cache, pool
// there, and turn the result back. So main memory is read and written once, as
// in NHWC.

// A block has the most channels, in vectors of the widest ISA, with which its map is
// at most blockElements, a quarter of a common second-level cache: what is done for a
// pixel is done for all of them.
const (
	blockVector   = 16
	blockVectors  = 4
	blockElements = 1 << 16
)

// blocks cuts the maps of a grid into blocks and keeps their buffers.
type blocks struct {
	width    int // channels
	perImage int
	src, dst int // elements of a block's maps
	mu       sync.Mutex
	free     []*blockBuffer
}

// blockBuffer holds one block in NHWC.
type blockBuffer struct{ src, dst []float32 }

func (b *blocks) init(g *grid) {
	in, out := g.rows.in*g.cols.in, g.rows.out*g.cols.out
	b.width = min(g.c, blockVector*max(1, min(blockVectors, blockElements/max(in, out)/blockVector)))
	b.perImage = (g.c + b.width - 1) / b.width
	b.src, b.dst = in*b.width, out*b.width
}

// take returns a buffer that nobody uses, until put.
func (b *blocks) take() *blockBuffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := len(b.free) - 1; last >= 0 {
		buf := b.free[last]
		b.free = b.free[:last]
		return buf
	}
	return &blockBuffer{make([]float32, b.src), make([]float32, b.dst)}
}

func (b *blocks) put(buf *blockBuffer) {
	b.mu.Lock()
	b.free = append(b.free, buf)
	b.mu.Unlock()
}

// block returns the range of planes, of n*C, of block i.
func (g *grid) block(b *blocks, i int) (plane, width int) {
	first := i % b.perImage * b.width
	return i/b.perImage*g.c + first, min(b.width, g.c-first)
}

// toNHWC sets dst[i*c+j] = src[j*n+i] for c planes of n elements, a few at a time:
// more than a prefetcher can follow would wait for memory.
func toNHWC(dst, src []float32, c, n int) {
	for j := 0; j < c; j += blockVector {
		kernels.Transpose(dst[j:], c, src[j*n:], n, min(blockVector, c-j), n)
	}
}

// toNCHW is the inverse of toNHWC.
func toNCHW(dst, src []float32, c, n int, how kernels.Store) {
	how.Transpose(dst, n, src, c, n, c)
}

// ForwardNCHW is [Max.Forward] for maps in NCHW.
func (p *Max) ForwardNCHW(dst []float32, arg *Argmax, src []float32) {
	p.check("Max.ForwardNCHW", dst, src)
	if arg != nil {
		p.checkArgmax("Max.ForwardNCHW", arg)
		arg.nchw = true
	}
	p.job = maxJob{dst, src, arg}
	if p.planes.halved || p.planes.same {
		kernels.Parallel(p.n*p.c, grain(p.rows.in*p.cols.in), p.forwardPlanes)
	} else {
		kernels.Parallel(p.n*p.blocks.perImage, grain(p.blocks.src), p.forwardBlocks)
	}
	p.job = maxJob{}
}

func (p *Max) forwardPlanesRange(lo, hi int) {
	in, out := p.rows.in*p.cols.in, p.rows.out*p.cols.out
	buf := p.planes.take()
	for i := lo; i < hi; i++ {
		index := buf.index[:out]
		if p.job.arg != nil {
			index = p.job.arg.narrow[i*out : (i+1)*out]
		}
		p.planes.max(p.job.dst[i*out:(i+1)*out], p.job.src[i*in:(i+1)*in], index, buf)
	}
	p.planes.put(buf)
}

func (p *Max) forwardBlocksRange(lo, hi int) {
	j, in, out := &p.job, p.rows.in*p.cols.in, p.rows.out*p.cols.out
	buf := p.blocks.take()
	for i := lo; i < hi; i++ {
		plane, c := p.block(&p.blocks, i)
		arg := j.arg.image(plane*out, c*out)
		toNHWC(buf.src, j.src[plane*in:], c, in)
		for o := range p.rows.out {
			p.forwardRow(buf.dst[:c*out], arg, buf.src[:c*in], o, c)
		}
		toNCHW(j.dst[plane*out:], buf.dst, c, out, kernels.StoreFor(p.DstLen()))
	}
	p.blocks.put(buf)
}

// BackwardNCHW is [Max.Backward] for maps in NCHW and an arg that ForwardNCHW
// filled.
func (p *Max) BackwardNCHW(dx, dy []float32, arg *Argmax) {
	p.check("Max.BackwardNCHW", dy, dx)
	p.checkArgmax("Max.BackwardNCHW", arg)
	if !arg.nchw {
		panic("pool.Max.BackwardNCHW: argmax of Forward")
	}
	p.job = maxJob{dy, dx, arg}
	if p.planes.halved || p.planes.same {
		kernels.Parallel(p.n*p.c, grain(p.rows.in*p.cols.in), p.backwardPlanes)
	} else {
		kernels.Parallel(p.n*p.blocks.perImage, grain(p.blocks.src), p.backwardBlocks)
	}
	p.job = maxJob{}
}

func (p *Max) backwardPlanesRange(lo, hi int) {
	how := kernels.StoreFor(p.SrcLen())
	p.planes.maxBackward(&p.job, lo, hi, how)
	how.Fence()
}

func (p *Max) backwardBlocksRange(lo, hi int) {
	j, in, out := &p.job, p.rows.in*p.cols.in, p.rows.out*p.cols.out
	buf := p.blocks.take()
	for i := lo; i < hi; i++ {
		plane, c := p.block(&p.blocks, i)
		arg := j.arg.image(plane*out, c*out)
		toNHWC(buf.dst, j.dst[plane*out:], c, out)
		for h := range p.rows.in {
			p.backwardRow(buf.src[:c*in], buf.dst[:c*out], arg, h, c, kernels.Cached)
		}
		toNCHW(j.src[plane*in:], buf.src, c, in, kernels.StoreFor(p.SrcLen()))
	}
	p.blocks.put(buf)
}

// ForwardNCHW is [Avg.Forward] for maps in NCHW.
func (p *Avg) ForwardNCHW(dst, src []float32) {
	p.check("Avg.ForwardNCHW", dst, src)
	p.job = avgJob{dst, src}
	kernels.Parallel(p.n*p.blocks.perImage, grain(p.blocks.src), p.forwardBlocks)
	p.job = avgJob{}
}

func (p *Avg) forwardBlocksRange(lo, hi int) {
	j, in, out := &p.job, p.rows.in*p.cols.in, p.rows.out*p.cols.out
	buf := p.blocks.take()
	for i := lo; i < hi; i++ {
		plane, c := p.block(&p.blocks, i)
		toNHWC(buf.src, j.src[plane*in:], c, in)
		for o := range p.rows.out {
			p.forwardRow(buf.dst[:c*out], buf.src[:c*in], o, c)
		}
		toNCHW(j.dst[plane*out:], buf.dst, c, out, kernels.StoreFor(p.DstLen()))
	}
	p.blocks.put(buf)
}

// BackwardNCHW is [Avg.Backward] for maps in NCHW.
func (p *Avg) BackwardNCHW(dx, dy []float32) {
	p.check("Avg.BackwardNCHW", dy, dx)
	p.job = avgJob{dy, dx}
	if p.planes.halved || p.planes.same && p.rows.in*p.cols.in >= minSamePlane {
		kernels.Parallel(p.n*p.c, grain(p.rows.in*p.cols.in), p.backwardPlanes)
	} else {
		kernels.Parallel(p.n*p.blocks.perImage, grain(p.blocks.src), p.backwardBlocks)
	}
	p.job = avgJob{}
}

func (p *Avg) backwardPlanesRange(lo, hi int) {
	how := kernels.StoreFor(p.SrcLen())
	p.planes.avgBackward(p.job.src, p.job.dst, p.scale, p.uniform, lo, hi, how)
	how.Fence()
}

func (p *Avg) backwardBlocksRange(lo, hi int) {
	j, in, out := &p.job, p.rows.in*p.cols.in, p.rows.out*p.cols.out
	buf := p.blocks.take()
	for i := lo; i < hi; i++ {
		plane, c := p.block(&p.blocks, i)
		toNHWC(buf.dst, j.dst[plane*out:], c, out)
		if !p.uniform {
			kernels.PlaneScale(buf.dst, buf.dst, p.scale, out, c, 0, kernels.Cached)
		}
		for h := range p.rows.in {
			p.backwardRow(buf.src[:c*in], buf.dst[:c*out], h, c, kernels.Cached)
		}
		toNCHW(j.src[plane*in:], buf.src, c, in, kernels.StoreFor(p.SrcLen()))
	}
	p.blocks.put(buf)
}
