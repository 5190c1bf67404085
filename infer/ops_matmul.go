package infer

import (
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// A matmul is the geometry of a product of stacks of matrices.
type matmul struct {
	out     []int // shape of the result
	m, n, k int
	batches *walk // over the stack, in matrices
}

// newMatmul applies the rules of numpy's matmul: a vector counts as a row on the
// left and as a column on the right, and stacks are broadcast.
func newMatmul(a, b []int) (g matmul, err error) {
	if len(a) == 0 || len(b) == 0 {
		return g, fmt.Errorf("factors of shapes %v and %v", a, b)
	}
	left, right := a, b
	if len(a) == 1 {
		left = []int{1, a[0]}
	}
	if len(b) == 1 {
		right = []int{b[0], 1}
	}
	la, lb := len(left)-2, len(right)-2
	g.m, g.k, g.n = left[la], left[la+1], right[lb+1]
	stack, err := broadcastShapes(left[:la], right[:lb])
	if err != nil || right[lb] != g.k {
		return g, fmt.Errorf("factors of shapes %v and %v", a, b)
	}
	g.batches = newWalk(stack, broadcastStrides(left[:la], stack), broadcastStrides(right[:lb], stack))
	g.out = append([]int{}, stack...)
	if len(a) > 1 {
		g.out = append(g.out, g.m)
	}
	if len(b) > 1 {
		g.out = append(g.out, g.n)
	}
	return g, nil
}

// each visits the pairs of matrices by their numbers.
func (g *matmul) each(visit func(i, a, b int)) {
	w := g.batches
	var at [2]int
	for r := range w.rows {
		w.offsets(at[:], r)
		for i := range w.n {
			visit(r*w.n+i, at[0]+i*w.inner[0], at[1]+i*w.inner[1])
		}
	}
}

func opMatMul(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	typ := c.in[0].typ
	if c.in[1].typ != typ {
		return nil, fmt.Errorf("factors of %v and %v", typ, c.in[1].typ)
	}
	g, err := newMatmul(c.in[0].shape, c.in[1].shape)
	if err != nil {
		return nil, err
	}
	if err := c.set(0, typ, g.out); err != nil {
		return nil, err
	}
	switch typ {
	case onnx.Float32:
		return func(in, out []*Tensor) error {
			a, b, y := view[float32](in[0]), view[float32](in[1]), view[float32](out[0])
			g.each(func(i, ia, ib int) {
				gemm32(false, false, g.m, g.n, g.k, 1, a[ia*g.m*g.k:], b[ib*g.k*g.n:], y[i*g.m*g.n:])
			})
			return nil
		}, nil
	case onnx.Float64:
		return matmulKernel[float64](g), nil
	case onnx.Int64:
		return matmulKernel[int64](g), nil
	case onnx.Uint64:
		return matmulKernel[uint64](g), nil
	}
	return nil, unsupportedType(typ)
}

// gemm32 is y = alpha * a * b of dense matrices.
func gemm32(transA, transB bool, m, n, k int, alpha float32, a, b, y []float32) {
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		clear(y[:m*n])
		return
	}
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	kernels.Gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, 0, y, n)
}

func matmulKernel[T number](g matmul) kernel {
	return func(in, out []*Tensor) error {
		a, b, y := view[T](in[0]), view[T](in[1]), view[T](out[0])
		clear(y)
		g.each(func(i, ia, ib int) {
			for r := range g.m {
				row := y[(i*g.m+r)*g.n:][:g.n]
				for p := range g.k {
					v := a[(ia*g.m+r)*g.k+p]
					for j, w := range b[(ib*g.k+p)*g.n:][:g.n] {
						row[j] += v * w
					}
				}
			}
		})
		return nil
	}
}

// opGemm is alpha*A*B + beta*C, with optional transposition, and C broadcast to
// the result; C may be omitted from opset 11 on.
func opGemm(c *call) (kernel, error) {
	if err := c.need(2); err != nil {
		return nil, err
	}
	a, b, typ := c.in[0], c.in[1], c.in[0].typ
	if len(a.shape) != 2 || len(b.shape) != 2 || b.typ != typ {
		return nil, fmt.Errorf("factors of %v %v and %v %v", typ, a.shape, b.typ, b.shape)
	}
	transA, transB := c.int("transA", 0) != 0, c.int("transB", 0) != 0
	m, k, kb, n := a.shape[0], a.shape[1], b.shape[0], b.shape[1]
	if transA {
		m, k = k, m
	}
	if transB {
		kb, n = n, kb
	}
	out := []int{m, n}
	if k != kb {
		return nil, fmt.Errorf("factors of shapes %v and %v", a.shape, b.shape)
	}
	if err := c.set(0, typ, out); err != nil {
		return nil, err
	}
	strides := []int{0, 0}
	if v := c.input(2); v != nil {
		if s, err := broadcastShapes(v.shape, out); err != nil || !sameShape(s, out) || v.typ != typ {
			return nil, fmt.Errorf("a third input of %v %v for a result of %v %v", v.typ, v.shape, typ, out)
		}
		strides = broadcastStrides(v.shape, out)
	}
	g := gemm{transA, transB, m, n, k, c.float("alpha", 1), c.float("beta", 1), strides}
	switch typ {
	case onnx.Float32:
		return func(in, out []*Tensor) error {
			y := view[float32](out[0])
			gemm32(transA, transB, m, n, k, g.alpha, view[float32](in[0]), view[float32](in[1]), y)
			addC(g, y, in)
			return nil
		}, nil
	case onnx.Float64:
		return gemmKernel[float64](g), nil
	case onnx.Int64:
		return gemmKernel[int64](g), nil
	case onnx.Uint64:
		return gemmKernel[uint64](g), nil
	}
	return nil, unsupportedType(typ)
}

type gemm struct {
	transA, transB bool
	m, n, k        int
	alpha, beta    float32
	strides        []int // of C
}

// addC adds beta times the third input, if there is one.
func addC[T number](g gemm, y []T, in []*Tensor) {
	if len(in) < 3 || in[2] == nil || g.beta == 0 {
		return
	}
	c, beta := view[T](in[2]), g.beta
	for i := range y {
		v := c[i/g.n*g.strides[0]+i%g.n*g.strides[1]]
		if beta != 1 {
			v = T(float64(beta) * float64(v))
		}
		y[i] += v
	}
}

func gemmKernel[T number](g gemm) kernel {
	ra, ca, rb, cb := g.k, 1, g.n, 1
	if g.transA {
		ra, ca = 1, g.m
	}
	if g.transB {
		rb, cb = 1, g.k
	}
	return func(in, out []*Tensor) error {
		a, b, y := view[T](in[0]), view[T](in[1]), view[T](out[0])
		for i := range y {
			var sum T
			for p := range g.k {
				sum += a[i/g.n*ra+p*ca] * b[p*rb+i%g.n*cb]
			}
			if g.alpha != 1 {
				sum = T(float64(g.alpha) * float64(sum))
			}
			y[i] = sum
		}
		addC(g, y, in)
		return nil
	}
}
