package ccloss

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// reference is the loss as CC-Loss is defined, over all pairs, in float64. It
// also returns the two means.
func reference(opt Options, a []float64, labels []int32, c int) (loss, within, between float64) {
	opt, err := opt.withDefaults()
	if err != nil {
		panic(err)
	}
	var hinge float64
	var same, diff int
	for i := range labels {
		for j := range i {
			var d2 float64
			for k := range c {
				d2 += (a[i*c+k] - a[j*c+k]) * (a[i*c+k] - a[j*c+k])
			}
			m := d2
			if opt.Metric == Euclidean {
				m = math.Sqrt(d2)
			}
			if labels[i] == labels[j] {
				same++
				within += m
				continue
			}
			diff++
			between += m
			h := max(0, opt.Margin*math.Sqrt(float64(c))-math.Sqrt(d2))
			hinge += h * h
		}
	}
	if same > 0 {
		within /= float64(same)
	}
	if diff > 0 {
		between /= float64(diff)
		hinge /= float64(diff)
	}
	switch {
	case opt.Form == Margin:
		return within + hinge, within, between
	case diff == 0:
		return 0, within, between
	case opt.Form == Ratio:
		return within / (between + opt.Eps), within, between
	case opt.Metric == Euclidean:
		return (within - between) / math.Sqrt(float64(c)), within, between
	default:
		return (within - between) / float64(c), within, between
	}
}

// referenceGrad is the gradient of reference by central differences. The step
// h leaves a truncation error of about h² and a rounding error of 1e-16/h:
// with h = 1e-5, 1e-10 and 1e-11 relative to values of order one.
func referenceGrad(opt Options, a []float64, labels []int32, c int, h float64) []float64 {
	g := make([]float64, len(a))
	for i, v := range a {
		a[i] = v + h
		up, _, _ := reference(opt, a, labels, c)
		a[i] = v - h
		down, _, _ := reference(opt, a, labels, c)
		a[i] = v
		g[i] = (up - down) / (2 * h)
	}
	return g
}

// allOptions lists every metric with every form.
func allOptions() []Options {
	var all []Options
	for _, m := range []Metric{SquaredEuclidean, Euclidean} {
		for _, f := range []Form{Ratio, Difference, Margin} {
			all = append(all, Options{Metric: m, Form: f})
		}
	}
	return all
}

func optName(o Options) string { return fmt.Sprintf("metric=%s/form=%s", o.Metric, o.Form) }

// attention returns n vectors of c values in (0,1) and their labels out of the
// given number of classes; a class's vectors lie spread around its centre.
func attention(seed uint64, n, c, classes int, spread float32) ([]float32, []int32) {
	rng := kerneltest.Rand(seed)
	centers := rng.Slice(classes * c)
	a, labels := rng.Slice(n*c), make([]int32, n)
	for i := range labels {
		k := rng.IntN(classes)
		labels[i] = int32(k*7919 - 3000) // any int32 is a label, negative too
		for ch := range c {
			a[i*c+ch] = 0.5 + 0.25*centers[k*c+ch] + 0.25*spread*a[i*c+ch]
		}
	}
	return a, labels
}

func widen(x []float32) []float64 {
	w := make([]float64, len(x))
	for i, v := range x {
		w[i] = float64(v)
	}
	return w
}

func newPlan(t testing.TB, opt Options, n, c int) *Plan {
	t.Helper()
	p, err := New(opt, n, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// near fails unless got is within tol of want, relative to want and scale.
func near(t *testing.T, name string, got, want, tol, scale float64) {
	t.Helper()
	if math.IsNaN(want) && math.IsNaN(got) {
		return
	}
	if !(math.Abs(got-want) <= tol*max(math.Abs(want), scale)) {
		t.Errorf("%s = %v, want %v (off by %.3g, tolerance %.3g of %.3g)",
			name, got, want, math.Abs(got-want), tol, max(math.Abs(want), scale))
	}
}

// maxAbs returns the largest magnitude in x.
func maxAbs(x []float64) float64 {
	var m float64
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}
