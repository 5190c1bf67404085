//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choice of an implementation by ISA on arm64 for the kernels of the
// channel-correlation loss.

func pairSquares(t *PairTile, pi, pj []float32, rows, cols, c, accumulate int, above bool) {
	switch isa.Active {
	case isa.NEON:
		for r := 0; r < rows; r += 8 {
			for s := firstColumn(r, 8, above); s < cols; s += 8 {
				neon.PairSquares8x8(&t[r*PairPanel+s], &pi[r], &pj[s], c, accumulate)
			}
		}
	default:
		pairSquaresGeneric(t, pi, pj, rows, cols, c, accumulate, above)
	}
}

func pairSums(sums *[3]float32, t []float32, li []int32, w *pairWindow, margin float32) {
	switch isa.Active {
	case isa.NEON:
		if w.all() {
			neon.PairSumsAll(&sums[0], &t[0], &li[0], &w.labels[0], len(li), margin)
		} else {
			neon.PairSums(&sums[0], &t[0], &li[0], &w.labels[0], &pairColumns[0], len(li), margin, w.after, w.step, w.end)
		}
	default:
		pairSumsGeneric(sums, t, li, w, margin)
	}
}

func pairWeights(t *PairTile, li []int32, lj *[PairPanel]int32, rule PairRule) {
	switch isa.Active {
	case isa.NEON:
		if rule.Hinge {
			neon.PairWeightsHinge(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff, rule.Margin)
		} else {
			neon.PairWeights(&t[0], &li[0], &lj[0], len(li), rule.Same, rule.Diff)
		}
	default:
		pairWeightsGeneric(t, li, lj, rule)
	}
}

func pairApply(g []float32, t *PairTile, pi, pj []float32, cols, c int) {
	switch isa.Active {
	case isa.NEON:
		groups, at := c/2, c/2*2*PairPanel
		for r := 0; r < PairPanel; r += 16 {
			neon.PairApply2x16(&g[r], &t[r], &pi[r], &pj[0], cols, groups)
			if c%2 > 0 {
				neon.PairApply1x16(&g[at+r], &t[r], &pi[at+r], &pj[at], cols, c%2)
			}
		}
	default:
		pairApplyGeneric(g, t, pi, pj, cols, c)
	}
}

func gatherMean(mean []float64, a []float32, rows []int32) {
	switch isa.Active {
	case isa.NEON:
		neon.GatherMean(&mean[0], &a[0], &rows[0], len(rows), len(mean), 1/float64(len(rows)))
	default:
		gatherMeanGeneric(mean, a, rows)
	}
}

func gatherSquares(a []float32, mean []float64, rows []int32) float64 {
	switch isa.Active {
	case isa.NEON:
		return neon.GatherSquares(&a[0], &mean[0], &rows[0], len(rows), len(mean))
	default:
		return gatherSquaresGeneric(a, mean, rows)
	}
}

func scaleShiftRows(dst, x []float32, class []int32, slope, shift []float64, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.ScaleShiftRows(&dst[0], &x[0], &class[0], &slope[0], &shift[0], len(class), len(x)/len(class))
	default:
		scaleShiftRowsGeneric(dst, x, class, slope, shift)
	}
}

func combineF64(dst []float64, p float64, x []float64, q float64, y []float64) {
	switch {
	case isa.Active == isa.NEON:
		neon.CombineF64(&dst[0], &x[0], &y[0], len(dst), p, q)
	default:
		combineF64Generic(dst, p, x, q, y)
	}
}

func squaresF64(x, y []float64) float64 {
	switch {
	case isa.Active == isa.NEON:
		return neon.SquaresF64(&x[0], &y[0], len(x))
	default:
		return squaresF64Generic(x, y)
	}
}
