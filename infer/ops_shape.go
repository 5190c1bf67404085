package infer

import (
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

// reshaped gives output 0 the elements of input 0 in another shape.
func (c *call) reshaped(shape []int) (kernel, error) {
	if err := c.set(0, c.in[0].typ, shape); err != nil {
		return nil, err
	}
	if product(shape) != product(c.in[0].shape) {
		return nil, fmt.Errorf("shape %v for an input of shape %v", shape, c.in[0].shape)
	}
	return copyKernel, nil
}

// opReshape takes the shape as an attribute before opset 5, as an input since. A
// size of -1 follows from the others; 0 copies the input's, or with allowzero
// (opset 14) is 0.
func opReshape(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	want, ok, err := c.axes("shape", 5, 1)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("no shape")
	}
	in := c.in[0].shape
	shape := append([]int{}, want...)
	known, free := 1, -1
	allowZero := c.opset >= 14 && c.int("allowzero", 0) != 0
	for i, d := range shape {
		switch {
		case d == 0 && !allowZero:
			if i >= len(in) {
				return nil, fmt.Errorf("shape %v for an input of shape %v", want, in)
			}
			shape[i] = in[i]
		case d == -1:
			if free >= 0 {
				return nil, fmt.Errorf("shape %v has two unknowns", want)
			}
			free = i
			continue
		case d < 0:
			return nil, fmt.Errorf("shape %v", want)
		}
		if shape[i] > 0 && known > maxTensorBytes/shape[i] {
			return nil, fmt.Errorf("shape %v is too large", want)
		}
		known *= shape[i]
	}
	if free >= 0 {
		if known == 0 || product(in)%known != 0 {
			return nil, fmt.Errorf("shape %v for an input of shape %v", want, in)
		}
		shape[free] = product(in) / known
	}
	return c.reshaped(shape)
}

func opFlatten(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	in, axis := c.in[0].shape, c.int("axis", 1)
	if axis < 0 {
		axis += len(in)
	}
	if axis < 0 || axis > len(in) {
		return nil, fmt.Errorf("axis %d of a tensor of %d dimensions", axis, len(in))
	}
	return c.reshaped([]int{product(in[:axis]), product(in[axis:])})
}

func opSqueeze(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	in := c.in[0].shape
	axes, ok, err := c.axes("axes", 13, 1)
	if err != nil {
		return nil, err
	}
	mask, err := normalAxes(axes, len(in))
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for i, d := range in {
		switch {
		case !ok && d == 1:
		case !ok || !mask[i]:
			shape = append(shape, d)
		case d != 1:
			return nil, fmt.Errorf("axis %d of shape %v is not 1", i, in)
		}
	}
	return c.reshaped(shape)
}

func opUnsqueeze(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	axes, ok, err := c.axes("axes", 13, 1)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("no axes")
	}
	if len(axes) > 64 {
		return nil, fmt.Errorf("%d axes", len(axes))
	}
	in := c.in[0].shape
	mask, err := normalAxes(axes, len(in)+len(axes))
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for _, inserted := range mask {
		if inserted {
			shape = append(shape, 1)
		} else {
			shape, in = append(shape, in[0]), in[1:]
		}
	}
	return c.reshaped(shape)
}

func opIdentity(c *call) (kernel, error) {
	if _, err := c.likeInput(); err != nil {
		return nil, err
	}
	return copyKernel, nil
}

// opDropout is the identity, as dropout is when a model runs. Training mode,
// which opset 12 made an input, is accepted for the ratio 0 only.
func opDropout(c *call) (kernel, error) {
	if _, err := c.likeInput(); err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	if c.opset >= 10 {
		typ = onnx.Bool
	}
	if len(c.out) > 1 {
		if err := c.set(1, typ, c.in[0].shape); err != nil {
			return nil, err
		}
	}
	if v := c.input(1); v != nil && (product(v.shape) != 1 || v.typ != onnx.Float32 && v.typ != onnx.Float64) {
		return nil, fmt.Errorf("ratio of %v %v", v.typ, v.shape)
	}
	if v := c.input(2); v != nil && (product(v.shape) != 1 || v.typ != onnx.Bool) {
		return nil, fmt.Errorf("training mode of %v %v", v.typ, v.shape)
	}
	return func(in, out []*Tensor) error {
		if len(in) > 2 && in[2] != nil && in[2].mem[0] != 0 && (in[1] == nil || in[1].Float64s()[0] != 0) {
			return errors.New("training mode is not supported")
		}
		if len(out) > 1 && out[1] != nil {
			one, _ := castKernel(onnx.Bool, out[1].Type)
			t := &Tensor{Type: onnx.Bool, Shape: out[1].Shape, mem: make([]byte, out[1].Len())}
			for i := range t.mem {
				t.mem[i] = 1
			}
			if err := one([]*Tensor{t}, out[1:]); err != nil {
				return err
			}
		}
		if out[0] == nil {
			return nil
		}
		return copyKernel(in, out)
	}, nil
}

// constant gives output 0 a value that does not depend on any run.
func (c *call) constant(t *Tensor) (kernel, error) {
	if err := c.set(0, t.Type, t.Shape); err != nil {
		return nil, err
	}
	if c.out[0] != nil {
		c.out[0].data = t
	}
	return func(_, out []*Tensor) error {
		copy(out[0].mem, t.mem)
		return nil
	}, nil
}

// opShape lists the sizes from dimension start to before end (opset 15).
func opShape(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	start, end := 0, len(shape)
	if c.opset >= 15 {
		start, end = c.int("start", 0), c.int("end", len(shape))
	}
	first, n, err := sliceRange(start, end, 1, len(shape))
	if err != nil {
		return nil, err
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(shape[first+i])
	}
	return c.constant(FromInt64s(out, n))
}

func opSize(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	return c.constant(FromInt64s([]int64{int64(product(c.in[0].shape))}))
}

func opConstant(c *call) (kernel, error) {
	if len(c.node.Attributes) != 1 || len(c.out) != 1 {
		return nil, errors.New("want one attribute and one output")
	}
	switch a := &c.node.Attributes[0]; {
	case a.Name == "value" && a.Type == onnx.AttributeTensor:
		t, err := FromONNX(a.Tensor)
		if err != nil {
			return nil, err
		}
		return c.constant(t)
	case a.Name == "value_float":
		return c.constant(FromFloat32s([]float32{a.Float}))
	case a.Name == "value_int":
		return c.constant(FromInt64s([]int64{a.Int}))
	case a.Name == "value_floats":
		return c.constant(FromFloat32s(a.Floats, len(a.Floats)))
	case a.Name == "value_ints":
		return c.constant(FromInt64s(a.Ints, len(a.Ints)))
	default:
		return nil, fmt.Errorf("attribute %q is not supported", a.Name)
	}
}

func opConstantOfShape(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape, _, err := c.constInts(0)
	if err != nil {
		return nil, err
	}
	fill := FromFloat32s([]float32{0}, 1)
	if a := c.attribute("value", onnx.AttributeTensor); a != nil {
		if fill, err = FromONNX(a.Tensor); err != nil {
			return nil, err
		}
		if fill.Len() != 1 {
			return nil, fmt.Errorf("a value of %d elements", fill.Len())
		}
	}
	if err := c.set(0, fill.Type, shape); err != nil {
		return nil, err
	}
	spread := stridedKernel(fill.Type.Size(), []int{product(shape)}, []int{0}, 0)
	return func(_, out []*Tensor) error { return spread([]*Tensor{fill}, out) }, nil
}

func opRange(c *call) (kernel, error) {
	if err := c.need(3); err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	var v [3]float64
	for i := range v {
		x := c.in[i]
		if x.typ != typ || product(x.shape) != 1 {
			return nil, fmt.Errorf("input %d is %v %v", i, x.typ, x.shape)
		}
		if x.data == nil {
			return nil, errUnknown
		}
		v[i] = x.data.Float64s()[0]
	}
	if v[2] == 0 || v[0] != v[0] || v[1] != v[1] || v[2] != v[2] {
		return nil, fmt.Errorf("range from %v to %v by %v", v[0], v[1], v[2])
	}
	n := max(0, math.Ceil((v[1]-v[0])/v[2]))
	if n > maxTensorBytes {
		return nil, fmt.Errorf("a range of %v elements", n)
	}
	if err := c.set(0, typ, []int{int(n)}); err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return rangeKernel[float32], nil
	case onnx.Float64:
		return rangeKernel[float64], nil
	case onnx.Int16:
		return rangeKernel[int16], nil
	case onnx.Int32:
		return rangeKernel[int32], nil
	case onnx.Int64:
		return rangeKernel[int64], nil
	}
	return nil, unsupportedType(typ)
}

func rangeKernel[T number](in, out []*Tensor) error {
	start, delta := view[T](in[0])[0], view[T](in[2])[0]
	dst := view[T](out[0])
	for i := range dst {
		dst[i] = start + T(i)*delta
	}
	return nil
}
