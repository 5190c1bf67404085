package infer

import (
	"fmt"
	"slices"
)

// broadcastShapes returns the shape that all of the given ones extend to: sizes
// are matched from the last, and 1 extends to anything.
func broadcastShapes(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		for i, d := range s {
			o := &out[rank-len(s)+i]
			switch {
			case *o == 1:
				*o = d
			case d != 1 && d != *o:
				return nil, fmt.Errorf("shapes %v cannot be broadcast together", shapes)
			}
		}
	}
	return out, nil
}

// rowMajor returns the strides of a shape in elements.
func rowMajor(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// broadcastStrides returns the strides with which a tensor of the given shape is
// read as one of shape out: 0 along the dimensions that it extends.
func broadcastStrides(shape, out []int) []int {
	strides := make([]int, len(out))
	own := rowMajor(shape)
	for i := range shape {
		if j := len(out) - len(shape) + i; shape[i] != 1 || out[j] == 1 {
			strides[j] = own[i]
		}
	}
	return strides
}

// A walk visits the elements of a shape, in order, for several operands with
// strides of their own: rows of n elements along the last dimension, and the
// offset of each row. Neighbouring dimensions that every operand passes with
// one stride are merged.
type walk struct {
	n     int   // length of a row
	rows  int   // number of rows
	shape []int // of the rows
	outer [][]int
	inner []int // stride of each operand along a row
}

// newWalk makes the walk over a shape for operands with the given strides.
func newWalk(shape []int, strides ...[]int) *walk {
	var dims []int
	var steps [][]int // by dimension, by operand
	for i, d := range shape {
		if d == 1 {
			continue
		}
		step := make([]int, len(strides))
		for k := range strides {
			step[k] = strides[k][i]
		}
		if last := len(dims) - 1; last >= 0 {
			merge := true
			for k := range step {
				merge = merge && steps[last][k] == step[k]*d
			}
			if merge {
				dims[last] *= d
				steps[last] = step
				continue
			}
		}
		dims, steps = append(dims, d), append(steps, step)
	}
	w := &walk{n: 1, rows: 1, inner: make([]int, len(strides)), outer: make([][]int, len(strides))}
	if last := len(dims) - 1; last >= 0 {
		w.n, w.inner = dims[last], steps[last]
		dims, steps = dims[:last], steps[:last]
	}
	w.shape = dims
	w.rows = product(dims)
	if w.n == 0 {
		w.rows = 0
	}
	for k := range strides {
		w.outer[k] = make([]int, len(dims))
		for i := range dims {
			w.outer[k][i] = steps[i][k]
		}
	}
	return w
}

// offsets sets at to the offset of row r for every operand.
func (w *walk) offsets(at []int, r int) {
	for k := range at {
		at[k] = 0
	}
	for i := len(w.shape) - 1; i >= 0; i-- {
		p := r % w.shape[i]
		r /= w.shape[i]
		for k := range at {
			at[k] += p * w.outer[k][i]
		}
	}
}

// A row2 computes dst[i] = f(a[i*sa], b[i*sb]) for all of dst.
type row2[D, T number | bool] func(dst []D, a, b []T, sa, sb int)

// binaryKernel runs f over the broadcast of two inputs.
func binaryKernel[D, T number | bool](a, b, out []int, f row2[D, T]) kernel {
	w := newWalk(out, broadcastStrides(a, out), broadcastStrides(b, out))
	return func(in, outs []*Tensor) error {
		dst, x, y := view[D](outs[0]), view[T](in[0]), view[T](in[1])
		var at [2]int
		for r := range w.rows {
			w.offsets(at[:], r)
			f(dst[r*w.n:(r+1)*w.n], x[at[0]:], y[at[1]:], w.inner[0], w.inner[1])
		}
		return nil
	}
}

// sameShape reports whether two shapes are equal.
func sameShape(a, b []int) bool { return slices.Equal(a, b) }
