//go:build !purego

package kernels

import (
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

func activeGemmTile() gemmTile { return gemmTileGeneric() }

func gemmPanel(t *panelArgs) { gemmPanelGeneric(t) }

func copyBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	switch isa.Active {
	case isa.NEON:
		neon.CopyBlock(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		copyBlockGeneric(rows, cols, dst, ldd, src, lds)
	}
}

func transposeBlock(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	transposeBlockGeneric(rows, cols, dst, ldd, src, lds)
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
