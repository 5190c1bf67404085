package onnx

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// A field is one field of a message: the bytes of a length-delimited one, the
// number of any other.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	bytes []byte
	bits  uint64
}

// next splits the first field off b.
func next(b []byte) (f field, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, protowire.ParseError(n)
	}
	f.num, f.typ, b = num, typ, b[n:]
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b)
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		return f, nil, errors.New("a group, which ONNX does not use")
	}
	if n < 0 {
		return f, nil, protowire.ParseError(n)
	}
	return f, b[n:], nil
}

// message calls visit for every field of b.
func message(b []byte, visit func(f field) error) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if err := visit(f); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

var errWire = errors.New("field of the wrong wire type")

func (f field) message() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, errWire
	}
	return f.bytes, nil
}

func (f field) string(dst *string) error {
	if f.typ != protowire.BytesType {
		return errWire
	}
	*dst = string(f.bytes)
	return nil
}

func (f field) int(dst *int64) error {
	if f.typ != protowire.VarintType {
		return errWire
	}
	*dst = int64(f.bits)
	return nil
}

// ints appends one varint, or a packed list of them.
func (f field) ints(dst []int64) ([]int64, error) {
	switch f.typ {
	case protowire.VarintType:
		return append(dst, int64(f.bits)), nil
	case protowire.BytesType:
		count := 0
		for _, c := range f.bytes {
			if c < 0x80 {
				count++
			}
		}
		if dst == nil {
			dst = make([]int64, 0, count)
		}
		for b := f.bytes; len(b) > 0; {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return dst, protowire.ParseError(n)
			}
			dst = append(dst, int64(v))
			b = b[n:]
		}
		return dst, nil
	}
	return dst, errWire
}

// fixed appends the bytes of one fixed-width number of size bytes, or of a
// packed list of them. The first list shares memory with the field.
func (f field) fixed(dst []byte, size int) ([]byte, error) {
	switch {
	case f.typ == protowire.BytesType && len(f.bytes)%size == 0:
		if len(dst) == 0 {
			return f.bytes[:len(f.bytes):len(f.bytes)], nil
		}
		return append(dst, f.bytes...), nil
	case f.typ == protowire.Fixed32Type && size == 4:
		return protowire.AppendFixed32(dst, uint32(f.bits)), nil
	case f.typ == protowire.Fixed64Type && size == 8:
		return protowire.AppendFixed64(dst, f.bits), nil
	}
	return dst, errWire
}

func (f field) floats(dst []float32) ([]float32, error) {
	b, err := f.fixed(nil, 4)
	for ; len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		dst = append(dst, math.Float32frombits(v))
	}
	return dst, err
}

// within adds where an error happened.
func within(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
