package kernels_test

import (
	"fmt"
	"math"
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

var gatherChannels = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 65, 257}

// TestGather compares with sums in another order, which float64 makes exact to
// (n+2) roundings of the magnitudes.
func TestGather(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(41)
		for _, c := range gatherChannels {
			for _, n := range []int{1, 2, 3, 8, 31} {
				a, rows := gatherCase(t, rng, n, c)
				mean := kerneltest.GuardedOf[float64](t, c)
				kernels.GatherMean(mean, a, rows)
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
				got := kernels.GatherSquares(a, mean, rows)
				if math.Abs(got-squares) > float64(n*c+2)*eps64*squares {
					t.Fatalf("n=%d/c=%d seed=%d: squares %v, want %v", n, c, rng.Seed, got, squares)
				}
			}
		}
	})
}

func TestScaleShiftF64(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(42)
		for _, n := range gatherChannels {
			x, dst, shift := kerneltest.GuardedCopy(t, rng.WithSpecials(n)), kerneltest.Guarded(t, n), kerneltest.GuardedOf[float64](t, n)
			slope := rng.NormFloat64() * 1e6
			for i := range shift {
				shift[i] = slope * (float64(x[i]) + 1e-7*rng.NormFloat64())
			}
			kernels.ScaleShiftF64(dst, x, slope, shift)
			for i, v := range dst {
				// Without a fused multiply-add the product is rounded.
				want := math.FMA(slope, float64(x[i]), -shift[i])
				tol := eps64*math.Abs(shift[i]) + kerneltest.Eps*math.Abs(want) + math.SmallestNonzeroFloat32
				if kerneltest.ULP(v, float32(want)) > 1 && !(math.Abs(float64(v)-want) <= tol) {
					t.Fatalf("n=%d seed=%d: [%d] = %v, want %v", n, rng.Seed, i, v, want)
				}
			}
			kernels.ScaleShiftF64(x, x, slope, shift)
			for i := range x {
				if kerneltest.ULP(x[i], dst[i]) != 0 {
					t.Fatalf("n=%d: in place [%d] = %v, else %v", n, i, x[i], dst[i])
				}
			}
		}
	})
}

func TestGatherPanics(t *testing.T) {
	x, mean := make([]float32, 6), make([]float64, 3)
	for name, f := range map[string]func(){
		"GatherMean: no rows":         func() { kernels.GatherMean(mean, x, nil) },
		"GatherMean: row outside":     func() { kernels.GatherMean(mean, x, []int32{2}) },
		"GatherSquares: row outside":  func() { kernels.GatherSquares(x, mean, []int32{-1}) },
		"ScaleShiftF64: lengths diff": func() { kernels.ScaleShiftF64(x[:3], x, 1, mean) },
	} {
		mustPanic(t, "kernels."+name, f)
	}
}
