package kernels_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// vectorLengths sit on the boundaries of every strip: one lane group of AVX2
// and AVX-512 (8, 16), and the unrolled loops of 4 and 8 vectors.
var vectorLengths = []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 1003, 2071}

func TestDot(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 1
		rng := rand.New(rand.NewPCG(seed, 0))
		for _, n := range vectorLengths {
			x, y := make([]float32, n), make([]float32, n)
			var want, sumAbs float64
			for i := range x {
				x[i], y[i] = rng.Float32()-0.5, rng.Float32()-0.5
				p := float64(x[i]) * float64(y[i])
				want += p
				sumAbs += math.Abs(p)
			}
			// The bound of Dot's contract.
			bound := float64(n) * 0x1p-24 * sumAbs
			if got := float64(kernels.Dot(x, y)); math.Abs(got-want) > bound {
				t.Errorf("n=%d seed=%d: Dot = %v, want %v within %v", n, seed, got, want, bound)
			}
		}
	})
}
