package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// Kinds of optimizer.
const (
	SGD     = "sgd"
	Adam    = "adam"
	AdamW   = "adamw"
	RMSprop = "rmsprop"
)

// OptimizerConfig describes how gradients change the parameters. Every kind does
// what the optimizer of that name does in torch.optim, in float32.
type OptimizerConfig struct {
	// Kind is one of the constants above; empty means SGD.
	Kind string `json:"kind"`
	// LR is the base learning rate, which the schedule multiplies.
	LR float64 `json:"lr"`
	// Momentum of sgd and rmsprop; Dampening and Nesterov of sgd.
	Momentum  float64 `json:"momentum,omitempty"`
	Dampening float64 `json:"dampening,omitempty"`
	Nesterov  bool    `json:"nesterov,omitempty"`
	// WeightDecay is added to the gradient times the weight; adamw shrinks
	// the weight by it instead.
	WeightDecay float64 `json:"weight_decay,omitempty"`
	// SkipNormDecay spares normalisation parameters and biases from
	// WeightDecay.
	SkipNormDecay bool `json:"skip_norm_decay,omitempty"`
	// Beta1 and Beta2 of adam and adamw; default 0.9 and 0.999. Here and below,
	// for no smoothing at all pass math.SmallestNonzeroFloat64.
	Beta1 float64 `json:"beta1,omitempty"`
	Beta2 float64 `json:"beta2,omitempty"`
	// AMSGrad makes adam and adamw divide by the largest second moment so
	// far.
	AMSGrad bool `json:"amsgrad,omitempty"`
	// Alpha is the smoothing of rmsprop; default 0.99. Centered subtracts the
	// squared mean gradient from the second moment.
	Alpha    float64 `json:"alpha,omitempty"`
	Centered bool    `json:"centered,omitempty"`
	// Eps is added to the root of the second moment; default 1e-8.
	Eps float64 `json:"eps,omitempty"`
	// Maximize ascends instead of descending.
	Maximize bool `json:"maximize,omitempty"`
}

func (c OptimizerConfig) withDefaults() (OptimizerConfig, error) {
	if c.Kind == "" {
		c.Kind = SGD
	}
	c.Beta1, c.Beta2 = orDefault(c.Beta1, 0.9), orDefault(c.Beta2, 0.999)
	c.Alpha, c.Eps = orDefault(c.Alpha, 0.99), orDefault(c.Eps, 1e-8)
	for _, v := range []struct {
		name  string
		value float64
	}{{"learning rate", c.LR}, {"momentum", c.Momentum}, {"dampening", c.Dampening}, {"weight decay", c.WeightDecay},
		{"beta1", c.Beta1}, {"beta2", c.Beta2}, {"alpha", c.Alpha}, {"eps", c.Eps}} {
		if !(v.value >= 0) || math.IsInf(v.value, 0) {
			return c, fmt.Errorf("train: %s of the optimizer is %v; it must be a number of at least 0", v.name, v.value)
		}
	}
	if c.Beta1 >= 1 || c.Beta2 >= 1 {
		return c, fmt.Errorf("train: beta1 %v and beta2 %v must be below 1", c.Beta1, c.Beta2)
	}
	if c.Nesterov && (c.Momentum == 0 || c.Dampening != 0) {
		return c, errors.New("train: Nesterov needs a momentum and no dampening")
	}
	switch c.Kind {
	case SGD, Adam, AdamW, RMSprop:
		return c, nil
	}
	return c, fmt.Errorf("train: unknown optimizer %q", c.Kind)
}

// Optimizer updates a set of parameters. Its state has one slot of the length of
// the parameters per moment it keeps.
type Optimizer struct {
	cfg    OptimizerConfig
	params *paramSet
	slots  []slot
	decays []decaySegment
	steps  int // taken so far
	lr     float64
	body   func(lo, hi int)
}

type slot struct {
	name  string
	value []float32
}

// decaySegment is a run of parameters, up to end, with one weight decay.
type decaySegment struct {
	end   int
	decay float64
}

// updateGrain is the number of parameters from which a second core pays.
const updateGrain = 1 << 14

// newOptimizer returns an optimizer at its first step. cfg has its defaults
// filled in.
func newOptimizer(cfg OptimizerConfig, params *paramSet) *Optimizer {
	o := &Optimizer{cfg: cfg, params: params}
	for _, name := range cfg.slots() {
		o.slots = append(o.slots, slot{name, kernels.AlignedFloats(len(params.values))})
	}
	at := 0
	for _, p := range params.trained {
		at += roundUp(p.size())
		decay := cfg.WeightDecay
		if p.Norm && cfg.SkipNormDecay {
			decay = 0
		}
		if k := len(o.decays); k > 0 && o.decays[k-1].decay == decay {
			o.decays[k-1].end = at
		} else {
			o.decays = append(o.decays, decaySegment{at, decay})
		}
	}
	o.body = o.update
	return o
}

// slots names the moments the optimizer keeps, by their names in torch.
func (c OptimizerConfig) slots() []string {
	switch c.Kind {
	case Adam, AdamW:
		if c.AMSGrad {
			return []string{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
		}
		return []string{"exp_avg", "exp_avg_sq"}
	case RMSprop:
		names := []string{"square_avg"}
		if c.Centered {
			names = append(names, "grad_avg")
		}
		if c.Momentum > 0 {
			names = append(names, "momentum_buffer")
		}
		return names
	}
	return []string{"momentum_buffer"}
}

// step applies the gradients once at learning rate lr. It is elementwise, so the
// result does not depend on how the elements are shared out.
func (o *Optimizer) step(lr float64) {
	o.steps++
	o.lr = lr
	if o.cfg.Maximize {
		kernels.Scale(-1, o.params.grads)
	}
	kernels.Parallel(len(o.params.values), updateGrain, o.body)
}

func (o *Optimizer) update(lo, hi int) {
	for _, s := range o.decays {
		if s.end <= lo {
			continue
		}
		end := min(s.end, hi)
		o.updateRange(lo, end, s.decay)
		if lo = end; lo == hi {
			return
		}
	}
}

// updateRange updates elements lo to hi, whose weight decay is decay.
func (o *Optimizer) updateRange(lo, hi int, decay float64) {
	c := &o.cfg
	w, g := o.params.values[lo:hi], o.params.grads[lo:hi]
	switch c.Kind {
	case SGD:
		dampening := c.Dampening
		if o.steps == 1 {
			dampening = 0 // the first gradient starts the average
		}
		kernels.SGDMomentum(w, o.slot("momentum_buffer", lo, hi), g,
			float32(o.lr), float32(c.Momentum), float32(dampening), float32(decay), c.Nesterov)
	case Adam, AdamW:
		if c.AMSGrad {
			o.amsgrad(w, g, lo, decay)
			return
		}
		kernels.Adam(w, o.slot("exp_avg", lo, hi), o.slot("exp_avg_sq", lo, hi), g, kernels.AdamParams{
			LR: o.lr, Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Eps, WeightDecay: decay,
			Decoupled: c.Kind == AdamW, Step: o.steps})
	case RMSprop:
		kernels.RMSprop(w, o.slot("square_avg", lo, hi), o.slot("grad_avg", lo, hi), o.slot("momentum_buffer", lo, hi), g,
			kernels.RMSpropParams{LR: o.lr, Alpha: c.Alpha, Eps: c.Eps, WeightDecay: decay, Momentum: c.Momentum, Centered: c.Centered})
	}
}

// slot returns elements lo to hi of a moment, nil if the optimizer has none of
// that name.
func (o *Optimizer) slot(name string, lo, hi int) []float32 {
	for _, s := range o.slots {
		if s.name == name {
			return s.value[lo:hi]
		}
	}
	return nil
}

// amsgrad is Adam with the root of the largest second moment so far (Reddi et
// al., 2018).
func (o *Optimizer) amsgrad(w, g []float32, lo int, decay float64) {
	m, v, peak := o.slot("exp_avg", lo, lo+len(w)), o.slot("exp_avg_sq", lo, lo+len(w)), o.slot("max_exp_avg_sq", lo, lo+len(w))
	b1, b2 := float32(o.cfg.Beta1), float32(o.cfg.Beta2)
	c1, c2 := float32(1-o.cfg.Beta1), float32(1-o.cfg.Beta2)
	rate := float32(o.lr / (1 - math.Pow(o.cfg.Beta1, float64(o.steps))))
	root := float32(1 / math.Sqrt(1-math.Pow(o.cfg.Beta2, float64(o.steps))))
	eps := float32(o.cfg.Eps)
	wd, shrink := float32(decay), float32(1)
	if o.cfg.Kind == AdamW {
		wd, shrink = 0, float32(1-o.lr*decay)
	}
	for i, gi := range g {
		wi := w[i] * shrink
		gi += wd * wi
		m[i] = b1*m[i] + c1*gi
		v[i] = b2*v[i] + c2*gi*gi
		peak[i] = max(peak[i], v[i])
		w[i] = wi - rate*m[i]/(float32(math.Sqrt(float64(peak[i])))*root+eps)
	}
}
