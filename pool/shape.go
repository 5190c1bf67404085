package pool

import (
	"fmt"
	"math"
)

// Shape describes pooling with a sliding window. Stride and dilation 0 mean 1.
type Shape struct {
	N, C, H, W                           int // input
	R, S                                 int // window
	StrideH, StrideW                     int
	PadTop, PadLeft, PadBottom, PadRight int
	DilationH, DilationW                 int
	// Ceil adds a last window that reaches over the padded edge where the
	// strides do not end there, as long as it starts inside the map or the
	// padding before it.
	Ceil bool
}

// OH returns the output height, 0 if the window does not fit.
func (s Shape) OH() int {
	s = s.normalized()
	return outputs(s.H, s.R, s.StrideH, s.DilationH, s.PadTop, s.PadBottom, s.Ceil)
}

// OW returns the output width, 0 if the window does not fit.
func (s Shape) OW() int {
	s = s.normalized()
	return outputs(s.W, s.S, s.StrideW, s.DilationW, s.PadLeft, s.PadRight, s.Ceil)
}

func outputs(in, taps, stride, dilation, before, after int, ceil bool) int {
	room := in + before + after - dilation*(taps-1) - 1
	if room < 0 {
		return 0
	}
	out := room/stride + 1
	if ceil && room%stride != 0 && out*stride < in+before {
		out++
	}
	return out
}

func (s Shape) normalized() Shape {
	for _, v := range []*int{&s.StrideH, &s.StrideW, &s.DilationH, &s.DilationW} {
		if *v == 0 {
			*v = 1
		}
	}
	return s
}

// maxSide bounds every size of a Shape, so that no sum or product of two
// overflows.
const maxSide = 1 << 20

// check reports what is wrong with a normalized shape.
func (s Shape) check() error {
	for _, v := range []struct {
		name       string
		value, min int
	}{
		{"N", s.N, 1}, {"C", s.C, 1}, {"H", s.H, 1}, {"W", s.W, 1}, {"R", s.R, 1}, {"S", s.S, 1},
		{"StrideH", s.StrideH, 1}, {"StrideW", s.StrideW, 1},
		{"PadTop", s.PadTop, 0}, {"PadLeft", s.PadLeft, 0}, {"PadBottom", s.PadBottom, 0}, {"PadRight", s.PadRight, 0},
		{"DilationH", s.DilationH, 1}, {"DilationW", s.DilationW, 1},
	} {
		if v.value < v.min || v.value > maxSide {
			return fmt.Errorf("pool: %s = %d, want %d to %d", v.name, v.value, v.min, maxSide)
		}
	}
	if s.OH() == 0 || s.OW() == 0 {
		return fmt.Errorf("pool: a window of %dx%d with dilation %dx%d does not fit into a map of %dx%d with its padding",
			s.R, s.S, s.DilationH, s.DilationW, s.H, s.W)
	}
	if _, ok := product(s.N, s.H, s.W, s.C); !ok {
		return fmt.Errorf("pool: a map of %dx%dx%dx%d is too large", s.N, s.H, s.W, s.C)
	}
	if _, ok := product(s.N, s.OH(), s.OW(), s.C); !ok {
		return fmt.Errorf("pool: an output of %dx%dx%dx%d is too large", s.N, s.OH(), s.OW(), s.C)
	}
	if _, ok := product(s.R, s.S); !ok {
		return fmt.Errorf("pool: a window of %dx%d is too large", s.R, s.S)
	}
	return nil
}

// product multiplies positive sizes; ok is false above the largest element
// count a slice of float32 can have.
func product(sizes ...int) (n int, ok bool) {
	n = 1
	for _, s := range sizes {
		if n > math.MaxInt/8/s {
			return 0, false
		}
		n *= s
	}
	return n, true
}
