package infer

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

func opCast(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	to := onnx.DataType(c.int("to", 0))
	if c.op == "CastLike" {
		if err := c.need(2); err != nil {
			return nil, err
		}
		to = c.in[1].typ
	} else if c.opset < 6 {
		name := c.string("to", "")
		var ok bool
		if to, ok = castNames[name]; !ok {
			return nil, fmt.Errorf("cast to %q", name)
		}
	}
	if err := c.set(0, to, c.in[0].shape); err != nil {
		return nil, err
	}
	return castKernel(c.in[0].typ, to)
}

// castNames are the types as the first versions of Cast spell them.
var castNames = map[string]onnx.DataType{
	"FLOAT": onnx.Float32, "DOUBLE": onnx.Float64, "FLOAT16": onnx.Float16, "BOOL": onnx.Bool,
	"INT8": onnx.Int8, "INT16": onnx.Int16, "INT32": onnx.Int32, "INT64": onnx.Int64,
	"UINT8": onnx.Uint8, "UINT16": onnx.Uint16, "UINT32": onnx.Uint32, "UINT64": onnx.Uint64,
}

func castKernel(from, to onnx.DataType) (kernel, error) {
	switch from {
	case onnx.Float32:
		return castFrom[float32](to)
	case onnx.Float64:
		return castFrom[float64](to)
	case onnx.Int8:
		return castFrom[int8](to)
	case onnx.Int16:
		return castFrom[int16](to)
	case onnx.Int32:
		return castFrom[int32](to)
	case onnx.Int64:
		return castFrom[int64](to)
	case onnx.Uint8, onnx.Bool:
		return castFrom[uint8](to)
	case onnx.Uint16:
		return castFrom[uint16](to)
	case onnx.Uint32:
		return castFrom[uint32](to)
	case onnx.Uint64:
		return castFrom[uint64](to)
	case onnx.Float16, onnx.BFloat16:
		run, err := castFrom[float32](to)
		return func(in, out []*Tensor) error {
			t := &Tensor{Type: onnx.Float32, Shape: in[0].Shape, mem: alignedBytes(4 * in[0].Len())}
			widen(view[float32](t), in[0])
			return run([]*Tensor{t}, out)
		}, err
	}
	return nil, unsupportedType(from)
}

func castFrom[S number](to onnx.DataType) (kernel, error) {
	switch to {
	case onnx.Float32:
		return castTo[float32, S], nil
	case onnx.Float64:
		return castTo[float64, S], nil
	case onnx.Int8:
		return castToInt[int8, S], nil
	case onnx.Int16:
		return castToInt[int16, S], nil
	case onnx.Int32:
		return castToInt[int32, S], nil
	case onnx.Int64:
		return castToInt[int64, S], nil
	case onnx.Uint8:
		return castToInt[uint8, S], nil
	case onnx.Uint16:
		return castToInt[uint16, S], nil
	case onnx.Uint32:
		return castToInt[uint32, S], nil
	case onnx.Uint64:
		return castTo[uint64, S], nil
	case onnx.Bool:
		return func(in, out []*Tensor) error {
			dst := view[bool](out[0])
			for i, v := range view[S](in[0]) {
				dst[i] = v != 0
			}
			return nil
		}, nil
	case onnx.Float16, onnx.BFloat16:
		return func(in, out []*Tensor) error {
			src := make([]float32, in[0].Len())
			for i, v := range view[S](in[0]) {
				src[i] = roundToOdd(float64(v))
			}
			shorten(out[0], src)
			return nil
		}, nil
	}
	return nil, unsupportedType(to)
}

func castTo[D, S number](in, out []*Tensor) error {
	dst := view[D](out[0])
	for i, v := range view[S](in[0]) {
		dst[i] = D(v)
	}
	return nil
}

// castToInt truncates by way of int64, so that a float beyond D's range wraps in
// the same way on every machine.
func castToInt[D, S number](in, out []*Tensor) error {
	dst := view[D](out[0])
	for i, v := range view[S](in[0]) {
		dst[i] = D(int64(v))
	}
	return nil
}

// roundToOdd rounds to float32 such that rounding the result to a shorter type
// is the same as rounding v.
func roundToOdd(v float64) float32 {
	f := float32(v)
	if back := float64(f); back != v && v == v && math.Float32bits(f)&1 == 0 {
		if math.Abs(back) > math.Abs(v) {
			return math.Float32frombits(math.Float32bits(f) - 1)
		}
		return math.Float32frombits(math.Float32bits(f) + 1)
	}
	return f
}
