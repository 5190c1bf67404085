package kernels

import "math"

// The kernels of this file work on feature maps in NCHW: planes of n
// contiguous elements, one per sample and channel, so that a "row" is a plane.
// They are serial; callers split by plane. In assembly for the reason given in
// channels.go.

// planeBlock is the number of elements of a plane that one assembly call takes:
// some microseconds of work, and a bound on the error of sums.
const planeBlock = 1 << 14

func checkPlanes(name string, planes, n int, maps ...[]float32) {
	if planes < 0 || n < 0 {
		panic("kernels." + name + ": negative size")
	}
	if n > 0 && planes > math.MaxInt/n {
		panic("kernels." + name + ": size overflows")
	}
	for _, m := range maps {
		if len(m) < planes*n {
			panic("kernels." + name + ": map is shorter than planes*n")
		}
	}
}

func checkPlaneVector(name string, planes int, vectors ...[]float32) {
	for _, v := range vectors {
		if len(v) < planes {
			panic("kernels." + name + ": vector is shorter than planes")
		}
	}
}

// planesPerCall returns how many planes of n elements make a call of so many
// elements, or 1 and how much of one.
func planesPerCall(n, elements int) (planes, part int) {
	if n >= elements {
		return 1, elements
	}
	return elements / max(n, 1), max(n, 1)
}

// PlaneSums sets dst[p] to the sum of plane p of x, 0 if n is 0. dst must not
// overlap x. Sums run in at least four interleaved partial sums over at most
// 2^14 elements, then over these blocks in order: the error is at most
// (min(n, 2^14)/4 + 8 + n/2^14)*eps*sum|x|, eps = 2^-24.
func PlaneSums(dst, x []float32, planes, n int) {
	checkPlanes("PlaneSums", planes, n, x)
	checkPlaneVector("PlaneSums", planes, dst)
	if n == 0 {
		clear(dst[:planes])
		return
	}
	if n > planeBlock {
		for p := range planes {
			dst[p] = longSum(x[p*n : (p+1)*n])
		}
		return
	}
	step, _ := planesPerCall(n, planeBlock)
	for p := 0; p < planes; p += step {
		q := min(p+step, planes)
		planeSums(dst[p:q], x[p*n:q*n], n)
	}
}

// longSum sums a plane of several blocks.
func longSum(x []float32) float32 {
	var sum float32
	for i := 0; i < len(x); i += planeBlock {
		var block [1]float32
		m := min(planeBlock, len(x)-i)
		planeSums(block[:], x[i:i+m], m)
		sum += block[0]
	}
	return sum
}

// planeSumsGeneric sets dst[p] to the sum of plane p.
func planeSumsGeneric(dst, x []float32, n int) {
	for p := range dst {
		v := x[p*n : (p+1)*n]
		var s0, s1, s2, s3 float32
		for ; len(v) >= 4; v = v[4:] {
			s0 += v[0]
			s1 += v[1]
			s2 += v[2]
			s3 += v[3]
		}
		for _, t := range v {
			s0 += t
		}
		dst[p] = (s0 + s1) + (s2 + s3)
	}
}

// PlaneDots sets dst[p] to the sum of x*y over plane p. dst must not overlap x
// or y. Order and error are those of [PlaneSums] with |x*y| in place of |x| and
// one rounding more where the ISA has no FMA.
func PlaneDots(dst, x, y []float32, planes, n int) {
	checkPlanes("PlaneDots", planes, n, x, y)
	checkPlaneVector("PlaneDots", planes, dst)
	if n == 0 {
		clear(dst[:planes])
		return
	}
	if n > planeBlock {
		for p := range planes {
			dst[p] = longDot(x[p*n:(p+1)*n], y[p*n:(p+1)*n])
		}
		return
	}
	step, _ := planesPerCall(n, planeBlock)
	for p := 0; p < planes; p += step {
		q := min(p+step, planes)
		planeDots(dst[p:q], x[p*n:q*n], y[p*n:q*n], n)
	}
}

// longDot is the dot product of planes of several blocks.
func longDot(x, y []float32) float32 {
	var sum float32
	for i := 0; i < len(x); i += planeBlock {
		var block [1]float32
		m := min(planeBlock, len(x)-i)
		planeDots(block[:], x[i:i+m], y[i:i+m], m)
		sum += block[0]
	}
	return sum
}

// planeDotsGeneric sets dst[p] to the dot product of plane p of x and y.
func planeDotsGeneric(dst, x, y []float32, n int) {
	for p := range dst {
		dst[p] = dotGeneric(x[p*n:(p+1)*n], y[p*n:(p+1)*n])
	}
}

// PlaneScale sets dst[i] = x[i]*a[p] for the elements i of plane p. dst may be x
// but must not overlap x otherwise, nor a. ahead is as in [ChannelScale].
func PlaneScale(dst, x, a []float32, planes, n, ahead int, how Store) {
	checkPlanes("PlaneScale", planes, n, dst, x)
	checkPlaneVector("PlaneScale", planes, a)
	step, part := planesPerCall(n, mapBlock)
	for p := 0; p < planes; p += step {
		q := min(p+step, planes)
		for i := 0; i < n; i += part {
			m := min(part, n-i)
			at, end := p*n+i, (q-1)*n+i+m
			planeScale(dst[at:end], x[at:end], a[p:q], m, ahead, how)
		}
	}
}

func planeScaleGeneric(dst, x, a []float32, n int) {
	for p, v := range a {
		d, s := dst[p*n:(p+1)*n], x[p*n:(p+1)*n]
		for i := range d {
			d[i] = s[i] * v
		}
	}
}

// PlaneScaleShift sets dst[i] = x[i]*a[p] + b[p] for the elements i of plane p,
// fused where the ISA has FMA. dst may be x but must not overlap x otherwise,
// nor a or b. ahead is as in [ChannelScale].
func PlaneScaleShift(dst, x, a, b []float32, planes, n, ahead int, how Store) {
	checkPlanes("PlaneScaleShift", planes, n, dst, x)
	checkPlaneVector("PlaneScaleShift", planes, a, b)
	step, part := planesPerCall(n, mapBlock)
	for p := 0; p < planes; p += step {
		q := min(p+step, planes)
		for i := 0; i < n; i += part {
			m := min(part, n-i)
			at, end := p*n+i, (q-1)*n+i+m
			planeScaleShift(dst[at:end], x[at:end], a[p:q], b[p:q], m, ahead, how)
		}
	}
}

func planeScaleShiftGeneric(dst, x, a, b []float32, n int) {
	b = b[:len(a)]
	for p, v := range a {
		d, s := dst[p*n:(p+1)*n], x[p*n:(p+1)*n]
		for i := range d {
			d[i] = s[i]*v + b[p]
		}
	}
}

// PlaneFill sets the elements of plane p of dst to v[p]. dst must not overlap v.
func PlaneFill(dst, v []float32, planes, n int, how Store) {
	checkPlanes("PlaneFill", planes, n, dst)
	checkPlaneVector("PlaneFill", planes, v)
	step, part := planesPerCall(n, mapBlock)
	for p := 0; p < planes; p += step {
		q := min(p+step, planes)
		for i := 0; i < n; i += part {
			m := min(part, n-i)
			planeFill(dst[p*n+i:(q-1)*n+i+m], v[p:q], m, how)
		}
	}
}

func planeFillGeneric(dst, v []float32, n int) {
	for p, t := range v {
		d := dst[p*n : (p+1)*n]
		for i := range d {
			d[i] = t
		}
	}
}

// PlaneMax sets dst[p] to the maximum of plane p of x and, unless index is nil,
// index[p] to the position within the plane where it was found: the first of
// equal values (-0 equals 0), the last NaN if there is one, in which case dst[p]
// is NaN. n must be positive.
func PlaneMax(dst []float32, index []int32, x []float32, planes, n int) {
	checkPlanes("PlaneMax", planes, n, x)
	checkPlaneVector("PlaneMax", planes, dst)
	if n == 0 || n > math.MaxInt32 {
		panic("kernels.PlaneMax: n out of range")
	}
	if index != nil && len(index) < planes {
		panic("kernels.PlaneMax: index is shorter than planes")
	}
	if n < laneMaxLen {
		shortPlaneMax(dst, index, x, planes, n)
		return
	}
	// Planes side by side come from memory in lines of several places, so those that
	// are in no cache are taken one by one, which is one plane lanePlanes times.
	together := 4*planes*n <= caches.l2
	for p := 0; p < planes; {
		count, stride := lanePlanes, n
		if !together || planes-p < lanePlanes {
			count, stride = 1, 0
		}
		best, at := planeMax(x[p*n:], n, stride)
		copy(dst[p:p+count], best[:])
		if index != nil {
			copy(index[p:p+count], at[:])
		}
		p += count
	}
}

// shortPlanes is the number of short planes that are turned together, so that a
// vector holds one element of many: at most 32 KB of them.
const shortPlanes = 128

// shortPlaneMax is PlaneMax by [ChannelMax], whose rule is the same.
func shortPlaneMax(dst []float32, index []int32, x []float32, planes, n int) {
	turned := getScratch(shortPlanes * n)
	for p := 0; p < planes; p += shortPlanes {
		q := min(p+shortPlanes, planes)
		transposeStrips(turned.s, x[p*n:q*n], q-p, n, q-p, n, 0, Cached)
		var at []int32
		if index != nil {
			at = index[p:q]
		}
		ChannelMax(dst[p:q], at, turned.s, n, q-p)
	}
	scratch.Put(turned)
}

const (
	// maxLanes is the number of lanes of the widest ISA, lanePlanes that of the
	// planes of a call of laneMax.
	maxLanes   = 16
	lanePlanes = 4
	// laneMaxLen is the length from which the maximum of each lane and the
	// comparison of lanes beat planes that are turned.
	laneMaxLen = 64
)

var laneNumbers = [maxLanes]int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// planeMax returns the maxima of the planes x[p*stride:] of n elements by
// PlaneMax's rule, and where they are.
func planeMax(x []float32, n, stride int) (best [lanePlanes]float32, at [lanePlanes]int32) {
	var values [lanePlanes * maxLanes]float32
	var from [lanePlanes * maxLanes]int32
	for p := range best {
		best[p] = x[p*stride]
	}
	start := 0
	for n-start >= laneMaxLen {
		part := min(n-start, planeBlock)
		lanes := laneMax(&values, &from, x[start:], part, stride)
		if lanes == 0 {
			break
		}
		for p := range best {
			b, a := bestLane(values[p*lanes:(p+1)*lanes], from[p*lanes:(p+1)*lanes])
			if b > best[p] || b != b {
				best[p], at[p] = b, int32(start+a)
			}
		}
		start += part
	}
	for p := range best {
		for i, v := range x[p*stride+start : p*stride+n] {
			if v > best[p] || v != v {
				best[p], at[p] = v, int32(start+i)
			}
		}
	}
	return best, at
}

// bestLane returns the first of the greatest values, or the last NaN, by their
// positions.
func bestLane(values []float32, from []int32) (best float32, at int) {
	best, at = values[0], int(from[0])
	for i, v := range values[1:] {
		p := int(from[i+1])
		switch {
		case v != v:
			if best == best || p > at {
				best, at = v, p
			}
		case v > best || v == best && p < at:
			best, at = v, p
		}
	}
	return best, at
}
