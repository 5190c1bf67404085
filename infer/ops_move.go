package infer

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
)

// stridedKernel copies element i of out, in row-major order, from the element of
// the input at offset plus the strides. size is that of an element in bytes.
func stridedKernel(size int, out, strides []int, offset int) kernel {
	w := newWalk(out, strides)
	switch size {
	case 1:
		return copyWalk[uint8](w, offset)
	case 2:
		return copyWalk[uint16](w, offset)
	case 4:
		return copyWalk[uint32](w, offset)
	}
	return copyWalk[uint64](w, offset)
}

func copyWalk[T number](w *walk, offset int) kernel {
	step := w.inner[0]
	return func(in, outs []*Tensor) error {
		src, dst := view[T](in[0]), view[T](outs[0])
		var at [1]int
		for r := range w.rows {
			w.offsets(at[:], r)
			row, from := dst[r*w.n:(r+1)*w.n], offset+at[0]
			if step == 1 {
				copy(row, src[from:from+w.n])
				continue
			}
			for i := range row {
				row[i] = src[from+i*step]
			}
		}
		return nil
	}
}

// expandKernel broadcasts a tensor to a shape.
func expandKernel(typ onnx.DataType, shape, out []int) (kernel, error) {
	return stridedKernel(typ.Size(), out, broadcastStrides(shape, out), 0), nil
}

// copyKernel copies input 0, which has as many bytes as output 0.
func copyKernel(in, out []*Tensor) error {
	if len(out[0].mem) > 0 && &out[0].mem[0] != &in[0].mem[0] {
		copy(out[0].mem, in[0].mem)
	}
	return nil
}

func opTranspose(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	perm := c.ints("perm")
	if perm == nil {
		for i := len(shape) - 1; i >= 0; i-- {
			perm = append(perm, i)
		}
	}
	if mask, err := normalAxes(perm, len(shape)); err != nil || len(perm) != len(mask) {
		return nil, fmt.Errorf("perm %v for an input of shape %v", perm, shape)
	}
	own := rowMajor(shape)
	out, strides := make([]int, len(shape)), make([]int, len(shape))
	for i, p := range perm {
		p, _ = normalAxis(p, len(shape))
		out[i], strides[i] = shape[p], own[p]
	}
	return stridedKernel(c.in[0].typ.Size(), out, strides, 0), c.set(0, c.in[0].typ, out)
}

func opConcat(c *call) (kernel, error) {
	if err := c.need(max(1, len(c.in))); err != nil {
		return nil, err
	}
	first := c.in[0]
	axis, err := normalAxis(c.int("axis", 1), len(first.shape))
	if err != nil {
		return nil, err
	}
	out := append([]int{}, first.shape...)
	blocks := make([]int, len(c.in))
	for i, v := range c.in {
		if v.typ != first.typ || len(v.shape) != len(out) {
			return nil, fmt.Errorf("inputs of %v %v and %v %v", first.typ, first.shape, v.typ, v.shape)
		}
		for d := range out {
			if d != axis && v.shape[d] != out[d] {
				return nil, fmt.Errorf("inputs of shapes %v and %v along axis %d", first.shape, v.shape, axis)
			}
		}
		if i > 0 {
			out[axis] += v.shape[axis]
		}
		blocks[i] = product(v.shape[axis:]) * v.typ.Size()
	}
	rows := product(out[:axis])
	return func(in, outs []*Tensor) error {
		at := 0
		for r := range rows {
			for i, n := range blocks {
				copy(outs[0].mem[at:at+n], in[i].mem[r*n:])
				at += n
			}
		}
		return nil
	}, c.set(0, first.typ, out)
}

// opSplit cuts the input along an axis: by sizes (an attribute before opset 13,
// an input since), or into as many equal parts as there are outputs, of which
// the last may be smaller from opset 18 on.
func opSplit(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	axis, err := normalAxis(c.int("axis", 0), len(shape))
	if err != nil {
		return nil, err
	}
	sizes, ok, err := c.axes("split", 13, 1)
	if err != nil {
		return nil, err
	}
	if !ok {
		parts := len(c.out)
		if c.opset >= 18 {
			parts = c.int("num_outputs", parts)
		}
		if parts < 1 || parts != len(c.out) {
			return nil, fmt.Errorf("%d parts for %d outputs", parts, len(c.out))
		}
		part := (shape[axis] + parts - 1) / parts
		if c.opset < 18 && part*parts != shape[axis] {
			return nil, fmt.Errorf("%d parts of a dimension of %d", parts, shape[axis])
		}
		for left := shape[axis]; len(sizes) < parts; left -= min(left, part) {
			sizes = append(sizes, min(left, part))
		}
	}
	total := 0
	for _, s := range sizes {
		if s < 0 {
			return nil, fmt.Errorf("split sizes %v", sizes)
		}
		total += s
	}
	if len(sizes) != len(c.out) || total != shape[axis] {
		return nil, fmt.Errorf("split sizes %v of a dimension of %d into %d outputs", sizes, shape[axis], len(c.out))
	}
	inner := product(shape[axis+1:]) * c.in[0].typ.Size()
	rows := product(shape[:axis])
	for i, s := range sizes {
		out := append([]int{}, shape...)
		out[axis] = s
		if err := c.set(i, c.in[0].typ, out); err != nil {
			return nil, err
		}
	}
	return func(in, outs []*Tensor) error {
		at := 0
		for r := range rows {
			for i, s := range sizes {
				n := s * inner
				if outs[i] != nil {
					copy(outs[i].mem[r*n:(r+1)*n], in[0].mem[at:])
				}
				at += n
			}
		}
		return nil
	}, nil
}

// opSlice takes starts, ends and axes as attributes before opset 10; inputs,
// with steps, since.
func opSlice(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	var lists [4][]int // starts, ends, axes, steps
	var given [4]bool
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		if c.opset < 10 {
			lists[i] = c.ints(name)
			given[i] = lists[i] != nil
			continue
		}
		var err error
		if lists[i], given[i], err = c.constInts(i + 1); err != nil {
			return nil, err
		}
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	if !given[2] {
		for i := range starts {
			axes = append(axes, i)
		}
	}
	if !given[3] {
		for range starts {
			steps = append(steps, 1)
		}
	}
	if len(starts) != len(ends) || len(starts) != len(axes) || len(starts) != len(steps) {
		return nil, fmt.Errorf("%d starts, %d ends, %d axes, %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	if _, err := normalAxes(axes, len(shape)); err != nil {
		return nil, err
	}
	out, strides, offset := append([]int{}, shape...), rowMajor(shape), 0
	for i := range axes {
		a, _ := normalAxis(axes[i], len(shape))
		start, n, err := sliceRange(starts[i], ends[i], steps[i], shape[a])
		if err != nil {
			return nil, err
		}
		out[a] = n
		offset += start * strides[a]
		strides[a] *= steps[i]
	}
	return stridedKernel(c.in[0].typ.Size(), out, strides, offset), c.set(0, c.in[0].typ, out)
}

// sliceRange returns the first index and the number of them. Backwards, a start in
// front of the first element is that element, unlike in Python.
func sliceRange(start, end, step, size int) (first, n int, err error) {
	if step == 0 {
		return 0, 0, errors.New("a step of 0")
	}
	if start < 0 {
		start += size
	}
	if end < 0 {
		end += size
	}
	if step > 0 {
		start, end = min(max(start, 0), size), min(max(end, 0), size)
		if end > start {
			n = (end - start - 1) / step
			n++
		}
		return start, n, nil
	}
	if size == 0 {
		return 0, 0, nil
	}
	start, end = min(max(start, 0), size-1), min(max(end, -1), size-1)
	if start > end {
		n = (start-end-1)/-step + 1
	}
	return start, n, nil
}

func opExpand(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	want, _, err := c.constInts(1)
	if err != nil {
		return nil, err
	}
	out, err := broadcastShapes(c.in[0].shape, want)
	if err != nil {
		return nil, err
	}
	if err := c.set(0, c.in[0].typ, out); err != nil {
		return nil, err
	}
	return expandKernel(c.in[0].typ, c.in[0].shape, out)
}

func opTile(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	shape := c.in[0].shape
	repeats, _, err := c.constInts(1)
	if err != nil {
		return nil, err
	}
	if len(repeats) != len(shape) {
		return nil, fmt.Errorf("%d repeats for %d dimensions", len(repeats), len(shape))
	}
	out := make([]int, len(shape))
	var dims, strides []int
	own := rowMajor(shape)
	for i, r := range repeats {
		if r < 0 || r > maxTensorBytes {
			return nil, fmt.Errorf("repeats %v", repeats)
		}
		out[i] = r * shape[i]
		dims, strides = append(dims, r, shape[i]), append(strides, 0, own[i])
	}
	return stridedKernel(c.in[0].typ.Size(), dims, strides, 0), c.set(0, c.in[0].typ, out)
}

// opGather picks slices along an axis. Negative indices count from the end.
func opGather(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	data, index := c.in[0], c.in[1]
	axis, err := normalAxis(c.int("axis", 0), len(data.shape))
	if err != nil {
		return nil, err
	}
	if index.typ != onnx.Int64 && index.typ != onnx.Int32 {
		return nil, fmt.Errorf("indices of %v", index.typ)
	}
	out := append([]int{}, data.shape[:axis]...)
	out = append(append(out, index.shape...), data.shape[axis+1:]...)
	rows, size := product(data.shape[:axis]), data.shape[axis]
	block := product(data.shape[axis+1:]) * data.typ.Size()
	long := index.typ == onnx.Int64
	return func(in, outs []*Tensor) error {
		n, at := in[1].Len(), 0
		for r := range rows {
			for i := range n {
				var j int64
				if long {
					j = view[int64](in[1])[i]
				} else {
					j = int64(view[int32](in[1])[i])
				}
				if j < -int64(size) || j >= int64(size) {
					return fmt.Errorf("index %d of a dimension of %d", j, size)
				}
				if j < 0 {
					j += int64(size)
				}
				from := (r*size + int(j)) * block
				copy(outs[0].mem[at:at+block], in[0].mem[from:])
				at += block
			}
		}
		return nil
	}, c.set(0, data.typ, out)
}

func opWhere(c *call) (kernel, error) {
	if err := c.need(3); err != nil {
		return nil, err
	}
	cond, x, y := c.in[0], c.in[1], c.in[2]
	if cond.typ != onnx.Bool || x.typ != y.typ {
		return nil, fmt.Errorf("inputs of %v, %v and %v", cond.typ, x.typ, y.typ)
	}
	out, err := broadcastShapes(cond.shape, x.shape, y.shape)
	if err != nil {
		return nil, err
	}
	w := newWalk(out, broadcastStrides(cond.shape, out), broadcastStrides(x.shape, out), broadcastStrides(y.shape, out))
	if err := c.set(0, x.typ, out); err != nil {
		return nil, err
	}
	switch x.typ.Size() {
	case 1:
		return whereKernel[uint8](w), nil
	case 2:
		return whereKernel[uint16](w), nil
	case 4:
		return whereKernel[uint32](w), nil
	}
	return whereKernel[uint64](w), nil
}

func whereKernel[T number](w *walk) kernel {
	return func(in, outs []*Tensor) error {
		cond, x, y, dst := view[bool](in[0]), view[T](in[1]), view[T](in[2]), view[T](outs[0])
		var at [3]int
		for r := range w.rows {
			w.offsets(at[:], r)
			row := dst[r*w.n : (r+1)*w.n]
			for i := range row {
				if cond[at[0]+i*w.inner[0]] {
					row[i] = x[at[1]+i*w.inner[1]]
				} else {
					row[i] = y[at[2]+i*w.inner[2]]
				}
			}
		}
		return nil
	}
}

// opDepthToSpace is DepthToSpace, in both modes, and its inverse SpaceToDepth.
func opDepthToSpace(c *call) (kernel, error) {
	if err := c.need(1); err != nil {
		return nil, err
	}
	s, b := c.in[0].shape, c.int("blocksize", 0)
	if len(s) != 4 || b < 1 || b > 1<<20 {
		return nil, fmt.Errorf("blocksize %d for an input of shape %v", b, s)
	}
	size := c.in[0].typ.Size()
	n, ch, h, w := s[0], s[1], s[2], s[3]
	if c.op == "SpaceToDepth" {
		if h%b != 0 || w%b != 0 {
			return nil, fmt.Errorf("blocksize %d for an input of shape %v", b, s)
		}
		dims := []int{n, b, b, ch, h / b, w / b}
		strides := []int{ch * h * w, w, 1, h * w, b * w, b}
		return stridedKernel(size, dims, strides, 0), c.set(0, c.in[0].typ, []int{n, ch * b * b, h / b, w / b})
	}
	if ch%(b*b) != 0 {
		return nil, fmt.Errorf("blocksize %d for an input of shape %v", b, s)
	}
	k, hw := ch/(b*b), h*w
	dims := []int{n, k, h, b, w, b}
	var strides []int
	switch mode := c.string("mode", "DCR"); mode {
	case "DCR":
		strides = []int{ch * hw, hw, w, b * k * hw, 1, k * hw}
	case "CRD":
		strides = []int{ch * hw, b * b * hw, w, b * hw, 1, hw}
	default:
		return nil, fmt.Errorf("mode %q", mode)
	}
	return stridedKernel(size, dims, strides, 0), c.set(0, c.in[0].typ, []int{n, k, h * b, w * b})
}
