package blas

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels"
)

const (
	// triBase is the order up to which a triangle is applied to strips of B.
	triBase = 32
	// triRows is the order up to which it is applied row by row.
	triRows = 8
	// triStrip is the number of columns that are worked on together there: 32
	// rows of them fit the L1 cache.
	triStrip = 192
)

// Strmm computes B = alpha*op(A)*B (Left) or B = alpha*B*op(A) (Right) for a
// triangular A; B is m x n.
func (i Implementation) Strmm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int) {
	t, ok := newTriangular(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
	if !ok {
		i.Implementation.Strmm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	scaleMatrix(alpha, m, n, b, ldb)
	t.apply(s, m, n, a, b)
}

// Strsm solves op(A)*X = alpha*B (Left) or X*op(A) = alpha*B (Right) for a
// triangular A; B is m x n and receives X. A is not checked for singularity.
func (i Implementation) Strsm(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int) {
	t, ok := newTriangular(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
	if !ok {
		i.Implementation.Strsm(s, ul, tA, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	t.solve = true
	scaleMatrix(alpha, m, n, b, ldb)
	t.apply(s, m, n, a, b)
}

// triangular multiplies by op(A) or solves with it. strip tells that B is a strip.
type triangular struct {
	upper, trans, unit, solve, strip bool
	lda, ldb                         int
}

func newTriangular(s blas.Side, ul blas.Uplo, tA blas.Transpose, d blas.Diag, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int) (triangular, bool) {
	trans, ok := transposed(tA)
	k := n
	if s == blas.Left {
		k = m
	}
	ok = ok && legalSide(s) && legalUplo(ul) && legalDiag(d) && alpha != 0 && fits(a, k, k, lda) && fits(b, m, n, ldb)
	return triangular{upper: ul == blas.Upper, trans: trans, unit: d == blas.Unit, lda: lda, ldb: ldb}, ok
}

// apply applies op(A) to the m x n matrix B from side s.
func (t *triangular) apply(s blas.Side, m, n int, a, b []float32) {
	switch {
	case s == blas.Right:
		t.right(m, n, a, b)
	case m <= triRows && n <= triStrip:
		t.rows(m, n, a, b)
	default:
		t.left(m, n, a, b)
	}
}

// half is where a triangle of order n is cut.
func (t *triangular) half(n int) int {
	base := triBase
	if t.strip {
		base = triRows
	}
	return max(base, (n/2+base-1)&^(base-1))
}

// rectangle is the stored block beside the two halves of a triangle cut at k.
func (t *triangular) rectangle(a []float32, k int) []float32 {
	if t.upper {
		return a[k:]
	}
	return a[k*t.lda:]
}

// factor is the sign with which the rectangle's product is added.
func (t *triangular) factor() float32 {
	if t.solve {
		return -1
	}
	return 1
}

// left applies op(A), m x m, to the m x n matrix B. Cut into halves,
//
//	op(A) upper: B1 <- op(A)11*B1 + op(A)12*B2, B2 <- op(A)22*B2
//	op(A) lower: B2 <- op(A)22*B2 + op(A)21*B1, B1 <- op(A)11*B1
//
// in the order that uses each half before it is overwritten; a solution goes
// the other way round, with the sum subtracted before its half is solved.
func (t *triangular) left(m, n int, a, b []float32) {
	switch {
	case m <= triRows && t.strip:
		t.rows(m, n, a, b)
		return
	case m <= triBase && !t.strip:
		t.leftBase(m, n, a, b)
		return
	}
	k := t.half(m)
	off, a22, b2 := t.rectangle(a, k), a[k*t.lda+k:], b[k*t.ldb:]
	firstHalf := func() { t.left(k, n, a, b) }
	secondHalf := func() { t.left(m-k, n, a22, b2) }
	if t.upper != t.trans { // op(A) is upper
		update := func() {
			kernels.Gemm(t.trans, false, k, n, m-k, t.factor(), off, t.lda, b2, t.ldb, 1, b, t.ldb)
		}
		t.order(firstHalf, update, secondHalf)
		return
	}
	update := func() {
		kernels.Gemm(t.trans, false, m-k, n, k, t.factor(), off, t.lda, b, t.ldb, 1, b2, t.ldb)
	}
	t.order(secondHalf, update, firstHalf)
}

// right applies op(A), n x n, to the m x n matrix B from the right:
//
//	op(A) upper: B2 <- B2*op(A)22 + B1*op(A)12, B1 <- B1*op(A)11
//	op(A) lower: B1 <- B1*op(A)11 + B2*op(A)21, B2 <- B2*op(A)22
func (t *triangular) right(m, n int, a, b []float32) {
	if n <= triBase {
		t.rightBase(m, n, a, b)
		return
	}
	k := t.half(n)
	off, a22, b2 := t.rectangle(a, k), a[k*t.lda+k:], b[k:]
	firstHalf := func() { t.right(m, k, a, b) }
	secondHalf := func() { t.right(m, n-k, a22, b2) }
	if t.upper != t.trans { // op(A) is upper
		update := func() {
			kernels.Gemm(false, t.trans, m, n-k, k, t.factor(), b, t.ldb, off, t.lda, 1, b2, t.ldb)
		}
		t.order(secondHalf, update, firstHalf)
		return
	}
	update := func() {
		kernels.Gemm(false, t.trans, m, k, n-k, t.factor(), b2, t.ldb, off, t.lda, 1, b, t.ldb)
	}
	t.order(firstHalf, update, secondHalf)
}

// order runs the three steps of a multiplication, or backwards for a solution.
func (t *triangular) order(apply, update, other func()) {
	if t.solve {
		apply, other = other, apply
	}
	apply()
	update()
	other()
}

// leftBase applies a small op(A) to strips of columns of B.
func (t *triangular) leftBase(m, n int, a, b []float32) {
	u := *t
	u.strip = true
	if n <= triStrip {
		u.left(m, n, a, b)
		return
	}
	u.leftStrips(m, n, a, b)
}

func (t triangular) leftStrips(m, n int, a, b []float32) {
	kernels.Parallel((n+triStrip-1)/triStrip, 2, func(lo, hi int) {
		for at := lo * triStrip; at < min(n, hi*triStrip); at += triStrip {
			t.left(m, min(triStrip, n-at), a, b[at:])
		}
	})
}

// rightBase applies a small op(A) from the right to strips of rows of B, as its
// transpose from the left to their transpose.
func (t *triangular) rightBase(m, n int, a, b []float32) {
	if m <= fewRows {
		t.rightRows(m, n, a, b)
		return
	}
	if m <= triStrip {
		t.rightStrip(m, n, a, b)
		return
	}
	t.rightStrips(m, n, a, b)
}

func (t triangular) rightStrips(m, n int, a, b []float32) {
	kernels.Parallel((m+triStrip-1)/triStrip, 2, func(lo, hi int) {
		for at := lo * triStrip; at < min(m, hi*triStrip); at += triStrip {
			t.rightStrip(min(triStrip, m-at), n, a, b[at*t.ldb:])
		}
	})
}

func (t *triangular) rightStrip(m, n int, a, b []float32) {
	turned := borrow(m * n)
	for r := range m {
		for c, v := range b[r*t.ldb:][:n] {
			(*turned)[c*m+r] = v
		}
	}
	u := *t
	u.trans, u.strip, u.ldb = !t.trans, true, m
	u.left(n, m, a, *turned)
	for r := range m {
		row := b[r*t.ldb:][:n]
		for c := range row {
			row[c] = (*turned)[c*m+r]
		}
	}
	scratch.Put(turned)
}

// rightRows applies op(A) from the right to each of few short rows of B, as its
// transpose to a vector.
func (t *triangular) rightRows(m, n int, a, b []float32) {
	var own gonum.Implementation
	ul, tA, d := blas.Lower, blas.Trans, blas.NonUnit
	if t.upper {
		ul = blas.Upper
	}
	if t.trans {
		tA = blas.NoTrans
	}
	if t.unit {
		d = blas.Unit
	}
	for r := range m {
		if row := b[r*t.ldb:][:n]; t.solve {
			own.Strsv(ul, tA, d, n, a, t.lda, row, 1)
		} else {
			own.Strmv(ul, tA, d, n, a, t.lda, row, 1)
		}
	}
}

// rows applies op(A), order n, to n rows of w elements.
func (t *triangular) rows(n, w int, a, b []float32) {
	opUpper := t.upper != t.trans
	stride, step := 1, t.lda // of op(A) along a row and from row to row
	if t.trans {
		stride, step = t.lda, 1
	}
	for s := range n {
		i := s
		if opUpper == t.solve {
			i = n - 1 - s
		}
		row := b[i*t.ldb : i*t.ldb+w]
		d := float32(1)
		if !t.unit {
			d = a[i*t.lda+i]
		}
		lo, hi := 0, i
		if opUpper {
			lo, hi = i+1, n
		}
		if !t.solve && !t.unit {
			multiply(d, row)
		}
		if w <= shortRow {
			for ; lo+1 < hi; lo += 2 {
				axpyTwo(t.factor()*a[i*step+lo*stride], b[lo*t.ldb:lo*t.ldb+w],
					t.factor()*a[i*step+(lo+1)*stride], b[(lo+1)*t.ldb:(lo+1)*t.ldb+w], row)
			}
		}
		for k := lo; k < hi; k++ {
			axpy(t.factor()*a[i*step+k*stride], b[k*t.ldb:k*t.ldb+w], row)
		}
		if t.solve && !t.unit {
			multiply(1/d, row)
		}
	}
}

// multiply sets x = f*x. Unlike scaleBy, f = 0 does not hide a NaN.
func multiply(f float32, x []float32) {
	for i := range x {
		x[i] *= f
	}
}
