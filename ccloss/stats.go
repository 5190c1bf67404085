package ccloss

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// Stats are the class statistics of a set of samples: for every class the
// count n, the mean vector and M2, the sum of ||a-mean||² over its samples.
// They are all that the squared metric needs, and they merge: Stats of parts,
// merged in any grouping, equal the Stats of the whole up to float64 rounding
// (T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm
// for computing sample variances", 1979). Classes are numbered in the order
// they first appear.
type Stats struct {
	c     int
	index labelIndex
	count []int64
	mean  []float64 // class-major, c per class
	m2    []float64
	group *grouping // scratch of Add
	batch *Stats    // scratch of Add
}

// NewStats returns empty statistics of vectors of c channels. It panics if c
// is negative.
func NewStats(c int) *Stats {
	if c < 0 {
		panic("ccloss.NewStats: negative channel count")
	}
	s := &Stats{c: c}
	s.index.reserve(8)
	return s
}

// reserve makes room for k classes.
func (s *Stats) reserve(k int) {
	s.index.reserve(k)
	s.count = make([]int64, 0, k)
	s.m2 = make([]float64, 0, k)
	s.mean = make([]float64, 0, k*s.c)
}

// Reset empties s and keeps its memory.
func (s *Stats) Reset() {
	s.index.reset()
	s.count, s.mean, s.m2 = s.count[:0], s.mean[:0], s.m2[:0]
}

// Channels returns the length of the vectors.
func (s *Stats) Channels() int { return s.c }

// Classes returns the number of classes seen.
func (s *Stats) Classes() int { return len(s.count) }

// Samples returns the number of samples seen.
func (s *Stats) Samples() int64 {
	var n int64
	for _, k := range s.count {
		n += k
	}
	return n
}

// Class returns label, count, mean and M2 of class k, 0 <= k < Classes(). The
// mean is a view into s: it must not be written and is valid until s changes.
func (s *Stats) Class(k int) (label int32, n int64, mean []float64, m2 float64) {
	return s.index.labels[k], s.count[k], s.meanOf(k), s.m2[k]
}

func (s *Stats) meanOf(k int) []float64 { return s.mean[k*s.c : (k+1)*s.c : (k+1)*s.c] }

// slot returns the class number of label, making an empty class if it is new.
func (s *Stats) slot(label int32) int {
	k := int(s.index.class(label))
	s.addClasses()
	return k
}

// addClasses makes an empty class for each label that is new in the index.
func (s *Stats) addClasses() {
	for k := len(s.count); k < len(s.index.labels); k++ {
		s.count = append(s.count, 0)
		s.m2 = append(s.m2, 0)
		s.mean = growF64(s.mean, (k+1)*s.c)
		clear(s.meanOf(k))
	}
}

// growF64 returns x with length n, its contents kept; it allocates only when
// the capacity is short, and then at least doubles it.
func growF64(x []float64, n int) []float64 {
	if n <= cap(x) {
		return x[:n]
	}
	grown := make([]float64, n, max(n, 2*cap(x)))
	copy(grown, x)
	return grown
}

// Add adds the samples a (len(labels) x c, row-major) to s. It panics if the
// lengths do not fit.
func (s *Stats) Add(a []float32, labels []int32) {
	if len(a) != len(labels)*s.c {
		panic("ccloss.Stats.Add: len(a) != len(labels)*channels")
	}
	if s.group == nil {
		s.group, s.batch = newGrouping(s.c), NewStats(s.c)
	}
	s.group.run(s.batch, a, labels)
	s.Merge(s.batch)
}

// Merge adds the samples of o to s. It panics if the channel counts differ.
// o is not changed; s.Merge(s) doubles every sample.
func (s *Stats) Merge(o *Stats) {
	if s.c != o.c {
		panic("ccloss.Stats.Merge: channel counts differ")
	}
	for k, label := range o.index.labels {
		s.mergeClass(s.slot(label), o.count[k], o.meanOf(k), o.m2[k])
	}
}

// mergeClass merges n samples with the given mean and M2 into class k.
func (s *Stats) mergeClass(k int, n int64, mean []float64, m2 float64) {
	if n == 0 {
		return
	}
	own := s.meanOf(k)
	if s.count[k] == 0 {
		s.count[k], s.m2[k] = n, m2
		copy(own, mean)
		return
	}
	s.m2[k] += m2 + mergeMeans(own, mean, s.count[k], n)
	s.count[k] += n
}

// mergeMeans turns x, a mean of nx samples, into the mean with the ny samples
// of mean y, and returns what the merge adds to the sum of squares:
// nx*ny/(nx+ny) * ||y-x||².
func mergeMeans(x, y []float64, nx, ny int64) float64 {
	n := float64(nx) + float64(ny)
	part := float64(ny) / n
	var d2 float64
	y = y[:len(x)]
	for i, v := range x {
		d := y[i] - v
		x[i] = v + d*part
		d2 += d * d
	}
	return d2 * float64(nx) * part
}

// pairs returns the numbers of same-class and different-class pairs.
func (s *Stats) pairs() (same, different int64) {
	var n int64
	for _, k := range s.count {
		same += k * (k - 1) / 2
		n += k
	}
	return same, n*(n-1)/2 - same
}

// moments fills in the pair counts and, for the squared metric, the two means
// over pairs. center receives the mean of all samples (len c). Every term of
// both sums is positive, so nothing cancels:
//
//	sum over S of d² = sum_k n_k*M2_k
//	sum over D of d² = sum_k (N-n_k)*M2_k + N * sum_k n_k*||mu_k-mu||²
func (s *Stats) moments(r *Result, center []float64) {
	r.Same, r.Different = s.pairs()
	n := float64(s.Samples())
	clear(center)
	for k, nk := range s.count {
		kernels.CombineF64(center, float64(nk)/n, s.meanOf(k), 1, center)
	}
	var within, between float64
	for k, nk := range s.count {
		d2 := kernels.SquaresF64(s.meanOf(k), center)
		within += float64(nk) * s.m2[k]
		between += (n-float64(nk))*s.m2[k] + n*float64(nk)*d2
	}
	r.Within, r.Between = 0, 0
	if r.Same > 0 {
		r.Within = within / float64(r.Same)
	}
	if r.Different > 0 {
		r.Between = between / float64(r.Different)
	}
}

// squaredOptions checks that opt can be computed from class statistics.
func squaredOptions(opt Options) (Options, error) {
	opt, err := opt.withDefaults()
	if err == nil && (opt.Metric != SquaredEuclidean || opt.Form == Margin) {
		err = fmt.Errorf("ccloss: %s %s needs the pairs, not only class statistics", opt.Metric, opt.Form)
	}
	return opt, err
}

// Loss returns the loss of the samples in s. Only the squared ratio and the
// squared difference follow from class statistics; others are an error.
func (s *Stats) Loss(opt Options) (Result, error) {
	opt, err := squaredOptions(opt)
	if err != nil {
		return Result{}, err
	}
	var r Result
	s.moments(&r, make([]float64, s.c))
	opt.combine(&r, 0, s.c)
	return r, nil
}

// Gradient sets da (len(labels) x c) to scale times the gradient of Loss(opt)
// with respect to the samples a. a may be a part of what s holds, such as one
// machine's share of a batch whose merged statistics s are; each label must
// occur in s. da may be a. It panics if the lengths do not fit.
func (s *Stats) Gradient(opt Options, da, a []float32, labels []int32, scale float64) error {
	opt, err := squaredOptions(opt)
	if err != nil {
		return err
	}
	if len(a) != len(labels)*s.c || len(da) != len(a) {
		panic("ccloss.Stats.Gradient: len(da), len(a) and len(labels)*channels differ")
	}
	group := newGrouping(s.c)
	for _, l := range labels {
		k := s.index.find(l)
		if k < 0 {
			return fmt.Errorf("ccloss: label %d is not in the statistics", l)
		}
		group.class = append(group.class, k)
	}
	var r Result
	center := make([]float64, s.c)
	s.moments(&r, center)
	slope := opt.combine(&r, 0, s.c)
	lines := newLines(s.c)
	lines.fit(s, &r, slope, center, scale)
	lines.apply(da, a, group.class)
	return nil
}

// AppendFlat appends s to dst as Classes() records of c+3 numbers: label, n, M2
// and the mean. It is what machines exchange; MergeFlat reads it. Counts above
// 2^53 are not represented exactly.
func (s *Stats) AppendFlat(dst []float64) []float64 {
	for k, label := range s.index.labels {
		dst = append(dst, float64(label), float64(s.count[k]), s.m2[k])
		dst = append(dst, s.meanOf(k)...)
	}
	return dst
}

// MergeFlat merges records written by AppendFlat into s. Records that cannot
// be statistics are an error, and s is then unchanged.
func (s *Stats) MergeFlat(flat []float64) error {
	size := s.c + 3
	if len(flat)%size != 0 {
		return fmt.Errorf("ccloss: %d numbers are no whole number of records of %d", len(flat), size)
	}
	for at := 0; at < len(flat); at += size {
		label, n, m2 := flat[at], flat[at+1], flat[at+2]
		if label != math.Trunc(label) || label < math.MinInt32 || label > math.MaxInt32 {
			return fmt.Errorf("ccloss: record %d: %v is no label", at/size, label)
		}
		if !(n >= 0 && n <= 1<<53) || n != math.Trunc(n) {
			return fmt.Errorf("ccloss: record %d: %v is no count", at/size, n)
		}
		if m2 < 0 {
			return fmt.Errorf("ccloss: record %d: negative sum of squares %v", at/size, m2)
		}
	}
	for at := 0; at < len(flat); at += size {
		s.mergeClass(s.slot(int32(flat[at])), int64(flat[at+1]), flat[at+3:at+size], flat[at+2])
	}
	return nil
}
