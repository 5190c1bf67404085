package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// Tests of the kernels on feature maps: channels.go and planes.go. Every slice
// is fenced by inaccessible pages.

// mapRowCounts and mapColumns sit on the boundaries of the kernels: groups of 2,
// 4 and 8 rows, blocks of 64; strips of 1 to 16 vectors of 4, 8 and 16.
var (
	mapRowCounts = []int{0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 130}
	mapColumns   = []int{1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 193, 255, 256, 273}
)

// planeSizes sit on those of the plane kernels: a vector, 4 and 8 vectors.
var planeSizes = []int{0, 1, 3, 4, 9, 16, 17, 49, 64, 65, 127, 128, 129, 196, 300}

// planeCounts sit on the groups of 8 and 16 in which short planes are taken.
func planeCounts(n int) []int {
	if n > 128 {
		return []int{0, 1, 3}
	}
	return []int{0, 1, 3, 7, 8, 9, 15, 16, 17, 35}
}

// sumRef returns the sum of terms and of their magnitudes.
func sumRef(n int, term func(i int) float64) (sum, magnitude float64) {
	for i := range n {
		v := term(i)
		sum += v
		magnitude += math.Abs(v)
	}
	return sum, magnitude
}

// within reports |got-want| <= bound, NaN and infinities being equal to
// themselves.
func within(got float32, want, bound float64) bool {
	g := float64(got)
	return g == want || math.IsNaN(g) && math.IsNaN(want) || math.Abs(g-want) <= bound
}

func TestChannelReductions(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 11
		rng := kerneltest.Rand(seed)
		for _, rows := range mapRowCounts {
			for _, c := range mapColumns {
				x, y := kerneltest.GuardedCopy(t, rng.Slice(rows*c)), kerneltest.GuardedCopy(t, rng.Slice(rows*c))
				sums, dots := kerneltest.Guarded(t, c), kerneltest.Guarded(t, c)
				kernels.ChannelSums(sums, x, rows, c)
				kernels.ChannelDots(dots, x, y, rows, c)
				// The bound of ChannelSums, and one rounding more for products.
				bound := (64 + float64(rows)/64) * 0x1p-24
				for j := range c {
					want, magnitude := sumRef(rows, func(i int) float64 { return float64(x[i*c+j]) })
					if !within(sums[j], want, bound*magnitude) {
						t.Fatalf("rows=%d/c=%d seed=%d: sum %d is %v, want %v", rows, c, seed, j, sums[j], want)
					}
					want, magnitude = sumRef(rows, func(i int) float64 { return float64(x[i*c+j]) * float64(y[i*c+j]) })
					if !within(dots[j], want, (bound+0x1p-24)*magnitude) {
						t.Fatalf("rows=%d/c=%d seed=%d: dot product %d is %v, want %v", rows, c, seed, j, dots[j], want)
					}
				}
			}
		}
	})
}

func TestChannelScale(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 12
		rng := kerneltest.Rand(seed)
		for _, rows := range mapRowCounts {
			for _, c := range mapColumns {
				x, a, b := kerneltest.GuardedCopy(t, rng.Slice(rows*c)), kerneltest.GuardedCopy(t, rng.Slice(c)), kerneltest.GuardedCopy(t, rng.Slice(c))
				scaled, shifted, filled := kerneltest.Guarded(t, rows*c), kerneltest.Guarded(t, rows*c), kerneltest.Guarded(t, rows*c)
				kernels.ChannelScale(scaled, x, a, rows, c, 0, kernels.Cached)
				kernels.ChannelScaleShift(shifted, x, a, b, rows, c, 0, kernels.Cached)
				kernels.ChannelFill(filled, a, rows, c, kernels.Cached)
				for i, v := range x {
					checkScaled(t, fmt.Sprintf("rows=%d/c=%d seed=%d element %d", rows, c, seed, i), v, a[i%c], b[i%c], scaled[i], shifted[i], filled[i])
				}
				other := kerneltest.Guarded(t, rows*c)
				kernels.ChannelScale(other, x, a, rows, c, 0, kernels.Streamed)
				checkStreamed(t, "ChannelScale", other, scaled)
				kernels.ChannelScaleShift(other, x, a, b, rows, c, 0, kernels.Streamed)
				checkStreamed(t, "ChannelScaleShift", other, shifted)
				kernels.ChannelFill(other, a, rows, c, kernels.Streamed)
				checkStreamed(t, "ChannelFill", other, filled)
				inPlace := slices.Clone(x)
				kernels.ChannelScale(inPlace, inPlace, a, rows, c, 0, kernels.Cached)
				if !slices.Equal(inPlace, scaled) {
					t.Fatalf("rows=%d/c=%d seed=%d: ChannelScale in place differs", rows, c, seed)
				}
				copy(inPlace, x)
				kernels.ChannelScaleShift(inPlace, inPlace, a, b, rows, c, 0, kernels.Cached)
				if !slices.Equal(inPlace, shifted) {
					t.Fatalf("rows=%d/c=%d seed=%d: ChannelScaleShift in place differs", rows, c, seed)
				}
			}
		}
	})
}

func TestChannelPick(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 16
		rng := kerneltest.Rand(seed)
		for _, rows := range mapRowCounts {
			for _, c := range mapColumns {
				v, index := kerneltest.GuardedCopy(t, rng.Slice(c)), make([]int32, c)
				for j := range index {
					index[j] = int32(rng.IntN(rows + 1)) // rows: nowhere
				}
				want := make([]float32, rows*c)
				for j, i := range index {
					if int(i) < rows {
						want[int(i)*c+j] = v[j]
					}
				}
				for _, how := range []kernels.Store{kernels.Cached, kernels.Streamed} {
					got := kerneltest.Guarded(t, rows*c)
					kernels.ChannelPick(got, v, index, rows, c, how)
					if !slices.Equal(got, want) {
						t.Fatalf("rows=%d/c=%d store=%d seed=%d differs", rows, c, how, seed)
					}
				}
			}
		}
	})
}

// checkStreamed demands the same bits as from ordinary stores.
func checkStreamed(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s of %d elements differs when streamed", name, len(want))
	}
}

// checkScaled demands the exact product, and x*a + b rounded once or twice.
func checkScaled(t *testing.T, where string, x, a, b, scaled, shifted, filled float32) {
	t.Helper()
	if scaled != x*a || filled != a {
		t.Fatalf("%s: scaled %v, filled %v, want %v, %v", where, scaled, filled, x*a, a)
	}
	fused := float32(math.FMA(float64(x), float64(a), float64(b)))
	if shifted != fused && shifted != float32(x*a)+b {
		t.Fatalf("%s: scaled and shifted to %v, want %v", where, shifted, fused)
	}
}

func TestPlaneReductions(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 13
		rng := kerneltest.Rand(seed)
		for _, n := range append(planeSizes, 1<<14, 1<<14+1, 1<<15+7) {
			for _, planes := range planeCounts(n) {
				x, y := kerneltest.GuardedCopy(t, rng.Slice(planes*n)), kerneltest.GuardedCopy(t, rng.Slice(planes*n))
				sums, dots := kerneltest.Guarded(t, planes), kerneltest.Guarded(t, planes)
				kernels.PlaneSums(sums, x, planes, n)
				kernels.PlaneDots(dots, x, y, planes, n)
				// The bound of PlaneSums, and one rounding more for products.
				bound := (float64(min(n, 1<<14))/4 + 8 + float64(n)/(1<<14)) * 0x1p-24
				for p := range planes {
					want, magnitude := sumRef(n, func(i int) float64 { return float64(x[p*n+i]) })
					if !within(sums[p], want, bound*magnitude) {
						t.Fatalf("planes=%d/n=%d seed=%d: sum %d is %v, want %v", planes, n, seed, p, sums[p], want)
					}
					want, magnitude = sumRef(n, func(i int) float64 { return float64(x[p*n+i]) * float64(y[p*n+i]) })
					if !within(dots[p], want, (bound+0x1p-24)*magnitude) {
						t.Fatalf("planes=%d/n=%d seed=%d: dot product %d is %v, want %v", planes, n, seed, p, dots[p], want)
					}
				}
			}
		}
	})
}

func TestPlaneScale(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 14
		rng := kerneltest.Rand(seed)
		for _, n := range append(planeSizes, 1<<14+1) {
			for _, planes := range []int{0, 1, 5} {
				x, a, b := kerneltest.GuardedCopy(t, rng.Slice(planes*n)), kerneltest.GuardedCopy(t, rng.Slice(planes)), kerneltest.GuardedCopy(t, rng.Slice(planes))
				scaled, shifted, filled := kerneltest.Guarded(t, planes*n), kerneltest.Guarded(t, planes*n), kerneltest.Guarded(t, planes*n)
				kernels.PlaneScale(scaled, x, a, planes, n, 0, kernels.Cached)
				kernels.PlaneScaleShift(shifted, x, a, b, planes, n, 0, kernels.Cached)
				kernels.PlaneFill(filled, a, planes, n, kernels.Cached)
				other := kerneltest.Guarded(t, planes*n)
				kernels.PlaneScale(other, x, a, planes, n, 0, kernels.Streamed)
				checkStreamed(t, "PlaneScale", other, scaled)
				kernels.PlaneScaleShift(other, x, a, b, planes, n, 0, kernels.Streamed)
				checkStreamed(t, "PlaneScaleShift", other, shifted)
				kernels.PlaneFill(other, a, planes, n, kernels.Streamed)
				checkStreamed(t, "PlaneFill", other, filled)
				for i, v := range x {
					checkScaled(t, fmt.Sprintf("planes=%d/n=%d seed=%d element %d", planes, n, seed, i), v, a[i/n], b[i/n], scaled[i], shifted[i], filled[i])
				}
			}
		}
	})
}

// TestMapMaxima covers ties, NaN, infinities and zeros of both signs, for which
// the position matters.
func TestMapMaxima(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 15
		rng := kerneltest.Rand(seed)
		values := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1, -1, 1e-42}
		for _, rows := range []int{1, 2, 4, 9, 64, 127, 128, 129, 300} {
			for _, c := range []int{1, 7, 16, 17, 64, 65, 200} {
				x := kerneltest.GuardedCopy(t, rng.Slice(rows*c))
				for range len(x) / 3 {
					x[rng.IntN(len(x))] = values[rng.IntN(len(values))]
				}
				best, plain, index := kerneltest.Guarded(t, c), kerneltest.Guarded(t, c), make([]int32, c)
				kernels.ChannelMax(best, index, x, rows, c)
				kernels.ChannelMax(plain, nil, x, rows, c)
				planes, planeIndex := kerneltest.Guarded(t, rows), make([]int32, rows)
				kernels.PlaneMax(planes, planeIndex, x, rows, c)
				for j := range c {
					checkMaximum(t, fmt.Sprintf("channels rows=%d/c=%d seed=%d column %d", rows, c, seed, j), rows, func(i int) float32 { return x[i*c+j] }, best[j], plain[j], int(index[j]))
				}
				for p := range rows {
					checkMaximum(t, fmt.Sprintf("planes=%d/n=%d seed=%d plane %d", rows, c, seed, p), c, func(i int) float32 { return x[p*c+i] }, planes[p], planes[p], int(planeIndex[p]))
				}
			}
		}
	})
}

func checkMaximum(t *testing.T, where string, n int, x func(i int) float32, best, plain float32, index int) {
	t.Helper()
	want := 0
	for i := range n {
		if v := x(i); v > x(want) || v != v {
			want = i
		}
	}
	same := func(a, b float32) bool { return a == b || a != a && b != b }
	if index != want || !same(best, x(want)) || !same(plain, x(want)) {
		t.Fatalf("%s: %v (%v without index) at %d, want %v at %d", where, best, plain, index, x(want), want)
	}
}
