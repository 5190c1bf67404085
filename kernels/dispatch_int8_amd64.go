//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// Kernels on bytes: gatherint8.go and int8.go.

func int8Dot() string {
	switch {
	case isa.VNNI:
		return "vnni"
	case isa.Active == isa.Generic:
		return "generic"
	}
	return "words"
}

func gatherInt8Tiles() (rows [3]int, nr, narrow int) {
	switch isa.Active {
	case isa.AVX512:
		return [3]int{12, 4, 1}, 32, 16
	case isa.AVX2:
		return [3]int{4, 2, 1}, 16, 8
	default:
		return gatherInt8TilesGeneric()
	}
}

func gatherInt8(g *GatherInt8) {
	switch {
	case isa.VNNI && g.MR == 12 && g.NR == 32:
		avx512.GatherVNNI12x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.VNNI && g.MR == 12 && g.NR == 16:
		avx512.GatherVNNI12x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.VNNI && g.MR == 4 && g.NR == 32:
		avx512.GatherVNNI4x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.VNNI && g.MR == 4 && g.NR == 16:
		avx512.GatherVNNI4x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.VNNI && g.MR == 1 && g.NR == 32:
		avx512.GatherVNNI1x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.VNNI && g.MR == 1 && g.NR == 16:
		avx512.GatherVNNI1x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 12 && g.NR == 32:
		avx512.GatherWords12x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 12 && g.NR == 16:
		avx512.GatherWords12x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 4 && g.NR == 32:
		avx512.GatherWords4x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 4 && g.NR == 16:
		avx512.GatherWords4x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 1 && g.NR == 32:
		avx512.GatherWords1x32(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX512 && g.MR == 1 && g.NR == 16:
		avx512.GatherWords1x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 4 && g.NR == 16:
		avx2.GatherWords4x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 4 && g.NR == 8:
		avx2.GatherWords4x8(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 2 && g.NR == 16:
		avx2.GatherWords2x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 2 && g.NR == 8:
		avx2.GatherWords2x8(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 1 && g.NR == 16:
		avx2.GatherWords1x16(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	case isa.Active == isa.AVX2 && g.MR == 1 && g.NR == 8:
		avx2.GatherWords1x8(&g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	default:
		gatherInt8Generic(g)
	}
}

// gatherBytes stores whole rows of a tile as unsigned bytes, where there is a kernel for
// that, which it reports.
func gatherBytes(g *GatherInt8, dst []uint8, ldc int, scale []float32, rows int, r ByteRange) bool {
	zero, low, high := uint32(r.Zero)*0x10001, fourBytes(r.Min), fourBytes(r.Max)
	switch {
	case isa.VNNI && g.MR == 12 && g.NR == 32:
		avx512.GatherVNNIBytes12x32(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	case isa.VNNI && g.MR == 12 && g.NR == 16:
		avx512.GatherVNNIBytes12x16(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	case isa.VNNI && g.MR == 4 && g.NR == 32:
		avx512.GatherVNNIBytes4x32(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	case isa.VNNI && g.MR == 4 && g.NR == 16:
		avx512.GatherVNNIBytes4x16(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	case isa.VNNI && g.MR == 1 && g.NR == 32:
		avx512.GatherVNNIBytes1x32(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	case isa.VNNI && g.MR == 1 && g.NR == 16:
		avx512.GatherVNNIBytes1x16(&dst[0], ldc, rows, &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], &scale[0], len(g.Offsets), g.Quads, zero, low, high)
	default:
		return false
	}
	return true
}

func quantizeBytes(dst []uint8, src []float32, scale, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.AVX512:
		avx512.QuantizeBytes(&dst[0], &src[0], len(dst), scale, lo, hi, r.Zero)
	case isa.AVX2:
		avx2.QuantizeBytes(&dst[0], &src[0], len(dst), scale, lo, hi, r.Zero)
	default:
		quantizeBytesGeneric(dst, src, scale, lo, hi, r)
	}
}

func dequantizeBytes(dst []float32, src []uint8, scale float32, zero, flip int32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.DequantizeBytes(&dst[0], &src[0], len(dst), scale, zero, flip)
	case isa.AVX2:
		avx2.DequantizeBytes(&dst[0], &src[0], len(dst), scale, zero, flip)
	default:
		dequantizeBytesGeneric(dst, src, scale, zero, flip)
	}
}

func requantizeRows(dst []uint8, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.AVX512:
		avx512.RequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi, r.Zero)
	case isa.AVX2:
		avx2.RequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi, r.Zero)
	default:
		requantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi, r)
	}
}

func dequantizeRows(dst []float32, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.DequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi)
	case isa.AVX2:
		avx2.DequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi)
	default:
		dequantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi)
	}
}

func addBytes(a *ByteAdd, dst, x, y []uint8, lo, hi float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.AddBytes(&dst[0], &x[0], &y[0], len(dst), a.XScale, a.YScale, a.Scale, a.XZero, a.YZero, a.Range.Zero, lo, hi)
	case isa.AVX2:
		avx2.AddBytes(&dst[0], &x[0], &y[0], len(dst), a.XScale, a.YScale, a.Scale, a.XZero, a.YZero, a.Range.Zero, lo, hi)
	default:
		addBytesGeneric(a, dst, x, y, lo, hi)
	}
}

func maxBytes(dst []uint8, taps *byteTaps, count int) {
	switch isa.Active {
	case isa.AVX512:
		avx512.MaxBytes(&dst[0], &taps[0], count, len(dst))
	case isa.AVX2:
		avx2.MaxBytes(&dst[0], &taps[0], count, len(dst))
	default:
		maxBytesGeneric(dst, taps, count)
	}
}

func depthwiseBytes(dst []uint8, taps *byteTaps, count int, w []float32, wStride int, bias []int32, scale []float32, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.AVX512:
		avx512.DepthwiseBytes(&dst[0], &taps[0], count, &w[0], wStride, &bias[0], &scale[0], len(dst), lo, hi, r.Zero)
	case isa.AVX2:
		avx2.DepthwiseBytes(&dst[0], &taps[0], count, &w[0], wStride, &bias[0], &scale[0], len(dst), lo, hi, r.Zero)
	default:
		depthwiseBytesGeneric(dst, taps, count, w, wStride, bias, scale, lo, hi, r)
	}
}

func depthwiseByteLayout(c int) (wide, narrow int, layout byteLayout) {
	switch {
	case isa.VNNI:
		return 64, 32, byColumnBytes
	case isa.Active == isa.AVX512, isa.Active == isa.AVX2:
		return 32, 32, byColumn
	default:
		return c, c, byTap
	}
}

func depthwiseByteRow(d *DepthwiseByteRow, o *DepthwiseByteOperands, rows *[byteFilter]*uint8, b byteBlock, before int) {
	dst, w, bias, scale := &o.Dst[b.c], &o.W.w[d.layout.bytesOf()*before], &o.W.bias[before], &o.Scale[before]
	pad, zero, low, high := fourBytes(o.Zero), uint32(o.Range.Zero)*0x10001, fourBytes(o.Range.Min), fourBytes(o.Range.Max)
	switch {
	case d.layout == byColumnBytes && d.stride == 1 && b.width == 64:
		avx512.DepthwiseBytes3s1x64(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case d.layout == byColumnBytes && d.stride == 1:
		avx512.DepthwiseBytes3s1x32(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case d.layout == byColumnBytes && b.width == 64:
		avx512.DepthwiseBytes3s2x64(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case d.layout == byColumnBytes:
		avx512.DepthwiseBytes3s2x32(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case d.layout == byColumn && d.stride == 1:
		avx2.DepthwiseBytes3s1x32(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case d.layout == byColumn:
		avx2.DepthwiseBytes3s2x32(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	default:
		depthwiseByteRowGeneric(d, o, rows, b, before)
	}
}
