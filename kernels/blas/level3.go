package blas

import (
	"gonum.org/v1/gonum/blas"

	"github.com/golanes/lanes/kernels"
)

// Sgemm computes C = alpha*op(A)*op(B) + beta*C; C is m x n.
func (i Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	transA, okA := transposed(tA)
	transB, okB := transposed(tB)
	rowsA, colsA, rowsB, colsB := m, k, k, n
	if transA {
		rowsA, colsA = k, m
	}
	if transB {
		rowsB, colsB = n, k
	}
	if !okA || !okB || alpha == 0 || !fits(a, rowsA, colsA, lda) || !fits(b, rowsB, colsB, ldb) || !fits(c, m, n, ldc) {
		i.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// smallGemm is the number of multiplications up to which a loop takes less time than
// the choice of a method.
const smallGemm = 64

// gemm is [kernels.Gemm], or a loop.
func gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if max(m, n, k) > smallGemm || m*n*k > smallGemm {
		kernels.Gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	rsa, csa := lda, 1
	if transA {
		rsa, csa = 1, lda
	}
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		scaleBy(beta, row)
		if !transB {
			for p := range k {
				axpy(alpha*a[i*rsa+p*csa], b[p*ldb:p*ldb+n], row)
			}
			continue
		}
		for j := range row {
			var sum float32
			for p, v := range b[j*ldb : j*ldb+k] {
				sum += a[i*rsa+p*csa] * v
			}
			row[j] += alpha * sum
		}
	}
}

// symmBlock is the number of rows of a symmetric matrix that Ssymm writes out
// in full at a time.
const symmBlock = 256

// Ssymm computes C = alpha*A*B + beta*C (Left) or C = alpha*B*A + beta*C
// (Right) for a symmetric A; B and C are m x n.
func (i Implementation) Ssymm(s blas.Side, ul blas.Uplo, m, n int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	k := n
	if s == blas.Left {
		k = m
	}
	if max(m, n) <= fewRows || !legalSide(s) || !legalUplo(ul) || alpha == 0 || !fits(a, k, k, lda) || !fits(b, m, n, ldb) || !fits(c, m, n, ldc) {
		i.Implementation.Ssymm(s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	rows := borrow(min(symmBlock, k) * k)
	for lo := 0; lo < k; lo += symmBlock {
		nb := min(symmBlock, k-lo)
		fillRows(*rows, dense(ul, k, a, lda), lo, nb)
		if s == blas.Left {
			gemm(false, false, nb, n, k, alpha, *rows, k, b, ldb, beta, c[lo*ldc:], ldc)
		} else {
			gemm(false, true, m, nb, k, alpha, b, ldb, *rows, k, beta, c[lo:], ldc)
		}
	}
	scratch.Put(rows)
}

// fillRows writes the nb rows from lo of the symmetric matrix a to dst, both
// halves.
func fillRows(dst []float32, a triangle, lo, nb int) {
	n := a.n
	for r := lo; r < lo+nb; r++ {
		row, first := a.stored(r)
		copy(dst[(r-lo)*n+first:], row)
	}
	from, to := lo, n // rows whose stored part reaches into the columns lo..lo+nb
	if a.upper {
		from, to = 0, lo+nb
	}
	for q := from; q < to; q++ {
		row, first := a.stored(q)
		for col := max(lo, first); col < min(lo+nb, first+len(row)); col++ {
			dst[(col-lo)*n+q] = row[col-first]
		}
	}
}

// rankBase is the order up to which a triangle of Ssyrk and Ssyr2k is computed
// as a full square.
const rankBase = 128

const (
	// fewRows is how many rows of a matrix are too few for a product to pay.
	fewRows = 6
	// nativeRank is the larger dimension up to which gonum's Ssyrk and Ssyr2k without
	// transposition, which skip no zeros, take less time.
	nativeRank = 8
)

// Ssyrk computes C = alpha*A*Aᵀ + beta*C (NoTrans, A n x k) or
// C = alpha*Aᵀ*A + beta*C for a symmetric C.
func (i Implementation) Ssyrk(ul blas.Uplo, tA blas.Transpose, n, k int, alpha float32, a []float32, lda int, beta float32, c []float32, ldc int) {
	trans, ok := transposed(tA)
	rows, cols := n, k
	if trans {
		rows, cols = k, n
	}
	if !trans && max(n, k) <= nativeRank || !ok || !legalUplo(ul) || alpha == 0 || !fits(a, rows, cols, lda) || !fits(c, n, n, ldc) {
		i.Implementation.Ssyrk(ul, tA, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	r := rank{upper: ul == blas.Upper, trans: trans, k: k, alpha: alpha, lda: lda, ldb: lda, beta: beta, ldc: ldc, one: true}
	r.update(n, a, a, c)
}

// Ssyr2k computes C = alpha*A*Bᵀ + alpha*B*Aᵀ + beta*C (NoTrans, A and B n x k)
// or C = alpha*Aᵀ*B + alpha*Bᵀ*A + beta*C for a symmetric C.
func (i Implementation) Ssyr2k(ul blas.Uplo, tA blas.Transpose, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	trans, ok := transposed(tA)
	rows, cols := n, k
	if trans {
		rows, cols = k, n
	}
	if !trans && max(n, k) <= nativeRank || !ok || !legalUplo(ul) || alpha == 0 || !fits(a, rows, cols, lda) || !fits(b, rows, cols, ldb) || !fits(c, n, n, ldc) {
		i.Implementation.Ssyr2k(ul, tA, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	r := rank{upper: ul == blas.Upper, trans: trans, k: k, alpha: alpha, lda: lda, ldb: ldb, beta: beta, ldc: ldc}
	r.update(n, a, b, c)
}

// rank is a symmetric rank-k (one) or rank-2k update.
type rank struct {
	upper, trans, one bool
	k, lda, ldb, ldc  int
	alpha, beta       float32
}

// product computes C = alpha*A*Bᵀ + beta*C and, for rank 2k, adds the term with
// the roles of A and B exchanged. (a1, b1) belong to C's rows, (a2, b2) to its
// columns.
func (r *rank) product(m, n int, a1, b1, a2, b2 []float32, beta float32, c []float32, ldc int) {
	gemm(r.trans, !r.trans, m, n, r.k, r.alpha, a1, r.lda, b2, r.ldb, beta, c, ldc)
	if !r.one {
		gemm(r.trans, !r.trans, m, n, r.k, r.alpha, b1, r.ldb, a2, r.lda, 1, c, ldc)
	}
}

// update halves the triangle: two smaller triangles and a rectangle.
func (r *rank) update(n int, a, b, c []float32) {
	if n <= rankBase {
		r.base(n, a, b, c)
		return
	}
	n1 := (n/2 + 63) &^ 63
	a2, b2 := a[r.skip(n1, r.lda):], b[r.skip(n1, r.ldb):]
	r.update(n1, a, b, c)
	r.update(n-n1, a2, b2, c[n1*r.ldc+n1:])
	if r.upper {
		r.product(n1, n-n1, a, b, a2, b2, r.beta, c[n1:], r.ldc)
	} else {
		r.product(n-n1, n1, a2, b2, a, b, r.beta, c[n1*r.ldc:], r.ldc)
	}
}

// skip is the offset of row n1 of op(A).
func (r *rank) skip(n1, ld int) int {
	if r.trans {
		return n1
	}
	return n1 * ld
}

func (r *rank) base(n int, a, b, c []float32) {
	if n <= fewRows && !r.trans || r.trans && (r.k <= fewRows/2 || max(n, r.k) < fewRows) {
		r.rows(n, a, b, c)
		return
	}
	square := borrow(n * n)
	r.product(n, n, a, b, a, b, 0, *square, n)
	for i := range n {
		lo, hi := 0, i+1
		if r.upper {
			lo, hi = i, n
		}
		row := c[i*r.ldc+lo : i*r.ldc+hi]
		scaleBy(r.beta, row)
		axpy(1, (*square)[i*n+lo:i*n+hi], row)
	}
	scratch.Put(square)
}

// rows is base for few rows of A, or few rows of its transpose.
func (r *rank) rows(n int, a, b, c []float32) {
	for i := range n {
		lo, hi := 0, i+1
		if r.upper {
			lo, hi = i, n
		}
		row := c[i*r.ldc+lo : i*r.ldc+hi]
		scaleBy(r.beta, row)
		if r.trans {
			for p := range r.k {
				axpy(r.alpha*a[p*r.lda+i], b[p*r.ldb+lo:p*r.ldb+hi], row)
				if !r.one {
					axpy(r.alpha*b[p*r.ldb+i], a[p*r.lda+lo:p*r.lda+hi], row)
				}
			}
			continue
		}
		for j := range row {
			sum := dot(a[i*r.lda:i*r.lda+r.k], b[(lo+j)*r.ldb:(lo+j)*r.ldb+r.k])
			if !r.one {
				sum += dot(b[i*r.ldb:i*r.ldb+r.k], a[(lo+j)*r.lda:(lo+j)*r.lda+r.k])
			}
			row[j] += r.alpha * sum
		}
	}
}
