package blas_test

import gonumblas "gonum.org/v1/gonum/blas"

// The float64 routines that testblas asks for, each put to lanes as well.

func (sh shadow) Ddot(n int, x []float64, incX int, y []float64, incY int) float64 {
	return sh.compare("Sdot", [][]float64{x, y},
		func(w [][]float64, _ func(float64) float64) float64 { return native.Ddot(n, w[0], incX, w[1], incY) },
		func(i gonumblas.Float32, w [][]float32) float32 { return i.Sdot(n, w[0], incX, w[1], incY) })
}

func (sh shadow) Dnrm2(n int, x []float64, incX int) float64 {
	return sh.compare("Snrm2", [][]float64{x},
		func(w [][]float64, _ func(float64) float64) float64 { return native.Dnrm2(n, w[0], incX) },
		func(i gonumblas.Float32, w [][]float32) float32 { return i.Snrm2(n, w[0], incX) })
}

func (sh shadow) Dasum(n int, x []float64, incX int) float64 {
	return sh.compare("Sasum", [][]float64{x},
		func(w [][]float64, _ func(float64) float64) float64 { return native.Dasum(n, w[0], incX) },
		func(i gonumblas.Float32, w [][]float32) float32 { return i.Sasum(n, w[0], incX) })
}

func (sh shadow) Dswap(n int, x []float64, incX int, y []float64, incY int) {
	sh.compare("Sswap", [][]float64{x, y},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dswap(n, w[0], incX, w[1], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sswap(n, w[0], incX, w[1], incY)
			return 0
		})
}

func (sh shadow) Dcopy(n int, x []float64, incX int, y []float64, incY int) {
	sh.compare("Scopy", [][]float64{x, y},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dcopy(n, w[0], incX, w[1], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Scopy(n, w[0], incX, w[1], incY)
			return 0
		})
}

func (sh shadow) Daxpy(n int, alpha float64, x []float64, incX int, y []float64, incY int) {
	sh.compare("Saxpy", [][]float64{x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Daxpy(n, r(alpha), w[0], incX, w[1], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Saxpy(n, float32(alpha), w[0], incX, w[1], incY)
			return 0
		})
}

func (sh shadow) Drot(n int, x []float64, incX int, y []float64, incY int, c, v float64) {
	sh.compare("Srot", [][]float64{x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Drot(n, w[0], incX, w[1], incY, r(c), r(v))
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Srot(n, w[0], incX, w[1], incY, float32(c), float32(v))
			return 0
		})
}

func (sh shadow) Dscal(n int, alpha float64, x []float64, incX int) {
	sh.compare("Sscal", [][]float64{x},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dscal(n, r(alpha), w[0], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sscal(n, float32(alpha), w[0], incX)
			return 0
		})
}

func (sh shadow) Dgemv(tA gonumblas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	sh.compare("Sgemv", [][]float64{a, x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dgemv(tA, m, n, r(alpha), w[0], lda, w[1], incX, r(beta), w[2], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sgemv(tA, m, n, float32(alpha), w[0], lda, w[1], incX, float32(beta), w[2], incY)
			return 0
		})
}

func (sh shadow) Dgbmv(tA gonumblas.Transpose, m, n, kL, kU int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	sh.compare("Sgbmv", [][]float64{a, x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dgbmv(tA, m, n, kL, kU, r(alpha), w[0], lda, w[1], incX, r(beta), w[2], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sgbmv(tA, m, n, kL, kU, float32(alpha), w[0], lda, w[1], incX, float32(beta), w[2], incY)
			return 0
		})
}

func (sh shadow) Dtrmv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n int, a []float64, lda int, x []float64, incX int) {
	sh.compare("Strmv", [][]float64{a, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtrmv(ul, tA, d, n, w[0], lda, w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Strmv(ul, tA, d, n, w[0], lda, w[1], incX)
			return 0
		})
}

func (sh shadow) Dtbmv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n, k int, a []float64, lda int, x []float64, incX int) {
	sh.compare("Stbmv", [][]float64{a, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtbmv(ul, tA, d, n, k, w[0], lda, w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Stbmv(ul, tA, d, n, k, w[0], lda, w[1], incX)
			return 0
		})
}

func (sh shadow) Dtpmv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n int, ap, x []float64, incX int) {
	sh.compare("Stpmv", [][]float64{ap, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtpmv(ul, tA, d, n, w[0], w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Stpmv(ul, tA, d, n, w[0], w[1], incX)
			return 0
		})
}

func (sh shadow) Dtrsv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n int, a []float64, lda int, x []float64, incX int) {
	sh.compare("Strsv", [][]float64{a, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtrsv(ul, tA, d, n, w[0], lda, w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Strsv(ul, tA, d, n, w[0], lda, w[1], incX)
			return 0
		})
}

func (sh shadow) Dtbsv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n, k int, a []float64, lda int, x []float64, incX int) {
	sh.compare("Stbsv", [][]float64{a, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtbsv(ul, tA, d, n, k, w[0], lda, w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Stbsv(ul, tA, d, n, k, w[0], lda, w[1], incX)
			return 0
		})
}

func (sh shadow) Dtpsv(ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, n int, ap, x []float64, incX int) {
	sh.compare("Stpsv", [][]float64{ap, x},
		func(w [][]float64, _ func(float64) float64) float64 {
			native.Dtpsv(ul, tA, d, n, w[0], w[1], incX)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Stpsv(ul, tA, d, n, w[0], w[1], incX)
			return 0
		})
}

func (sh shadow) Dsymv(ul gonumblas.Uplo, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	sh.compare("Ssymv", [][]float64{a, x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsymv(ul, n, r(alpha), w[0], lda, w[1], incX, r(beta), w[2], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssymv(ul, n, float32(alpha), w[0], lda, w[1], incX, float32(beta), w[2], incY)
			return 0
		})
}

func (sh shadow) Dsbmv(ul gonumblas.Uplo, n, k int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	sh.compare("Ssbmv", [][]float64{a, x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsbmv(ul, n, k, r(alpha), w[0], lda, w[1], incX, r(beta), w[2], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssbmv(ul, n, k, float32(alpha), w[0], lda, w[1], incX, float32(beta), w[2], incY)
			return 0
		})
}

func (sh shadow) Dspmv(ul gonumblas.Uplo, n int, alpha float64, ap, x []float64, incX int, beta float64, y []float64, incY int) {
	sh.compare("Sspmv", [][]float64{ap, x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dspmv(ul, n, r(alpha), w[0], w[1], incX, r(beta), w[2], incY)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sspmv(ul, n, float32(alpha), w[0], w[1], incX, float32(beta), w[2], incY)
			return 0
		})
}

func (sh shadow) Dger(m, n int, alpha float64, x []float64, incX int, y []float64, incY int, a []float64, lda int) {
	sh.compare("Sger", [][]float64{x, y, a},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dger(m, n, r(alpha), w[0], incX, w[1], incY, w[2], lda)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sger(m, n, float32(alpha), w[0], incX, w[1], incY, w[2], lda)
			return 0
		})
}

func (sh shadow) Dsyr(ul gonumblas.Uplo, n int, alpha float64, x []float64, incX int, a []float64, lda int) {
	sh.compare("Ssyr", [][]float64{x, a},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsyr(ul, n, r(alpha), w[0], incX, w[1], lda)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssyr(ul, n, float32(alpha), w[0], incX, w[1], lda)
			return 0
		})
}

func (sh shadow) Dspr(ul gonumblas.Uplo, n int, alpha float64, x []float64, incX int, ap []float64) {
	sh.compare("Sspr", [][]float64{x, ap},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dspr(ul, n, r(alpha), w[0], incX, w[1])
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sspr(ul, n, float32(alpha), w[0], incX, w[1])
			return 0
		})
}

func (sh shadow) Dsyr2(ul gonumblas.Uplo, n int, alpha float64, x []float64, incX int, y []float64, incY int, a []float64, lda int) {
	sh.compare("Ssyr2", [][]float64{x, y, a},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsyr2(ul, n, r(alpha), w[0], incX, w[1], incY, w[2], lda)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssyr2(ul, n, float32(alpha), w[0], incX, w[1], incY, w[2], lda)
			return 0
		})
}

func (sh shadow) Dspr2(ul gonumblas.Uplo, n int, alpha float64, x []float64, incX int, y []float64, incY int, ap []float64) {
	sh.compare("Sspr2", [][]float64{x, y, ap},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dspr2(ul, n, r(alpha), w[0], incX, w[1], incY, w[2])
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sspr2(ul, n, float32(alpha), w[0], incX, w[1], incY, w[2])
			return 0
		})
}

func (sh shadow) Dgemm(tA, tB gonumblas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	sh.compare("Sgemm", [][]float64{a, b, c},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dgemm(tA, tB, m, n, k, r(alpha), w[0], lda, w[1], ldb, r(beta), w[2], ldc)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Sgemm(tA, tB, m, n, k, float32(alpha), w[0], lda, w[1], ldb, float32(beta), w[2], ldc)
			return 0
		})
}

func (sh shadow) Dsymm(s gonumblas.Side, ul gonumblas.Uplo, m, n int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	sh.compare("Ssymm", [][]float64{a, b, c},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsymm(s, ul, m, n, r(alpha), w[0], lda, w[1], ldb, r(beta), w[2], ldc)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssymm(s, ul, m, n, float32(alpha), w[0], lda, w[1], ldb, float32(beta), w[2], ldc)
			return 0
		})
}

func (sh shadow) Dsyrk(ul gonumblas.Uplo, tA gonumblas.Transpose, n, k int, alpha float64, a []float64, lda int, beta float64, c []float64, ldc int) {
	sh.compare("Ssyrk", [][]float64{a, c},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsyrk(ul, tA, n, k, r(alpha), w[0], lda, r(beta), w[1], ldc)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssyrk(ul, tA, n, k, float32(alpha), w[0], lda, float32(beta), w[1], ldc)
			return 0
		})
}

func (sh shadow) Dsyr2k(ul gonumblas.Uplo, tA gonumblas.Transpose, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	sh.compare("Ssyr2k", [][]float64{a, b, c},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dsyr2k(ul, tA, n, k, r(alpha), w[0], lda, w[1], ldb, r(beta), w[2], ldc)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Ssyr2k(ul, tA, n, k, float32(alpha), w[0], lda, w[1], ldb, float32(beta), w[2], ldc)
			return 0
		})
}

func (sh shadow) Dtrmm(s gonumblas.Side, ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, m, n int, alpha float64, a []float64, lda int, b []float64, ldb int) {
	sh.compare("Strmm", [][]float64{a, b},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dtrmm(s, ul, tA, d, m, n, r(alpha), w[0], lda, w[1], ldb)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Strmm(s, ul, tA, d, m, n, float32(alpha), w[0], lda, w[1], ldb)
			return 0
		})
}

func (sh shadow) Dtrsm(s gonumblas.Side, ul gonumblas.Uplo, tA gonumblas.Transpose, d gonumblas.Diag, m, n int, alpha float64, a []float64, lda int, b []float64, ldb int) {
	sh.compare("Strsm", [][]float64{a, b},
		func(w [][]float64, r func(float64) float64) float64 {
			native.Dtrsm(s, ul, tA, d, m, n, r(alpha), w[0], lda, w[1], ldb)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			i.Strsm(s, ul, tA, d, m, n, float32(alpha), w[0], lda, w[1], ldb)
			return 0
		})
}

func (sh shadow) Idamax(n int, x []float64, incX int) int {
	return int(sh.compare("Isamax", [][]float64{x},
		func(w [][]float64, _ func(float64) float64) float64 { return float64(native.Idamax(n, w[0], incX)) },
		func(i gonumblas.Float32, w [][]float32) float32 { return float32(i.Isamax(n, w[0], incX)) }))
}

func (sh shadow) Drotm(n int, x []float64, incX int, y []float64, incY int, p gonumblas.DrotmParams) {
	sh.compare("Srotm", [][]float64{x, y},
		func(w [][]float64, r func(float64) float64) float64 {
			rp := gonumblas.DrotmParams{Flag: p.Flag}
			for i, h := range p.H {
				rp.H[i] = r(h)
			}
			native.Drotm(n, w[0], incX, w[1], incY, rp)
			return 0
		},
		func(i gonumblas.Float32, w [][]float32) float32 {
			rp := gonumblas.SrotmParams{Flag: p.Flag}
			for i, h := range p.H {
				rp.H[i] = float32(h)
			}
			i.Srotm(n, w[0], incX, w[1], incY, rp)
			return 0
		})
}
