package infer

import (
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
)

// A spatial is the geometry of a convolution or pooling in any number of spatial
// dimensions.
type spatial struct {
	in, out, kernel        []int
	strides, dilations     []int
	before, after          []int // padding
	groups, channels, outC int
}

// spatialList reads an attribute with one number for each of n dimensions.
func (c *call) spatialList(name string, n, def, least int) ([]int, error) {
	v := c.ints(name)
	if v == nil {
		v = make([]int, n)
		for i := range v {
			v[i] = def
		}
	}
	if len(v) != n {
		return nil, fmt.Errorf("attribute %s has %d numbers, want %d", name, len(v), n)
	}
	for _, x := range v {
		if x < least || x > 1<<24 {
			return nil, fmt.Errorf("attribute %s is %v", name, v)
		}
	}
	return v, nil
}

// spatial reads strides, dilations and pads for an input of the given spatial
// shape, and the kernel's. Sizes of the output are left to the caller.
func (c *call) spatial(in, kernel []int) (s spatial, err error) {
	n := len(in)
	s.in, s.kernel = in, kernel
	for _, k := range kernel {
		if k < 1 || k > 1<<24 {
			return s, fmt.Errorf("a kernel of shape %v", kernel)
		}
	}
	if n == 0 || len(kernel) != n {
		return s, fmt.Errorf("a kernel of shape %v for an input of spatial shape %v", kernel, in)
	}
	if s.strides, err = c.spatialList("strides", n, 1, 1); err != nil {
		return s, err
	}
	if s.dilations, err = c.spatialList("dilations", n, 1, 1); err != nil {
		return s, err
	}
	pads, err := c.spatialList("pads", 2*n, 0, 0)
	s.before, s.after = make([]int, n), make([]int, n)
	if err == nil {
		copy(s.before, pads)
		copy(s.after, pads[n:])
	}
	return s, err
}

// span is how much of dimension i a window covers.
func (s *spatial) span(i int) int { return s.dilations[i]*(s.kernel[i]-1) + 1 }

// outputs sets the sizes of the output of a convolution or pooling, and the
// padding that auto_pad asks for.
func (s *spatial) outputs(auto string, ceil bool) error {
	s.out = make([]int, len(s.in))
	for i, in := range s.in {
		stride := s.strides[i]
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			s.out[i] = (in + stride - 1) / stride
			total := max((s.out[i]-1)*stride+s.span(i)-in, 0)
			s.before[i] = total / 2
			if auto == "SAME_LOWER" {
				s.before[i] = total - total/2
			}
			s.after[i] = total - s.before[i]
			continue
		case "VALID":
			s.before[i], s.after[i] = 0, 0
		case "NOTSET", "":
		default:
			return fmt.Errorf("auto_pad %q", auto)
		}
		room := in + s.before[i] + s.after[i] - s.span(i)
		if room < 0 && !(ceil && room > -stride) {
			return fmt.Errorf("a window of %d over a padded dimension of %d", s.span(i), room+s.span(i))
		}
		s.out[i] = (room + stride) / stride
		// A window that begins behind the input and its first padding is dropped.
		if ceil && room%stride != 0 && s.out[i]*stride < in+s.before[i] {
			s.out[i]++
		}
	}
	return nil
}

// opConv is Conv in any number of spatial dimensions.
func opConv(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	s, err := c.convGeometry(c.in[0], c.in[1])
	if err != nil {
		return nil, err
	}
	if b := c.input(2); b != nil && (b.typ != c.in[0].typ || len(b.shape) != 1 || b.shape[0] != s.outC) {
		return nil, fmt.Errorf("a bias of %v %v for %d channels", b.typ, b.shape, s.outC)
	}
	typ := c.in[0].typ
	if c.in[1].typ != typ {
		return nil, fmt.Errorf("weights of %v for an input of %v", c.in[1].typ, typ)
	}
	if err := c.set(0, typ, append([]int{c.in[0].shape[0], s.outC}, s.out...)); err != nil {
		return nil, err
	}
	batch := c.in[0].shape[0]
	switch typ {
	case onnx.Float32:
		return convKernel[float32](s, batch), nil
	case onnx.Float64:
		return convKernel[float64](s, batch), nil
	}
	return nil, unsupportedType(typ)
}

// convGeometry checks the shapes of input and weights.
func (c *call) convGeometry(x, w *value) (spatial, error) {
	if len(x.shape) < 3 || len(w.shape) != len(x.shape) {
		return spatial{}, fmt.Errorf("weights of shape %v for an input of shape %v", w.shape, x.shape)
	}
	if k := c.ints("kernel_shape"); k != nil && !sameShape(k, w.shape[2:]) {
		return spatial{}, fmt.Errorf("kernel_shape %v with weights of shape %v", k, w.shape)
	}
	s, err := c.spatial(x.shape[2:], w.shape[2:])
	if err != nil {
		return s, err
	}
	s.groups, s.channels, s.outC = c.int("group", 1), x.shape[1], w.shape[0]
	if s.groups < 1 || s.channels%s.groups != 0 || s.outC%s.groups != 0 || w.shape[1] != s.channels/s.groups {
		return s, fmt.Errorf("%d groups with weights of shape %v for an input of shape %v", s.groups, w.shape, x.shape)
	}
	return s, s.outputs(c.string("auto_pad", "NOTSET"), false)
}

// windows visits every position of the kernel that lies inside the input for
// the output position o: visit gets its offsets in the kernel and the input.
func (s *spatial) windows(o int, visit func(tap, at int)) {
	n := len(s.out)
	pos := make([]int, n)
	for i := n - 1; i >= 0; i-- {
		pos[i] = o%s.out[i]*s.strides[i] - s.before[i]
		o /= s.out[i]
	}
	for tap := range product(s.kernel) {
		at, scale, t, inside := 0, 1, tap, true
		for i := n - 1; i >= 0 && inside; i-- {
			p := pos[i] + t%s.kernel[i]*s.dilations[i]
			t /= s.kernel[i]
			inside = p >= 0 && p < s.in[i]
			at += p * scale
			scale *= s.in[i]
		}
		if inside {
			visit(tap, at)
		}
	}
}

// convKernel is the definition, with float64 sums.
func convKernel[T float32 | float64](s spatial, batch int) kernel {
	groupC, groupK := s.channels/s.groups, s.outC/s.groups
	taps, inSize, outSize := product(s.kernel), product(s.in), product(s.out)
	return func(in, outs []*Tensor) error {
		x, w, y := view[T](in[0]), view[T](in[1]), view[T](outs[0])
		var bias []T
		if len(in) > 2 && in[2] != nil {
			bias = view[T](in[2])
		}
		sums := make([]float64, batch*s.outC)
		for o := range outSize {
			clear(sums)
			s.windows(o, func(tap, at int) {
				for nk := range sums {
					n, k := nk/s.outC, nk%s.outC
					from := (n*s.channels + k/groupK*groupC) * inSize
					for ci := range groupC {
						sums[nk] += float64(x[from+ci*inSize+at]) * float64(w[(k*groupC+ci)*taps+tap])
					}
				}
			})
			for nk, v := range sums {
				if bias != nil {
					v += float64(bias[nk%s.outC])
				}
				y[nk*outSize+o] = T(v)
			}
		}
		return nil
	}
}

// opConvTranspose is the transposed convolution, the gradient of Conv with
// respect to its input.
func opConvTranspose(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	x, w := c.in[0], c.in[1]
	if len(x.shape) < 3 || len(w.shape) != len(x.shape) || w.typ != x.typ {
		return nil, fmt.Errorf("weights of %v %v for an input of %v %v", w.typ, w.shape, x.typ, x.shape)
	}
	s, err := c.spatial(x.shape[2:], w.shape[2:])
	if err != nil {
		return nil, err
	}
	s.groups, s.channels = c.int("group", 1), x.shape[1]
	s.outC = clampInt(int64(w.shape[1]) * int64(s.groups))
	if s.groups < 1 || s.channels%s.groups != 0 || w.shape[0] != s.channels {
		return nil, fmt.Errorf("%d groups with weights of shape %v for an input of shape %v", s.groups, w.shape, x.shape)
	}
	if b := c.input(2); b != nil && (b.typ != x.typ || len(b.shape) != 1 || b.shape[0] != s.outC) {
		return nil, fmt.Errorf("a bias of %v %v for %d channels", b.typ, b.shape, s.outC)
	}
	if err := c.transposedOutputs(&s); err != nil {
		return nil, err
	}
	if err := c.set(0, x.typ, append([]int{x.shape[0], s.outC}, s.out...)); err != nil {
		return nil, err
	}
	switch x.typ {
	case onnx.Float32:
		return convTransposeKernel[float32](s, x.shape[0]), nil
	case onnx.Float64:
		return convTransposeKernel[float64](s, x.shape[0]), nil
	}
	return nil, unsupportedType(x.typ)
}

// transposedOutputs sets the sizes of the output and the padding it is cut by.
func (c *call) transposedOutputs(s *spatial) error {
	n := len(s.in)
	extra, err := c.spatialList("output_padding", n, 0, 0)
	if err != nil {
		return err
	}
	want := c.ints("output_shape")
	if len(want) == n+2 {
		want = want[2:]
	}
	auto := c.string("auto_pad", "NOTSET")
	same := auto == "SAME_UPPER" || auto == "SAME_LOWER"
	if want == nil && same {
		for i, d := range s.in {
			want = append(want, d*s.strides[i])
		}
	}
	if want != nil && len(want) != n {
		return fmt.Errorf("output_shape %v", want)
	}
	s.out = make([]int, n)
	for i, d := range s.in {
		full := s.strides[i]*(d-1) + extra[i] + s.span(i)
		if want == nil {
			s.out[i] = full - s.before[i] - s.after[i]
		} else {
			s.out[i] = want[i]
			total := max(full-want[i], 0) // what is missing is added behind
			s.before[i] = total / 2
			if auto != "SAME_UPPER" {
				s.before[i] = total - total/2
			}
		}
		if s.out[i] < 0 || s.out[i] > 1<<30 {
			return fmt.Errorf("an output of spatial shape %v", s.out)
		}
	}
	return nil
}

func convTransposeKernel[T float32 | float64](s spatial, batch int) kernel {
	groupC, groupK := s.channels/s.groups, s.outC/s.groups
	taps, inSize, outSize := product(s.kernel), product(s.in), product(s.out)
	// The convolution that this one is the transpose of reads s.out, writes s.in.
	t := s
	t.in, t.out = s.out, s.in
	return func(in, outs []*Tensor) error {
		x, w, y := view[T](in[0]), view[T](in[1]), view[T](outs[0])
		sums := make([]float64, len(y))
		if len(in) > 2 && in[2] != nil {
			bias := view[T](in[2])
			for i := range sums {
				sums[i] = float64(bias[i/outSize%s.outC])
			}
		}
		for i := range inSize {
			t.windows(i, func(tap, at int) {
				for nc := range batch * s.channels {
					n, ci := nc/s.channels, nc%s.channels
					v := float64(x[nc*inSize+i])
					to := (n*s.outC + ci/groupC*groupK) * outSize
					for k := range groupK {
						sums[to+k*outSize+at] += v * float64(w[(ci*groupK+k)*taps+tap])
					}
				}
			})
		}
		for i, v := range sums {
			y[i] = T(v)
		}
		return nil
	}
}
