package blas

import (
	"gonum.org/v1/gonum/blas"

	"github.com/golanes/lanes/kernels"
)

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
	vx, vy := contiguous(lenX, x, incX), contiguous(lenY, y, incY)
	kernels.Gemm(trans, false, lenY, 1, lenX, alpha, a, lda, vx.data, 1, beta, vy.data, 1)
	vx.done()
	vy.store(y, incY)
}

// parallelGer is the number of elements from which Sger is split over threads.
const parallelGer = 1 << 17

// Sger adds alpha*x*yᵀ to the m x n matrix A.
func (i Implementation) Sger(m, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	if alpha == 0 || !fits(a, m, n, lda) || !holds(x, m, incX) || !holds(y, n, incY) {
		i.Implementation.Sger(m, n, alpha, x, incX, y, incY, a, lda)
		return
	}
	vx, vy := contiguous(m, x, incX), contiguous(n, y, incY)
	if m*n < parallelGer {
		gerRows(alpha, vx.data, vy.data, a, lda, 0, m)
	} else {
		gerParallel(alpha, vx.data, vy.data, a, lda)
	}
	vx.done()
	vy.done()
}

func gerParallel(alpha float32, x, y, a []float32, lda int) {
	kernels.Parallel(len(x), 1+parallelGer/4/len(y), func(lo, hi int) { gerRows(alpha, x, y, a, lda, lo, hi) })
}

func gerRows(alpha float32, x, y, a []float32, lda, lo, hi int) {
	for r := lo; r < hi; r++ {
		kernels.Axpy(alpha*x[r], y, a[r*lda:r*lda+len(y)])
	}
}

// Ssymv computes y = alpha*A*x + beta*y for a symmetric A.
func (i Implementation) Ssymv(ul blas.Uplo, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Ssymv(ul, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	symv(dense(ul, n, a, lda), alpha, x, incX, beta, y, incY)
}

// Sspmv is Ssymv for a packed matrix.
func (i Implementation) Sspmv(ul blas.Uplo, n int, alpha float32, ap []float32, x []float32, incX int, beta float32, y []float32, incY int) {
	if !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Sspmv(ul, n, alpha, ap, x, incX, beta, y, incY)
		return
	}
	symv(packed(ul, n, ap), alpha, x, incX, beta, y, incY)
}

// symv reads every stored row once: its dot product with x belongs to y's
// element of that row, its multiple to y's elements of its columns.
func symv(a triangle, alpha float32, x []float32, incX int, beta float32, y []float32, incY int) {
	vx, vy := contiguous(a.n, x, incX), contiguous(a.n, y, incY)
	scaleBy(beta, vy.data)
	for r := range a.n {
		d, off, lo := a.row(r)
		hi := lo + len(off)
		xr := alpha * vx.data[r]
		vy.data[r] += xr*d + alpha*kernels.Dot(off, vx.data[lo:hi])
		kernels.Axpy(xr, off, vy.data[lo:hi])
	}
	vx.done()
	vy.store(y, incY)
}

// Ssyr adds alpha*x*xᵀ to the symmetric matrix A.
func (i Implementation) Ssyr(ul blas.Uplo, n int, alpha float32, x []float32, incX int, a []float32, lda int) {
	if !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) {
		i.Implementation.Ssyr(ul, n, alpha, x, incX, a, lda)
		return
	}
	syr(dense(ul, n, a, lda), alpha, x, incX)
}

// Sspr is Ssyr for a packed matrix.
func (i Implementation) Sspr(ul blas.Uplo, n int, alpha float32, x []float32, incX int, ap []float32) {
	if !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) {
		i.Implementation.Sspr(ul, n, alpha, x, incX, ap)
		return
	}
	syr(packed(ul, n, ap), alpha, x, incX)
}

func syr(a triangle, alpha float32, x []float32, incX int) {
	vx := contiguous(a.n, x, incX)
	for r := range a.n {
		stored, lo := a.stored(r)
		kernels.Axpy(alpha*vx.data[r], vx.data[lo:lo+len(stored)], stored)
	}
	vx.done()
}

// Ssyr2 adds alpha*x*yᵀ + alpha*y*xᵀ to the symmetric matrix A.
func (i Implementation) Ssyr2(ul blas.Uplo, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	if !legalUplo(ul) || alpha == 0 || !fits(a, n, n, lda) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Ssyr2(ul, n, alpha, x, incX, y, incY, a, lda)
		return
	}
	syr2(dense(ul, n, a, lda), alpha, x, incX, y, incY)
}

// Sspr2 is Ssyr2 for a packed matrix.
func (i Implementation) Sspr2(ul blas.Uplo, n int, alpha float32, x []float32, incX int, y []float32, incY int, ap []float32) {
	if !legalUplo(ul) || alpha == 0 || !holdsPacked(ap, n) || !holds(x, n, incX) || !holds(y, n, incY) {
		i.Implementation.Sspr2(ul, n, alpha, x, incX, y, incY, ap)
		return
	}
	syr2(packed(ul, n, ap), alpha, x, incX, y, incY)
}

func syr2(a triangle, alpha float32, x []float32, incX int, y []float32, incY int) {
	vx, vy := contiguous(a.n, x, incX), contiguous(a.n, y, incY)
	for r := range a.n {
		stored, lo := a.stored(r)
		kernels.Axpy(alpha*vx.data[r], vy.data[lo:lo+len(stored)], stored)
		kernels.Axpy(alpha*vy.data[r], vx.data[lo:lo+len(stored)], stored)
	}
	vx.done()
	vy.done()
}
