package train

import (
	"fmt"

	"github.com/golanes/lanes/conv"
)

// Conv2D is a convolution with tensors weight (K, C/Groups, R, S) and, if it has
// one, bias (K).
type Conv2D struct {
	name string
	// Geometry has everything but the batch and the image, which come from
	// the input.
	Geometry     conv.Shape
	Accuracy     conv.Accuracy
	Weight, Bias *Param // Bias is nil for a layer without
}

// NewConv2D returns a convolution. Of shape, N, H and W are not used.
func NewConv2D(name string, shape conv.Shape, bias bool) *Conv2D {
	shape.Groups = max(shape.Groups, 1)
	cg := shape.C / shape.Groups
	fanOut := shape.K / shape.Groups * shape.R * shape.S
	l := &Conv2D{name: name, Geometry: shape,
		Weight: newParam(name+".weight", initKaimingNormal(fanOut), shape.K, cg, shape.R, shape.S)}
	if bias {
		l.Bias = newParam(name+".bias", initConstant(0), shape.K)
		l.Bias.Norm = true
	}
	return l
}

// Name implements Layer.
func (l *Conv2D) Name() string { return l.name }

// Params implements Layer.
func (l *Conv2D) Params() []*Param {
	if l.Bias == nil {
		return []*Param{l.Weight}
	}
	return []*Param{l.Weight, l.Bias}
}

func (l *Conv2D) shape(n int, in Shape) conv.Shape {
	s := l.Geometry
	s.N, s.H, s.W = n, in.H, in.W
	return s
}

// Outputs implements Layer.
func (l *Conv2D) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 || in[0].C != l.Geometry.C {
		return nil, fmt.Errorf("inputs %v, want one of %d channels", in, l.Geometry.C)
	}
	s := l.shape(1, in[0])
	if _, err := conv.NewPlan(s, conv.Options{}); err != nil {
		return nil, err
	}
	return []Shape{{s.OH(), s.OW(), s.K}}, nil
}

// Plan implements Layer.
func (l *Conv2D) Plan(n int, in []Shape, train bool) (Op, error) {
	p, err := conv.NewPlan(l.shape(n, in[0]), conv.Options{Accuracy: l.Accuracy, Overwrite: true})
	if err != nil {
		return nil, err
	}
	o := &convOp{Conv2D: l, plan: p, work: p.WorkspaceForward()}
	if train {
		o.work = p.Workspace()
	}
	return o, nil
}

type convOp struct {
	*Conv2D
	plan *conv.Plan
	work int
}

func (o *convOp) Needs() Needs { return Needs{Src: true, Work: o.work} }

func (o *convOp) Forward(io *IO) {
	o.plan.Forward(io.Dst[0], io.Src[0], o.Weight.Value, o.bias(), nil, io.Work)
}

func (o *convOp) bias() []float32 {
	if o.Bias == nil {
		return nil
	}
	return o.Bias.Value
}

func (o *convOp) Backward(io *IO) {
	var db []float32
	if o.Bias != nil {
		db = o.Bias.Grad
	}
	o.plan.BackwardWeights(o.Weight.Grad, db, io.Src[0], io.DDst[0], io.Work)
	if io.DSrc[0] != nil {
		o.plan.BackwardData(io.DSrc[0], io.DDst[0], o.Weight.Value, io.Work)
	}
}
