package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// gemmCase is one product and its operands, each against a guard page.
type gemmCase struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	pad            int // added to each leading dimension
	a, b, c        []float32
	lda, ldb, ldc  int
}

func (g *gemmCase) String() string {
	return fmt.Sprintf("transA=%v/transB=%v/m=%d/n=%d/k=%d/alpha=%g/beta=%g/pad=%d",
		g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.beta, g.pad)
}

// matrixLen is the least length of a rows x cols matrix.
func matrixLen(rows, cols, ld int) int {
	if rows == 0 || cols == 0 {
		return 0
	}
	return (rows-1)*ld + cols
}

func (g *gemmCase) make(t testing.TB, r *kerneltest.Random) {
	ar, ac, br, bc := g.m, g.k, g.k, g.n
	if g.transA {
		ar, ac = ac, ar
	}
	if g.transB {
		br, bc = bc, br
	}
	g.lda, g.ldb, g.ldc = max(1, ac+g.pad), max(1, bc+g.pad), max(1, g.n+g.pad)
	fenced := kerneltest.Guarded
	if r.IntN(2) == 0 {
		fenced = kerneltest.GuardedStart
	}
	g.a = fenced(t, matrixLen(ar, ac, g.lda))
	g.b = fenced(t, matrixLen(br, bc, g.ldb))
	g.c = fenced(t, matrixLen(g.m, g.n, g.ldc))
	r.Fill(g.a)
	r.Fill(g.b)
	r.Fill(g.c)
}

func (g *gemmCase) run() {
	kernels.Gemm(g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc)
}

// check runs the case and compares it with the float64 product.
func (g *gemmCase) check(t *testing.T) {
	t.Helper()
	before := append([]float32(nil), g.c...)
	want, mag := kerneltest.GemmRef(g.transA, g.transB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc)
	g.run()
	// k additions, the product with alpha, the product with beta, its sum; one
	// more rounding per pass over k.
	bound := float64(g.k+4+g.k/640) * kerneltest.Eps
	for i := range g.m {
		for j := range g.n {
			got, e := float64(g.c[i*g.ldc+j]), i*g.n+j
			if !(math.Abs(got-want[e]) <= bound*mag[e]) {
				t.Fatalf("%v: C[%d,%d] = %g, want %g +- %g", g, i, j, got, want[e], bound*mag[e])
			}
		}
		if i < g.m-1 && g.n > 0 {
			for j := g.n; j < g.ldc; j++ {
				if e := i*g.ldc + j; g.c[e] != before[e] {
					t.Fatalf("%v: wrote between rows, at C[%d,%d]", g, i, j)
				}
			}
		}
	}
}

func TestGemmShapes(t *testing.T) {
	const seed = 1
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(seed)
		check := func(g gemmCase) {
			g.make(t, r)
			g.check(t)
		}
		// Around the tiles of every ISA, all row counts.
		columns := []int{1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 49, 65}
		blocks := [][3]int{{70, 530, 650}, {410, 40, 1290}, {350, 70, 700}, {3, 1100, 700}, {1100, 3, 700}, {0, 3, 3}, {3, 0, 3}, {3, 3, 0}, {130, 130, 130}}
		if testing.Short() {
			columns = []int{1, 3, 4, 8, 13, 17, 33}
			blocks = [][3]int{{20, 70, 650}, {0, 3, 3}, {3, 0, 3}, {3, 3, 0}}
		}
		for _, m := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 27, 29} {
			for _, n := range columns {
				for i, k := range []int{1, 2, 17, 33} {
					check(gemmCase{transA: i&1 != 0, transB: i&2 != 0, m: m, n: n, k: k, alpha: 1, pad: (m + n) % 3})
					check(gemmCase{transA: i&2 == 0, transB: i&1 == 0, m: m, n: n, k: k, alpha: -0.5, beta: 2, pad: (m + n + 1) % 3})
				}
			}
		}
		// Several blocks in every direction, and empty products.
		for _, s := range blocks {
			for trans := range 4 {
				for _, beta := range []float32{0, 1, -0.25} {
					check(gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: s[0], n: s[1], k: s[2], alpha: 1.5, beta: beta, pad: trans})
				}
			}
		}
	})
}

// TestGemmPanels has A copied for tiles of every height: in its order, and into panels
// from columns and from rows.
func TestGemmPanels(t *testing.T) {
	const page = 1024
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(4)
		for m := 49; m <= 63; m++ {
			// The multiples of a tile's 14, 12, 8, 6 or 4 rows, and beside them.
			if testing.Short() && !slices.Contains([]int{49, 55, 56, 57, 59, 60, 61, 63}, m) {
				continue
			}
			for _, k := range []int{7, 8, 17} {
				for _, g := range []gemmCase{
					{transA: true, m: m, n: 50, k: k, alpha: 1, pad: page - m},
					{transA: true, m: m, n: 520, k: k, alpha: 1, pad: m % 3},
					{m: m, n: 801, k: k, alpha: 1, pad: m % 3},
				} {
					g.make(t, r)
					g.check(t)
				}
			}
		}
	})
}

// TestGemmThreads checks that the number of threads changes no bit.
func TestGemmThreads(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(2)
		shapes := [][3]int{{200, 200, 200}, {64, 1000, 500}, {1000, 20, 500}, {150, 150, 900}, {3, 2001, 300}, {2001, 7, 300}}
		if testing.Short() {
			shapes = [][3]int{{100, 70, 100}}
		}
		for _, s := range shapes {
			for trans := range 4 {
				g := gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: s[0], n: s[1], k: s[2], alpha: 1, beta: 1}
				g.make(t, r)
				before := append([]float32(nil), g.c...)
				withProcs(t, 1, g.run)
				want := append([]float32(nil), g.c...)
				for _, procs := range []int{2, 3, 8} {
					copy(g.c, before)
					withProcs(t, procs, g.run)
					for i := range want {
						if math.Float32bits(g.c[i]) != math.Float32bits(want[i]) {
							t.Fatalf("%v/threads=%d: element %d is %g, %g with one thread", &g, procs, i, g.c[i], want[i])
						}
					}
				}
			}
		}
	})
}

func TestGemmAllocatesNothing(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		r := kerneltest.Rand(3)
		for _, m := range []int{8, 300} {
			if m > 8 && testing.Short() {
				continue
			}
			g := gemmCase{transB: true, m: m, n: 300, k: 300, alpha: 1}
			g.make(t, r)
			if allocs := kerneltest.AllocsPerRun(10, g.run); allocs != 0 {
				t.Errorf("%v: %g allocations", &g, allocs)
			}
		}
	})
}

// TestGemmNarrow covers the products with one short side, which are read along the
// rows of the other operand, around the groups of 4 to 6 that the short side is
// taken in, whole vectors and groups of four of the long side, and blocks of k.
func TestGemmNarrow(t *testing.T) {
	acts := []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.SiLU}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 8
		r := kerneltest.Rand(seed)
		shorts, longs, depths := []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 16, 17}, []int{3, 4, 5, 7, 63, 64, 65, 79, 300}, []int{3, 4, 5, 63, 64, 65, 79, 650}
		if testing.Short() {
			shorts, longs, depths = []int{1, 3, 7, 16}, []int{5, 64, 79}, []int{4, 65, 79}
		}
		for _, short := range shorts {
			for _, long := range longs {
				for _, k := range depths {
					e := epilogueCase{}
					e.transA, e.transB = r.IntN(2) == 0, r.IntN(2) == 0
					e.m, e.n, e.k, e.pad = short, long, k, r.IntN(3)
					if r.IntN(2) == 0 {
						e.m, e.n = long, short
					}
					e.alpha, e.beta = []float32{1, -0.5}[r.IntN(2)], []float32{0, 1, 2}[r.IntN(3)]
					if r.IntN(2) == 0 {
						e.bias, e.rowBias, e.residual, e.act = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(3), acts[r.IntN(len(acts))]
					}
					e.check(t, r)
				}
			}
		}
		// Several blocks of k and of the long side; longer short sides; columns
		// left over behind the panels of every tile.
		shapes := [][3]int{{5, 2, 20000}, {2, 5, 20000}, {9, 2100, 40}, {2100, 9, 40}, {31, 100, 300}, {100, 31, 300}, {48, 70, 260}, {70, 48, 260}, {70, 49, 260}, {65, 100, 400}, {64, 193, 256}}
		for trans := range 4 {
			for _, s := range shapes {
				if testing.Short() && s[2] > 40 {
					continue
				}
				deep := gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: s[0], n: s[1], k: s[2], alpha: -1}
				deep.make(t, r)
				deep.check(t)
			}
		}
	})
}
