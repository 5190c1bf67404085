package kernels

import "math"

// An Activation is an elementwise function that kernels can apply to a result
// before they store it.
type Activation uint8

const (
	Identity    Activation = iota // x
	ReLU                          // max(0, x)
	ReLU6                         // min(6, max(0, x))
	SiLU                          // x*sigmoid(x)
	HardSwish                     // x*min(6, max(0, x+3))/6
	Sigmoid                       // 1/(1+exp(-x))
	Tanh                          // tanh(x)
	GELU                          // x*Phi(x), Phi the normal distribution (the exact form)
	Softplus                      // log(1+exp(x))
	HardSigmoid                   // min(1, max(0, x/6+1/2))
)

// Activate computes dst[i] = act(x[i]). dst may be x. NaN stays NaN.
func Activate(act Activation, dst, x []float32) {
	if len(dst) != len(x) {
		panic("kernels.Activate: len(dst) != len(x)")
	}
	activateGeneric(act, dst, x)
}

func activateGeneric(act Activation, dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(activation(act, float64(v)))
	}
}

func activation(act Activation, x float64) float64 {
	switch act {
	case Identity:
		return x
	case ReLU:
		return max(0, x)
	case ReLU6:
		return min(6, max(0, x))
	case SiLU:
		return x / (1 + math.Exp(-x))
	case HardSwish:
		return x * min(6, max(0, x+3)) / 6
	case Sigmoid:
		return 1 / (1 + math.Exp(-x))
	case Tanh:
		return math.Tanh(x)
	case GELU:
		return x * 0.5 * math.Erfc(-x/math.Sqrt2)
	case Softplus:
		return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	case HardSigmoid:
		return min(1, max(0, x/6+0.5))
	}
	panic("kernels.Activate: unknown activation")
}
