package gen

import "fmt"

// Elementwise kernels: functions of one vector, their derivatives, and what is
// made of two vectors or a vector and parameters.

// unary makes dst[i] = f(x[i]), working on up to unroll vectors together.
func unary(name, formula string, unroll int, f function1) func(Machine) {
	return func(m Machine) { unaryAs(name, formula, unroll, f, nearForm{})(m, storeKind{}) }
}

func unaryAs(name, formula string, unroll int, f function1, near nearForm) func(Machine, storeKind) {
	return func(m Machine, k storeKind) {
		name := name + k.suffix()
		m.Func(name, "func(dst, x *float32, n int)",
			k.doc(fmt.Sprintf("%s computes dst[i] = %s for i < n. dst may be x.", name, formula))...)
		dst, x, n := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamInt("n")
		unroll := f.vectors(m, unroll)
		c := hold(m, near.orElse(f), unroll)
		m.Strips(n, []Ptr{dst, x}, unroll, func(s Strip) {
			onStripNear(c, s, func(u int) Vec { return s.Load(x, u) }, f, near, func(u int, y Vec) { k.store(s)(dst, u, y) })
		})
		k.ret(m)
	}
}

// gradient makes dx[i] = dy[i]*f(x[i]).
func gradient(name, formula string, f function1) func(Machine) {
	return func(m Machine) {
		m.Func(name, "func(dx, dy, x *float32, n int)",
			fmt.Sprintf("%s computes dx[i] = dy[i]*%s for i < n. dx may be dy or x.", name, formula))
		dx, dy, x, n := m.ParamPtr("dx"), m.ParamPtr("dy"), m.ParamPtr("x"), m.ParamInt("n")
		c := hold(m, f, 2)
		m.Strips(n, []Ptr{dx, dy, x}, 2, func(s Strip) {
			onStrip(c, s, func(u int) Vec { return s.Load(x, u) }, f.emit, func(u int, y Vec) { s.Store(dx, u, m.Mul(y, s.Load(dy, u))) })
		})
		m.Ret()
	}
}

// twoVectors makes dst[i] = x[i] op y[i].
func twoVectors(name, symbol string, op func(m Machine, a, b Vec) Vec) func(Machine) {
	return func(m Machine) { twoVectorsAs(m, storeKind{}, name, symbol, op) }
}

func twoVectorsAs(m Machine, k storeKind, name, symbol string, op func(m Machine, a, b Vec) Vec) {
	name += k.suffix()
	m.Func(name, "func(dst, x, y *float32, n int)",
		k.doc(fmt.Sprintf("%s computes dst[i] = x[i] %s y[i] for i < n. dst may be x or y.", name, symbol))...)
	dst, x, y, n := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("y"), m.ParamInt("n")
	m.Strips(n, []Ptr{dst, x, y}, 4, func(s Strip) {
		for u := range s.U {
			k.store(s)(dst, u, op(m, s.Load(x, u), s.Load(y, u)))
		}
	})
	k.ret(m)
}

// elementwiseStream are those that write maps in memory.
var elementwiseStream = []func(Machine, storeKind){
	func(m Machine, k storeKind) { twoVectorsAs(m, k, "Mul", "*", Machine.Mul) },
	gateAs,
}

// parametric makes a function of one vector and parameters.
func parametric(name, formula string, params []string, setup func(m Machine, p []Vec) func(x Vec) Vec) func(Machine) {
	return func(m Machine) {
		list := ""
		for _, p := range params {
			list += ", " + p
		}
		m.Func(name, fmt.Sprintf("func(dst, x *float32, n int%s float32)", list),
			fmt.Sprintf("%s computes dst[i] = %s for i < n. dst may be x.", name, formula))
		dst, x, n := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamInt("n")
		var values []Vec
		for _, p := range params {
			values = append(values, m.ParamF32(p))
		}
		f := setup(m, values)
		m.Strips(n, []Ptr{dst, x}, 4, func(s Strip) {
			for u := range s.U {
				s.Store(dst, u, f(s.Load(x, u)))
			}
		})
		m.Ret()
	}
}

var elementwise = []func(Machine){
	twoVectors("Add", "+", Machine.Add),
	twoVectors("Sub", "-", Machine.Sub),
	twoVectors("Mul", "*", Machine.Mul),
	parametric("Scale", "alpha*x[i]", []string{"alpha"}, func(m Machine, p []Vec) func(Vec) Vec {
		return func(x Vec) Vec { return m.Mul(x, p[0]) }
	}),
	parametric("Offset", "(x[i]-a)-b", []string{"a", "b"}, func(m Machine, p []Vec) func(Vec) Vec {
		return func(x Vec) Vec { return m.Sub(m.Sub(x, p[0]), p[1]) }
	}),
	parametric("Clamp", "min(max(x[i], lo), hi), x[i] if that is NaN or equals a bound,", []string{"lo", "hi"}, func(m Machine, p []Vec) func(Vec) Vec {
		return func(x Vec) Vec { return m.Min(p[1], m.Max(p[0], x)) }
	}),
	parametric("Leaky", "x[i] > 0 ? x[i] : slope*x[i]", []string{"slope"}, func(m Machine, p []Vec) func(Vec) Vec {
		zero := m.Zero()
		return func(x Vec) Vec { return m.Select(m.Less(zero, x), x, m.Mul(x, p[0])) }
	}),
	parametric("HardSigmoid", "min(1, max(0, alpha*x[i] + beta))", []string{"alpha", "beta"}, func(m Machine, p []Vec) func(Vec) Vec {
		zero, one := m.Zero(), m.Const(1)
		return func(x Vec) Vec {
			y := m.Copy(p[1])
			m.AccMulAdd(y, x, p[0])
			return m.Min(one, m.Max(zero, y))
		}
	}),
	gate,
	gradient("HardSwishGrad", "(x[i]/3 + 1/2; 0 up to -3, 1 from 3)", hardSwishDerivative),
	gradient("HardSigmoidGrad", "(1/6; 0 up to -3 and from 3)", hardSigmoidDerivative),
}

// gate is the gradient of piecewise linear activations.
func gate(m Machine) { gateAs(m, storeKind{}) }

func gateAs(m Machine, k storeKind) {
	m.Func("Gate"+k.suffix(), "func(dx, dy, x *float32, n int, lo, hi, slope float32)", k.doc(
		"Gate"+k.suffix()+" computes dx[i] = x[i] <= lo || x[i] >= hi ? slope*dy[i] : dy[i] for i < n,",
		"where slope = 0 makes 0 of any dy[i]. A NaN bound is none. dx may be dy or x.")...)
	dx, dy, x, n := m.ParamPtr("dx"), m.ParamPtr("dy"), m.ParamPtr("x"), m.ParamInt("n")
	lo, hi, slope := m.ParamF32("lo"), m.ParamF32("hi"), m.ParamF32("slope")
	zero := m.Zero()
	flat := m.Equal(slope, zero)
	m.Strips(n, []Ptr{dx, dy, x}, 4, func(s Strip) {
		for u := range s.U {
			v, d := s.Load(x, u), s.Load(dy, u)
			low := m.Select(flat, zero, m.Mul(d, slope))
			k.store(s)(dx, u, m.Select(m.LessEq(v, lo), low, m.Select(m.LessEq(hi, v), low, d)))
		}
	})
	k.ret(m)
}

// transcendentalMaps are the functions that write maps, in memory as well. Four
// vectors together keep a core busy that waits four cycles for each multiply-add;
// where there are 16 registers, two.
var transcendentalMaps = []func(Machine, storeKind){
	unaryAs("Exp", "exp(x[i])", 4, expFunction, expNear),
	unaryAs("Log", "ln(x[i])", 4, logFunction, nearForm{}),
	unaryAs("Sigmoid", "1/(1+exp(-x[i]))", 4, sigmoidFunction, sigmoidNear),
	unaryAs("SiLU", "x[i]/(1+exp(-x[i]))", 4, siluFunction, siluNear),
	unaryAs("Tanh", "tanh(x[i])", 4, tanhFunction, nearForm{}),
	unaryAs("GELU", "x[i]*Phi(x[i])", 4, geluFunction, geluNear),
	unaryAs("HardSwish", "x[i]*min(1, max(0, x[i]/6 + 1/2))", 4, hardSwishFunction, nearForm{}),
}

var transcendental = []func(Machine){
	storing(storeKind{}, transcendentalMaps...),
	unary("Softplus", "ln(1+exp(x[i]))", 4, softplusFunction),
	elu,
	expSum,
}

var transcendentalGradients = []func(Machine){
	gradient("SiLUGrad", "silu'(x[i])", siluDerivative),
	gradient("SigmoidGrad", "sigmoid'(x[i])", sigmoidDerivative),
	gradient("TanhGrad", "tanh'(x[i])", tanhDerivative),
	gradient("GELUGrad", "gelu'(x[i])", geluDerivative),
	gradient("SoftplusGrad", "sigmoid(x[i])", sigmoidFunction),
	gradient("ELUGrad", "exp(min(x[i], 0))", eluDerivative),
}

func elu(m Machine) {
	m.Func("ELU", "func(dst, x *float32, n int, alpha float32)",
		"ELU computes dst[i] = x[i] > 0 ? x[i] : alpha*(exp(x[i])-1) for i < n. dst may be x.")
	dst, x, n := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamInt("n")
	alpha := m.ParamF32("alpha")
	c := hold(m, function1{append(floats(0), expm1Constants...), constants.expm1}, 1)
	m.Strips(n, []Ptr{dst, x}, 2, func(s Strip) {
		for u := range s.U {
			v := s.Load(x, u)
			e := m.Mul(alpha, c.expm1(m.Min(c.of(0), v)))
			s.Store(dst, u, m.Select(m.Less(c.of(0), v), v, e))
		}
	})
	m.Ret()
}

// belowFunction is e^x for x <= 0 and for NaN.
var belowFunction = function1{expFunction.constants, func(c constants, x Vec) Vec { return c.exp(c.Max(c.of(expBelow), x)) }}

// expSum is the inner loop of softmax.
func expSum(m Machine) {
	unroll := belowFunction.vectors(m, 4)
	m.Func("ExpSum", "func(dst, x *float32, n int, max float32) float32",
		"ExpSum computes dst[i] = exp(x[i]-max) for i < n and returns the sum of dst. No x[i]",
		fmt.Sprintf("is above max. Vector i goes to sum i mod %d, those behind the last group of %d to", unroll, unroll),
		"sum 0; the sums are added in order, then their lanes in halves. dst may be x.")
	dst, x, n := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamInt("n")
	top, zero := m.ParamF32("max"), m.Zero()
	c := hold(m, expNear.orElse(belowFunction), unroll)
	sums := make([]Vec, unroll)
	for u := range sums {
		sums[u] = m.Zero()
	}
	m.Strips(n, []Ptr{dst, x}, unroll, func(s Strip) {
		below := func(u int) Vec { return m.Sub(s.Load(x, u), top) }
		onStripNear(c, s, below, belowFunction, expNear, func(u int, e Vec) {
			s.Store(dst, u, e)
			m.Set(sums[u], m.Add(sums[u], s.Keep(e, zero)))
		})
	})
	for _, v := range sums[1:] {
		m.Set(sums[0], m.Add(sums[0], v))
	}
	m.ReturnF32(m.SumLanes(sums[0]))
}

// sum and maximum reduce a vector.

func sum(m Machine) {
	m.Func("Sum", "func(x *float32, n int) float32",
		"Sum returns the sum of x[i] for i < n.",
		"Vector i of the input goes to accumulator i mod 8, the rest behind the last",
		"group of 8 to accumulator 0; accumulators and then lanes are added in halves.")
	x, n := m.ParamPtr("x"), m.ParamInt("n")
	acc := make([]Vec, dotAccumulators)
	for i := range acc {
		acc[i] = m.Zero()
	}
	m.Strips(n, []Ptr{x}, dotAccumulators, func(s Strip) {
		for u := range s.U {
			m.Set(acc[u], m.Add(acc[u], s.Load(x, u)))
		}
	})
	for half := len(acc) / 2; half > 0; half /= 2 {
		for i := range half {
			acc[i] = m.Add(acc[i], acc[i+half])
		}
	}
	m.ReturnF32(m.SumLanes(acc[0]))
}

func maximum(m Machine) {
	const accumulators = 4
	m.Func("Max", "func(x *float32, n int) float32",
		"Max returns the largest x[i] for i < n, n > 0; NaN if there is one.")
	x, n := m.ParamPtr("x"), m.ParamInt("n")
	low := m.ConstBits(negInfBits)
	var top, nan [accumulators]Vec
	for i := range top {
		top[i], nan[i] = m.Copy(low), m.Zero()
	}
	m.Strips(n, []Ptr{x}, accumulators, func(s Strip) {
		for u := range s.U {
			v := s.Keep(s.Load(x, u), low)
			// Max returns its second operand if either is NaN, so a NaN
			// enters top and the next number would replace it: nan keeps it.
			m.Set(top[u], m.Max(top[u], v))
			m.Set(nan[u], m.Select(m.IsNaN(v), v, nan[u]))
		}
	})
	for half := accumulators / 2; half > 0; half /= 2 {
		for i := range half {
			top[i] = m.Max(top[i], top[i+half])
			nan[i] = m.Add(nan[i], nan[i+half])
		}
	}
	// The sum of nan is 0 or NaN; adding it to the maximum passes it on.
	m.ReturnF32(m.Add(m.MaxLanes(top[0]), m.SumLanes(nan[0])))
}
