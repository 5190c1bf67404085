//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices of dispatch_arm64.go for the vector and optimizer kernels.

func add(dst, x, y []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Add(&dst[0], &x[0], &y[0], len(dst))
	default:
		addGeneric(dst, x, y)
	}
}

func sub(dst, x, y []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Sub(&dst[0], &x[0], &y[0], len(dst))
	default:
		subGeneric(dst, x, y)
	}
}

func mul(dst, x, y []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Mul(&dst[0], &x[0], &y[0], len(dst))
	default:
		mulGeneric(dst, x, y)
	}
}

// mulStream and gateStream are mul and gate: there are no streamed stores.
func mulStream(dst, x, y []float32) { mul(dst, x, y) }

func expStream(dst, x []float32) { expTo(dst, x) }

func logStream(dst, x []float32) { logTo(dst, x) }

func curveStream(act Activation, dst, x []float32) { curve(act, dst, x) }

func gateStream(dx, dy, x []float32, lo, hi, slope float32) { gate(dx, dy, x, lo, hi, slope) }

func scale(alpha float32, x []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Scale(&x[0], &x[0], len(x), alpha)
	default:
		scaleGeneric(alpha, x)
	}
}

func clamp(dst, x []float32, lo, hi float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Clamp(&dst[0], &x[0], len(dst), lo, hi)
	default:
		clampGeneric(dst, x, lo, hi)
	}
}

func sum(x []float32) float32 {
	switch isa.Active {
	case isa.NEON:
		return neon.Sum(&x[0], len(x))
	default:
		return sumGeneric(x)
	}
}

func maxOf(x []float32) float32 {
	switch isa.Active {
	case isa.NEON:
		return neon.Max(&x[0], len(x))
	default:
		return maxGeneric(x)
	}
}

func expTo(dst, x []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Exp(&dst[0], &x[0], len(dst))
	default:
		expGeneric(dst, x)
	}
}

func logTo(dst, x []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Log(&dst[0], &x[0], len(dst))
	default:
		logGeneric(dst, x)
	}
}

func leaky(dst, x []float32, slope float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Leaky(&dst[0], &x[0], len(dst), slope)
	default:
		leakyGeneric(dst, x, slope)
	}
}

func elu(dst, x []float32, alpha float32) {
	switch isa.Active {
	case isa.NEON:
		neon.ELU(&dst[0], &x[0], len(dst), alpha)
	default:
		eluGeneric(dst, x, alpha)
	}
}

func hardSigmoid(dst, x []float32, alpha, beta float32) {
	switch isa.Active {
	case isa.NEON:
		neon.HardSigmoid(&dst[0], &x[0], len(dst), alpha, beta)
	default:
		hardSigmoidGeneric(dst, x, alpha, beta)
	}
}

func gate(dx, dy, x []float32, lo, hi, slope float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Gate(&dx[0], &dy[0], &x[0], len(dx), lo, hi, slope)
	default:
		gateGeneric(dx, dy, x, lo, hi, slope)
	}
}

// curve computes dst = act(x) for the activations that are no clamp and have no
// parameter.
func curve(act Activation, dst, x []float32) {
	switch isa.Active {
	case isa.NEON:
		switch act {
		case Sigmoid:
			neon.Sigmoid(&dst[0], &x[0], len(dst))
		case Tanh:
			neon.Tanh(&dst[0], &x[0], len(dst))
		case SiLU:
			neon.SiLU(&dst[0], &x[0], len(dst))
		case GELU:
			neon.GELU(&dst[0], &x[0], len(dst))
		case Softplus:
			neon.Softplus(&dst[0], &x[0], len(dst))
		case HardSwish:
			neon.HardSwish(&dst[0], &x[0], len(dst))
		}
	default:
		curveGeneric(act, dst, x)
	}
}

// curveGrad computes dx = dy*act'(x) for the activations that gate does not
// cover.
func curveGrad(act Activation, dx, dy, x []float32) {
	switch isa.Active {
	case isa.NEON:
		switch act {
		case Sigmoid:
			neon.SigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Tanh:
			neon.TanhGrad(&dx[0], &dy[0], &x[0], len(dx))
		case SiLU:
			neon.SiLUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case GELU:
			neon.GELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Softplus:
			neon.SoftplusGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSwish:
			neon.HardSwishGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSigmoid:
			neon.HardSigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case ELU:
			neon.ELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		}
	default:
		curveGradGeneric(act, dx, dy, x)
	}
}

func expSum(dst, x []float32, m float32) float32 {
	switch isa.Active {
	case isa.NEON:
		return neon.ExpSum(&dst[0], &x[0], len(dst), m)
	default:
		return expSumGeneric(dst, x, m)
	}
}

func softmaxRows(_, _ []float32, _, _ int) bool { return false }

func offset(dst, x []float32, a, b float32) {
	switch isa.Active {
	case isa.NEON:
		neon.Offset(&dst[0], &x[0], len(dst), a, b)
	default:
		offsetGeneric(dst, x, a, b)
	}
}

func sgd(w, g []float32, lr, weightDecay float32) {
	switch isa.Active {
	case isa.NEON:
		neon.SGD(&w[0], &g[0], len(w), lr, weightDecay)
	default:
		sgdGeneric(w, g, lr, weightDecay)
	}
}

func sgdMomentum(w, v, g []float32, lr, momentum, keep, weightDecay, a, b float32) {
	switch isa.Active {
	case isa.NEON:
		neon.SGDMomentum(&w[0], &v[0], &g[0], len(w), lr, momentum, keep, weightDecay, a, b)
	default:
		sgdMomentumGeneric(w, v, g, lr, momentum, keep, weightDecay, a, b)
	}
}

func adam(w, m, v, g []float32, f *adamFactors) {
	switch isa.Active {
	case isa.NEON:
		neon.Adam(&w[0], &m[0], &v[0], &g[0], len(w), &f.beta1)
	default:
		adamGeneric(w, m, v, g, f)
	}
}

func rmsprop(w, s, g []float32, f *rmspropFactors) {
	switch isa.Active {
	case isa.NEON:
		neon.RMSprop(&w[0], &s[0], &g[0], len(w), &f.alpha)
	default:
		rmspropGeneric(w, s, g, f)
	}
}

func transpose(rows, cols int, dst []float32, ldd int, src []float32, lds, _ int, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.Transpose(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		transposeGeneric(rows, cols, dst, ldd, src, lds)
	}
}

func streamCopy(dst, src []float32) { streamCopyGeneric(dst, src) }

func streamFence() {}
