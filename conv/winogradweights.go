package conv

import "github.com/golanes/lanes/kernels"

// The weight gradient by Winograd's algorithm: with V the transformed tiles of
// src as in the forward pass and Z those of ddst,
//
//	Z[i][tile][k] = AeA',   dU[i] = V[i]' Z[i] summed over tiles,   dw = G'dUG
//
// Where dU is small, the blocks are cut into chunks, a number that depends on the
// shape only. A task takes a chunk's blocks through all transforms and products, so
// that V, Z and dU stay with one core, and the chunks' dw are added in order.
// Otherwise all workers transform a block of tiles, then share the products, whose
// sums over the tiles of all blocks each stay with one task and in order: a task
// is a point, and dU is transformed back after the last block. With few tiles, dU
// outweighs V and Z: there is one block, and a task makes and transforms back all
// points of dU of some channels and a panel, which stay in its L2.
//
// V and Z are stored in slices of channels: slice, point, tile, channel. Where
// there is one block, the slices are a task's channels and a panel, so that what a
// product reads, which comes from L3, is contiguous; otherwise they are as wide as
// the transforms like them.

const (
	// winogradWeightsL3 is the bytes of V and Z of a block if dU, which every
	// block reads and writes, stays in L3 beside them: the less, the nearer.
	winogradWeightsL3 = 2 << 20
	// winogradGradL3 is the most bytes of dU that do. A larger one is read and
	// written from memory, and a block is winogradGradRatio times its size, at
	// most winogradWeightsMost bytes, so that this happens less often.
	winogradGradL3      = 6 << 20
	winogradGradRatio   = 3
	winogradWeightsMost = 48 << 20
	// winogradChunks is the most chunks of blocks. winogradSum is how many floats of
	// their dw a task adds up: they fit L1.
	winogradChunks = 8
	winogradSum    = 4096
	// winogradLocal is the most strips of a task with all points, and winogradTasks
	// the number of tasks below which it has fewer.
	winogradLocal = 4
	winogradTasks = 16
	// winogradGradFilters is the number of pairs of channels whose gradient is
	// transformed back at once, 9 floats each.
	winogradGradFilters = 512
)

// A winogradWeights is the plan of backward-weights. Of the winograd in it the
// geometry is used.
type winogradWeights struct {
	winograd
	local          bool
	overwrite      bool       // dw and db are overwritten, not added to
	chunks         int        // of blocks, each with its own dw, or 1
	channels       int        // channels of a task or of a range of strips
	ranges         int        // of all channels
	strips         [2][]strip // of a range, of the last range
	vPitch, zPitch int        // floats of a pixel of a slice of V and Z
	zStride        int        // floats from Z[i] to Z[i+1]
	vSlice, zSlice int        // floats from a slice to the next
}

func newWinogradWeights(s *Shape, m int) *winogradWeights {
	w := &winogradWeights{winograd: *winogradGeometry(s, m, false)}
	heights, nr, narrow := kernels.OuterTiles()
	w.nr, w.narrow = nr, narrow
	w.panels = (w.k + nr - 1) / nr
	w.kPad = (w.k + narrow - 1) / narrow * narrow
	perTile, perGrad := 4*w.points*(w.c+w.kPad), 4*w.points*w.c*w.kPad
	bytes := winogradWeightsL3
	if perGrad > winogradGradL3 {
		bytes = min(winogradWeightsMost, winogradGradRatio*perGrad)
	}
	w.block = max(winogradFused, bytes/perTile)
	// V and Z together are smaller than 3/4 of dU.
	if w.local = 4*w.tiles*(w.c+w.kPad) <= 3*w.c*w.kPad; w.local {
		w.block = max(1, w.tiles)
	}
	// Even blocks, so that the last is not a sliver.
	w.blocks = max(1, (w.tiles+w.block-1)/w.block)
	w.block = max(1, (w.tiles+w.blocks-1)/w.blocks)
	w.chunks = 1
	if !w.local && perGrad <= winogradGradL3 {
		w.chunks = max(1, min(w.blocks, winogradChunks))
	}

	w.channels, w.zPitch = winogradChannels, winogradChannels/nr*nr
	if w.local {
		w.channels, w.zPitch = winogradLocal*heights[0], nr
		for w.channels > heights[0] && (w.c+w.channels-1)/w.channels*w.panels < winogradTasks {
			w.channels /= 2
		}
	}
	w.channels = min(w.channels, w.c)
	w.ranges = (w.c + w.channels - 1) / w.channels
	w.strips = [2][]strip{strips(w.channels, heights), strips(w.c-(w.ranges-1)*w.channels, heights)}
	w.vPitch, w.zPitch = w.channels, min(w.zPitch, w.kPad)
	w.vStride, w.zStride = arrayPitch(w.block*w.vPitch), arrayPitch(w.block*w.zPitch)
	w.vSlice, w.zSlice = w.points*w.vStride, w.points*w.zStride
	return w
}

func (w *winogradWeights) vLen() int { return w.vSlice * w.ranges }
func (w *winogradWeights) zLen() int { return w.zSlice * ((w.k + w.zPitch - 1) / w.zPitch) }

// duLen is dU of a task.
func (w *winogradWeights) duLen() int { return w.points * w.channels * w.nr }

func (w *winogradWeights) tasks() int { return w.ranges * w.panels }

// perWorker is what each worker needs by itself.
func (w *winogradWeights) perWorker() int {
	n := kernels.WinogradScratch(winogradChannels) + 2*9*winogradGradFilters
	if w.local {
		n += w.duLen()
	}
	if w.chunks > 1 {
		n += w.vLen() + w.zLen() + w.tasks()*w.duLen()
	}
	return n
}

// dwLen is the gradient of the weights.
func (w *winogradWeights) dwLen() int { return 9 * w.k * w.c }

// sumsLen is the bias sums and dw of a chunk.
func (w *winogradWeights) sumsLen() int { return w.kPad + w.dwLen() }

func (w *winogradWeights) workLen(workers int) int {
	if w.chunks > 1 {
		return workers*w.perWorker() + w.chunks*w.sumsLen()
	}
	n := w.kPad + w.vLen() + w.zLen() + workers*w.perWorker()
	if !w.local {
		n += w.tasks() * w.duLen()
	}
	return n
}

// input transforms tile, row of its block, from src to v.
func (w *winogradWeights) input(tile, row int, v, src, zero, scratch []float32) {
	var offsets [36]int32
	p := w.cover.at(tile)
	windowOffsets(offsets[:], w.t, p.y-w.padH, p.x-w.padW, w.t, w.t, w.h, w.w, w.c)
	image := src[p.n*w.h*w.w*w.c:][:w.h*w.w*w.c]
	at := kernels.WinogradSlices{Stride: w.vStride, Width: w.vPitch, Step: w.vSlice}
	kernels.WinogradInput(w.m, v[row*w.vPitch:], at, image, offsets[:], zero, w.c, scratch)
}

// grad transforms tile, row of its block, from ddst to z.
func (w *winogradWeights) grad(tile, row int, z, ddst, zero, scratch []float32) {
	var offsets [16]int32
	p := w.cover.at(tile)
	windowOffsets(offsets[:], w.m, p.y, p.x, p.h, p.w, w.oh, w.ow, w.k)
	image := ddst[p.n*w.oh*w.ow*w.k:][:w.oh*w.ow*w.k]
	at := kernels.WinogradSlices{Stride: w.zStride, Width: w.zPitch, Step: w.zSlice}
	kernels.WinogradGrad(w.m, z[row*w.zPitch:], at, image, offsets[:], zero, w.k, scratch)
	if last := w.k % w.zPitch; w.k < w.kPad {
		for i := range w.points {
			clear(z[w.k/w.zPitch*w.zSlice+i*w.zStride+row*w.zPitch:][last : last+w.kPad-w.k])
		}
	}
}

// transform does both for rows lo to hi-1 of the block that starts at tile first.
func (w *winogradWeights) transform(first, lo, hi int, v, z []float32, o *operands, zero, scratch []float32) {
	for r := lo; r < hi; r++ {
		w.input(first+r, r, v, o.a, zero, scratch)
		w.grad(first+r, r, z, o.b, zero, scratch)
	}
}

// point does outer for all ranges and panels.
func (w *winogradWeights) point(wk *outerWorker, i, first, rows int, accumulate bool, du, v, z, bias []float32) {
	for q := range w.tasks() {
		w.outer(wk, i, q%w.ranges, q/w.ranges, first, rows, accumulate, du[q*w.duLen():], v, z, bias)
	}
}

// outer adds the block of rows tiles from first on to dU[i] of range r and panel j, and
// at the point (1, 1), where Z is the sum of the tile, to the bias gradient unless it is
// nil. Z of a tile without the point would be 0. Meanwhile it asks for wk.ahead.
func (w *winogradWeights) outer(wk *outerWorker, i, r, j, first, rows int, accumulate bool, du, v, z, bias []float32) {
	lo, hi := w.cover.span(i, first, rows)
	if lo == hi && accumulate {
		return
	}
	wk.all = [3]int32{int32(lo), int32(lo), int32(hi - lo)}
	g := &wk.gemm
	g.Runs = wk.all[:]
	if lo == hi {
		g.Runs = nil
	}
	g.NR = min(w.nr, w.kPad-j*w.nr)
	g.BPitch, g.LDC, g.Accumulate = w.zPitch, w.nr, accumulate
	k := j * w.nr
	g.B = z[k/w.zPitch*w.zSlice+i*w.zStride+k%w.zPitch:]
	if bias != nil && i == w.t+1 && r == 0 {
		g.MR, g.A, g.APitch, g.AStep, g.C = 1, wk.one[:], 0, 0, bias[k:]
		g.Ahead, g.AheadA = nil, 0
		g.Run()
	}
	g.APitch, g.AStep = w.vPitch, w.vPitch
	strips := w.strips[0]
	if r == w.ranges-1 {
		strips = w.strips[1]
	}
	v = v[r*w.vSlice+i*w.vStride:]
	g.AheadStep, g.AheadA = lineFloats, 0
	if w.local || j == w.panels-1 {
		g.AheadA = wk.ahead.v
	}
	for _, t := range strips {
		g.MR = t.height
		g.A = v[t.row:]
		g.C = du[(i*w.channels+t.row)*w.nr:]
		if g.Ahead = g.C; !wk.ahead.sums {
			g.Ahead = wk.ahead.take(hi - lo)
		}
		g.Run()
	}
}

// A winogradAhead is what products ask for while they run.
type winogradAhead struct {
	v     int          // floats from what they read of V to what is read next
	sums  bool         // their own dU, which may be in memory
	lines [2][]float32 // otherwise this, the first before the second
}

// take returns what to ask for in steps steps, a cache line in each.
func (a *winogradAhead) take(steps int) []float32 {
	if len(a.lines[0]) == 0 {
		a.lines[0], a.lines[1] = a.lines[1], nil
	}
	next := a.lines[0]
	a.lines[0] = next[min(len(next), steps*lineFloats):]
	return next
}

// pixels returns the rows of the maps of src and ddst that the tiles from first on are
// made of; nothing if there are short tiles, whose rows are not consecutive.
func (w *winogradWeights) pixels(first, rows int, o *operands) (x, dy []float32) {
	if rows <= 0 || w.cover.ends[1] != w.tiles || w.cover.ends[0] != 0 {
		return nil, nil
	}
	from, to := w.cover.at(first), w.cover.at(first+rows-1)
	line := func(n, y, h int) int { return n*h + min(h, max(0, y)) }
	x = o.a[line(from.n, from.y-w.padH+2, w.h)*w.w*w.c : line(to.n, to.y-w.padH+w.t, w.h)*w.w*w.c]
	dy = o.b[line(from.n, from.y, w.oh)*w.ow*w.k : line(to.n, to.y+w.m, w.oh)*w.ow*w.k]
	return x, dy
}

// filterGrad transforms dU of range r and panel j back and puts it to dw.
func (w *winogradWeights) filterGrad(r, j int, dw, du, scratch []float32, overwrite bool) {
	g := scratch[kernels.WinogradScratch(winogradChannels):][:2*9*winogradGradFilters]
	g, turned := g[:9*winogradGradFilters], g[9*winogradGradFilters:]
	first, k0 := r*w.channels, j*w.nr
	cols := min(w.nr, w.k-k0)
	end := min(w.channels, w.c-first)
	for c0 := 0; c0 < end; c0 += winogradGradFilters / w.nr {
		channels := min(winogradGradFilters/w.nr, end-c0)
		n := channels * w.nr
		for q := 0; q < n; q += winogradChannels {
			kernels.WinogradFilterGrad(w.m, g[q:], n, du[c0*w.nr+q:], w.channels*w.nr, min(winogradChannels, n-q), scratch)
		}
		// A row of turned is 9 floats for each channel.
		for c := range channels {
			kernels.Transpose(turned[9*c:], 9*channels, g[c*w.nr:], n, 9, cols)
		}
		for k := range cols {
			to := dw[((k0+k)*w.c+first+c0)*9:][:9*channels]
			put(to, turned[k*9*channels:][:len(to)], overwrite)
		}
	}
}
