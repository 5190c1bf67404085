package kernels_test

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/golanes/lanes/kernels"
)

func TestAlignedFloats(t *testing.T) {
	const huge = 2 << 20 / 4
	for _, n := range []int{0, 1, 15, 16, 17, huge - 1, huge, 3*huge + 5} {
		x := kernels.AlignedFloats(n)
		if len(x) != n || cap(x) != n {
			t.Fatalf("n=%d: length %d, capacity %d", n, len(x), cap(x))
		}
		align := uintptr(64)
		if n >= huge {
			align = 2 << 20
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(x))); n > 0 && at%align != 0 {
			t.Errorf("n=%d: starts %d bytes behind a multiple of %d", n, at%align, align)
		}
		if slices.ContainsFunc(x, func(v float32) bool { return v != 0 }) {
			t.Errorf("n=%d: not zero", n)
		}
	}
}
