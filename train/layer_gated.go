package train

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/attention"
	"github.com/golanes/lanes/kernels"
)

// GatedNorm is what plans make of a batch norm, squeeze and excitation on its
// result, an addition and an activation, where nothing else reads what lies
// between:
//
//	y = act( norm(x) * a + residual )
//
// with inputs x and residual, outputs y and the attention vector a, and the
// tensors of its parts. It never stores norm(x), with or without the factor.
type GatedNorm struct {
	Norm *BatchNorm
	Gate *Attention // of kind SEAttention, with Rescale
	Act  kernels.Activation
}

// Name implements Layer.
func (l *GatedNorm) Name() string { return l.Norm.Name() }

// Params implements Layer.
func (l *GatedNorm) Params() []*Param { return append(l.Norm.Params(), l.Gate.Params()...) }

// Outputs implements Layer.
func (l *GatedNorm) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 2 || in[0] != in[1] || in[0].C != l.Norm.C || in[0].C != l.Gate.C {
		return nil, fmt.Errorf("inputs %v, want two of %d channels", in, l.Norm.C)
	}
	return []Shape{in[0], {1, 1, l.Norm.C}}, nil
}

// Plan implements Layer.
func (l *GatedNorm) Plan(n int, in []Shape, train bool) (Op, error) {
	if _, err := l.Norm.Plan(n, in[:1], train); err != nil {
		return nil, err
	}
	hw, c := in[0].H*in[0].W, l.Norm.C
	se, err := attention.NewSE(attention.Shape{N: n, C: c, H: in[0].H, W: in[0].W}, l.Gate.Hidden, attention.Options{})
	if err != nil {
		return nil, err
	}
	o := &gatedNormOp{GatedNorm: l, n: n, hw: hw, passes: kernels.NewGatedNorm(n, hw, c, l.Act), se: se, state: se.NewState()}
	for _, v := range []*[]float32{&o.mean, &o.variance, &o.scale, &o.shift, &o.factor} {
		*v = make([]float32, c)
	}
	for _, v := range []*[]float32{&o.sampleMean, &o.z, &o.scales, &o.shifts} {
		*v = make([]float32, n*c)
	}
	if train {
		o.da, o.dz = make([]float32, n*c), make([]float32, n*c)
		o.sums, o.dots = make([]float64, c), make([]float64, c)
	}
	return o, nil
}

// gatedNormOp is a GatedNorm of n samples of hw positions. Vectors have an element
// for each channel, those of samples one for each sample and channel.
type gatedNormOp struct {
	*GatedNorm
	n, hw  int
	passes *kernels.GatedNorm
	se     *attention.SE
	state  *attention.State

	mean, variance  []float32 // of the batch
	scale, shift    []float32 // norm(x) = x*scale + shift
	sampleMean, z   []float32 // of samples: of x, of norm(x)
	scales, shifts  []float32 // of samples: norm(x)*a = x*scales + shifts
	factor          []float32 // backward, of x-mean
	da, dz          []float32 // of samples: gradients of a and z
	sums, dots      []float64
	unused, unused2 []float32 // take gradients nobody needs
}

func (o *gatedNormOp) Needs() Needs {
	return Needs{Src: true, OnlyFirst: true, Dst: true, GradInPlace: [2]bool{false, true}}
}

func (o *gatedNormOp) Forward(io *IO) {
	l, a := o.Norm, io.Dst[1]
	o.passes.Stats(o.mean, o.variance, o.sampleMean, io.Src[0])
	mean, variance := l.RunningMean.Value, l.RunningVar.Value
	if io.Train {
		mean, variance = o.mean, o.variance
		kernels.BatchNormUpdate(l.RunningMean.Value, l.RunningVar.Value, mean, variance, o.n*o.hw, float32(l.Momentum))
	}
	kernels.BatchNormFold(o.scale, o.shift, l.Weight.Value, l.Bias.Value, mean, variance, float32(l.Eps))
	for i := 0; i < len(a); i += l.C {
		for k, s := range o.scale {
			o.z[i+k] = o.sampleMean[i+k]*s + o.shift[k]
		}
	}
	o.se.Vector(a, o.z, o.Gate.weights(), o.state)
	for i := 0; i < len(a); i += l.C {
		for k, s := range o.scale {
			o.scales[i+k], o.shifts[i+k] = s*a[i+k], o.shift[k]*a[i+k]
		}
	}
	o.passes.Apply(io.Dst[0], io.Src[0], io.Src[1], o.scales, o.shifts)
}

// Backward: with g the gradient of norm(x)*a and of the residual, S and D the sums
// over a sample of g and g*(x-mean), and xhat = (x-mean)*inverse,
//
//	da  = sum g*norm(x) = gamma*inverse*D + beta*S
//	b   = g*a + dz/hw, the gradient of norm(x); dz is that of its means
//	dbeta  = sum b      = sum over samples of a*S + dz
//	dgamma = sum b*xhat = inverse * dot,  dot = sum over samples of a*D + dz*(mean of sample - mean)
//	dx  = gamma*inverse * (b - dbeta/rows - xhat*dgamma/rows)
func (o *gatedNormOp) Backward(io *IO) {
	dy, y, x := io.DDst[0], io.Dst[0], io.Src[0]
	sum, dot := o.scales, o.shifts
	o.passes.GradSums(sum, dot, dy, x, y, o.mean)
	o.gateBackward(io.Dst[1], io.DDst[1], sum, dot)
	o.vectorsBackward(io.Dst[1], sum, dot)
	dx, dres := orUnused(io.DSrc[0], &o.unused, len(x)), orUnused(io.DSrc[1], &o.unused2, len(x))
	o.passes.GradApply(dx, dres, dy, x, y, o.mean, o.scales, o.factor, o.shifts)
}

// gateBackward sets dz and the gradients of the attention's tensors from the sums
// over samples and the gradient that reaches the vector a from outside, or nil.
func (o *gatedNormOp) gateBackward(a, outside, sum, dot []float32) {
	for i := 0; i < len(a); i += o.Norm.C {
		for k, s := range o.scale { // gamma*inverse
			o.da[i+k] = float32(float64(s)*float64(dot[i+k]) + float64(o.Norm.Bias.Value[k])*float64(sum[i+k]))
		}
	}
	if outside != nil {
		kernels.Add(o.da, o.da, outside)
	}
	o.se.VectorBackward(o.dz, o.Gate.clearedGradients(), o.da, a, o.Gate.weights(), o.state)
}

// vectorsBackward sets the gradients of the norm's tensors, and leaves the factors
// of dx = scales*g + factor*(x-mean) + shifts in place of the sums.
func (o *gatedNormOp) vectorsBackward(a, sum, dot []float32) {
	l := o.Norm
	clear(o.sums)
	clear(o.dots)
	for i := 0; i < len(a); i += l.C {
		for k, m := range o.mean {
			f, dz := float64(a[i+k]), float64(o.dz[i+k])
			o.sums[k] += f*float64(sum[i+k]) + dz
			o.dots[k] += f*float64(dot[i+k]) + dz*(float64(o.sampleMean[i+k])-float64(m))
		}
	}
	rows := float64(o.n * o.hw)
	for k := range o.sums {
		inverse := 1 / math.Sqrt(float64(o.variance[k])+float64(float32(l.Eps)))
		l.Bias.Grad[k], l.Weight.Grad[k] = float32(o.sums[k]), float32(o.dots[k]*inverse)
		o.factor[k] = float32(-float64(o.scale[k]) * inverse * inverse * o.dots[k] / rows)
	}
	for i := 0; i < len(a); i += l.C {
		for k, s := range o.scale {
			o.scales[i+k] = s * a[i+k]
			o.shifts[i+k] = float32(float64(s) * (float64(o.dz[i+k])/float64(o.hw) - o.sums[k]/rows))
		}
	}
}

// orUnused returns d, or a buffer for a gradient that nobody needs.
func orUnused(d []float32, unused *[]float32, n int) []float32 {
	if d == nil && *unused == nil {
		*unused = make([]float32, n)
	}
	if d == nil {
		return *unused
	}
	return d
}
