//go:build !purego

package kernels

import (
	"unsafe"

	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// Every choice of an implementation by ISA on arm64 is made in this file.

func axpy(alpha float32, x, y []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Axpy(alpha, &x[0], &y[0], len(x))
	default:
		axpyGeneric(alpha, x, y)
	}
}

func dot(x, y []float32) float32 {
	switch isa.Active {
	case isa.NEON:
		return neon.Dot(&x[0], &y[0], len(x))
	default:
		return dotGeneric(x, y)
	}
}

func gatherTiles() (rows [3]int, nr, narrow int) { return gatherTilesGeneric() }

func gatherGemm(g *GatherGemm) { gatherGemmGeneric(g) }

func outerTiles() (rows []int, nr, narrow int) { return outerTilesGeneric() }

func outerGemm(o *OuterGemm) { outerGemmGeneric(o) }

func channelSums(dst, x []float32, rows, c int) { channelSumsGeneric(dst, x, rows, c) }

func channelDots(dst, x, y []float32, rows, c int) { channelDotsGeneric(dst, x, y, rows, c) }

func channelScale(dst, x, a []float32, rows, c int) { channelScaleGeneric(dst, x, a, rows, c) }

func channelScaleShift(dst, x, a, b []float32, rows, c int) {
	channelScaleShiftGeneric(dst, x, a, b, rows, c)
}

func channelMax(dst, x []float32, rows, c int) { channelMaxGeneric(dst, x, rows, c) }

func channelMaxIndex(dst []float32, index []int32, x []float32, rows, c int) {
	channelMaxIndexGeneric(dst, index, x, rows, c)
}

func planeSums(dst, x []float32, n, stride int) { planeSumsGeneric(dst, x, n, stride) }

func planeDots(dst, x, y []float32, n, stride int) { planeDotsGeneric(dst, x, y, n, stride) }

func planeScale(dst, x, a []float32, n int) { planeScaleGeneric(dst, x, a, n) }

func planeScaleShift(dst, x, a, b []float32, n int) { planeScaleShiftGeneric(dst, x, a, b, n) }

func windowMax(dst, src []float32, w *Window) { windowMaxGeneric(dst, src, w) }

func windowMaxIndex(dst []float32, index []uint8, src []float32, w *Window) {
	windowMaxIndexGeneric(dst, index, src, w)
}

func windowMaxBackward(dst, src []float32, index []uint8, w *Window) {
	windowMaxBackwardGeneric(dst, src, index, w)
}

func windowAvg(dst, src []float32, scale float32, w *Window) { windowAvgGeneric(dst, src, scale, w) }

func activeGemmTile() gemmTile {
	switch isa.Active {
	case isa.NEON:
		return neonTile
	default:
		return gemmTileGeneric()
	}
}

func gemmPanel(t *panelArgs) {
	switch {
	case isa.Active == isa.NEON && t.n == 12:
		neon.Gemm8x12(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.c[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp)
	case isa.Active == isa.NEON && t.n == 8 && t.rows <= 4:
		neon.Gemm4x8(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.c[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp)
	case isa.Active == isa.NEON && t.n == 8:
		neon.Gemm8x8(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.c[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp)
	case isa.Active == isa.NEON:
		neon.Gemm8x4(t.n, t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.c[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp)
	default:
		gemmPanelGeneric(t)
	}
}

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.NEON:
		neon.CopyBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		copyBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

func transposeBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.NEON:
		neon.TransposeBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		transposeBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

// fmaLoop returns the lanes of a vector.
func fmaLoop(rounds int) int {
	switch isa.Active {
	case isa.NEON:
		neon.FMALoop(rounds)
		return 4
	default:
		return fmaLoopGeneric(rounds)
	}
}

func winogradInput(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradInput2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradInput4(&v[0], stride, &table[0], n, &scratch[0])
	default:
		winogradInputGeneric(m, v, stride, table, n)
	}
}

func winogradGrad(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradGrad2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradGrad4(&v[0], stride, &table[0], n, &scratch[0])
	default:
		winogradGradGeneric(m, v, stride, table, n)
	}
}

func winogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradFilter2(&u[0], uStride, &g[0], gStride, n, &scratch[0])
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradFilter4(&u[0], uStride, &g[0], gStride, n, &scratch[0])
	default:
		winogradFilterGeneric(m, u, uStride, g, gStride, n)
	}
}

func winogradFilterGrad(m int, dg []float32, gStride int, u []float32, uStride, n int, scratch []float32) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradFilterGrad2(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradFilterGrad4(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	default:
		winogradFilterGradGeneric(m, dg, gStride, u, uStride, n)
	}
}

func winogradOutput(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32, scratch []float32) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradOutput2(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), lo, hi, n, &scratch[0])
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradOutput4(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), lo, hi, n, &scratch[0])
	default:
		winogradOutputGeneric(m, out, residual, u, stride, bias, addResidual, n, lo, hi)
	}
}
