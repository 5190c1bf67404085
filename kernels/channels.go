package kernels

import (
	"math"
	"unsafe"
)

// The kernels of this file work on one feature map in NHWC: a row-major matrix
// of rows = H*W pixels by c channels. They are serial; callers split by sample.
// Vectors of c elements run along a row, so nothing is shuffled.
//
// In assembly because they are bounded by memory only when a core adds and
// multiplies as fast as it loads, which takes vector instructions; to be
// removed when the compiler vectorises these loops.

// channelBlockRows is the number of rows that are summed up before the sum is
// added to the total. It bounds the rounding error, keeps the rows in L1 while
// the columns are done group by group, and ends each assembly call early.
const channelBlockRows = 64

// channelBlockCols bounds the columns of an assembly call: 64 rows of them take
// some 10 us.
const channelBlockCols = 4096

// channelMapRows returns the rows of a call that writes a map: each that streams ends
// with a wait for its stores, which short ones would spend most of their time on.
func channelMapRows(c int) int { return max(channelBlockRows, mapBlock/max(c, 1)) }

// Store says how a kernel writes its result.
type Store uint8

const (
	// Cached is the ordinary way.
	Cached Store = iota
	// Streamed writes past the caches, where ISA, size and alignment allow it.
	// Memory that is not in a cache is then not read before it is written, a
	// third to a half of the traffic; but who reads the result next finds none
	// of it in a cache.
	Streamed
)

// StoreFor returns the way for a result of n float32: Streamed from half the
// last-level cache on, since little of it would be left there.
func StoreFor(n int) Store {
	if n >= max(caches.l3, 4*caches.l2)/2/4 {
		return Streamed
	}
	return Cached
}

// streams reports whether dst can be streamed: its start and all sizes must be
// multiples of a vector.
func streams(how Store, dst []float32, lanes, size1, size2 int) bool {
	return how == Streamed && (size1|size2)%lanes == 0 && uintptr(unsafe.Pointer(&dst[0]))%uintptr(4*lanes) == 0
}

func checkChannels(name string, rows, c int, maps ...[]float32) {
	if rows < 0 || c < 0 {
		panic("kernels." + name + ": negative size")
	}
	if c > 0 && rows > math.MaxInt/c {
		panic("kernels." + name + ": size overflows")
	}
	for _, m := range maps {
		if len(m) < rows*c {
			panic("kernels." + name + ": map is shorter than rows*c")
		}
	}
}

func checkVector(name string, c int, vectors ...[]float32) {
	for _, v := range vectors {
		if len(v) < c {
			panic("kernels." + name + ": vector is shorter than c")
		}
	}
}

// ChannelSums sets dst[j] to the sum of x[i*c+j] over i < rows, 0 if rows is 0.
// dst must not overlap x. Rows are added in order in blocks of 64 and the block
// sums in order, so the error is at most (64+rows/64)*eps*sum|x|, eps = 2^-24,
// whatever the ISA; within a block the ISA chooses the order.
func ChannelSums(dst, x []float32, rows, c int) {
	checkChannels("ChannelSums", rows, c, x)
	checkVector("ChannelSums", c, dst)
	clear(dst[:c])
	for i := 0; i < rows; i += channelBlockRows {
		n := min(channelBlockRows, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			channelSums(dst[j:k], x[i*c+j:(i+n-1)*c+k], n, c)
		}
	}
}

// channelSumsGeneric adds the column sums of x, whose rows are stride apart, to
// dst.
func channelSumsGeneric(dst, x []float32, rows, stride int) {
	for j := range dst {
		var sum float32
		for i := range rows {
			sum += x[i*stride+j]
		}
		dst[j] += sum
	}
}

// ChannelDots sets dst[j] to the sum of x[i*c+j]*y[i*c+j] over i < rows. dst
// must not overlap x or y. Order and error are those of [ChannelSums] with
// |x*y| in place of |x| and one rounding more where the ISA has no FMA.
func ChannelDots(dst, x, y []float32, rows, c int) {
	checkChannels("ChannelDots", rows, c, x, y)
	checkVector("ChannelDots", c, dst)
	clear(dst[:c])
	for i := 0; i < rows; i += channelBlockRows {
		n := min(channelBlockRows, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			at, end := i*c+j, (i+n-1)*c+k
			channelDots(dst[j:k], x[at:end], y[at:end], n, c)
		}
	}
}

// channelDotsGeneric adds the column sums of x*y, whose rows are stride apart,
// to dst.
func channelDotsGeneric(dst, x, y []float32, rows, stride int) {
	for j := range dst {
		var sum float32
		for i := range rows {
			sum += x[i*stride+j] * y[i*stride+j]
		}
		dst[j] += sum
	}
}

// ChannelScale sets dst[i*c+j] = x[i*c+j]*a[j] for i < rows. dst may be x but
// must not overlap x otherwise, nor a. Where it streams, it asks for what lies ahead
// elements behind what it reads, so that memory is read while it is written.
func ChannelScale(dst, x, a []float32, rows, c, ahead int, how Store) {
	checkChannels("ChannelScale", rows, c, dst, x)
	checkVector("ChannelScale", c, a)
	for i, step := 0, channelMapRows(c); i < rows; i += step {
		n := min(step, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			at, end := i*c+j, (i+n-1)*c+k
			channelScale(dst[at:end], x[at:end], a[j:k], n, c, ahead, how)
		}
	}
}

func channelScaleGeneric(dst, x, a []float32, rows, stride int) {
	for i := range rows {
		d, s := dst[i*stride:i*stride+len(a)], x[i*stride:i*stride+len(a)]
		for j, v := range a {
			d[j] = s[j] * v
		}
	}
}

// ChannelScaleShift sets dst[i*c+j] = x[i*c+j]*a[j] + b[j] for i < rows, fused
// where the ISA has FMA. dst may be x but must not overlap x otherwise, nor a
// or b. ahead is as in [ChannelScale].
func ChannelScaleShift(dst, x, a, b []float32, rows, c, ahead int, how Store) {
	checkChannels("ChannelScaleShift", rows, c, dst, x)
	checkVector("ChannelScaleShift", c, a, b)
	for i, step := 0, channelMapRows(c); i < rows; i += step {
		n := min(step, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			at, end := i*c+j, (i+n-1)*c+k
			channelScaleShift(dst[at:end], x[at:end], a[j:k], b[j:k], n, c, ahead, how)
		}
	}
}

func channelScaleShiftGeneric(dst, x, a, b []float32, rows, stride int) {
	b = b[:len(a)]
	for i := range rows {
		d, s := dst[i*stride:i*stride+len(a)], x[i*stride:i*stride+len(a)]
		for j, v := range a {
			d[j] = s[j]*v + b[j]
		}
	}
}

// ChannelFill sets dst[i*c+j] = v[j] for i < rows. dst must not overlap v.
func ChannelFill(dst, v []float32, rows, c int, how Store) {
	checkChannels("ChannelFill", rows, c, dst)
	checkVector("ChannelFill", c, v)
	for i, step := 0, channelMapRows(c); i < rows; i += step {
		n := min(step, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			at, end := i*c+j, (i+n-1)*c+k
			channelFill(dst[at:end], v[j:k], n, c, how)
		}
	}
}

func channelFillGeneric(dst, v []float32, rows, stride int) {
	for i := range rows {
		copy(dst[i*stride:i*stride+len(v)], v)
	}
}

// ChannelPick sets dst[i*c+j], i < rows, to v[j] where i is index[j] and to 0
// elsewhere: with the index of [ChannelMax], the gradient of the maximum. An index
// outside the rows picks nothing. dst must not overlap v.
func ChannelPick(dst, v []float32, index []int32, rows, c int, how Store) {
	checkChannels("ChannelPick", rows, c, dst)
	checkVector("ChannelPick", c, v)
	if len(index) < c || rows > math.MaxInt32 {
		panic("kernels.ChannelPick: index is shorter than c, or too many rows for it")
	}
	for i, step := 0, channelMapRows(c); i < rows; i += step {
		n := min(step, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			channelPick(dst[i*c+j:(i+n-1)*c+k], v[j:k], index[j:k], n, c, i, how)
		}
	}
}

func channelPickGeneric(dst, v []float32, index []int32, rows, stride, first int) {
	for i := range rows {
		d := dst[i*stride : i*stride+len(v)]
		clear(d)
		for j, at := range index[:len(v)] {
			if int(at) == first+i {
				d[j] = v[j]
			}
		}
	}
}

// ChannelMax sets dst[j] to the maximum of x[i*c+j] over i < rows and, unless
// index is nil, index[j] to the i it was found at: the first of equal values
// (-0 equals 0), the last NaN if there is one, in which case dst[j] is NaN.
// rows must be positive. dst must not overlap x.
func ChannelMax(dst []float32, index []int32, x []float32, rows, c int) {
	checkChannels("ChannelMax", rows, c, x)
	checkVector("ChannelMax", c, dst)
	if rows == 0 || rows > math.MaxInt32 {
		panic("kernels.ChannelMax: rows out of range")
	}
	if index != nil && len(index) < c {
		panic("kernels.ChannelMax: index is shorter than c")
	}
	copy(dst[:c], x[:c])
	if index != nil {
		clear(index[:c])
	}
	ahead := 8*rows*c > caches.l2
	// Row 0 is looked at again: a NaN in it is its own last one.
	for i := 0; i < rows; i += channelBlockRows {
		n := min(channelBlockRows, rows-i)
		for j := 0; j < c; j += channelBlockCols {
			k := min(j+channelBlockCols, c)
			if index == nil {
				channelMax(dst[j:k], x[i*c+j:(i+n-1)*c+k], n, c)
			} else {
				channelMaxIndex(dst[j:k], index[j:k], x[i*c+j:(i+n-1)*c+k], n, c, i, ahead)
			}
		}
	}
}

func channelMaxGeneric(dst, x []float32, rows, stride int) {
	for i := range rows {
		for j, v := range x[i*stride : i*stride+len(dst)] {
			if v > dst[j] || v != v {
				dst[j] = v
			}
		}
	}
}

func channelMaxIndexGeneric(dst []float32, index []int32, x []float32, rows, stride, first int) {
	for i := range rows {
		for j, v := range x[i*stride : i*stride+len(dst)] {
			if v > dst[j] || v != v {
				dst[j], index[j] = v, int32(first+i)
			}
		}
	}
}
