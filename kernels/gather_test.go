package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

func mustPanic(t *testing.T, prefix string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if msg := fmt.Sprint(recover()); !strings.HasPrefix(msg, prefix) {
			t.Errorf("panicked with %q, want %q", msg, prefix)
		}
	}()
	f()
}

// eps64 is the unit roundoff of float64.
const eps64 = 0x1p-53

// gatherCase is a matrix whose rows end at a guard page, and a list of some of
// its rows, the last one included.
func gatherCase(t *testing.T, rng *kerneltest.Random, n, c int) (a []float32, rows []int32) {
	total := n + 3
	a = kerneltest.GuardedCopy(t, rng.Slice(total*c))
	rows = kerneltest.GuardedOf[int32](t, n)
	for i := range rows {
		rows[i] = int32(rng.IntN(total))
	}
	rows[n-1] = int32(total - 1)
	return a, rows
}

var gatherChannels = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 63, 65, 257}

// TestGather compares with sums in another order, which float64 makes exact to
// (n+2) roundings of the magnitudes.
func TestGather(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(41)
		for _, c := range gatherChannels {
			for _, n := range []int{1, 2, 3, 8, 31} {
				a, rows := gatherCase(t, rng, n, c)
				mean := kerneltest.GuardedOf[float64](t, c)
				got := kernels.GatherMoments(mean, a, rows)
				if again := kernels.GatherSquares(a, mean, rows); again != got {
					t.Fatalf("n=%d/c=%d seed=%d: squares %v, by themselves %v", n, c, rng.Seed, got, again)
				}
				var squares float64
				for k := range c {
					var sum float64
					for i := range rows {
						sum += float64(a[int(rows[n-1-i])*c+k])
					}
					if math.Abs(mean[k]-sum/float64(n)) > float64(n+2)*eps64 {
						t.Fatalf("n=%d/c=%d seed=%d: mean[%d] = %v, want %v", n, c, rng.Seed, k, mean[k], sum/float64(n))
					}
					for _, r := range rows {
						d := float64(a[int(r)*c+k]) - mean[k]
						squares += d * d
					}
				}
				if math.Abs(got-squares) > float64(n*c+2)*eps64*squares {
					t.Fatalf("n=%d/c=%d seed=%d: squares %v, want %v", n, c, rng.Seed, got, squares)
				}
			}
		}
	})
}

func TestScaleShiftRows(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(42)
		for _, c := range append([]int{1 << 15}, gatherChannels...) { // the first in parts
			checkScaleShiftRows(t, rng, 5, c)
		}
	})
}

func checkScaleShiftRows(t *testing.T, rng *kerneltest.Random, n, c int) {
	const classes = 3
	class := kerneltest.GuardedOf[int32](t, n)
	slope, shift := kerneltest.GuardedOf[float64](t, classes), kerneltest.GuardedOf[float64](t, classes*c)
	x, dst := kerneltest.GuardedCopy(t, rng.WithSpecials(n*c)), kerneltest.Guarded(t, n*c)
	for l := range slope {
		slope[l] = rng.NormFloat64() * 1e6
	}
	for i := range class {
		l := rng.IntN(classes)
		class[i] = int32(l)
		for k := range c { // the last row of a class cancels nearly
			shift[l*c+k] = -slope[l] * (float64(x[i*c+k]) + 1e-7*rng.NormFloat64())
		}
	}
	kernels.ScaleShiftRows(dst, x, class, slope, shift, kernels.Cached)
	for i, v := range dst {
		// Without a fused multiply-add the product is rounded.
		l := int(class[i/c])
		product, add := slope[l]*float64(x[i]), shift[l*c+i%c]
		want := math.FMA(slope[l], float64(x[i]), add)
		tol := eps64*math.Abs(product) + kerneltest.Eps*math.Abs(want) + math.SmallestNonzeroFloat32
		if kerneltest.ULP(v, float32(want)) > 1 && !(math.Abs(float64(v)-want) <= tol) {
			t.Fatalf("n=%d/c=%d seed=%d: [%d] = %v, want %v", n, c, rng.Seed, i, v, want)
		}
	}
	streamed := kerneltest.Guarded(t, len(dst))
	kernels.ScaleShiftRows(streamed, x, class, slope, shift, kernels.Streamed)
	kernels.ScaleShiftRows(x, x, class, slope, shift, kernels.Cached)
	for i := range x {
		if kerneltest.ULP(streamed[i], dst[i]) != 0 {
			t.Fatalf("n=%d/c=%d seed=%d: [%d] = %v streamed, %v else", n, c, rng.Seed, i, streamed[i], dst[i])
		}
		if kerneltest.ULP(x[i], dst[i]) != 0 {
			t.Fatalf("n=%d/c=%d: in place [%d] = %v, else %v", n, c, i, x[i], dst[i])
		}
	}
}

// TestF64 checks the kernels on float64 alone: CombineF64 to three roundings of the
// products, SquaresF64 to n+2 of the sum.
func TestF64(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(43)
		for _, n := range append([]int{23, 25, 48, 56}, gatherChannels...) {
			x, y, dst := kerneltest.GuardedOf[float64](t, n), kerneltest.GuardedOf[float64](t, n), kerneltest.GuardedOf[float64](t, n)
			for k := range x {
				x[k], y[k] = rng.NormFloat64(), rng.NormFloat64()
			}
			const p, q = 1.7, -0.3
			kernels.CombineF64(dst, p, x, q, y)
			var squares float64
			for k := range dst {
				if want := p*x[k] + q*y[k]; !(math.Abs(dst[k]-want) <= 3*eps64*(math.Abs(p*x[k])+math.Abs(q*y[k]))) {
					t.Fatalf("n=%d seed=%d: [%d] = %v, want %v", n, rng.Seed, k, dst[k], want)
				}
				squares += (x[k] - y[k]) * (x[k] - y[k])
			}
			if got := kernels.SquaresF64(x, y); !(math.Abs(got-squares) <= float64(n+2)*eps64*squares) {
				t.Fatalf("n=%d seed=%d: squares %v, want %v", n, rng.Seed, got, squares)
			}
			kernels.CombineF64(x, p, x, q, y)
			if !slices.Equal(x, dst) {
				t.Fatalf("n=%d seed=%d: other bits in place", n, rng.Seed)
			}
		}
	})
}

func TestGatherPanics(t *testing.T) {
	x, mean := make([]float32, 6), make([]float64, 3)
	for name, f := range map[string]func(){
		"GatherMoments: no rows":       func() { kernels.GatherMoments(mean, x, nil) },
		"GatherMoments: row outside":   func() { kernels.GatherMoments(mean, x, []int32{2}) },
		"GatherSquares: row outside":   func() { kernels.GatherSquares(x, mean, []int32{-1}) },
		"ScaleShiftRows: lengths diff": func() { kernels.ScaleShiftRows(x[:3], x, []int32{0, 0}, mean[:1], mean, kernels.Cached) },
		"ScaleShiftRows: row outside":  func() { kernels.ScaleShiftRows(x, x, []int32{0, 1}, mean[:1], mean, kernels.Cached) },
		"CombineF64: lengths differ":   func() { kernels.CombineF64(mean, 1, mean, 1, mean[:2]) },
		"SquaresF64: lengths differ":   func() { kernels.SquaresF64(mean, mean[:2]) },
	} {
		mustPanic(t, "kernels."+name, f)
	}
}
