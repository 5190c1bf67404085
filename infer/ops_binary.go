package infer

import (
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

var errZero = errors.New("integer division by zero")

// secondShape is the shape of input 1 as it is broadcast: before opset 7 the
// attribute axis says which dimension of input 0 its first one matches.
func (c *call) secondShape() ([]int, error) {
	a, b := c.in[0].shape, c.in[1].shape
	if c.opset >= 7 || c.int("broadcast", 0) == 0 {
		return b, nil
	}
	if c.attribute("axis", onnx.AttributeInt) == nil {
		return b, nil
	}
	axis, err := normalAxis(c.int("axis", 0), len(a))
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, b...)
	for len(shape) < len(a)-axis {
		shape = append(shape, 1)
	}
	return shape, nil
}

// twoInputs checks a node with two inputs of one type that are broadcast, and
// returns their shapes and that of the result.
func (c *call) twoInputs() (a, b, out []int, err error) {
	if err := c.need(2); err != nil {
		return nil, nil, nil, err
	}
	if c.in[0].typ != c.in[1].typ {
		return nil, nil, nil, fmt.Errorf("inputs of %v and %v", c.in[0].typ, c.in[1].typ)
	}
	a = c.in[0].shape
	if b, err = c.secondShape(); err != nil {
		return nil, nil, nil, err
	}
	out, err = broadcastShapes(a, b)
	return a, b, out, err
}

func unsupportedType(t onnx.DataType) error { return fmt.Errorf("tensors of %v are not supported", t) }

func opArith(c *call) (kernel, error) {
	a, b, out, err := c.twoInputs()
	if err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	return arithKernel(c.op, typ, a, b, out)
}

// arithKernel applies one of Add, Sub, Mul, Div, Min and Max.
func arithKernel(op string, typ onnx.DataType, a, b, out []int) (kernel, error) {
	switch typ {
	case onnx.Float32:
		return binaryKernel(a, b, out, arithRow[float32](op)), nil
	case onnx.Float64:
		return binaryKernel(a, b, out, arithRow[float64](op)), nil
	case onnx.Int64:
		return intKernel[int64](op, a, b, out), nil
	case onnx.Uint64:
		return intKernel[uint64](op, a, b, out), nil
	}
	return nil, unsupportedType(typ)
}

// intKernel is binaryKernel for integers, which must not be divided by zero.
func intKernel[T number](op string, a, b, out []int) kernel {
	run := binaryKernel(a, b, out, arithRow[T](op))
	if op != "Div" {
		return run
	}
	return func(in, outs []*Tensor) error {
		if outs[0].Len() > 0 {
			for _, v := range view[T](in[1]) {
				if v == 0 {
					return errZero
				}
			}
		}
		return run(in, outs)
	}
}

func arithRow[T number](op string) row2[T, T] {
	switch op {
	case "Add", "Sum":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] + b[i*sb]
			}
		}
	case "Sub":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] - b[i*sb]
			}
		}
	case "Mul":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] * b[i*sb]
			}
		}
	case "Div":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] / b[i*sb]
			}
		}
	case "Min":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = minOf(a[i*sa], b[i*sb])
			}
		}
	case "Max":
		return func(dst, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = maxOf(a[i*sa], b[i*sb])
			}
		}
	}
	panic("infer.arithRow: unknown operator " + op)
}

// minOf and maxOf are NaN if one of a and b is.
func minOf[T number](a, b T) T {
	if a < b || a != a {
		return a
	}
	return b
}

func maxOf[T number](a, b T) T {
	if a > b || a != a {
		return a
	}
	return b
}

// opVariadic is Sum, Min, Max and Mean of any number of inputs.
func opVariadic(c *call) (kernel, error) {
	if err := c.need(max(1, len(c.in))); err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	var shapes [][]int
	for _, v := range c.in {
		if v.typ != typ {
			return nil, fmt.Errorf("inputs of %v and %v", typ, v.typ)
		}
		shapes = append(shapes, v.shape)
	}
	out, err := broadcastShapes(shapes...)
	if err != nil {
		return nil, err
	}
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	op := c.op
	if op == "Mean" {
		if !isFloat(typ) {
			return nil, unsupportedType(typ)
		}
		op = "Sum"
	}
	first, err := expandKernel(typ, shapes[0], out)
	if err != nil {
		return nil, err
	}
	var rest []kernel
	for _, s := range shapes[1:] {
		k, err := arithKernel(op, typ, out, s, out)
		if err != nil {
			return nil, err
		}
		rest = append(rest, k)
	}
	mean := c.op == "Mean"
	return func(in, outs []*Tensor) error {
		if err := first(in, outs); err != nil {
			return err
		}
		for i, k := range rest {
			if err := k([]*Tensor{outs[0], in[i+1]}, outs); err != nil {
				return err
			}
		}
		if mean {
			scaleTensor(outs[0], 1/float64(len(in)))
		}
		return nil
	}, nil
}

func scaleTensor(t *Tensor, by float64) {
	if t.Type == onnx.Float64 {
		for i, v := range view[float64](t) {
			view[float64](t)[i] = v * by
		}
		return
	}
	for i, v := range view[float32](t) {
		view[float32](t)[i] = float32(float64(v) * by)
	}
}

func opCompare(c *call) (kernel, error) {
	a, b, out, err := c.twoInputs()
	if err != nil {
		return nil, err
	}
	if err := c.set(0, onnx.Bool, out); err != nil {
		return nil, err
	}
	switch typ := c.in[0].typ; typ {
	case onnx.Float32:
		return binaryKernel(a, b, out, compareRow[float32](c.op)), nil
	case onnx.Float64:
		return binaryKernel(a, b, out, compareRow[float64](c.op)), nil
	case onnx.Int64:
		return binaryKernel(a, b, out, compareRow[int64](c.op)), nil
	case onnx.Bool:
		return binaryKernel(a, b, out, compareRow[uint8](c.op)), nil
	case onnx.Uint64:
		return binaryKernel(a, b, out, compareRow[uint64](c.op)), nil
	default:
		return nil, unsupportedType(typ)
	}
}

func compareRow[T number](op string) row2[bool, T] {
	switch op {
	case "Equal":
		return func(dst []bool, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] == b[i*sb]
			}
		}
	case "Less":
		return func(dst []bool, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] < b[i*sb]
			}
		}
	case "LessOrEqual":
		return func(dst []bool, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] <= b[i*sb]
			}
		}
	case "Greater":
		return func(dst []bool, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] > b[i*sb]
			}
		}
	case "GreaterOrEqual":
		return func(dst []bool, a, b []T, sa, sb int) {
			for i := range dst {
				dst[i] = a[i*sa] >= b[i*sb]
			}
		}
	}
	panic("infer.compareRow: unknown operator " + op)
}

func opLogic(c *call) (kernel, error) {
	a, b, out, err := c.twoInputs()
	if err != nil {
		return nil, err
	}
	if c.in[0].typ != onnx.Bool {
		return nil, unsupportedType(c.in[0].typ)
	}
	if err := c.set(0, onnx.Bool, out); err != nil {
		return nil, err
	}
	op := c.op
	return binaryKernel(a, b, out, func(dst, a, b []uint8, sa, sb int) {
		for i := range dst {
			switch x, y := a[i*sa], b[i*sb]; op {
			case "And":
				dst[i] = x & y
			case "Or":
				dst[i] = x | y
			default:
				dst[i] = x ^ y
			}
		}
	}), nil
}

// opPow raises a base of one type to powers of another, in the type of the base.
func opPow(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	a := c.in[0].shape
	b, err := c.secondShape()
	if err != nil {
		return nil, err
	}
	out, err := broadcastShapes(a, b)
	if err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return powKernel(a, b, out, func(x float32, y float64) float32 { return float32(math.Pow(float64(x), y)) }), nil
	case onnx.Float64:
		return powKernel(a, b, out, math.Pow), nil
	case onnx.Int32:
		return powKernel(a, b, out, intPow[int32]), nil
	case onnx.Int64:
		return powKernel(a, b, out, intPow[int64]), nil
	}
	return nil, unsupportedType(typ)
}

func powKernel[T number](a, b, out []int, pow func(T, float64) T) kernel {
	w := newWalk(out, broadcastStrides(a, out), broadcastStrides(b, out))
	return func(in, outs []*Tensor) error {
		dst, x, y := view[T](outs[0]), view[T](in[0]), in[1].Float64s()
		var at [2]int
		for r := range w.rows {
			w.offsets(at[:], r)
			for i := range w.n {
				dst[r*w.n+i] = pow(x[at[0]+i*w.inner[0]], y[at[1]+i*w.inner[1]])
			}
		}
		return nil
	}
}

// intPow is x to the power of y: exact, modulo 2^bits, for whole y >= 0, else
// the truncated power in float64.
func intPow[T int32 | int64](x T, y float64) T {
	if y < 0 || y != math.Trunc(y) || y >= 1<<62 {
		return T(math.Pow(float64(x), y))
	}
	r := T(1)
	for n := uint64(y); n > 0; n >>= 1 {
		if n&1 != 0 {
			r *= x
		}
		x *= x
	}
	return r
}

// opPRelu multiplies negative elements by slopes, which extend to the shape of
// the input. Before opset 7 a slope of one dimension belongs to the channels.
func opPRelu(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	a, b, typ := c.in[0].shape, c.in[1].shape, c.in[0].typ
	if c.opset < 7 && len(b) == 1 && b[0] != 1 && len(a) > 1 {
		for len(b) < len(a)-1 {
			b = append(b[:len(b):len(b)], 1)
		}
	}
	if out, err := broadcastShapes(a, b); err != nil || !sameShape(out, a) || c.in[1].typ != typ {
		return nil, fmt.Errorf("slopes of %v %v for an input of %v %v", c.in[1].typ, b, typ, a)
	}
	if err := c.set(0, typ, a); err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return binaryKernel(a, b, a, preluRow[float32]), nil
	case onnx.Float64:
		return binaryKernel(a, b, a, preluRow[float64]), nil
	case onnx.Int32:
		return binaryKernel(a, b, a, preluRow[int32]), nil
	case onnx.Int64:
		return binaryKernel(a, b, a, preluRow[int64]), nil
	}
	return nil, unsupportedType(typ)
}

func preluRow[T number](dst, a, b []T, sa, sb int) {
	for i := range dst {
		if v := a[i*sa]; v < 0 {
			dst[i] = v * b[i*sb]
		} else {
			dst[i] = v
		}
	}
}
