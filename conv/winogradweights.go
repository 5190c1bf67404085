package conv

import "github.com/golanes/lanes/kernels"

// The weight gradient by Winograd's algorithm: with V the transformed tiles of
// src as in the forward pass and Z those of ddst,
//
//	Z[i][tile][k] = AeA',   dU[i] = V[i]' Z[i] summed over tiles,   dw = G'dUG
//
// All workers transform a block of tiles, then share the t*t products, whose
// sums over the tiles of all blocks each stay with one task and in order.

// winogradWeightsL3 is the size of V and Z of a block.
const winogradWeightsL3 = 12 << 20

// A winogradWeights is the plan of backward-weights. Of the winograd in it the
// geometry of V is used.
type winogradWeights struct {
	winograd
	strips    []strip
	gradTasks int
	zRow      int // as vRow and vStride, of Z
	zStride   int
}

func newWinogradWeights(s *Shape, m int) *winogradWeights {
	w := &winogradWeights{winograd: *newWinograd(s, m, false)}
	heights, nr, narrow := kernels.OuterTiles()
	w.nr, w.narrow = nr, narrow
	w.panels = (w.k + nr - 1) / nr
	w.kPad = (w.k + narrow - 1) / narrow * narrow
	w.staged = true
	w.strips = strips(w.c, heights)
	w.block = max(winogradFused, winogradWeightsL3/(4*w.points*(w.c+w.kPad)))
	w.blocks = max(1, (w.tiles+w.block-1)/w.block)
	w.block = max(1, (w.tiles+w.blocks-1)/w.blocks)
	w.vRow, w.zRow = rowPitch(w.c), rowPitch(w.kPad)
	w.vStride, w.zStride = arrayPitch(w.block*w.vRow), arrayPitch(w.block*w.zRow)
	w.gradTasks = (w.c + winogradGradChannels - 1) / winogradGradChannels
	return w
}

// winogradGradChannels is how many channels of dw one task transforms back: the
// lines of dw it writes, 9 floats of each, are whole.
const winogradGradChannels = 4

func (w *winogradWeights) zLen() int { return w.points * w.zStride }

func (w *winogradWeights) workLen(workers int) int {
	return w.uLen() + w.kPad + w.vLen() + w.zLen() + workers*w.scratchLen()
}

func (w *winogradWeights) scratchLen() int {
	return kernels.WinogradScratch(winogradChannels) + 2*9*winogradGradChannels*winogradChannels
}

// grad transforms tile, row of its block, from ddst to z.
func (w *winogradWeights) grad(tile, row int, z, ddst, zero, scratch []float32) {
	var offsets [16]int32
	n, y, x := w.tileAt(tile)
	windowOffsets(offsets[:], w.m, y, x, w.oh, w.ow, w.k)
	image := ddst[n*w.oh*w.ow*w.k:][:w.oh*w.ow*w.k]
	for k := 0; k < w.k; k += winogradChannels {
		n := min(winogradChannels, w.k-k)
		kernels.WinogradGrad(w.m, z[row*w.zRow+k:], w.zStride, image[k:], offsets[:], zero, n, scratch)
	}
	for i := range w.points {
		clear(z[i*w.zStride+row*w.zRow:][w.k:w.kPad])
	}
}

// outer adds a block of rows to dU[i], and at the point (1, 1), where Z is the
// sum of the tile, to the bias gradient.
func (w *winogradWeights) outer(wk *outerWorker, i, rows int, accumulate bool, u, v, z, bias []float32) {
	wk.all = [3]int32{0, 0, int32(rows)}
	g := &wk.gemm
	g.Runs = wk.all[:]
	g.BPitch, g.LDC, g.Accumulate = w.zRow, w.kPad, accumulate
	for j := range w.panels {
		g.NR = min(w.nr, w.kPad-j*w.nr)
		g.B = z[i*w.zStride+j*w.nr:]
		if i == w.t+1 {
			g.MR, g.A, g.APitch, g.AStep, g.C = 1, wk.one[:], 0, 0, bias[j*w.nr:]
			g.Run()
		}
		g.APitch, g.AStep = w.vRow, w.vRow
		for _, t := range w.strips {
			g.MR = t.height
			g.A = v[i*w.vStride+t.row:]
			g.C = u[(i*w.c+t.row)*w.kPad+j*w.nr:]
			g.Run()
		}
	}
}

// filterGrad transforms dU of a few channels back and adds it to dw.
func (w *winogradWeights) filterGrad(task int, dw, u, scratch []float32) {
	g := scratch[kernels.WinogradScratch(winogradChannels):]
	c0 := task * winogradGradChannels
	channels := min(winogradGradChannels, w.c-c0)
	// Rows of filters are lanes of g; in turned, they are rows of 9*channels.
	turned := g[9*winogradGradChannels*winogradChannels:]
	for k := 0; k < w.k; k += winogradChannels {
		n := min(winogradChannels, w.k-k)
		for c := range channels {
			kernels.WinogradFilterGrad(w.m, g[9*c*n:], n, u[(c0+c)*w.kPad+k:], w.c*w.kPad, n, scratch)
		}
		kernels.Transpose(turned, 9*channels, g, n, 9*channels, n)
		for i := range n {
			to := dw[((k+i)*w.c+c0)*9:][:9*channels]
			for t, v := range turned[i*9*channels:][:len(to)] {
				to[t] += v
			}
		}
	}
}
