package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// activation64 is the reference of the activations tested here. None of them
// grows an error by more than 1.2.
func activation64(act kernels.Activation, x float64) float64 {
	sigmoid := 1 / (1 + math.Exp(-x))
	switch act {
	case kernels.ReLU:
		return max(0, x)
	case kernels.ReLU6:
		return min(6, max(0, x))
	case kernels.SiLU:
		return x * sigmoid
	case kernels.HardSwish:
		return x * min(6, max(0, x+3)) / 6
	case kernels.Sigmoid:
		return sigmoid
	}
	return x
}

// epilogueCase is a product with an epilogue of any combination.
type epilogueCase struct {
	gemmCase
	bias, rowBias bool
	residual      int // 0 none, 1 with C's leading dimension, 2 with another
	act           kernels.Activation
	packed        bool
}

func (e *epilogueCase) String() string {
	return fmt.Sprintf("%v/bias=%v/rowbias=%v/residual=%d/act=%v/packed=%v", &e.gemmCase, e.bias, e.rowBias, e.residual, e.act, e.packed)
}

func (e *epilogueCase) check(t *testing.T, r *kerneltest.Random) {
	t.Helper()
	e.make(t, r)
	want, mag := kerneltest.GemmRef(e.transA, e.transB, e.m, e.n, e.k, e.alpha, e.a, e.lda, e.b, e.ldb, e.beta, e.c, e.ldc)
	ep := kernels.Epilogue{Act: e.act}
	plus := func(i, j int, v float32) {
		want[i*e.n+j] += float64(v)
		mag[i*e.n+j] += math.Abs(float64(v))
	}
	if e.bias {
		ep.Bias = kerneltest.GuardedCopy(t, r.Slice(e.n))
	}
	if e.rowBias {
		ep.RowBias = kerneltest.GuardedCopy(t, r.Slice(e.m))
	}
	if e.residual > 0 {
		ep.LDResidual = e.ldc + 5*(e.residual-1)
		ep.Residual = kerneltest.GuardedCopy(t, r.Slice(matrixLen(e.m, e.n, ep.LDResidual)))
	}
	for i := range e.m {
		for j := range e.n {
			if e.bias {
				plus(i, j, ep.Bias[j])
			}
			if e.rowBias {
				plus(i, j, ep.RowBias[i])
			}
			if e.residual > 0 {
				plus(i, j, ep.Residual[i*ep.LDResidual+j])
			}
		}
	}
	if e.packed {
		b := kernels.PackB(e.transB, e.k, e.n, e.b, e.ldb)
		kernels.GemmPacked(e.transA, e.m, e.alpha, e.a, e.lda, b, e.beta, e.c, e.ldc, &ep)
	} else {
		kernels.GemmEpilogue(e.transA, e.transB, e.m, e.n, e.k, e.alpha, e.a, e.lda, e.b, e.ldb, e.beta, e.c, e.ldc, &ep)
	}
	// As in gemmCase.check, with three more additions; the activation grows the
	// error by up to 1.2 and has up to 8 roundings of its own result.
	bound := float64(e.k+7+e.k/640) * kerneltest.Eps * 1.2
	for i := range e.m {
		for j := range e.n {
			got, w := float64(e.c[i*e.ldc+j]), activation64(e.act, want[i*e.n+j])
			if limit := bound*mag[i*e.n+j] + 8*kerneltest.Eps*math.Abs(w); !(math.Abs(got-w) <= limit) {
				t.Fatalf("%v: C[%d,%d] = %g, want %g +- %g", e, i, j, got, w, limit)
			}
		}
	}
}

func TestGemmEpilogue(t *testing.T) {
	acts := []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.ReLU6, kernels.SiLU, kernels.HardSwish, kernels.Sigmoid}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(4)
		for _, s := range [][3]int{{1, 1, 1}, {13, 37, 20}, {29, 70, 400}, {5, 40, 0}, {3, 1, 60}, {1, 50, 60}, {120, 90, 50}} {
			for bits := range 32 {
				e := epilogueCase{bias: bits&1 != 0, rowBias: bits&2 != 0, residual: bits >> 2 % 3, packed: bits&16 != 0, act: acts[r.IntN(len(acts))]}
				e.m, e.n, e.k, e.alpha, e.pad = s[0], s[1], s[2], 0.75, bits%3
				e.transA, e.transB = r.IntN(2) == 0, r.IntN(2) == 0
				e.beta = []float32{0, 1, -0.5}[r.IntN(3)]
				e.check(t, r)
			}
		}
	})
}

// TestGemmPackedEqual checks that packing changes no bit.
func TestGemmPackedEqual(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(5)
		for _, s := range [][3]int{{49, 259, 500}, {300, 300, 30}} {
			for _, transB := range []bool{false, true} {
				g := gemmCase{transB: transB, m: s[0], n: s[1], k: s[2], alpha: 1}
				g.make(t, r)
				packed := kernels.PackB(transB, g.k, g.n, g.b, g.ldb)
				got := make([]float32, len(g.c))
				for range 2 {
					kernels.GemmPacked(false, g.m, 1, g.a, g.lda, packed, 0, got, g.ldc, nil)
					g.run()
					for i := range got {
						if math.Float32bits(got[i]) != math.Float32bits(g.c[i]) {
							t.Fatalf("%v: element %d is %g packed, %g otherwise", &g, i, got[i], g.c[i])
						}
					}
					r.Fill(g.b)
					packed.Repack(transB, g.b, g.ldb)
				}
			}
		}
	})
}

func TestGemmBatched(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(6)
		for _, s := range [][4]int{{1, 5, 6, 7}, {7, 33, 20, 40}, {3, 100, 100, 60}, {4, 3, 3, 0}, {0, 1, 1, 1}, {9, 1, 20, 30}} {
			for _, shared := range []bool{false, true} {
				batch, m, n, k := s[0], s[1], s[2], s[3]
				strideA, strideB, strideC := m*k+3, k*n+1, m*n+2
				if shared {
					strideB = 0
				}
				a, b, c := r.Slice(batch*strideA+m*k), r.Slice(batch*strideB+k*n), r.Slice(batch*strideC+m*n)
				want := append([]float32(nil), c...)
				kernels.GemmBatched(false, false, batch, m, n, k, 2, a, max(1, k), strideA, b, n, strideB, 1, c, n, strideC)
				for i := range batch {
					kernels.Gemm(false, false, m, n, k, 2, a[i*strideA:], max(1, k), b[i*strideB:], n, 1, want[i*strideC:], n)
				}
				for i := range c {
					if math.Float32bits(c[i]) != math.Float32bits(want[i]) {
						t.Fatalf("batch=%d/m=%d/n=%d/k=%d/shared=%v: element %d is %g, %g by itself", batch, m, n, k, shared, i, c[i], want[i])
					}
				}
			}
		}
	})
}

func TestGemmVariantsAllocateNothing(t *testing.T) {
	r := kerneltest.Rand(7)
	const m, n, k = 150, 150, 150
	a, b, c := r.Slice(m*k), r.Slice(k*n), make([]float32, m*n)
	packed := kernels.PackB(false, k, n, b, n)
	ep := &kernels.Epilogue{Bias: r.Slice(n), RowBias: r.Slice(m), Act: kernels.SiLU}
	for name, f := range map[string]func(){
		"packed":   func() { kernels.GemmPacked(false, m, 1, a, k, packed, 0, c, n, ep) },
		"epilogue": func() { kernels.GemmEpilogue(false, false, m, n, k, 1, a, k, b, n, 0, c, n, ep) },
		"batched":  func() { kernels.GemmBatched(false, false, 3, 50, 50, 150, 1, a, k, 50*k, b, 50, 50*k, 0, c, 50, 2500) },
		"repack":   func() { packed.Repack(true, b, k) },
	} {
		if allocs := kerneltest.AllocsPerRun(10, f); allocs != 0 {
			t.Errorf("%s: %g allocations", name, allocs)
		}
	}
}

func TestGemmRefuses(t *testing.T) {
	x := make([]float32, 12)
	b := kernels.PackB(false, 3, 4, x, 4)
	for want, f := range map[string]func(){
		"kernels.Gemm: negative dimension of A":                     func() { kernels.Gemm(false, false, -1, 1, 1, 1, x, 1, x, 1, 0, x, 1) },
		"kernels.Gemm: leading dimension of A below its row length": func() { kernels.Gemm(false, false, 3, 4, 3, 1, x, 2, x, 4, 0, x, 4) },
		"kernels.Gemm: leading dimension of B below its row length": func() { kernels.Gemm(false, true, 3, 4, 3, 1, x, 3, x, 2, 0, x, 4) },
		"kernels.Gemm: B is too short":                              func() { kernels.Gemm(false, false, 3, 5, 3, 1, x, 3, x, 5, 0, x, 5) },
		"kernels.Gemm: C is too short":                              func() { kernels.Gemm(false, false, 4, 4, 3, 1, x, 3, x, 4, 0, x, 4) },
		"kernels.GemmEpilogue: len(Bias) != n": func() {
			kernels.GemmEpilogue(false, false, 3, 4, 3, 1, x, 3, x, 4, 0, x, 4, &kernels.Epilogue{Bias: x[:3]})
		},
		"kernels.GemmPacked: len(RowBias) != m": func() {
			kernels.GemmPacked(false, 3, 1, x, 3, b, 0, x, 4, &kernels.Epilogue{RowBias: x[:4]})
		},
		"kernels.GemmBatched: negative stride": func() { kernels.GemmBatched(false, false, 1, 1, 1, 1, 1, x, 1, -1, x, 1, 0, 0, x, 1, 0) },
		"kernels.GemmBatched: A is too short":  func() { kernels.GemmBatched(false, false, 5, 1, 1, 1, 1, x, 1, 3, x, 1, 0, 0, x, 1, 1) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panicked with %v, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func ExampleGemmEpilogue() {
	// One input row, three features, two outputs: y = ReLU(x*W' + b).
	x := []float32{1, 2, 3}
	w := []float32{1, 0, 1, -1, -1, 0} // row i holds the weights of output i
	y := make([]float32, 2)
	ep := &kernels.Epilogue{Bias: []float32{0.5, 0.5}, Act: kernels.ReLU}
	kernels.GemmEpilogue(false, true, 1, 2, 3, 1, x, 3, w, 3, 0, y, 2, ep)
	fmt.Println(y)
	// Output: [4.5 0]
}
