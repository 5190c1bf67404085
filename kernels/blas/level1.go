package blas

import (
	"math"
)

// unit reports whether x and y are both contiguous. Two increments of -1 are as
// good as two of 1 for an operation that treats all pairs alike.
func unit(n int, x []float32, incX int, y []float32, incY int) bool {
	return incX == incY && (incX == 1 || incX == -1) && n > 0 && n <= len(x) && n <= len(y)
}

// Sdot returns the dot product of x and y.
func (i Implementation) Sdot(n int, x []float32, incX int, y []float32, incY int) float32 {
	if !unit(n, x, incX, y, incY) {
		return i.Implementation.Sdot(n, x, incX, y, incY)
	}
	return dot(x[:n], y[:n])
}

// Saxpy adds alpha times x to y.
func (i Implementation) Saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	if alpha == 0 || !unit(n, x, incX, y, incY) {
		i.Implementation.Saxpy(n, alpha, x, incX, y, incY)
		return
	}
	axpy(alpha, x[:n], y[:n])
}

// Sscal multiplies x by alpha. alpha = 0 sets x to zero.
func (i Implementation) Sscal(n int, alpha float32, x []float32, incX int) {
	if incX != 1 || n < 1 || n > len(x) {
		i.Implementation.Sscal(n, alpha, x, incX)
		return
	}
	scaleBy(alpha, x[:n])
}

// Snrm2 returns the Euclidean norm of x.
func (i Implementation) Snrm2(n int, x []float32, incX int) float32 {
	if incX != 1 || n < 1 || n > len(x) {
		return i.Implementation.Snrm2(n, x, incX)
	}
	// In this range no square that matters underflows and none overflows.
	if s := dot(x[:n], x[:n]); s > 0x1p-90 && s < 0x1p120 {
		return float32(math.Sqrt(float64(s)))
	}
	return i.Implementation.Snrm2(n, x, incX)
}
