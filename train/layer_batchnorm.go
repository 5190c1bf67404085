package train

import (
	"errors"
	"fmt"
	"math"

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
	return newBatchNormOp(l, rows, len(in) == 2, train), nil
}

type batchNormOp struct {
	*BatchNorm
	rows            int
	residual, train bool
	mean, variance  []float32 // of the batch
	inv             []float32 // 1/sqrt(var+eps)
	scale, shift    []float32 // y = x*scale + shift
}

func newBatchNormOp(l *BatchNorm, rows int, residual, train bool) *batchNormOp {
	f := make([]float32, 5*l.C)
	part := func(i int) []float32 { return f[i*l.C : (i+1)*l.C : (i+1)*l.C] }
	return &batchNormOp{BatchNorm: l, rows: rows, residual: residual, train: train,
		mean: part(0), variance: part(1), inv: part(2), scale: part(3), shift: part(4)}
}

func (o *batchNormOp) Needs() Needs {
	return Needs{Src: true, Dst: o.Act != kernels.Identity, InPlace: true,
		GradInPlace: [2]bool{!o.residual, o.residual}}
}

func (o *batchNormOp) Forward(io *IO) {
	mean, variance := o.RunningMean.Value, o.RunningVar.Value
	if io.Train {
		mean, variance = o.mean, o.variance
		opBatchNormStats(mean, variance, io.Src[0], o.rows, o.C)
		o.updateRunning()
	}
	for i, v := range variance {
		inv := 1 / math.Sqrt(float64(v)+o.Eps)
		scale := float64(o.Weight.Value[i]) * inv
		o.inv[i], o.scale[i] = float32(inv), float32(scale)
		o.shift[i] = float32(float64(o.Bias.Value[i]) - float64(mean[i])*scale)
	}
	if o.residual {
		opBatchNormApplyAdd(o.Act, io.Dst[0], io.Src[0], io.Src[1], o.scale, o.shift, o.rows, o.C)
		return
	}
	opBatchNormApply(o.Act, io.Dst[0], io.Src[0], o.scale, o.shift, o.rows, o.C)
}

func (o *batchNormOp) updateRunning() {
	m, unbias := o.Momentum, float64(o.rows)/float64(o.rows-1)
	for i, v := range o.variance {
		o.RunningMean.Value[i] = float32((1-m)*float64(o.RunningMean.Value[i]) + m*float64(o.mean[i]))
		o.RunningVar.Value[i] = float32((1-m)*float64(o.RunningVar.Value[i]) + m*float64(v)*unbias)
	}
}

func (o *batchNormOp) Backward(io *IO) {
	var dres []float32
	if o.residual {
		dres = io.DSrc[1]
	}
	opBatchNormBackward(o.Act, io.DSrc[0], dres, o.Weight.Grad, o.Bias.Grad, io.DDst[0], io.Src[0], io.Dst[0],
		o.mean, o.inv, o.Weight.Value, o.rows, o.C)
}
