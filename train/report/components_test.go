package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestPrincipalKnown rotates and moves points whose spread along each axis is
// known: the axes, the shares and the projections must come out. Iteration stops
// at a relative change of 1e-15 of the variance, which is quadratic in the angle
// to the true plane: the angle is near sqrt(1e-15), hence the tolerance of 1e-6.
func TestPrincipalKnown(t *testing.T) {
	const n, d, seed = 400, 12, 3
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	// Columns of cosines are orthogonal to each other and to the constant.
	spread := make([]float64, d)
	for k := range spread {
		spread[k] = math.Pow(2, 3-float64(k))
	}
	// A Householder reflection 1 - 2 u u^T as the rotation.
	u := make([]float64, d)
	for j := range u {
		u[j] = r.NormFloat64()
	}
	unit(u)
	vectors := make([]float64, n*d)
	scores := make([]float64, n*d)
	for i := range n {
		row := scores[i*d : (i+1)*d]
		for k := range row {
			row[k] = spread[k] * math.Cos(math.Pi*float64(k+1)*(float64(i)+0.5)/n)
		}
		along := dot(row, u)
		for j := range d {
			vectors[i*d+j] = row[j] - 2*along*u[j] + 100*float64(j)
		}
	}
	c, ok := principal(vectors, n, d)
	if !ok {
		t.Fatal("no components")
	}
	total := 0.0
	for k, s := range spread {
		want := s * s * n / 2 / (n - 1) // the squares of a column of cosines sum to n/2
		total += want
		if k < 2 && math.Abs(c.variance[k]-want) > 1e-9*want {
			t.Errorf("variance %d is %g, want %g", k, c.variance[k], want)
		}
	}
	if math.Abs(c.total-total) > 1e-9*total {
		t.Errorf("total variance %g, want %g", c.total, total)
	}
	for k, a := range c.axes {
		sign, largest := 0.0, 0.0
		for j := range d {
			if math.Abs(a[j]) > largest {
				largest, sign = math.Abs(a[j]), math.Copysign(1, a[j])
			}
		}
		if sign != 1 {
			t.Errorf("axis %d is turned round", k)
		}
		want := make([]float64, d)
		for j := range d {
			want[j] = -2 * u[k] * u[j]
		}
		want[k]++
		direction := math.Copysign(1, dot(a, want))
		for j := range d {
			if math.Abs(a[j]-direction*want[j]) > 1e-6 {
				t.Errorf("axis %d is %v, want %v", k, a, want)
				break
			}
		}
		for i := range n {
			got, want := c.projected[i].x, direction*scores[i*d+k]
			if k == 1 {
				got = c.projected[i].y
			}
			if math.Abs(got-want) > 1e-6*spread[0] {
				t.Fatalf("point %d lies at %g on axis %d, want %g", i, got, k, want)
			}
		}
	}
}

func TestPrincipalOfLittle(t *testing.T) {
	for name, c := range map[string]struct {
		vectors []float64
		n, d    int
		ok      bool
	}{
		"none":            {nil, 0, 5, false},
		"two":             {[]float64{1, 2, 3, 4}, 2, 2, false},
		"one element":     {[]float64{1, 2, 3}, 3, 1, false},
		"equal":           {[]float64{0.1, 0.2, 0.1, 0.2, 0.1, 0.2}, 3, 2, false},
		"on a line":       {[]float64{0.1, 0.3, 0.2, 0.6, 0.5, 1.5}, 3, 2, false},
		"a triangle":      {[]float64{0, 0, 1, 0, 0, 1}, 3, 2, true},
		"equal variances": {[]float64{1, 0, -1, 0, 0, 1, 0, -1}, 4, 2, true},
		"three equal":     {[]float64{1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 1, 0, 0, -1}, 6, 3, true},
		"huge":            {[]float64{3e38, 0, 0, 3e38, -3e38, -3e38}, 3, 2, true},
		"tiny":            {[]float64{1e-45, 0, 0, 1e-45, 0, 0}, 3, 2, true},
	} {
		got, ok := principal(c.vectors, c.n, c.d)
		if ok != c.ok {
			t.Errorf("%s: %v", name, ok)
		}
		if ok && (!(got.variance[0] >= got.variance[1]*(1-1e-12)) || !(got.variance[0]+got.variance[1] <= got.total*(1+1e-12)) || len(got.projected) != c.n) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
