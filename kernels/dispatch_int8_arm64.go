//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// Kernels on bytes: gatherint8.go and int8.go.

func int8Dot() string {
	if isa.Active == isa.Generic {
		return "generic"
	}
	return "words"
}

func gatherInt8Tiles() (rows [3]int, nr, narrow int) {
	switch isa.Active {
	case isa.NEON:
		return [3]int{8, 4, 1}, 8, 8
	default:
		return gatherInt8TilesGeneric()
	}
}

func gatherInt8(g *GatherInt8) {
	switch {
	case isa.Active == isa.NEON && (g.MR == 8 || g.MR == 4 || g.MR == 1) && g.NR == 8:
		neon.GatherWords8x8(g.MR, &g.Acc[0], &g.A[0], &g.Rows[0], &g.Offsets[0], &g.B[0], &g.Bias[0], len(g.Offsets), g.Quads)
	default:
		gatherInt8Generic(g)
	}
}

func gatherBytes(g *GatherInt8, dst []uint8, ldc int, scale []float32, rows int, r ByteRange) bool {
	return false
}

func quantizeBytes(dst []uint8, src []float32, scale, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.NEON:
		neon.QuantizeBytes(&dst[0], &src[0], len(dst), scale, lo, hi, r.Zero)
	default:
		quantizeBytesGeneric(dst, src, scale, lo, hi, r)
	}
}

func dequantizeBytes(dst []float32, src []uint8, scale float32, zero, flip int32) {
	switch isa.Active {
	case isa.NEON:
		neon.DequantizeBytes(&dst[0], &src[0], len(dst), scale, zero, flip)
	default:
		dequantizeBytesGeneric(dst, src, scale, zero, flip)
	}
}

func requantizeRows(dst []uint8, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.NEON:
		neon.RequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi, r.Zero)
	default:
		requantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi, r)
	}
}

func dequantizeRows(dst []float32, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32) {
	switch isa.Active {
	case isa.NEON:
		neon.DequantizeRows(&dst[0], ldc, &acc[0], lda, &scale[0], rows, cols, lo, hi)
	default:
		dequantizeRowsGeneric(dst, ldc, acc, lda, scale, rows, cols, lo, hi)
	}
}

func addBytes(a *ByteAdd, dst, x, y []uint8, lo, hi float32) {
	switch isa.Active {
	case isa.NEON:
		neon.AddBytes(&dst[0], &x[0], &y[0], len(dst), a.XScale, a.YScale, a.Scale, a.XZero, a.YZero, a.Range.Zero, lo, hi)
	default:
		addBytesGeneric(a, dst, x, y, lo, hi)
	}
}

func maxBytes(dst []uint8, taps *byteTaps, count int) {
	switch isa.Active {
	case isa.NEON:
		neon.MaxBytes(&dst[0], &taps[0], count, len(dst))
	default:
		maxBytesGeneric(dst, taps, count)
	}
}

func depthwiseBytes(dst []uint8, taps *byteTaps, count int, w []float32, wStride int, bias []int32, scale []float32, lo, hi float32, r ByteRange) {
	switch isa.Active {
	case isa.NEON:
		neon.DepthwiseBytes(&dst[0], &taps[0], count, &w[0], wStride, &bias[0], &scale[0], len(dst), lo, hi, r.Zero)
	default:
		depthwiseBytesGeneric(dst, taps, count, w, wStride, bias, scale, lo, hi, r)
	}
}

func depthwiseByteLayout(c int) (wide, narrow int, layout byteLayout) {
	switch isa.Active {
	case isa.NEON:
		return 8, 8, byTap
	default:
		return c, c, byTap
	}
}

func depthwiseByteRow(d *DepthwiseByteRow, o *DepthwiseByteOperands, rows *[byteFilter]*uint8, b byteBlock, before int) {
	dst, w, bias, scale := &o.Dst[b.c], &o.W.w[d.layout.bytesOf()*before], &o.W.bias[before], &o.Scale[before]
	pad, zero, low, high := fourBytes(o.Zero), uint32(o.Range.Zero)*0x10001, fourBytes(o.Range.Min), fourBytes(o.Range.Max)
	switch {
	case isa.Active == isa.NEON && b.width == 8 && d.stride == 1:
		neon.DepthwiseBytes3s1x8(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	case isa.Active == isa.NEON && b.width == 8:
		neon.DepthwiseBytes3s2x8(dst, &rows[0], w, bias, scale, d.left, d.width, d.c, d.pixels, b.count, pad, zero, low, high)
	default:
		depthwiseByteRowGeneric(d, o, rows, b, before)
	}
}
