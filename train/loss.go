package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/golanes/lanes/ccloss"
)

// Kinds of loss. All but ce, focal, arcface and cosface are the cross entropy
// plus Lambda times a second term.
const (
	LossCE      = "ce"
	LossCC      = "cc"      // channel-correlation loss of the attention vectors
	LossCenter  = "center"  // distance of the features to learned class centres
	LossFocal   = "focal"   // cross entropy weighted by (1-p)^Gamma
	LossArcFace = "arcface" // additive angular margin
	LossCosFace = "cosface" // additive cosine margin
	LossSupCon  = "supcon"  // supervised contrastive
	LossTriplet = "triplet" // batch-hard triplet
)

// LossKinds lists the kinds of loss.
func LossKinds() []string {
	return []string{LossCE, LossCC, LossCenter, LossFocal, LossArcFace, LossCosFace, LossSupCon, LossTriplet}
}

// LossConfig describes a training objective.
type LossConfig struct {
	// Kind is one of LossKinds; empty means LossCE.
	Kind string `json:"kind"`
	// LabelSmoothing moves this share of each target to all classes alike;
	// 0 <= LabelSmoothing < 1. For every kind but focal.
	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	// Lambda weighs the second term. 0 is 0: the second term is measured
	// but does not train.
	Lambda float64 `json:"lambda,omitempty"`
	// Ramp lets Lambda rise linearly from 0 over this many epochs.
	Ramp float64 `json:"ramp,omitempty"`
	// CC are the options of the channel-correlation loss.
	CC ccloss.Options `json:"cc"`
	// Stages is the number of attention vectors, counted from the main one
	// back, whose losses are averaged; 0 means 1.
	Stages int `json:"stages,omitempty"`
	// Gamma is the exponent of focal; default 2.
	Gamma float64 `json:"gamma,omitempty"`
	// Scale multiplies the cosines of arcface and cosface; default 16.
	Scale float64 `json:"scale,omitempty"`
	// Margin of arcface (radians, default 0.3), cosface (default 0.35) and
	// triplet (default 0.3).
	Margin float64 `json:"margin,omitempty"`
	// Temperature divides the similarities of supcon; default 0.1.
	Temperature float64 `json:"temperature,omitempty"`
}

// CosineHead reports whether the loss wants a model whose class scores are
// cosines (Spec.CosineHead).
func (c LossConfig) CosineHead() bool { return c.Kind == LossArcFace || c.Kind == LossCosFace }

// withDefaults fills in what is zero and checks the rest.
func (c LossConfig) withDefaults() (LossConfig, error) {
	if c.Kind == "" {
		c.Kind = LossCE
	}
	if !slices.Contains(LossKinds(), c.Kind) {
		return c, fmt.Errorf("train: unknown loss %q", c.Kind)
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"lambda", c.Lambda}, {"ramp", c.Ramp}, {"gamma", c.Gamma}, {"scale", c.Scale}, {"margin", c.Margin},
		{"temperature", c.Temperature}, {"label smoothing", c.LabelSmoothing}} {
		if !(v.value >= 0) || math.IsInf(v.value, 0) {
			return c, fmt.Errorf("train: %s of the loss is %v; it must be a number of at least 0", v.name, v.value)
		}
	}
	if c.Kind == LossFocal && c.LabelSmoothing > 0 {
		return c, errors.New("train: label smoothing is not defined for the focal loss")
	}
	if c.LabelSmoothing >= 1 {
		return c, fmt.Errorf("train: label smoothing %v; it must be below 1", c.LabelSmoothing)
	}
	if c.Stages < 0 {
		return c, errors.New("train: negative number of loss stages")
	}
	c.Stages = max(c.Stages, 1)
	c.Gamma = orDefault(c.Gamma, 2)
	c.Scale = orDefault(c.Scale, 16)
	c.Temperature = orDefault(c.Temperature, 0.1)
	if c.Kind == LossCosFace {
		c.Margin = orDefault(c.Margin, 0.35)
	}
	c.Margin = orDefault(c.Margin, 0.3)
	return c, nil
}

// LossValue is a loss and its parts, averaged over a batch: Total = CE +
// lambda*Aux. CE is the classification term of the loss's kind, Aux the second
// term.
type LossValue struct{ Total, CE, Aux float64 }

// lossIO is what a loss reads and writes for one batch: class scores N x K,
// features N x F, attention vectors N x C_s, labels N, and the gradients of the
// total with respect to those, overwritten where not nil.
type lossIO struct {
	logits, features   []float32
	attentions         [][]float32
	labels             []int32
	dLogits, dFeatures []float32
	// Of mixed samples: the second label, and the weight of the first; nil
	// without.
	other       []int32
	weight      []float32
	dAttentions [][]float32
}

// objective is a LossConfig for batches of n samples of one model.
type objective struct {
	cfg LossConfig
	ce  *crossEntropy
	aux auxiliary // nil for a loss without second term
	io  lossIO
	in  lossInputs
}

// auxiliary is the second term of a loss. compute returns its value and writes
// weight times its gradient.
type auxiliary interface {
	compute(io *lossIO, weight float64) float64
	// params are the tensors the term trains along with the model.
	params() []*Param
}

// lossInputs are the outputs of a model whose gradient a loss provides.
type lossInputs struct {
	logits, features Value // features is -1 if not used
	attentions       []Value
}

func (in lossInputs) values() []Value {
	v := []Value{in.logits}
	if in.features >= 0 {
		v = append(v, in.features)
	}
	return append(v, in.attentions...)
}

// newObjective plans cfg, which withDefaults has checked, for batches of n
// samples of m.
func newObjective(cfg LossConfig, m *Model, n int) (*objective, error) {
	logits, features, attentions := m.Outputs()
	o := &objective{cfg: cfg, ce: newCrossEntropy(cfg, n, m.Classes()), in: lossInputs{logits: logits, features: -1}}
	var err error
	switch cfg.Kind {
	case LossCC:
		if len(attentions) == 0 {
			return nil, errors.New("train: loss cc needs a model with channel attention: se, eca or cbam")
		}
		if len(attentions) < cfg.Stages {
			return nil, fmt.Errorf("train: the loss looks at %d attention vectors, the model has %d", cfg.Stages, len(attentions))
		}
		o.in.attentions = attentions[len(attentions)-cfg.Stages:]
		o.aux, err = newCCLoss(cfg.CC, m, o.in.attentions, n)
	case LossCenter:
		o.in.features = features
		o.aux = newCenterLoss(n, m.Classes(), m.Features())
	case LossSupCon:
		o.in.features = features
		o.aux = newSupCon(n, m.Features(), cfg.Temperature)
	case LossTriplet:
		o.in.features = features
		o.aux = newTriplet(n, m.Features(), cfg.Margin)
	}
	if err != nil {
		return nil, err
	}
	o.io.attentions = make([][]float32, len(o.in.attentions))
	o.io.dAttentions = make([][]float32, len(o.in.attentions))
	return o, nil
}

func (o *objective) params() []*Param {
	if o.aux == nil {
		return nil
	}
	return o.aux.params()
}

// compute returns the loss of what p.Forward computed and fills the gradients for
// p.Backward. lambda is the weight of the second term at this moment. With other and
// weight, samples are of two classes: the classification term is weight times that
// with labels plus 1-weight times that with other. The second term sees labels only,
// the class that prevails.
func (o *objective) compute(p *Plan, labels, other []int32, weight []float32, lambda float64) LossValue {
	io := &o.io
	io.labels, io.other, io.weight = labels, other, weight
	io.logits, io.dLogits = p.Output(o.in.logits), p.OutputGrad(o.in.logits)
	if v := o.in.features; v >= 0 {
		io.features, io.dFeatures = p.Output(v), p.OutputGrad(v)
	}
	for i, v := range o.in.attentions {
		io.attentions[i], io.dAttentions[i] = p.Output(v), p.OutputGrad(v)
	}
	l := LossValue{CE: o.ce.compute(io)}
	l.Total = l.CE
	if o.aux != nil {
		l.Aux = o.aux.compute(io, lambda)
		l.Total += lambda * l.Aux
	}
	return l
}
