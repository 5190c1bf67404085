package ccloss

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

// Distances sets dst (n x n, row-major) to the distances between the n rows of
// a (n x c, row-major): symmetric, zero diagonal, each from the differences of
// the two vectors. It allocates a packed copy of a. dst must not overlap a. It
// panics if the lengths do not fit or the metric is unknown.
func Distances(dst, a []float32, n, c int, metric Metric) {
	if n < 0 || c < 0 || len(a) != n*c || len(dst) != n*n {
		panic("ccloss.Distances: len(a) != n*c or len(dst) != n*n")
	}
	if int(metric) >= len(metricNames) {
		panic("ccloss.Distances: unknown metric")
	}
	packed := make([]float32, kernels.PairPackLen(n, c))
	kernels.PairPack(packed, a, n, c)
	m := panels(n)
	// The last panel has most to do.
	kernels.Parallel(m, pairGrain(m, (m+1)/2, c), func(lo, hi int) {
		for q := lo; q < hi; q++ {
			distancePanel(dst, packed, m-1-q, n, c, metric)
		}
	})
}

// distancePanel writes the distances of panel j to the panels up to j, on both
// sides of the diagonal.
func distancePanel(dst, packed []float32, j, n, c int, metric Metric) {
	const side = kernels.PairPanel
	var tile, flipped kernels.PairTile
	pj := packed[j*side*c : (j+1)*side*c]
	cols := min(side, n-j*side)
	for i := 0; i <= j; i++ {
		rows := min(side, n-i*side)
		kernels.PairSquares(&tile, packed[i*side*c:(i+1)*side*c], pj, rows, cols, c)
		if metric == Euclidean {
			for k := range tile[:rows*side] {
				tile[k] = float32(math.Sqrt(float64(tile[k])))
			}
		}
		for r := range rows {
			copy(dst[(i*side+r)*n+j*side:][:cols], tile[r*side:])
		}
		kernels.PairTranspose(&flipped, &tile)
		for s := range cols {
			copy(dst[(j*side+s)*n+i*side:][:rows], flipped[s*side:])
		}
	}
}
