package ccloss

import "github.com/golanes/lanes/kernels"

// lines holds the gradient of the squared metric, which is a straight line in
// each sample: dL/da_i = slope[k]*a_i + shift[k] with k the class of i. The
// difference of large terms is taken in float64, where a nearly collapsed class
// of float32 vectors still has nine digits left.
type lines struct {
	c     int
	slope []float64
	shift []float64 // class-major

	da, a []float32
	class []int32
	how   kernels.Store    // of da
	work  func(lo, hi int) // l.run, kept so that calls do not allocate
}

func newLines(c int) *lines {
	l := &lines{c: c}
	l.work = l.run
	return l
}

// reserve makes room for k classes.
func (l *lines) reserve(k int) {
	l.slope = make([]float64, 0, k)
	l.shift = make([]float64, 0, k*l.c)
}

// fit computes the lines from class statistics, their result r and the slopes
// of the loss:
//
//	dL/da_i = 2*n_k*(gW/P-gB/Q) * (a_i-mu_k) + 2*N*gB/Q * (a_i-mu)
//
// where P and Q count the pairs; a side without pairs drops out.
func (l *lines) fit(s *Stats, r *Result, slope slopes, center []float64, scale float64) {
	var perSame, perDiff float64
	if r.Same > 0 {
		perSame = 2 * scale * slope.within / float64(r.Same)
	}
	if r.Different > 0 {
		perDiff = 2 * scale * slope.between / float64(r.Different)
	}
	all := perDiff * float64(s.Samples())
	l.slope = growF64(l.slope[:0], s.Classes())
	l.shift = growF64(l.shift[:0], s.Classes()*l.c)
	for k, n := range s.count {
		own := float64(n) * (perSame - perDiff)
		l.slope[k] = own + all
		kernels.CombineF64(l.shift[k*l.c:(k+1)*l.c], -own, s.meanOf(k), -all, center)
	}
}

// apply sets da to the gradient at the samples a.
func (l *lines) apply(da, a []float32, class []int32) {
	l.da, l.a, l.class, l.how = da, a, class, kernels.StoreFor(len(da))
	kernels.Parallel(len(class), 1+blockFloats/max(1, l.c), l.work)
	l.da, l.a, l.class = nil, nil, nil
}

func (l *lines) run(lo, hi int) {
	c := l.c
	kernels.ScaleShiftRows(l.da[lo*c:hi*c], l.a[lo*c:hi*c], l.class[lo:hi], l.slope, l.shift, l.how)
}
