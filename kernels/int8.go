package kernels

import (
	"math"
	"unsafe"
)

// Kernels of quantised tensors: a byte q stands for (q - zero)*scale. They give
// the same bytes on every instruction set: each step is rounded to float32 by
// itself, conversion to integers is to nearest, ties to even, and clamping in
// float32 comes before it.
//
// Assembly because the compiler vectorises no conversions.

// A ByteRange says how results become bytes: the byte that stands for zero and
// the least and greatest byte. Zero and the bounds are those of an unsigned byte
// (0 to 255) or of a signed one (-128 to 127), of which the low eight bits are
// stored. Bounds that leave room on one side only are a fused ReLU or clip.
type ByteRange struct{ Zero, Min, Max int32 }

// limits are the bounds before zero is added.
func (r ByteRange) limits(name string) (lo, hi float32) {
	if r.Min > r.Max || r.Min < -128 || r.Max > 255 || r.Zero < -128 || r.Zero > 255 {
		panic("kernels." + name + ": range")
	}
	return float32(r.Min - r.Zero), float32(r.Max - r.Zero)
}

// quantise is the conversion that all kernels end with. NaN gives r.Min.
func (r ByteRange) quantise(v, lo, hi float32) uint8 {
	if !(v > lo) {
		v = lo
	}
	if !(v < hi) {
		v = hi
	}
	return uint8(int32(math.RoundToEven(float64(v))) + r.Zero)
}

// QuantizeBytes sets dst[i] = round(src[i]/scale) + r.Zero, kept within r. NaN
// gives r.Min. The slices have one length and do not overlap.
func QuantizeBytes(dst []uint8, src []float32, scale float32, r ByteRange) {
	lo, hi := r.limits("QuantizeBytes")
	if len(dst) != len(src) {
		panic("kernels.QuantizeBytes: lengths differ")
	}
	if len(dst) > 0 {
		quantizeBytes(dst, src, scale, lo, hi, r)
	}
}

func quantizeBytesGeneric(dst []uint8, src []float32, scale, lo, hi float32, r ByteRange) {
	for i, v := range src {
		dst[i] = r.quantise(v/scale, lo, hi)
	}
}

// DequantizeBytes sets dst[i] = (src[i] - zero) * scale. With signed, src holds
// signed bytes. The slices have one length and do not overlap.
func DequantizeBytes(dst []float32, src []uint8, scale float32, zero int32, signed bool) {
	if len(dst) != len(src) {
		panic("kernels.DequantizeBytes: lengths differ")
	}
	flip := int32(0)
	if signed {
		flip, zero = 0x80, zero+0x80
	}
	if len(dst) > 0 {
		dequantizeBytes(dst, src, scale, zero, flip)
	}
}

func dequantizeBytesGeneric(dst []float32, src []uint8, scale float32, zero, flip int32) {
	for i, q := range src {
		dst[i] = float32(int32(q)^flip-zero) * scale
	}
}

// checkSums checks the operands of the kernels on rows of sums.
func checkSums(name string, dst, ldc int, acc []int32, lda int, scale []float32, rows, cols int) {
	if rows < 0 || cols < 0 || ldc < cols || lda < cols || len(scale) < cols ||
		rows > 0 && (dst < (rows-1)*ldc+cols || len(acc) < (rows-1)*lda+cols) {
		panic("kernels." + name + ": sizes")
	}
}

// RequantizeRows turns rows x cols sums of products into bytes, column by column
// with a scale of its own:
//
//	dst[i*ldc+j] = round(acc[i*lda+j]*scale[j]) + r.Zero, kept within r
//
// The sum is rounded to float32 first.
func RequantizeRows(dst []uint8, ldc int, acc []int32, lda int, scale []float32, rows, cols int, r ByteRange) {
	lo, hi := r.limits("RequantizeRows")
	checkSums("RequantizeRows", len(dst), ldc, acc, lda, scale, rows, cols)
	if rows > 0 && cols > 0 {
		requantizeRows(dst, ldc, acc, lda, scale, rows, cols, lo, hi, r)
	}
}

func requantizeRowsGeneric(dst []uint8, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32, r ByteRange) {
	for i := range rows {
		for j, s := range scale[:cols] {
			dst[i*ldc+j] = r.quantise(float32(acc[i*lda+j])*s, lo, hi)
		}
	}
}

// DequantizeRows turns rows x cols sums of products into float32:
//
//	dst[i*ldc+j] = min(hi, max(lo, acc[i*lda+j]*scale[j]))
//
// The sum is rounded to float32 first.
func DequantizeRows(dst []float32, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32) {
	checkSums("DequantizeRows", len(dst), ldc, acc, lda, scale, rows, cols)
	if rows > 0 && cols > 0 {
		dequantizeRows(dst, ldc, acc, lda, scale, rows, cols, lo, hi)
	}
}

func dequantizeRowsGeneric(dst []float32, ldc int, acc []int32, lda int, scale []float32, rows, cols int, lo, hi float32) {
	for i := range rows {
		for j, s := range scale[:cols] {
			dst[i*ldc+j] = clampNaN(float32(acc[i*lda+j])*s, lo, hi)
		}
	}
}

// A ByteAdd is the sum of two quantised tensors, quantised again:
//
//	dst[i] = round(((x[i]-XZero)*XScale + (y[i]-YZero)*YScale) / Scale) + Range.Zero, kept within Range
type ByteAdd struct {
	XScale, YScale, Scale float32
	XZero, YZero          int32
	Range                 ByteRange
}

// Run computes dst, which may be x or y. All have one length.
func (a *ByteAdd) Run(dst, x, y []uint8) {
	lo, hi := a.Range.limits("ByteAdd")
	if len(dst) != len(x) || len(dst) != len(y) {
		panic("kernels.ByteAdd: lengths differ")
	}
	if len(dst) > 0 {
		addBytes(a, dst, x, y, lo, hi)
	}
}

func addBytesGeneric(a *ByteAdd, dst, x, y []uint8, lo, hi float32) {
	for i := range dst {
		// The conversions keep the compiler from fusing.
		v := float32(float32(int32(x[i])-a.XZero) * a.XScale)
		w := float32(float32(int32(y[i])-a.YZero) * a.YScale)
		dst[i] = a.Range.quantise(float32(v+w)/a.Scale, lo, hi)
	}
}

// MaxByteTaps is the most taps that [MaxBytes] and [DepthwiseBytes] take.
const MaxByteTaps = 64

type byteTaps [MaxByteTaps]*uint8

func (b *byteTaps) fill(name string, src []uint8, taps []int, c int) {
	if c < 1 || len(taps) < 1 || len(taps) > len(b) {
		panic("kernels." + name + ": c or taps")
	}
	for t, at := range taps {
		if at < 0 || at+c > len(src) {
			panic("kernels." + name + ": tap out of range")
		}
		b[t] = &src[at]
	}
}

func byteFrom(p *uint8, i int) *uint8 { return (*uint8)(unsafe.Add(unsafe.Pointer(p), i)) }

func byteAt(p *uint8, i int) uint8 { return *byteFrom(p, i) }

// MaxBytes sets dst[i] to the largest of src[taps[t]+i] over all t, for i <
// len(dst): one pixel of maximum pooling. dst must not overlap src.
func MaxBytes(dst, src []uint8, taps []int) {
	var table byteTaps
	table.fill("MaxBytes", src, taps, len(dst))
	maxBytes(dst, &table, len(taps))
}

func maxBytesGeneric(dst []uint8, taps *byteTaps, count int) {
	for i := range dst {
		v := byteAt(taps[0], i)
		for _, p := range taps[1:count] {
			v = max(v, byteAt(p, i))
		}
		dst[i] = v
	}
}

// DepthwiseBytes computes one pixel of a depthwise convolution, for i < len(dst):
//
//	s = bias[i] + sum over t of src[taps[t]+i] * w[t*wStride+i]
//	dst[i] = round(s*scale[i]) + r.Zero, kept within r
//
// w holds whole numbers from -128 to 127. dst must not overlap src.
func DepthwiseBytes(dst, src []uint8, taps []int, w []float32, wStride int, bias []int32, scale []float32, r ByteRange) {
	lo, hi := r.limits("DepthwiseBytes")
	var table byteTaps
	c := len(dst)
	table.fill("DepthwiseBytes", src, taps, c)
	if wStride < c || len(w) < (len(taps)-1)*wStride+c || len(bias) < c || len(scale) < c {
		panic("kernels.DepthwiseBytes: short w, bias or scale")
	}
	depthwiseBytes(dst, &table, len(taps), w, wStride, bias, scale, lo, hi, r)
}

func depthwiseBytesGeneric(dst []uint8, taps *byteTaps, count int, w []float32, wStride int, bias []int32, scale []float32, lo, hi float32, r ByteRange) {
	for i := range dst {
		s := bias[i]
		for t, p := range taps[:count] {
			s += int32(byteAt(p, i)) * int32(w[t*wStride+i])
		}
		dst[i] = r.quantise(float32(s)*scale[i], lo, hi)
	}
}
