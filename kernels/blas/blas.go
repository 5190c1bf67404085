package blas

import (
	"runtime"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels"
)

// Implementation is a gonum blas.Float32. Its zero value is ready for use, also
// from several goroutines.
type Implementation struct{ gonum.Implementation }

var _ blas.Float32 = Implementation{}

// transposed reports whether t is one of the transposes, and whether it is
// legal at all.
func transposed(t blas.Transpose) (trans, ok bool) {
	switch t {
	case blas.NoTrans:
		return false, true
	case blas.Trans, blas.ConjTrans:
		return true, true
	}
	return false, false
}

func legalUplo(ul blas.Uplo) bool { return ul == blas.Upper || ul == blas.Lower }
func legalDiag(d blas.Diag) bool  { return d == blas.Unit || d == blas.NonUnit }
func legalSide(s blas.Side) bool  { return s == blas.Left || s == blas.Right }

// holds reports whether x has n elements with the given increment.
func holds(x []float32, n, inc int) bool {
	if inc < 0 {
		inc = -inc
	}
	return n > 0 && inc != 0 && (n-1)*inc < len(x)
}

// fits reports whether a holds a rows x cols matrix with leading dimension ld.
func fits(a []float32, rows, cols, ld int) bool {
	return rows > 0 && cols > 0 && ld >= cols && ld*(rows-1)+cols <= len(a)
}

// Orders of a matrix up to which gonum's routines take less time than calls of a kernel
// for each row: on any machine and for any increments; for products with a symmetric
// matrix; for triangles and updates of rank two; for Strmv with a contiguous vector.
const (
	nativeOrder     = 16
	nativeSymmetric = 32
	nativeMost      = 48
	nativeStrmv     = 256
)

// native tells whether order n is small enough for gonum's routine, most being what
// holds where it has machine code and fit tells that it is good at the increments. Not
// for routines that skip zeros.
func native(n, most int, fit bool) bool {
	return n <= nativeOrder || runtime.GOARCH == "amd64" && fit && n <= most
}

// scratch keeps temporary memory between calls.
var scratch sync.Pool

// borrow returns a slice of n elements of unspecified content.
func borrow(n int) *[]float32 {
	if p, _ := scratch.Get().(*[]float32); p != nil && cap(*p) >= n {
		*p = (*p)[:n]
		return p
	}
	s := make([]float32, n)
	return &s
}

// fewElements is how many elements of a strided vector are copied to the stack rather
// than to borrowed memory.
const fewElements = 32

// contiguous returns the n elements of x: x itself, or a copy in room or, if that is
// too small, in borrowed memory, which is nil else. The two are results of their own,
// not a struct, lest the room move to the heap with what [release] keeps.
func contiguous(room []float32, n int, x []float32, inc int) (data []float32, borrowed *[]float32) {
	if inc == 1 {
		return x[:n], nil
	}
	if n <= len(room) {
		data = room[:n]
	} else {
		borrowed = borrow(n)
		data = *borrowed
	}
	gather(data, x, inc)
	return data, borrowed
}

// first is the index of a strided vector's first element.
func first(n, inc int) int {
	if inc < 0 {
		return (1 - n) * inc
	}
	return 0
}

// release gives borrowed memory back.
func release(borrowed *[]float32) {
	if borrowed != nil {
		scratch.Put(borrowed)
	}
}

// store writes data of [contiguous] back to x, and releases what was borrowed for it.
func store(data []float32, borrowed *[]float32, x []float32, inc int) {
	if inc != 1 {
		scatter(data, x, inc)
	}
	release(borrowed)
}

// gather copies the len(dst) elements of x.
func gather(dst, x []float32, inc int) {
	at := first(len(dst), inc)
	for i := range dst {
		dst[i] = x[at]
		at += inc
	}
}

// scatter writes src back to the elements of x.
func scatter(src, x []float32, inc int) {
	at := first(len(src), inc)
	for _, e := range src {
		x[at] = e
		at += inc
	}
}

// Lengths up to which a loop here takes less time than a kernel's call: a sum, which
// waits for each addition, and independent elements.
const (
	shortSum = 4
	shortRow = 12
)

func dot(x, y []float32) float32 {
	if len(x) > shortSum {
		return kernels.Dot(x, y)
	}
	y = y[:len(x)]
	var sum float32
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func axpy(alpha float32, x, y []float32) {
	if len(x) > shortRow {
		kernels.Axpy(alpha, x, y)
		return
	}
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

// axpyTwo is two calls of axpy, with x0 first, for up to shortRow elements.
func axpyTwo(alpha0 float32, x0 []float32, alpha1 float32, x1, y []float32) {
	x1, y = x1[:len(x0)], y[:len(x0)]
	for i, v := range x0 {
		y[i] = y[i] + alpha0*v + alpha1*x1[i]
	}
}

// scaleBy sets x = beta*x; beta = 0 does not read x.
func scaleBy(beta float32, x []float32) {
	switch beta {
	case 0:
		clear(x)
	case 1:
	default:
		for i := range x {
			x[i] *= beta
		}
	}
}

// scaleMatrix is scaleBy for m rows of n elements.
func scaleMatrix(beta float32, m, n int, b []float32, ldb int) {
	if beta == 1 {
		return
	}
	kernels.Parallel(m, 1+(1<<16)/n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			scaleBy(beta, b[i*ldb:i*ldb+n])
		}
	})
}
