package kerneltest

import (
	"testing"
	"unsafe"
)

// Guarded returns n zeroed float32 whose end lies against an inaccessible page:
// a kernel that reads or writes past the slice faults. Where pages cannot be
// protected, canaries around the slice are checked when the test ends, which
// finds stray writes only. The memory is released when the test ends.
func Guarded(t testing.TB, n int) []float32 {
	t.Helper()
	return GuardedOf[float32](t, n)
}

// GuardedStart is [Guarded] with the inaccessible page before the slice.
func GuardedStart(t testing.TB, n int) []float32 {
	t.Helper()
	return GuardedStartOf[float32](t, n)
}

// GuardedCopy returns a copy of x from [Guarded].
func GuardedCopy(t testing.TB, x []float32) []float32 {
	t.Helper()
	g := Guarded(t, len(x))
	copy(g, x)
	return g
}

// GuardedOf is [Guarded] for any element type without pointers.
func GuardedOf[T any](t testing.TB, n int) []T {
	t.Helper()
	var zero T
	size := int(unsafe.Sizeof(zero))
	mem := fenced(t, n*size)
	return view[T](mem[len(mem)-n*size:], n)
}

// GuardedStartOf is [GuardedStart] for any element type without pointers.
func GuardedStartOf[T any](t testing.TB, n int) []T {
	t.Helper()
	var zero T
	return view[T](fenced(t, n*int(unsafe.Sizeof(zero))), n)
}

// view reinterprets mem, which holds at least n elements, as n elements whose
// capacity ends with them.
func view[T any](mem []byte, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)[:n:n]
}
