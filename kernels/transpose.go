package kernels

import (
	"sync"
	"unsafe"
)

// Transpose computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols, on the
// calling thread. They must not overlap.
func Transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	Cached.Transpose(dst, ldd, src, lds, rows, cols)
}

// Transpose: see [Store.Add].
func (s Store) Transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if rows < 0 || cols < 0 || ldd < rows || lds < cols {
		panic("kernels.Transpose: negative size or short stride")
	}
	if rows == 0 || cols == 0 {
		return
	}
	if len(dst) < (cols-1)*ldd+rows || len(src) < (rows-1)*lds+cols {
		panic("kernels.Transpose: short dst or src")
	}
	transposeStrips(dst, src, rows, cols, ldd, lds, 0, s)
	s.Fence()
}

// CopyBlock copies a block of rows by cols floats: dst[i*ldd+j] = src[i*lds+j].
// The blocks must not overlap.
func CopyBlock(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if rows < 0 || cols < 0 || ldd < cols || lds < 0 {
		panic("kernels.CopyBlock: negative size or short stride")
	}
	if rows == 0 || cols == 0 {
		return
	}
	if len(dst) < (rows-1)*ldd+cols || len(src) < (rows-1)*lds+cols {
		panic("kernels.CopyBlock: short dst or src")
	}
	copyBlock(rows, cols, dst, ldd, src, lds)
}

// ClearBlock sets dst[i*ldd+j] = 0 for i < rows, j < cols. With Streamed, stores pass
// the caches where the ISA can and dst, ldd and cols are multiples of a cache line;
// [Store.Fence] must follow before another thread looks at dst.
func ClearBlock(dst []float32, ldd, rows, cols int, how Store) {
	if rows < 0 || cols < 0 || ldd < cols {
		panic("kernels.ClearBlock: negative size or short stride")
	}
	if rows == 0 || cols == 0 {
		return
	}
	if len(dst) < (rows-1)*ldd+cols {
		panic("kernels.ClearBlock: short dst")
	}
	at := uintptr(unsafe.Pointer(&dst[0])) / 4
	if (at|uintptr(ldd)|uintptr(cols))%(cacheLine/4) != 0 {
		how = Cached
	}
	clearBlock(dst, ldd, rows, cols, how)
}

func clearBlockGeneric(dst []float32, ldd, rows, cols int) {
	for i := range rows {
		clear(dst[i*ldd:][:cols])
	}
}

// NCHWToNHWC rearranges src of shape n, c, h, w into dst of shape n, h, w, c.
// They must not overlap. It runs on all threads.
func NCHWToNHWC(dst, src []float32, n, c, h, w int) {
	checkLayout("NCHWToNHWC", dst, src, n, c, h, w)
	transposePlanes(dst, src, n, c, h*w)
}

// NHWCToNCHW rearranges src of shape n, h, w, c into dst of shape n, c, h, w. They
// must not overlap. The sizes are given in the order n, c, h, w. It runs on all
// threads.
func NHWCToNCHW(dst, src []float32, n, c, h, w int) {
	checkLayout("NHWCToNCHW", dst, src, n, c, h, w)
	transposePlanes(dst, src, n, h*w, c)
}

func checkLayout(name string, dst, src []float32, n, c, h, w int) {
	if n < 0 || c < 0 || h < 0 || w < 0 {
		panic("kernels." + name + ": negative size")
	}
	if len(dst) != len(src) || len(src) != n*c*h*w {
		panic("kernels." + name + ": a length is not n*c*h*w")
	}
}

// transposePlanes turns each of n matrices of rows x cols into cols x rows. A
// unit of work is a strip of transposeStrip rows or, where there are more
// columns than rows, of transposeStrip columns.
func transposePlanes(dst, src []float32, n, rows, cols int) {
	if len(src) == 0 {
		return
	}
	if rows == 1 || cols == 1 {
		copy(dst, src)
		return
	}
	j := transposeJobs.Get().(*transposeJob)
	j.dst, j.src, j.rows, j.cols = dst, src, rows, cols
	j.how = StoreFor(len(dst))
	j.strips = (max(rows, cols) + transposeStrip - 1) / transposeStrip
	Parallel(n*j.strips, max(1, parallelGrain/(transposeStrip*min(rows, cols))), j.run)
	j.dst, j.src = nil, nil
	transposeJobs.Put(j)
}

// transposeStrip is a multiple of every vector length; 64 x 64 elements and
// their transpose fit in L1.
const transposeStrip = 64

// A transposeJob is a call of transposePlanes while threads work on it.
type transposeJob struct {
	dst, src   []float32
	rows, cols int
	strips     int   // of one matrix
	how        Store // of dst
	run        func(lo, hi int)
}

var transposeJobs = sync.Pool{New: func() any {
	j := new(transposeJob)
	j.run = j.part
	return j
}}

func (j *transposeJob) part(lo, hi int) {
	size := j.rows * j.cols
	for i := lo; i < hi; i++ {
		plane, at := i/j.strips*size, i%j.strips*transposeStrip
		dst, src := j.dst[plane:plane+size], j.src[plane:plane+size]
		if j.rows >= j.cols {
			n := min(transposeStrip, j.rows-at)
			transposeStrips(dst[at:], src[at*j.cols:], n, j.cols, j.rows, j.cols, transposeStrip*j.cols, j.how)
			continue
		}
		n := min(transposeStrip, j.cols-at)
		transposeStrips(dst[at*j.rows:], src[at:], j.rows, n, j.rows, j.cols, transposeStrip, j.how)
	}
	j.how.Fence()
}

// transposeStrips computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols,
// in squares that fit in L1. The next strip is ahead elements behind this one: its
// lines lie in as many pages as there are rows or columns, more than a prefetcher
// follows, so a kernel that streams asks for them.
func transposeStrips(dst, src []float32, rows, cols, ldd, lds, ahead int, how Store) {
	for i := 0; i < rows; i += transposeStrip {
		for j := 0; j < cols; j += transposeStrip {
			transpose(min(transposeStrip, rows-i), min(transposeStrip, cols-j), dst[j*ldd+i:], ldd, src[i*lds+j:], lds, ahead, how)
		}
	}
}

// transposeGeneric computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols.
func transposeGeneric(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	for i := range rows {
		row := src[i*lds : i*lds+cols]
		for j, v := range row {
			dst[j*ldd+i] = v
		}
	}
}
