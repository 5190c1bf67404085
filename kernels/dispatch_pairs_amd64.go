//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choice of an implementation by ISA on amd64 for the kernels of the
// channel-correlation loss.

func pairSquares(t *PairTile, pi, pj []float32, rows, cols, c, accumulate int, above bool) {
	switch isa.Active {
	case isa.AVX512:
		for r := 0; r < rows; r += 8 {
			s := firstColumn(r, 16, above)
			switch {
			case cols-s > 32:
				avx512.PairSquares8x48(&t[r*PairPanel], &pi[r], &pj[0], c, accumulate)
			case cols-s > 16:
				avx512.PairSquares8x32(&t[r*PairPanel+s], &pi[r], &pj[s], c, accumulate)
			default:
				avx512.PairSquares8x16(&t[r*PairPanel+s], &pi[r], &pj[s], c, accumulate)
			}
		}
	case isa.AVX2:
		for r := 0; r < rows; r += 6 {
			for s := firstColumn(r, 16, above); s < cols; s += 16 {
				avx2.PairSquares6x16(&t[r*PairPanel+s], &pi[r], &pj[s], c, accumulate)
			}
		}
	default:
		pairSquaresGeneric(t, pi, pj, rows, cols, c, accumulate, above)
	}
}

func pairSums(sums *[3]float32, t []float32, li []int32, w *pairWindow, margin float32) {
	switch isa.Active {
	case isa.AVX512:
		if w.all() {
			avx512.PairSumsAll(&sums[0], &t[0], &li[0], &w.labels[0], len(li), margin)
		} else {
			avx512.PairSums(&sums[0], &t[0], &li[0], &w.labels[0], &pairColumns[0], len(li), margin, w.after, w.step, w.end)
		}
	case isa.AVX2:
		if w.all() {
			avx2.PairSumsAll(&sums[0], &t[0], &li[0], &w.labels[0], len(li), margin)
		} else {
			avx2.PairSums(&sums[0], &t[0], &li[0], &w.labels[0], &pairColumns[0], len(li), margin, w.after, w.step, w.end)
		}
	default:
		pairSumsGeneric(sums, t, li, w, margin)
	}
}

func pairWeights(t *PairTile, li []int32, lj *[PairPanel]int32, rule PairRule) {
	switch isa.Active {
	case isa.AVX512:
		if rule.Hinge {
			avx512.PairWeightsHinge(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff, rule.Margin)
		} else {
			avx512.PairWeights(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff)
		}
	case isa.AVX2:
		if rule.Hinge {
			avx2.PairWeightsHinge(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff, rule.Margin)
		} else {
			avx2.PairWeights(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff)
		}
	default:
		pairWeightsGeneric(t, li, lj, rule)
	}
}

func pairApply(g []float32, t *PairTile, pi, pj []float32, cols, c int) {
	switch isa.Active {
	case isa.AVX512:
		groups, at := c/4, c/4*4*PairPanel
		avx512.PairApply4x48(&g[0], &t[0], &pi[0], &pj[0], cols, groups)
		if c%4 > 0 {
			avx512.PairApply1x48(&g[at], &t[0], &pi[at], &pj[at], cols, c%4)
		}
	case isa.AVX2:
		groups, at := c/2, c/2*2*PairPanel
		for r := 0; r < PairPanel; r += 16 {
			avx2.PairApply2x16(&g[r], &t[r], &pi[r], &pj[0], cols, groups)
			if c%2 > 0 {
				avx2.PairApply1x16(&g[at+r], &t[r], &pi[at+r], &pj[at], cols, c%2)
			}
		}
	default:
		pairApplyGeneric(g, t, pi, pj, cols, c)
	}
}

func gatherMean(mean []float64, a []float32, rows []int32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.GatherMean(&mean[0], &a[0], &rows[0], len(rows), len(mean), 1/float64(len(rows)))
	case isa.AVX2:
		avx2.GatherMean(&mean[0], &a[0], &rows[0], len(rows), len(mean), 1/float64(len(rows)))
	default:
		gatherMeanGeneric(mean, a, rows)
	}
}

func gatherSquares(a []float32, mean []float64, rows []int32) float64 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.GatherSquares(&a[0], &mean[0], &rows[0], len(rows), len(mean))
	case isa.AVX2:
		return avx2.GatherSquares(&a[0], &mean[0], &rows[0], len(rows), len(mean))
	default:
		return gatherSquaresGeneric(a, mean, rows)
	}
}

func scaleShiftRows(dst, x []float32, class []int32, slope, shift []float64, how Store) {
	c := len(x) / len(class)
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, c, 0):
		avx512.ScaleShiftRowsStream(&dst[0], &x[0], &class[0], &slope[0], &shift[0], len(class), c)
	case isa.Active == isa.AVX512:
		avx512.ScaleShiftRows(&dst[0], &x[0], &class[0], &slope[0], &shift[0], len(class), c)
	case isa.Active == isa.AVX2 && streams(how, dst, 16, c, 0):
		avx2.ScaleShiftRowsStream(&dst[0], &x[0], &class[0], &slope[0], &shift[0], len(class), c)
	case isa.Active == isa.AVX2:
		avx2.ScaleShiftRows(&dst[0], &x[0], &class[0], &slope[0], &shift[0], len(class), c)
	default:
		scaleShiftRowsGeneric(dst, x, class, slope, shift)
	}
}

func combineF64(dst []float64, p float64, x []float64, q float64, y []float64) {
	switch isa.Active {
	case isa.AVX512:
		avx512.CombineF64(&dst[0], &x[0], &y[0], len(dst), p, q)
	case isa.AVX2:
		avx2.CombineF64(&dst[0], &x[0], &y[0], len(dst), p, q)
	default:
		combineF64Generic(dst, p, x, q, y)
	}
}

func squaresF64(x, y []float64) float64 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.SquaresF64(&x[0], &y[0], len(x))
	case isa.AVX2:
		return avx2.SquaresF64(&x[0], &y[0], len(x))
	default:
		return squaresF64Generic(x, y)
	}
}
