package kerneltest

import "math"

// Eps is the unit roundoff of float32, 2^-24.
const Eps = 1.0 / (1 << 24)

// DotRef returns the sum of x[i]*y[i] and the sum of |x[i]*y[i]| in float64. A
// float32 kernel of n terms, in any order, is within n*Eps*magnitude of the sum
// to first order.
func DotRef(x, y []float32) (sum, magnitude float64) {
	for i, v := range x {
		p := float64(v) * float64(y[i])
		sum += p
		magnitude += math.Abs(p)
	}
	return sum, magnitude
}

// GemmRef returns alpha*op(A)*op(B) + beta*C as an m x n row-major matrix in
// float64, and for each element the same sum over absolute values. beta = 0
// does not read c. A float32 kernel is within (k+3)*Eps*magnitude of the result
// to first order.
func GemmRef(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) (want, magnitude []float64) {
	ars, acs := strides(transA, lda)
	brs, bcs := strides(transB, ldb)
	want, magnitude = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		row, mag := want[i*n:i*n+n], magnitude[i*n:i*n+n]
		for p := range k {
			v := float64(alpha) * float64(a[i*ars+p*acs])
			for j := range row {
				t := v * float64(b[p*brs+j*bcs])
				row[j] += t
				mag[j] += math.Abs(t)
			}
		}
		if beta == 0 {
			continue
		}
		for j := range row {
			t := float64(beta) * float64(c[i*ldc+j])
			row[j] += t
			mag[j] += math.Abs(t)
		}
	}
	return want, magnitude
}

// strides returns the row and column stride of op(X), X stored row-major with
// leading dimension ld.
func strides(trans bool, ld int) (row, col int) {
	if trans {
		return 1, ld
	}
	return ld, 1
}

// ActivationRef returns the activation of that name (as kernels.Activation
// spells it), or exp or log, at x in float64.
func ActivationRef(name string, x float64) float64 {
	switch name {
	case "identity":
		return x
	case "relu":
		return math.Max(0, x)
	case "relu6":
		return math.Min(6, math.Max(0, x))
	case "silu":
		return x * sigmoidRef(x)
	case "hardswish":
		return x * math.Min(6, math.Max(0, x+3)) / 6
	case "sigmoid":
		return sigmoidRef(x)
	case "tanh":
		return math.Tanh(x)
	case "gelu":
		return x * 0.5 * math.Erfc(-x/math.Sqrt2)
	case "softplus":
		return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	case "hardsigmoid":
		return math.Min(1, math.Max(0, x/6+0.5))
	case "leakyrelu":
		return math.Max(x, 0) + 0.01*math.Min(x, 0)
	case "elu":
		return math.Max(x, 0) + math.Expm1(math.Min(x, 0))
	case "exp":
		return math.Exp(x)
	case "log":
		return math.Log(x)
	}
	panic("kerneltest.ActivationRef: unknown name " + name)
}

func sigmoidRef(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
