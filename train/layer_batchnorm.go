package train

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// BatchNorm normalises each channel over the batch and all positions (Ioffe and
// Szegedy, 2015) and applies an activation. With a second input r, shaped as the
// first, that is added before the activation, which is how a residual block ends:
//
//	y = act( (x-mean)/sqrt(var+Eps) * weight + bias + r )
//
// In training mean and var are those of the batch (var biased) and move the
// running statistics by Momentum (towards the unbiased var); in evaluation they
// are the running ones. Its tensors are weight, bias, running_mean and
// running_var.
type BatchNorm struct {
	name          string
	C             int
	Eps, Momentum float64
	Act           kernels.Activation // Identity, ReLU or ReLU6

	Weight, Bias, RunningMean, RunningVar *Param
}

// NewBatchNorm returns a normalisation of c channels with eps 1e-5 and momentum
// 0.1.
func NewBatchNorm(name string, c int, act kernels.Activation) *BatchNorm {
	l := &BatchNorm{name: name, C: c, Eps: 1e-5, Momentum: 0.1, Act: act,
		Weight:      newParam(name+".weight", initConstant(1), c),
		Bias:        newParam(name+".bias", initConstant(0), c),
		RunningMean: newBuffer(name+".running_mean", 0, c),
		RunningVar:  newBuffer(name+".running_var", 1, c),
	}
	l.Weight.Norm, l.Bias.Norm = true, true
	return l
}

// Name implements Layer.
func (l *BatchNorm) Name() string { return l.name }

// Params implements Layer.
func (l *BatchNorm) Params() []*Param {
	return []*Param{l.Weight, l.Bias, l.RunningMean, l.RunningVar}
}

// Outputs implements Layer.
func (l *BatchNorm) Outputs(in []Shape) ([]Shape, error) {
	switch {
	case len(in) < 1 || len(in) > 2 || in[0].C != l.C || in[len(in)-1] != in[0]:
		return nil, fmt.Errorf("inputs %v, want one or two of %d channels", in, l.C)
	case l.Act != kernels.Identity && l.Act != kernels.ReLU && l.Act != kernels.ReLU6:
		return nil, errors.New("the activation cannot be told from its output")
	}
	return in[:1], nil
}

// Plan implements Layer.
func (l *BatchNorm) Plan(n int, in []Shape, train bool) (Op, error) {
	rows := n * in[0].H * in[0].W
	if train && rows < 2 {
		return nil, errors.New("batch statistics need more than one value per channel; use a larger batch")
	}
	return newBatchNormOp(l, rows, len(in) == 2), nil
}

type batchNormOp struct {
	*BatchNorm
	rows           int
	residual       bool
	mean, variance []float32 // of the batch
	scale, shift   []float32 // y = act(x*scale + shift + r)
	grad           kernels.BatchNormGrad
	unused         []float32 // takes the gradient of an image
}

func newBatchNormOp(l *BatchNorm, rows int, residual bool) *batchNormOp {
	f := make([]float32, 4*l.C)
	part := func(i int) []float32 { return f[i*l.C : (i+1)*l.C : (i+1)*l.C] }
	return &batchNormOp{BatchNorm: l, rows: rows, residual: residual,
		mean: part(0), variance: part(1), scale: part(2), shift: part(3)}
}

// With a residual the gated gradient is left to it in place, else dx is.
func (o *batchNormOp) Needs() Needs {
	return Needs{Src: true, OnlyFirst: true, Dst: o.Act != kernels.Identity, InPlace: true,
		GradInPlace: [2]bool{!o.residual, o.residual}}
}

func (o *batchNormOp) Forward(io *IO) {
	mean, variance := o.RunningMean.Value, o.RunningVar.Value
	if io.Train {
		mean, variance = o.mean, o.variance
		kernels.BatchNormStats(mean, variance, io.Src[0], o.rows, o.C)
		kernels.BatchNormUpdate(o.RunningMean.Value, o.RunningVar.Value, mean, variance, o.rows, float32(o.Momentum))
	}
	kernels.BatchNormFold(o.scale, o.shift, o.Weight.Value, o.Bias.Value, mean, variance, float32(o.Eps))
	if o.residual {
		kernels.BatchNormApplyAdd(o.Act, io.Dst[0], io.Src[0], io.Src[1], o.scale, o.shift, o.rows, o.C)
		return
	}
	kernels.BatchNormApply(o.Act, io.Dst[0], io.Src[0], o.scale, o.shift, o.rows, o.C)
}

func (o *batchNormOp) Backward(io *IO) {
	clear(o.Weight.Grad)
	clear(o.Bias.Grad)
	o.grad = kernels.BatchNormGrad{
		Act: o.Act, DY: io.DDst[0], X: io.Src[0], Y: io.Dst[0],
		Gamma: o.Weight.Value, Mean: o.mean, Variance: o.variance, Eps: float32(o.Eps),
		DX: orUnused(io.DSrc[0], &o.unused, len(io.Src[0])), DGamma: o.Weight.Grad, DBeta: o.Bias.Grad,
	}
	if o.residual {
		o.grad.DRes = io.DSrc[1]
	}
	kernels.BatchNormBackward(&o.grad, o.rows, o.C)
}
