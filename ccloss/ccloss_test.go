package ccloss

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

const side = kernels.PairPanel

// TestLossAgainstDefinition compares loss and gradient with the definition in
// float64 at sizes around the tiles of every kernel.
func TestLossAgainstDefinition(t *testing.T) {
	shapes := [][3]int{ // n, c, classes
		{0, 3, 1}, {1, 3, 1}, {2, 1, 1}, {2, 1, 2}, {5, 7, 2}, {7, 8, 3}, {9, 15, 3}, {16, 16, 4},
		{17, 17, 40}, {side - 1, 5, 6}, {side, 33, 6}, {side + 1, 4, 6}, {2*side + 5, 3, 10}, {12, 257, 3}, {40, 31, 1},
	}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, opt := range allOptions() {
			for i, s := range shapes {
				t.Run(fmt.Sprintf("%s/n=%d/c=%d/k=%d", optName(opt), s[0], s[1], s[2]), func(t *testing.T) {
					a, labels := attention(uint64(100+i), s[0], s[1], s[2], 1)
					checkAgainstDefinition(t, opt, a, labels, s[1])
				})
			}
		}
	})
}

// checkAgainstDefinition compares with the reference. The tolerance: a float32
// distance of c channels is off by at most (c+3)/2 roundings, and a weight by a
// few more; 2e-6 is 32 roundings, enough for c <= 257 because the errors of a
// sum are not all of one sign.
func checkAgainstDefinition(t *testing.T, opt Options, a []float32, labels []int32, c int) {
	t.Helper()
	const scale = 0.7
	p := newPlan(t, opt, len(labels), c)
	kept := slices.Clone(a)
	r := p.Forward(a, labels)
	wide := widen(a)
	loss, within, between := reference(opt, wide, labels, c)
	near(t, "within", r.Within, within, 2e-6, 0)
	near(t, "between", r.Between, between, 2e-6, 0)
	near(t, "loss", r.Loss, loss, 4e-6, (within+between)/opt.scaleOf(c))

	da := kerneltest.Rand(1).Slice(len(a)) // overwritten, whatever it held
	p.Backward(da, scale)
	want := exactGrad(opt, wide, labels, c)
	top := maxAbs(want)
	if len(a) <= 300 { // central differences cost (n*c)²
		for i, w := range referenceGrad(opt, wide, labels, c, 1e-5) {
			near(t, fmt.Sprintf("the test's own gradient at %d", i), want[i], w, 1e-8, max(1, top))
		}
	}
	for i, w := range want {
		near(t, fmt.Sprintf("da[%d]", i), float64(da[i]), scale*w, 4e-6, scale*top)
		if t.Failed() {
			break
		}
	}
	if !slices.Equal(a, kept) {
		t.Error("the input was changed")
	}
}

// scaleOf is the size that cancels in the loss's own rounding.
func (o Options) scaleOf(c int) float64 {
	if o.Form == Difference {
		return o.scale(c)
	}
	return 1
}

// TestCollapsedClasses holds the loss of nearly collapsed classes to a relative
// error of 1e-4 against the definition, and shows that the uncentred formula
// n*sum||a||² - ||sum a||² in float32 has no correct digit there.
func TestCollapsedClasses(t *testing.T) {
	const n, c, classes = 64, 32, 4
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, spread := range []float32{1e-3, 1e-4, 1e-5, 1e-6} {
			a, labels := attention(5, n, c, classes, spread)
			for _, opt := range allOptions() {
				t.Run(fmt.Sprintf("%s/spread=%g", optName(opt), spread), func(t *testing.T) {
					checkCollapsed(t, opt, a, labels, c)
				})
			}
			if spread > 1e-4 {
				continue
			}
			_, within, _ := reference(Options{}, widen(a), labels, c)
			if bad := uncentred(a, labels, c); math.Abs(bad-within) < within {
				t.Errorf("spread %g: the uncentred form gives %g for %g: it should fail here", spread, bad, within)
			}
		}
	})
}

func checkCollapsed(t *testing.T, opt Options, a []float32, labels []int32, c int) {
	p := newPlan(t, opt, len(labels), c)
	r := p.Forward(a, labels)
	loss, within, between := reference(opt, widen(a), labels, c)
	near(t, "within", r.Within, within, 1e-6, 0)
	near(t, "between", r.Between, between, 1e-6, 0)
	near(t, "loss", r.Loss, loss, 1e-5, 0)
	da := make([]float32, len(a))
	p.Backward(da, 1)
	want := exactGrad(opt, widen(a), labels, c)
	top := maxAbs(want)
	for i, w := range want {
		near(t, fmt.Sprintf("da[%d]", i), float64(da[i]), w, 1e-4, top)
	}
}

// exactGrad is the gradient from the pairs in float64; central differences have
// no step that suits distances of 1e-6.
func exactGrad(opt Options, a []float64, labels []int32, c int) []float64 {
	opt, _ = opt.withDefaults()
	g := make([]float64, len(a))
	_, within, between := reference(opt, a, labels, c)
	r := Result{Within: within, Between: between}
	for i := range labels {
		for j := range i {
			if labels[i] == labels[j] {
				r.Same++
			} else {
				r.Different++
			}
		}
	}
	slope := opt.combine(&r, 0, c)
	for i := range labels {
		for j := range labels {
			var d2 float64
			for k := range c {
				d2 += (a[i*c+k] - a[j*c+k]) * (a[i*c+k] - a[j*c+k])
			}
			if d2 == 0 {
				continue
			}
			d, w := math.Sqrt(d2), 0.0
			switch {
			case labels[i] == labels[j]:
				w = slope.within / float64(r.Same)
			case opt.Form == Margin:
				w = -2 * max(0, opt.hingeAt(c)-d) / float64(r.Different)
			default:
				w = slope.between / float64(r.Different)
			}
			if opt.Metric == SquaredEuclidean && (opt.Form != Margin || labels[i] == labels[j]) {
				w *= 2
			} else {
				w /= d
			}
			for k := range c {
				g[i*c+k] += w * (a[i*c+k] - a[j*c+k])
			}
		}
	}
	return g
}

// uncentred is the mean squared same-class distance by the formula that cancels.
func uncentred(a []float32, labels []int32, c int) float64 {
	sum, square, count := map[int32][]float32{}, map[int32]float32{}, map[int32]float32{}
	for i, l := range labels {
		if sum[l] == nil {
			sum[l] = make([]float32, c)
		}
		for k, v := range a[i*c : (i+1)*c] {
			sum[l][k] += v
			square[l] += v * v
		}
		count[l]++
	}
	var total, pairs float32
	for l, n := range count {
		var s2 float32
		for _, v := range sum[l] {
			s2 += v * v
		}
		total += n*square[l] - s2
		pairs += n * (n - 1) / 2
	}
	return float64(total / pairs)
}

func TestDegenerateBatches(t *testing.T) {
	a := []float32{0.1, 0.2, 0.4, 0.7, 0.9, 0.3}
	nan := slices.Clone(a)
	nan[3] = float32(math.NaN())
	for _, opt := range allOptions() {
		t.Run(optName(opt), func(t *testing.T) {
			p := newPlan(t, opt, 3, 2)
			da := make([]float32, 6)
			for _, labels := range [][]int32{{}, {4}} {
				if r := p.Forward(a[:2*len(labels)], labels); r != (Result{}) {
					t.Errorf("%d samples: %+v, want zero", len(labels), r)
				}
			}
			r := p.Forward(a, []int32{1, 1, 1})
			if want := map[bool]float64{true: r.Within, false: 0}[opt.Form == Margin]; r.Loss != want || r.Within <= 0 || r.Between != 0 {
				t.Errorf("one class: %+v, want loss %v", r, want)
			}
			p.Backward(da, 1)
			if zero := maxAbs(widen(da)) == 0; zero == (opt.Form == Margin) {
				t.Errorf("one class: gradient %v", da)
			}
			r = p.Forward(a, []int32{math.MinInt32, 0, math.MaxInt32})
			if r.Within != 0 || r.Between <= 0 || (opt.Form == Ratio && r.Loss != 0) {
				t.Errorf("all classes single: %+v", r)
			}
			p.Backward(da, 1)
			if zero := maxAbs(widen(da)) == 0; zero != (opt.Form == Ratio) {
				t.Errorf("all classes single: gradient %v", da)
			}
			same := []float32{0.5, 0.25, 0.5, 0.25, 0.5, 0.25}
			p.Forward(same, []int32{1, 1, 2})
			p.Backward(da, 1)
			if maxAbs(widen(da)) != 0 {
				t.Errorf("coinciding vectors: gradient %v", da)
			}
			for _, labels := range [][]int32{{1, 1, 1}, {1, 1, 2}, {1, 2, 3}} {
				r := p.Forward(nan, labels)
				p.Backward(da, 1)
				if !math.IsNaN(r.Loss) || da[3] == da[3] {
					t.Errorf("NaN with labels %v: %+v, gradient %v", labels, r, da)
				}
			}
		})
	}
}

func TestMismatchedLengthsPanic(t *testing.T) {
	p := newPlan(t, Options{}, 2, 3)
	p.Forward(make([]float32, 6), []int32{1, 2})
	for name, f := range map[string]func(){
		"ccloss.Plan.Forward: len(a)":        func() { p.Forward(make([]float32, 5), []int32{1, 2}) },
		"ccloss.Plan.Forward: 3 samples":     func() { p.Forward(make([]float32, 9), []int32{1, 2, 3}) },
		"ccloss.Plan.Backward: len(da)":      func() { p.Backward(make([]float32, 5), 1) },
		"ccloss.Distances: ":                 func() { Distances(make([]float32, 3), make([]float32, 6), 2, 3, Euclidean) },
		"ccloss.Distances: unknown metric":   func() { Distances(nil, nil, 0, 3, 9) },
		"ccloss.Silhouette: ":                func() { Silhouette(make([]float32, 5), []int32{1, 2}, 3, 0) },
		"ccloss.Stats.Add: ":                 func() { NewStats(3).Add(make([]float32, 5), []int32{1, 2}) },
		"ccloss.Stats.Merge: channel counts": func() { NewStats(3).Merge(NewStats(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if msg := fmt.Sprint(recover()); !strings.HasPrefix(msg, name) {
					t.Errorf("panicked with %q", msg)
				}
			}()
			f()
		})
	}
}

func TestOptionsErrors(t *testing.T) {
	nan := math.NaN()
	for _, o := range []Options{
		{Metric: 2}, {Form: 3}, {Eps: -1}, {Eps: nan}, {Eps: math.Inf(1)}, {Margin: -1}, {Margin: nan}, {Margin: math.Inf(1)},
	} {
		if _, err := New(o, 4, 4); err == nil {
			t.Errorf("New accepts %+v", o)
		}
	}
	for _, s := range [][2]int{{-1, 3}, {3, 0}, {3, -1}, {math.MaxInt, 3}, {1 << 30, math.MaxInt / 2}} {
		if _, err := New(Options{}, s[0], s[1]); err == nil {
			t.Errorf("New accepts n=%d c=%d", s[0], s[1])
		}
	}
	for _, o := range allOptions() {
		m, err1 := ParseMetric(o.Metric.String())
		f, err2 := ParseForm(o.Form.String())
		if m != o.Metric || f != o.Form || err1 != nil || err2 != nil {
			t.Errorf("%+v does not survive its names", o)
		}
	}
	if _, err := ParseMetric("cosine"); err == nil {
		t.Error("ParseMetric accepts cosine")
	}
	if _, err := ParseForm(""); err == nil {
		t.Error("ParseForm accepts an empty name")
	}
}

func TestNoAllocation(t *testing.T) {
	const n, c = 130, 40
	a, labels := attention(3, n, c, 12, 1)
	da := make([]float32, len(a))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, opt := range allOptions() {
		p := newPlan(t, opt, n, c)
		if got := kerneltest.AllocsPerRun(10, func() {
			p.Forward(a, labels)
			p.Backward(da, 1)
		}); got != 0 {
			t.Errorf("%s: %v allocations per step", p, got)
		}
	}
}

// TestSameForEveryWorkerCount compares bits: the work is split by shape only.
func TestSameForEveryWorkerCount(t *testing.T) {
	const n, c = 300, 70
	a, labels := attention(4, n, c, 3, 1)
	counts := []int{1, 2, 3, 8}
	if testing.Short() {
		counts = []int{1, 3}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, opt := range allOptions() {
			p := newPlan(t, opt, n, c)
			var first Result
			var firstGrad []float32
			for _, procs := range counts {
				runtime.GOMAXPROCS(procs)
				r := p.Forward(a, labels)
				da := make([]float32, len(a))
				p.Backward(da, 1)
				if procs == 1 {
					first, firstGrad = r, da
				}
				if r != first || !slices.Equal(da, firstGrad) {
					t.Errorf("%s: procs=%d differs from procs=1: %+v, %+v", p, procs, r, first)
				}
			}
		}
	})
}

// TestPlanReuse runs batches of changing size and labels through one plan, with
// more classes than New reserved for.
func TestPlanReuse(t *testing.T) {
	for _, opt := range allOptions() {
		p := newPlan(t, opt, 1500, 3)
		for i, n := range []int{10, 1500, 3, 0, 64} {
			a, labels := attention(uint64(i), n, 3, n+1, 1)
			r := p.Forward(a, labels)
			da := make([]float32, len(a))
			p.Backward(da, 1)
			fresh := newPlan(t, opt, n, 3)
			want := fresh.Forward(a, labels)
			wantGrad := make([]float32, len(a))
			fresh.Backward(wantGrad, 1)
			if r != want || !slices.Equal(da, wantGrad) {
				t.Errorf("%s: batch %d: %+v, a fresh plan gives %+v", p, i, r, want)
			}
		}
	}
}
