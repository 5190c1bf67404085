package infer

import (
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

// opBatchNorm is BatchNormalization. With training_mode (opset 14) it takes the
// statistics of the batch, and returns the running ones updated.
func opBatchNorm(c *call) (kernel, error) {
	if err := c.need(5); err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	if len(shape) < 1 {
		return nil, fmt.Errorf("an input of shape %v", shape)
	}
	channels, inner := 1, 1
	if len(shape) > 1 {
		channels, inner = shape[1], product(shape[2:])
	}
	if c.opset < 9 && c.int("spatial", 1) == 0 {
		channels, inner = channels*inner, 1
	}
	for i := 1; i < 5; i++ {
		if product(c.in[i].shape) != channels || !isFloat(c.in[i].typ) {
			return nil, fmt.Errorf("input %d of %v %v for %d channels", i, c.in[i].typ, c.in[i].shape, channels)
		}
	}
	if err := c.set(0, typ, shape); err != nil {
		return nil, err
	}
	training := c.opset >= 14 && c.int("training_mode", 0) != 0
	for i := 1; i < len(c.out); i++ {
		if c.out[i] != nil && (!training || i > 2) {
			return nil, errors.New("statistics as outputs belong to training")
		}
		if err := c.set(i, c.in[i+2].typ, []int{channels}); err != nil {
			return nil, err
		}
	}
	b := batchNorm{
		n: shape[0], c: channels, inner: inner, training: training,
		epsilon: float64(c.float("epsilon", 1e-5)), momentum: float64(c.float("momentum", 0.9)),
	}
	switch typ {
	case onnx.Float32:
		return batchNormKernel[float32](b), nil
	case onnx.Float64:
		return batchNormKernel[float64](b), nil
	}
	return nil, unsupportedType(typ)
}

type batchNorm struct {
	n, c, inner       int
	training          bool
	epsilon, momentum float64
}

func batchNormKernel[T float32 | float64](b batchNorm) kernel {
	return func(in, out []*Tensor) error {
		x, y := view[T](in[0]), view[T](out[0])
		scale, shift, mean, variance := in[1].Float64s(), in[2].Float64s(), in[3].Float64s(), in[4].Float64s()
		if b.training {
			for i, stat := range batchStatistics(x, b) {
				running := [][]float64{mean, variance}[i]
				if i+1 < len(out) && out[i+1] != nil {
					for j, v := range running {
						storeFloat(out[i+1], j, v*b.momentum+stat[j]*(1-b.momentum))
					}
				}
				copy(running, stat)
			}
		}
		for i := range b.n * b.c {
			ch := i % b.c
			f := scale[ch] / math.Sqrt(variance[ch]+b.epsilon)
			for j := i * b.inner; j < (i+1)*b.inner; j++ {
				y[j] = T((float64(x[j])-mean[ch])*f + shift[ch])
			}
		}
		return nil
	}
}

// batchStatistics returns the mean and the biased variance of every channel.
func batchStatistics[T float32 | float64](x []T, b batchNorm) [2][]float64 {
	stats := [2][]float64{make([]float64, b.c), make([]float64, b.c)}
	for ch := range b.c {
		for pass := range stats {
			sum := 0.0
			for n := range b.n {
				from := (n*b.c + ch) * b.inner
				for _, v := range x[from : from+b.inner] {
					if pass == 0 {
						sum += float64(v)
					} else {
						d := float64(v) - stats[0][ch]
						sum += d * d
					}
				}
			}
			stats[pass][ch] = sum / float64(b.n*b.inner)
		}
	}
	return stats
}

func storeFloat(t *Tensor, i int, v float64) {
	if t.Type == onnx.Float64 {
		view[float64](t)[i] = v
	} else {
		view[float32](t)[i] = float32(v)
	}
}

// opLayerNorm normalizes over the dimensions from axis on.
func opLayerNorm(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	axis, err := normalAxis(c.int("axis", -1), len(shape))
	if err != nil {
		return nil, err
	}
	norm := shape[axis:]
	for i := 1; i < 3; i++ {
		v := c.input(i)
		if v == nil {
			continue
		}
		if out, err := broadcastShapes(v.shape, norm); err != nil || !sameShape(out, norm) || v.typ != typ {
			return nil, fmt.Errorf("input %d of %v %v for an input of %v %v", i, v.typ, v.shape, typ, shape)
		}
	}
	stats := append([]int{}, shape[:axis]...)
	for range norm {
		stats = append(stats, 1)
	}
	for i, s := range [][]int{shape, stats, stats} {
		t := typ
		if i > 0 {
			t = onnx.Float32
		}
		if err := c.set(i, t, s); err != nil {
			return nil, err
		}
	}
	w := newWalk(norm, broadcastStrides(c.in[1].shape, norm), make([]int, len(norm)))
	if v := c.input(2); v != nil {
		w = newWalk(norm, broadcastStrides(c.in[1].shape, norm), broadcastStrides(v.shape, norm))
	}
	eps := float64(c.float("epsilon", 1e-5))
	switch typ {
	case onnx.Float32:
		return layerNormKernel[float32](w, product(shape[:axis]), product(norm), eps), nil
	case onnx.Float64:
		return layerNormKernel[float64](w, product(shape[:axis]), product(norm), eps), nil
	}
	return nil, unsupportedType(typ)
}

// moments returns the mean of x and the inverse of its deviation.
func moments[T float32 | float64](x []T, eps float64) (mean, inverse float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	sum := 0.0
	for _, v := range x {
		d := float64(v) - mean
		sum += d * d
	}
	return mean, 1 / math.Sqrt(sum/float64(len(x))+eps)
}

func layerNormKernel[T float32 | float64](w *walk, rows, n int, eps float64) kernel {
	return func(in, out []*Tensor) error {
		x, scale := view[T](in[0]), view[T](in[1])
		var shift []T
		if len(in) > 2 && in[2] != nil {
			shift = view[T](in[2])
		}
		for r := range rows {
			row := x[r*n : (r+1)*n]
			mean, inverse := moments(row, eps)
			for i, v := range []float64{mean, inverse} {
				if i+1 < len(out) && out[i+1] != nil {
					storeFloat(out[i+1], r, v)
				}
			}
			if out[0] == nil {
				continue
			}
			y := view[T](out[0])[r*n : (r+1)*n]
			var at [2]int
			for j := range w.rows {
				w.offsets(at[:], j)
				for i := range w.n {
					v := (float64(row[j*w.n+i]) - mean) * inverse * float64(scale[at[0]+i*w.inner[0]])
					if shift != nil {
						v += float64(shift[at[1]+i*w.inner[1]])
					}
					y[j*w.n+i] = T(v)
				}
			}
		}
		return nil
	}
}

// opGroupNorm is GroupNormalization, and InstanceNormalization, whose groups are
// single channels. Before opset 21 scale and shift belong to groups.
func opGroupNorm(c *call) (kernel, error) {
	if err := c.need(3); err != nil {
		return nil, err
	}
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	if len(shape) < 2 || shape[1] < 1 {
		return nil, fmt.Errorf("an input of shape %v", shape)
	}
	g := groupNorm{n: shape[0], c: shape[1], groups: shape[1], inner: product(shape[2:]), params: shape[1], eps: float64(c.float("epsilon", 1e-5))}
	if c.op == "GroupNormalization" {
		if g.groups = c.int("num_groups", 0); g.groups < 1 || g.c%g.groups != 0 {
			return nil, fmt.Errorf("%d groups of %d channels", g.groups, g.c)
		}
		if c.opset < 21 {
			g.params = g.groups
		}
	}
	for i := 1; i < 3; i++ {
		if v := c.in[i]; v.typ != typ || len(v.shape) != 1 || v.shape[0] != g.params {
			return nil, fmt.Errorf("input %d of %v %v, want %d", i, v.typ, v.shape, g.params)
		}
	}
	switch typ {
	case onnx.Float32:
		return groupNormKernel[float32](g), nil
	case onnx.Float64:
		return groupNormKernel[float64](g), nil
	}
	return nil, unsupportedType(typ)
}

type groupNorm struct {
	n, c, groups, inner, params int
	eps                         float64
}

func groupNormKernel[T float32 | float64](g groupNorm) kernel {
	size := g.c / g.groups * g.inner
	return func(in, out []*Tensor) error {
		x, y, scale, shift := view[T](in[0]), view[T](out[0]), view[T](in[1]), view[T](in[2])
		for i := 0; i < g.n*g.groups && size > 0; i++ {
			row, dst := x[i*size:(i+1)*size], y[i*size:(i+1)*size]
			mean, inverse := moments(row, g.eps)
			for j, v := range row {
				p := (i%g.groups*size + j) / g.inner * g.params / g.c
				dst[j] = T((float64(v)-mean)*inverse*float64(scale[p]) + float64(shift[p]))
			}
		}
		return nil
	}
}

// opLRN divides by a power of the mean square over neighbouring channels.
func opLRN(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	shape, size := c.in[0].shape, c.int("size", 0)
	if len(shape) < 2 || size < 1 || typ != onnx.Float32 {
		return nil, fmt.Errorf("size %d for an input of %v %v", size, typ, shape)
	}
	alpha, beta, bias := float64(c.float("alpha", 1e-4)), float64(c.float("beta", 0.75)), float64(c.float("bias", 1))
	channels, inner := shape[1], product(shape[2:])
	return func(in, out []*Tensor) error {
		x, y := view[float32](in[0]), view[float32](out[0])
		for n := range shape[0] {
			for ch := range channels {
				first, last := max(0, ch-(size-1)/2), min(channels-1, ch+size/2)
				for i := range inner {
					sum := 0.0
					for k := first; k <= last; k++ {
						v := float64(x[(n*channels+k)*inner+i])
						sum += v * v
					}
					at := (n*channels+ch)*inner + i
					y[at] = float32(float64(x[at]) / math.Pow(bias+alpha/float64(size)*sum, beta))
				}
			}
		}
		return nil
	}, nil
}
