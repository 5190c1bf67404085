package blas

import (
	"gonum.org/v1/gonum/blas"

	"github.com/golanes/lanes/kernels"
)

// smallGemv is the number of elements of A up to which gonum's Sgemv, which skips no
// zeros either, is faster.
const smallGemv = 64 * 64

// Sgemv computes y = alpha*A*x + beta*y or y = alpha*Aᵀ*x + beta*y; A is m x n.
func (i Implementation) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	trans, ok := transposed(tA)
	lenX, lenY := n, m
	if trans {
		lenX, lenY = m, n
	}
	if !ok || alpha == 0 || !fits(a, m, n, lda) || !holds(x, lenX, incX) || !holds(y, lenY, incY) {
		i.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	if m*n <= smallGemv {
		if incY == 1 {
			y = y[:lenY] // beta = 0 sets all of y where gonum has no machine code
		}
		i.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	vx, fromX := contiguous(nil, lenX, x, incX)
	vy, fromY := contiguous(nil, lenY, y, incY)
	kernels.Gemm(trans, false, lenY, 1, lenX, alpha, a, lda, vx, 1, beta, vy, 1)
	release(fromX)
	store(vy, fromY, y, incY)
}

const (
	// smallGer is the larger dimension of A up to which gonum's machine code is faster.
	smallGer = 64
	// parallelGer is the number of elements from which Sger is split over threads.
	parallelGer = 1 << 17
	// gerRowsMost is how many rows Sger updates one by one where they are longer than
	// shortRow; more are a matrix product of depth 1.
	gerRowsMost = 8
)

// Sger adds alpha*x*yᵀ to the m x n matrix A.
func (i Implementation) Sger(m, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	rising := incX > 0 && incY > 0 // gonum's machine code is wrong for other increments
	if rising && native(max(m, n), smallGer, true) || alpha == 0 || !fits(a, m, n, lda) || !holds(x, m, incX) || !holds(y, n, incY) {
		i.Implementation.Sger(m, n, alpha, x, incX, y, incY, a, lda)
		return
	}
	if few := m <= gerRowsMost || n <= shortRow; few && max(m, n) <= fewElements {
		var roomX, roomY [fewElements]float32
		vx, _ := contiguous(roomX[:], m, x, incX)
		vy, _ := contiguous(roomY[:], n, y, incY)
		gerRows(alpha, vx, vy, a, lda, 0, m)
		return
	}
	vx, fromX := contiguous(nil, m, x, incX)
	vy, fromY := contiguous(nil, n, y, incY)
	if m*n < parallelGer {
		kernels.Gemm(false, false, m, n, 1, alpha, vx, 1, vy, n, 1, a, lda)
	} else {
		gerParallel(alpha, vx, vy, a, lda)
	}
	release(fromX)
	release(fromY)
}

func gerParallel(alpha float32, x, y, a []float32, lda int) {
	kernels.Parallel(len(x), 1+parallelGer/4/len(y), func(lo, hi int) { gerRows(alpha, x, y, a, lda, lo, hi) })
}

func gerRows(alpha float32, x, y, a []float32, lda, lo, hi int) {
	for r := lo; r < hi; r++ {
		axpy(alpha*x[r], y, a[r*lda:r*lda+len(y)])
	}
}

// Ssymv computes y = alpha*A*x + beta*y for a symmetric A.
func (i Implementation) Ssymv(ul blas.Uplo, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if native(n, nativeSymmetric, incX == 1 && incY == 1) || !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Ssymv(ul, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	symv(dense(ul, n, a, lda), alpha, x, incX, beta, y, incY)
}

// Sspmv is Ssymv for a packed matrix.
func (i Implementation) Sspmv(ul blas.Uplo, n int, alpha float32, ap []float32, x []float32, incX int, beta float32, y []float32, incY int) {
	if native(n, nativeSymmetric, incX == 1 && incY == 1) || !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Sspmv(ul, n, alpha, ap, x, incX, beta, y, incY)
		return
	}
	symv(packed(ul, n, ap), alpha, x, incX, beta, y, incY)
}

// symv reads every stored row once: its dot product with x belongs to y's
// element of that row, its multiple to y's elements of its columns.
func symv(a triangle, alpha float32, x []float32, incX int, beta float32, y []float32, incY int) {
	var roomX, roomY [fewElements]float32
	vx, fromX := contiguous(roomX[:], a.n, x, incX)
	vy, fromY := contiguous(roomY[:], a.n, y, incY)
	symvRows(a, alpha, vx, beta, vy)
	release(fromX)
	store(vy, fromY, y, incY)
}

func symvRows(a triangle, alpha float32, x []float32, beta float32, y []float32) {
	scaleBy(beta, y)
	for r := range a.n {
		d, off, lo := a.row(r)
		xr := alpha * x[r]
		x, z := x[lo:lo+len(off)], y[lo:lo+len(off)]
		var sum float32
		if len(off) > 4*shortRow {
			sum = kernels.Dot(off, x)
			kernels.Axpy(xr, off, z)
		} else {
			for i, v := range off {
				sum += v * x[i]
				z[i] += xr * v
			}
		}
		y[r] += xr*d + alpha*sum
	}
}

// Ssyr adds alpha*x*xᵀ to the symmetric matrix A.
func (i Implementation) Ssyr(ul blas.Uplo, n int, alpha float32, x []float32, incX int, a []float32, lda int) {
	if !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) {
		i.Implementation.Ssyr(ul, n, alpha, x, incX, a, lda)
		return
	}
	if native(n, nativeOrder, true) && nonzero(alpha, n, x, incX) {
		i.Implementation.Ssyr(ul, n, alpha, x, incX, a, lda)
		return
	}
	syr(dense(ul, n, a, lda), alpha, x, incX)
}

// nonzero reports whether alpha times any of the n elements of x is not zero, for which
// gonum's Ssyr skips a row.
func nonzero(alpha float32, n int, x []float32, inc int) bool {
	at := first(n, inc)
	for range n {
		if alpha*x[at] == 0 {
			return false
		}
		at += inc
	}
	return true
}

// Sspr is Ssyr for a packed matrix.
func (i Implementation) Sspr(ul blas.Uplo, n int, alpha float32, x []float32, incX int, ap []float32) {
	if native(n, nativeOrder, true) || !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) {
		i.Implementation.Sspr(ul, n, alpha, x, incX, ap)
		return
	}
	syr(packed(ul, n, ap), alpha, x, incX)
}

func syr(a triangle, alpha float32, x []float32, incX int) {
	var room [fewElements]float32
	vx, fromX := contiguous(room[:], a.n, x, incX)
	syrRows(a, alpha, vx)
	release(fromX)
}

func syrRows(a triangle, alpha float32, x []float32) {
	for r := range a.n {
		stored, lo := a.stored(r)
		axpy(alpha*x[r], x[lo:lo+len(stored)], stored)
	}
}

// Ssyr2 adds alpha*x*yᵀ + alpha*y*xᵀ to the symmetric matrix A.
func (i Implementation) Ssyr2(ul blas.Uplo, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	if native(n, nativeMost, incX == 1 && incY == 1) || !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Ssyr2(ul, n, alpha, x, incX, y, incY, a, lda)
		return
	}
	syr2(dense(ul, n, a, lda), alpha, x, incX, y, incY)
}

// Sspr2 is Ssyr2 for a packed matrix.
func (i Implementation) Sspr2(ul blas.Uplo, n int, alpha float32, x []float32, incX int, y []float32, incY int, ap []float32) {
	if native(n, nativeMost, incX == 1 && incY == 1) || !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Sspr2(ul, n, alpha, x, incX, y, incY, ap)
		return
	}
	syr2(packed(ul, n, ap), alpha, x, incX, y, incY)
}

func syr2(a triangle, alpha float32, x []float32, incX int, y []float32, incY int) {
	var roomX, roomY [fewElements]float32
	vx, fromX := contiguous(roomX[:], a.n, x, incX)
	vy, fromY := contiguous(roomY[:], a.n, y, incY)
	syr2Rows(a, alpha, vx, vy)
	release(fromX)
	release(fromY)
}

func syr2Rows(a triangle, alpha float32, x, y []float32) {
	for r := range a.n {
		stored, lo := a.stored(r)
		axpy(alpha*x[r], y[lo:lo+len(stored)], stored)
		axpy(alpha*y[r], x[lo:lo+len(stored)], stored)
	}
}
