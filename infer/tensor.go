package infer

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// A Tensor is an array of numbers in row-major order. Its methods for the
// elements share its memory.
type Tensor struct {
	Type  onnx.DataType
	Shape []int
	mem   []byte // aligned to the size of an element

	repacked *repacked // of a constant whose memory was taken, see weights.go
}

// number is every type of element that arithmetic works on. Float16 and
// BFloat16 tensors hold uint16 and are computed as float32.
type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// view returns the elements of t as T, which must have the size of t's type.
func view[T number | bool](t *Tensor) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.mem))), len(t.mem)/int(unsafe.Sizeof(zero)))
}

// bytesOf returns the memory of a slice.
func bytesOf[T number | bool](s []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(zero)))
}

// maxTensorBytes bounds every tensor, so that a file of a few bytes cannot ask
// for all memory.
const maxTensorBytes = 1<<31 - 1

// elements multiplies the sizes of a shape, within what a tensor of elements of
// the given size may have.
func elements(shape []int, size int) (int, error) {
	n, zero := 1, false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("negative size in shape %v", shape)
		case d == 0:
			zero = true
		case n > maxTensorBytes/d:
			return 0, fmt.Errorf("a tensor of shape %v is too large", shape)
		default:
			n *= d
		}
	}
	if zero {
		return 0, nil
	}
	if n > maxTensorBytes/max(size, 1) {
		return 0, fmt.Errorf("a tensor of shape %v is too large", shape)
	}
	return n, nil
}

// product multiplies the sizes of a shape that is known to be valid.
func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// NewTensor returns a tensor of zeros, or an error if the type has no numbers
// or the shape is not one or larger than 2 GiB.
func NewTensor(typ onnx.DataType, shape ...int) (*Tensor, error) {
	size := typ.Size()
	if size == 0 || size > 8 {
		return nil, fmt.Errorf("infer: tensors of %v are not supported", typ)
	}
	n, err := elements(shape, size)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return &Tensor{Type: typ, Shape: append([]int{}, shape...), mem: kernels.AlignedBytes(n * size)}, nil
}

// FromFloat32s returns a tensor over data, which is not copied. It panics if the
// shape has another number of elements.
func FromFloat32s(data []float32, shape ...int) *Tensor {
	return fromSlice(onnx.Float32, data, shape)
}

// FromInt64s is [FromFloat32s] for int64.
func FromInt64s(data []int64, shape ...int) *Tensor {
	return fromSlice(onnx.Int64, data, shape)
}

func fromSlice[T number](typ onnx.DataType, data []T, shape []int) *Tensor {
	if n, err := elements(shape, typ.Size()); err != nil || n != len(data) {
		panic(fmt.Sprintf("infer.FromSlice: %d elements for shape %v", len(data), shape))
	}
	return &Tensor{Type: typ, Shape: append([]int{}, shape...), mem: bytesOf(data)}
}

// FromONNX copies a tensor of the file format.
func FromONNX(x *onnx.Tensor) (*Tensor, error) {
	t, err := NewTensor(x.Type, x.Shape...)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", x.Name, err)
	}
	if len(t.mem) != len(x.Raw) {
		return nil, fmt.Errorf("infer: tensor %q: %d bytes, want %d", x.Name, len(x.Raw), len(t.mem))
	}
	copy(t.mem, x.Raw)
	littleEndian(t.mem, x.Type.Size())
	if x.Type == onnx.Bool {
		for i, v := range t.mem {
			if v != 0 {
				t.mem[i] = 1
			}
		}
	}
	return t, nil
}

// ToONNX copies the tensor into one of the file format.
func (t *Tensor) ToONNX(name string) onnx.Tensor {
	raw := append([]byte{}, t.mem...)
	littleEndian(raw, t.Type.Size())
	return onnx.Tensor{Name: name, Type: t.Type, Shape: append([]int{}, t.Shape...), Raw: raw}
}

// littleEndian swaps between this machine's order and little endian.
func littleEndian(b []byte, size int) {
	if size == 1 || binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return
	}
	for ; len(b) >= size; b = b[size:] {
		for i := range size / 2 {
			b[i], b[size-1-i] = b[size-1-i], b[i]
		}
	}
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return product(t.Shape) }

// Float32s returns the elements of a tensor of float32, nil for another type.
func (t *Tensor) Float32s() []float32 {
	if t.Type != onnx.Float32 {
		return nil
	}
	return view[float32](t)
}

// Int64s returns the elements of a tensor of int64, nil for another type.
func (t *Tensor) Int64s() []int64 {
	if t.Type != onnx.Int64 {
		return nil
	}
	return view[int64](t)
}

// Bytes returns the memory of the elements, in this machine's byte order.
func (t *Tensor) Bytes() []byte { return t.mem }

// SetFloat32s sets all elements of a tensor of float32, float16 or bfloat16,
// rounding to nearest, ties to even. It panics for another type or length.
func (t *Tensor) SetFloat32s(src []float32) {
	switch {
	case len(src) != t.Len():
		panic(fmt.Sprintf("infer.SetFloat32s: %d numbers for shape %v", len(src), t.Shape))
	case t.Type == onnx.Float32:
		copy(view[float32](t), src)
	case t.Type == onnx.Float16 || t.Type == onnx.BFloat16:
		shorten(t, src)
	default:
		panic(fmt.Sprintf("infer.SetFloat32s: a tensor of %v", t.Type))
	}
}

// Float64s returns a copy of the elements, converted from any type.
func (t *Tensor) Float64s() []float64 {
	switch t.Type {
	case onnx.Float32:
		return toFloat64(view[float32](t))
	case onnx.Float64:
		return toFloat64(view[float64](t))
	case onnx.Int8:
		return toFloat64(view[int8](t))
	case onnx.Int16:
		return toFloat64(view[int16](t))
	case onnx.Int32:
		return toFloat64(view[int32](t))
	case onnx.Int64:
		return toFloat64(view[int64](t))
	case onnx.Uint8, onnx.Bool:
		return toFloat64(t.mem)
	case onnx.Uint16:
		return toFloat64(view[uint16](t))
	case onnx.Uint32:
		return toFloat64(view[uint32](t))
	case onnx.Uint64:
		return toFloat64(view[uint64](t))
	}
	f := make([]float32, t.Len())
	widen(f, t)
	return toFloat64(f)
}

func toFloat64[T number](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// widen converts float16 or bfloat16 to float32.
func widen(dst []float32, t *Tensor) {
	for i, v := range view[uint16](t) {
		if t.Type == onnx.BFloat16 {
			dst[i] = math.Float32frombits(uint32(v) << 16)
		} else {
			dst[i] = fromHalf(v)
		}
	}
}

// shorten converts float32 to float16 or bfloat16, to nearest, ties to even.
func shorten(t *Tensor, src []float32) {
	dst := view[uint16](t)
	for i, v := range src {
		if t.Type == onnx.BFloat16 {
			dst[i] = toBFloat16(v)
		} else {
			dst[i] = toHalf(v)
		}
	}
}

func fromHalf(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, mantissa := uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0:
		v := float32(mantissa) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | mantissa<<13)
}

func toHalf(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000:
		return sign | 0x7e00
	case bits >= 0x477ff000: // rounds to 65536 or more
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: subnormal, in units of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(bits))*(1<<24)))
	}
	bits += 0xfff + bits>>13&1
	return sign | uint16(bits>>13-112<<10)
}

func toBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
