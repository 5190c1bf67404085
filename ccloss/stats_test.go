package ccloss

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

var squaredForms = []Options{{Form: Ratio}, {Form: Difference}}

// TestMergeEqualsWhole splits a batch at random over machines, merges their
// statistics and compares loss and every machine's gradient with the whole
// batch's. Both are computed in float64 from the same data, so they agree to a
// few hundred float64 roundings, those of a mean (values up to 1) being
// magnified by 1/spread; the gradient is stored as float32.
func TestMergeEqualsWhole(t *testing.T) {
	const n, c = 300, 19
	rng := kerneltest.Rand(11)
	for _, spread := range []float32{1, 1e-4} {
		a, labels := attention(12, n, c, 9, spread)
		tol := 1e-13 + 1e-16/float64(spread)
		for _, opt := range squaredForms {
			whole := newPlan(t, opt, n, c)
			want := whole.Forward(a, labels)
			wantGrad := make([]float32, n*c)
			whole.Backward(wantGrad, 0.3)
			for machines := 1; machines <= 5; machines++ {
				t.Run(fmt.Sprintf("form=%s/spread=%g/machines=%d", opt.Form, spread, machines), func(t *testing.T) {
					parts, partLabels, from := split(rng, a, labels, c, machines)
					merged := exchange(t, parts, partLabels, c)
					got, err := merged.Loss(opt)
					if err != nil {
						t.Fatal(err)
					}
					near(t, "loss", got.Loss, want.Loss, tol, (want.Within+want.Between)/opt.scaleOf(c))
					near(t, "within", got.Within, want.Within, tol, 0)
					near(t, "between", got.Between, want.Between, tol, 0)
					if got.Same != want.Same || got.Different != want.Different {
						t.Errorf("pairs %d+%d, want %d+%d", got.Same, got.Different, want.Same, want.Different)
					}
					for m := range parts {
						da := make([]float32, len(parts[m]))
						if err := merged.Gradient(opt, da, parts[m], partLabels[m], 0.3); err != nil {
							t.Fatal(err)
						}
						for i, at := range from[m] {
							kerneltest.Close(t, "da", da[i*c:(i+1)*c], wantGrad[at*c:(at+1)*c], 1e-12, 1.2e-7)
						}
					}
				})
			}
		}
	}
}

// split deals the samples out to machines at random; from says which sample
// each came from.
func split(rng *kerneltest.Random, a []float32, labels []int32, c, machines int) (parts [][]float32, partLabels [][]int32, from [][]int) {
	parts, partLabels, from = make([][]float32, machines), make([][]int32, machines), make([][]int, machines)
	for i, l := range labels {
		m := rng.IntN(machines)
		parts[m] = append(parts[m], a[i*c:(i+1)*c]...)
		partLabels[m] = append(partLabels[m], l)
		from[m] = append(from[m], i)
	}
	return parts, partLabels, from
}

// exchange computes each part's statistics and merges them as flat records,
// like machines that all receive the same concatenation.
func exchange(t *testing.T, parts [][]float32, labels [][]int32, c int) *Stats {
	var wire []float64
	for m := range parts {
		s := NewStats(c)
		half := len(labels[m]) / 2
		s.Add(parts[m][:half*c], labels[m][:half])
		s.Add(parts[m][half*c:], labels[m][half:])
		wire = s.AppendFlat(wire)
	}
	merged := NewStats(c)
	if err := merged.MergeFlat(wire); err != nil {
		t.Fatal(err)
	}
	return merged
}

func TestStatsOfClasses(t *testing.T) {
	s := NewStats(2)
	s.Add([]float32{1, 2, 3, 6, 10, 10}, []int32{-5, -5, 9})
	if s.Classes() != 2 || s.Samples() != 3 || s.Channels() != 2 {
		t.Fatalf("%d classes, %d samples, %d channels", s.Classes(), s.Samples(), s.Channels())
	}
	label, n, mean, m2 := s.Class(0)
	if label != -5 || n != 2 || !slices.Equal(mean, []float64{2, 4}) || m2 != 10 {
		t.Errorf("class 0: label %d, n %d, mean %v, M2 %v", label, n, mean, m2)
	}
	s.Merge(s)
	if _, n, mean, m2 := s.Class(0); n != 4 || !slices.Equal(mean, []float64{2, 4}) || m2 != 20 {
		t.Errorf("doubled class 0: n %d, mean %v, M2 %v", n, mean, m2)
	}
	if got, want := s.Separability(), math.Hypot(8, 6); got != want {
		t.Errorf("separability %v, want %v", got, want)
	}
	s.Reset()
	if r, err := s.Loss(Options{}); r != (Result{}) || err != nil {
		t.Errorf("empty statistics: %+v, %v", r, err)
	}
}

func TestStatsErrors(t *testing.T) {
	s := NewStats(1)
	s.Add([]float32{1, 2, 4}, []int32{0, 0, 1})
	da := make([]float32, 1)
	for _, opt := range []Options{{Metric: Euclidean}, {Form: Margin}, {Eps: -1}} {
		if _, err := s.Loss(opt); err == nil {
			t.Errorf("Loss accepts %+v", opt)
		}
		if err := s.Gradient(opt, da, []float32{1}, []int32{0}, 1); err == nil {
			t.Errorf("Gradient accepts %+v", opt)
		}
	}
	if err := s.Gradient(Options{}, da, []float32{1}, []int32{7}, 1); err == nil {
		t.Error("Gradient accepts an unknown label")
	}
	for _, flat := range [][]float64{
		{1, 2}, {0.5, 1, 0, 0}, {1 << 40, 1, 0, 0}, {0, -1, 0, 0}, {0, 1.5, 0, 0},
		{0, math.NaN(), 0, 0}, {0, 1, -1, 0}, {math.NaN(), 1, 0, 0}, {3, 1, 0, 0, 0, 1 << 60, 0, 0},
	} {
		before := s.AppendFlat(nil)
		if err := s.MergeFlat(flat); err == nil {
			t.Errorf("MergeFlat accepts %v", flat)
		}
		if !slices.Equal(before, s.AppendFlat(nil)) {
			t.Errorf("MergeFlat(%v) failed and changed the statistics", flat)
		}
	}
}

func TestLabelIndex(t *testing.T) {
	var x labelIndex
	if x.find(3) != -1 {
		t.Error("an index without memory finds a label")
	}
	x.reserve(1)
	rng := kerneltest.Rand(6)
	for round := range 4 {
		want := map[int32]int32{}
		for range 500 * (round + 1) {
			l := int32(rng.IntN(900)) << (8 * rng.IntN(4)) // many low or high bits equal
			k, ok := want[l]
			if !ok {
				k = int32(len(want))
				if x.find(l) != -1 {
					t.Fatalf("round %d: label %d found before it was added", round, l)
				}
				want[l] = k
			}
			if got := x.class(l); got != k || x.find(l) != k || x.labels[k] != l {
				t.Fatalf("round %d: class(%d) = %d, want %d", round, l, got, k)
			}
		}
		x.reset()
		x.stamp = math.MaxUint32 - 1 + uint32(round%2) // the next resets wrap around
	}
}
