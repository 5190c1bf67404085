package serve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// parseData makes a tensor from the JSON array of its elements, in row-major
// order either flat or nested as the shape is. raw is valid JSON, or nothing.
// Numbers must be in the range of the type, and whole for integers: nothing is
// wrapped or cut off.
func parseData(typ onnx.DataType, shape []int, raw []byte) (*infer.Tensor, error) {
	t, err := infer.NewTensor(typ, shape...)
	if err != nil {
		return nil, err
	}
	p := &dataParser{raw: raw, typ: typ, mem: t.Bytes(), size: typ.Size(), levels: shape}
	if typ == onnx.Float16 || typ == onnx.BFloat16 {
		p.halves = make([]float32, 0, t.Len())
	}
	if p.peek() != '[' {
		return nil, errors.New("data is not an array")
	}
	if next := bytes.TrimLeft(raw[p.at+1:], " \t\r\n"); len(next) > 0 && next[0] != '[' {
		p.levels = []int{t.Len()}
	}
	if err := p.array(0); err != nil {
		return nil, err
	}
	if p.halves != nil {
		t.SetFloat32s(p.halves)
		for i, v := range t.Float64s() {
			if math.IsInf(v, 0) {
				return nil, fmt.Errorf("element %d is out of the range of %s", i, datatypes[typ])
			}
		}
	}
	return t, nil
}

// A dataParser walks through JSON that is known to be valid.
type dataParser struct {
	raw    []byte
	at     int
	typ    onnx.DataType
	size   int
	levels []int // the sizes of the arrays, outermost first
	mem    []byte
	n      int       // elements so far
	halves []float32 // of 16-bit floats, until they are rounded
}

// peek skips white space and returns the next byte, 0 at the end.
func (p *dataParser) peek() byte {
	for ; p.at < len(p.raw); p.at++ {
		if c := p.raw[p.at]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// array reads an array of the given level. Recursion ends at the rank of the
// shape.
func (p *dataParser) array(level int) error {
	if level >= len(p.levels) || p.peek() != '[' {
		return fmt.Errorf("data is nested otherwise than its shape, at element %d", p.n)
	}
	p.at++
	count := 0
	for ; p.peek() != ']'; count++ {
		if count > 0 {
			p.at++ // the comma
		}
		if count == p.levels[level] {
			return fmt.Errorf("an array of more than %d at element %d", p.levels[level], p.n)
		}
		var err error
		if level == len(p.levels)-1 {
			err = p.element()
		} else {
			err = p.array(level + 1)
		}
		if err != nil {
			return err
		}
	}
	p.at++
	if count != p.levels[level] {
		return fmt.Errorf("an array of %d, want %d, before element %d", count, p.levels[level], p.n)
	}
	return nil
}

// element reads a number or a truth value.
func (p *dataParser) element() error {
	p.peek()
	begin := p.at
	for p.at < len(p.raw) && inToken(p.raw[p.at]) {
		p.at++
	}
	text := string(p.raw[begin:p.at])
	if text == "" {
		return fmt.Errorf("element %d is not a number", p.n)
	}
	if err := p.store(text); err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("element %d, %.40q, is out of the range of %s", p.n, text, datatypes[p.typ])
		}
		return fmt.Errorf("element %d, %.40q, is not of type %s", p.n, text, datatypes[p.typ])
	}
	p.n++
	return nil
}

// inToken reports whether c may be part of a number or a truth value.
func inToken(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == 'E' || c == '.' || c == '-' || c == '+'
}

// store writes an element in this machine's byte order.
func (p *dataParser) store(text string) error {
	var bits uint64
	switch p.typ {
	case onnx.Bool:
		switch text {
		case "true", "1":
			bits = 1
		case "false", "0":
		default:
			return strconv.ErrSyntax
		}
	case onnx.Float16, onnx.BFloat16:
		v, err := strconv.ParseFloat(text, 32)
		p.halves = append(p.halves, float32(v))
		return err
	case onnx.Float32, onnx.Float64:
		v, err := strconv.ParseFloat(text, 8*p.size)
		if err != nil {
			return err
		}
		if bits = math.Float64bits(v); p.size == 4 {
			bits = uint64(math.Float32bits(float32(v)))
		}
	case onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64:
		v, err := strconv.ParseUint(text, 10, 8*p.size)
		if err != nil {
			return err
		}
		bits = v
	default:
		v, err := strconv.ParseInt(text, 10, 8*p.size)
		if err != nil {
			return err
		}
		bits = uint64(v)
	}
	switch dst := p.mem[p.n*p.size:]; p.size {
	case 1:
		dst[0] = byte(bits)
	case 2:
		binary.NativeEndian.PutUint16(dst, uint16(bits))
	case 4:
		binary.NativeEndian.PutUint32(dst, uint32(bits))
	case 8:
		binary.NativeEndian.PutUint64(dst, bits)
	}
	return nil
}

// appendData appends the elements of a tensor as a flat JSON array, with as many
// digits as it takes to read the same number back.
func appendData(b []byte, t *infer.Tensor) ([]byte, error) {
	mem, size := t.Bytes(), t.Type.Size()
	var floats []float64 // of 16-bit floats
	if t.Type == onnx.Float16 || t.Type == onnx.BFloat16 {
		floats = t.Float64s()
	}
	b = append(b, '[')
	for i := range t.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var bits uint64
		switch x := mem[i*size:]; size {
		case 1:
			bits = uint64(x[0])
		case 2:
			bits = uint64(binary.NativeEndian.Uint16(x))
		case 4:
			bits = uint64(binary.NativeEndian.Uint32(x))
		case 8:
			bits = binary.NativeEndian.Uint64(x)
		}
		var v float64
		switch t.Type {
		case onnx.Bool:
			b = strconv.AppendBool(b, bits != 0)
			continue
		case onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64:
			b = strconv.AppendUint(b, bits, 10)
			continue
		case onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64:
			shift := 64 - 8*size
			b = strconv.AppendInt(b, int64(bits<<shift)>>shift, 10)
			continue
		case onnx.Float32:
			v = float64(math.Float32frombits(uint32(bits)))
		case onnx.Float64:
			v = math.Float64frombits(bits)
		default:
			v = floats[i]
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("element %d is %v, which JSON cannot hold", i, v)
		}
		b = strconv.AppendFloat(b, v, 'g', -1, min(8*max(size, 4), 64))
	}
	return append(b, ']'), nil
}
