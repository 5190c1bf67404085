//go:build !purego

package kernels

import (
	"unsafe"

	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices of dispatch_amd64.go for the vector and optimizer kernels.

func add(dst, x, y []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Add(&dst[0], &x[0], &y[0], len(dst))
	case isa.AVX2:
		avx2.Add(&dst[0], &x[0], &y[0], len(dst))
	default:
		addGeneric(dst, x, y)
	}
}

func sub(dst, x, y []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Sub(&dst[0], &x[0], &y[0], len(dst))
	case isa.AVX2:
		avx2.Sub(&dst[0], &x[0], &y[0], len(dst))
	default:
		subGeneric(dst, x, y)
	}
}

func mul(dst, x, y []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Mul(&dst[0], &x[0], &y[0], len(dst))
	case isa.AVX2:
		avx2.Mul(&dst[0], &x[0], &y[0], len(dst))
	default:
		mulGeneric(dst, x, y)
	}
}

// mulStream and gateStream are mul and gate of whole vectors past the caches; dst is
// aligned to a vector. streamFence need not follow.
func mulStream(dst, x, y []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.MulStream(&dst[0], &x[0], &y[0], len(dst))
	case isa.AVX2:
		avx2.MulStream(&dst[0], &x[0], &y[0], len(dst))
	default:
		mulGeneric(dst, x, y)
	}
}

func gateStream(dx, dy, x []float32, lo, hi, slope float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.GateStream(&dx[0], &dy[0], &x[0], len(dx), lo, hi, slope)
	case isa.AVX2:
		avx2.GateStream(&dx[0], &dy[0], &x[0], len(dx), lo, hi, slope)
	default:
		gateGeneric(dx, dy, x, lo, hi, slope)
	}
}

func scale(alpha float32, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Scale(&x[0], &x[0], len(x), alpha)
	case isa.AVX2:
		avx2.Scale(&x[0], &x[0], len(x), alpha)
	default:
		scaleGeneric(alpha, x)
	}
}

func clamp(dst, x []float32, lo, hi float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Clamp(&dst[0], &x[0], len(dst), lo, hi)
	case isa.AVX2:
		avx2.Clamp(&dst[0], &x[0], len(dst), lo, hi)
	default:
		clampGeneric(dst, x, lo, hi)
	}
}

func sum(x []float32) float32 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.Sum(&x[0], len(x))
	case isa.AVX2:
		return avx2.Sum(&x[0], len(x))
	default:
		return sumGeneric(x)
	}
}

func maxOf(x []float32) float32 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.Max(&x[0], len(x))
	case isa.AVX2:
		return avx2.Max(&x[0], len(x))
	default:
		return maxGeneric(x)
	}
}

func expTo(dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Exp(&dst[0], &x[0], len(dst))
	case isa.AVX2:
		avx2.Exp(&dst[0], &x[0], len(dst))
	default:
		expGeneric(dst, x)
	}
}

func logTo(dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Log(&dst[0], &x[0], len(dst))
	case isa.AVX2:
		avx2.Log(&dst[0], &x[0], len(dst))
	default:
		logGeneric(dst, x)
	}
}

// expStream, logStream and curveStream take whole vectors and a dst aligned to them.

func expStream(dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.ExpStream(&dst[0], &x[0], len(dst))
	case isa.AVX2:
		avx2.ExpStream(&dst[0], &x[0], len(dst))
	default:
		expGeneric(dst, x)
	}
}

func logStream(dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.LogStream(&dst[0], &x[0], len(dst))
	case isa.AVX2:
		avx2.LogStream(&dst[0], &x[0], len(dst))
	default:
		logGeneric(dst, x)
	}
}

func leaky(dst, x []float32, slope float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Leaky(&dst[0], &x[0], len(dst), slope)
	case isa.AVX2:
		avx2.Leaky(&dst[0], &x[0], len(dst), slope)
	default:
		leakyGeneric(dst, x, slope)
	}
}

func elu(dst, x []float32, alpha float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.ELU(&dst[0], &x[0], len(dst), alpha)
	case isa.AVX2:
		avx2.ELU(&dst[0], &x[0], len(dst), alpha)
	default:
		eluGeneric(dst, x, alpha)
	}
}

func hardSigmoid(dst, x []float32, alpha, beta float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.HardSigmoid(&dst[0], &x[0], len(dst), alpha, beta)
	case isa.AVX2:
		avx2.HardSigmoid(&dst[0], &x[0], len(dst), alpha, beta)
	default:
		hardSigmoidGeneric(dst, x, alpha, beta)
	}
}

func gate(dx, dy, x []float32, lo, hi, slope float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Gate(&dx[0], &dy[0], &x[0], len(dx), lo, hi, slope)
	case isa.AVX2:
		avx2.Gate(&dx[0], &dy[0], &x[0], len(dx), lo, hi, slope)
	default:
		gateGeneric(dx, dy, x, lo, hi, slope)
	}
}

// curve computes dst = act(x) for the activations that are no clamp and have no
// parameter.
func curve(act Activation, dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		switch act {
		case Sigmoid:
			avx512.Sigmoid(&dst[0], &x[0], len(dst))
		case Tanh:
			avx512.Tanh(&dst[0], &x[0], len(dst))
		case SiLU:
			avx512.SiLU(&dst[0], &x[0], len(dst))
		case GELU:
			avx512.GELU(&dst[0], &x[0], len(dst))
		case Softplus:
			avx512.Softplus(&dst[0], &x[0], len(dst))
		case HardSwish:
			avx512.HardSwish(&dst[0], &x[0], len(dst))
		}
	case isa.AVX2:
		switch act {
		case Sigmoid:
			avx2.Sigmoid(&dst[0], &x[0], len(dst))
		case Tanh:
			avx2.Tanh(&dst[0], &x[0], len(dst))
		case SiLU:
			avx2.SiLU(&dst[0], &x[0], len(dst))
		case GELU:
			avx2.GELU(&dst[0], &x[0], len(dst))
		case Softplus:
			avx2.Softplus(&dst[0], &x[0], len(dst))
		case HardSwish:
			avx2.HardSwish(&dst[0], &x[0], len(dst))
		}
	default:
		curveGeneric(act, dst, x)
	}
}

func curveStream(act Activation, dst, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		switch act {
		case Sigmoid:
			avx512.SigmoidStream(&dst[0], &x[0], len(dst))
		case Tanh:
			avx512.TanhStream(&dst[0], &x[0], len(dst))
		case SiLU:
			avx512.SiLUStream(&dst[0], &x[0], len(dst))
		case GELU:
			avx512.GELUStream(&dst[0], &x[0], len(dst))
		case HardSwish:
			avx512.HardSwishStream(&dst[0], &x[0], len(dst))
		default:
			curve(act, dst, x)
		}
	case isa.AVX2:
		switch act {
		case Sigmoid:
			avx2.SigmoidStream(&dst[0], &x[0], len(dst))
		case Tanh:
			avx2.TanhStream(&dst[0], &x[0], len(dst))
		case SiLU:
			avx2.SiLUStream(&dst[0], &x[0], len(dst))
		case GELU:
			avx2.GELUStream(&dst[0], &x[0], len(dst))
		case HardSwish:
			avx2.HardSwishStream(&dst[0], &x[0], len(dst))
		default:
			curve(act, dst, x)
		}
	default:
		curveGeneric(act, dst, x)
	}
}

// curveGrad computes dx = dy*act'(x) for the activations that gate does not
// cover.
func curveGrad(act Activation, dx, dy, x []float32) {
	switch isa.Active {
	case isa.AVX512:
		switch act {
		case Sigmoid:
			avx512.SigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Tanh:
			avx512.TanhGrad(&dx[0], &dy[0], &x[0], len(dx))
		case SiLU:
			avx512.SiLUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case GELU:
			avx512.GELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Softplus:
			avx512.SoftplusGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSwish:
			avx512.HardSwishGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSigmoid:
			avx512.HardSigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case ELU:
			avx512.ELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		}
	case isa.AVX2:
		switch act {
		case Sigmoid:
			avx2.SigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Tanh:
			avx2.TanhGrad(&dx[0], &dy[0], &x[0], len(dx))
		case SiLU:
			avx2.SiLUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case GELU:
			avx2.GELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		case Softplus:
			avx2.SoftplusGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSwish:
			avx2.HardSwishGrad(&dx[0], &dy[0], &x[0], len(dx))
		case HardSigmoid:
			avx2.HardSigmoidGrad(&dx[0], &dy[0], &x[0], len(dx))
		case ELU:
			avx2.ELUGrad(&dx[0], &dy[0], &x[0], len(dx))
		}
	default:
		curveGradGeneric(act, dx, dy, x)
	}
}

func expSum(dst, x []float32, m float32) float32 {
	switch isa.Active {
	case isa.AVX512:
		return avx512.ExpSum(&dst[0], &x[0], len(dst), m)
	case isa.AVX2:
		return avx2.ExpSum(&dst[0], &x[0], len(dst), m)
	default:
		return expSumGeneric(dst, x, m)
	}
}

// softmaxRows returns false if there is no kernel for rows of so many elements.
func softmaxRows(dst, x []float32, rows, cols int) bool {
	switch {
	case isa.Active == isa.AVX512 && cols <= 16:
		avx512.SoftmaxRows(&dst[0], &x[0], rows, cols)
	case isa.Active == isa.AVX2 && cols <= 8:
		avx2.SoftmaxRows(&dst[0], &x[0], rows, cols)
	default:
		return false
	}
	return true
}

func offset(dst, x []float32, a, b float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Offset(&dst[0], &x[0], len(dst), a, b)
	case isa.AVX2:
		avx2.Offset(&dst[0], &x[0], len(dst), a, b)
	default:
		offsetGeneric(dst, x, a, b)
	}
}

func sgd(w, g []float32, lr, weightDecay float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.SGD(&w[0], &g[0], len(w), lr, weightDecay)
	case isa.AVX2:
		avx2.SGD(&w[0], &g[0], len(w), lr, weightDecay)
	default:
		sgdGeneric(w, g, lr, weightDecay)
	}
}

func sgdMomentum(w, v, g []float32, lr, momentum, keep, weightDecay, a, b float32) {
	switch isa.Active {
	case isa.AVX512:
		avx512.SGDMomentum(&w[0], &v[0], &g[0], len(w), lr, momentum, keep, weightDecay, a, b)
	case isa.AVX2:
		avx2.SGDMomentum(&w[0], &v[0], &g[0], len(w), lr, momentum, keep, weightDecay, a, b)
	default:
		sgdMomentumGeneric(w, v, g, lr, momentum, keep, weightDecay, a, b)
	}
}

func adam(w, m, v, g []float32, f *adamFactors) {
	switch isa.Active {
	case isa.AVX512:
		avx512.Adam(&w[0], &m[0], &v[0], &g[0], len(w), &f.beta1)
	case isa.AVX2:
		avx2.Adam(&w[0], &m[0], &v[0], &g[0], len(w), &f.beta1)
	default:
		adamGeneric(w, m, v, g, f)
	}
}

func rmsprop(w, s, g []float32, f *rmspropFactors) {
	switch isa.Active {
	case isa.AVX512:
		avx512.RMSprop(&w[0], &s[0], &g[0], len(w), &f.alpha)
	case isa.AVX2:
		avx2.RMSprop(&w[0], &s[0], &g[0], len(w), &f.alpha)
	default:
		rmspropGeneric(w, s, g, f)
	}
}

func transpose(rows, cols int, dst []float32, ldd int, src []float32, lds, ahead int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, rows|cols, ldd):
		avx512.TransposeStream(rows, cols, &dst[0], ldd, &src[0], lds, ahead)
	case isa.Active == isa.AVX512:
		avx512.Transpose(rows, cols, &dst[0], ldd, &src[0], lds)
	case isa.Active == isa.AVX2:
		avx2.Transpose(rows, cols, &dst[0], ldd, &src[0], lds)
	default:
		transposeGeneric(rows, cols, dst, ldd, src, lds)
	}
}

// streamCopy streams whole vectors; what is not aligned or left over goes the
// ordinary way.
func streamCopy(dst, src []float32) {
	const line = 64 / 4
	n := len(dst) / line * line
	if uintptr(unsafe.Pointer(unsafe.SliceData(dst)))%64 != 0 {
		n = 0
	}
	switch {
	case n == 0:
	case isa.Active == isa.AVX512:
		avx512.StreamCopy(&dst[0], &src[0], n)
	case isa.Active == isa.AVX2:
		avx2.StreamCopy(&dst[0], &src[0], n)
	default:
		streamCopyGeneric(dst[:n], src[:n])
	}
	copy(dst[n:], src[n:])
}

func streamFence() {
	switch isa.Active {
	case isa.AVX512:
		avx512.StreamFence()
	case isa.AVX2:
		avx2.StreamFence()
	}
}
