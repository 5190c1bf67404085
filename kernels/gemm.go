package kernels

// Gemm computes C = alpha*op(A)*op(B) + beta*C for row-major matrices, where
// op(X) is X or its transpose: op(A) is m x k, op(B) is k x n, C is m x n. With
// transA, A is stored k x m (leading dimension lda >= m), else m x k
// (lda >= k); likewise B. C must not overlap A or B. beta = 0 never reads C,
// which may hold NaN. Zeros in A and B are not skipped.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	gemmGeneric(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

func gemmGeneric(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	ars, acs := lda, 1
	if transA {
		ars, acs = 1, lda
	}
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
		} else if beta != 1 {
			for j := range row {
				row[j] *= beta
			}
		}
		for p := range k {
			v := alpha * a[i*ars+p*acs]
			if transB {
				for j := range row {
					row[j] += v * b[j*ldb+p]
				}
				continue
			}
			axpyGeneric(v, b[p*ldb:p*ldb+n], row)
		}
	}
}
