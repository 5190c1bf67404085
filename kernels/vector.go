package kernels

// Axpy computes y[i] += alpha*x[i]. x and y must have the same length; they may
// be the same slice but must not overlap otherwise. Zeros are not skipped:
// alpha = 0 turns an Inf or NaN in x into NaN in y. Each element is one
// multiply-add, fused where the ISA has FMA.
func Axpy(alpha float32, x, y []float32) {
	if len(x) != len(y) {
		panic("kernels.Axpy: len(x) != len(y)")
	}
	if len(x) == 0 {
		return
	}
	axpy(alpha, x, y)
}

func axpyGeneric(alpha float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

// Dot returns the sum of x[i]*y[i]; 0 for empty slices. x and y must have the
// same length and may alias. The summation order depends on the ISA and the
// length only; the error is at most n*eps*sum|x[i]*y[i]|, eps = 2^-24.
func Dot(x, y []float32) float32 {
	if len(x) != len(y) {
		panic("kernels.Dot: len(x) != len(y)")
	}
	if len(x) == 0 {
		return 0
	}
	return dot(x, y)
}

// dotGeneric sums in four interleaved partial sums, which halves the
// dependency stalls and the worst-case error of a single running sum.
func dotGeneric(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += x[i] * y[i]
		s1 += x[i+1] * y[i+1]
		s2 += x[i+2] * y[i+2]
		s3 += x[i+3] * y[i+3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}
