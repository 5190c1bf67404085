package kerneltest

import "math"

// ULP returns the number of float32 values between a and b: 0 for equal values
// (and for +0 and -0, and for two NaN), 1 for neighbours. A NaN is
// [math.MaxUint32] away from every number.
func ULP(a, b float32) uint32 {
	aNaN, bNaN := a != a, b != b
	switch {
	case aNaN && bNaN:
		return 0
	case aNaN || bNaN:
		return math.MaxUint32
	}
	x, y := ordinal(a), ordinal(b)
	if x < y {
		x, y = y, x
	}
	return uint32(x - y)
}

// ordinal numbers the float32 values in ascending order, both zeros as 0.
func ordinal(f float32) int64 {
	bits := math.Float32bits(f)
	if bits>>31 != 0 {
		return -int64(bits &^ (1 << 31))
	}
	return int64(bits)
}

// ULPError returns |got-want| in units of the last place of float32 at want: the
// error of got against an exact result, where 0.5 is the best a rounding can
// promise. Results beyond the float32 range count as the infinity they round
// to; a NaN is infinitely far from every number.
func ULPError(got float32, want float64) float64 {
	rounded := float32(want)
	switch {
	case got == rounded, got != got && want != want:
		if math.IsInf(want, 0) || got != got || math.IsInf(float64(got), 0) {
			return 0
		}
	case got != got || want != want:
		return math.Inf(1)
	case math.IsInf(float64(got), 0) || math.IsInf(float64(rounded), 0):
		return float64(ULP(got, rounded))
	}
	_, exp := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(exp-24, -149))
}
