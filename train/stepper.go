package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/golanes/lanes/kernels"
)

// StepConfig is the part of a Config that a single update depends on.
type StepConfig struct {
	Model     *Model
	Batch     int // images in every batch
	Loss      LossConfig
	Optimizer OptimizerConfig
	// Accumulate, ClipNorm and EMA are as in Config.
	Accumulate    int
	ClipNorm, EMA float64
	// Seed starts the tensors of a loss that has some, and dropout.
	Seed uint64
}

func (c StepConfig) withDefaults() (StepConfig, error) {
	switch {
	case c.Model == nil:
		return c, errors.New("train: no model")
	case c.Batch < 1:
		return c, fmt.Errorf("train: batches of %d images", c.Batch)
	case c.Accumulate < 0:
		return c, fmt.Errorf("train: gradients of %d batches accumulated", c.Accumulate)
	case !(c.ClipNorm >= 0) || math.IsInf(c.ClipNorm, 0):
		return c, fmt.Errorf("train: gradients clipped to norm %v", c.ClipNorm)
	case !(c.EMA >= 0 && c.EMA < 1):
		return c, fmt.Errorf("train: decay %v of the average weights, want 0 <= decay < 1", c.EMA)
	}
	c.Accumulate = max(c.Accumulate, 1)
	var err error
	if c.Loss, err = c.Loss.withDefaults(); err != nil {
		return c, err
	}
	c.Optimizer, err = c.Optimizer.withDefaults()
	return c, err
}

// Stepper trains a model batch by batch, for programs with a loop of their own;
// Fit is made of it. After the first step it allocates nothing. It is for one
// goroutine.
type Stepper struct {
	cfg    StepConfig
	model  *Model
	plan   *Plan
	goal   *objective
	sets   []*paramSet // the model's and the loss's
	optims []*Optimizer
	sums   [][]float32 // accumulated gradients, by set; nil without
	norm   *normer
	ema    *average

	batches int // since the last update
	steps   int
	times   StepTimes
}

// NewStepper plans the steps of c.
func NewStepper(c StepConfig) (*Stepper, error) {
	s, err := newStepper(c)
	if err != nil {
		return nil, err
	}
	s.plan.Bind(kernels.AlignedFloats(s.plan.Size()))
	return s, nil
}

// newStepper returns a Stepper whose plan has no storage yet.
func newStepper(c StepConfig) (*Stepper, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Stepper{cfg: c, model: c.Model}
	if s.goal, err = newObjective(c.Loss, c.Model, c.Batch); err != nil {
		return nil, err
	}
	s.plan, err = c.Model.NewPlan(PlanOptions{Batch: c.Batch, Train: true, Gradients: s.goal.in.values()})
	if err != nil {
		return nil, err
	}
	s.sets = []*paramSet{s.model.set}
	if extra := s.goal.params(); len(extra) > 0 {
		set, err := newParamSet(extra)
		if err != nil {
			return nil, err
		}
		set.initialise(c.Seed)
		s.sets = append(s.sets, set)
	}
	for _, set := range s.sets {
		s.optims = append(s.optims, newOptimizer(c.Optimizer, set))
		if c.Accumulate > 1 {
			s.sums = append(s.sums, kernels.AlignedFloats(len(set.grads)))
		}
	}
	if c.ClipNorm > 0 {
		s.norm = newNormer(s.sets)
	}
	if c.EMA > 0 {
		s.ema = newAverage(s.model.set, c.EMA)
	}
	return s, nil
}

// Step trains one batch, images in NHWC and their labels, at learning rate lr and
// with weight lambda of the loss's second term. The weights change at every
// Accumulate-th step. A loss that is NaN or infinite, or with ClipNorm a gradient, is
// a *NonFiniteError, and then the weights stay what they were.
func (s *Stepper) Step(images []float32, labels []int32, lr, lambda float64) (LossValue, error) {
	return s.StepMixed(images, labels, nil, nil, lr, lambda)
}

// StepMixed is Step for mixed images, as a loader with mixup makes them: image i is
// weight[i] of class labels[i] and 1-weight[i] of other[i]. The classification term
// is weighted so; the second term sees labels.
func (s *Stepper) StepMixed(images []float32, labels, other []int32, weight []float32, lr, lambda float64) (LossValue, error) {
	if len(labels) != s.cfg.Batch || len(other) != len(weight) || other != nil && len(other) != len(labels) {
		panic("train.Stepper.Step: wrong number of labels")
	}
	start := time.Now()
	lap := func(to *float64) {
		now := time.Now()
		*to += now.Sub(start).Seconds()
		start = now
	}
	key := s.cfg.Seed + uint64(s.steps)
	s.plan.Forward(images, key)
	lap(&s.times.Forward)
	loss := s.goal.compute(s.plan, labels, other, weight, lambda)
	lap(&s.times.Loss)
	if !finite(loss.Total) {
		return loss, &NonFiniteError{0, s.steps + 1, s.findNonFinite(images, key)}
	}
	s.plan.Backward()
	lap(&s.times.Backward)
	s.steps++
	where := s.update(lr, false)
	lap(&s.times.Update)
	if where != "" {
		return loss, &NonFiniteError{0, s.steps, where}
	}
	return loss, nil
}

// Times returns where the time of the steps so far went, and what of it each
// layer took.
func (s *Stepper) Times() (StepTimes, []LayerTime) {
	t := s.times
	t.Conv = s.convSeconds()
	return t, s.plan.Times()
}

// Bytes is the memory of activations, gradients, parameters and optimizer state.
func (s *Stepper) Bytes() int64 {
	floats := len(s.plan.arena)
	for i, set := range s.sets {
		floats += 2*len(set.values) + len(set.buffers) + len(s.optims[i].slots)*len(set.values)
		if s.sums != nil {
			floats += len(s.sums[i])
		}
	}
	if s.ema != nil {
		floats += len(s.ema.values) + len(s.ema.buffers)
	}
	return 4 * int64(floats)
}

// convSeconds is the time spent in convolutions.
func (s *Stepper) convSeconds() float64 {
	var total time.Duration
	for i, n := range s.plan.graph.nodes {
		if _, ok := n.layer.(*Conv2D); ok {
			total += s.plan.steps[i].forwardTime + s.plan.steps[i].backwardTime
		}
	}
	return total.Seconds()
}

// update takes over the gradients of a batch. It changes the weights if the batch
// is the last of Accumulate or of the epoch, and returns what holds a NaN or an
// infinity, if anything does.
func (s *Stepper) update(lr float64, epochEnds bool) (where string) {
	s.batches++
	last := s.batches == s.cfg.Accumulate || epochEnds
	if s.sums != nil {
		s.accumulate(last)
	}
	if !last {
		return ""
	}
	s.batches = 0
	if s.norm != nil {
		if where := s.clip(); where != "" {
			return where
		}
	}
	for _, o := range s.optims {
		o.step(lr)
	}
	if s.ema != nil {
		s.ema.update()
	}
	return ""
}

// accumulate adds the gradients to the sums, or at the last batch leaves the mean
// in the gradients and clears the sums.
func (s *Stepper) accumulate(last bool) {
	for i, set := range s.sets {
		if !last {
			kernels.Add(s.sums[i], s.sums[i], set.grads)
			continue
		}
		kernels.Add(set.grads, set.grads, s.sums[i])
		kernels.Scale(float32(1/float64(s.batches)), set.grads)
		clear(s.sums[i])
	}
}

// clip scales the gradients down to ClipNorm.
func (s *Stepper) clip() (where string) {
	norm := s.norm.norm()
	if !finite(norm) {
		for _, set := range s.sets {
			for _, p := range set.trained {
				if !allFinite(p.Grad) {
					return "gradient of tensor " + p.Name
				}
			}
		}
		return "norm of the gradient"
	}
	if norm > s.cfg.ClipNorm {
		for _, set := range s.sets {
			kernels.Scale(float32(s.cfg.ClipNorm/norm), set.grads)
		}
	}
	return ""
}

// findNonFinite says where a non-finite loss came from. The forward pass is
// repeated layer by layer; the running statistics it moves are put back.
func (s *Stepper) findNonFinite(images []float32, key uint64) string {
	buffers := slices.Clone(s.model.set.buffers)
	defer copy(s.model.set.buffers, buffers)
	if where := s.plan.FindNonFinite(images, key); where != "" {
		return where
	}
	return "loss"
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
