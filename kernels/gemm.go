package kernels

import "math/bits"

// Gemm computes C = alpha*op(A)*op(B) + beta*C for row-major matrices, where
// op(X) is X or its transpose: op(A) is m x k, op(B) is k x n, C is m x n. With
// transA, A is stored k x m (leading dimension lda >= m), else m x k
// (lda >= k); likewise B. C must not overlap A or B. beta = 0 never reads C,
// which may hold NaN.
//
// Each element is a sum over k in blocks of up to 640 terms, each block one
// chain of multiply-adds in ascending order (fused on AVX2, AVX-512 and NEON; NEON
// adds even and odd terms of the last columns apart) times alpha; beta*C comes
// with the first block. Zeros in A and B are not
// skipped. Products with m or n up to 48, and the last columns of products with n
// up to 256, may sum in another order, and then alpha and beta*C come last. Which
// order, and so every bit of the result, depends on the ISA and the arguments'
// shape alone, not on the number of threads.
//
// Large products are divided over [Parallel] and pack their operands into
// buffers that the package keeps, one set per thread that was ever busy here.
func Gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	checkMatrix("Gemm", "A", transA, m, k, a, lda)
	checkMatrix("Gemm", "B", transB, k, n, b, ldb)
	checkMatrix("Gemm", "C", false, m, n, c, ldc)
	if m == 0 || n == 0 {
		return
	}
	var g gemmCall
	g.setProduct(m, n, k, alpha, beta)
	g.setA(transA, a, lda)
	g.setB(transB, b, ldb)
	g.c, g.ldc = c, ldc
	g.run()
}

// checkMatrix panics unless x can hold op(X) of rows x cols, stored row-major
// with leading dimension ld.
func checkMatrix(op, name string, trans bool, rows, cols int, x []float32, ld int) {
	if rows < 0 || cols < 0 {
		panic("kernels." + op + ": negative dimension of " + name)
	}
	if trans {
		rows, cols = cols, rows
	}
	if ld < max(1, cols) {
		panic("kernels." + op + ": leading dimension of " + name + " below its row length")
	}
	if rows > 0 && cols > 0 {
		high, last := bits.Mul(uint(rows-1), uint(ld))
		if len(x) < cols || high > 0 || last > uint(len(x)-cols) {
			panic("kernels." + op + ": " + name + " is too short")
		}
	}
}
