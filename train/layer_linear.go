package train

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// Linear is a fully connected layer: y = x W^T + b for x of In elements, with
// tensors weight (Out x In) and bias (Out).
type Linear struct {
	name         string
	In, Out      int
	Weight, Bias *Param // Bias is nil for a layer without
}

// NewLinear returns a fully connected layer from in to out elements.
func NewLinear(name string, in, out int, bias bool) *Linear {
	l := &Linear{name: name, In: in, Out: out, Weight: newParam(name+".weight", initUniform(in), out, in)}
	if bias {
		l.Bias = newParam(name+".bias", initUniform(in), out)
		l.Bias.Norm = true
	}
	return l
}

// Name implements Layer.
func (l *Linear) Name() string { return l.name }

// Params implements Layer.
func (l *Linear) Params() []*Param {
	if l.Bias == nil {
		return []*Param{l.Weight}
	}
	return []*Param{l.Weight, l.Bias}
}

// Outputs implements Layer.
func (l *Linear) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 || in[0] != (Shape{1, 1, l.In}) {
		return nil, fmt.Errorf("inputs %v, want one vector of %d", in, l.In)
	}
	return []Shape{{1, 1, l.Out}}, nil
}

// Plan implements Layer.
func (l *Linear) Plan(n int, _ []Shape, _ bool) (Op, error) { return &linearOp{l, n}, nil }

type linearOp struct {
	*Linear
	n int
}

func (o *linearOp) Needs() Needs { return Needs{Src: true} }

func (o *linearOp) Forward(io *IO) {
	y := io.Dst[0]
	beta := float32(0)
	if o.Bias != nil {
		beta = 1
		for i := range o.n {
			copy(y[i*o.Out:(i+1)*o.Out], o.Bias.Value)
		}
	}
	kernels.Gemm(false, true, o.n, o.Out, o.In, 1, io.Src[0], o.In, o.Weight.Value, o.In, beta, y, o.Out)
}

// Backward: dW = dY^T X, db = column sums of dY, dX = dY W.
func (o *linearOp) Backward(io *IO) {
	dy := io.DDst[0]
	kernels.Gemm(true, false, o.Out, o.In, o.n, 1, dy, o.Out, io.Src[0], o.In, 0, o.Weight.Grad, o.In)
	if o.Bias != nil {
		clear(o.Bias.Grad)
		kernels.SumRows(o.Bias.Grad, dy, o.n, o.Out)
	}
	if io.DSrc[0] != nil {
		kernels.Gemm(false, false, o.n, o.In, o.Out, 1, dy, o.Out, o.Weight.Value, o.In, 0, io.DSrc[0], o.In)
	}
}

// CosineLinear is a linear layer of unit vectors: y_j = w_j.x / (|w_j| |x|), the
// cosines of the angles between the features and one direction per class. Its
// tensor is weight (Out x In). A zero vector has cosine 0 with everything and
// gets no gradient.
type CosineLinear struct {
	name    string
	In, Out int
	Weight  *Param
}

// NewCosineLinear returns a layer of out cosines of vectors of in elements.
func NewCosineLinear(name string, in, out int) *CosineLinear {
	return &CosineLinear{name, in, out, newParam(name+".weight", initUniform(in), out, in)}
}

// Name implements Layer.
func (l *CosineLinear) Name() string { return l.name }

// Params implements Layer.
func (l *CosineLinear) Params() []*Param { return []*Param{l.Weight} }

// Outputs implements Layer.
func (l *CosineLinear) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 || in[0] != (Shape{1, 1, l.In}) {
		return nil, fmt.Errorf("inputs %v, want one vector of %d", in, l.In)
	}
	return []Shape{{1, 1, l.Out}}, nil
}

// Plan implements Layer.
func (l *CosineLinear) Plan(n int, _ []Shape, _ bool) (Op, error) {
	return &cosineOp{CosineLinear: l, n: n,
		x: make([]float32, n*l.In), w: make([]float32, l.Out*l.In), dw: make([]float32, l.Out*l.In),
		xInv: make([]float32, n), wInv: make([]float32, l.Out)}, nil
}

type cosineOp struct {
	*CosineLinear
	n          int
	x, w, dw   []float32 // unit vectors; dw with respect to them
	xInv, wInv []float32 // 1/length
}

func (o *cosineOp) Needs() Needs { return Needs{} }

func (o *cosineOp) Forward(io *IO) {
	normaliseRows(o.x, o.xInv, io.Src[0], o.In)
	normaliseRows(o.w, o.wInv, o.Weight.Value, o.In)
	kernels.Gemm(false, true, o.n, o.Out, o.In, 1, o.x, o.In, o.w, o.In, 0, io.Dst[0], o.Out)
}

// Backward: with u = x/|x| and g = dL/du, dL/dx = (g - (g.u) u) / |x|.
func (o *cosineOp) Backward(io *IO) {
	dy := io.DDst[0]
	kernels.Gemm(true, false, o.Out, o.In, o.n, 1, dy, o.Out, o.x, o.In, 0, o.dw, o.In)
	normaliseRowsBackward(o.Weight.Grad, o.dw, o.w, o.wInv, o.In)
	if dx := io.DSrc[0]; dx != nil {
		kernels.Gemm(false, false, o.n, o.In, o.Out, 1, dy, o.Out, o.w, o.In, 0, dx, o.In)
		normaliseRowsBackward(dx, dx, o.x, o.xInv, o.In)
	}
}

// normaliseRows writes each row of src, c elements, divided by its length and
// the reciprocal of the length; zeros for a zero row. Lengths are float64.
func normaliseRows(dst, inv, src []float32, c int) {
	for i := range inv {
		row := src[i*c : (i+1)*c]
		sum := 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		inv[i] = inverseLength(sum)
		for j, v := range row {
			dst[i*c+j] = v * inv[i]
		}
	}
}

func inverseLength(sumSquares float64) float32 {
	if sumSquares == 0 {
		return 0
	}
	return float32(1 / math.Sqrt(sumSquares))
}

// normaliseRowsBackward turns g, the gradient with respect to the unit rows, into
// the gradient with respect to the rows. dst may be g.
func normaliseRowsBackward(dst, g, unit, inv []float32, c int) {
	for i, r := range inv {
		u, gi, di := unit[i*c:(i+1)*c], g[i*c:(i+1)*c], dst[i*c:(i+1)*c]
		along := kernels.Dot(gi, u)
		for j, v := range gi {
			di[j] = (v - along*u[j]) * r
		}
	}
}
