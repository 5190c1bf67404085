package pool

import (
	"fmt"
	"sync"

	"github.com/golanes/lanes/kernels"
)

// GlobalAvg sets dst[n][c] to the mean of src[n][i][c] over the hw pixels i of
// each map. The sum runs in blocks of 64 pixels and over the blocks in order:
// the error is at most (66+hw/64)*eps times the mean of |src|, eps = 2^-24. It
// reads src once.
func GlobalAvg(dst, src []float32, n, hw, c int) {
	j := takeJob("GlobalAvg", n, hw, c)
	j.vectors("GlobalAvg", len(dst))
	j.maps("GlobalAvg", len(src))
	j.dst, j.src = dst, src
	j.run(n, hw*c, j.avg)
}

// GlobalAvgBackward sets dx[n][i][c] = dy[n][c]/hw.
func GlobalAvgBackward(dx, dy []float32, n, hw, c int) {
	j := takeJob("GlobalAvgBackward", n, hw, c)
	j.vectors("GlobalAvgBackward", len(dy))
	j.maps("GlobalAvgBackward", len(dx))
	j.dst = dx
	j.scale(dy)
	j.run(n, hw*c, j.avgBackward)
}

// GlobalMax sets dst[n][c] to the maximum of src[n][i][c] over the hw pixels i
// and, unless arg is nil, arg[n][c] to the i it was found at: the first of equal
// values, the last NaN if there is one.
func GlobalMax(dst []float32, arg []int32, src []float32, n, hw, c int) {
	j := takeJob("GlobalMax", n, hw, c)
	j.vectors("GlobalMax", len(dst))
	j.maps("GlobalMax", len(src))
	if arg != nil {
		j.vectors("GlobalMax", len(arg))
	}
	j.dst, j.arg, j.src = dst, arg, src
	j.run(n, hw*c, j.max)
}

// GlobalMaxBackward sets dx[n][arg[n][c]][c] = dy[n][c] and the rest of dx to 0.
func GlobalMaxBackward(dx, dy []float32, arg []int32, n, hw, c int) {
	j := takeJob("GlobalMaxBackward", n, hw, c)
	j.vectors("GlobalMaxBackward", len(dy))
	j.vectors("GlobalMaxBackward", len(arg))
	j.maps("GlobalMaxBackward", len(dx))
	j.dst, j.arg, j.src = dx, arg, dy
	j.run(n, hw*c, j.maxBackward)
}

// GlobalAvgNCHW is [GlobalAvg] for src[n][c][i]. The sum runs as in
// [kernels.PlaneSums].
func GlobalAvgNCHW(dst, src []float32, n, c, hw int) {
	j := takeJob("GlobalAvgNCHW", n, hw, c)
	j.vectors("GlobalAvgNCHW", len(dst))
	j.maps("GlobalAvgNCHW", len(src))
	j.dst, j.src = dst, src
	j.run(n*c, hw, j.avgPlanes)
}

// GlobalAvgBackwardNCHW sets dx[n][c][i] = dy[n][c]/hw.
func GlobalAvgBackwardNCHW(dx, dy []float32, n, c, hw int) {
	j := takeJob("GlobalAvgBackwardNCHW", n, hw, c)
	j.vectors("GlobalAvgBackwardNCHW", len(dy))
	j.maps("GlobalAvgBackwardNCHW", len(dx))
	j.dst = dx
	j.scale(dy)
	j.run(n*c, hw, j.avgBackwardPlanes)
}

// GlobalMaxNCHW is [GlobalMax] for src[n][c][i].
func GlobalMaxNCHW(dst []float32, arg []int32, src []float32, n, c, hw int) {
	j := takeJob("GlobalMaxNCHW", n, hw, c)
	j.vectors("GlobalMaxNCHW", len(dst))
	j.maps("GlobalMaxNCHW", len(src))
	if arg != nil {
		j.vectors("GlobalMaxNCHW", len(arg))
	}
	j.dst, j.arg, j.src = dst, arg, src
	j.run(n*c, hw, j.maxPlanes)
}

// GlobalMaxBackwardNCHW sets dx[n][c][arg[n][c]] = dy[n][c] and the rest of dx to
// 0.
func GlobalMaxBackwardNCHW(dx, dy []float32, arg []int32, n, c, hw int) {
	j := takeJob("GlobalMaxBackwardNCHW", n, hw, c)
	j.vectors("GlobalMaxBackwardNCHW", len(dy))
	j.vectors("GlobalMaxBackwardNCHW", len(arg))
	j.maps("GlobalMaxBackwardNCHW", len(dx))
	j.dst, j.arg, j.src = dx, arg, dy
	j.run(n*c, hw, j.maxBackwardPlanes)
}

// A globalJob holds the arguments of one call and the functions that work on a
// range of its samples or planes. Jobs are kept, so that a call allocates
// nothing.
type globalJob struct {
	dst, src []float32
	arg      []int32
	n, hw, c int
	scaled   []float32 // dy/hw, kept

	avg, avgBackward, max, maxBackward                         func(lo, hi int)
	avgPlanes, avgBackwardPlanes, maxPlanes, maxBackwardPlanes func(lo, hi int)
}

var (
	globalMu   sync.Mutex
	globalFree []*globalJob
)

func takeJob(name string, n, hw, c int) *globalJob {
	if n < 0 || hw < 1 || c < 0 {
		panic(fmt.Sprintf("pool.%s: n=%d hw=%d c=%d", name, n, hw, c))
	}
	if n > 0 && c > 0 {
		if _, ok := product(n, hw, c); !ok {
			panic(fmt.Sprintf("pool.%s: n=%d hw=%d c=%d is too large", name, n, hw, c))
		}
	}
	globalMu.Lock()
	var j *globalJob
	if last := len(globalFree) - 1; last >= 0 {
		j, globalFree = globalFree[last], globalFree[:last]
	}
	globalMu.Unlock()
	if j == nil {
		j = &globalJob{}
		j.avg, j.avgBackward, j.max, j.maxBackward = j.avgRange, j.avgBackwardRange, j.maxRange, j.maxBackwardRange
		j.avgPlanes, j.avgBackwardPlanes = j.avgPlanesRange, j.avgBackwardPlanesRange
		j.maxPlanes, j.maxBackwardPlanes = j.maxPlanesRange, j.maxBackwardPlanesRange
	}
	j.n, j.hw, j.c = n, hw, c
	return j
}

func (j *globalJob) vectors(name string, got int) {
	if got < j.n*j.c {
		panic(fmt.Sprintf("pool.%s: vectors of %d elements, want %d", name, got, j.n*j.c))
	}
}

func (j *globalJob) maps(name string, got int) {
	if got < j.n*j.hw*j.c {
		panic(fmt.Sprintf("pool.%s: maps of %d elements, want %d", name, got, j.n*j.hw*j.c))
	}
}

// scale sets scaled = dy/hw.
func (j *globalJob) scale(dy []float32) {
	if len(j.scaled) < j.n*j.c {
		j.scaled = make([]float32, j.n*j.c)
	}
	scale := 1 / float32(j.hw)
	for i, v := range dy[:j.n*j.c] {
		j.scaled[i] = v * scale
	}
}

// run splits f over items of so many elements, and gives j back.
func (j *globalJob) run(items, elements int, f func(lo, hi int)) {
	kernels.Parallel(items, grain(elements), f)
	j.dst, j.src, j.arg = nil, nil, nil
	globalMu.Lock()
	globalFree = append(globalFree, j)
	globalMu.Unlock()
}

// sample returns the vector and the map of sample i.
func (j *globalJob) sample(vectors, maps []float32, i int) (vector, m []float32) {
	return vectors[i*j.c : (i+1)*j.c], maps[i*j.hw*j.c : (i+1)*j.hw*j.c]
}

func (j *globalJob) avgRange(lo, hi int) {
	scale := 1 / float32(j.hw)
	for i := lo; i < hi; i++ {
		mean, m := j.sample(j.dst, j.src, i)
		kernels.ChannelSums(mean, m, j.hw, j.c)
		kernels.Scale(scale, mean)
	}
}

func (j *globalJob) avgBackwardRange(lo, hi int) {
	how := kernels.StoreFor(j.n * j.hw * j.c)
	for i := lo; i < hi; i++ {
		v, dx := j.sample(j.scaled, j.dst, i)
		kernels.ChannelFill(dx, v, j.hw, j.c, how)
	}
}

func (j *globalJob) maxRange(lo, hi int) {
	for i := lo; i < hi; i++ {
		best, m := j.sample(j.dst, j.src, i)
		var arg []int32
		if j.arg != nil {
			arg = j.arg[i*j.c : (i+1)*j.c]
		}
		kernels.ChannelMax(best, arg, m, j.hw, j.c)
	}
}

func (j *globalJob) maxBackwardRange(lo, hi int) {
	how := kernels.StoreFor(j.n * j.hw * j.c)
	for i := lo; i < hi; i++ {
		dy, dx := j.sample(j.src, j.dst, i)
		kernels.ChannelPick(dx, dy, j.arg[i*j.c:(i+1)*j.c], j.hw, j.c, how)
	}
}

func (j *globalJob) avgPlanesRange(lo, hi int) {
	scale := 1 / float32(j.hw)
	kernels.PlaneSums(j.dst[lo:hi], j.src[lo*j.hw:hi*j.hw], hi-lo, j.hw)
	kernels.Scale(scale, j.dst[lo:hi])
}

func (j *globalJob) avgBackwardPlanesRange(lo, hi int) {
	how := kernels.StoreFor(j.n * j.hw * j.c)
	kernels.PlaneFill(j.dst[lo*j.hw:hi*j.hw], j.scaled[lo:hi], hi-lo, j.hw, how)
}

func (j *globalJob) maxPlanesRange(lo, hi int) {
	var arg []int32
	if j.arg != nil {
		arg = j.arg[lo:hi]
	}
	kernels.PlaneMax(j.dst[lo:hi], arg, j.src[lo*j.hw:hi*j.hw], hi-lo, j.hw)
}

// pickPlanes is the number of planes that are cleared before the gradients are put
// in: those of a few KB are still in the first-level cache.
const pickPlanes = 64

var zeros [pickPlanes]float32

func (j *globalJob) maxBackwardPlanesRange(lo, hi int) {
	how := kernels.StoreFor(j.n * j.hw * j.c)
	for i := lo; i < hi; i += pickPlanes {
		end := min(i+pickPlanes, hi)
		dx := j.dst[i*j.hw : end*j.hw]
		if how == kernels.Cached {
			clear(dx)
		} else {
			kernels.PlaneFill(dx, zeros[:end-i], end-i, j.hw, how)
		}
		arg := j.arg[i:end]
		for p, v := range j.src[i:end][:len(arg)] {
			dx[p*j.hw+int(arg[p])] = v
		}
	}
}
