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
