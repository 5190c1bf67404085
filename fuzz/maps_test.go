package fuzz

import (
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
)

// FuzzWindow covers a row of windows: one to four rows and columns of taps that
// may lie apart, of pixels that may overlap, the last with fewer columns.
func FuzzWindow(f *testing.F) {
	row := func(o *operands, n, c int, how kernels.Store) (w *kernels.Window, src int) {
		pixels, taps := n%9+1, int(o.data[0])%4+1
		step, colStride := int(o.data[0])/4%3+1, (n/9%2+1)*c
		list := make([]kernels.WindowColumn, pixels)
		for p := range list {
			list[p] = kernels.WindowColumn{Start: p * step * c, Taps: taps}
		}
		list[pixels-1].Taps = (taps + 1) / 2
		width := (pixels-1)*step*c + (taps-1)*colStride + c
		w = &kernels.Window{Columns: kernels.NewWindowColumns(list, colStride, 1), C: c, DstStep: c + n%3,
			Rows: n/18%4 + 1, RowStride: width, TapRow: taps, Store: how}
		return w, w.Rows * width
	}
	dst := func(w *kernels.Window, n int) int { return n%9*w.DstStep + w.C }
	fuzzKernels(f, []kernel{
		{"WindowMax", 0, func(o *operands, n, c int) []float32 {
			w, size := row(o, n, c, kernels.Cached)
			y, index := make([]float32, dst(w, n)), make([]uint8, dst(w, n))
			kernels.WindowMax(y, index, o.any(size), w)
			for _, tap := range index {
				y = append(y, float32(tap))
			}
			return y
		}},
		{"WindowAvg", 0, func(o *operands, n, c int) []float32 {
			how := []kernels.Store{kernels.Cached, kernels.Streamed}[n%2]
			w, size := row(o, n, c, how)
			y := make([]float32, dst(w, n))
			kernels.WindowAvg(y, o.whole(size), 0.25, w)
			how.Fence()
			return y
		}},
		{"WindowMaxBackward", 0, func(o *operands, n, c int) []float32 {
			how := []kernels.Store{kernels.Cached, kernels.Streamed}[n%2]
			w, size := row(o, n, c, how)
			y, index := make([]float32, dst(w, n)), make([]uint8, size)
			for i := range index {
				index[i] = o.data[i%len(o.data)] % 8
			}
			kernels.WindowMaxBackward(y, o.whole(size), index, w)
			how.Fence()
			return y
		}},
	})
}

// FuzzHalve covers pooling with stride 2 over planes of one to three rows of outputs.
func FuzzHalve(f *testing.F) {
	sizes := func(n, c int) (planes, oh, ow, k int, how kernels.Store) {
		return n%3 + 1, n/3%3 + 1, c%60 + 1, n/9%2 + 2, []kernels.Store{kernels.Cached, kernels.Streamed}[n/18%2]
	}
	fuzzKernels(f, []kernel{
		{"HalveMax", 0, func(o *operands, n, c int) []float32 {
			planes, oh, ow, k, _ := sizes(n, c)
			size := planes * oh * ow
			y, index := make([]float32, size), make([]uint8, size)
			kernels.HalveMax(y, o.any(4*size), index, planes, oh, ow, k)
			for _, tap := range index {
				y = append(y, float32(tap))
			}
			return y
		}},
		{"HalveMaxBackward", 0, func(o *operands, n, c int) []float32 {
			planes, oh, ow, k, how := sizes(n, c)
			size := planes * oh * ow
			y, index := make([]float32, 4*size), make([]uint8, size)
			for i := range index { // the taps that always lie inside
				index[i] = uint8([][]int{{0, 1, 2, 3}, {4, 5, 7, 8}}[k-2][o.data[i%len(o.data)]%4])
			}
			kernels.HalveMaxBackward(y, o.whole(size), index, planes, oh, ow, k, how)
			how.Fence()
			return y
		}},
		{"HalveAvgBackward", 0, func(o *operands, n, c int) []float32 {
			planes, oh, ow, k, how := sizes(n, c)
			y := make([]float32, 4*planes*oh*ow)
			kernels.HalveAvgBackward(y, o.whole(planes*oh*ow), 0.25, planes, oh, ow, k, how)
			how.Fence()
			return y
		}},
	})
}

// FuzzPairs covers the tiles of pairwise distances; what a tile holds beside the
// pairs asked for does not count.
func FuzzPairs(f *testing.F) {
	panel := func(o *operands, n, c int) []float32 {
		p := make([]float32, kernels.PairPackLen(n, c))
		kernels.PairPackPanel(p, o.whole(n*c), c)
		return p
	}
	fuzzKernels(f, []kernel{
		{"PairSquares", 0, func(o *operands, n, c int) []float32 {
			rows, cols := n%kernels.PairPanel+1, int(o.data[0])%kernels.PairPanel+1
			var t kernels.PairTile
			kernels.PairSquares(&t, panel(o, rows, c), panel(o, cols, c), rows, cols, c)
			var y []float32
			for r := range rows {
				y = append(y, t[r*kernels.PairPanel:][:cols]...)
			}
			return y
		}},
		{"PairSquaresAbove", 0, func(o *operands, n, c int) []float32 {
			n = n%kernels.PairPanel + 1
			var t kernels.PairTile
			kernels.PairSquaresAbove(&t, panel(o, n, c), n, c)
			var y []float32
			for r := range n {
				y = append(y, t[r*kernels.PairPanel:][r+1:n]...)
			}
			return y
		}},
		{"PairTranspose", 0, func(o *operands, _, _ int) []float32 {
			var t, turned kernels.PairTile
			copy(t[:], o.any(len(t)))
			kernels.PairTranspose(&turned, &t)
			return turned[:]
		}},
	})
}

// FuzzDepthwise covers single pixels and pixels at a distance, with any taps.
func FuzzDepthwise(f *testing.F) {
	operandsOf := func(o *operands, taps, pixels, step, c int) (src, w []float32, list []int) {
		src, w = o.whole(taps*c+(pixels-1)*step), o.whole(taps*c)
		for t := range taps {
			list = append(list, (taps-1-t)*c, t*c)
		}
		return src, w, list
	}
	fuzzKernels(f, []kernel{
		{"DepthwisePixel", 0, func(o *operands, n, c int) []float32 {
			src, w, taps := operandsOf(o, n%26, 1, 0, c)
			y := make([]float32, c)
			kernels.DepthwisePixel(y, src, w, taps, o.whole(c), -8, float32(math.Inf(1)), c)
			return y
		}},
		{"DepthwiseSteps", 0, func(o *operands, n, c int) []float32 {
			count, pixels, step := 1<<(n%3), n/3%8+1, (n/24%2+1)*c
			src, w, taps := operandsOf(o, count, pixels, step, c)
			gap := c + n%5
			y := o.any(pixels * gap)
			kernels.DepthwiseSteps(y, gap, src, w, taps, step, c, pixels)
			return y
		}},
		{"DepthwiseGradPixel", 0, func(o *operands, n, c int) []float32 {
			src, w, taps := operandsOf(o, n%26, 1, 0, c)
			kernels.DepthwiseGradPixel(w, src, taps, o.whole(c), c)
			return w
		}},
	})
}
