//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choice of an implementation by ISA on arm64 for the kernels of the
// channel-correlation loss.

func pairSquares(t *PairTile, pi, pj []float32, rows, c, accumulate int) {
	switch isa.Active {
	case isa.NEON:
		for r := 0; r < rows; r += 8 {
			for s := 0; s < PairPanel; s += 8 {
				neon.PairSquares8x8(&t[r*PairPanel+s], &pi[r], &pj[s], c, accumulate)
			}
		}
	default:
		pairSquaresGeneric(t, pi, pj, rows, c, accumulate)
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

func pairApply(dst []float32, t *PairTile, ai, aj []float32, rows, cols, c int) {
	switch isa.Active {
	case isa.NEON:
		r := 0
		for ; r+8 <= rows; r += 8 {
			neon.PairApply8(&dst[r*c], &t[r*PairPanel], &ai[r*c], &aj[0], cols, c)
		}
		for ; r < rows; r++ {
			neon.PairApply1(&dst[r*c], &t[r*PairPanel], &ai[r*c], &aj[0], cols, c)
		}
	default:
		pairApplyGeneric(dst, t, ai, aj, rows, cols, c)
	}
}

func gatherMean(mean []float64, a []float32, rows []int32) {
	gatherMeanGeneric(mean, a, rows)
}

func gatherSquares(a []float32, mean []float64, rows []int32) float64 {
	return gatherSquaresGeneric(a, mean, rows)
}

func scaleShiftF64(dst, x []float32, slope float64, shift []float64) {
	scaleShiftF64Generic(dst, x, slope, shift)
}
