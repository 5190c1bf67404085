//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/kernels/internal/isa"
)

// Every choice of an implementation by ISA on arm64 is made in this file.

func axpy(alpha float32, x, y []float32) {
	switch isa.Active {
	default:
		axpyGeneric(alpha, x, y)
	}
}

func dot(x, y []float32) float32 {
	switch isa.Active {
	default:
		return dotGeneric(x, y)
	}
}
