package train

import (
	"fmt"

	"github.com/golanes/lanes/pool"
)

// GlobalAvgPool averages each channel over all positions.
type GlobalAvgPool struct{ name string }

// NewGlobalAvgPool returns a layer that averages over all positions.
func NewGlobalAvgPool(name string) *GlobalAvgPool { return &GlobalAvgPool{name} }

// Name implements Layer.
func (l *GlobalAvgPool) Name() string { return l.name }

// Params implements Layer.
func (l *GlobalAvgPool) Params() []*Param { return nil }

// Outputs implements Layer.
func (l *GlobalAvgPool) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%d inputs, want 1", len(in))
	}
	return []Shape{{1, 1, in[0].C}}, nil
}

// Plan implements Layer.
func (l *GlobalAvgPool) Plan(n int, in []Shape, _ bool) (Op, error) {
	return &globalAvgOp{n, in[0].H * in[0].W, in[0].C}, nil
}

type globalAvgOp struct{ n, hw, c int }

func (o *globalAvgOp) Needs() Needs { return Needs{View: o.hw == 1} }

func (o *globalAvgOp) Forward(io *IO) { pool.GlobalAvg(io.Dst[0], io.Src[0], o.n, o.hw, o.c) }

func (o *globalAvgOp) Backward(io *IO) {
	if io.DSrc[0] != nil {
		pool.GlobalAvgBackward(io.DSrc[0], io.DDst[0], o.n, o.hw, o.c)
	}
}

// Pool is max or average pooling over windows.
type Pool struct {
	name string
	// Geometry has everything but the batch and the input's shape.
	Geometry pool.Shape
	// Average takes averages by the rule Count in place of maxima.
	Average bool
	Count   pool.Count
}

// NewMaxPool returns max pooling over size x size windows.
func NewMaxPool(name string, size, stride, pad int) *Pool {
	return &Pool{name: name, Geometry: squareWindow(size, stride, pad)}
}

// NewAvgPool returns average pooling over size x size windows; padding counts.
func NewAvgPool(name string, size, stride, pad int) *Pool {
	return &Pool{name: name, Geometry: squareWindow(size, stride, pad), Average: true}
}

func squareWindow(size, stride, pad int) pool.Shape {
	return pool.Shape{R: size, S: size, StrideH: stride, StrideW: stride,
		PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad}
}

// Name implements Layer.
func (l *Pool) Name() string { return l.name }

// Params implements Layer.
func (l *Pool) Params() []*Param { return nil }

func (l *Pool) shape(n int, in Shape) pool.Shape {
	s := l.Geometry
	s.N, s.H, s.W, s.C = n, in.H, in.W, in.C
	return s
}

// Outputs implements Layer.
func (l *Pool) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%d inputs, want 1", len(in))
	}
	s := l.shape(1, in[0])
	if _, err := l.Plan(1, in, false); err != nil {
		return nil, err
	}
	return []Shape{{s.OH(), s.OW(), s.C}}, nil
}

// Plan implements Layer.
func (l *Pool) Plan(n int, in []Shape, train bool) (Op, error) {
	if l.Average {
		p, err := pool.NewAvg(l.shape(n, in[0]), l.Count)
		return (*avgPoolOp)(p), err
	}
	p, err := pool.NewMax(l.shape(n, in[0]))
	if err != nil {
		return nil, err
	}
	o := &maxPoolOp{plan: p}
	if train {
		o.arg = p.NewArgmax()
	}
	return o, nil
}

type avgPoolOp pool.Avg

func (o *avgPoolOp) Needs() Needs { return Needs{} }

func (o *avgPoolOp) Forward(io *IO) { (*pool.Avg)(o).Forward(io.Dst[0], io.Src[0]) }

func (o *avgPoolOp) Backward(io *IO) {
	if io.DSrc[0] != nil {
		(*pool.Avg)(o).Backward(io.DSrc[0], io.DDst[0])
	}
}

type maxPoolOp struct {
	plan *pool.Max
	arg  *pool.Argmax // nil in evaluation
}

func (o *maxPoolOp) Needs() Needs { return Needs{} }

func (o *maxPoolOp) Forward(io *IO) { o.plan.Forward(io.Dst[0], o.arg, io.Src[0]) }

func (o *maxPoolOp) Backward(io *IO) {
	if io.DSrc[0] != nil {
		o.plan.Backward(io.DSrc[0], io.DDst[0], o.arg)
	}
}
