//go:build purego || !(amd64 || arm64)

package kernels

// Without assembly every kernel is its pure-Go twin.

func axpy(alpha float32, x, y []float32) { axpyGeneric(alpha, x, y) }

func dot(x, y []float32) float32 { return dotGeneric(x, y) }

func gatherTiles() (rows [3]int, nr, narrow int) { return gatherTilesGeneric() }

func gatherGemm(g *GatherGemm) { gatherGemmGeneric(g) }

func outerTiles() (rows []int, nr, narrow int) { return outerTilesGeneric() }

func outerGemm(o *OuterGemm) { outerGemmGeneric(o) }

// tileErr has nothing to report: the tile cannot be chosen here.
func tileErr() error { return nil }

func activeGemmTile() gemmTile { return gemmTileGeneric() }

func gemmPanel(t *panelArgs) { gemmPanelGeneric(t) }

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	copyBlockGeneric(rows, cols, dst, ldd, src, lds)
}

func transposeBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	transposeBlockGeneric(rows, cols, dst, ldd, src, lds)
}

func fmaLoop(rounds int) int { return fmaLoopGeneric(rounds) }

func winogradInput(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	winogradInputGeneric(m, v, stride, table, n)
}

func winogradGrad(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	winogradGradGeneric(m, v, stride, table, n)
}

func winogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32) {
	winogradFilterGeneric(m, u, uStride, g, gStride, n)
}

func winogradFilterGrad(m int, dg []float32, gStride int, u []float32, uStride, n int, scratch []float32) {
	winogradFilterGradGeneric(m, dg, gStride, u, uStride, n)
}

func winogradOutput(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32, scratch []float32) {
	winogradOutputGeneric(m, out, residual, u, stride, bias, addResidual, n, lo, hi)
}

func channelSums(dst, x []float32, rows, stride int) { channelSumsGeneric(dst, x, rows, stride) }

func channelDots(dst, x, y []float32, rows, stride int) { channelDotsGeneric(dst, x, y, rows, stride) }

func channelScale(dst, x, a []float32, rows, stride int) {
	channelScaleGeneric(dst, x, a, rows, stride)
}

func channelScaleShift(dst, x, a, b []float32, rows, stride int) {
	channelScaleShiftGeneric(dst, x, a, b, rows, stride)
}

func channelFill(dst, v []float32, rows, stride int) { channelFillGeneric(dst, v, rows, stride) }

func planeSums(dst, x []float32, n int) { planeSumsGeneric(dst, x, n) }

func planeDots(dst, x, y []float32, n int) { planeDotsGeneric(dst, x, y, n) }

func planeScale(dst, x, a []float32, n int) { planeScaleGeneric(dst, x, a, n) }

func planeScaleShift(dst, x, a, b []float32, n int) { planeScaleShiftGeneric(dst, x, a, b, n) }

func planeFill(dst, v []float32, n int) { planeFillGeneric(dst, v, n) }

func windowMax(dst, src []float32, w *Window) { windowMaxGeneric(dst, src, w) }

func windowMaxIndex(dst []float32, index []uint8, src []float32, w *Window) {
	windowMaxIndexGeneric(dst, index, src, w)
}

func windowMaxBackward(dst, src []float32, index []uint8, w *Window) {
	windowMaxBackwardGeneric(dst, src, index, w)
}

func windowAvg(dst, src []float32, scale float32, w *Window) { windowAvgGeneric(dst, src, scale, w) }

func channelMax(dst, x []float32, rows, c int) { channelMaxGeneric(dst, x, rows, c) }

func channelMaxIndex(dst []float32, index []int32, x []float32, rows, c int) {
	channelMaxIndexGeneric(dst, index, x, rows, c)
}

func depthwiseRow(size, stride int, dst []float32, rows *depthwiseRows, w []float32, wStride int, bias []float32, lo, hi float32, c, pixels int) {
	depthwiseRowGeneric(size, stride, dst, rows, w, wStride, bias, lo, hi, c, pixels)
}

func depthwiseGradRow(size, stride int, dw []float32, wStride int, rows *depthwiseRows, dy []float32, c, pixels int) {
	depthwiseGradRowGeneric(size, stride, dw, wStride, rows, dy, c, pixels)
}

func depthwisePixel(dst []float32, taps *depthwiseTaps, count int, bias []float32, lo, hi float32, c int) {
	depthwisePixelGeneric(dst, taps, count, bias, lo, hi, c)
}

func depthwiseGradPixel(taps *depthwiseTaps, count int, dy []float32, c int) {
	depthwiseGradPixelGeneric(taps, count, dy, c)
}

func dots(_ int, a *[4][]float32, b0, b1 []float32, cols int, out *[8]float32) {
	dotsGeneric(a, b0, b1, cols, out)
}
