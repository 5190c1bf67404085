package ccloss

import (
	"math"
	"sync"

	"github.com/golanes/lanes/kernels"
)

// packs keeps packed batches from one call of [Distances] to the next.
var packs = sync.Pool{New: func() any { return new([]float32) }}

// Distances sets dst (n x n, row-major) to the distances between the n rows of
// a (n x c, row-major): symmetric, zero diagonal, each from the differences of
// the two vectors. It keeps a packed copy of a for the next call. dst must not
// overlap a. It panics if the lengths do not fit or the metric is unknown.
func Distances(dst, a []float32, n, c int, metric Metric) {
	if n < 0 || c < 0 || len(a) != n*c || len(dst) != n*n {
		panic("ccloss.Distances: len(a) != n*c or len(dst) != n*n")
	}
	if int(metric) >= len(metricNames) {
		panic("ccloss.Distances: unknown metric")
	}
	buffer := packs.Get().(*[]float32)
	size := kernels.PairPackLen(n, c)
	if cap(*buffer) < size {
		*buffer = make([]float32, size)
	}
	packed := (*buffer)[:size]
	kernels.PairPack(packed, a, n, c)
	m := panels(n)
	// The last panel has most to do.
	kernels.Parallel(m, pairGrain(m, (m+1)/2, c), func(lo, hi int) {
		for q := lo; q < hi; q++ {
			distancePanel(dst, packed, m-1-q, n, c, metric)
		}
	})
	packs.Put(buffer)
}

// distancePanel writes the distances of panel j to the panels up to j, on both
// sides of the diagonal.
func distancePanel(dst, packed []float32, j, n, c int, metric Metric) {
	const side = kernels.PairPanel
	var tile, flipped kernels.PairTile
	pj := packed[j*side*c : (j+1)*side*c]
	cols, how := min(side, n-j*side), kernels.StoreFor(n*n)
	for i := 0; i <= j; i++ {
		rows := min(side, n-i*side)
		kernels.PairSquares(&tile, packed[i*side*c:(i+1)*side*c], pj, rows, cols, c)
		if metric == Euclidean {
			for k := range tile[:rows*side] {
				tile[k] = float32(math.Sqrt(float64(tile[k])))
			}
		}
		above, below := dst[i*side*n+j*side:], dst[j*side*n+i*side:]
		if how == kernels.Cached {
			kernels.CopyBlock(above, n, tile[:], side, rows, cols)
		} else { // what streams is turned
			kernels.PairTranspose(&flipped, &tile)
			how.Transpose(above, n, flipped[:], side, cols, rows)
		}
		if i < j {
			how.Transpose(below, n, tile[:], side, rows, cols)
		}
	}
}
