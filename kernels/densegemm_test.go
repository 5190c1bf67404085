package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestDenseGemm(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		_, wide, narrow := kernels.GatherTiles()
		for _, nr := range []int{wide, narrow} {
			for _, cols := range []int{1, nr/2 - 1, nr / 2, nr/2 + 1, 3 * nr / 4, nr - 1, nr} {
				for _, rows := range []int{1, 5, 6, 7, 11, 12, 13, 14, 15, 29} {
					for _, depth := range []int{1, 3, 17, 1024} {
						if depth == 1024 && rows != 15 {
							continue
						}
						t.Run(fmt.Sprintf("panel=%d/cols=%d/rows=%d/depth=%d", nr, cols, rows, depth), func(t *testing.T) {
							testDenseGemm(t, nr, cols, rows, depth)
						})
					}
				}
			}
		}
	})
}

func testDenseGemm(t *testing.T, nr, cols, rows, depth int) {
	const seed = 1
	lda, ldc := depth, cols+3
	if depth < 1024 {
		lda += 2
	}
	size := (rows-1)*ldc + cols
	start := integers(t, seed, size)
	a, b := integers(t, seed+1, (rows-1)*lda+depth), integers(t, seed+2, depth*nr)
	bias, residual := integers(t, seed+3, cols), integers(t, seed+4, size)
	for variant := range 12 {
		run := func() []float32 {
			g := kernels.DenseGemm{
				Rows: rows, Depth: depth, NR: nr, Cols: cols, A: a, LDA: lda, B: b, C: kerneltest.GuardedCopy(t, start), LDC: ldc,
				Lo: float32(math.Inf(-1)), Hi: float32(math.Inf(1)),
			}
			if variant&1 != 0 {
				g.Bias = bias
			}
			if variant&2 != 0 {
				g.Lo, g.Hi = 0, 6
			}
			switch variant / 4 {
			case 1:
				g.Accumulate = true
			case 2:
				g.Residual = residual
			}
			g.Run()
			return g.C
		}
		got := run()
		var want []float32
		onGeneric(t, func() { want = run() })
		if !slices.Equal(got, want) {
			t.Fatalf("variant=%d seed=%d: got %v, want %v", variant, seed, got, want)
		}
	}
}

// TestDenseGemmOrder checks that an element depends on its row and column of the
// operands only: the last columns have kernels of their own.
func TestDenseGemmOrder(t *testing.T) {
	const rows, depth, seed = 29, 63, 7
	kerneltest.ForEachISA(t, func(t *testing.T) {
		_, nr, _ := kernels.GatherTiles()
		rng := kerneltest.Rand(seed)
		a, column := rng.Normal(rows*depth), rng.Normal(depth)
		b := make([]float32, depth*nr)
		for i := range b {
			b[i] = column[i/nr]
		}
		var want []float32
		for cols := 1; cols <= nr; cols++ {
			g := kernels.DenseGemm{Rows: rows, Depth: depth, NR: nr, Cols: cols, A: a, LDA: depth, B: b, C: make([]float32, rows*cols), LDC: cols,
				Lo: float32(math.Inf(-1)), Hi: float32(math.Inf(1))}
			g.Run()
			if want == nil {
				want = slices.Clone(g.C)
			}
			for i, v := range g.C {
				if v != want[i/cols] {
					t.Fatalf("seed=%d cols=%d: row %d, column %d is %g, %g elsewhere", seed, cols, i/cols, i%cols, v, want[i/cols])
				}
			}
		}
	})
}

func TestDenseGemmRejects(t *testing.T) {
	ok := func() kernels.DenseGemm {
		return kernels.DenseGemm{Rows: 2, Depth: 3, NR: 16, Cols: 4, A: make([]float32, 6), LDA: 3, B: make([]float32, 48), C: make([]float32, 8), LDC: 4}
	}
	for name, change := range map[string]func(g *kernels.DenseGemm){
		"rows":     func(g *kernels.DenseGemm) { g.Rows = 0 },
		"depth":    func(g *kernels.DenseGemm) { g.Depth = 0 },
		"columns":  func(g *kernels.DenseGemm) { g.Cols = 17 },
		"lda":      func(g *kernels.DenseGemm) { g.LDA = 2 },
		"ldc":      func(g *kernels.DenseGemm) { g.LDC = 3 },
		"a":        func(g *kernels.DenseGemm) { g.A = g.A[1:] },
		"b":        func(g *kernels.DenseGemm) { g.B = g.B[1:] },
		"c":        func(g *kernels.DenseGemm) { g.C = g.C[1:] },
		"bias":     func(g *kernels.DenseGemm) { g.Bias = make([]float32, 3) },
		"residual": func(g *kernels.DenseGemm) { g.Residual = make([]float32, 7) },
		"addends":  func(g *kernels.DenseGemm) { g.Residual, g.Accumulate = make([]float32, 8), true },
	} {
		g := ok()
		change(&g)
		t.Run(name, func(t *testing.T) { mustPanic(t, "kernels.DenseGemm: ", g.Run) })
	}
	g := ok()
	g.Run()
}
