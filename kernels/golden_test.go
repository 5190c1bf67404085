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
			k := kerneltest.ReadNorm(c)
			vector := func() []float32 { return make([]float32, k.C) }
			eps := float32(k.Eps)

			mean, variance, scale, shift := vector(), vector(), vector(), vector()
			y := make([]float32, len(k.X))
			kernels.BatchNormStats(mean, variance, k.X, k.Rows, k.C)
			kernels.BatchNormFold(scale, shift, k.Gamma, k.Beta, mean, variance, eps)
			kernels.BatchNormApply(kernels.Identity, y, k.X, scale, shift, k.Rows, k.C)
			kerneltest.CloseSums(t, "y", y, k.Y, k.MagY, goldenAbs, goldenRel)

			g := kernels.BatchNormGrad{
				DY: k.DY, X: k.X, Gamma: k.Gamma, Mean: mean, Variance: variance, Eps: eps,
				DX: make([]float32, len(k.X)), DGamma: vector(), DBeta: vector(),
			}
			kernels.BatchNormBackward(&g, k.Rows, k.C)
			kerneltest.CloseSums(t, "gx", g.DX, k.DX, k.MagDX, goldenAbs, goldenRel)
			if k.Affine {
				kerneltest.CloseSums(t, "ggamma", g.DGamma, k.DGamma, k.MagGamma, goldenAbs, goldenRel)
				kerneltest.Close(t, "gbeta", g.DBeta, k.DBeta, goldenAbs, goldenRel)
			}

			// Running statistics start as PyTorch's: mean 0, variance 1.
			runMean, runVar := vector(), vector()
			for i := range runVar {
				runVar[i] = 1
			}
			kernels.BatchNormUpdate(runMean, runVar, mean, variance, k.Rows, float32(k.Momentum))
			kerneltest.Close(t, "running_mean", runMean, k.RunningMean, goldenAbs, goldenRel)
			kerneltest.Close(t, "running_var", runVar, k.RunningVar, goldenAbs, goldenRel)
			kernels.BatchNormFold(scale, shift, k.Gamma, k.Beta, runMean, runVar, eps)
			kernels.BatchNormApply(kernels.Identity, y, k.X, scale, shift, k.Rows, k.C)
			kerneltest.CloseSums(t, "y_eval", y, k.YEval, k.MagEval, goldenAbs, goldenRel)
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
