package quantize

import (
	"math"
	"testing"
)

// TestCut: a ten-thousandth of the values at either end is left out, whole bins only.
func TestCut(t *testing.T) {
	s := span{lo: -1, hi: 3}
	s.counts[0], s.counts[1], s.counts[bins-3], s.counts[bins-1] = 1, 99_997, 1, 1
	const step = 4.0 / bins
	s.cut(1e-4) // 10 of 100,000
	if s.lo != -1+step || s.hi != 0 {
		t.Errorf("range %v to %v, want %v to 0", s.lo, s.hi, -1+step)
	}
	s = span{lo: 0, hi: 2}
	s.counts[5], s.counts[bins-1] = 1, 3
	s.cut(0.5)
	if s.lo != 0 || s.hi != 2 {
		t.Errorf("range %v to %v, want 0 to 2: zero and most values stay", s.lo, s.hi)
	}
}

// TestMinimise: the range found has the least error among those tried, where a value
// in it is rounded by step*step/12 in the mean square.
func TestMinimise(t *testing.T) {
	normal := func(x float64) float64 { return math.Exp(-x * x / 2) }
	s := span{lo: -8, hi: 8}
	for i := range s.counts {
		s.counts[i] = normal(-8 + (float64(i)+0.5)*16/bins)
	}
	failure := func(hi float64) float64 {
		e := 0.0
		for i, c := range s.counts {
			x := math.Abs(-8 + (float64(i)+0.5)*16/bins)
			step := 2 * hi / 255
			e += c * (math.Pow(max(0, x-hi), 2))
			if x <= hi {
				e += c * step * step / 12
			}
		}
		return e
	}
	best := 8.0
	for f := 1.0; f > 0.3; f -= 0.02 {
		if failure(8*f) < failure(best) {
			best = 8 * f
		}
	}
	s.minimise()
	if math.Abs(float64(s.hi)-best) > 1e-6 || s.lo != -s.hi {
		t.Errorf("range %v to %v, want +-%v", s.lo, s.hi, best)
	}
}
