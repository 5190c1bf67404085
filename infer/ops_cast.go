package infer

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
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

// A wide is a type that holds every number of the types that are widened to it.
type wide interface{ int64 | uint64 | float64 }

// castKernel casts by way of a wide type: a kernel for each pair of types would be a
// tenth of the package. The way is exact, and an integer becomes a float32 in one
// rounding.
func castKernel(from, to onnx.DataType) (kernel, error) {
	if err := castable(to); err != nil {
		return nil, err
	}
	switch from {
	case onnx.Float32:
		return castBy(widenTo[float64, float32], to), nil
	case onnx.Float64:
		return castBy(widenTo[float64, float64], to), nil
	case onnx.Int8:
		return castBy(widenTo[int64, int8], to), nil
	case onnx.Int16:
		return castBy(widenTo[int64, int16], to), nil
	case onnx.Int32:
		return castBy(widenTo[int64, int32], to), nil
	case onnx.Int64:
		return castBy(widenTo[int64, int64], to), nil
	case onnx.Uint8, onnx.Bool:
		return castBy(widenTo[int64, uint8], to), nil
	case onnx.Uint16:
		return castBy(widenTo[int64, uint16], to), nil
	case onnx.Uint32:
		return castBy(widenTo[int64, uint32], to), nil
	case onnx.Uint64:
		return castBy(widenTo[uint64, uint64], to), nil
	case onnx.Float16, onnx.BFloat16:
		run := castBy(widenTo[float64, float32], to)
		return func(in, out []*Tensor) error {
			t := &Tensor{Type: onnx.Float32, Shape: in[0].Shape, mem: kernels.AlignedBytes(4 * in[0].Len())}
			widen(view[float32](t), in[0])
			return run([]*Tensor{t}, out)
		}, nil
	}
	return nil, unsupportedType(from)
}

func castable(to onnx.DataType) error {
	switch to {
	case onnx.Float32, onnx.Float64, onnx.Float16, onnx.BFloat16, onnx.Bool, onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64,
		onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64:
		return nil
	}
	return unsupportedType(to)
}

// castPiece is the number of elements that are wide at a time.
const castPiece = 512

// castBy casts piece by piece. widen converts the elements of t from lo on.
func castBy[W wide](widen func(dst []W, t *Tensor, lo int), to onnx.DataType) kernel {
	return func(in, out []*Tensor) error {
		var piece [castPiece]W
		n := in[0].Len()
		for lo := 0; lo < n; lo += castPiece {
			w := piece[:min(castPiece, n-lo)]
			widen(w, in[0], lo)
			narrowTo(out[0], lo, w, to)
		}
		return nil
	}
}

func widenTo[W wide, S number](dst []W, t *Tensor, lo int) {
	for i, v := range view[S](t)[lo : lo+len(dst)] {
		dst[i] = W(v)
	}
}

// narrowTo writes elements of a castable type to t, from lo on.
func narrowTo[W wide](t *Tensor, lo int, src []W, to onnx.DataType) {
	switch to {
	case onnx.Float32:
		castPart(view[float32](t)[lo:], src)
	case onnx.Float64:
		castPart(view[float64](t)[lo:], src)
	case onnx.Int8:
		castPartInt(view[int8](t)[lo:], src)
	case onnx.Int16:
		castPartInt(view[int16](t)[lo:], src)
	case onnx.Int32:
		castPartInt(view[int32](t)[lo:], src)
	case onnx.Int64:
		castPartInt(view[int64](t)[lo:], src)
	case onnx.Uint8:
		castPartInt(view[uint8](t)[lo:], src)
	case onnx.Uint16:
		castPartInt(view[uint16](t)[lo:], src)
	case onnx.Uint32:
		castPartInt(view[uint32](t)[lo:], src)
	case onnx.Uint64:
		castPart(view[uint64](t)[lo:], src)
	case onnx.Bool:
		dst := view[bool](t)[lo:]
		for i, v := range src {
			dst[i] = v != 0
		}
	default: // Float16, BFloat16
		var odd [castPiece]float32
		for i, v := range src {
			odd[i] = roundToOdd(float64(v))
		}
		half := &Tensor{Type: t.Type, mem: t.mem[2*lo : 2*(lo+len(src))]}
		shorten(half, odd[:len(src)])
	}
}

func castPart[D number, W wide](dst []D, src []W) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// castPartInt truncates by way of int64, so that a float beyond D's range wraps in
// the same way on every machine.
func castPartInt[D number, W wide](dst []D, src []W) {
	for i, v := range src {
		dst[i] = D(int64(v))
	}
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
