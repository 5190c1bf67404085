//go:build purego || !(amd64 || arm64)

package kernels

// Without assembly every kernel of the channel-correlation loss is its pure-Go
// twin.

func pairSquares(t *PairTile, pi, pj []float32, rows, cols, c, accumulate int, above bool) {
	pairSquaresGeneric(t, pi, pj, rows, cols, c, accumulate, above)
}

func pairSums(sums *[3]float32, t []float32, li []int32, w *pairWindow, margin float32) {
	pairSumsGeneric(sums, t, li, w, margin)
}

func pairWeights(t *PairTile, li []int32, lj *[PairPanel]int32, rule PairRule) {
	pairWeightsGeneric(t, li, lj, rule)
}

func pairApply(g []float32, t *PairTile, pi, pj []float32, cols, c int) {
	pairApplyGeneric(g, t, pi, pj, cols, c)
}

func gatherMean(mean []float64, a []float32, rows []int32) {
	gatherMeanGeneric(mean, a, rows)
}

func gatherSquares(a []float32, mean []float64, rows []int32) float64 {
	return gatherSquaresGeneric(a, mean, rows)
}

func scaleShiftRows(dst, x []float32, class []int32, slope, shift []float64, _ Store) {
	scaleShiftRowsGeneric(dst, x, class, slope, shift)
}

func combineF64(dst []float64, p float64, x []float64, q float64, y []float64) {
	combineF64Generic(dst, p, x, q, y)
}

func squaresF64(x, y []float64) float64 { return squaresF64Generic(x, y) }
