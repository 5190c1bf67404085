//go:build !purego

package kernels

import (
	"os"
	"runtime"
	"unsafe"

	"github.com/klauspost/cpuid/v2"

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

var gatherRowsNEON = [...]int{8, 4, 2}

func gatherTiles() (rows []int, nr, narrow int) {
	switch isa.Active {
	case isa.NEON:
		return gatherRowsNEON[:], 12, 4
	default:
		return gatherTilesGeneric()
	}
}

func gathersTiles() bool { return false }

func gatherGemm(g *GatherGemm) {
	switch {
	case isa.Active == isa.NEON && g.tapsEnd(0) < g.Taps:
		gatherGemmParts(g)
	case isa.Active == isa.NEON && g.Cols < g.NR:
		gatherGemmPadded(g)
	case isa.Active == isa.NEON && (g.MR == 8 || g.MR == 4 || g.MR == 2) && g.NR == 12:
		neon.GatherGemm8x12(g.MR, &g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0],
			unsafe.SliceData(g.Bias), unsafe.SliceData(g.Residual), g.Taps, g.TapLen, flag(g.Accumulate), g.Lo, g.Hi)
	case isa.Active == isa.NEON && (g.MR == 8 || g.MR == 4 || g.MR == 2) && g.NR == 4:
		neon.GatherGemm8x4(g.MR, &g.C[0], &g.Rows[0], &g.A[0], &g.Table[0], &g.Zero[0], &g.B[0],
			unsafe.SliceData(g.Bias), unsafe.SliceData(g.Residual), g.Taps, g.TapLen, flag(g.Accumulate), g.Lo, g.Hi)
	default:
		gatherGemmGeneric(g)
	}
}

// tapsEnd returns the end of the taps from t on of which none is left out.
func (g *GatherGemm) tapsEnd(t int) int {
	for t < g.Taps && g.Table[t*g.MR] != GatherSkip {
		t++
	}
	return t
}

// gatherGemmParts computes a tile that leaves out taps, one run of taps after another.
func gatherGemmParts(g *GatherGemm) {
	part := *g
	part.Lo, part.Hi = negativeInf, positiveInf
	for t := 0; ; {
		end := g.tapsEnd(t)
		next := end
		for next < g.Taps && g.Table[next*g.MR] == GatherSkip {
			next++
		}
		part.Table, part.B, part.Taps = g.Table[t*g.MR:], g.B[t*g.TapLen*g.NR:], end-t
		if next == g.Taps {
			part.Lo, part.Hi = g.Lo, g.Hi
		}
		if part.Taps == 0 {
			gatherGemmGeneric(&part)
		} else {
			gatherGemm(&part)
		}
		if next == g.Taps {
			return
		}
		t, part.Accumulate, part.Residual = next, true, nil
	}
}

// gatherGemmPadded computes a tile with fewer columns than its panel as a whole
// one whose rows of C, bias and residual are copies: NEON has no masked loads.
func gatherGemmPadded(g *GatherGemm) {
	var c, residual [8 * 12]float32
	var bias [12]float32
	var rows [8]int32
	if g.MR > len(rows) || g.NR > len(bias) {
		gatherGemmGeneric(g)
		return
	}
	whole := *g
	whole.Cols, whole.C, whole.Rows = g.NR, c[:], rows[:]
	if g.Bias != nil {
		copy(bias[:], g.Bias[:g.Cols])
		whole.Bias = bias[:]
	}
	if g.Residual != nil {
		whole.Residual = residual[:]
	}
	for i := range g.MR {
		rows[i] = int32(i * g.NR)
		if g.Accumulate {
			copy(c[rows[i]:], g.C[g.Rows[i]:][:g.Cols])
		}
		if g.Residual != nil {
			copy(residual[rows[i]:], g.Residual[g.Rows[i]:][:g.Cols])
		}
	}
	gatherGemm(&whole)
	for i := range g.MR {
		copy(g.C[g.Rows[i]:][:g.Cols], c[rows[i]:])
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

var outerRowsNEON = [...]int{8, 4, 3, 2, 1}

func outerTiles() (rows []int, nr, narrow int) {
	switch isa.Active {
	case isa.NEON:
		return outerRowsNEON[:], 12, 4
	default:
		return outerTilesGeneric()
	}
}

func outerGemm(o *OuterGemm) {
	switch {
	case isa.Active == isa.NEON && o.MR <= 8 && (o.MR <= 4 || o.MR == 8) && o.NR == 12:
		neon.OuterGemm8x12(o.MR, &o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], len(o.Runs)/3, o.APitch, o.AStep, o.BPitch, flag(o.Accumulate))
	case isa.Active == isa.NEON && o.MR <= 8 && (o.MR <= 4 || o.MR == 8) && o.NR == 4:
		neon.OuterGemm8x4(o.MR, &o.C[0], o.LDC, &o.A[0], &o.B[0], &o.Runs[0], len(o.Runs)/3, o.APitch, o.AStep, o.BPitch, flag(o.Accumulate))
	default:
		outerGemmGeneric(o)
	}
}

// neonTile is the tile of this machine, neonTileErr what was wrong with
// LANES_NEON_TILE.
var neonTile, neonTileErr = chooseNEONTile(os.Getenv("LANES_NEON_TILE"), runtime.GOOS, cpuid.CPU.VendorID, cpuid.CPU.Model>>4)

func tileErr() error { return neonTileErr }

func activeGemmTile() *gemmTile {
	switch isa.Active {
	case isa.NEON:
		return &neonTile
	default:
		return gemmTileGeneric()
	}
}

func gemmPanel(t *panelArgs) {
	switch {
	case isa.Active == isa.NEON && t.n == 12:
		neon.Gemm8x12(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.NEON && t.n == 8 && t.rows <= 4:
		neon.Gemm4x8(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.NEON && t.n == 8:
		neon.Gemm8x8(t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	case isa.Active == isa.NEON:
		neon.Gemm8x4(t.n, t.rows, t.tiles, t.less, t.k, t.alpha, &t.a[0], t.rsa, t.csa, &t.b[0], t.ldb,
			t.beta, &t.d[0], &t.c[0], t.ldc, unsafe.SliceData(t.bias), t.clamp, t.pitch, unsafe.SliceData(t.next), t.ldNext, t.rowsNext)
	default:
		gemmPanelGeneric(t)
	}
}

func hasDenseGemm() bool { return false }

func denseTile(cols int) (n, mr int) { return denseTileGeneric(cols) }

func densePanel(t *panelArgs) { gemmPanelGeneric(t) }

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.NEON:
		neon.CopyBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		copyBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

func prefetchRows([]float32, []int32, int) {}

func clearBlock(dst []float32, ldd, rows, cols int, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.ClearBlock(&dst[0], ldd, rows, cols)
	default:
		clearBlockGeneric(dst, ldd, rows, cols)
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

func prefetchPixels([]float32, int, int, int, int, int) {}

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

func winogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32, stream bool) {
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradFilter2(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradFilter4(&u[0], uStride, &g[0], gStride, n, &scratch[0], boolInt(stream))
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

func winogradOutput(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32, scratch []float32, stream bool) {
	clamp := boolInt(addResidual || lo > negativeInf || hi < positiveInf)
	switch {
	case isa.Active == isa.NEON && m == 2:
		neon.WinogradOutput2(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n)
	case isa.Active == isa.NEON && m == 4:
		neon.WinogradOutput4(&out[0], &residual[0], &u[0], stride, &bias[0], boolInt(addResidual), clamp, lo, hi, n)
	default:
		winogradOutputGeneric(m, out, residual, u, stride, bias, addResidual, n, lo, hi)
	}
}

func depthwiseWholeLines() bool { return false }

func depthwiseForward(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	if isa.Active != isa.NEON {
		depthwiseForwardGeneric(d, o, table, c0, n)
		return
	}
	for j := range o.Count {
		d.forwardNEON(o, table[j*d.stride:], j, c0, n)
	}
}

func depthwiseGradient(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	if isa.Active != isa.NEON {
		depthwiseGradientGeneric(d, o, table, c0, n)
		return
	}
	for t := 0; o.Set && t < d.size*d.size; t++ {
		clear(o.W[t*o.WStride+c0:][:n])
	}
	for j := range o.Count {
		d.gradientNEON(o, table[j*d.stride:], j, c0, n)
	}
}

func depthwisePixel(dst []float32, taps *depthwiseTaps, count int, bias []float32, lo, hi float32, c int) {
	switch {
	case isa.Active == isa.NEON:
		neon.DepthwisePixel(&dst[0], &taps[0], count, &bias[0], lo, hi, c)
	default:
		depthwisePixelGeneric(dst, taps, count, bias, lo, hi, c)
	}
}

func depthwiseSteps(dst []float32, dstStep int, taps *depthwiseTaps, count, srcStep, c, pixels int) {
	switch {
	case isa.Active == isa.NEON && count == 1:
		neon.DepthwiseSteps1(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.NEON && count == 2:
		neon.DepthwiseSteps2(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	case isa.Active == isa.NEON && count == 4:
		neon.DepthwiseSteps4(&dst[0], dstStep, &taps[0], srcStep, c, pixels)
	default:
		depthwiseStepsGeneric(dst, dstStep, taps, count, srcStep, c, pixels)
	}
}

func depthwiseSpread(d *DepthwiseSpread, dst0, dst1, u, v, w, _, _ []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.DepthwiseSpread3s2(&dst0[0], &dst1[0], &u[0], &v[0], &w[0], d.WStride, d.C, d.C, d.Blocks, boolInt(d.First), boolInt(d.Last), boolInt(d.Before), boolInt(d.After), 0, nil, nil)
	default:
		depthwiseSpreadGeneric(d, dst0, dst1, u, v, w)
	}
}

func depthwiseGradPixel(taps *depthwiseTaps, count int, dy []float32, c int) {
	switch {
	case isa.Active == isa.NEON:
		neon.DepthwiseGradPixel(&dy[0], &taps[0], count, c)
	default:
		depthwiseGradPixelGeneric(taps, count, dy, c)
	}
}

// dotsMost and axpysMost are the most columns of [dots] and rows of [axpys].
func dotsMost() int {
	switch isa.Active {
	case isa.NEON:
		return 6
	default:
		return 4
	}
}

func axpysMost() int { return 4 }

func dots(groups, k int, a []float32, lda int, b []float32, cols int, out []float32) {
	switch {
	case isa.Active == isa.NEON && cols == 1:
		neon.Dots4x1(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.NEON && cols == 2:
		neon.Dots4x2(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.NEON && cols == 3:
		neon.Dots4x3(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.NEON && cols == 4:
		neon.Dots4x4(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.NEON && cols == 5:
		neon.Dots4x5(groups, k, &a[0], lda, &b[0], &out[0])
	case isa.Active == isa.NEON && cols == 6:
		neon.Dots4x6(groups, k, &a[0], lda, &b[0], &out[0])
	default:
		dotsGeneric(groups, k, a, lda, b, cols, out)
	}
}

func axpys(rows, k, n int, a []float32, rsa, csa int, b []float32, ldb int, y []float32, ldy int) {
	switch {
	case isa.Active == isa.NEON && rows == 1:
		neon.Axpys4x1(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.NEON && rows == 2:
		neon.Axpys4x2(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.NEON && rows == 3:
		neon.Axpys4x3(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	case isa.Active == isa.NEON && rows == 4:
		neon.Axpys4x4(k, n, &a[0], rsa, csa, &b[0], ldb, &y[0], ldy)
	default:
		axpysGeneric(rows, k, n, a, rsa, csa, b, ldb, y, ldy)
	}
}
