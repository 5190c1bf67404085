//go:build purego || !(amd64 || arm64)

package kernels

// Kernels on bytes without assembly: gatherint8.go and int8.go.

func int8Dot() string { return "generic" }

func gatherInt8Tiles() (rows [3]int, nr, narrow int) { return gatherInt8TilesGeneric() }

func gatherInt8(g *GatherInt8) { gatherInt8Generic(g) }

func gatherBytes(g *GatherInt8, dst []uint8, ldc int, scale []float32, rows int, r ByteRange) bool {
	return false
}

func quantizeBytes(dst []uint8, src []float32, scale, lo, hi float32, r ByteRange) {
	quantizeBytesGeneric(dst, src, scale, lo, hi, r)
}

func dequantizeBytes(dst []float32, src []uint8, scale float32, zero, flip int32) {
	dequantizeBytesGeneric(dst, src, scale, zero, flip)
}

func requantizeRows(dst []uint8, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32, r ByteRange) {
	requantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi, r)
}

func dequantizeRows(dst []float32, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32) {
	dequantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi)
}

func addBytes(a *ByteAdd, dst, x, y []uint8, lo, hi float32) {
	addBytesGeneric(a, dst, x, y, lo, hi)
}

func maxBytes(dst []uint8, taps *byteTaps, count int) {
	maxBytesGeneric(dst, taps, count)
}

func depthwiseBytes(dst []uint8, taps *byteTaps, count int, w []float32, wStride int, bias []int32, scale []float32, lo, hi float32, r ByteRange) {
	depthwiseBytesGeneric(dst, taps, count, w, wStride, bias, scale, lo, hi, r)
}

func depthwiseByteLayout(c int) (wide, narrow int, layout byteLayout) { return c, c, byTap }

func depthwiseByteRow(d *DepthwiseByteRow, o *DepthwiseByteOperands, rows *[byteFilter]*uint8, b byteBlock, before int) {
	depthwiseByteRowGeneric(d, o, rows, b, before)
}
