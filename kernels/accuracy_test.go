package kernels_test

import (
	"flag"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestAccuracy compares with the float64 functions at about a million arguments
// spread evenly over the bit patterns of float32, and with -exhaustive at all
// 2^32, which takes some minutes per function and ISA:
//
//	go test ./kernels -run TestAccuracy -exhaustive -timeout 3h
var exhaustive = flag.Bool("exhaustive", false, "TestAccuracy: try all 2^32 arguments")

// accuracyStep is odd, so that the low bits of the samples vary.
const accuracyStep = 4099

// The bounds are those the functions promise, in ulp; abs is an absolute error
// that is allowed instead, per |x|.
var accuracyCases = []struct {
	name string
	ulp  float64
	abs  float64
	f    func(dst, x []float32)
}{
	{"exp", 1.5, 0, kernels.Exp},
	{"log", 1.5, 0, kernels.Log},
	{"sigmoid", 2, 0, activation(kernels.Sigmoid)},
	{"tanh", 2, 0, activation(kernels.Tanh)},
	{"silu", 3, 0, activation(kernels.SiLU)},
	{"gelu", 4, 8 * kerneltest.Eps, activation(kernels.GELU)},
	{"softplus", 4, 0, activation(kernels.Softplus)},
	{"elu", 3, 0, activation(kernels.ELU)},
}

func activation(act kernels.Activation) func(dst, x []float32) {
	return func(dst, x []float32) { kernels.Activate(act, dst, x) }
}

func TestAccuracy(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range accuracyCases {
			t.Run("fn="+c.name, func(t *testing.T) {
				worst := worstOver(c.name, c.abs, c.f)
				t.Logf("%.3f ulp at %v (%#08x)", worst.err, worst.x, math.Float32bits(worst.x))
				if worst.err > c.ulp {
					t.Errorf("x=%v (%#08x): got %v, want %v: %.3f ulp, promised %v", worst.x,
						math.Float32bits(worst.x), worst.got, worst.want, worst.err, c.ulp)
				}
			})
		}
	})
}

// TestFunctionsByPlace compares the results for whole slices, where machine code takes
// several vectors together and has a form for numbers near zero, with those for single
// elements: the bits must not depend on where an element stands.
func TestFunctionsByPlace(t *testing.T) {
	const step = 10007 // odd
	x := make([]float32, (1<<32)/step)
	for i := range x {
		x[i] = math.Float32frombits(uint32(i * step))
	}
	whole, alone := make([]float32, len(x)), make([]float32, len(x))
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range accuracyCases {
			c.f(whole, x)
			for i := range x {
				c.f(alone[i:i+1], x[i:i+1])
			}
			for i, v := range alone {
				if math.Float32bits(v) != math.Float32bits(whole[i]) && !(v != v && whole[i] != whole[i]) {
					t.Errorf("%s(%v, %#08x): %v alone, %v in a slice", c.name, x[i], math.Float32bits(x[i]), v, whole[i])
					break
				}
			}
		}
	})
}

type sample struct {
	x, got float32
	want   float64
	err    float64
}

// worstOver returns the sample with the largest error. Arguments are taken in
// blocks by a few goroutines.
func worstOver(name string, abs float64, f func(dst, x []float32)) sample {
	const block = 4096
	step := uint64(accuracyStep)
	switch {
	case *exhaustive:
		step = 1
	case testing.Short():
		step *= 5
	}
	total := (1 << 32) / step
	blocks := make(chan uint64)
	var mu sync.Mutex
	var wg sync.WaitGroup
	worst := sample{err: -1}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			x, y := make([]float32, block), make([]float32, block)
			mine := sample{err: -1}
			for b := range blocks {
				for i := range x {
					x[i] = math.Float32frombits(uint32((b*block + uint64(i)) * step))
				}
				f(y, x)
				for i, v := range x {
					want := kerneltest.ActivationRef(name, float64(v))
					if y[i] == float32(want) {
						continue
					}
					err := kerneltest.ULPError(y[i], want)
					if abs > 0 && math.Abs(float64(y[i])-want) <= abs*math.Abs(float64(v)) {
						continue
					}
					if err > mine.err {
						mine = sample{v, y[i], want, err}
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if mine.err > worst.err {
				worst = mine
			}
		})
	}
	for b := range total / block {
		blocks <- b
	}
	close(blocks)
	wg.Wait()
	return worst
}
