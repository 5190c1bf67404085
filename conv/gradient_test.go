package conv_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// loss is the inner product of the convolution's output with a random upstream
// gradient, in float64.
func loss(p *conv.Plan, src, w, bias, upstream []float32) float64 {
	dst, work := make([]float32, len(upstream)), make([]float32, p.Workspace())
	p.Forward(dst, src, w, bias, nil, work)
	sum := 0.0
	for i, v := range dst {
		sum += float64(v) * float64(upstream[i])
	}
	return sum
}

// TestGradients compares the backward passes with central differences of the
// forward pass. A convolution is linear in each argument, so the difference is
// exact for any step but for rounding.
func TestGradients(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, s := range shapes {
			const seed, step = 7, 0.5
			samples := 12
			if testing.Short() {
				samples = 4
			}
			t.Run(fmt.Sprintf("shape=%d", i), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				src, w, bias := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.K)
				upstream := random(rng, s.DstLen())
				p := newPlan(t, s, conv.Options{Algorithm: conv.Auto})
				results := run(p, src, w, upstream, bias, nil)
				for j, x := range [][]float32{src, w, bias} {
					grad := results[j+1]
					for range samples {
						at := rng.IntN(len(x))
						old := x[at]
						x[at] = old + step
						up := loss(p, src, w, bias, upstream)
						high := float64(x[at])
						x[at] = old - step
						down := loss(p, src, w, bias, upstream)
						want := (up - down) / (high - float64(x[at]))
						x[at] = old
						// The outputs are rounded to 2^-24 of sums of C*R*S+1 products
						// below 1.5, and Winograd may be 8 times worse.
						terms := float64(s.C*s.R*s.S + 1)
						tolerance := 8 * 0x1p-24 * 1.5 * terms * math.Sqrt(float64(len(upstream))) * 2
						if math.Abs(float64(grad[at])-want) > tolerance+1e-5*math.Abs(want) {
							t.Fatalf("%v seed=%d: gradient of %s[%d] = %v, difference quotient %v, tolerance %v",
								s, seed, []string{"src", "w", "bias"}[j], at, grad[at], want, tolerance)
						}
					}
				}
			})
		}
	})
}
