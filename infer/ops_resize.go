package infer

import (
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

// A resampling is what Resize does along one dimension.
type resampling struct {
	in, out            int
	scale              float64
	roiStart, roiEnd   float64
	coordinate, mode   string
	nearest            string
	cubicA, outside    float64
	exclude, antialias bool
}

// opResize is Resize and its predecessor Upsample. Each dimension is resampled
// by itself, with weights for a few neighbours.
func opResize(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	scales, out, err := c.resizeScales(len(shape))
	if err != nil {
		return nil, err
	}
	dims, err := c.resamplings(scales, out)
	if err != nil {
		return nil, err
	}
	for i := range dims {
		out[i] = dims[i].out
	}
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	for i := range dims {
		if dims[i].in == 0 && dims[i].out > 0 {
			return nil, fmt.Errorf("an input of shape %v", shape)
		}
	}
	if dims[0].mode == "nearest" && dims[0].coordinate != "tf_crop_and_resize" {
		index := make([][]int, len(dims))
		for i := range dims {
			for o := range dims[i].out {
				index[i] = append(index[i], dims[i].nearestIndex(o))
			}
		}
		fill := &Tensor{Type: typ, Shape: []int{1}, mem: make([]byte, 8)}
		run := padKernel(typ.Size(), shape, out, index, fill)
		return func(in, outs []*Tensor) error { return run(in[:1], outs) }, nil
	}
	if typ == onnx.Float32 {
		return resizeKernel[float32](dims), nil
	}
	if typ == onnx.Float64 {
		return resizeKernel[float64](dims), nil
	}
	if typ == onnx.Uint8 {
		return resizeKernel[uint8](dims), nil
	}
	return nil, unsupportedType(typ)
}

// resizeScales returns the scale and, where sizes are given, the size of every
// dimension; sizes are -1 where they follow from the scale.
func (c *call) resizeScales(rank int) (scales []float64, sizes []int, err error) {
	if rank == 0 {
		return nil, nil, errors.New("an input without dimensions")
	}
	scales, sizes = make([]float64, rank), make([]int, rank)
	for i := range scales {
		scales[i], sizes[i] = 1, -1
	}
	axes := c.ints("axes")
	if c.opset < 18 || axes == nil {
		axes = nil
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if _, err := normalAxes(axes, rank); err != nil {
		return nil, nil, err
	}
	given, err := c.scaleList()
	if err != nil {
		return nil, nil, err
	}
	want, bySize, err := []int(nil), false, error(nil)
	if c.opset >= 11 && len(given) == 0 {
		if want, bySize, err = c.constInts(3); err != nil {
			return nil, nil, err
		}
	}
	if len(given) != len(axes) && (!bySize || len(want) != len(axes)) {
		return nil, nil, fmt.Errorf("%d scales and %d sizes for %d dimensions", len(given), len(want), len(axes))
	}
	for i, a := range axes {
		a, _ = normalAxis(a, rank)
		if !bySize {
			scales[a] = given[i]
			continue
		}
		have := c.in[0].shape[a]
		if want[i] < 0 || have == 0 && want[i] > 0 {
			return nil, nil, fmt.Errorf("size %d for dimension %d of %v", want[i], a, c.in[0].shape)
		}
		if sizes[a] = want[i]; have > 0 { // none of none keeps its scale
			scales[a] = float64(want[i]) / float64(have)
		}
	}
	if bySize {
		c.keepAspect(axes, scales, sizes)
	}
	for i, s := range scales {
		if !(s > 0 && s*float64(c.in[0].shape[i]) < maxTensorBytes) && sizes[i] != 0 {
			return nil, nil, fmt.Errorf("scales %v for an input of shape %v", scales, c.in[0].shape)
		}
	}
	return scales, sizes, nil
}

// scaleList reads the scales: an attribute before opset 9, input 1 before opset
// 11, input 2 since.
func (c *call) scaleList() ([]float64, error) {
	if c.opset < 9 {
		var out []float64
		if a := c.attribute("scales", onnx.AttributeFloats); a != nil {
			for _, v := range a.Floats {
				out = append(out, float64(v))
			}
			return out, nil
		}
		return []float64{1, 1, float64(c.float("height_scale", 1)), float64(c.float("width_scale", 1))}, nil
	}
	i := 2
	if c.opset < 11 {
		i = 1
	}
	v := c.input(i)
	if v == nil || product(v.shape) == 0 {
		return nil, nil
	}
	if v.typ != onnx.Float32 {
		return nil, fmt.Errorf("scales of %v", v.typ)
	}
	if v.data == nil {
		return nil, errUnknown
	}
	return v.data.Float64s(), nil
}

// keepAspect makes the scales of all axes the smallest or the largest of them,
// where keep_aspect_ratio_policy asks for it.
func (c *call) keepAspect(axes []int, scales []float64, sizes []int) {
	policy := c.string("keep_aspect_ratio_policy", "stretch")
	if policy != "not_larger" && policy != "not_smaller" {
		return
	}
	rank := len(scales)
	first, _ := normalAxis(axes[0], rank)
	scale := scales[first]
	for _, a := range axes {
		a, _ = normalAxis(a, rank)
		if policy == "not_larger" {
			scale = min(scale, scales[a])
		} else {
			scale = max(scale, scales[a])
		}
	}
	for _, a := range axes {
		a, _ = normalAxis(a, rank)
		scales[a], sizes[a] = scale, int(math.Floor(scale*float64(c.in[0].shape[a])+0.5))
	}
}

func (c *call) resamplings(scales []float64, sizes []int) ([]resampling, error) {
	base := resampling{
		coordinate: c.string("coordinate_transformation_mode", "half_pixel"),
		mode:       c.string("mode", "nearest"), nearest: c.string("nearest_mode", "round_prefer_floor"),
		cubicA: float64(c.float("cubic_coeff_a", -0.75)), outside: float64(c.float("extrapolation_value", 0)),
		exclude: c.int("exclude_outside", 0) != 0, antialias: c.int("antialias", 0) != 0,
	}
	if c.opset < 11 {
		base.coordinate, base.nearest = "asymmetric", "floor"
		if base.mode == "bilinear" {
			base.mode = "linear"
		}
	}
	if err := base.check(); err != nil {
		return nil, err
	}
	rank := len(scales)
	dims := make([]resampling, rank)
	for i := range dims {
		dims[i] = base
		dims[i].in, dims[i].scale, dims[i].roiEnd = c.in[0].shape[i], scales[i], 1
		dims[i].out = sizes[i]
		if c.opset < 11 && scales[i] < 1 {
			dims[i].nearest = "ceil"
		}
		if sizes[i] < 0 {
			dims[i].out = int(math.Floor(scales[i] * float64(dims[i].in)))
		}
	}
	if base.coordinate != "tf_crop_and_resize" {
		return dims, nil
	}
	roi := c.input(1)
	if roi == nil || roi.data == nil {
		return nil, errUnknown
	}
	box, axes := roi.data.Float64s(), c.ints("axes")
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(box) != 2*len(axes) {
		return nil, fmt.Errorf("a region of %d numbers", len(box))
	}
	for i, a := range axes {
		a, _ = normalAxis(a, rank)
		dims[a].roiStart, dims[a].roiEnd = box[i], box[len(axes)+i]
	}
	return dims, nil
}

func (r *resampling) check() error {
	switch r.coordinate {
	case "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize":
	default:
		return fmt.Errorf("coordinate_transformation_mode %q", r.coordinate)
	}
	switch r.nearest {
	case "round_prefer_floor", "round_prefer_ceil", "floor", "ceil":
	default:
		return fmt.Errorf("nearest_mode %q", r.nearest)
	}
	switch r.mode {
	case "nearest", "linear", "cubic":
	default:
		return fmt.Errorf("mode %q", r.mode)
	}
	return nil
}

// kept reports whether the dimension stays as it is, whatever the coordinates.
func (r *resampling) kept() bool {
	return r.in == r.out && r.scale == 1 && r.coordinate != "tf_crop_and_resize"
}

// source returns the place in the input of output position o, computed in float32:
// where it lies half-way between two pixels, or on one, the rounding decides which
// pixel is nearest, and float32 is what models were trained with.
func (r *resampling) source(o int) float64 {
	x, in, out, scale := float32(o), float32(r.in), float32(r.out), float32(r.scale)
	if r.kept() {
		return float64(o)
	}
	switch r.coordinate {
	case "pytorch_half_pixel":
		if r.out <= 1 {
			return 0
		}
	case "half_pixel_symmetric":
		// The output of a whole number of pixels is centred in the exact one.
		adjust := out / (scale * in)
		return float64(float32(in/2*(1-adjust)) + (x+0.5)/scale - 0.5)
	case "align_corners":
		if r.out <= 1 {
			return 0
		}
		return float64(x * (in - 1) / (out - 1))
	case "asymmetric":
		return float64(x / scale)
	case "tf_half_pixel_for_nn":
		return float64((x + 0.5) / scale)
	case "tf_crop_and_resize":
		from, to := float32(r.roiStart), float32(r.roiEnd)
		if r.out <= 1 {
			return float64((from + to) * (in - 1) / 2)
		}
		return float64(float32(from*(in-1)) + float32(x*(to-from)*(in-1)/(out-1)))
	}
	return float64((x+0.5)/scale - 0.5)
}

func (r *resampling) nearestIndex(o int) int {
	x := r.source(o)
	switch r.nearest {
	case "floor":
		x = math.Floor(x)
	case "ceil":
		x = math.Ceil(x)
	case "round_prefer_ceil":
		x = math.Floor(x + 0.5)
	default:
		x = math.Ceil(x - 0.5)
	}
	return int(min(max(x, 0), float64(r.in-1)))
}

// taps returns the inputs that make output o, and their weights. It returns none
// if o lies outside the region.
func (r *resampling) taps(o int) (index []int, weights []float64) {
	x := r.source(o)
	if r.coordinate == "tf_crop_and_resize" && (x < 0 || x > float64(r.in-1)) {
		return nil, nil
	}
	if r.mode == "nearest" {
		return []int{r.nearestIndex(o)}, []float64{1}
	}
	radius, stretch := 1.0, 1.0
	if r.mode == "cubic" {
		radius = 2
	}
	if r.antialias && r.scale < 1 {
		stretch = r.scale
		radius /= r.scale
	}
	sum := 0.0
	for i := math.Ceil(x - radius); i <= math.Floor(x+radius); i++ {
		w := r.weight((i - x) * stretch)
		inside := i >= 0 && i < float64(r.in)
		if w == 0 || !inside && r.exclude {
			continue
		}
		sum += w
		index = append(index, int(min(max(i, 0), float64(r.in-1))))
		weights = append(weights, w)
	}
	for i := range weights {
		weights[i] /= sum
	}
	return index, weights
}

// weight is the value of the interpolation's kernel at distance d.
func (r *resampling) weight(d float64) float64 {
	d = math.Abs(d)
	if r.mode == "linear" {
		return max(0, 1-d)
	}
	a := r.cubicA
	switch {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

// resizeKernel resamples one dimension after the other, in float64.
func resizeKernel[T number](dims []resampling) kernel {
	return func(in, out []*Tensor) error {
		x := in[0].Float64s()
		for d := range dims {
			r := &dims[d]
			if r.kept() {
				continue
			}
			inner, outer := 1, 1
			for i := range dims {
				if i < d {
					outer *= dims[i].out
				} else if i > d {
					inner *= dims[i].in
				}
			}
			y := make([]float64, outer*r.out*inner)
			for o := range r.out {
				index, weights := r.taps(o)
				for p := range outer {
					dst := y[(p*r.out+o)*inner:][:inner]
					if index == nil {
						for i := range dst {
							dst[i] = r.outside
						}
					}
					for t, i := range index {
						for j, v := range x[(p*r.in+i)*inner:][:inner] {
							dst[j] += weights[t] * v
						}
					}
				}
			}
			x = y
		}
		dst := view[T](out[0])
		for i, v := range x {
			if T(1)/2 == 0 { // uint8
				v = min(max(math.Trunc(v), 0), 255)
			}
			dst[i] = T(v)
		}
		return nil
	}
}
