package infer

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
)

// A reduction is the geometry of a reduction over some dimensions: the kept ones
// give the outputs, in order, and each output takes the elements of one walk.
type reduction struct {
	kept  *walk // over the outputs; its offsets are those of the first element
	taken *walk // over what one output takes
	n     int   // elements that one output takes
}

func newReduction(shape []int, mask []bool) reduction {
	var keptShape, keptStrides, takenShape, takenStrides []int
	for i, s := range rowMajor(shape) {
		if mask[i] {
			takenShape, takenStrides = append(takenShape, shape[i]), append(takenStrides, s)
		} else {
			keptShape, keptStrides = append(keptShape, shape[i]), append(keptStrides, s)
		}
	}
	return reduction{newWalk(keptShape, keptStrides), newWalk(takenShape, takenStrides), product(takenShape)}
}

// reducedShape drops the masked dimensions, or keeps them as 1.
func reducedShape(shape []int, mask []bool, keep bool) []int {
	out := []int{}
	for i, d := range shape {
		switch {
		case !mask[i]:
			out = append(out, d)
		case keep:
			out = append(out, 1)
		}
	}
	return out
}

// reduceMask reads the axes of a reduction: an attribute before the given opset,
// an input since. None means all, or with noop_with_empty_axes none.
func (c *call) reduceMask(since int) ([]bool, error) {
	axes, _, err := c.axes("axes", since, 1)
	if err != nil {
		return nil, err
	}
	mask, err := normalAxes(axes, len(c.in[0].shape))
	if len(axes) == 0 && c.int("noop_with_empty_axes", 0) == 0 {
		for i := range mask {
			mask[i] = true
		}
	}
	return mask, err
}

func opReduce(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	since := 18
	if c.op == "ReduceSum" {
		since = 13
	}
	mask, err := c.reduceMask(since)
	if err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	if err := c.set(0, typ, reducedShape(shape, mask, c.int("keepdims", 1) != 0)); err != nil {
		return nil, err
	}
	r := newReduction(shape, mask)
	switch typ {
	case onnx.Float32:
		return reduceKernel[float32, float64](c.op, r), nil
	case onnx.Float64:
		return reduceKernel[float64, float64](c.op, r), nil
	case onnx.Int8:
		return reduceKernel[int8, int64](c.op, r), nil
	case onnx.Int32:
		return reduceKernel[int32, int64](c.op, r), nil
	case onnx.Int64:
		return reduceKernel[int64, int64](c.op, r), nil
	case onnx.Uint8, onnx.Bool:
		return reduceKernel[uint8, uint64](c.op, r), nil
	case onnx.Uint32:
		return reduceKernel[uint32, uint64](c.op, r), nil
	case onnx.Uint64:
		return reduceKernel[uint64, uint64](c.op, r), nil
	}
	return nil, unsupportedType(typ)
}

// reduceKernel reduces elements of T, gathered as A.
func reduceKernel[T, A number](op string, r reduction) kernel {
	w := r.taken
	return func(in, out []*Tensor) error {
		src, dst := view[T](in[0]), view[T](out[0])
		if r.n == 0 {
			for i := range dst {
				dst[i] = emptyReduction[T](op)
			}
			return nil
		}
		var kept, at [1]int
		for o := range dst {
			r.kept.offsets(kept[:], o/r.kept.n)
			base := kept[0] + o%r.kept.n*r.kept.inner[0]
			acc := startReduction[A](op, A(src[base]))
			for row := range w.rows {
				w.offsets(at[:], row)
				acc = reduceRow(op, acc, src[base+at[0]:], w.n, w.inner[0])
			}
			dst[o] = finishReduction[T](op, acc, r.n)
		}
		return nil
	}
}

func startReduction[A number](op string, first A) A {
	switch op {
	case "ReduceMax", "ReduceMin":
		return first
	case "ReduceProd":
		return 1
	}
	return 0
}

func reduceRow[T, A number](op string, acc A, src []T, n, step int) A {
	switch op {
	case "ReduceSum", "ReduceMean", "ReduceLogSum":
		for i := range n {
			acc += A(src[i*step])
		}
	case "ReduceL1":
		for i := range n {
			if v := A(src[i*step]); v < 0 {
				acc -= v
			} else {
				acc += v
			}
		}
	case "ReduceProd":
		for i := range n {
			acc *= A(src[i*step])
		}
	case "ReduceL2", "ReduceSumSquare":
		for i := range n {
			v := A(src[i*step])
			acc += v * v
		}
	case "ReduceMax":
		for i := range n {
			acc = maxOf(acc, A(src[i*step]))
		}
	case "ReduceMin":
		for i := range n {
			acc = minOf(acc, A(src[i*step]))
		}
	}
	return acc
}

func finishReduction[T, A number](op string, acc A, n int) T {
	switch op {
	case "ReduceMean":
		return T(acc / A(n))
	case "ReduceL2":
		return T(math.Sqrt(float64(acc)))
	case "ReduceLogSum":
		return T(math.Log(float64(acc)))
	}
	return T(acc)
}

// emptyReduction is the value of a reduction over no elements: of Max the lowest
// number, of Min the highest.
func emptyReduction[T number](op string) T {
	low, high := limits[T]()
	switch op {
	case "ReduceMax":
		return low
	case "ReduceMin":
		return high
	case "ReduceProd":
		return 1
	case "ReduceMean":
		if nan := math.NaN(); T(1)/2 != 0 {
			return T(nan)
		}
	case "ReduceLogSum":
		return low
	}
	return 0
}

// limits returns the lowest and the highest number of a type, infinities for
// floats.
func limits[T number]() (low, high T) {
	if T(1)/2 != 0 {
		return T(math.Inf(-1)), T(math.Inf(1))
	}
	var one T = 1
	if zero := one - one; zero-one > 0 {
		return zero, zero - one
	}
	for high = one; high*2+1 > high; {
		high = high*2 + 1
	}
	return -high - 1, high
}

// opArg is ArgMax and ArgMin. A NaN counts as the extreme.
func opArg(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape, typ := c.in[0].shape, c.in[0].typ
	axis, err := normalAxis(c.int("axis", 0), len(shape))
	if err != nil {
		return nil, err
	}
	if shape[axis] == 0 {
		return nil, fmt.Errorf("no elements along axis %d of shape %v", axis, shape)
	}
	mask := make([]bool, len(shape))
	mask[axis] = true
	if err := c.set(0, onnx.Int64, reducedShape(shape, mask, c.int("keepdims", 1) != 0)); err != nil {
		return nil, err
	}
	r := newReduction(shape, mask)
	least, last := c.op == "ArgMin", c.int("select_last_index", 0) != 0
	switch typ {
	case onnx.Float32:
		return argKernel[float32](r, least, last), nil
	case onnx.Float64:
		return argKernel[float64](r, least, last), nil
	case onnx.Int8:
		return argKernel[int8](r, least, last), nil
	case onnx.Int16:
		return argKernel[int16](r, least, last), nil
	case onnx.Int32:
		return argKernel[int32](r, least, last), nil
	case onnx.Int64:
		return argKernel[int64](r, least, last), nil
	case onnx.Uint8:
		return argKernel[uint8](r, least, last), nil
	case onnx.Uint16:
		return argKernel[uint16](r, least, last), nil
	case onnx.Uint32:
		return argKernel[uint32](r, least, last), nil
	case onnx.Uint64:
		return argKernel[uint64](r, least, last), nil
	}
	return nil, unsupportedType(typ)
}

func argKernel[T number](r reduction, least, last bool) kernel {
	step := r.taken.inner[0]
	return func(in, out []*Tensor) error {
		src, dst := view[T](in[0]), view[int64](out[0])
		var kept [1]int
		for o := range dst {
			r.kept.offsets(kept[:], o/r.kept.n)
			base := kept[0] + o%r.kept.n*r.kept.inner[0]
			best, at := src[base], 0
			for i := 1; i < r.n; i++ {
				v := src[base+i*step]
				better := v > best
				if least {
					better = v < best
				}
				if better || v != v && best == best || last && (v == best || v != v) {
					best, at = v, i
				}
			}
			dst[o] = int64(at)
		}
		return nil
	}
}

// opSoftmax is Softmax and LogSoftmax: along one axis from opset 13 on, before
// over all dimensions from axis to the last.
func opSoftmax(c *call) (kernel, error) {
	typ, err := c.likeInput()
	if err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	def := -1
	if c.opset < 13 {
		def = 1
	}
	axis := c.int("axis", def)
	if c.opset < 13 && axis == len(shape) { // each element by itself
		shape = append(append([]int{}, shape...), 1)
	}
	if axis, err = normalAxis(axis, len(shape)); err != nil {
		return nil, err
	}
	mask := make([]bool, len(shape))
	for i := axis; i < len(shape); i++ {
		mask[i] = i == axis || c.opset < 13
	}
	r := newReduction(shape, mask)
	switch typ {
	case onnx.Float32:
		return softmaxKernel[float32](r, c.op == "LogSoftmax"), nil
	case onnx.Float64:
		return softmaxKernel[float64](r, c.op == "LogSoftmax"), nil
	}
	return nil, unsupportedType(typ)
}

func softmaxKernel[T float32 | float64](r reduction, logarithm bool) kernel {
	w, step := r.taken, r.taken.inner[0]
	return func(in, out []*Tensor) error {
		src, dst := view[T](in[0]), view[T](out[0])
		if len(dst) == 0 {
			return nil
		}
		var kept [1]int
		for o := range r.kept.rows * r.kept.n {
			r.kept.offsets(kept[:], o/r.kept.n)
			base := kept[0] + o%r.kept.n*r.kept.inner[0]
			top := src[base]
			for i := range w.n {
				top = maxOf(top, src[base+i*step])
			}
			sum := 0.0
			for i := range w.n {
				sum += math.Exp(float64(src[base+i*step] - top))
			}
			shift := math.Log(sum)
			for i := range w.n {
				v := float64(src[base+i*step] - top)
				if logarithm {
					dst[base+i*step] = T(v - shift)
				} else {
					dst[base+i*step] = T(math.Exp(v) / sum)
				}
			}
		}
		return nil
	}
}
