package kerneltest

import (
	"math"
	"math/rand/v2"
)

// A Random is a seeded source of test data. Its stream depends on the seed
// only, so a failure that prints the seed can be repeated.
type Random struct {
	*rand.Rand
	Seed uint64
}

// Rand returns the source for seed.
func Rand(seed uint64) *Random {
	return &Random{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), seed}
}

// Fill sets x to values uniform in [-1, 1).
func (r *Random) Fill(x []float32) {
	for i := range x {
		x[i] = 2*r.Float32() - 1
	}
}

// Slice returns n values uniform in [-1, 1).
func (r *Random) Slice(n int) []float32 {
	x := make([]float32, n)
	r.Fill(x)
	return x
}

// Normal returns n values of the standard normal distribution.
func (r *Random) Normal(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// Integers returns n whole numbers uniform in [-limit, limit]. Sums of products
// of such numbers are exact in float32 below 2^24, whatever their order, so
// kernels can be compared with equality.
func (r *Random) Integers(n, limit int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.IntN(2*limit+1) - limit)
	}
	return x
}

// Special lists the values a float32 kernel must be shown: both zeros, the
// denormal and normal extremes, ones, infinities and NaN.
func Special() []float32 {
	return []float32{
		0, float32(math.Copysign(0, -1)),
		math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
		math.Float32frombits(0x007fffff), math.Float32frombits(0x807fffff),
		math.Float32frombits(0x00800000), math.Float32frombits(0x80800000),
		1, -1, 0.5, -0.5, 3, -3, 6, -6,
		math.MaxFloat32, -math.MaxFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	}
}

// WithSpecials returns n values of which about one in four is from [Special]
// and the rest are uniform in [-1, 1).
func (r *Random) WithSpecials(n int) []float32 {
	special := Special()
	x := r.Slice(n)
	for i := range x {
		if r.IntN(4) == 0 {
			x[i] = special[r.IntN(len(special))]
		}
	}
	return x
}
