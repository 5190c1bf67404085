package blas_test

import (
	"fmt"
	"math"
	"testing"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/testblas"

	"github.com/golanes/lanes/kernels/blas"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestConformance runs gonum's testblas suite on every ISA.
func TestConformance(t *testing.T) {
	suite := map[string]func(*testing.T, shadow){
		"Dot":   func(t *testing.T, s shadow) { testblas.DdotTest(t, s) },
		"Nrm2":  func(t *testing.T, s shadow) { testblas.Dnrm2Test(t, s) },
		"Asum":  func(t *testing.T, s shadow) { testblas.DasumTest(t, s) },
		"Iamax": func(t *testing.T, s shadow) { testblas.IdamaxTest(t, s) },
		"Swap":  func(t *testing.T, s shadow) { testblas.DswapTest(t, s) },
		"Copy":  func(t *testing.T, s shadow) { testblas.DcopyTest(t, s) },
		"Axpy":  func(t *testing.T, s shadow) { testblas.DaxpyTest(t, s) },
		"Rot":   func(t *testing.T, s shadow) { testblas.DrotTest(t, s) },
		"Rotm":  func(t *testing.T, s shadow) { testblas.DrotmTest(t, s) },
		"Scal":  func(t *testing.T, s shadow) { testblas.DscalTest(t, s) },
		"Gemv":  func(t *testing.T, s shadow) { testblas.DgemvTest(t, s) },
		"Gbmv":  func(t *testing.T, s shadow) { testblas.DgbmvTest(t, s) },
		"Trmv":  func(t *testing.T, s shadow) { testblas.DtrmvTest(t, s) },
		"Tbmv":  func(t *testing.T, s shadow) { testblas.DtbmvTest(t, s) },
		"Tpmv":  func(t *testing.T, s shadow) { testblas.DtpmvTest(t, s) },
		"Trsv":  func(t *testing.T, s shadow) { testblas.DtrsvTest(t, s) },
		"Tbsv":  func(t *testing.T, s shadow) { testblas.DtbsvTest(t, s) },
		"Tpsv":  func(t *testing.T, s shadow) { testblas.DtpsvTest(t, s) },
		"Txmv":  func(t *testing.T, s shadow) { testblas.DtxmvTest(t, s) },
		"Symv":  func(t *testing.T, s shadow) { testblas.DsymvTest(t, s) },
		"Sbmv":  func(t *testing.T, s shadow) { testblas.DsbmvTest(t, s) },
		"Spmv":  func(t *testing.T, s shadow) { testblas.DspmvTest(t, s) },
		"Ger":   func(t *testing.T, s shadow) { testblas.DgerTest(t, s) },
		"Syr":   func(t *testing.T, s shadow) { testblas.DsyrTest(t, s) },
		"Spr":   func(t *testing.T, s shadow) { testblas.DsprTest(t, s) },
		"Syr2":  func(t *testing.T, s shadow) { testblas.Dsyr2Test(t, s) },
		"Spr2":  func(t *testing.T, s shadow) { testblas.Dspr2Test(t, s) },
		"Gemm":  func(t *testing.T, s shadow) { testblas.TestDgemm(t, s) },
		"Symm":  func(t *testing.T, s shadow) { testblas.DsymmTest(t, s) },
		"Syrk":  func(t *testing.T, s shadow) { testblas.DsyrkTest(t, s) },
		"Syr2k": func(t *testing.T, s shadow) { testblas.Dsyr2kTest(t, s) },
		"Trmm":  func(t *testing.T, s shadow) { testblas.DtrmmTest(t, s) },
		"Trsm":  func(t *testing.T, s shadow) { testblas.DtrsmTest(t, s) },
	}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for name, f := range suite {
			t.Run(name, func(t *testing.T) { f(t, shadow{t}) })
		}
	})
}

// Sizes around the blocks of level 3, and increments of every kind.
var (
	orders     = []int{1, 3, 31, 33, 65, 127, 129, 200, 257, 300}
	increments = []int{1, -1, 2, -3}
	uplos      = []gonumblas.Uplo{gonumblas.Upper, gonumblas.Lower}
	transes    = []gonumblas.Transpose{gonumblas.NoTrans, gonumblas.Trans, gonumblas.ConjTrans}
	diags      = []gonumblas.Diag{gonumblas.Unit, gonumblas.NonUnit}
	sides      = []gonumblas.Side{gonumblas.Left, gonumblas.Right}
	scalars    = []float64{0, 1, -0.5, 2.25}
)

// A source makes operands. Matrices have NaN in the gaps between rows.
type source struct{ *kerneltest.Random }

func (r source) vector(n, inc int) []float64 {
	x := make([]float64, 1+(n-1)*max(inc, -inc))
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

func (r source) matrix(rows, cols, ld int) []float64 {
	a := make([]float64, ld*(rows-1)+cols)
	for i := range a {
		a[i] = r.NormFloat64()
		if i%ld >= cols {
			a[i] = math.NaN()
		}
	}
	return a
}

// triangle is a well-conditioned triangular matrix: solving with a random one
// multiplies errors by more than any tolerance. The other triangle is NaN.
func (r source) triangle(ul gonumblas.Uplo, n, ld int) []float64 {
	a := r.matrix(n, n, ld)
	for i := range n {
		for j := range n {
			switch {
			case i == j:
				a[i*ld+j] = 1 + r.Float64()
			case (j > i) != (ul == gonumblas.Upper):
				a[i*ld+j] = math.NaN()
			default:
				a[i*ld+j] /= float64(n)
			}
		}
	}
	return a
}

func (r source) packed(ul gonumblas.Uplo, n int) []float64 {
	a, p := r.triangle(ul, n, n), []float64{}
	for _, v := range a {
		if v == v {
			p = append(p, v)
		}
	}
	return p
}

func (r source) scalar() float64 { return scalars[r.IntN(len(scalars))] }

func pick[T any](r source, from []T) T { return from[r.IntN(len(from))] }

// TestRandom compares with gonum at sizes that reach every block boundary,
// which testblas does not.
func TestRandom(t *testing.T) {
	const seed = 21
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := source{kerneltest.Rand(seed)}
		rounds := 30
		if testing.Short() {
			rounds = 10
		}
		for round := range rounds {
			t.Run(fmt.Sprintf("seed=%d/round=%d", seed, round), func(t *testing.T) {
				randomLevel2(r, shadow{t})
				randomLevel3(r, shadow{t})
			})
		}
	})
}

func randomLevel2(r source, s shadow) {
	m, n := pick(r, orders), pick(r, orders)
	lda := n + r.IntN(3)
	ix, iy, ul, tA, d := pick(r, increments), pick(r, increments), pick(r, uplos), pick(r, transes), pick(r, diags)
	lenX, lenY := n, m
	if tA != gonumblas.NoTrans {
		lenX, lenY = m, n
	}
	s.Dgemv(tA, m, n, r.scalar(), r.matrix(m, n, lda), lda, r.vector(lenX, ix), ix, r.scalar(), r.vector(lenY, iy), iy)
	s.Dger(m, n, r.scalar(), r.vector(m, 2), 2, r.vector(n, 3), 3, r.matrix(m, n, lda), lda)
	s.Dsymv(ul, n, r.scalar(), r.triangle(ul, n, lda), lda, r.vector(n, ix), ix, r.scalar(), r.vector(n, iy), iy)
	s.Dspmv(ul, n, r.scalar(), r.packed(ul, n), r.vector(n, ix), ix, r.scalar(), r.vector(n, iy), iy)
	s.Dsyr(ul, n, r.scalar(), r.vector(n, ix), ix, r.triangle(ul, n, lda), lda)
	s.Dspr(ul, n, r.scalar(), r.vector(n, ix), ix, r.packed(ul, n))
	s.Dsyr2(ul, n, r.scalar(), r.vector(n, ix), ix, r.vector(n, iy), iy, r.triangle(ul, n, lda), lda)
	s.Dspr2(ul, n, r.scalar(), r.vector(n, ix), ix, r.vector(n, iy), iy, r.packed(ul, n))
	s.Dtrmv(ul, tA, d, n, r.triangle(ul, n, lda), lda, r.vector(n, ix), ix)
	s.Dtpmv(ul, tA, d, n, r.packed(ul, n), r.vector(n, ix), ix)
	s.Dtrsv(ul, tA, d, n, r.triangle(ul, n, lda), lda, r.vector(n, ix), ix)
	s.Dtpsv(ul, tA, d, n, r.packed(ul, n), r.vector(n, ix), ix)
	s.Ddot(n, r.vector(n, ix), ix, r.vector(n, iy), iy)
	s.Daxpy(n, r.scalar(), r.vector(n, ix), ix, r.vector(n, iy), iy)
	s.Dscal(n, r.scalar(), r.vector(n, ix), ix)
	s.Dnrm2(n, r.vector(n, ix), ix)
}

func randomLevel3(r source, s shadow) {
	m, n, k := pick(r, orders), pick(r, orders), pick(r, orders)
	ul, tA, tB, d, side := pick(r, uplos), pick(r, transes), pick(r, transes), pick(r, diags), pick(r, sides)
	rowsA, colsA, rowsB, colsB := m, k, k, n
	if tA != gonumblas.NoTrans {
		rowsA, colsA = k, m
	}
	if tB != gonumblas.NoTrans {
		rowsB, colsB = n, k
	}
	pad := r.IntN(3)
	a, b, c := r.matrix(rowsA, colsA, colsA+pad), r.matrix(rowsB, colsB, colsB+pad), r.matrix(m, n, n+pad)
	s.Dgemm(tA, tB, m, n, k, r.scalar(), a, colsA+pad, b, colsB+pad, r.scalar(), c, n+pad)

	order := n
	if side == gonumblas.Left {
		order = m
	}
	tri := r.triangle(ul, order, order+pad)
	b, c = r.matrix(m, n, n+pad), r.matrix(m, n, n+pad)
	s.Dsymm(side, ul, m, n, r.scalar(), tri, order+pad, b, n+pad, r.scalar(), c, n+pad)
	s.Dtrmm(side, ul, tA, d, m, n, r.scalar(), tri, order+pad, r.matrix(m, n, n+pad), n+pad)
	s.Dtrsm(side, ul, tA, d, m, n, r.scalar(), tri, order+pad, r.matrix(m, n, n+pad), n+pad)

	s.Dsyrk(ul, tA, m, k, r.scalar(), a, colsA+pad, r.scalar(), r.triangle(ul, m, m+pad), m+pad)
	a2 := r.matrix(rowsA, colsA, colsA+pad)
	s.Dsyr2k(ul, tA, m, k, r.scalar(), a, colsA+pad, a2, colsA+pad, r.scalar(), r.triangle(ul, m, m+pad), m+pad)
}

// TestGerIncrements compares with the definition: for negative increments
// gonum's own Sger and Dger (v0.17.0) give wrong results on amd64. The sizes are of
// each way that Sger takes, the last by several threads.
func TestGerIncrements(t *testing.T) {
	for _, size := range [][2]int{{5, 7}, {60, 80}, {301, 512}} {
		for _, ix := range increments {
			for _, iy := range increments {
				if size[0] == 5 || max(ix, -ix, iy, -iy) == 1 {
					testGer(t, size[0], size[1], ix, iy)
				}
			}
		}
	}
}

func testGer(t *testing.T, m, n, ix, iy int) {
	r := source{kerneltest.Rand(22)}
	lda := n + 2
	x, y := r.Integers(1+(m-1)*max(ix, -ix), 9), r.Integers(1+(n-1)*max(iy, -iy), 9)
	a := make([]float32, m*lda)
	(blas.Implementation{}).Sger(m, n, 2, x, ix, y, iy, a, lda)
	for i := range m {
		for j := range n {
			xi, yj := i*ix, j*iy
			if ix < 0 {
				xi += len(x) - 1
			}
			if iy < 0 {
				yj += len(y) - 1
			}
			if want := 2 * x[xi] * y[yj]; a[i*lda+j] != want {
				t.Fatalf("%dx%d incX=%d incY=%d: a[%d,%d] = %v, want %v", m, n, ix, iy, i, j, a[i*lda+j], want)
			}
		}
	}
}

// TestNrm2Range has sums of squares that leave the float32 range either way.
func TestNrm2Range(t *testing.T) {
	for _, size := range []float32{1e-30, 1e-22, 1e-14, 1, 1e17, 1e19, 1e30} {
		x := []float32{3 * size, 0, -4 * size}
		if got, want := (blas.Implementation{}).Snrm2(3, x, 1), 5*size; math.Abs(float64(got/want)-1) > 4*kerneltest.Eps {
			t.Errorf("Snrm2 of %v is %v, want %v", x, got, want)
		}
	}
}

// TestZerosAreNotSkipped: a zero times Inf belongs to the sum.
func TestZerosAreNotSkipped(t *testing.T) {
	inf := float32(math.Inf(1))
	var impl blas.Implementation
	c := []float32{0}
	impl.Sgemm(gonumblas.NoTrans, gonumblas.NoTrans, 1, 1, 2, 1, []float32{0, 1}, 2, []float32{inf, 1}, 1, 0, c, 1)
	x := []float32{1, inf}
	impl.Strmv(gonumblas.Upper, gonumblas.NoTrans, gonumblas.NonUnit, 2, []float32{1, 0, 7, 1}, 2, x, 1)
	y := []float32{1}
	impl.Saxpy(1, 2, []float32{inf * 0}, 1, y, 1)
	for _, v := range []float32{c[0], x[0], y[0]} {
		if v == v {
			t.Errorf("Sgemm, Strmv, Saxpy gave %v, %v, %v: want NaN in all", c[0], x[0], y[0])
		}
	}
}
