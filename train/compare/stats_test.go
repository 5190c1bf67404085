package compare

import (
	"math"
	"testing"
)

// TestCompareKnown checks intervals whose bounds follow by hand from tables of
// Student's t: t(0.975) is 12.706205 for 1 degree of freedom, 4.302653 for 2 and
// 2.262157 for 9. The tables have seven digits, hence the tolerance.
func TestCompareKnown(t *testing.T) {
	ten := make([]float64, 10)
	for i := range ten {
		ten[i] = float64(i + 1) // mean 5.5, sum of squares about it 82.5
	}
	for _, c := range []struct {
		a, b         []float64
		mean, sd, tq float64
	}{
		{[]float64{3, 5}, []float64{2, 2}, 2, math.Sqrt2, 12.706205},
		{[]float64{1, 2, 3}, []float64{0, 0, 0}, 2, 1, 4.302653},
		{[]float64{0.5, 0.25, 0.75}, []float64{0.25, 0.5, 0.25}, 0.5 / 3, math.Sqrt(0.375-0.25/3) / math.Sqrt2, 4.302653},
		{ten, make([]float64, 10), 5.5, math.Sqrt(82.5 / 9), 2.262157},
	} {
		d := Compare(c.a, c.b)
		half := c.tq * c.sd / math.Sqrt(float64(len(c.a)))
		near := func(name string, got, want float64) {
			if math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
				t.Errorf("%v - %v: %s %v, want %v", c.a, c.b, name, got, want)
			}
		}
		near("mean", d.Mean, c.mean)
		near("deviation", *d.SD, c.sd)
		near("lower bound", *d.Low, c.mean-half)
		near("upper bound", *d.High, c.mean+half)
		if d.N != len(c.a) {
			t.Errorf("%d pairs, want %d", d.N, len(c.a))
		}
	}
}

func TestCompareFew(t *testing.T) {
	if d := Compare(nil, nil); d != nil {
		t.Errorf("no pairs: %+v", d)
	}
	d := Compare([]float64{0.75}, []float64{0.5})
	if d.N != 1 || d.Mean != 0.25 || d.SD != nil || d.Low != nil || d.High != nil || d.Better() || d.Worse() {
		t.Errorf("one pair: %+v", d)
	}
	// Equal differences leave no doubt.
	d = Compare([]float64{1, 2, 3}, []float64{0.5, 1.5, 2.5})
	if *d.SD != 0 || *d.Low != 0.5 || *d.High != 0.5 || !d.Better() || d.Worse() {
		t.Errorf("equal differences: %+v", d)
	}
	if d := Compare([]float64{1, 2}, []float64{2, 3}); d.Better() || !d.Worse() {
		t.Errorf("negative differences: %+v", d)
	}
}

// TestCoverage draws normal differences with a known mean: 95 % of the intervals
// must hold it. Of 4000 intervals the count then has a standard deviation of
// sqrt(4000*0.95*0.05) = 13.8; five of them are allowed.
func TestCoverage(t *testing.T) {
	const intervals, seeds, mean = 4000, 3, 0.3
	r := newRand(t)
	held := 0
	for range intervals {
		a, b := make([]float64, seeds), make([]float64, seeds)
		for i := range a {
			common := r.NormFloat64() // of the pair, which pairing removes
			a[i], b[i] = common+mean+0.2*r.NormFloat64(), common
		}
		if d := Compare(a, b); *d.Low <= mean && mean <= *d.High {
			held++
		}
	}
	if math.Abs(float64(held)-0.95*intervals) > 5*13.8 {
		t.Errorf("%d of %d intervals hold the mean", held, intervals)
	}
}
