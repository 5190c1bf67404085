package ccloss

import (
	"math"
	"math/rand/v2"

	"github.com/golanes/lanes/kernels"
)

// Compactness returns the mean Euclidean distance of a vector to the mean of
// its class: small for compact classes. a is len(labels) x c, row-major. It is
// 0 without samples, NaN if a holds NaN.
func Compactness(a []float32, labels []int32, c int) float64 {
	s := statsOf("ccloss.Compactness", a, labels, c)
	if len(labels) == 0 {
		return 0
	}
	var sum float64
	row := make([]int32, 1)
	for i, l := range labels {
		row[0] = int32(i)
		sum += math.Sqrt(kernels.GatherSquares(a, s.meanOf(int(s.index.find(l))), row))
	}
	return sum / float64(len(labels))
}

// Separability returns the mean Euclidean distance between the means of two
// different classes: large for classes that are far apart. a is len(labels) x c,
// row-major. It is 0 with fewer than two classes, NaN if a holds NaN.
func Separability(a []float32, labels []int32, c int) float64 {
	return statsOf("ccloss.Separability", a, labels, c).Separability()
}

// Separability returns the mean Euclidean distance between the means of two
// different classes, 0 with fewer than two.
func (s *Stats) Separability() float64 {
	var sum float64
	k := s.Classes()
	for i := range k {
		x := s.meanOf(i)
		for j := range i {
			y := s.meanOf(j)
			var d2 float64
			for ch, v := range x {
				d2 += (v - y[ch]) * (v - y[ch])
			}
			sum += math.Sqrt(d2)
		}
	}
	if k < 2 {
		return 0
	}
	return sum / float64(k*(k-1)/2)
}

func statsOf(name string, a []float32, labels []int32, c int) *Stats {
	if c < 0 || len(a) != len(labels)*c {
		panic(name + ": len(a) != len(labels)*c")
	}
	s := NewStats(c)
	newGrouping(c).run(s, a, labels)
	return s
}

// Silhouette returns the mean silhouette coefficient (P. Rousseeuw, 1987) in
// the Euclidean distance: for each sample (far-near)/max(far,near), where near
// is its mean distance to the others of its class and far the smallest mean
// distance to another class; 0 for a sample alone in its class. The result is in
// [-1, 1], NaN if a holds NaN, and 0 with fewer than two classes.
//
// At most limit samples are used, so that the cost is bounded by limit²*c; if
// there are more, a fixed pseudo-random choice that depends only on the number
// of samples and limit. limit <= 0 means all.
func Silhouette(a []float32, labels []int32, c, limit int) float64 {
	if c < 0 || len(a) != len(labels)*c {
		panic("ccloss.Silhouette: len(a) != len(labels)*c")
	}
	if limit > 0 && limit < len(labels) {
		a, labels = subsample(a, labels, c, limit)
	}
	var index labelIndex
	index.reserve(8)
	class := make([]int32, len(labels))
	var count []int
	for i, l := range labels {
		class[i] = index.class(l)
		if int(class[i]) == len(count) {
			count = append(count, 0)
		}
		count[class[i]]++
	}
	if len(count) < 2 {
		return 0
	}
	var total float64
	s := newSilhouettes(a, class, len(count), c)
	for p := range panels(len(labels)) {
		total += s.panel(p, count)
	}
	return total / float64(len(labels))
}

// subsample returns a copy of n samples, in their order, chosen by sequential
// sampling with a fixed seed.
func subsample(a []float32, labels []int32, c, n int) ([]float32, []int32) {
	rng := rand.New(rand.NewPCG(uint64(len(labels)), uint64(n)))
	rows, kept := make([]float32, 0, n*c), make([]int32, 0, n)
	for i, l := range labels {
		if rng.IntN(len(labels)-i) < n-len(kept) {
			rows = append(rows, a[i*c:(i+1)*c]...)
			kept = append(kept, l)
		}
	}
	return rows, kept
}

// silhouettes computes silhouette coefficients a panel of samples at a time,
// so that no matrix of all distances is stored.
type silhouettes struct {
	c      int
	class  []int32
	packed []float32
	sums   []float64 // PairPanel x classes: a sample's summed distances by class
	k      int
}

func newSilhouettes(a []float32, class []int32, k, c int) *silhouettes {
	s := &silhouettes{c: c, class: class, k: k}
	s.packed = make([]float32, kernels.PairPackLen(len(class), c))
	kernels.PairPack(s.packed, a, len(class), c)
	s.sums = make([]float64, kernels.PairPanel*k)
	return s
}

// panel returns the sum of the coefficients of panel p's samples.
func (s *silhouettes) panel(p int, count []int) float64 {
	const side = kernels.PairPanel
	var tile kernels.PairTile
	clear(s.sums)
	n, c := len(s.class), s.c
	rows := min(side, n-p*side)
	for j := range panels(n) {
		classes := s.class[j*side : min(n, (j+1)*side)]
		kernels.PairSquares(&tile, s.packed[p*side*c:(p+1)*side*c], s.packed[j*side*c:(j+1)*side*c], rows, len(classes), c)
		for r := range rows {
			for col, k := range classes {
				s.sums[r*s.k+int(k)] += math.Sqrt(float64(tile[r*side+col]))
			}
		}
	}
	var total float64
	for r := range rows {
		total += coefficient(s.sums[r*s.k:(r+1)*s.k], count, int(s.class[p*side+r]))
	}
	return total
}

// coefficient returns the silhouette of a sample of class own whose distances
// to the samples of each class sum to sums.
func coefficient(sums []float64, count []int, own int) float64 {
	if count[own] == 1 {
		return 0
	}
	near, far := sums[own]/float64(count[own]-1), math.Inf(1)
	for k, sum := range sums {
		if k != own {
			far = min(far, sum/float64(count[k]))
		}
	}
	if near == 0 && far == 0 {
		return 0
	}
	return (far - near) / max(far, near)
}
