package kernels

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages behind s. It is advice: a system that has none to
// give leaves s as it is.
func adviseHuge(s []float32) {
	unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s)), unix.MADV_HUGEPAGE)
}
