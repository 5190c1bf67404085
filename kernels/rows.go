package kernels

import (
	"math"
	"sync"
)

// The kernels of this file see a feature map in NHWC as a row-major matrix of
// rows = N*H*W pixels by c channels and run on all threads.
//
// A row of few channels is too short for vectors, so several rows are taken
// together: rows/rep wide rows of rep*c columns, whose per-channel parameters
// are repeated rep times. What is left, less than rep rows, is a wide row cut
// short.

const (
	// wideEnough is the least number of columns that is worth a loop.
	wideEnough = 64
	// maxWide bounds the columns of a widened row: c < 64 rows of one to
	// sixteen times c, rounded up to whole vectors of 16.
	maxWide = 1024
	// parallelGrain is the least number of elements that is worth a thread.
	parallelGrain = 16384
)

func checkRows(name string, rows, c int, maps ...[]float32) {
	if rows < 0 || c < 0 {
		panic("kernels." + name + ": negative size")
	}
	if c > 0 && rows > math.MaxInt/c {
		panic("kernels." + name + ": size overflows")
	}
	for _, m := range maps {
		if len(m) != rows*c {
			panic("kernels." + name + ": a map's length is not rows*c")
		}
	}
}

func checkPerChannel(name string, c int, vectors ...[]float32) {
	for _, v := range vectors {
		if len(v) != c {
			panic("kernels." + name + ": a vector's length is not c")
		}
	}
}

// widening returns how many rows of c > 0 channels make a wide row.
func widening(rows, c int) (rep int) {
	if c >= wideEnough {
		return 1
	}
	rep = 1
	for rep*c%16 != 0 {
		rep *= 2
	}
	for rep*c < wideEnough {
		rep *= 2
	}
	return max(1, min(rep, rows))
}

// repeat fills dst with copies of v.
func repeat(dst, v []float32) {
	for n := copy(dst, v); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// A rowsJob is a call of one of this file's kernels while threads work on it.
// Jobs are reused, because a closure would be allocated per call.
type rowsJob struct {
	kind rowsKind
	act  Activation
	how  Store // of dst

	rows, c int // widened
	wide    [4][maxWide]float32

	dst, dst2, x, y, z []float32 // maps
	p                  [4][]float32
	lo, hi             float32

	chunk    int       // rows of a partial sum
	partials []float32 // see each reduction

	run func(lo, hi int)
}

type rowsKind uint8

const (
	rowsScaleShift rowsKind = iota
	rowsSums
	rowsMoments
	rowsGradSums
	rowsGradApply
)

var rowsJobs = sync.Pool{New: func() any {
	j := new(rowsJob)
	j.run = j.part
	return j
}}

func newRowsJob(kind rowsKind, rows, c int) *rowsJob {
	j := rowsJobs.Get().(*rowsJob)
	j.kind, j.act, j.rows, j.c = kind, Identity, rows, c
	j.how = StoreFor(rows * c)
	return j
}

// free returns j to the pool, without the caller's memory.
func (j *rowsJob) free() {
	j.dst, j.dst2, j.x, j.y, j.z = nil, nil, nil, nil, nil
	j.p = [4][]float32{}
	rowsJobs.Put(j)
}

// widen sets parameter i to v, repeated over the columns of a wide row.
func (j *rowsJob) widen(i int, v []float32, rep int) {
	if rep == 1 {
		j.p[i] = v
		return
	}
	j.p[i] = j.wide[i][:rep*len(v)]
	repeat(j.p[i], v)
}

// partial sums and maps are handed out in whole chunks or rows.
func (j *rowsJob) part(lo, hi int) {
	switch j.kind {
	case rowsScaleShift:
		j.scaleShift(j.rows-hi, j.rows-lo)
	case rowsGradApply:
		j.gradApply(j.rows-hi, j.rows-lo)
	default:
		for i := lo; i < hi; i++ {
			j.reduce(i)
		}
	}
}

// grain is the number of rows worth a thread.
func (j *rowsJob) grain() int { return max(1, parallelGrain/max(j.c, 1)) }

// BiasActivate computes dst[i*c+j] = act(x[i*c+j] + bias[j]) for i < rows, j < c.
// dst may be x. act has the contract of [Activate].
func BiasActivate(act Activation, dst, x, bias []float32, rows, c int) {
	checkActivation("BiasActivate", act)
	checkRows("BiasActivate", rows, c, dst, x)
	checkPerChannel("BiasActivate", c, bias)
	scaleShift(act, dst, x, nil, nil, bias, rows, c)
}

// scaleShift computes dst = act(x*scale + shift + residual), where a nil scale
// is 1 and a nil residual 0.
func scaleShift(act Activation, dst, x, residual, scale, shift []float32, rows, c int) {
	if rows*c == 0 {
		return
	}
	rep := widening(rows, c)
	j := newRowsJob(rowsScaleShift, (rows+rep-1)/rep, rep*c)
	j.act, j.dst, j.x, j.y = act, dst, x, residual
	j.lo, j.hi = activationBounds(act)
	if scale != nil {
		j.widen(0, scale, rep)
	}
	j.widen(1, shift, rep)
	Parallel(j.rows, j.grain(), j.run)
	j.free()
}

// activationBounds returns the bounds that make a clamp of a piecewise linear
// activation; of the others, none.
func activationBounds(act Activation) (lo, hi float32) {
	lo, hi = negativeInf, positiveInf
	switch act {
	case ReLU:
		lo = 0
	case ReLU6:
		lo, hi = 0, 6
	}
	return lo, hi
}

// activationIsClamp reports whether activationBounds is all there is to act.
func activationIsClamp(act Activation) bool {
	return act == Identity || act == ReLU || act == ReLU6
}

// mapBlock is the elements of an assembly call that writes a map: some 20 us.
const mapBlock = 65536

// scaleShift handles wide rows lo to hi, the last first: what the statistics read
// last is in a cache yet. An activation that is no clamp runs over what has just
// been stored, block by block while it is in L1.
func (j *rowsJob) scaleShift(lo, hi int) {
	clamp, how, step := activationIsClamp(j.act), j.how, max(1, mapBlock/j.c)
	if !clamp {
		how, step = Cached, max(1, argMaxBlock/j.c)
	}
	for ; hi > lo; hi -= step {
		from, to := max(lo, hi-step)*j.c, min(hi*j.c, len(j.x))
		full := from + (to-from)/j.c*j.c
		if full > from {
			j.scaleShiftBlock(from, full, j.c, how)
		}
		if to > full {
			j.scaleShiftBlock(full, to, to-full, how)
		}
		if !clamp {
			activate(j.act, j.dst[from:to], j.dst[from:to])
		}
	}
}

// scaleShiftBlock handles the elements from to to-1, which are rows of c columns.
func (j *rowsJob) scaleShiftBlock(from, to, c int, how Store) {
	dst, x, shift := j.dst[from:to], j.x[from:to], j.p[1][:c]
	switch {
	case j.p[0] == nil:
		rowsShift(dst, x, shift, j.lo, j.hi, how)
	case j.y == nil:
		rowsScaleShiftClamp(dst, x, j.p[0][:c], shift, j.lo, j.hi, how)
	default:
		rowsScaleShiftAddClamp(dst, x, j.y[from:to], j.p[0][:c], shift, j.lo, j.hi, how)
	}
}

// The twins: rows of len(shift) columns.

func rowsShiftGeneric(dst, x, shift []float32, lo, hi float32) {
	c := len(shift)
	for i := 0; i < len(x); i += c {
		d, v := dst[i:i+c], x[i:i+c]
		for k, s := range shift {
			d[k] = clampValue(v[k]+s, lo, hi)
		}
	}
}

func rowsScaleShiftClampGeneric(dst, x, scale, shift []float32, lo, hi float32) {
	c := len(shift)
	for i := 0; i < len(x); i += c {
		d, v, a := dst[i:i+c], x[i:i+c], scale[:c]
		for k, s := range shift {
			d[k] = clampValue(v[k]*a[k]+s, lo, hi)
		}
	}
}

func rowsScaleShiftAddClampGeneric(dst, x, y, scale, shift []float32, lo, hi float32) {
	c := len(shift)
	for i := 0; i < len(x); i += c {
		d, v, w, a := dst[i:i+c], x[i:i+c], y[i:i+c], scale[:c]
		for k, s := range shift {
			d[k] = clampValue(v[k]*a[k]+s+w[k], lo, hi)
		}
	}
}
