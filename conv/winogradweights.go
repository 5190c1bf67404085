package conv

import "github.com/golanes/lanes/kernels"

// The weight gradient by Winograd's algorithm: with V the transformed tiles of
// src as in the forward pass and Z those of ddst,
//
//	Z[i][tile][k] = AeA',   dU[i] = V[i]' Z[i] summed over tiles,   dw = G'dUG
//
// All workers transform a block of tiles, then share the products, whose sums
// over the tiles of all blocks each stay with one task and in order. With many
// tiles a task is a point, and dU is transformed back after the last block. With
// few, dU outweighs V and Z: there is one block, and a task makes and transforms
// back all points of dU of some channels and a panel, which stay in its L2.
//
// V and Z are stored in slices of winogradChannels channels, those of Z less what
// is no whole panel: slice, point, tile, channel.

const (
	// winogradWeightsL3 is the most bytes of V and Z of a block.
	winogradWeightsL3 = 12 << 20
	// winogradLocal is the most channels of a task with all points,
	// winogradTasks the number of tasks below which it has fewer.
	winogradLocal = 64
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
	channels       int        // channels of a task or of a range of strips
	ranges         int        // of all channels
	strips         [2][]strip // of a range, of the last range
	vPitch, zPitch int        // floats of a pixel of V and Z
	zWidth         int        // channels of a slice of Z
	zStride        int        // floats from Z[i] to Z[i+1]
	vSlice, zSlice int        // floats from a slice to the next
}

func newWinogradWeights(s *Shape, m int) *winogradWeights {
	w := &winogradWeights{winograd: *winogradGeometry(s, m, false)}
	heights, nr, narrow := kernels.OuterTiles()
	w.nr, w.narrow = nr, narrow
	w.panels = (w.k + nr - 1) / nr
	w.kPad = (w.k + narrow - 1) / narrow * narrow
	perTile := 4 * w.points * (w.c + w.kPad)
	w.local = w.tiles*perTile <= max(winogradWeightsL3, 4*w.points*w.c*w.kPad)
	w.block = max(1, w.tiles)
	if !w.local {
		w.blocks = (w.tiles*perTile + winogradWeightsL3 - 1) / winogradWeightsL3
		w.block = max(winogradFused, (w.tiles+w.blocks-1)/w.blocks)
	}
	w.blocks = (w.tiles + w.block - 1) / w.block

	w.channels = winogradLocal
	for w.local && w.channels > winogradStrip && (w.c+w.channels-1)/w.channels*w.panels < winogradTasks {
		w.channels /= 2
	}
	w.ranges = (w.c + w.channels - 1) / w.channels
	w.strips = [2][]strip{strips(w.channels, heights), strips(w.c-(w.ranges-1)*w.channels, heights)}
	w.zWidth = winogradChannels / nr * nr
	w.vPitch, w.zPitch = min(winogradChannels, w.c), min(w.zWidth, w.kPad)
	w.vStride, w.zStride = arrayPitch(w.block*w.vPitch), arrayPitch(w.block*w.zPitch)
	w.vSlice, w.zSlice = w.points*w.vStride, w.points*w.zStride
	return w
}

// winogradStrip is the fewest channels that are worth a task.
const winogradStrip = 16

func (w *winogradWeights) vLen() int {
	return w.vSlice * ((w.c + winogradChannels - 1) / winogradChannels)
}

func (w *winogradWeights) zLen() int {
	return w.zSlice * ((w.k + w.zWidth - 1) / w.zWidth)
}

// duLen is dU of a task.
func (w *winogradWeights) duLen() int { return w.points * w.channels * w.nr }

func (w *winogradWeights) tasks() int { return w.ranges * w.panels }

// perWorker is what each worker needs by itself.
func (w *winogradWeights) perWorker() int {
	n := kernels.WinogradScratch(winogradChannels) + 2*9*winogradGradFilters
	if w.local {
		n += w.duLen()
	}
	return n
}

func (w *winogradWeights) workLen(workers int) int {
	n := w.kPad + w.vLen() + w.zLen() + workers*w.perWorker()
	if !w.local {
		n += w.tasks() * w.duLen()
	}
	return n
}

// input transforms tile, row of its block, from src to v.
func (w *winogradWeights) input(tile, row int, v, src, zero, scratch []float32) {
	var offsets [36]int32
	n, y, x := w.tileAt(tile)
	windowOffsets(offsets[:], w.t, y-w.padH, x-w.padW, w.h, w.w, w.c)
	image := src[n*w.h*w.w*w.c:][:w.h*w.w*w.c]
	for c := 0; c < w.c; c += winogradChannels {
		to := v[c/winogradChannels*w.vSlice+row*w.vPitch:]
		kernels.WinogradInput(w.m, to, w.vStride, image[c:], offsets[:], zero, min(winogradChannels, w.c-c), scratch)
	}
}

// grad transforms tile, row of its block, from ddst to z.
func (w *winogradWeights) grad(tile, row int, z, ddst, zero, scratch []float32) {
	var offsets [16]int32
	n, y, x := w.tileAt(tile)
	windowOffsets(offsets[:], w.m, y, x, w.oh, w.ow, w.k)
	image := ddst[n*w.oh*w.ow*w.k:][:w.oh*w.ow*w.k]
	for k := 0; k < w.k; k += w.zWidth {
		to := z[k/w.zWidth*w.zSlice+row*w.zPitch:]
		n := min(w.zWidth, w.k-k)
		kernels.WinogradGrad(w.m, to, w.zStride, image[k:], offsets[:], zero, n, scratch)
		if pad := min(w.zWidth, w.kPad-k); pad > n {
			for i := range w.points {
				clear(to[i*w.zStride:][n:pad])
			}
		}
	}
}

// outer adds a block of rows to dU[i] of range r and panel j, and at the point
// (1, 1), where Z is the sum of the tile, to the bias gradient.
func (w *winogradWeights) outer(wk *outerWorker, i, r, j, rows int, accumulate bool, du, v, z, bias []float32) {
	wk.all = [3]int32{0, 0, int32(rows)}
	g := &wk.gemm
	g.Runs = wk.all[:]
	g.NR = min(w.nr, w.kPad-j*w.nr)
	g.BPitch, g.LDC, g.Accumulate = w.zPitch, w.nr, accumulate
	k := j * w.nr
	g.B = z[k/w.zWidth*w.zSlice+i*w.zStride+k%w.zWidth:]
	if i == w.t+1 && r == 0 {
		g.MR, g.A, g.APitch, g.AStep, g.C = 1, wk.one[:], 0, 0, bias[k:]
		g.Run()
	}
	g.APitch, g.AStep = w.vPitch, w.vPitch
	strips := w.strips[0]
	if r == w.ranges-1 {
		strips = w.strips[1]
	}
	c := r * w.channels
	v = v[c/winogradChannels*w.vSlice+i*w.vStride+c%winogradChannels:]
	for _, t := range strips {
		g.MR = t.height
		g.A = v[t.row:]
		g.C = du[(i*w.channels+t.row)*w.nr:]
		g.Run()
	}
}

// filterGrad transforms dU of range r and panel j back and adds it to dw.
func (w *winogradWeights) filterGrad(r, j int, dw, du, scratch []float32) {
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
			kernels.Add(to, to, turned[k*9*channels:][:len(to)])
		}
	}
}
