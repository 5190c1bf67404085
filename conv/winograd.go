package conv

import (
	"github.com/golanes/lanes/kernels"
)

// Winograd's algorithm F(m x m, 3 x 3), m = 2 or 4 (A. Lavin and S. Gray, "Fast
// Algorithms for Convolutional Neural Networks", 2015). The result is cut into
// m x m tiles; each tile and each filter is transformed to t*t = (m+2)^2 values,
// for each of which the sum over channels is a matrix product:
//
//	V[i][tile][c] = B'dB,   U[i][c][k] = GgG',   M[i] = V[i] U[i],   dst tile = A'MA
//
// Backward-data is the same with the filters turned by 180 degrees and C and K
// swapped. For the weight gradient see winogradweights.go.
//
// Either a worker takes a block of tiles through all three steps, so that V and
// M of the block stay in its L2, or, where U is too large to be read once per
// such a block, all workers together do one step after another for as many tiles
// as keep V and M in L3.

// A winograd is the plan of one direction.
type winograd struct {
	m, t, points int
	c, k         int // channels read, channels of the result
	h, w         int // the map that is read
	padH, padW   int // from the tile's corner to the pixel it starts at
	oh, ow       int // the map of the result
	th, tw       int // tiles of a map
	tiles        int // of all images
	flip         bool

	tileRows       [3]int
	nr, narrow     int
	panels, kPad   int
	staged         bool
	block          int // tiles of a block, a multiple of the GEMM tile's height
	blocks         int
	rowsA, rowsC   []int32 // offsets of a block's rows in V[i] and M[i]
	vRow, mRow     int     // floats from one row of V[i] or M[i] to the next
	vStride        int     // floats from V[i] to V[i+1]
	mStride        int
	clampLo        float32
	clampHi        float32
	filterChannels int // channels of a filter transform task
}

const (
	// winogradChannels is how many channels are transformed at once: their
	// scratch, 36 floats each, fits L1.
	winogradChannels = 128
	// winogradFilters is how many pairs of channels are transformed at once.
	winogradFilters = 128
	// winogradL2 is the size of V and M of a worker's block.
	winogradL2 = 640 << 10
	// winogradL3 is the size of V and M when workers share them.
	winogradL3 = 16 << 20
	// winogradFused is the most tiles' height of a worker's block below which the
	// filters would be read too often.
	winogradFused = 24
)

// newWinograd returns the plan of forward or backward-data.
func newWinograd(s *Shape, m int, backward bool) *winograd {
	w := &winograd{m: m, t: m + 2, points: (m + 2) * (m + 2),
		c: s.C, k: s.K, h: s.H, w: s.W, padH: s.PadTop, padW: s.PadLeft, oh: s.OH(), ow: s.OW()}
	if backward {
		w.flip = true
		w.c, w.k, w.h, w.w, w.oh, w.ow = s.K, s.C, s.OH(), s.OW(), s.H, s.W
		w.padH, w.padW = s.R-1-s.PadTop, s.S-1-s.PadLeft
	}
	w.th, w.tw = (w.oh+m-1)/m, (w.ow+m-1)/m
	w.tiles = s.N * w.th * w.tw
	w.tileRows, w.nr, w.narrow = kernels.GatherTiles()
	w.panels = (w.k + w.nr - 1) / w.nr
	w.kPad = (w.k + w.narrow - 1) / w.narrow * w.narrow
	w.clampLo, w.clampHi, _ = clamp(kernels.Identity)

	mr := w.tileRows[0]
	perTile := 4 * w.points * (w.c + w.k)
	w.block = winogradL2 / perTile
	if w.block < winogradFused {
		w.staged = true
		w.block = max(winogradFused, winogradL3/perTile)
	}
	w.block = max(mr, min(w.block, w.tiles)/mr*mr)
	if w.staged && w.block < w.tiles {
		// Even blocks, so that the last is not a sliver.
		n := (w.tiles + w.block - 1) / w.block
		w.block = (w.tiles + n - 1) / n
	}
	w.block = (w.block + mr - 1) / mr * mr
	w.blocks = (w.tiles + w.block - 1) / w.block
	w.vRow, w.mRow = rowPitch(w.c), rowPitch(w.k)
	w.vStride, w.mStride = arrayPitch(w.block*w.vRow), arrayPitch(w.block*w.mRow)
	w.rowsA, w.rowsC = make([]int32, w.block), make([]int32, w.block)
	for i := range w.block {
		w.rowsA[i], w.rowsC[i] = int32(i*w.vRow), int32(i*w.mRow)
	}
	w.filterChannels = max(1, winogradFilters/w.nr)
	return w
}

func (w *winograd) uLen() int { return w.points * w.c * w.kPad }
func (w *winograd) vLen() int { return w.points * w.vStride }
func (w *winograd) mLen() int { return w.points * w.mStride }

// scratchLen is what a worker needs to transform.
func (w *winograd) scratchLen() int {
	return kernels.WinogradScratch(winogradFilters) + 9*winogradFilters + max(9*winogradFilters, 9*packLanes*w.filterChannels)
}

// workLen is the workspace beside U.
func (w *winograd) workLen(workers int) int {
	n := w.vLen() + w.mLen()
	if !w.staged {
		n *= workers
	}
	return n + workers*w.scratchLen()
}

// offsets fills in where the pixels of a size x size window start in an image of
// h x w pixels with c channels; -1 outside.
func windowOffsets(offsets []int32, size, y, x, h, w, c int) {
	for i := range size {
		row := offsets[i*size:][:size]
		if y+i < 0 || y+i >= h {
			for j := range row {
				row[j] = -1
			}
			continue
		}
		at := ((y+i)*w + x) * c
		for j := range row {
			if x+j < 0 || x+j >= w {
				row[j] = -1
			} else {
				row[j] = int32(at)
			}
			at += c
		}
	}
}

// tileAt returns the image and the corner in the result of a tile.
func (w *winograd) tileAt(tile int) (n, y, x int) {
	n = tile / (w.th * w.tw)
	q := tile % (w.th * w.tw)
	return n, q / w.tw * w.m, q % w.tw * w.m
}

// input transforms tile, row of its block, from src to v.
func (w *winograd) input(tile, row int, v, src, zero, scratch []float32) {
	var offsets [36]int32
	n, y, x := w.tileAt(tile)
	windowOffsets(offsets[:], w.t, y-w.padH, x-w.padW, w.h, w.w, w.c)
	image := src[n*w.h*w.w*w.c:][:w.h*w.w*w.c]
	for c := 0; c < w.c; c += winogradChannels {
		n := min(winogradChannels, w.c-c)
		kernels.WinogradInput(w.m, v[row*w.vRow+c:], w.vStride, image[c:], offsets[:], zero, n, scratch)
	}
}

// product computes M[i] = V[i] U[i] for panels [j0, j1) and rows rows.
func (w *winograd) product(g *kernels.GatherGemm, i, j0, j1, rows int, u, v, m, zero []float32) {
	g.A, g.Taps, g.TapLen = v[i*w.vStride:], 1, w.c
	g.Zero, g.Bias, g.Residual = zero, nil, nil
	g.Lo, g.Hi, g.Accumulate = noLo, noHi, false
	for j := j0; j < j1; j++ {
		g.NR = min(w.nr, w.kPad-j*w.nr)
		g.Cols = min(g.NR, w.k-j*w.nr)
		g.B = u[i*w.c*w.kPad+j*w.nr*w.c:]
		g.C = m[i*w.mStride+j*w.nr:]
		for r := 0; r < rows; r += g.MR {
			g.MR = tileHeight(&w.tileRows, rows-r)
			g.Table, g.Rows = w.rowsA[r:], w.rowsC[r:]
			g.Run()
		}
	}
}

// output transforms row row of M to tile of dst.
func (w *winograd) output(tile, row int, o *operands, m, zero, scratch []float32) {
	var offsets [16]int32
	n, y, x := w.tileAt(tile)
	windowOffsets(offsets[:], w.m, y, x, w.oh, w.ow, w.k)
	first, size := n*w.oh*w.ow*w.k, w.oh*w.ow*w.k
	bias, trash := o.bias, scratch[kernels.WinogradScratch(winogradChannels):]
	if bias == nil {
		bias = zero
	}
	for k := 0; k < w.k; k += winogradChannels {
		n := min(winogradChannels, w.k-k)
		var residual []float32
		if o.residual != nil {
			residual = o.residual[first+k : first+size]
		}
		kernels.WinogradOutput(w.m, o.c[first+k:first+size], offsets[:], trash, m[row*w.mRow+k:], w.mStride,
			bias[k:], residual, n, w.clampLo, w.clampHi, scratch)
	}
}

// fused takes block b through all steps.
func (w *winograd) fused(b int, g *kernels.GatherGemm, o *operands, v, m, zero, scratch []float32) {
	first := b * w.block
	rows := min(w.block, w.tiles-first)
	for r := range rows {
		w.input(first+r, r, v, o.a, zero, scratch)
	}
	for i := range w.points {
		w.product(g, i, 0, w.panels, rows, o.b, v, m, zero)
	}
	for r := range rows {
		w.output(first+r, r, o, m, zero, scratch)
	}
}

// filterTasks is the number of tasks of the filter transform.
func (w *winograd) filterTasks() int {
	return w.panels * ((w.c + w.filterChannels - 1) / w.filterChannels)
}

// filters transforms the filters of one panel and a few channels to u.
func (w *winograd) filters(task int, u, weights, scratch []float32) {
	per := (w.c + w.filterChannels - 1) / w.filterChannels
	j, c0 := task/per, task%per*w.filterChannels
	channels := min(w.filterChannels, w.c-c0)
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
	kernels.WinogradFilter(w.m, u[j*w.nr*w.c+c0*width:], w.c*w.kPad, g, n, n, scratch)
}
