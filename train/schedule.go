package train

import (
	"errors"
	"fmt"
	"math"
)

// Kinds of learning-rate schedule.
const (
	Constant  = "constant"
	StepDecay = "step"
	MultiStep = "multistep"
	Cosine    = "cosine"
	OneCycle  = "onecycle"
)

// ScheduleConfig describes how the learning rate moves during a run. Lengths are
// in epochs and may be fractions; the rate changes at every step, except that
// step and multistep change at the given boundaries only. The formulas are those
// of torch.optim.lr_scheduler.
type ScheduleConfig struct {
	// Kind is one of the constants above; empty means Cosine.
	Kind string `json:"kind"`
	// Length is how long cosine and onecycle last; default the whole run.
	Length float64 `json:"length,omitempty"`
	// Gamma multiplies the rate at each boundary of step and multistep;
	// default 0.1.
	Gamma float64 `json:"gamma,omitempty"`
	// StepSize is the distance of the boundaries of step.
	StepSize float64 `json:"step_size,omitempty"`
	// Milestones are the boundaries of multistep, ascending.
	Milestones []float64 `json:"milestones,omitempty"`
	// MinLR is where cosine ends, as an absolute rate.
	MinLR float64 `json:"min_lr,omitempty"`
	// Start is the fraction of the run in which onecycle rises; default 0.3.
	Start float64 `json:"start,omitempty"`
	// DivFactor and FinalDivFactor: onecycle begins at LR/DivFactor
	// (default 25) and ends at that divided by FinalDivFactor (default 1e4).
	DivFactor      float64 `json:"div_factor,omitempty"`
	FinalDivFactor float64 `json:"final_div_factor,omitempty"`
	// Warmup is the time in which the rate rises linearly from
	// WarmupFactor (default 0) times its scheduled value to that value.
	Warmup       float64 `json:"warmup,omitempty"`
	WarmupFactor float64 `json:"warmup_factor,omitempty"`
}

// Schedule gives the learning rate of every step.
type Schedule struct {
	c          ScheduleConfig
	base       float64
	perEpoch   float64
	total      float64
	milestones []int
}

// New returns the schedule for a run of epochs epochs of stepsPerEpoch steps at
// base rate lr.
func (c ScheduleConfig) New(lr float64, epochs, stepsPerEpoch int) (*Schedule, error) {
	if c.Kind == "" {
		c.Kind = Cosine
	}
	c.Gamma = orDefault(c.Gamma, 0.1)
	c.Start = orDefault(c.Start, 0.3)
	c.DivFactor = orDefault(c.DivFactor, 25)
	c.FinalDivFactor = orDefault(c.FinalDivFactor, 1e4)
	for _, v := range []float64{lr, c.Gamma, c.StepSize, c.MinLR, c.Length, c.Start, c.DivFactor, c.FinalDivFactor, c.Warmup, c.WarmupFactor} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("train: schedule %s has a negative or non-finite setting", c.Kind)
		}
	}
	if epochs < 1 || stepsPerEpoch < 1 {
		return nil, fmt.Errorf("train: schedule over %d epochs of %d steps", epochs, stepsPerEpoch)
	}
	s := &Schedule{c: c, base: lr, perEpoch: float64(stepsPerEpoch), total: float64(epochs * stepsPerEpoch)}
	if c.Length > 0 {
		s.total = c.Length * s.perEpoch
	}
	switch c.Kind {
	case Constant, Cosine:
	case StepDecay:
		if c.StepSize*s.perEpoch < 1 {
			return nil, errors.New("train: schedule step needs a step size of at least one step")
		}
	case MultiStep:
		for i, m := range c.Milestones {
			if !(m >= 0) || i > 0 && m < c.Milestones[i-1] {
				return nil, errors.New("train: milestones must ascend")
			}
			s.milestones = append(s.milestones, int(math.Round(m*s.perEpoch)))
		}
	case OneCycle:
		if c.Start >= 1 {
			return nil, errors.New("train: onecycle must rise in less than the whole run")
		}
	default:
		return nil, fmt.Errorf("train: unknown schedule %q", c.Kind)
	}
	return s, nil
}

// orDefault is v, or d when v is zero.
func orDefault(v, d float64) float64 {
	if v == 0 {
		return d
	}
	return v
}

// LR is the learning rate of step number step, counted from 0.
func (s *Schedule) LR(step int) float64 {
	lr := s.scheduled(step)
	if warm := s.c.Warmup * s.perEpoch; float64(step) < warm {
		lr *= s.c.WarmupFactor + (1-s.c.WarmupFactor)*float64(step)/warm
	}
	return lr
}

func (s *Schedule) scheduled(step int) float64 {
	switch s.c.Kind {
	case StepDecay:
		return s.base * math.Pow(s.c.Gamma, math.Floor(float64(step)/math.Round(s.c.StepSize*s.perEpoch)))
	case MultiStep:
		lr := s.base
		for _, m := range s.milestones {
			if step >= m {
				lr *= s.c.Gamma
			}
		}
		return lr
	case Cosine:
		return s.c.MinLR + (s.base-s.c.MinLR)*(1+math.Cos(math.Pi*float64(step)/s.total))/2
	case OneCycle:
		return s.oneCycle(float64(step))
	}
	return s.base
}

// oneCycle rises on a half cosine to the base rate at step Start*total-1 and
// falls on another to the last step (Smith and Topin, 2019).
func (s *Schedule) oneCycle(step float64) float64 {
	first := s.base / s.c.DivFactor
	last := first / s.c.FinalDivFactor
	top := s.c.Start*s.total - 1
	if step <= top {
		return between(first, s.base, fraction(step, top))
	}
	return between(s.base, last, fraction(step-top, s.total-1-top))
}

func fraction(part, whole float64) float64 {
	if whole <= 0 {
		return 1
	}
	return min(part/whole, 1)
}

// between goes from a to b on a half cosine as f goes from 0 to 1.
func between(a, b, f float64) float64 {
	return b + (a-b)/2*(1+math.Cos(math.Pi*f))
}
