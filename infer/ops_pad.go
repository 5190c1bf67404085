package infer

import (
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// opPad takes pads and value as attributes before opset 11, as inputs since, and
// axes from opset 18 on. Negative pads cut.
func opPad(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	pads, err := c.pads(len(shape))
	if err != nil {
		return nil, err
	}
	fill := &Tensor{Type: typ, Shape: []int{1}, mem: kernels.AlignedBytes(8)[:typ.Size()]}
	if c.opset < 11 {
		one := FromFloat32s([]float32{c.float("value", 0)}, 1)
		cast, err := castKernel(onnx.Float32, typ)
		if err != nil {
			return nil, err
		}
		if err := cast([]*Tensor{one}, []*Tensor{fill}); err != nil {
			return nil, err
		}
	} else if v := c.input(2); v != nil && (v.typ != typ || product(v.shape) != 1) {
		return nil, fmt.Errorf("a value of %v %v for an input of %v", v.typ, v.shape, typ)
	}
	mode := c.string("mode", "constant")
	out, index := make([]int, len(shape)), make([][]int, len(shape))
	for i, d := range shape {
		out[i] = d + pads[i] + pads[len(shape)+i]
		if _, err := elements(out[:i+1], typ.Size()); err != nil {
			return nil, err
		}
		if index[i], err = padIndex(mode, d, pads[i], out[i]); err != nil {
			return nil, err
		}
	}
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	return padKernel(typ.Size(), shape, out, index, fill), nil
}

// pads returns the two counts of each dimension: all that come before, then all
// that come after.
func (c *call) pads(rank int) ([]int, error) {
	name := "pads"
	if c.opset < 2 {
		name = "paddings"
	}
	list, ok, err := c.axes(name, 11, 1)
	if err != nil {
		return nil, err
	}
	axes, partial, err := []int(nil), false, error(nil)
	if c.opset >= 18 {
		if axes, partial, err = c.constInts(3); err != nil {
			return nil, err
		}
	}
	if !partial {
		axes = nil
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if !ok || len(list) != 2*len(axes) {
		return nil, fmt.Errorf("%d pads for %d dimensions", len(list), len(axes))
	}
	if _, err := normalAxes(axes, rank); err != nil {
		return nil, err
	}
	pads := make([]int, 2*rank)
	for i, a := range axes {
		a, _ = normalAxis(a, rank)
		pads[a], pads[rank+a] = list[i], list[len(axes)+i]
	}
	return pads, nil
}

// padIndex maps the out positions of a dimension to its size positions, or to -1
// for the constant.
func padIndex(mode string, size, before, out int) ([]int, error) {
	index := make([]int, out)
	for o := range index {
		i := o - before
		switch mode {
		case "constant":
			if i < 0 || i >= size {
				i = -1
			}
		case "edge":
			i = min(max(i, 0), size-1)
		case "wrap":
			if size > 0 {
				i = (i%size + size) % size
			}
		case "reflect":
			if period := 2 * (size - 1); period > 0 {
				i = (i%period + period) % period
				i = min(i, period-i)
			} else {
				i = min(size-1, 0)
			}
		default:
			return nil, fmt.Errorf("mode %q", mode)
		}
		if size == 0 && mode != "constant" {
			return nil, fmt.Errorf("mode %q for an empty dimension", mode)
		}
		index[o] = i
	}
	return index, nil
}

func padKernel(size int, shape, out []int, index [][]int, fill *Tensor) kernel {
	switch size {
	case 1:
		return padRows[uint8](shape, out, index, fill)
	case 2:
		return padRows[uint16](shape, out, index, fill)
	case 4:
		return padRows[uint32](shape, out, index, fill)
	}
	return padRows[uint64](shape, out, index, fill)
}

func padRows[T number](shape, out []int, index [][]int, fill *Tensor) kernel {
	last := len(shape) - 1
	strides := rowMajor(shape)
	return func(in, outs []*Tensor) error {
		value := view[T](fill)[0]
		if len(in) > 2 && in[2] != nil {
			value = view[T](in[2])[0]
		}
		src, dst := view[T](in[0]), view[T](outs[0])
		if last < 0 {
			dst[0] = src[0]
			return nil
		}
		n := out[last]
		for r := 0; (r+1)*n <= len(dst) && n > 0; r++ {
			from, inside, p := 0, true, r
			for d := last - 1; d >= 0; d-- {
				i := index[d][p%out[d]]
				p /= out[d]
				inside = inside && i >= 0
				from += i * strides[d]
			}
			row := dst[r*n : (r+1)*n]
			for o, i := range index[last] {
				if inside && i >= 0 {
					row[o] = src[from+i]
				} else {
					row[o] = value
				}
			}
		}
		return nil
	}
}
