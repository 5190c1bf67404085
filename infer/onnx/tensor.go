package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Tensor is a constant. Raw holds its elements in row-major order, little
// endian, whatever the encoding in the file was; Strings holds those of type
// String.
//
// Raw may share memory with the bytes that were parsed.
type Tensor struct {
	Name    string
	Type    DataType
	Shape   []int
	Raw     []byte
	Strings []string
	// External says where the data lies before ReadFile has loaded it; nil else.
	External *External
}

// External is the place of a tensor's data in another file. Length is -1 if it
// is not given.
type External struct {
	Location       string
	Offset, Length int64
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Float32s returns the elements of a tensor of float32, or nil for another type.
func (t *Tensor) Float32s() []float32 {
	if t.Type != Float32 {
		return nil
	}
	out := make([]float32, len(t.Raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
	}
	return out
}

// Int64s returns the elements of a tensor of int64 or int32, or nil for another
// type.
func (t *Tensor) Int64s() []int64 {
	switch t.Type {
	case Int64:
		out := make([]int64, len(t.Raw)/8)
		for i := range out {
			out[i] = int64(binary.LittleEndian.Uint64(t.Raw[8*i:]))
		}
		return out
	case Int32:
		out := make([]int64, len(t.Raw)/4)
		for i := range out {
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Raw[4*i:])))
		}
		return out
	}
	return nil
}

// NewFloat32 returns a tensor of float32. It copies data.
func NewFloat32(name string, data []float32, shape ...int) Tensor {
	raw := make([]byte, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return Tensor{Name: name, Type: Float32, Shape: shape, Raw: raw}
}

// NewInt64 returns a tensor of int64. It copies data.
func NewInt64(name string, data []int64, shape ...int) Tensor {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return Tensor{Name: name, Type: Int64, Shape: shape, Raw: raw}
}

// elements multiplies the sizes of a shape. It fails for negative sizes and if
// the product of the non-zero ones overflows 2^40, even when another is zero.
func elements(shape []int) (int, error) {
	n, zero := int64(1), false
	for _, d := range shape {
		switch {
		case d < 0:
			return 0, fmt.Errorf("negative size %d", d)
		case d == 0:
			zero = true
		case n > (1<<40)/int64(d):
			return 0, fmt.Errorf("shape %v is too large", shape)
		default:
			n *= int64(d)
		}
	}
	if zero {
		return 0, nil
	}
	if n > math.MaxInt/16 {
		return 0, fmt.Errorf("shape %v is too large", shape)
	}
	return int(n), nil
}

// check compares the data of a tensor that is not external with its shape.
func (t *Tensor) check() error {
	n, err := elements(t.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if t.Type == String {
		if len(t.Strings) != n {
			return fmt.Errorf("tensor %q: %d strings, want %d", t.Name, len(t.Strings), n)
		}
		return nil
	}
	size := t.Type.Size()
	if size == 0 {
		return fmt.Errorf("tensor %q: element type %v is not supported", t.Name, t.Type)
	}
	if t.External == nil && len(t.Raw) != n*size {
		return fmt.Errorf("tensor %q: %d bytes of data, want %d for shape %v of %v", t.Name, len(t.Raw), n*size, t.Shape, t.Type)
	}
	return nil
}
