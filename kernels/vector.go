package kernels

// The kernels of this file make one pass over one to three vectors. They are
// serial. In assembly because only vector instructions move data as fast as the
// caches deliver it; to be removed when the compiler vectorises these loops.

func checkSame(name string, dst []float32, sources ...[]float32) {
	for _, s := range sources {
		if len(s) != len(dst) {
			panic("kernels." + name + ": lengths differ")
		}
	}
}

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

// Add computes dst[i] = x[i] + y[i]. The slices must have the same length; dst
// may be x or y but must not overlap them otherwise. The result is that of the
// float32 operation on every ISA; so it is for Sub, Mul and Scale.
func Add(dst, x, y []float32) {
	checkSame("Add", dst, x, y)
	if len(dst) > 0 {
		add(dst, x, y)
	}
}

func addGeneric(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

// Sub computes dst[i] = x[i] - y[i], with the rules of [Add].
func Sub(dst, x, y []float32) {
	checkSame("Sub", dst, x, y)
	if len(dst) > 0 {
		sub(dst, x, y)
	}
}

func subGeneric(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] - y[i]
	}
}

// Mul computes dst[i] = x[i] * y[i], with the rules of [Add].
func Mul(dst, x, y []float32) {
	checkSame("Mul", dst, x, y)
	if len(dst) > 0 {
		mul(dst, x, y)
	}
}

func mulGeneric(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

// Scale computes x[i] *= alpha. alpha = 0 makes NaN of Inf and NaN.
func Scale(alpha float32, x []float32) {
	if len(x) > 0 {
		scale(alpha, x)
	}
}

func scaleGeneric(alpha float32, x []float32) {
	for i := range x {
		x[i] *= alpha
	}
}

// Clamp computes dst[i] = min(max(x[i], lo), hi). dst may be x. NaN stays NaN;
// where x equals a bound, so also for zeros of either sign, x is kept. It
// panics unless lo <= hi.
func Clamp(dst, x []float32, lo, hi float32) {
	checkSame("Clamp", dst, x)
	if !(lo <= hi) {
		panic("kernels.Clamp: not lo <= hi")
	}
	if len(dst) > 0 {
		clamp(dst, x, lo, hi)
	}
}

func clampGeneric(dst, x []float32, lo, hi float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = clampValue(v, lo, hi)
	}
}

// clampValue keeps a NaN, and a zero of either sign at a bound of zero.
func clampValue(v, lo, hi float32) float32 {
	if lo > v {
		v = lo
	}
	if hi < v {
		v = hi
	}
	return v
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

// Sum returns the sum of x; 0 for an empty slice. The summation order depends on
// the ISA and the length only; the error is at most n*eps*sum|x[i]|, eps =
// 2^-24.
func Sum(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	return sum(x)
}

func sumGeneric(x []float32) float32 {
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += x[i]
		s1 += x[i+1]
		s2 += x[i+2]
		s3 += x[i+3]
	}
	for ; i < len(x); i++ {
		s0 += x[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// SumSquares returns the sum of x[i]*x[i], as [Dot] of x with itself.
func SumSquares(x []float32) float32 { return Dot(x, x) }

// Max returns the largest element of x, NaN if there is a NaN. Of zeros of
// either sign it may return either. It panics if x is empty.
func Max(x []float32) float32 {
	if len(x) == 0 {
		panic("kernels.Max: empty slice")
	}
	return maxOf(x)
}

func maxGeneric(x []float32) float32 {
	m := x[0]
	for _, v := range x[1:] {
		if v > m || v != v {
			m = v
		}
		if m != m {
			return m
		}
	}
	return m
}

// ArgMax returns the first index of the largest element of x, or that of the
// first NaN if there is one. It panics if x is empty.
func ArgMax(x []float32) int {
	if len(x) == 0 {
		panic("kernels.ArgMax: empty slice")
	}
	best := 0
	for lo := 0; lo < len(x); lo += argMaxBlock {
		block := x[lo:min(lo+argMaxBlock, len(x))]
		m := maxOf(block)
		if m > x[best] || lo == 0 || m != m {
			best = lo + indexOf(block, m)
		}
		if m != m {
			break
		}
	}
	return best
}

// argMaxBlock is how much of a vector is searched again for the index of its
// maximum: little enough to be still in L1.
const argMaxBlock = 1024

// indexOf returns the first index of v in x, where a NaN equals a NaN.
func indexOf(x []float32, v float32) int {
	if v != v {
		for i, w := range x {
			if w != w {
				return i
			}
		}
	}
	for i, w := range x {
		if w == v {
			return i
		}
	}
	panic("kernels: value not found")
}
