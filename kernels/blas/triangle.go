package blas

import (
	"gonum.org/v1/gonum/blas"
)

// A triangle is the stored half of an n x n matrix: rows of a dense matrix, or
// rows packed one after the other (ld = 0).
type triangle struct {
	data  []float32
	n, ld int
	upper bool
}

func dense(ul blas.Uplo, n int, a []float32, lda int) triangle {
	return triangle{a, n, lda, ul == blas.Upper}
}

func packed(ul blas.Uplo, n int, ap []float32) triangle {
	return triangle{ap, n, 0, ul == blas.Upper}
}

func holdsPacked(ap []float32, n int) bool { return n > 0 && n*(n+1)/2 <= len(ap) }

// stored returns the stored elements of row r and the column of the first.
func (a triangle) stored(r int) (row []float32, lo int) {
	switch {
	case a.upper && a.ld == 0:
		at := r*a.n - r*(r-1)/2
		return a.data[at : at+a.n-r], r
	case a.upper:
		return a.data[r*a.ld+r : r*a.ld+a.n], r
	case a.ld == 0:
		at := r * (r + 1) / 2
		return a.data[at : at+r+1], 0
	default:
		return a.data[r*a.ld : r*a.ld+r+1], 0
	}
}

// row returns the diagonal element of row r, the others, and their first
// column.
func (a triangle) row(r int) (diag float32, off []float32, lo int) {
	row, lo := a.stored(r)
	if a.upper {
		return row[0], row[1:], lo + 1
	}
	return row[r], row[:r], lo
}

// Strmv computes x = A*x or x = Aᵀ*x for a triangular A.
func (i Implementation) Strmv(ul blas.Uplo, tA blas.Transpose, d blas.Diag, n int, a []float32, lda int, x []float32, incX int) {
	trans, ok := transposed(tA)
	if native(n, nativeMost, true) || native(n, nativeStrmv, incX == 1) || !ok || !legalUplo(ul) || !legalDiag(d) || !fits(a, n, n, lda) || !holds(x, n, incX) {
		i.Implementation.Strmv(ul, tA, d, n, a, lda, x, incX)
		return
	}
	trmv(dense(ul, n, a, lda), trans, d == blas.Unit, x, incX)
}

// Stpmv is Strmv for a packed matrix.
func (i Implementation) Stpmv(ul blas.Uplo, tA blas.Transpose, d blas.Diag, n int, ap []float32, x []float32, incX int) {
	trans, ok := transposed(tA)
	if native(n, nativeMost, true) || !ok || !legalUplo(ul) || !legalDiag(d) || !holdsPacked(ap, n) || !holds(x, n, incX) {
		i.Implementation.Stpmv(ul, tA, d, n, ap, x, incX)
		return
	}
	trmv(packed(ul, n, ap), trans, d == blas.Unit, x, incX)
}

// trmv visits the rows so that each element of x is replaced only after its
// last use.
func trmv(a triangle, trans, unit bool, x []float32, incX int) {
	var room [fewElements]float32
	v, from := contiguous(room[:], a.n, x, incX)
	trmvRows(a, trans, unit, v)
	store(v, from, x, incX)
}

func trmvRows(a triangle, trans, unit bool, x []float32) {
	for step := range a.n {
		r := step
		if a.upper == trans {
			r = a.n - 1 - step
		}
		d, off, lo := a.row(r)
		if unit {
			d = 1
		}
		if others := x[lo : lo+len(off)]; trans {
			axpy(x[r], off, others)
			x[r] *= d
		} else {
			x[r] = x[r]*d + dot(off, others)
		}
	}
}

// Strsv solves A*x = b or Aᵀ*x = b for a triangular A; x holds b at entry.
func (i Implementation) Strsv(ul blas.Uplo, tA blas.Transpose, d blas.Diag, n int, a []float32, lda int, x []float32, incX int) {
	trans, ok := transposed(tA)
	if native(n, nativeMost, true) || !ok || !legalUplo(ul) || !legalDiag(d) || !fits(a, n, n, lda) || !holds(x, n, incX) {
		i.Implementation.Strsv(ul, tA, d, n, a, lda, x, incX)
		return
	}
	trsv(dense(ul, n, a, lda), trans, d == blas.Unit, x, incX)
}

// Stpsv is Strsv for a packed matrix.
func (i Implementation) Stpsv(ul blas.Uplo, tA blas.Transpose, d blas.Diag, n int, ap []float32, x []float32, incX int) {
	trans, ok := transposed(tA)
	if native(n, nativeMost, true) || !ok || !legalUplo(ul) || !legalDiag(d) || !holdsPacked(ap, n) || !holds(x, n, incX) {
		i.Implementation.Stpsv(ul, tA, d, n, ap, x, incX)
		return
	}
	trsv(packed(ul, n, ap), trans, d == blas.Unit, x, incX)
}

// trsv visits the rows in the opposite order of trmv.
func trsv(a triangle, trans, unit bool, x []float32, incX int) {
	var room [fewElements]float32
	v, from := contiguous(room[:], a.n, x, incX)
	trsvRows(a, trans, unit, v)
	store(v, from, x, incX)
}

func trsvRows(a triangle, trans, unit bool, x []float32) {
	for step := range a.n {
		r := step
		if a.upper != trans {
			r = a.n - 1 - step
		}
		d, off, lo := a.row(r)
		if unit {
			d = 1
		}
		if others := x[lo : lo+len(off)]; trans {
			x[r] /= d
			axpy(-x[r], off, others)
		} else {
			x[r] = (x[r] - dot(off, others)) / d
		}
	}
}
