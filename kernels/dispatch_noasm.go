//go:build purego || !(amd64 || arm64)

package kernels

// Without assembly every kernel is its pure-Go twin.

func axpy(alpha float32, x, y []float32) { axpyGeneric(alpha, x, y) }

func dot(x, y []float32) float32 { return dotGeneric(x, y) }

func gatherTiles() (rows []int, nr, narrow int) { return gatherTilesGeneric() }

func gatherGemm(g *GatherGemm) { gatherGemmGeneric(g) }

func outerTiles() (rows []int, nr, narrow int) { return outerTilesGeneric() }

func outerGemm(o *OuterGemm) { outerGemmGeneric(o) }

// tileErr has nothing to report: the tile cannot be chosen here.
func tileErr() error { return nil }

func activeGemmTile() *gemmTile { return gemmTileGeneric() }

func gemmPanel(t *panelArgs) { gemmPanelGeneric(t) }

func hasDenseGemm() bool { return false }

func denseTile(cols int) (n, mr int) { return denseTileGeneric(cols) }

func densePanel(t *panelArgs) { gemmPanelGeneric(t) }

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	copyBlockGeneric(rows, cols, dst, ldd, src, lds)
}

func prefetchRows([]float32, []int32, int) {}

func gathersTiles() bool { return false }

func clearBlock(dst []float32, ldd, rows, cols int, _ Store) {
	clearBlockGeneric(dst, ldd, rows, cols)
}

func transposeBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	transposeBlockGeneric(rows, cols, dst, ldd, src, lds)
}

func fmaLoop(rounds int) int { return fmaLoopGeneric(rounds) }

func prefetchPixels([]float32, int, int, int, int, int) {}

func winogradInput(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	winogradInputGeneric(m, v, stride, table, n)
}

func winogradGrad(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	winogradGradGeneric(m, v, stride, table, n)
}

func winogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32, stream bool) {
	winogradFilterGeneric(m, u, uStride, g, gStride, n)
}

func winogradFilterGrad(m int, dg []float32, gStride int, u []float32, uStride, n int, scratch []float32) {
	winogradFilterGradGeneric(m, dg, gStride, u, uStride, n)
}

func winogradOutput(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32, scratch []float32, stream bool) {
	winogradOutputGeneric(m, out, residual, u, stride, bias, addResidual, n, lo, hi)
}

func depthwiseWholeLines() bool { return false }

func depthwiseForward(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	depthwiseForwardGeneric(d, o, table, c0, n)
}

func depthwiseGradient(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	depthwiseGradientGeneric(d, o, table, c0, n)
}

func depthwisePixel(dst []float32, taps *depthwiseTaps, count int, bias []float32, lo, hi float32, c int) {
	depthwisePixelGeneric(dst, taps, count, bias, lo, hi, c)
}

func depthwiseSteps(dst []float32, dstStep int, taps *depthwiseTaps, count, srcStep, c, pixels int) {
	depthwiseStepsGeneric(dst, dstStep, taps, count, srcStep, c, pixels)
}

func depthwiseSpread(d *DepthwiseSpread, dst0, dst1, u, v, w, _, _ []float32) {
	depthwiseSpreadGeneric(d, dst0, dst1, u, v, w)
}

func depthwiseGradPixel(taps *depthwiseTaps, count int, dy []float32, c int) {
	depthwiseGradPixelGeneric(taps, count, dy, c)
}

func dotsMost() int  { return 4 }
func axpysMost() int { return 4 }

func dots(groups, k int, a []float32, lda int, b []float32, cols int, out []float32) {
	dotsGeneric(groups, k, a, lda, b, cols, out)
}

func axpys(rows, k, n int, a []float32, rsa, csa int, b []float32, ldb int, y []float32, ldy int) {
	axpysGeneric(rows, k, n, a, rsa, csa, b, ldb, y, ldy)
}
