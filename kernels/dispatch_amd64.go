//go:build !purego

package kernels

import (
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
