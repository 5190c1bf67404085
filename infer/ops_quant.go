package infer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// isByte reports whether t is a quantised type.
func isByte(t onnx.DataType) bool { return t == onnx.Int8 || t == onnx.Uint8 }

// quantRange is the range of a type that numbers are quantised to, of 8 or 16 bits;
// 0, 0 of others.
func quantRange(t onnx.DataType) (lo, hi float64) {
	switch t {
	case onnx.Int8:
		return -128, 127
	case onnx.Uint8:
		return 0, 255
	case onnx.Int16:
		return -32768, 32767
	case onnx.Uint16:
		return 0, 65535
	}
	return 0, 0
}

// perAxis maps element i of a tensor to its place among the parameters of a
// quantisation: one for all, one for each index along an axis, or one for each
// block along it.
type perAxis struct{ inner, size, block, blocks int }

func (p perAxis) of(i int) int {
	if p.size == 0 {
		return 0
	}
	inner := i % p.inner
	i /= p.inner
	if p.block == 0 {
		return i % p.size
	}
	return (i/p.size*p.blocks+i%p.size/p.block)*p.inner + inner
}

// quantAxis checks the shapes of scale and zero point (inputs 1 and 2).
func (c *call) quantAxis() (perAxis, error) {
	x, scale := c.in[0].shape, c.in[1].shape
	if z := c.input(2); z != nil && !sameShape(z.shape, scale) && product(z.shape)*product(scale) != 1 {
		return perAxis{}, fmt.Errorf("a scale of shape %v with a zero point of shape %v", scale, z.shape)
	}
	if product(scale) == 1 {
		return perAxis{}, nil
	}
	axis, err := normalAxis(c.int("axis", 1), len(x))
	if err != nil {
		return perAxis{}, err
	}
	p := perAxis{inner: product(x[axis+1:]), size: x[axis], block: c.int("block_size", 0)}
	if p.block > 0 && len(scale) == len(x) {
		p.blocks = scale[axis]
		want := append([]int{}, x...)
		if want[axis] = (x[axis] + p.block - 1) / p.block; !sameShape(want, scale) {
			return p, fmt.Errorf("scales of shape %v for an input of shape %v in blocks of %d", scale, x, p.block)
		}
		return p, nil
	}
	if p.block != 0 || len(scale) != 1 || scale[0] != x[axis] {
		return p, fmt.Errorf("scales of shape %v for axis %d of an input of shape %v", scale, axis, x)
	}
	return p, nil
}

// opQuantize is round(x/scale) + zero point, ties to even, saturated.
func opQuantize(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	to := onnx.Uint8
	if z := c.input(2); z != nil {
		to = z.typ
	} else if t := c.int("output_dtype", 0); t != 0 {
		to = onnx.DataType(t)
	}
	lo, hi := quantRange(to)
	if lo == hi || c.in[0].typ != onnx.Float32 && c.in[0].typ != onnx.Int32 || c.in[1].typ != onnx.Float32 {
		return nil, fmt.Errorf("quantisation of %v to %v", c.in[0].typ, to)
	}
	axis, err := c.quantAxis()
	if err != nil {
		return nil, err
	}
	return func(in, out []*Tensor) error {
		scale, zero := view[float32](in[1]), zeros(in, 2)
		x, y, size := in[0].Float64s(), out[0].mem, to.Size()
		for i, v := range x {
			p := axis.of(i)
			// The division is one of float32, as the operator's definition has it.
			q := math.RoundToEven(float64(float32(v)/scale[p])) + at(zero, p)
			if v := int(saturate(q, lo, hi)); size == 1 {
				y[i] = byte(v)
			} else {
				binary.NativeEndian.PutUint16(y[2*i:], uint16(v))
			}
		}
		return nil
	}, c.set(0, to, c.in[0].shape)
}

// saturate clamps; NaN becomes lo.
func saturate(v, lo, hi float64) float64 {
	if v > lo {
		return min(v, hi)
	}
	return lo
}

// zeros returns the zero points in input i, nil if it is omitted.
func zeros(in []*Tensor, i int) []float64 {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	return in[i].Float64s()
}

// at is the zero point of channel i: v has none, one, or one for each channel.
func at(v []float64, i int) float64 {
	switch len(v) {
	case 0:
		return 0
	case 1:
		return v[0]
	}
	return v[i]
}

// opDequantize is (x - zero point) * scale.
func opDequantize(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	if lo, hi := quantRange(typ); lo == hi && typ != onnx.Int32 || c.in[1].typ != onnx.Float32 {
		return nil, fmt.Errorf("dequantisation of %v", typ)
	}
	axis, err := c.quantAxis()
	if err != nil {
		return nil, err
	}
	return func(in, out []*Tensor) error {
		scale, zero := view[float32](in[1]), zeros(in, 2)
		y := view[float32](out[0])
		if axis.block == 0 && in[0].Type == onnx.Int8 {
			dequantiseChannels(y, in[0].mem, axis, scale, zero)
			return nil
		}
		for i, v := range in[0].Float64s() {
			p := axis.of(i)
			y[i] = float32(v-at(zero, p)) * scale[p]
		}
		return nil
	}, c.set(0, onnx.Float32, c.in[0].shape)
}

// dequantiseChannels takes the usual form of weights, of which a model has
// millions.
func dequantiseChannels(y []float32, x []byte, axis perAxis, scale []float32, zero []float64) {
	run := len(x)
	if axis.size > 0 {
		run = axis.inner
	}
	for i := 0; i < len(x); i += run {
		p := axis.of(i)
		kernels.DequantizeBytes(y[i:i+run], x[i:i+run], scale[p], int32(at(zero, p)), true)
	}
}

// centred returns the elements of a quantised tensor without their zero point,
// which belongs to channel(i) of element i.
func centred(t *Tensor, zero []float64, channel func(i int) int) []int32 {
	out := make([]int32, t.Len())
	for i, v := range t.Float64s() {
		out[i] = int32(v - at(zero, channel(i)))
	}
	return out
}

// quantised checks factors of a product: bytes, with zero points in the inputs
// za and zb of the same types.
func (c *call) quantised(a, b, za, zb int) error {
	for _, p := range [][2]int{{a, za}, {b, zb}} {
		x := c.in[p[0]]
		if !isByte(x.typ) {
			return unsupportedType(x.typ)
		}
		if z := c.input(p[1]); z != nil && z.typ != x.typ {
			return fmt.Errorf("a zero point of %v for %v", z.typ, x.typ)
		}
	}
	if z := c.input(za); z != nil && product(z.shape) != 1 {
		return errors.New("zero points by row are not supported")
	}
	return nil
}

// channelCount fails if a parameter has neither one element nor n.
func (c *call) channelCount(n int, inputs ...int) error {
	for _, i := range inputs {
		if v := c.input(i); v != nil && product(v.shape) != 1 && product(v.shape) != n {
			return fmt.Errorf("input %d of shape %v for %d channels", i, v.shape, n)
		}
	}
	return nil
}

// opMatMulInteger is MatMulInteger and QLinearMatMul.
func opMatMulInteger(c *call) (kernel, error) {
	linear := c.op == "QLinearMatMul"
	b, za, zb := 1, 2, 3
	least := 2
	if linear {
		b, za, zb, least = 3, 2, 5, 8
	}
	if err := c.need(least); err != nil {
		return nil, err
	}
	if err := c.quantised(0, b, za, zb); err != nil {
		return nil, err
	}
	g, err := newMatmul(c.in[0].shape, c.in[b].shape)
	if err != nil {
		return nil, err
	}
	n := g.n
	to := onnx.Int32
	if linear {
		to = c.in[7].typ
		if err := c.channelCount(1, 1, 6, 7); err != nil {
			return nil, err
		}
	}
	if err := c.channelCount(n, zb); err != nil {
		return nil, err
	}
	if linear {
		if err := c.channelCount(n, 4); err != nil {
			return nil, err
		}
	}
	multiply := matmulKernel[int32](g)
	return func(in, out []*Tensor) error {
		wide := []*Tensor{
			{Type: onnx.Int32, Shape: in[0].Shape, mem: bytesOf(centred(in[0], zeros(in, za), func(int) int { return 0 }))},
			{Type: onnx.Int32, Shape: in[b].Shape, mem: bytesOf(centred(in[b], zeros(in, zb), func(i int) int { return i % n }))},
		}
		if !linear {
			return multiply(wide, out)
		}
		sums := &Tensor{Type: onnx.Int32, Shape: out[0].Shape, mem: kernels.AlignedBytes(4 * out[0].Len())}
		if err := multiply(wide, []*Tensor{sums}); err != nil {
			return err
		}
		requantise(out[0], view[int32](sums), in, 1, 4, 6, 7, func(i int) int { return i % n })
		return nil
	}, c.set(0, to, g.out)
}

// requantise scales sums by the inputs sa*sb/sy and adds the zero point zy.
func requantise(out *Tensor, sums []int32, in []*Tensor, sa, sb, sy, zy int, channel func(i int) int) {
	a, b, y, zero := view[float32](in[sa])[0], in[sb].Float64s(), view[float32](in[sy])[0], in[zy].Float64s()[0]
	lo, hi := quantRange(out.Type)
	for i, v := range sums {
		// In float32, as the kernels on bytes do.
		q := math.RoundToEven(float64(float32(v)*(a*float32(at(b, channel(i)))/y))) + zero
		out.mem[i] = byte(int(saturate(q, lo, hi)))
	}
}

// opConvInteger is ConvInteger and QLinearConv.
func opConvInteger(c *call) (kernel, error) {
	linear := c.op == "QLinearConv"
	w, zx, zw, least := 1, 2, 3, 2
	if linear {
		w, zx, zw, least = 3, 2, 5, 8
	}
	if err := c.need(least); err != nil {
		return nil, err
	}
	if err := c.quantised(0, w, zx, zw); err != nil {
		return nil, err
	}
	s, err := c.convGeometry(c.in[0], c.in[w])
	if err != nil {
		return nil, err
	}
	if err := c.channelCount(s.outC, zw); err != nil {
		return nil, err
	}
	to := onnx.Int32
	if linear {
		to = c.in[7].typ
		if err := errors.Join(c.channelCount(1, 1, 6, 7), c.channelCount(s.outC, 4)); err != nil {
			return nil, err
		}
		if b := c.input(8); b != nil && (b.typ != onnx.Int32 || product(b.shape) != s.outC) || !isByte(to) {
			return nil, fmt.Errorf("a bias or an output type that does not fit")
		}
	}
	batch, outSize := c.in[0].shape[0], product(s.out)
	filter := product(c.in[w].shape[1:])
	return func(in, out []*Tensor) error {
		x := centred(in[0], zeros(in, zx), func(int) int { return 0 })
		f := centred(in[w], zeros(in, zw), func(i int) int { return i / filter })
		sums := make([]int32, out[0].Len())
		convSums(s, batch, sums, x, f)
		if !linear {
			copy(view[int32](out[0]), sums)
			return nil
		}
		channel := func(i int) int { return i / outSize % s.outC }
		if len(in) > 8 && in[8] != nil {
			for i := range sums {
				sums[i] += view[int32](in[8])[channel(i)]
			}
		}
		requantise(out[0], sums, in, 1, 4, 6, 7, channel)
		return nil
	}, c.set(0, to, append([]int{batch, s.outC}, s.out...))
}

// convSums is a convolution of integers, by definition.
func convSums(s spatial, batch int, y, x, w []int32) {
	groupC, groupK := s.channels/s.groups, s.outC/s.groups
	taps, inSize, outSize := product(s.kernel), product(s.in), product(s.out)
	for o := range outSize {
		s.windows(o, func(tap, at int) {
			for nk := range batch * s.outC {
				n, k := nk/s.outC, nk%s.outC
				from := (n*s.channels+k/groupK*groupC)*inSize + at
				for ci := range groupC {
					y[nk*outSize+o] += x[from+ci*inSize] * w[(k*groupC+ci)*taps+tap]
				}
			}
		})
	}
}
