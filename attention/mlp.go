package attention

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// MLP holds the weights of the two fully connected layers, or their gradients:
// W1 is Cr x C, B1 has Cr, W2 is C x Cr, B2 has C elements. B1 and B2 are
// empty in a module without biases; in a set of gradients, empty means that the
// gradient is not wanted.
type MLP struct{ W1, B1, W2, B2 []float32 }

// mlp is W2*relu(W1*x + b1) + b2 on rows of n x c.
type mlp struct{ c, cr int }

func newMLP(c, reduced int) (mlp, error) {
	if reduced < 1 || reduced > maxSide {
		return mlp{}, fmt.Errorf("attention: %d hidden units", reduced)
	}
	return mlp{c: c, cr: reduced}, nil
}

// check panics unless w has the right sizes; optional layers may be missing
// altogether.
func (l *mlp) check(method string, w MLP, optional bool) {
	for _, v := range []struct {
		name     string
		x        []float32
		want     int
		optional bool
	}{
		{"W1", w.W1, l.cr * l.c, optional}, {"B1", w.B1, l.cr, true},
		{"W2", w.W2, l.c * l.cr, optional}, {"B2", w.B2, l.c, true},
	} {
		if len(v.x) < v.want && (len(v.x) > 0 || !v.optional) {
			panic(fmt.Sprintf("attention.%s: %s of %d elements, want %d", method, v.name, len(v.x), v.want))
		}
	}
}

// forward sets hidden = relu(W1*x + b1) and logits to W2*hidden + b2 plus beta*logits,
// for n rows.
func (l *mlp) forward(logits, hidden, x []float32, n int, w *MLP, beta float32) {
	first, second := kernels.Epilogue{Act: kernels.ReLU}, kernels.Epilogue{}
	if len(w.B1) > 0 {
		first.Bias = w.B1[:l.cr]
	}
	if len(w.B2) > 0 {
		second.Bias = w.B2[:l.c]
	}
	kernels.GemmEpilogue(false, true, n, l.cr, l.c, 1, x, l.c, w.W1, l.c, 0, hidden, l.cr, &first)
	kernels.GemmEpilogue(false, true, n, l.c, l.cr, 1, hidden, l.cr, w.W2, l.cr, beta, logits, l.c, &second)
}

// backward sets dhidden, before the ReLU, and dx from dlogits, for n rows.
func (l *mlp) backward(dx, dhidden, dlogits, hidden []float32, n int, w *MLP) {
	kernels.Gemm(false, false, n, l.cr, l.c, 1, dlogits, l.c, w.W2, l.cr, 0, dhidden, l.cr)
	kernels.ActivateGrad(kernels.ReLU, dhidden[:n*l.cr], dhidden[:n*l.cr], hidden[:n*l.cr])
	kernels.Gemm(false, false, n, l.c, l.cr, 1, dhidden, l.cr, w.W1, l.c, 0, dx, l.c)
}

// gradients adds the weights' gradients to dw, for n rows.
func (l *mlp) gradients(dw *MLP, dlogits, dhidden, hidden, x []float32, n int) {
	if len(dw.W2) > 0 {
		kernels.Gemm(true, false, l.c, l.cr, n, 1, dlogits, l.c, hidden, l.cr, 1, dw.W2, l.cr)
	}
	if len(dw.W1) > 0 {
		kernels.Gemm(true, false, l.cr, l.c, n, 1, dhidden, l.cr, x, l.c, 1, dw.W1, l.c)
	}
	if len(dw.B2) > 0 {
		addRows(dw.B2[:l.c], dlogits, n)
	}
	if len(dw.B1) > 0 {
		addRows(dw.B1[:l.cr], dhidden, n)
	}
}

// addRows adds n rows of x to dst.
func addRows(dst, x []float32, n int) {
	for i := range n {
		kernels.Axpy(1, x[i*len(dst):(i+1)*len(dst)], dst)
	}
}
