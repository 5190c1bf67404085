//go:build !purego

package kernels

import (
	"unsafe"

	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// Every choice of an implementation by ISA on amd64 is made in this file.

func axpy(alpha float32, x, y []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Axpy(alpha, &x[0], &y[0], len(x))
	case isa.AVX2:
		avx2.Axpy(alpha, &x[0], &y[0], len(x))
	default:
		axpyGeneric(alpha, x, y)
	}
}

func dot(x, y []float32) float32 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.Dot(&x[0], &y[0], len(x))
	case isa.AVX2:
		return avx2.Dot(&x[0], &y[0], len(x))
	default:
		return dotGeneric(x, y)
	}
}

func gatherTiles() (rows []int, nr, narrow int) {
	switch isa.Active {
	case isa.AVX512:
		return gatherRowsAVX512[:], 32, 16
	case isa.AVX2:
		return gatherRowsAVX2[:], 16, 8
	default:
		return gatherTilesGeneric()
	}
}

func gathersTiles() bool { return isa.Active == isa.AVX512 || isa.Active == isa.AVX2 }

// gatherGemm computes all tiles, or one unless gathersTiles.
func gatherGemm(g *GatherGemm) {
	bias, residual, flags := unsafe.SliceData(g.Bias), unsafe.SliceData(g.Residual), g.flags()
	switch {
	case isa.Active == isa.AVX512 && g.MR == 12 && g.NR == 32:
		avx512.GatherGemm12x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 12 && g.NR == 16:
		avx512.GatherGemm12x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 8 && g.NR == 32:
		avx512.GatherGemm8x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 8 && g.NR == 16:
		avx512.GatherGemm8x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 7 && g.NR == 32:
		avx512.GatherGemm7x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 7 && g.NR == 16:
		avx512.GatherGemm7x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 6 && g.NR == 32:
		avx512.GatherGemm6x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 6 && g.NR == 16:
		avx512.GatherGemm6x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 5 && g.NR == 32:
		avx512.GatherGemm5x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 5 && g.NR == 16:
		avx512.GatherGemm5x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 4 && g.NR == 32:
		avx512.GatherGemm4x32(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX512 && g.MR == 4 && g.NR == 16:
		avx512.GatherGemm4x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 6 && g.NR == 16:
		avx2.GatherGemm6x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 6 && g.NR == 8:
		avx2.GatherGemm6x8(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 5 && g.NR == 16:
		avx2.GatherGemm5x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 5 && g.NR == 8:
		avx2.GatherGemm5x8(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 4 && g.NR == 16:
		avx2.GatherGemm4x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 4 && g.NR == 8:
		avx2.GatherGemm4x8(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 2 && g.NR == 16:
		avx2.GatherGemm2x16(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	case isa.Active == isa.AVX2 && g.MR == 2 && g.NR == 8:
		avx2.GatherGemm2x8(&g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0], bias, residual, g.Taps, g.TapLen, g.Cols, g.tiles(), flags, g.Lo, g.Hi)
	default:
		gatherGemmGeneric(g)
	}
}

func outerTiles() (rows []int, nr, narrow int) {
	switch isa.Active {
	case isa.AVX512:
		return outerRowsAVX512[:], 32, 16
	case isa.AVX2:
		return outerRowsAVX2[:], 16, 8
	default:
		return outerTilesGeneric()
	}
}

func outerGemm(o *OuterGemm) {
	accumulate := 0
	if o.Accumulate {
		accumulate = 1
	}
	runs := len(o.Runs) / 3
	ahead, step := o.ahead()
	switch {
	case isa.Active == isa.AVX512 && o.MR == 12 && o.NR == 32:
		avx512.OuterGemm12x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 12 && o.NR == 16:
		avx512.OuterGemm12x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 9 && o.NR == 32:
		avx512.OuterGemm9x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 9 && o.NR == 16:
		avx512.OuterGemm9x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 8 && o.NR == 32:
		avx512.OuterGemm8x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 8 && o.NR == 16:
		avx512.OuterGemm8x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 4 && o.NR == 32:
		avx512.OuterGemm4x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 4 && o.NR == 16:
		avx512.OuterGemm4x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 2 && o.NR == 32:
		avx512.OuterGemm2x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 2 && o.NR == 16:
		avx512.OuterGemm2x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 1 && o.NR == 32:
		avx512.OuterGemm1x32(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX512 && o.MR == 1 && o.NR == 16:
		avx512.OuterGemm1x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 6 && o.NR == 16:
		avx2.OuterGemm6x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 6 && o.NR == 8:
		avx2.OuterGemm6x8(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 4 && o.NR == 16:
		avx2.OuterGemm4x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 4 && o.NR == 8:
		avx2.OuterGemm4x8(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 3 && o.NR == 16:
		avx2.OuterGemm3x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 3 && o.NR == 8:
		avx2.OuterGemm3x8(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 2 && o.NR == 16:
		avx2.OuterGemm2x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 2 && o.NR == 8:
		avx2.OuterGemm2x8(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 1 && o.NR == 16:
		avx2.OuterGemm1x16(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	case isa.Active == isa.AVX2 && o.MR == 1 && o.NR == 8:
		avx2.OuterGemm1x8(&o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], runs, o.APitch, o.AStep, o.BPitch, accumulate, ahead, step, o.AheadA)
	default:
		outerGemmGeneric(o)
	}
}

// tileErr has nothing to report: the tile cannot be chosen here.
func tileErr() error { return nil }

var (
	tileAVX512 = gemmTile{mr: 14, shallow: 7, nr: 32, narrow: 16, limits: limitsAVX512, pack: packAVX512}
	tileAVX2   = gemmTile{mr: 6, shallow: 6, nr: 16, narrow: 8, limits: limitsAVX2, pack: packAVX2}
)

func activeGemmTile() *gemmTile {
	switch isa.Active {
	case isa.AVX512:
		return &tileAVX512
	case isa.AVX2:
		return &tileAVX2
	default:
		return gemmTileGeneric()
	}
}

func gemmPanel(t *panelArgs) {
	switch {
	case isa.Active == isa.AVX512 && t.n == 32:
		avx512.Gemm14x32(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.AVX512:
		avx512.Gemm14x16(t.n, t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.AVX2 && t.n == 16:
		avx2.Gemm6x16(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.AVX2:
		avx2.Gemm12x8(t.n, t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	default:
		gemmPanelGeneric(t)
	}
}

func hasDenseGemm() bool { return isa.Active == isa.AVX512 || isa.Active == isa.AVX2 }

func denseTile(cols int) (n, mr int) {
	switch {
	case isa.Active == isa.AVX512 && cols >= 32:
		return 32, 14
	case isa.Active == isa.AVX512 && cols > 8:
		return min(cols, 16), 14
	case isa.Active == isa.AVX2 && cols >= 16:
		return 16, 6
	case hasDenseGemm():
		return min(cols, 8), 12
	default:
		return denseTileGeneric(cols)
	}
}

// densePanel is gemmPanel for the columns that denseTile says: up to eight are half a
// vector of AVX-512.
func densePanel(t *panelArgs) {
	if isa.Active == isa.AVX512 && t.n <= 8 {
		avx2.Gemm12x8(t.n, t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
		return
	}
	gemmPanel(t)
}

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.AVX512:
		avx512.CopyBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	case isa.AVX2:
		avx2.CopyBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		copyBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

func prefetchRows(x []float32, rows []int32, lines int) {
	switch isa.Active {
	case isa.AVX512:
		avx512.PrefetchRows(&x[0], &rows[0], len(rows), lines)
	case isa.AVX2:
		avx2.PrefetchRows(&x[0], &rows[0], len(rows), lines)
	}
}

func clearBlock(dst []float32, ldd, rows, cols int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && how == Streamed:
		avx512.ClearBlockStream(&dst[0], ldd, rows, cols)
	case isa.Active == isa.AVX512:
		avx512.ClearBlock(&dst[0], ldd, rows, cols)
	case isa.Active == isa.AVX2 && how == Streamed:
		avx2.ClearBlockStream(&dst[0], ldd, rows, cols)
	case isa.Active == isa.AVX2:
		avx2.ClearBlock(&dst[0], ldd, rows, cols)
	default:
		clearBlockGeneric(dst, ldd, rows, cols)
	}
}

func transposeBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.AVX512:
		avx512.TransposeBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	case isa.AVX2:
		avx2.TransposeBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		transposeBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

// fmaLoop returns the lanes of a vector.
func fmaLoop(rounds int) int {
	switch isa.Active {
	case isa.AVX512:
		avx512.FMALoop(rounds)
		return 16
	case isa.AVX2:
		avx2.FMALoop(rounds)
		return 8
	default:
		return fmaLoopGeneric(rounds)
	}
}

func prefetchPixels(x []float32, rowStep, rows, pixelStep, pixels, n int) {
	switch isa.Active {
	case isa.AVX512:
		avx512.PrefetchPixels(&x[0], rowStep, rows, pixelStep, pixels, n)
	case isa.AVX2:
		avx2.PrefetchPixels(&x[0], rowStep, rows, pixelStep, pixels, n)
	}
}

func winogradInput(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	switch {
	case isa.Active == isa.AVX512 && m == 2:
		avx512.WinogradInput2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX512 && m == 4:
		avx512.WinogradInput4(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 2:
		avx2.WinogradInput2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 4:
		avx2.WinogradInput4(&v[0], stride, &table[0], n, &scratch[0])
	default:
		winogradInputGeneric(m, v, stride, table, n)
	}
}

func winogradGrad(m int, v []float32, stride int, table *winogradTable, n int, scratch []float32) {
	switch {
	case isa.Active == isa.AVX512 && m == 2:
		avx512.WinogradGrad2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX512 && m == 4:
		avx512.WinogradGrad4(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 2:
		avx2.WinogradGrad2(&v[0], stride, &table[0], n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 4:
		avx2.WinogradGrad4(&v[0], stride, &table[0], n, &scratch[0])
	default:
		winogradGradGeneric(m, v, stride, table, n)
	}
}

func winogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32, stream bool) {
	switch {
	case isa.Active == isa.AVX512 && m == 2:
		avx512.WinogradFilter2(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
	case isa.Active == isa.AVX512 && m == 4:
		avx512.WinogradFilter4(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
	case isa.Active == isa.AVX2 && m == 2:
		avx2.WinogradFilter2(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
	case isa.Active == isa.AVX2 && m == 4:
		avx2.WinogradFilter4(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
	default:
		winogradFilterGeneric(m, u, uStride, g, gStride, n)
	}
}

func winogradFilterGrad(m int, dg []float32, gStride int, u []float32, uStride, n int, scratch []float32) {
	switch {
	case isa.Active == isa.AVX512 && m == 2:
		avx512.WinogradFilterGrad2(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	case isa.Active == isa.AVX512 && m == 4:
		avx512.WinogradFilterGrad4(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 2:
		avx2.WinogradFilterGrad2(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 4:
		avx2.WinogradFilterGrad4(&dg[0], gStride, &u[0], uStride, n, &scratch[0])
	default:
		winogradFilterGradGeneric(m, dg, gStride, u, uStride, n)
	}
}

func winogradOutput(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32, scratch []float32, stream bool) {
	clamp := boolInt(addResidual || lo > negativeInf || hi < positiveInf)
	switch {
	case isa.Active == isa.AVX512 && m == 2:
		avx512.WinogradOutput2(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n, boolInt(stream))
	case isa.Active == isa.AVX512 && m == 4:
		avx512.WinogradOutput4(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n, boolInt(stream))
	case isa.Active == isa.AVX2 && m == 2:
		avx2.WinogradOutput2(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n, &scratch[0])
	case isa.Active == isa.AVX2 && m == 4:
		avx2.WinogradOutput4(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n, &scratch[0])
	default:
		winogradOutputGeneric(m, out, residual, u, stride, bias, addResidual, n, lo, hi)
	}
}

func depthwiseWholeLines() bool { return isa.Active == isa.AVX512 }

// depthwisePixels is the pixels of a tile of the kernels for rows.
func depthwisePixels(size int, gradient bool) int {
	switch {
	case isa.Active == isa.AVX2 && size == 3:
		return 2
	case isa.Active == isa.AVX512 && size == 3 && gradient:
		return 3
	}
	return 4
}

func depthwiseForward(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	yStep, flags := d.pixels*d.c, d.flags(o)
	first, tiles, last := d.cut(depthwisePixels(d.size, false))
	ahead, aheadY := d.ahead(o, table)
	y, rows, w, bias, columns := &o.Y[c0], &table[0], &o.W[c0], &o.Bias[c0], &d.columns[0]
	switch {
	case isa.Active == isa.AVX512 && d.size == 3 && d.stride == 1:
		avx512.DepthwiseRow3s1(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 3 && d.stride == 2:
		avx512.DepthwiseRow3s2(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 5 && d.stride == 1:
		avx512.DepthwiseRow5s1(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 5 && d.stride == 2:
		avx512.DepthwiseRow5s2(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 3 && d.stride == 1:
		avx2.DepthwiseRow3s1(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 3 && d.stride == 2:
		avx2.DepthwiseRow3s2(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 5 && d.stride == 1:
		avx2.DepthwiseRow5s1(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 5 && d.stride == 2:
		avx2.DepthwiseRow5s2(y, yStep, rows, o.Count, w, o.WStride, bias, columns, first, tiles, last, d.left, n, d.c, flags, o.Lo, o.Hi, ahead, aheadY)
	default:
		depthwiseForwardGeneric(d, o, table, c0, n)
	}
}

func depthwiseGradient(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	yStep, flags := d.pixels*d.c, d.flags(o)
	first, tiles, last := d.cut(depthwisePixels(d.size, true))
	ahead, aheadY := d.ahead(o, table)
	y, rows, w, columns := &o.Y[c0], &table[0], &o.W[c0], &d.columns[0]
	switch {
	case isa.Active == isa.AVX512 && d.size == 3 && d.stride == 1:
		avx512.DepthwiseGradRow3s1(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 3 && d.stride == 2:
		avx512.DepthwiseGradRow3s2(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 5 && d.stride == 1:
		avx512.DepthwiseGradRow5s1(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX512 && d.size == 5 && d.stride == 2:
		avx512.DepthwiseGradRow5s2(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 3 && d.stride == 1:
		avx2.DepthwiseGradRow3s1(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 3 && d.stride == 2:
		avx2.DepthwiseGradRow3s2(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 5 && d.stride == 1:
		avx2.DepthwiseGradRow5s1(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	case isa.Active == isa.AVX2 && d.size == 5 && d.stride == 2:
		avx2.DepthwiseGradRow5s2(w, o.WStride, rows, o.Count, y, yStep, columns, first, tiles, last, d.left, n, d.c, flags, ahead, aheadY)
	default:
		depthwiseGradientGeneric(d, o, table, c0, n)
	}
}

func depthwisePixel(dst []float32, taps *depthwiseTaps, count int, bias []float32, lo, hi float32, c int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.DepthwisePixel(&dst[0], &taps[0], count, &bias[0], lo, hi, c)
	case isa.Active == isa.AVX2:
		avx2.DepthwisePixel(&dst[0], &taps[0], count, &bias[0], lo, hi, c)
	default:
		depthwisePixelGeneric(dst, taps, count, bias, lo, hi, c)
	}
}

func depthwiseSteps(dst []float32, dstStep int, taps *depthwiseTaps, count, srcStep, c, pixels int) {
	switch {
	case isa.Active == isa.AVX512 && count == 1:
		avx512.DepthwiseSteps1(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.AVX512 && count == 2:
		avx512.DepthwiseSteps2(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.AVX512 && count == 4:
		avx512.DepthwiseSteps4(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.AVX2 && count == 1:
		avx2.DepthwiseSteps1(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.AVX2 && count == 2:
		avx2.DepthwiseSteps2(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.AVX2 && count == 4:
		avx2.DepthwiseSteps4(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	default:
		depthwiseStepsGeneric(dst, dstStep, taps, count, srcStep, c, pixels)
	}
}

func depthwiseSpread(d *DepthwiseSpread, dst0, dst1, u, v, w, aheadDst, aheadSrc []float32) {
	toDst, toSrc, flags := d.ahead(dst0, dst1, u, aheadDst, aheadSrc)
	switch isa.Active {
	case isa.AVX512:
		avx512.DepthwiseSpread3s2(&dst0[0], &dst1[0], &u[0], &v[0], &w[0], d.WStride, d.C, d.C, d.Blocks, boolInt(d.First), boolInt(d.Last), boolInt(d.Before), boolInt(d.After), flags, toDst, toSrc)
	case isa.AVX2:
		avx2.DepthwiseSpread3s2(&dst0[0], &dst1[0], &u[0], &v[0], &w[0], d.WStride, d.C, d.C, d.Blocks, boolInt(d.First), boolInt(d.Last), boolInt(d.Before), boolInt(d.After), flags, toDst, toSrc)
	default:
		depthwiseSpreadGeneric(d, dst0, dst1, u, v, w)
	}
}

func depthwiseGradPixel(taps *depthwiseTaps, count int, dy []float32, c int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.DepthwiseGradPixel(&dy[0], &taps[0], count, c)
	case isa.Active == isa.AVX2:
		avx2.DepthwiseGradPixel(&dy[0], &taps[0], count, c)
	default:
		depthwiseGradPixelGeneric(taps, count, dy, c)
	}
}

// dotsMost and axpysMost are the most columns of [dots] and rows of [axpys].
func dotsMost() int {
	switch isa.Active {
	case isa.AVX512:
		return 6
	case isa.AVX2:
		return 3
	default:
		return 4
	}
}

func axpysMost() int {
	switch isa.Active {
	case isa.AVX512:
		return 4
	case isa.AVX2:
		return 3
	default:
		return 4
	}
}

func dots(groups, k int, a []float32, lda int, b []float32, cols int, out []float32) {
	switch {
	case isa.Active == isa.AVX512 && cols == 1:
		avx512.Dots4x1(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX512 && cols == 2:
		avx512.Dots4x2(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX512 && cols == 3:
		avx512.Dots4x3(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX512 && cols == 4:
		avx512.Dots4x4(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX512 && cols == 5:
		avx512.Dots4x5(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX512 && cols == 6:
		avx512.Dots4x6(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX2 && cols == 1:
		avx2.Dots4x1(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX2 && cols == 2:
		avx2.Dots4x2(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.AVX2 && cols == 3:
		avx2.Dots4x3(groups, k, &a[0], lda, &b[0], &out[0])
	default:
		dotsGeneric(groups, k, a, lda, b, cols, out)
	}
}

func axpys(rows, k, n int, a []float32, rsa, csa int, b []float32, ldb int, y []float32, ldy int) {
	switch {
	case isa.Active == isa.AVX512 && rows == 1:
		avx512.Axpys4x1(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX512 && rows == 2:
		avx512.Axpys4x2(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX512 && rows == 3:
		avx512.Axpys4x3(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX512 && rows == 4:
		avx512.Axpys4x4(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX2 && rows == 1:
		avx2.Axpys4x1(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX2 && rows == 2:
		avx2.Axpys4x2(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.AVX2 && rows == 3:
		avx2.Axpys4x3(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	default:
		axpysGeneric(rows, k, n, a, rsa, csa, b, ldb, y, ldy)
	}
}
