package ccloss

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestDistances(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, s := range [][2]int{{0, 3}, {1, 3}, {2, 0}, {7, 1}, {side, 16}, {side + 1, 17}, {3*side - 1, 300}} {
			for _, metric := range []Metric{SquaredEuclidean, Euclidean} {
				t.Run(fmt.Sprintf("metric=%s/n=%d/c=%d", metric, s[0], s[1]), func(t *testing.T) {
					checkDistances(t, metric, s[0], s[1])
				})
			}
		}
	})
}

// checkDistances compares with float64. Relative to the result, a squared
// distance has 2 roundings per difference and at most min(c,256)+c/256 in the
// sum; Distances documents that bound.
func checkDistances(t *testing.T, metric Metric, n, c int) {
	a, _ := attention(9, n, c, 4, 1e-3)
	got := make([]float32, n*n)
	Distances(got, a, n, c, metric)
	tol := (3 + float64(min(c, 256)) + float64(c)/256) * kerneltest.Eps
	for i := range n {
		for j := range n {
			var want float64
			for k := range c {
				d := float64(a[i*c+k]) - float64(a[j*c+k])
				want += d * d
			}
			if metric == Euclidean {
				want = math.Sqrt(want)
			}
			near(t, fmt.Sprintf("d[%d,%d]", i, j), float64(got[i*n+j]), want, tol, 0)
			if got[i*n+j] != got[j*n+i] || (i == j && got[i*n+j] != 0) {
				t.Fatalf("not symmetric with a zero diagonal at %d,%d", i, j)
			}
		}
	}
}

func TestCompactnessAndSeparability(t *testing.T) {
	const n, c = 150, 12
	a, labels := attention(8, n, c, 5, 0.5)
	mean, count := map[int32][]float64{}, map[int32]float64{}
	for i, l := range labels {
		if mean[l] == nil {
			mean[l] = make([]float64, c)
		}
		for k := range c {
			mean[l][k] += float64(a[i*c+k])
		}
		count[l]++
	}
	for l, m := range mean {
		for k := range m {
			m[k] /= count[l]
		}
	}
	var compact, separate, pairs float64
	for i, l := range labels {
		compact += distance(widen(a[i*c:(i+1)*c]), mean[l]) / n
	}
	for l, x := range mean {
		for m, y := range mean {
			if l < m {
				separate += distance(x, y)
				pairs++
			}
		}
	}
	near(t, "compactness", Compactness(a, labels, c), compact, 1e-12, 0)
	near(t, "separability", Separability(a, labels, c), separate/pairs, 1e-12, 0)
	if Compactness(nil, nil, c) != 0 || Separability(nil, nil, c) != 0 || Separability(a[:c], labels[:1], c) != 0 {
		t.Error("empty sets must measure 0")
	}
	a[0] = float32(math.NaN())
	if !math.IsNaN(Compactness(a, labels, c)) || !math.IsNaN(Separability(a, labels, c)) || !math.IsNaN(Silhouette(a, labels, c, 0)) {
		t.Error("NaN does not reach the measures")
	}
}

func distance(x, y []float64) float64 {
	var d2 float64
	for k := range x {
		d2 += (x[k] - y[k]) * (x[k] - y[k])
	}
	return math.Sqrt(d2)
}

func TestSilhouette(t *testing.T) {
	const n, c = 2*side + 11, 9
	for _, spread := range []float32{0.1, 1, 4} {
		a, labels := attention(10, n, c, 4, spread)
		labels[5] = 77 // alone in its class
		want := silhouetteRef(widen(a), labels, c)
		// A float32 distance of 9 channels is off by some 6 roundings.
		near(t, fmt.Sprintf("spread=%g", spread), Silhouette(a, labels, c, 0), want, 1e-6, 1)
	}
	a, labels := attention(10, n, c, 1, 1)
	if got := Silhouette(a, labels, c, 0); got != 0 {
		t.Errorf("one class: %v", got)
	}
	a, labels = attention(10, 900, c, 4, 0.01)
	all, part := Silhouette(a, labels, c, 0), Silhouette(a, labels, c, 100)
	if math.Abs(all-part) > 0.05 || part != Silhouette(a, labels, c, 100) {
		t.Errorf("subsample gives %v, all samples %v", part, all)
	}
	same := make([]float32, 4*c)
	if got := Silhouette(same, []int32{1, 1, 2, 2}, c, 0); got != 0 {
		t.Errorf("coinciding samples: %v", got)
	}
}

func silhouetteRef(a []float64, labels []int32, c int) float64 {
	var total float64
	for i, l := range labels {
		sum, count := map[int32]float64{}, map[int32]float64{}
		for j, m := range labels {
			if i != j {
				sum[m] += distance(a[i*c:(i+1)*c], a[j*c:(j+1)*c])
				count[m]++
			}
		}
		if count[l] == 0 {
			continue
		}
		far := math.Inf(1)
		for m := range sum {
			if m != l {
				far = min(far, sum[m]/count[m])
			}
		}
		nearby := sum[l] / count[l]
		total += (far - nearby) / max(far, nearby)
	}
	return total / float64(len(labels))
}
