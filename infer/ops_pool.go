package infer

import (
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
)

// poolGeometry reads the attributes of MaxPool and AveragePool.
func (c *call) poolGeometry() (spatial, error) {
	if err := c.need(1); err != nil {
		return spatial{}, err
	}
	shape := c.in[0].shape
	if len(shape) < 3 {
		return spatial{}, fmt.Errorf("an input of shape %v", shape)
	}
	s, err := c.spatial(shape[2:], c.ints("kernel_shape"))
	if err != nil {
		return s, err
	}
	s.channels, s.outC = shape[1], shape[1]
	if err := s.outputs(c.string("auto_pad", "NOTSET"), c.int("ceil_mode", 0) != 0); err != nil {
		return s, err
	}
	for i := range s.in {
		// A window that lies in the padding alone has no maximum.
		if s.before[i] >= s.span(i) || s.after[i] >= s.span(i) {
			return s, fmt.Errorf("padding %v, %v for windows of shape %v", s.before, s.after, s.kernel)
		}
	}
	return s, c.set(0, c.in[0].typ, append([]int{shape[0], shape[1]}, s.out...))
}

func opMaxPool(c *call) (kernel, error) {
	s, err := c.poolGeometry()
	if err != nil {
		return nil, err
	}
	if len(c.out) > 1 {
		if err := c.set(1, onnx.Int64, append([]int{c.in[0].shape[0], s.outC}, s.out...)); err != nil {
			return nil, err
		}
	}
	planes := c.in[0].shape[0] * s.channels
	columns := c.int("storage_order", 0) != 0
	switch typ := c.in[0].typ; typ {
	case onnx.Float32:
		return maxPoolKernel[float32](s, planes, columns), nil
	case onnx.Float64:
		return maxPoolKernel[float64](s, planes, columns), nil
	case onnx.Int8:
		return maxPoolKernel[int8](s, planes, columns), nil
	case onnx.Uint8:
		return maxPoolKernel[uint8](s, planes, columns), nil
	default:
		return nil, unsupportedType(typ)
	}
}

// columnMajor maps an offset in the input to the one it has when the first
// spatial dimension is stored fastest.
func (s *spatial) columnMajor(at int) int {
	pos := make([]int, len(s.in))
	for i := len(s.in) - 1; i >= 0; i-- {
		pos[i] = at % s.in[i]
		at /= s.in[i]
	}
	out, scale := 0, 1
	for i, p := range pos {
		out += p * scale
		scale *= s.in[i]
	}
	return out
}

func maxPoolKernel[T number](s spatial, planes int, columns bool) kernel {
	inSize, outSize := product(s.in), product(s.out)
	low, _ := limits[T]()
	return func(in, outs []*Tensor) error {
		x := view[T](in[0])
		y := make([]T, planes*outSize)
		if outs[0] != nil {
			y = view[T](outs[0])
		}
		var index []int64
		if len(outs) > 1 && outs[1] != nil {
			index = view[int64](outs[1])
		}
		for o := range outSize {
			first := true
			for p := range planes {
				y[p*outSize+o] = low
			}
			s.windows(o, func(_, at int) {
				place := at
				if columns && index != nil {
					place = s.columnMajor(at)
				}
				for p := range planes {
					v, best := x[p*inSize+at], &y[p*outSize+o]
					if first || v > *best || v != v && *best == *best {
						*best = v
						if index != nil {
							index[p*outSize+o] = int64(p*inSize + place)
						}
					}
				}
				first = false
			})
		}
		return nil
	}
}

func opAveragePool(c *call) (kernel, error) {
	s, err := c.poolGeometry()
	if err != nil {
		return nil, err
	}
	planes := c.in[0].shape[0] * s.channels
	padded := c.opset >= 7 && c.int("count_include_pad", 0) != 0
	switch typ := c.in[0].typ; typ {
	case onnx.Float32:
		return averagePoolKernel[float32](s, planes, padded), nil
	case onnx.Float64:
		return averagePoolKernel[float64](s, planes, padded), nil
	default:
		return nil, unsupportedType(typ)
	}
}

// paddedTaps counts the positions of the window at o that lie inside the padded
// input.
func (s *spatial) paddedTaps(o int) int {
	n := 1
	for i := len(s.out) - 1; i >= 0; i-- {
		first := o%s.out[i]*s.strides[i] - s.before[i]
		o /= s.out[i]
		room := s.in[i] + s.after[i] - first
		n *= min(s.kernel[i], (room+s.dilations[i]-1)/s.dilations[i])
	}
	return n
}

func averagePoolKernel[T float32 | float64](s spatial, planes int, padded bool) kernel {
	inSize, outSize := product(s.in), product(s.out)
	return func(in, outs []*Tensor) error {
		x, y := view[T](in[0]), view[T](outs[0])
		sums := make([]float64, planes)
		for o := range outSize {
			clear(sums)
			count := 0
			s.windows(o, func(_, at int) {
				count++
				for p := range sums {
					sums[p] += float64(x[p*inSize+at])
				}
			})
			if padded {
				count = s.paddedTaps(o)
			}
			for p, v := range sums {
				y[p*outSize+o] = T(v / float64(count))
			}
		}
		return nil
	}
}

// opGlobalPool is GlobalAveragePool and GlobalMaxPool.
func opGlobalPool(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	if len(shape) < 3 {
		return nil, fmt.Errorf("an input of shape %v", shape)
	}
	mask := make([]bool, len(shape))
	for i := 2; i < len(mask); i++ {
		mask[i] = true
	}
	if err := c.set(0, c.in[0].typ, reducedShape(shape, mask, true)); err != nil {
		return nil, err
	}
	op := "ReduceMean"
	if c.op == "GlobalMaxPool" {
		op = "ReduceMax"
	}
	r := newReduction(shape, mask)
	switch typ := c.in[0].typ; typ {
	case onnx.Float32:
		return reduceKernel[float32, float64](op, r), nil
	case onnx.Float64:
		return reduceKernel[float64, float64](op, r), nil
	default:
		return nil, unsupportedType(typ)
	}
}
