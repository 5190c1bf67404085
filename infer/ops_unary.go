package infer

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

// likeInput gives output 0 the type and shape of input 0.
func (c *call) likeInput() (onnx.DataType, error) {
	if err := c.need(1); err != nil {
		return 0, err
	}
	return c.in[0].typ, c.set(0, c.in[0].typ, c.in[0].shape)
}

// opFloat is an elementwise function of floats, computed in float64.
func opFloat(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	f, err := c.scalarFunction()
	if err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return mapKernel(func(x float32) float32 { return float32(f(float64(x))) }), nil
	case onnx.Float64:
		return mapKernel(f), nil
	}
	return nil, unsupportedType(typ)
}

func mapKernel[T number](f func(T) T) kernel {
	return func(in, out []*Tensor) error {
		dst := view[T](out[0])
		for i, v := range view[T](in[0]) {
			dst[i] = f(v)
		}
		return nil
	}
}

// scalarFunction returns the function of one number that the node applies.
func (c *call) scalarFunction() (func(float64) float64, error) {
	switch c.op {
	case "Exp":
		return math.Exp, nil
	case "Log":
		return math.Log, nil
	case "Sqrt":
		return math.Sqrt, nil
	case "Erf":
		return math.Erf, nil
	case "Tanh":
		return math.Tanh, nil
	case "Sigmoid":
		return sigmoid, nil
	case "Reciprocal":
		return func(x float64) float64 { return 1 / x }, nil
	case "Floor":
		return math.Floor, nil
	case "Ceil":
		return math.Ceil, nil
	case "Softplus":
		// max(x, 0) + log(1 + exp(-|x|)) does not overflow.
		return func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }, nil
	case "Softsign":
		return func(x float64) float64 { return x / (1 + math.Abs(x)) }, nil
	case "HardSwish":
		return func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }, nil
	}
	return c.scalarWithAttributes()
}

func (c *call) scalarWithAttributes() (func(float64) float64, error) {
	switch c.op {
	case "LeakyRelu":
		alpha := float64(c.float("alpha", 0.01))
		return func(x float64) float64 {
			if x < 0 {
				return alpha * x
			}
			return x
		}, nil
	case "Elu":
		alpha := float64(c.float("alpha", 1))
		return func(x float64) float64 {
			if x < 0 {
				return alpha * math.Expm1(x)
			}
			return x
		}, nil
	case "Selu":
		alpha, gamma := float64(c.float("alpha", 1.67326319217681884765625)), float64(c.float("gamma", 1.05070102214813232421875))
		return func(x float64) float64 {
			if x <= 0 {
				return gamma * alpha * math.Expm1(x)
			}
			return gamma * x
		}, nil
	case "HardSigmoid":
		alpha, beta := float64(c.float("alpha", 0.2)), float64(c.float("beta", 0.5))
		return func(x float64) float64 { return max(0, min(1, alpha*x+beta)) }, nil
	case "Gelu":
		switch form := c.string("approximate", "none"); form {
		case "none":
			return func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }, nil
		case "tanh":
			return func(x float64) float64 {
				return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
			}, nil
		default:
			return nil, fmt.Errorf("attribute approximate is %q", form)
		}
	}
	return nil, fmt.Errorf("operator %s is no function of one number", c.op)
}

func sigmoid(x float64) float64 {
	if x < 0 { // exp of a positive number could overflow
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}

// opNumeric is Relu, Abs, Neg or Sign, which integers have too.
func opNumeric(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return numericKernel[float32](c.op), nil
	case onnx.Float64:
		return numericKernel[float64](c.op), nil
	case onnx.Int64:
		return numericKernel[int64](c.op), nil
	case onnx.Uint64:
		return numericKernel[uint64](c.op), nil
	}
	return nil, unsupportedType(typ)
}

func numericKernel[T number](op string) kernel {
	switch op {
	case "Relu":
		return mapKernel(func(x T) T {
			if x < 0 {
				return 0
			}
			return x
		})
	case "Abs":
		return mapKernel(func(x T) T {
			if x <= 0 {
				return 0 - x // 0 - -0 is +0
			}
			return x
		})
	case "Neg":
		return mapKernel(func(x T) T { return -x })
	case "Sign":
		return mapKernel(func(x T) T {
			switch {
			case x > 0:
				return 1
			case x < 0:
				var one T = 1
				return -one
			}
			return x
		})
	}
	panic("infer.numericKernel: unknown operator " + op)
}

func opNot(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err == nil && typ != onnx.Bool {
		err = unsupportedType(typ)
	}
	return func(in, out []*Tensor) error {
		for i, v := range in[0].mem {
			out[0].mem[i] = v ^ 1
		}
		return nil
	}, err
}

// opClip limits elements to [min, max], which are attributes before opset 11
// and optional inputs since. If min > max the result is max.
func opClip(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	if c.opset >= 11 {
		for i := 1; i < 3; i++ {
			if v := c.input(i); v != nil && (v.typ != typ || product(v.shape) != 1) {
				return nil, fmt.Errorf("limit of %v %v for an input of %v", v.typ, v.shape, typ)
			}
		}
	}
	switch typ {
	case onnx.Float32:
		return clipKernel[float32](c), nil
	case onnx.Float64:
		return clipKernel[float64](c), nil
	case onnx.Int64:
		return clipKernel[int64](c), nil
	case onnx.Uint64:
		return clipKernel[uint64](c), nil
	}
	return nil, unsupportedType(typ)
}

func clipKernel[T number](c *call) kernel {
	var fixed [2]*T
	for i, name := range []string{"min", "max"} {
		if a := c.attribute(name, onnx.AttributeFloat); a != nil && c.opset < 11 {
			v := T(a.Float)
			fixed[i] = &v
		}
	}
	return func(in, out []*Tensor) error {
		limits := fixed
		for i := range limits {
			if i+1 < len(in) && in[i+1] != nil {
				limits[i] = &view[T](in[i+1])[0]
			}
		}
		dst := view[T](out[0])
		lo, hi := limits[0], limits[1]
		for i, v := range view[T](in[0]) {
			if lo != nil && v < *lo {
				v = *lo
			}
			if hi != nil && v > *hi {
				v = *hi
			}
			dst[i] = v
		}
		return nil
	}
}
