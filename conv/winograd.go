package conv

import (
	"github.com/golanes/lanes/kernels"
)

// Winograd's algorithm F(m x m, 3 x 3), m = 2 or 4 (A. Lavin and S. Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2015). The result is cut into tiles of
// at most m x m, see winogradtiles.go; each tile and each filter is transformed to
// t*t = (m+2)^2 values, for each of which the sum over channels is a matrix product:
//
//	V[i][tile][c] = B'dB,   U[i][c][k] = GgG',   M[i] = V[i] U[i],   dst tile = A'MA
//
// Backward-data is the same with the filters turned by 180 degrees and C and K
// swapped. For the weight gradient see winogradweights.go.
//
// V must be near when the products read it, and M when it is transformed back,
// or the transforms wait for memory. There are three ways:
//
//   - fused: where V of enough tiles fits a worker's L2, the worker takes a block
//     of tiles through all three steps. It makes M for a few panels of filters at
//     a time, and transforms it back before the next. During the products, which
//     leave memory idle, it prefetches what the transforms will touch.
//   - shared: where there are too few tiles to go round, all workers make V, then
//     share the rest, each for a range of tiles and panels. The bits are the same.
//   - staged: where the channels are too many, all workers together do one step
//     after another for as many tiles as keep V and M in L3.
//
// With few tiles U outweighs all the rest. Unless the caller keeps U from run to
// run, the product of a panel then makes its own part of U, a few channels at a
// time.

// A winograd is the plan of one direction.
type winograd struct {
	m, t, points int
	c, k         int // channels read, channels of the result
	h, w         int // the map that is read
	padH, padW   int // from the tile's corner to the pixel it starts at
	oh, ow       int // the map of the result
	pitch        int // floats from one of its pixels to the next
	cover        winogradTiles
	tiles        int // of all images
	flip         bool

	tileRows       []int
	gap            int // see heightGap
	nr, narrow     int
	panels, kPad   int
	shared, staged bool
	inline         bool // a product can make its part of U
	block          int  // tiles of V; a GEMM tile may reach beyond the last one's
	blocks         int
	rows           int     // tiles of M
	chunk          int     // panels of M
	chunks         int     // of all panels
	step           int     // channels of a part of U
	rowsA, rowsC   []int32 // offsets of rows in V[i] and M[i]
	vRow, mRow     int     // floats from one row of V[i] or M[i] to the next
	vStride        int     // floats from V[i] to V[i+1]
	mStride        int
	store          kernels.Store // of U
	dstStore       kernels.Store // of whole tiles of the result
	clampLo        float32
	clampHi        float32
	filterChannels int // channels of a filter transform task
}

const (
	// winogradChannels is how many channels are transformed at once: their
	// scratch, 36 floats each, fits L1.
	winogradChannels = 128
	// winogradFilters is how many pairs of channels are transformed at once.
	winogradFilters = 256
	// winogradL2 is the bytes of V and M of a worker's block, which share L2 with what
	// is prefetched, unless they are too few tiles to read U, which comes from L3, for:
	// then there are winogradFused, if their V has at most winogradSpill bytes. Of what
	// leaves L2 a product reads one point after another.
	winogradL2    = 576 << 10
	winogradFused = 24
	winogradSpill = 1344 << 10
	// winogradEven is the number of blocks a worker from which they are about even.
	// winogradNear is the most bytes of V that are shared as well as they are fused, or
	// better.
	winogradEven = 4
	winogradNear = 2 << 20
	// winogradL3 is the most bytes of V and M of a staged block. The fewer blocks, the
	// less often U is read, which may be larger than L3.
	winogradL3 = 20 << 20
	// winogradTerms is the most rows times channels of a call of the product.
	winogradTerms = 1 << 18
	// winogradRows is the most tiles of M, winogradInline the most for which a
	// product makes its part of U, of winogradStep channels.
	winogradRows   = 48
	winogradInline = 64
	winogradStep   = 128
)

// newWinograd returns the plan of forward or backward-data.
func newWinograd(s *Shape, m int, backward bool, workers int) *winograd {
	w := winogradGeometry(s, m, backward)
	w.tileRows, w.nr, w.narrow = kernels.GatherTiles()
	w.gap = heightGap(w.tileRows)
	w.panels = (w.k + w.nr - 1) / w.nr
	w.kPad = (w.k + w.narrow - 1) / w.narrow * w.narrow
	w.clampLo, w.clampHi, _ = clamp(kernels.Identity)
	w.filterChannels = max(1, winogradFilters/w.nr)
	w.store = kernels.StoreFor(w.uLen())
	w.dstStore = kernels.StoreFor(s.N * w.oh * w.ow * w.k)
	w.cut(workers)
	w.vRow, w.mRow = rowPitch(w.c), w.chunk*w.nr
	if w.staged {
		w.mRow = rowPitch(w.k)
	}
	w.vStride, w.mStride = arrayPitch(w.block*w.vRow), arrayPitch(w.rows*w.mRow)
	w.rowsA, w.rowsC = make([]int32, w.rows), make([]int32, w.rows)
	for i := range w.rows {
		w.rowsA[i], w.rowsC[i] = int32(i*w.vRow), int32(i*w.mRow)
	}
	return w
}

// winogradGeometry returns a plan without its blocks.
func winogradGeometry(s *Shape, m int, backward bool) *winograd {
	w := &winograd{m: m, t: m + 2, points: (m + 2) * (m + 2),
		c: s.C, k: s.K, h: s.H, w: s.W, padH: s.PadTop, padW: s.PadLeft, oh: s.OH(), ow: s.OW()}
	if backward {
		w.flip = true
		w.c, w.k, w.h, w.w, w.oh, w.ow = s.K, s.C, s.OH(), s.OW(), s.H, s.W
		w.padH, w.padW = s.R-1-s.PadTop, s.S-1-s.PadLeft
	}
	w.pitch = w.k
	w.cover = newWinogradTiles(s.N, w.oh, w.ow, m)
	w.tiles = w.cover.ends[3]
	return w
}

// cut chooses the blocks.
func (w *winograd) cut(workers int) {
	mr := w.tileRows[0]
	up := func(n int) int { return (n + mr - 1) / mr * mr }
	even := func(n, most int) int { // parts of n, of at most about most
		parts := max(1, (n+most-1)/most)
		return up(max(1, (n+parts-1)/parts))
	}
	perTile := 4 * w.points * w.c
	w.chunk = min(4, w.panels)
	w.step = w.c
	w.block = max(winogradL2/(perTile+4*w.points*w.chunk*w.nr), winogradFused) / mr * mr
	switch {
	case w.tiles <= winogradInline:
		w.shared, w.inline, w.chunk, w.step = true, true, 1, min(w.c, winogradStep)
		w.block = up(max(1, w.tiles))
		w.rows = w.block
	case w.block*perTile > winogradSpill:
		w.staged, w.chunk = true, w.panels
		w.block = even(w.tiles, max(winogradFused, winogradL3/(perTile+4*w.points*w.k)))
		w.rows = w.block
	case w.tiles*perTile <= winogradNear || w.tiles < winogradEven*workers*w.block:
		w.shared, w.block, w.chunk = true, up(w.tiles), min(2, w.panels)
		w.rows = even(w.tiles, winogradRows)
	default:
		// Even blocks.
		step := 2 * w.gap
		w.blocks = (w.tiles + w.block - 1) / w.block
		w.block = min(w.block, ((w.tiles+w.blocks-1)/w.blocks+step-1)/step*step)
		w.rows = w.block
	}
	w.blocks = (w.tiles + w.block - 1) / w.block
	w.chunks = (w.panels + w.chunk - 1) / w.chunk
}

// heightGap returns the most by which two heights of a GEMM tile next to each other
// differ, or the least height. From a multiple of it on, any number of rows, rounded up
// to the next height, ends before the next multiple; blocks are multiples of it.
func heightGap(heights []int) int {
	gap := heights[len(heights)-1]
	for i, h := range heights[1:] {
		gap = max(gap, heights[i]-h)
	}
	return gap
}

func (w *winograd) uLen() int { return w.points * w.c * w.kPad }
func (w *winograd) vLen() int { return w.points * w.vStride }
func (w *winograd) mLen() int { return w.points * w.mStride }

// partLen is the part of U that a product makes.
func (w *winograd) partLen() int { return w.points * w.step * w.nr }

// scratchLen is what a worker needs to transform.
func (w *winograd) scratchLen() int {
	return kernels.WinogradScratch(winogradFilters) + 9*winogradFilters + max(9*winogradFilters, 9*packLanes*w.filterChannels)
}

// workLen is the workspace beside U, or, if inline, with it.
func (w *winograd) workLen(workers int, inline bool) int {
	per := w.scratchLen()
	if inline {
		per += w.partLen()
	}
	switch {
	case w.staged:
		return w.vLen() + w.mLen() + workers*per
	case w.shared:
		return w.vLen() + workers*(w.mLen()+per)
	}
	return workers * (w.vLen() + w.mLen() + per)
}

// input transforms tile, row of its block, from src to v.
func (w *winograd) input(tile, row int, v, src, zero, scratch []float32) {
	var offsets [36]int32
	p := w.cover.at(tile)
	windowOffsets(offsets[:], w.t, p.y-w.padH, p.x-w.padW, w.t, w.t, w.h, w.w, w.c)
	image := src[p.n*w.h*w.w*w.c:][:w.h*w.w*w.c]
	at := kernels.WinogradSlices{Stride: w.vStride, Width: winogradChannels, Step: winogradChannels}
	kernels.WinogradInput(w.m, v[row*w.vRow:], at, image, offsets[:], zero, w.c, scratch)
}

// product computes M[i] for the rows tiles from first on, row r0 of V, and panels
// [j0, j1), from u, which holds channels [c0, c0+n) of U[i] panel by panel from j0. It
// adds to M if c0 > 0. M of tiles without the point is left undefined.
func (w *winograd) product(g *kernels.GatherGemm, i, first, r0, rows, j0, j1, c0, n int, u, v, m, zero []float32) {
	// Rounded down, so that no GEMM tile reaches beyond the block.
	lo, hi := w.cover.span(i, first, rows)
	lo -= lo % w.gap
	g.A, g.Taps, g.TapLen = v[i*w.vStride+r0*w.vRow+c0:], 1, n
	g.Zero, g.Bias, g.Residual = zero, nil, nil
	g.Lo, g.Hi, g.Accumulate = noLo, noHi, c0 > 0
	for j := j0; j < j1; j++ {
		g.NR = min(w.nr, w.kPad-j*w.nr)
		g.Cols = min(g.NR, w.k-j*w.nr)
		g.B = u[(j-j0)*w.nr*n:]
		g.C = m[i*w.mStride+(j-j0)*w.nr:]
		for r := lo; r < hi; r += g.MR * g.Tiles {
			g.MR = tileHeight(w.tileRows, hi-r)
			g.Tiles = max(1, min(hi-r, winogradTerms/n)/g.MR)
			g.Table, g.Rows = w.rowsA[r:], w.rowsC[r:]
			g.Run()
		}
	}
}

// A winogradPart is what one task of the products has of the workspace: M, and
// room for its part of U.
type winogradPart struct {
	gemm             *kernels.GatherGemm
	m, part, scratch []float32
}

// products, if not staged, takes the tiles from first on, rows [r0, r0+rows) of V, through the
// products with panels [j0, j1) and the output transform. If inline, o.b is the
// filters, otherwise U.
func (w *winograd) products(p winogradPart, first, r0, rows, j0, j1 int, inline bool, o *operands, v, zero []float32) {
	if !inline {
		for i := range w.points {
			if !w.shared {
				w.ahead(first, rows, i, j0, j1, o)
			}
			w.product(p.gemm, i, first, r0, rows, j0, j1, 0, w.c, o.b[i*w.c*w.kPad+j0*w.nr*w.c:], v, p.m, zero)
		}
	} else {
		width := min(w.nr, w.kPad-j0*w.nr)
		for c0 := 0; c0 < w.c; c0 += w.step {
			n := min(w.step, w.c-c0)
			for c := 0; c < n; c += w.filterChannels {
				w.filters(j0, c0+c, min(w.filterChannels, n-c), p.part[c*width:], n*width, o.b, p.scratch, kernels.Cached)
			}
			for i := range w.points {
				w.product(p.gemm, i, first, r0, rows, j0, j1, c0, n, p.part[i*n*width:], v, p.m, zero)
			}
		}
	}
	w.outputs(first, 0, rows, j0*w.nr, min(w.k, j1*w.nr), o, p.m, zero, p.scratch)
}

// ahead prefetches, before the product of point i with panels [j0, j1), a share of what
// the transforms after it touch: of the pixels that these panels give to the rows tiles
// from first on, and of those that the tiles of the next block are made of.
func (w *winograd) ahead(first, rows, i, j0, j1 int, o *operands) {
	k0, k1 := j0*w.nr, min(w.k, j1*w.nr)
	for r := rows * i / w.points; r < rows*(i+1)/w.points; r++ {
		p := w.cover.at(first + r)
		if w.storeOf(p) == kernels.Streamed {
			continue
		}
		kernels.PrefetchPixels(o.c[((p.n*w.oh+p.y)*w.ow+p.x)*w.pitch+k0:], w.ow*w.pitch, min(p.h, w.oh-p.y), w.pitch, min(p.w, w.ow-p.x), k1-k0)
	}
	share, shares := j0/w.chunk*w.points+i, w.chunks*w.points
	for r := rows * share / shares; r < rows*(share+1)/shares; r++ {
		next := first + rows + r
		if next >= w.tiles {
			return
		}
		// The last m rows and columns: tiles before it read the others.
		p := w.cover.at(next)
		y, x := max(0, p.y-w.padH+2), max(0, p.x-w.padW+2)
		if y < w.h && x < w.w {
			kernels.PrefetchPixels(o.a[((p.n*w.h+y)*w.w+x)*w.c:], w.w*w.c, min(w.m, w.h-y), 0, 1, min(w.m, w.w-x)*w.c)
		}
	}
}

// storeOf returns how a tile is stored: a short one has results that are dropped, for
// which a line of its own is kept near.
func (w *winograd) storeOf(p winogradTile) kernels.Store {
	if p.h < w.m || p.w < w.m {
		return kernels.Cached
	}
	return w.dstStore
}

// outputs transforms channels [k0, k1) of dst, the first of M, from rows r0 to r1-1 of a
// block that starts with tile first.
func (w *winograd) outputs(first, r0, r1, k0, k1 int, o *operands, m, zero, scratch []float32) {
	for r := r0; r < r1; r++ {
		w.output(first+r, r, k0, k1, o, m, zero, scratch)
	}
	w.dstStore.Fence()
}

// output does outputs for a row and its tile.
func (w *winograd) output(tile, row, k0, k1 int, o *operands, m, zero, scratch []float32) {
	var offsets [16]int32
	p := w.cover.at(tile)
	windowOffsets(offsets[:], w.m, p.y, p.x, p.h, p.w, w.oh, w.ow, w.pitch)
	first := p.n * w.oh * w.ow * w.pitch
	end := min(len(o.c), first+w.oh*w.ow*w.pitch)
	bias, trash := zero, scratch[kernels.WinogradScratch(winogradChannels):]
	var residual []float32
	for k := k0; k < k1; k += winogradChannels {
		if o.bias != nil {
			bias = o.bias[k:]
		}
		if o.residual != nil {
			residual = o.residual[first+k : end]
		}
		kernels.WinogradOutput(w.m, o.c[first+k:end], offsets[:], trash, m[row*w.mRow+k-k0:], w.mStride,
			bias, residual, min(winogradChannels, k1-k), w.clampLo, w.clampHi, scratch, w.storeOf(p))
	}
}

// filterTasks is the number of tasks of the filter transform.
func (w *winograd) filterTasks() int {
	return w.panels * ((w.c + w.filterChannels - 1) / w.filterChannels)
}

// filterTask transforms the filters of one panel and a few channels to u.
func (w *winograd) filterTask(task int, u, weights, scratch []float32) {
	per := (w.c + w.filterChannels - 1) / w.filterChannels
	j, c0 := task/per, task%per*w.filterChannels
	width := min(w.nr, w.kPad-j*w.nr)
	w.filters(j, c0, min(w.filterChannels, w.c-c0), u[j*w.nr*w.c+c0*width:], w.c*w.kPad, weights, scratch, w.store)
}

// filters transforms the filters of panel j and channels from c0 on to u, whose
// points are stride apart.
func (w *winograd) filters(j, c0, channels int, u []float32, stride int, weights, scratch []float32, store kernels.Store) {
	width := min(w.nr, w.kPad-j*w.nr)
	cols := min(width, w.k-j*w.nr)
	n := channels * width
	g := scratch[kernels.WinogradScratch(winogradFilters):]
	if cols < width {
		clear(g[:9*n])
	}
	// Filter (k, c) starts at k*kStep + c*cStep.
	kStep, cStep := w.c*9, 9
	if w.flip {
		kStep, cStep = 9, w.k*9
	}
	// In lanes, a row of up to 16 filters for each of the 9 taps of each channel.
	lanes := g[9*winogradFilters:]
	for k := 0; k < cols; k += packLanes {
		n16 := min(packLanes, cols-k)
		from := weights[(j*w.nr+k)*kStep+c0*cStep:]
		if !w.flip {
			kernels.Transpose(lanes, packLanes, from, kStep, n16, 9*channels)
		}
		for c := range channels {
			rows := lanes[9*packLanes*c:]
			if w.flip {
				kernels.Transpose(rows, packLanes, from[c*cStep:], kStep, n16, 9)
			}
			for t := range 9 {
				at := t
				if w.flip {
					at = 8 - t
				}
				copyLanes(g[t*n+c*width+k:], rows[at*packLanes:], n16)
			}
		}
	}
	kernels.WinogradFilter(w.m, u, stride, g, n, n, scratch, store)
}
