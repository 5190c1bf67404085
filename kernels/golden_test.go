package kernels_test

import (
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// The cases hold results computed in float64 and stored as float32.
const goldenAbs, goldenRel = 1e-5, 2e-5

func TestGoldenBatchNorm(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "batchnorm", func(t *testing.T, c *kerneltest.Case) {
			shape := c.Shape("x")
			n, ch, plane := shape[0], shape[1], 1
			for _, d := range shape[2:] {
				plane *= d
			}
			rows := n * plane
			nhwc := func(name string) []float32 { return kerneltest.ToNHWC(c.F32(name), n, ch, 1, plane) }
			nchw := func(x []float32) []float32 { return kerneltest.ToNCHW(x, n, ch, 1, plane) }
			vector := func() []float32 { return make([]float32, ch) }
			x, gamma, beta := nhwc("x"), vector(), vector()
			for k := range gamma { // without gamma and beta the normalisation is plain
				gamma[k] = 1
			}
			affine := c.Has("gamma")
			if affine {
				gamma, beta = c.F32("gamma"), c.F32("beta")
			}
			eps := float32(c.Float("eps"))

			mean, variance, scale, shift := vector(), vector(), vector(), vector()
			y := make([]float32, len(x))
			kernels.BatchNormStats(mean, variance, x, rows, ch)
			kernels.BatchNormFold(scale, shift, gamma, beta, mean, variance, eps)
			kernels.BatchNormApply(kernels.Identity, y, x, scale, shift, rows, ch)
			kerneltest.Close(t, "y", nchw(y), c.F32("y"), goldenAbs, goldenRel)

			g := kernels.BatchNormGrad{
				DY: nhwc("gy"), X: x, Gamma: gamma, Mean: mean, Variance: variance, Eps: eps,
				DX: make([]float32, len(x)), DGamma: vector(), DBeta: vector(),
			}
			kernels.BatchNormBackward(&g, rows, ch)
			kerneltest.Close(t, "gx", nchw(g.DX), c.F32("gx"), goldenAbs, goldenRel)
			if affine {
				kerneltest.Close(t, "ggamma", g.DGamma, c.F32("ggamma"), goldenAbs, goldenRel)
				kerneltest.Close(t, "gbeta", g.DBeta, c.F32("gbeta"), goldenAbs, goldenRel)
			}

			// Running statistics start as PyTorch's: mean 0, variance 1.
			runMean, runVar := vector(), vector()
			for k := range runVar {
				runVar[k] = 1
			}
			kernels.BatchNormUpdate(runMean, runVar, mean, variance, rows, float32(c.Float("momentum")))
			kerneltest.Close(t, "running_mean", runMean, c.F32("running_mean"), goldenAbs, goldenRel)
			kerneltest.Close(t, "running_var", runVar, c.F32("running_var"), goldenAbs, goldenRel)
			kernels.BatchNormFold(scale, shift, gamma, beta, runMean, runVar, eps)
			kernels.BatchNormApply(kernels.Identity, y, x, scale, shift, rows, ch)
			kerneltest.Close(t, "y_eval", nchw(y), c.F32("y_eval"), goldenAbs, goldenRel)
		})
	})
}

// TestActivationGradients checks every derivative against central
// differences of the float64 function.
func TestActivationGradients(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 7
		rng := kerneltest.Rand(seed)
		x, dy := make([]float32, 997), rng.Slice(997)
		for i := range x {
			x[i] = float32(rng.NormFloat64()) * 4
		}
		dx := make([]float32, len(x))
		for act := kernels.Identity; act <= kernels.ELU; act++ {
			kernels.ActivateGrad(act, dx, dy, x)
			for i, v := range x {
				const h = 1e-4
				slope := (kerneltest.ActivationRef(act.String(), float64(v)+h) - kerneltest.ActivationRef(act.String(), float64(v)-h)) / (2 * h)
				// Central differences are off by h^2*|f'''|/6 < 1e-8 and by
				// 2^-53/h*|f|; the kernel by 2^-21 and a rounding.
				want := float64(dy[i]) * slope
				if nearKink(v, h) {
					continue
				}
				if diff := math.Abs(float64(dx[i]) - want); diff > 1e-6*math.Abs(float64(dy[i])) {
					t.Errorf("act=%v/seed=%d: x=%v dy=%v: gradient %v, want %v", act, seed, v, dy[i], dx[i], want)
					break
				}
			}
		}
	})
}

// nearKink reports whether a piecewise activation bends within h of x.
func nearKink(x float32, h float64) bool {
	for _, kink := range []float64{-3, 0, 3, 6} {
		if math.Abs(float64(x)-kink) <= h {
			return true
		}
	}
	return false
}
