package train

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/attention"
)

// Attention is a channel attention module of package attention: squeeze and
// excitation, ECA, or the channel half of CBAM. Its outputs are the features
// multiplied by the attention vector, unless it only computes the vector, and the
// vector, which losses may give a gradient of its own.
//
// The tensors of SE and CBAM are <fc1>.weight (Hidden x C), <fc1>.bias,
// <fc2>.weight (C x Hidden) and <fc2>.bias; that of ECA is <name>.weight (1 x 1 x
// K).
type Attention struct {
	name string
	Kind string // SEAttention, ECAAttention or CBAMAttention
	C    int
	// Hidden is the width of the hidden layer, K the size of ECA's kernel.
	Hidden, K int
	// Rescale is false for a module that only computes the vector.
	Rescale bool

	W1, B1, W2, B2 *Param // of SE and CBAM
	Kernel         *Param // of ECA
}

// NewSE returns squeeze and excitation of c channels with a hidden layer; fc1 and
// fc2 name its tensors.
func NewSE(fc1, fc2 string, c, hidden int, rescale bool) *Attention {
	return newMLPAttention(SEAttention, fc1, fc2, c, hidden, rescale)
}

// NewCBAM returns the channel half of CBAM; its arguments are those of NewSE.
func NewCBAM(fc1, fc2 string, c, hidden int, rescale bool) *Attention {
	return newMLPAttention(CBAMAttention, fc1, fc2, c, hidden, rescale)
}

func newMLPAttention(kind, fc1, fc2 string, c, hidden int, rescale bool) *Attention {
	first, second := NewLinear(fc1, c, hidden, true), NewLinear(fc2, hidden, c, true)
	return &Attention{name: fc1, Kind: kind, C: c, Hidden: hidden, Rescale: rescale,
		W1: first.Weight, B1: first.Bias, W2: second.Weight, B2: second.Bias}
}

// NewECA returns efficient channel attention of c channels with the kernel size
// its authors choose for c.
func NewECA(name string, c int, rescale bool) *Attention {
	k := attention.ECASize(c)
	return &Attention{name: name, Kind: ECAAttention, C: c, K: k, Rescale: rescale,
		Kernel: newParam(name+".weight", initUniform(k), 1, 1, k)}
}

// Name implements Layer.
func (l *Attention) Name() string { return l.name }

// Params implements Layer.
func (l *Attention) Params() []*Param {
	if l.Kind == ECAAttention {
		return []*Param{l.Kernel}
	}
	return []*Param{l.W1, l.B1, l.W2, l.B2}
}

// Outputs implements Layer.
func (l *Attention) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 || in[0].C != l.C {
		return nil, fmt.Errorf("inputs %v, want one of %d channels", in, l.C)
	}
	vector := Shape{1, 1, l.C}
	if l.Rescale {
		return []Shape{in[0], vector}, nil
	}
	return []Shape{vector}, nil
}

// Plan implements Layer.
func (l *Attention) Plan(n int, in []Shape, train bool) (Op, error) {
	shape := attention.Shape{N: n, C: l.C, H: in[0].H, W: in[0].W}
	opt := attention.Options{HeadOnly: !l.Rescale}
	o := &attentionOp{Attention: l}
	var err error
	switch l.Kind {
	case SEAttention:
		if o.se, err = attention.NewSE(shape, l.Hidden, opt); err == nil && train {
			o.state = o.se.NewState()
		}
	case CBAMAttention:
		if o.cbam, err = attention.NewCBAM(shape, l.Hidden, opt); err == nil && train {
			o.state = o.cbam.NewState()
		}
	case ECAAttention:
		if o.eca, err = attention.NewECA(shape, l.K, opt); err == nil && train {
			o.state = o.eca.NewState()
		}
	default:
		err = errors.New("unknown kind of attention")
	}
	return o, err
}

type attentionOp struct {
	*Attention
	se    *attention.SE // one of the three
	cbam  *attention.CBAM
	eca   *attention.ECA
	state *attention.State
}

func (o *attentionOp) Needs() Needs {
	return Needs{Src: o.Rescale, Dst: true, InPlace: o.Rescale,
		GradInPlace: [2]bool{o.Rescale}, GradAdd: !o.Rescale}
}

// outputs splits a list of outputs into features, nil without rescaling, and
// vector.
func (o *attentionOp) outputs(list [][]float32) (features, vector []float32) {
	if o.Rescale {
		features = list[0]
	}
	return features, list[len(list)-1]
}

func (l *Attention) weights() attention.MLP {
	return attention.MLP{W1: l.W1.Value, B1: l.B1.Value, W2: l.W2.Value, B2: l.B2.Value}
}

// clearedGradients returns zeros that take the gradients of the weights, which
// package attention adds.
func (l *Attention) clearedGradients() attention.MLP {
	for _, p := range [...]*Param{l.W1, l.B1, l.W2, l.B2} {
		clear(p.Grad)
	}
	return attention.MLP{W1: l.W1.Grad, B1: l.B1.Grad, W2: l.W2.Grad, B2: l.B2.Grad}
}

func (o *attentionOp) Forward(io *IO) {
	dst, a := o.outputs(io.Dst)
	switch {
	case o.se != nil:
		o.se.Forward(dst, a, io.Src[0], o.weights(), o.state)
	case o.cbam != nil:
		o.cbam.Forward(dst, a, io.Src[0], o.weights(), o.state)
	default:
		o.eca.Forward(dst, a, io.Src[0], o.Kernel.Value, o.state)
	}
}

func (o *attentionOp) Backward(io *IO) {
	dy, da := o.outputs(io.DDst)
	_, a := o.outputs(io.Dst)
	if !o.Rescale && io.Add {
		dy = io.DSrc[0]
	}
	if o.eca != nil {
		clear(o.Kernel.Grad)
		o.eca.Backward(io.DSrc[0], o.Kernel.Grad, dy, da, io.Src[0], a, o.Kernel.Value, o.state)
		return
	}
	dw := o.clearedGradients()
	if o.se != nil {
		o.se.Backward(io.DSrc[0], dw, dy, da, io.Src[0], a, o.weights(), o.state)
		return
	}
	o.cbam.Backward(io.DSrc[0], dw, dy, da, io.Src[0], a, o.weights(), o.state)
}
