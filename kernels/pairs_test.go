package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

const panel = kernels.PairPanel

// Panel fillings and channel counts around every tile and strip.
var (
	pairCounts   = []int{1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48}
	pairChannels = []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 255, 256, 257, 515}
)

// pairs holds two packed panels of ni and nj samples, with the samples and
// their labels; everything ends at a guard page.
type pairs struct {
	ni, nj, c int
	ai, aj    []float32
	pi, pj    []float32
	li, lj    []int32
}

func newPairs(t *testing.T, rng *kerneltest.Random, ni, nj, c int) *pairs {
	p := &pairs{ni: ni, nj: nj, c: c}
	p.ai, p.aj = kerneltest.GuardedCopy(t, rng.Slice(ni*c)), kerneltest.GuardedCopy(t, rng.Slice(nj*c))
	p.pi, p.pj = kerneltest.Guarded(t, panel*c), kerneltest.Guarded(t, panel*c)
	rng.Fill(p.pi) // packing overwrites all of it
	kernels.PairPackPanel(p.pi, p.ai, c)
	kernels.PairPackPanel(p.pj, p.aj, c)
	p.li, p.lj = kerneltest.GuardedOf[int32](t, ni), kerneltest.GuardedOf[int32](t, nj)
	// Labels that differ in one bit only, the sign bit too.
	labels := []int32{0, 1, math.MinInt32, math.MinInt32 + 1, -1, 1 << 30}
	for _, l := range [][]int32{p.li, p.lj} {
		for i := range l {
			l[i] = labels[rng.IntN(len(labels))]
		}
	}
	return p
}

func (p *pairs) square(r, s int) float64 {
	var sum float64
	for k := range p.c {
		d := float64(p.ai[r*p.c+k] - p.aj[s*p.c+k])
		sum += d * d
	}
	return sum
}

func TestPairPack(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(31)
		for _, n := range []int{0, 1, panel - 1, panel, panel + 1, 2*panel + 7} {
			for _, c := range []int{0, 1, 3, 16, 37} {
				a := kerneltest.GuardedCopy(t, rng.WithSpecials(n*c))
				got := kerneltest.Guarded(t, kernels.PairPackLen(n, c))
				rng.Fill(got)
				kernels.PairPack(got, a, n, c)
				for i := range len(got) / max(1, c) {
					for k := range c {
						var want float32
						if i < n {
							want = a[i*c+k]
						}
						if v := got[i/panel*panel*c+k*panel+i%panel]; math.Float32bits(v) != math.Float32bits(want) {
							t.Fatalf("n=%d c=%d seed=%d: sample %d channel %d is %v, want %v", n, c, rng.Seed, i, k, v, want)
						}
					}
				}
			}
		}
	})
}

// TestPairSquares: 2 roundings for a difference's square and one for each of
// the additions in a block and of the blocks.
func TestPairSquares(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(32)
		for _, c := range pairChannels {
			for _, n := range pairCounts {
				p := newPairs(t, rng, n, panel-n/2, c)
				tile := newTile(t)
				kernels.PairSquares(tile, p.pi, p.pj, n, p.nj, c)
				tol := float64(min(c, 256)+c/256+3) * kerneltest.Eps
				check := func(r, s int, want float64) {
					if got := float64(tile[r*panel+s]); math.Abs(got-want) > tol*want {
						t.Fatalf("n=%d/c=%d seed=%d: [%d,%d] = %v, want %v", n, c, rng.Seed, r, s, got, want)
					}
				}
				for r := range n {
					for s := range p.nj {
						check(r, s, p.square(r, s))
					}
				}
				p.aj, p.pj, p.nj = p.ai, p.pi, p.ni
				kernels.PairSquaresAbove(tile, p.pi, n, c)
				for r := range n {
					for s := r + 1; s < n; s++ {
						check(r, s, p.square(r, s))
					}
				}
			}
		}
	})
}

// newTile returns a tile against a guard page.
func newTile(t *testing.T) *kernels.PairTile {
	return (*kernels.PairTile)(kerneltest.Guarded(t, len(kernels.PairTile{})))
}

// TestPairSums: at most 8 rows of 6 vectors are added in one lane (NEON: 12),
// then the lanes; with the rounding of the square root and of the hinge 128
// roundings of non-negative terms are a generous bound.
func TestPairSums(t *testing.T) {
	const margin = 0.7
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(33)
		for _, ni := range append(pairCounts, 0) {
			for _, nj := range append(pairCounts, 0) {
				for _, diag := range []bool{false, true} {
					p := newPairs(t, rng, ni, nj, 1)
					tile := newTile(t)
					for i := range tile {
						tile[i] = rng.Float32()
					}
					got := kernels.PairSum{Same: 1, Diff: 2, Hinge: 3}
					kernels.PairSums(&got, tile, p.li, p.lj, margin, diag)
					want := kernels.PairSum{Same: 1, Diff: 2, Hinge: 3}
					for r, l := range p.li {
						for s, k := range p.lj {
							d := math.Sqrt(float64(tile[r*panel+s]))
							switch h := math.Max(0, float64(float32(margin))-d); {
							case diag && s <= r:
							case l == k:
								want.Same += d
							default:
								want.Diff += d
								want.Hinge += h * h
							}
						}
					}
					name := fmt.Sprintf("ni=%d/nj=%d/diag=%t seed=%d", ni, nj, diag, rng.Seed)
					for _, v := range [][2]float64{{got.Same, want.Same}, {got.Diff, want.Diff}, {got.Hinge, want.Hinge}} {
						if math.Abs(v[0]-v[1]) > 128*kerneltest.Eps*v[1] {
							t.Fatalf("%s: %+v, want %+v", name, got, want)
						}
					}
				}
			}
		}
	})
}

func TestPairSumsNaN(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		labels := make([]int32, panel)
		labels[5] = 1
		for _, s := range []int{4, 5} {
			tile := newTile(t)
			tile[3*panel+s] = float32(math.NaN())
			var got kernels.PairSum
			kernels.PairSums(&got, tile, labels, labels, 1, false)
			if s == 4 && got.Same == got.Same || s == 5 && (got.Diff == got.Diff || got.Hinge == got.Hinge) {
				t.Errorf("NaN at column %d: %+v", s, got)
			}
			got = kernels.PairSum{}
			kernels.PairSums(&got, tile, labels[:3], labels, 1, false)
			if got.Same != got.Same || got.Diff != got.Diff || got.Hinge != got.Hinge {
				t.Errorf("NaN behind the rows: %+v", got)
			}
		}
	})
}

// TestPairWeights: square root, division and at most three roundings of the
// numerator; the hinge's difference has an absolute error.
func TestPairWeights(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(34)
		for _, ni := range pairCounts {
			for _, rule := range []kernels.PairRule{{Same: 2, Diff: -3}, {Same: 0, Diff: -0.5, Margin: 0.7, Hinge: true}} {
				p := newPairs(t, rng, ni, panel-ni/3, 1)
				tile := newTile(t)
				for i := range tile {
					tile[i] = rng.Float32()
					if rng.IntN(9) == 0 {
						tile[i] = 0
					}
				}
				before := *tile
				kernels.PairWeights(tile, p.li, p.lj, rule)
				for r, l := range p.li {
					for s, k := range p.lj {
						d, f := math.Sqrt(float64(before[r*panel+s])), float64(rule.Diff)
						if rule.Hinge {
							f *= math.Max(0, float64(rule.Margin)-d)
						}
						if l == k {
							f = float64(rule.Same)
						}
						got, want := float64(tile[r*panel+s]), f/d
						if d == 0 {
							want = 0
						}
						if math.Abs(got-want) > 6*kerneltest.Eps*(math.Abs(want)+1/(d+1e-30)) {
							t.Fatalf("ni=%d rule=%+v seed=%d: [%d,%d] = %v, want %v", ni, rule, rng.Seed, r, s, got, want)
						}
					}
				}
				if !slices.Equal(tile[ni*panel:], before[ni*panel:]) {
					t.Fatalf("ni=%d: rows past the last changed", ni)
				}
			}
		}
	})
}

func TestPairWeightsNaN(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, hinge := range []bool{false, true} {
			tile := newTile(t)
			tile[0], tile[1] = float32(math.NaN()), float32(math.NaN())
			kernels.PairWeights(tile, []int32{1}, []int32{1, 2}, kernels.PairRule{Same: 1, Diff: 1, Margin: 1, Hinge: hinge})
			if tile[0] == tile[0] || tile[1] == tile[1] || tile[2] != 0 {
				t.Errorf("hinge=%t: %v, want NaN, NaN, 0", hinge, tile[:3])
			}
		}
	})
}

// TestPairApply: a term has 3 roundings and each of the cols additions one.
func TestPairApply(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(35)
		for _, c := range append(pairChannels, 2051) {
			cols, rows := pairCounts[rng.IntN(len(pairCounts))], pairCounts[rng.IntN(len(pairCounts))]
			p := newPairs(t, rng, rows, cols, c)
			tile := newTile(t)
			rng.Fill(tile[:])
			g := kerneltest.GuardedCopy(t, rng.Slice(panel*c))
			before := slices.Clone(g)
			kernels.PairApply(g, tile, p.pi, p.pj, cols, c)
			for r := range rows {
				for k := range c {
					want, size := float64(before[k*panel+r]), math.Abs(float64(before[k*panel+r]))
					for s := range cols {
						term := float64(tile[s*panel+r]) * (float64(p.ai[r*c+k]) - float64(p.aj[s*c+k]))
						want += term
						size += math.Abs(term)
					}
					if got := float64(g[k*panel+r]); math.Abs(got-want) > float64(cols+4)*kerneltest.Eps*size {
						t.Fatalf("rows=%d/cols=%d/c=%d seed=%d: [%d,%d] = %v, want %v", rows, cols, c, rng.Seed, r, k, got, want)
					}
				}
			}
		}
	})
}

func TestPairTransposeAndUnpack(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(36)
		src, dst := newTile(t), newTile(t)
		rng.Fill(src[:])
		kernels.PairTranspose(dst, src)
		for i, v := range src {
			if dst[i%panel*panel+i/panel] != v {
				t.Fatalf("seed=%d: transpose of [%d,%d]", rng.Seed, i/panel, i%panel)
			}
		}
		for _, c := range append(pairChannels, 0) {
			for _, n := range append(pairCounts, 0) {
				g, rows := kerneltest.GuardedCopy(t, rng.Slice(panel*c)), kerneltest.GuardedCopy(t, rng.Slice(n*c))
				before := slices.Clone(rows)
				kernels.PairUnpackAdd(rows, g, c)
				for i, v := range rows {
					if want := before[i] + g[i%c*panel+i/c]; v != want {
						t.Fatalf("n=%d/c=%d seed=%d: [%d,%d] = %v, want %v", n, c, rng.Seed, i/c, i%c, v, want)
					}
				}
			}
		}
	})
}

func TestPairPanics(t *testing.T) {
	tile, x, l := &kernels.PairTile{}, make([]float32, panel*2), make([]int32, panel+1)
	for name, f := range map[string]func(){
		"PairPack":         func() { kernels.PairPack(x[:panel-1], x, 2, 1) },
		"PairPackPanel":    func() { kernels.PairPackPanel(x, x[:panel+1], 1) },
		"PairSquares":      func() { kernels.PairSquares(tile, x, x[:panel], 3, 3, 2) },
		"PairSquaresAbove": func() { kernels.PairSquaresAbove(tile, x[:panel], 3, 2) },
		"PairSums":         func() { kernels.PairSums(&kernels.PairSum{}, tile, l, l[:3], 0, false) },
		"PairWeights":      func() { kernels.PairWeights(tile, l[:3], l, kernels.PairRule{}) },
		"PairApply":        func() { kernels.PairApply(x, tile, x, x[:panel], 2, 2) },
		"PairUnpackAdd":    func() { kernels.PairUnpackAdd(x[:3], x, 2) },
	} {
		mustPanic(t, "kernels."+name+": ", f)
	}
}
