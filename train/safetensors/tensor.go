package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// DType is the element type of a tensor, spelled as in the format.
type DType string

// The element types whose size is a whole number of bytes. [Tensor.Float32s] and
// [Tensor.Int64s] say which of them they convert.
const (
	Bool   DType = "BOOL"
	U8     DType = "U8"
	I8     DType = "I8"
	F8E5M2 DType = "F8_E5M2"
	F8E4M3 DType = "F8_E4M3"
	U16    DType = "U16"
	I16    DType = "I16"
	F16    DType = "F16"
	BF16   DType = "BF16"
	U32    DType = "U32"
	I32    DType = "I32"
	F32    DType = "F32"
	U64    DType = "U64"
	I64    DType = "I64"
	F64    DType = "F64"
)

// Size returns the bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case Bool, U8, I8, F8E5M2, F8E4M3:
		return 1
	case U16, I16, F16, BF16:
		return 2
	case U32, I32, F32:
		return 4
	case U64, I64, F64:
		return 8
	}
	return 0
}

// Tensor is one named array. Data holds its elements in row-major order,
// little-endian; a tensor without dimensions is a scalar with one element.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Len returns the number of elements.
func (t Tensor) Len() int {
	if size := t.DType.Size(); size != 0 {
		return len(t.Data) / size
	}
	return 0
}

// Float32 returns a tensor of type F32 that holds a copy of values.
func Float32(name string, shape []int, values []float32) Tensor {
	data := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: shape, Data: data}
}

// Int64 returns a tensor of type I64 that holds a copy of values.
func Int64(name string, shape []int, values []int64) Tensor {
	data := make([]byte, 8*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint64(data[8*i:], uint64(v))
	}
	return Tensor{Name: name, DType: I64, Shape: shape, Data: data}
}

// Float32s returns the elements of an F32, F64, F16 or BF16 tensor as new
// float32 values. F64 is rounded to nearest even, the others are exact; a NaN
// stays a NaN.
func (t Tensor) Float32s() ([]float32, error) {
	out := make([]float32, t.Len())
	switch t.DType {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	case F16:
		for i := range out {
			out[i] = halfToFloat32(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
	default:
		return nil, fmt.Errorf("safetensors: tensor %q is %s, not a floating-point type", t.Name, t.DType)
	}
	return out, nil
}

// Int64s returns the elements of an integer or BOOL tensor as new int64 values.
// A U64 above the largest int64 is an error.
func (t Tensor) Int64s() ([]int64, error) {
	switch t.DType {
	case Bool, U8, I8, U16, I16, U32, I32, U64, I64:
	default:
		return nil, fmt.Errorf("safetensors: tensor %q is %s, not an integer type", t.Name, t.DType)
	}
	out := make([]int64, t.Len())
	for i := range out {
		switch t.DType {
		case Bool, U8:
			out[i] = int64(t.Data[i])
		case I8:
			out[i] = int64(int8(t.Data[i]))
		case U16:
			out[i] = int64(binary.LittleEndian.Uint16(t.Data[2*i:]))
		case I16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(t.Data[2*i:])))
		case U32:
			out[i] = int64(binary.LittleEndian.Uint32(t.Data[4*i:]))
		case I32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		case I64:
			out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		case U64:
			v := binary.LittleEndian.Uint64(t.Data[8*i:])
			if v > math.MaxInt64 {
				return nil, fmt.Errorf("safetensors: tensor %q: element %d (%d) does not fit an int64", t.Name, i, v)
			}
			out[i] = int64(v)
		}
	}
	return out, nil
}

// halfToFloat32 widens an IEEE 754 binary16; every value is exact in float32.
func halfToFloat32(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h>>10) & 31
	fraction := uint32(h) & 0x3ff
	switch {
	case exponent == 31:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	case exponent != 0:
		return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
	case fraction == 0:
		return math.Float32frombits(sign)
	}
	// Subnormal: fraction * 2^-24, normalised so that the leading one falls out.
	shift := uint32(bits.LeadingZeros32(fraction)) - 21
	return math.Float32frombits(sign | (127-14-shift)<<23 | (fraction<<shift&0x3ff)<<13)
}

// byteSize returns the bytes that a tensor of this shape takes, or false when a
// dimension is negative or the size does not fit an int.
func byteSize(dtype DType, shape []int) (int, bool) {
	if len(shape) > 0 && slices.Min(shape) <= 0 {
		return 0, slices.Min(shape) == 0
	}
	n := uint64(dtype.Size())
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	return int(n), true
}
