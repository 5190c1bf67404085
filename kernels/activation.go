package kernels

import (
	"fmt"
	"math"
	"strings"
)

// An Activation is an elementwise function that kernels can apply to a result
// before they store it.
type Activation uint8

const (
	Identity    Activation = iota // x
	ReLU                          // max(0, x)
	ReLU6                         // min(6, max(0, x))
	SiLU                          // x*sigmoid(x)
	HardSwish                     // x*min(1, max(0, x/6+1/2))
	Sigmoid                       // 1/(1+exp(-x))
	Tanh                          // tanh(x)
	GELU                          // x*Phi(x), Phi the normal distribution (the exact form)
	Softplus                      // log(1+exp(x))
	HardSigmoid                   // min(1, max(0, x/6+1/2))
	LeakyReLU                     // x > 0 ? x : 0.01*x; see LeakyReLUWith
	ELU                           // x > 0 ? x : exp(x)-1; see ELUWith
	numActivations
)

var activationNames = [numActivations]string{
	"identity", "relu", "relu6", "silu", "hardswish", "sigmoid", "tanh", "gelu",
	"softplus", "hardsigmoid", "leakyrelu", "elu",
}

// Known reports whether a is one of the constants.
func (a Activation) Known() bool { return a < numActivations }

// String returns the activation's name in lower case.
func (a Activation) String() string {
	if !a.Known() {
		return fmt.Sprintf("kernels.Activation(%d)", uint8(a))
	}
	return activationNames[a]
}

// ParseActivation is the inverse of String. Case, "_" and "-" do not matter;
// swish is another name of silu.
func ParseActivation(name string) (Activation, error) {
	plain := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	if plain == "swish" {
		return SiLU, nil
	}
	for a, n := range activationNames {
		if n == plain {
			return Activation(a), nil
		}
	}
	return Identity, fmt.Errorf("unknown activation %q (one of %s)", name, strings.Join(activationNames[:], ", "))
}

// Parameters of the activations that have one.
const (
	leakySlope      = 0.01
	hardSigmoidA    = 1. / 6
	hardSigmoidB    = 0.5
	defaultELUAlpha = 1
)

func checkActivation(name string, act Activation) {
	if !act.Known() {
		panic("kernels." + name + ": unknown activation")
	}
}

// Activate computes dst[i] = act(x[i]). dst may be x but must not overlap it
// otherwise. NaN stays NaN; ReLU and ReLU6 keep -0. SiLU, HardSwish and GELU of
// -Inf are -Inf*0 = NaN, as in PyTorch.
//
// ReLU, ReLU6, HardSwish, HardSigmoid and LeakyReLU take the float32 operations
// of their definition. Sigmoid and Tanh are within 2 ulp of the exact value and
// SiLU within 3, denormal results included; ELU is within 3 ulp and Softplus
// within 4. GELU is within 4 ulp of the exact value or 2^-21*|x|, whichever is
// more: where Phi(x) is small its relative error grows.
func Activate(act Activation, dst, x []float32) {
	checkActivation("Activate", act)
	checkSame("Activate", dst, x)
	if len(dst) > 0 {
		activate(act, dst, x)
	}
}

// activate chooses the kernel for act.
func activate(act Activation, dst, x []float32) {
	switch act {
	case Identity:
		copy(dst, x)
	case ReLU:
		clamp(dst, x, 0, positiveInf)
	case ReLU6:
		clamp(dst, x, 0, 6)
	case HardSigmoid:
		hardSigmoid(dst, x, hardSigmoidA, hardSigmoidB)
	case LeakyReLU:
		leaky(dst, x, leakySlope)
	case ELU:
		elu(dst, x, defaultELUAlpha)
	default:
		curve(act, dst, x)
	}
}

func curveGeneric(act Activation, dst, x []float32) {
	dst = dst[:len(x)]
	if act == HardSwish {
		for i, v := range x {
			dst[i] = v * clampValue(float32(v*hardSigmoidA)+hardSigmoidB, 0, 1)
		}
		return
	}
	for i, v := range x {
		dst[i] = float32(activation64(act, float64(v)))
	}
}

// activation64 is act for the activations that are not made of straight lines.
func activation64(act Activation, x float64) float64 {
	switch act {
	case SiLU:
		return x * sigmoid64(x)
	case Sigmoid:
		return sigmoid64(x)
	case Tanh:
		return tanh64(x)
	case GELU:
		return x * normal64(x)
	case Softplus:
		return softplus64(x)
	}
	panic("kernels.Activate: unknown activation")
}

// LeakyReLUWith computes dst[i] = x[i] > 0 ? x[i] : slope*x[i]. dst may be x.
func LeakyReLUWith(slope float32, dst, x []float32) {
	checkSame("LeakyReLUWith", dst, x)
	if len(dst) > 0 {
		leaky(dst, x, slope)
	}
}

func leakyGeneric(dst, x []float32, slope float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		if !(v > 0) {
			v *= slope
		}
		dst[i] = v
	}
}

// ELUWith computes dst[i] = x[i] > 0 ? x[i] : alpha*(exp(x[i])-1). dst may be x.
func ELUWith(alpha float32, dst, x []float32) {
	checkSame("ELUWith", dst, x)
	if len(dst) > 0 {
		elu(dst, x, alpha)
	}
}

func eluGeneric(dst, x []float32, alpha float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		if !(v > 0) {
			v = alpha * float32(expm164(float64(v)))
		}
		dst[i] = v
	}
}

// HardSigmoidWith computes dst[i] = min(1, max(0, alpha*x[i]+beta)), the product
// and the sum rounded once or twice depending on the ISA. dst may be x.
func HardSigmoidWith(alpha, beta float32, dst, x []float32) {
	checkSame("HardSigmoidWith", dst, x)
	if len(dst) > 0 {
		hardSigmoid(dst, x, alpha, beta)
	}
}

func hardSigmoidGeneric(dst, x []float32, alpha, beta float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = clampValue(float32(alpha*v)+beta, 0, 1)
	}
}

// ActivateGrad computes dx[i] = dy[i]*act'(x[i]), where x is what the activation
// was applied to. dx may be dy or x but must not overlap them otherwise.
//
// At a kink the derivative is that of the constant or steeper negative side: 0
// for ReLU at 0 and ReLU6 at 0 and 6, as in PyTorch. Where the derivative is
// exactly 0 by a bound, dx is 0 whatever dy is; a NaN in x lets dy pass there.
// For Identity, ReLU, ReLU6 and LeakyReLU the activation's result may stand in
// for x. The other derivatives are within 2^-21 of the exact one, relative to
// the larger of 1 and the derivative.
func ActivateGrad(act Activation, dx, dy, x []float32) {
	checkActivation("ActivateGrad", act)
	checkSame("ActivateGrad", dx, dy, x)
	if len(dx) > 0 {
		activateGrad(act, dx, dy, x)
	}
}

// activateGrad chooses the kernel for act.
func activateGrad(act Activation, dx, dy, x []float32) {
	switch act {
	case Identity:
		copy(dx, dy)
	case ReLU:
		gate(dx, dy, x, 0, notANumber, 0)
	case ReLU6:
		gate(dx, dy, x, 0, 6, 0)
	case LeakyReLU:
		gate(dx, dy, x, 0, notANumber, leakySlope)
	default:
		curveGrad(act, dx, dy, x)
	}
}

func curveGradGeneric(act Activation, dx, dy, x []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		dx[i] = dy[i] * float32(derivative64(act, float64(v)))
	}
}

// gateGeneric computes dx = slope*dy where x <= lo or x >= hi, 0 there if slope
// is 0, and dy elsewhere. A NaN bound is none.
func gateGeneric(dx, dy, x []float32, lo, hi, slope float32) {
	for i, v := range x {
		d := dy[i]
		if v <= lo || v >= hi {
			if slope == 0 {
				d = 0
			} else {
				d *= slope
			}
		}
		dx[i] = d
	}
}

// derivative64 is act' for the activations that are not piecewise constant in
// their derivative, and for HardSigmoid.
func derivative64(act Activation, x float64) float64 {
	switch act {
	case SiLU:
		if math.IsInf(x, 0) {
			return max(0, min(1, x))
		}
		return sigmoid64(x) * (1 + x*sigmoid64(-x))
	case HardSwish:
		switch {
		case x <= -3:
			return 0
		case x >= 3:
			return 1
		}
		return x/3 + 0.5
	case Sigmoid:
		return sigmoid64(x) * sigmoid64(-x)
	case Tanh:
		t := tanh64(x)
		return (1 - t) * (1 + t)
	case GELU:
		if math.IsInf(x, 0) {
			return max(0, min(1, x))
		}
		return normal64(x) + x*density64(x)
	case Softplus:
		return sigmoid64(x)
	case HardSigmoid:
		if x <= -3 || x >= 3 {
			return 0
		}
		return hardSigmoidA
	case ELU:
		if x > 0 {
			return 1
		}
		return exp64(x)
	}
	panic("kernels.ActivateGrad: unknown activation")
}

var (
	positiveInf = float32(math.Inf(1))
	negativeInf = float32(math.Inf(-1))
	notANumber  = float32(math.NaN())
)
