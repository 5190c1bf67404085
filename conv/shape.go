package conv

import (
	"errors"
	"fmt"
	"math"
)

// A Shape is the geometry of a two-dimensional convolution.
//
// Strides, dilations and Groups may be left 0 and then mean 1. Padding counts
// zeros on each of the four sides.
type Shape struct {
	N, C, H, W int // batch, in-channels, height and width of src
	K, R, S    int // out-channels, height and width of the filter

	StrideH, StrideW                     int
	PadTop, PadLeft, PadBottom, PadRight int
	DilationH, DilationW                 int
	Groups                               int
}

// Limits that keep every offset inside one image representable in 30 bits and
// every tensor's length in an int on any machine.
const (
	maxImage  = 1 << 28
	maxTensor = 1 << 38
	maxExtent = 1 << 24
)

// normalized returns s with zero strides, dilations and groups replaced by 1.
func (s Shape) normalized() Shape {
	for _, p := range []*int{&s.StrideH, &s.StrideW, &s.DilationH, &s.DilationW, &s.Groups} {
		if *p == 0 {
			*p = 1
		}
	}
	return s
}

// OH returns the height of dst: floor((H + PadTop + PadBottom - DilationH*(R-1) - 1) / StrideH) + 1,
// or 0 if the filter is taller than the padded input.
func (s Shape) OH() int { return outExtent(s.H+s.PadTop+s.PadBottom, s.R, s.StrideH, s.DilationH) }

// OW returns the width of dst, as [Shape.OH] its height.
func (s Shape) OW() int { return outExtent(s.W+s.PadLeft+s.PadRight, s.S, s.StrideW, s.DilationW) }

// outExtent is called with every block of pixels. A stride or dilation of 0 is 1.
func outExtent(padded, filter, stride, dilation int) int {
	if dilation == 0 {
		dilation = 1
	}
	span := dilation*(filter-1) + 1
	if padded < span {
		return 0
	}
	if stride <= 1 {
		return padded - span + 1
	}
	return (padded-span)/stride + 1
}

// SrcLen, DstLen and WeightLen return the lengths of src (N*H*W*C), dst
// (N*OH*OW*K) and the weights (K*(C/Groups)*R*S).
func (s Shape) SrcLen() int { return s.N * s.H * s.W * s.C }

// DstLen is documented with [Shape.SrcLen].
func (s Shape) DstLen() int { return s.N * s.OH() * s.OW() * s.K }

// WeightLen is documented with [Shape.SrcLen].
func (s Shape) WeightLen() int { return s.K * s.groupC() * s.R * s.S }

// FLOPs returns the floating-point operations of one direct pass, two for each
// multiply-add and padding counted: 2*N*OH*OW*K*(C/Groups)*R*S.
func (s Shape) FLOPs() float64 {
	return 2 * float64(s.DstLen()) * float64(s.groupC()*s.R*s.S)
}

func (s Shape) groupC() int { return s.C / max(s.Groups, 1) }
func (s Shape) groupK() int { return s.K / max(s.Groups, 1) }

// String is for example "n=128 64x32x32 -> 64x32x32 k3x3 s1 p1".
func (s Shape) String() string {
	s = s.normalized()
	text := fmt.Sprintf("n=%d %dx%dx%d -> %dx%dx%d k%dx%d", s.N, s.C, s.H, s.W, s.K, s.OH(), s.OW(), s.R, s.S)
	text += " s" + pair(s.StrideH, s.StrideW)
	if s.PadTop == s.PadBottom && s.PadLeft == s.PadRight {
		text += " p" + pair(s.PadTop, s.PadLeft)
	} else {
		text += fmt.Sprintf(" p%d,%d,%d,%d", s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	}
	if s.DilationH != 1 || s.DilationW != 1 {
		text += " d" + pair(s.DilationH, s.DilationW)
	}
	if s.Groups != 1 {
		text += fmt.Sprintf(" g%d", s.Groups)
	}
	return text
}

func pair(a, b int) string {
	if a == b {
		return fmt.Sprint(a)
	}
	return fmt.Sprintf("%dx%d", a, b)
}

// check returns what is wrong with a normalized shape.
func (s Shape) check() error {
	for _, d := range []struct {
		name       string
		value, low int
	}{
		{"N", s.N, 0}, {"C", s.C, 1}, {"H", s.H, 1}, {"W", s.W, 1}, {"K", s.K, 1}, {"R", s.R, 1}, {"S", s.S, 1},
		{"StrideH", s.StrideH, 1}, {"StrideW", s.StrideW, 1}, {"DilationH", s.DilationH, 1}, {"DilationW", s.DilationW, 1},
		{"PadTop", s.PadTop, 0}, {"PadLeft", s.PadLeft, 0}, {"PadBottom", s.PadBottom, 0}, {"PadRight", s.PadRight, 0},
		{"Groups", s.Groups, 1},
	} {
		if d.value < d.low {
			return fmt.Errorf("conv: %s is %d, want at least %d", d.name, d.value, d.low)
		}
		if d.value > maxExtent {
			return fmt.Errorf("conv: %s is %d, want at most %d", d.name, d.value, maxExtent)
		}
	}
	if s.C%s.Groups != 0 || s.K%s.Groups != 0 {
		return fmt.Errorf("conv: Groups = %d does not divide C = %d and K = %d", s.Groups, s.C, s.K)
	}
	if int64(s.DilationH)*int64(s.R-1) >= maxExtent || int64(s.DilationW)*int64(s.S-1) >= maxExtent {
		return errors.New("conv: dilated filter too large")
	}
	oh, ow := s.OH(), s.OW()
	if oh < 1 || ow < 1 {
		return fmt.Errorf("conv: %dx%d filter with dilation %s does not fit the padded %dx%d input",
			s.R, s.S, pair(s.DilationH, s.DilationW), s.H+s.PadTop+s.PadBottom, s.W+s.PadLeft+s.PadRight)
	}
	for _, t := range []struct {
		name  string
		limit float64
		sizes []int
	}{
		{"image", maxImage, []int{s.C, s.H, s.W}},
		{"output image", maxImage, []int{s.K, oh, ow}},
		{"weights", maxImage, []int{s.K, s.groupC(), s.R, s.S}},
		{"src", maxTensor, []int{s.N, s.C, s.H, s.W}},
		{"dst", maxTensor, []int{s.N, s.K, oh, ow}},
	} {
		elements := 1.0
		for _, n := range t.sizes {
			elements *= float64(n)
		}
		if elements > min(t.limit, math.MaxInt/8) {
			return fmt.Errorf("conv: %s of %v elements is too large", t.name, elements)
		}
	}
	return nil
}
