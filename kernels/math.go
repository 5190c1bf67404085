package kernels

import "math"

// Exp computes dst[i] = e^x[i], within 1.5 ulp of the exact value, denormal
// results included; +Inf above 88.72284, 0 below -103.97. NaN stays NaN. dst may
// be x.
func Exp(dst, x []float32) {
	checkSame("Exp", dst, x)
	if len(dst) > 0 {
		expTo(dst, x)
	}
}

// Log computes dst[i] = ln x[i], within 1.5 ulp of the exact value, denormal
// arguments included; -Inf for zeros, NaN for negative numbers and NaN. dst may
// be x.
func Log(dst, x []float32) {
	checkSame("Log", dst, x)
	if len(dst) > 0 {
		logTo(dst, x)
	}
}

// The twins work in float64, so that their only error worth naming is the last
// rounding: they define the functions.

func expGeneric(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = float32(exp64(float64(v)))
	}
}

func logGeneric(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = float32(math.Log(float64(v)))
	}
}

// exp64 returns e^x to 2^-40 for arguments that matter in float32, 0 below -746
// and +Inf above 709. Splitting x = n*ln2 + r leaves |r| <= 0.3466, where the
// Taylor series ends with r^10/10!, 2^-41 of the sum at most.
func exp64(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709:
		return math.Inf(1)
	case x < -708:
		return 0
	}
	n := math.Floor(x*math.Log2E + 0.5)
	r := x - n*math.Ln2
	p := 1 + r*(1+r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720+r*(1./5040+r*(1./40320+r*(1./362880)))))))))
	return p * math.Float64frombits(uint64(1023+int(n))<<52)
}

// expm164 returns e^x - 1 to 2^-36 relative for |x| < 1/4 by its series, and
// by exp64 elsewhere.
func expm164(x float64) float64 {
	if math.Abs(x) < 0.25 {
		return x * (1 + x*(1./2+x*(1./6+x*(1./24+x*(1./120+x*(1./720+x*(1./5040+x*(1./40320+x*(1./362880)))))))))
	}
	return exp64(x) - 1
}

func sigmoid64(x float64) float64 { return 1 / (1 + exp64(-x)) }

// tanh64 is (e^2x - 1)/(e^2x + 1) for |x|, with the sign of x.
func tanh64(x float64) float64 {
	e := expm164(2 * math.Abs(x))
	if e > 1e20 {
		return math.Copysign(1, x)
	}
	return math.Copysign(e/(e+2), x)
}

// normal64 is the standard normal distribution function.
func normal64(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// density64 is the standard normal density.
func density64(x float64) float64 {
	const inverseSqrt2Pi = 0.39894228040143267794
	return inverseSqrt2Pi * exp64(-0.5*x*x)
}

func softplus64(x float64) float64 {
	return max(x, 0) + math.Log1p(exp64(-math.Abs(x)))
}
