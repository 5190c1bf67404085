package ccloss

import (
	"slices"

	"github.com/golanes/lanes/kernels"
)

// blockFloats is the number of float32 in one block of a class: mean and
// centred squares of a block are taken while it is in the L2 cache, so that the
// batch is read from memory once. 64 KiB fits every L2 we know several times.
const blockFloats = 1 << 14

// grouping computes class statistics of a batch: it sorts the samples by class
// and cuts every class into blocks of a fixed number of rows. How a class is cut
// depends on the shape only, so results do not depend on the worker count.
type grouping struct {
	c     int
	class []int32 // class of each sample
	order []int32 // samples sorted by class, stable
	start []int32 // class k is order[start[k]:start[k+1]]

	blocks []block
	mean   []float64 // means of the blocks after a class's first

	a    []float32 // the batch being worked on
	dst  *Stats
	work func(lo, hi int) // g.runBlocks, kept so that calls do not allocate
}

// A block is a part of one class.
type block struct {
	class  int32
	lo, hi int32 // in order
	at     int32 // position of the mean in grouping.mean, or -1: the class's own
	m2     float64
}

func newGrouping(c int) *grouping {
	g := &grouping{c: c}
	g.work = g.runBlocks
	return g
}

// reserve makes room for batches of n samples.
func (g *grouping) reserve(n int) {
	g.class = make([]int32, 0, n)
	g.order = make([]int32, 0, n)
	g.start = make([]int32, 0, n+1)
	more := n / g.blockRows()
	g.blocks = make([]block, 0, n+more)
	g.mean = make([]float64, 0, more*g.c)
}

// blockRows is the number of rows of a block.
func (g *grouping) blockRows() int { return max(8, min(256, blockFloats/max(1, g.c))) }

// run sets dst to the statistics of the batch a.
func (g *grouping) run(dst *Stats, a []float32, labels []int32) {
	dst.Reset()
	g.sort(dst, labels)
	g.cut(dst)
	g.a, g.dst = a, dst
	kernels.Parallel(len(g.blocks), 1+blockFloats/max(1, g.c*len(labels)/max(1, len(g.blocks))), g.work)
	g.a, g.dst = nil, nil
	for i := range g.blocks {
		b := &g.blocks[i]
		if b.at < 0 {
			dst.m2[b.class] = b.m2
			dst.count[b.class] = int64(b.hi - b.lo)
			continue
		}
		dst.mergeClass(int(b.class), int64(b.hi-b.lo), g.mean[int(b.at)*g.c:int(b.at+1)*g.c], b.m2)
	}
}

// sort numbers the classes and sorts the samples by class (counting sort).
func (g *grouping) sort(dst *Stats, labels []int32) {
	g.class = slices.Grow(g.class[:0], len(labels))[:len(labels)]
	g.order = slices.Grow(g.order[:0], len(labels))[:len(labels)]
	dst.index.classes(g.class, labels)
	dst.addClasses()
	for _, k := range g.class {
		dst.count[k]++
	}
	g.start = append(g.start[:0], 0)
	for k, n := range dst.count {
		g.start = append(g.start, g.start[k]+int32(n))
	}
	// While the samples are placed, start[k] is the next place of class k; in the
	// end it is where class k+1 starts.
	start := g.start
	for i, k := range g.class {
		at := start[k]
		g.order[at] = int32(i)
		start[k] = at + 1
	}
	copy(start[1:], start)
	start[0] = 0
}

// cut makes the blocks.
func (g *grouping) cut(dst *Stats) {
	rows := int32(g.blockRows())
	g.blocks = g.blocks[:0]
	extra := int32(0)
	for k := range dst.count {
		for lo := g.start[k]; lo < g.start[k+1]; lo += rows {
			b := block{class: int32(k), lo: lo, hi: min(lo+rows, g.start[k+1]), at: -1}
			if lo > g.start[k] {
				b.at = extra
				extra++
			}
			g.blocks = append(g.blocks, b)
		}
	}
	g.mean = growF64(g.mean[:0], int(extra)*g.c)
}

// runBlocks computes the blocks [lo, hi).
func (g *grouping) runBlocks(lo, hi int) {
	for i := lo; i < hi; i++ {
		b := &g.blocks[i]
		mean := g.dst.meanOf(int(b.class))
		if b.at >= 0 {
			mean = g.mean[int(b.at)*g.c : int(b.at+1)*g.c]
		}
		rows := g.order[b.lo:b.hi]
		b.m2 = kernels.GatherMoments(mean, g.a, rows)
	}
}
