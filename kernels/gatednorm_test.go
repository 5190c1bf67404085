package kernels_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// gatedShapes sit on the boundaries: one sample, one row, vectors of 16 columns and
// less, a sample longer than one assembly call.
var gatedShapes = [][3]int{{1, 2, 1}, {2, 1, 3}, {3, 4, 16}, {2, 9, 17}, {5, 64, 64}, {2, 33, 130}, {2, 1100, 32}}

// TestGatedNormForward compares with BatchNormStats and with sums in float64.
func TestGatedNormForward(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, s := range gatedShapes {
			n, rows, c := s[0], s[1], s[2]
			rng := kerneltest.Rand(3)
			name := fmt.Sprintf("n=%d/rows=%d/c=%d", n, rows, c)
			x, res := kerneltest.GuardedCopy(t, rng.Normal(n*rows*c)), kerneltest.GuardedCopy(t, rng.Normal(n*rows*c))
			scale, shift := kerneltest.GuardedCopy(t, rng.Slice(n*c)), kerneltest.GuardedCopy(t, rng.Slice(n*c))
			g := kernels.NewGatedNorm(n, rows, c, kernels.ReLU)
			mean, variance, sampleMean := kerneltest.Guarded(t, c), kerneltest.Guarded(t, c), kerneltest.Guarded(t, n*c)
			g.Stats(mean, variance, sampleMean, x)
			wantMean, wantVar := make([]float32, c), make([]float32, c)
			kernels.BatchNormStats(wantMean, wantVar, x, n*rows, c)
			// Both sum at most 1100 values below 6 about one of them: errors of
			// sqrt(1100) roundings of 12, over a root of as many values.
			kerneltest.Close(t, name+"/mean", mean, wantMean, 3e-6, 1e-5)
			kerneltest.Close(t, name+"/variance", variance, wantVar, 3e-6, 1e-5)
			for i := range n {
				for k := range c {
					sum, _ := sumRef(rows, func(r int) float64 { return float64(x[(i*rows+r)*c+k]) })
					if !within(sampleMean[i*c+k], sum/float64(rows), 3e-6) {
						t.Fatalf("%s: mean of sample %d, channel %d is %v, want %v", name, i, k, sampleMean[i*c+k], sum/float64(rows))
					}
				}
			}
			want := make([]float32, len(x))
			for i := range want {
				k := i/(rows*c)*c + i%c
				want[i] = float32(max(0, float64(x[i])*float64(scale[k])+float64(shift[k])+float64(res[i])))
			}
			g.Apply(res, x, res, scale, shift)
			// Three roundings of values below 16.
			kerneltest.Close(t, name+"/dst", res, want, 3*16*kerneltest.Eps, 0)
		}
	})
}

// TestGatedNormBackward compares with the sums and products in float64.
func TestGatedNormBackward(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, s := range gatedShapes {
			for _, act := range []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.ReLU6} {
				n, rows, c := s[0], s[1], s[2]
				rng := kerneltest.Rand(4)
				name := fmt.Sprintf("n=%d/rows=%d/c=%d/act=%v", n, rows, c, act)
				size := n * rows * c
				x, dy, y := kerneltest.GuardedCopy(t, rng.Normal(size)), kerneltest.GuardedCopy(t, rng.Slice(size)), kerneltest.GuardedCopy(t, rng.Slice(size))
				kernels.Scale(8, y)
				mean, f1 := kerneltest.GuardedCopy(t, rng.Slice(c)), kerneltest.GuardedCopy(t, rng.Slice(c))
				f0, f2 := kerneltest.GuardedCopy(t, rng.Slice(n*c)), kerneltest.GuardedCopy(t, rng.Slice(n*c))
				gated := make([]float32, size)
				kernels.ActivateGrad(act, gated, dy, y)
				g := kernels.NewGatedNorm(n, rows, c, act)
				sum, dot := kerneltest.Guarded(t, n*c), kerneltest.Guarded(t, n*c)
				g.GradSums(sum, dot, dy, x, y, mean)
				dx := kerneltest.Guarded(t, size)
				g.GradApply(dx, dy, dy, x, y, mean, f0, f1, f2)
				kerneltest.Close(t, name+"/dres", dy, gated, 0, 0)
				for i := range n * c {
					at := func(r int) int { return (i/c*rows+r)*c + i%c }
					// rows additions of terms: at worst an eps each.
					bound := (float64(rows) + 3) * 0x1p-24
					want, magnitude := sumRef(rows, func(r int) float64 { return float64(gated[at(r)]) })
					if !within(sum[i], want, bound*magnitude) {
						t.Fatalf("%s: sum %d is %v, want %v", name, i, sum[i], want)
					}
					want, magnitude = sumRef(rows, func(r int) float64 {
						return float64(gated[at(r)]) * (float64(x[at(r)]) - float64(mean[i%c]))
					})
					if !within(dot[i], want, bound*magnitude) {
						t.Fatalf("%s: dot %d is %v, want %v", name, i, dot[i], want)
					}
				}
				for i, got := range dx {
					k := i/(rows*c)*c + i%c
					a, b := float64(f0[k])*float64(gated[i]), float64(f1[i%c])*(float64(x[i])-float64(mean[i%c]))
					want := a + b + float64(f2[k])
					if !within(got, want, 4*0x1p-24*(math.Abs(a)+math.Abs(b)+math.Abs(float64(f2[k])))) {
						t.Fatalf("%s: dx %d is %v, want %v", name, i, got, want)
					}
				}
			}
		}
	})
}

// TestGatedNormThreads: the same bits for any number of threads, no allocations,
// and refusal of wrong lengths.
func TestGatedNormThreads(t *testing.T) {
	const n, rows, c = 9, 60, 64
	rng := kerneltest.Rand(5)
	x, mean, scale := rng.Normal(n*rows*c), rng.Slice(c), rng.Slice(n*c)
	var first []float32
	for _, procs := range []int{1, 2, 4} {
		previous := runtime.GOMAXPROCS(procs)
		g := kernels.NewGatedNorm(n, rows, c, kernels.ReLU)
		m, v, s, dot, dx, res := make([]float32, c), make([]float32, c), make([]float32, n*c), make([]float32, n*c), make([]float32, n*rows*c), make([]float32, n*rows*c)
		step := func() {
			g.Stats(m, v, s, x)
			g.Apply(res, x, x, scale, s)
			g.GradSums(s, dot, x, x, res, mean)
			g.GradApply(dx, res, x, x, x, mean, scale, mean, dot)
		}
		step()
		if allocs := kerneltest.AllocsPerRun(5, step); allocs != 0 {
			t.Errorf("threads=%d: %v allocations", procs, allocs)
		}
		runtime.GOMAXPROCS(previous)
		all := append(append(append(append([]float32{}, m...), v...), s...), append(append(dot, dx...), res...)...)
		if first == nil {
			first = all
		}
		kerneltest.Close(t, fmt.Sprintf("threads=%d", procs), all, first, 0, 0)
	}
	for name, f := range map[string]func(){
		"shape":      func() { kernels.NewGatedNorm(0, 1, 1, kernels.ReLU) },
		"activation": func() { kernels.NewGatedNorm(1, 1, 1, kernels.SiLU) },
		"length":     func() { kernels.NewGatedNorm(1, 1, 1, kernels.ReLU).Stats(mean, mean, mean, x) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
