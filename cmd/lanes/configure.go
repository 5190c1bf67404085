package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Bounds of what a command line may ask for, which keep a typing error from
// taking all memory.
const (
	maxEpochs = 100_000
	maxBatch  = 4096
	maxWidth  = 64
	// maxThreads is more than any machine has; the Go runtime takes memory for each.
	maxThreads = 1024
)

// useThreads lets the kernels use n threads; 0 leaves all.
func useThreads(n int) error {
	if n < 0 || n > maxThreads {
		return fmt.Errorf("--threads is %d, want at most %d, or 0 for all", n, maxThreads)
	}
	if n > 0 {
		runtime.GOMAXPROCS(n)
	}
	return nil
}

// Base learning rates where --lr is not given.
const (
	defaultRate         = 0.1   // of sgd
	defaultAdaptiveRate = 0.001 // of the optimizers that divide by the gradient's size
)

// complete fills in the settings whose default depends on others.
func (s *Settings) complete() {
	if s.LR == 0 {
		s.LR = defaultAdaptiveRate
		if s.Optimizer == train.SGD {
			s.LR = defaultRate
		}
	}
	if s.StepSize == 0 {
		s.StepSize = float64(s.Epochs) / 3
	}
	if s.Placement == "" && s.Stages > 1 {
		s.Placement = train.AtStages
	}
}

// interval is what a number may be.
type interval struct {
	flag      string
	value     float64
	low, high float64
	lowOpen   bool // low itself is not allowed
	highOpen  bool
}

func (r interval) check() error {
	ok := r.value >= r.low && r.value <= r.high && !math.IsInf(r.value, 0)
	if ok && !(r.lowOpen && r.value == r.low) && !(r.highOpen && r.value == r.high) {
		return nil
	}
	want := "a number of at least"
	if r.lowOpen {
		want = "a number above"
	}
	text := fmt.Sprintf("--%s is %v, want %s %v", r.flag, r.value, want, r.low)
	switch {
	case math.IsInf(r.high, 0):
	case r.highOpen:
		text += fmt.Sprintf(" and below %v", r.high)
	default:
		text += fmt.Sprintf(" and at most %v", r.high)
	}
	return errors.New(text)
}

// check reports the first setting that cannot be. The settings are complete.
func (s *Settings) check() error {
	switch {
	case s.Optimizer == train.SGD && s.Nesterov && s.Momentum == 0:
		return errors.New("--nesterov needs a --momentum above 0")
	case s.Schedule == train.MultiStep && len(s.Milestones) == 0:
		return errors.New("--schedule multistep needs --milestones, the epochs after which the rate drops")
	case !slices.IsSorted(s.Milestones):
		return fmt.Errorf("--milestones must ascend: %v", s.Milestones)
	case s.Loss == train.LossFocal && s.LabelSmoothing != 0:
		return errors.New("--label-smoothing does not go with --loss focal")
	}
	if err := s.checkData(); err != nil {
		return err
	}
	if err := s.checkChoices(); err != nil {
		return err
	}
	for _, r := range s.intervals() {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, m := range s.Milestones {
		if err := (interval{flag: "milestones", value: m, high: maxEpochs}).check(); err != nil {
			return err
		}
	}
	spec := s.spec(train.Shape{H: 32, W: 32, C: 3}, 2)
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("--model %s: %w", s.Model, err)
	}
	if s.Loss == train.LossCC && !spec.Attends() {
		return fmt.Errorf("--loss cc needs channel attention, which --model %s with --attention %s has not: give --attention se, eca or cbam", s.Model, cmp.Or(s.Attention, train.NoAttention))
	}
	return nil
}

// checkChoices repeats for a config.json what the command line checks by itself.
func (s *Settings) checkChoices() error {
	for _, c := range []struct {
		flag, value string
		choices     []string
	}{
		{"rescale", s.Rescale, []string{"on", "off"}},
		{"accuracy", s.Accuracy, []string{"fast", "exact"}},
		{"stem", s.Stem, []string{"auto", train.StemCIFAR, train.StemImageNet}},
		{"loss", s.Loss, train.LossKinds()},
		{"optimizer", s.Optimizer, []string{train.SGD, train.Adam, train.AdamW, train.RMSprop}},
		{"schedule", s.Schedule, []string{train.Cosine, train.StepDecay, train.MultiStep, train.OneCycle, train.Constant}},
	} {
		if !slices.Contains(c.choices, c.value) {
			return fmt.Errorf("--%s is %q, want one of %s", c.flag, c.value, strings.Join(c.choices, ", "))
		}
	}
	return nil
}

// intervals lists what the numbers may be.
func (s *Settings) intervals() []interval {
	inf := math.Inf(1)
	count := func(flag string, v, low, high int) interval {
		return interval{flag: flag, value: float64(v), low: float64(low), high: float64(high)}
	}
	atLeast0 := func(flag string, v float64) interval { return interval{flag: flag, value: v, high: inf} }
	positive := func(flag string, v float64) interval {
		return interval{flag: flag, value: v, high: inf, lowOpen: true}
	}
	share := func(flag string, v float64) interval {
		return interval{flag: flag, value: v, high: 1, highOpen: true}
	}
	return []interval{
		count("epochs", s.Epochs, 1, maxEpochs), count("batch", s.Batch, 1, maxBatch),
		count("accumulate", s.Accumulate, 1, maxBatch), count("patience", s.Patience, 0, maxEpochs),
		count("stages", s.Stages, 1, 64), count("reduction", s.Reduction, 0, 1<<16),
		{flag: "width", value: s.Width, high: maxWidth, lowOpen: true},
		atLeast0("lambda", s.Lambda), atLeast0("ramp", s.Ramp), positive("cc-margin", s.CCMargin),
		positive("gamma", s.Gamma), positive("scale", s.Scale), atLeast0("margin", s.Margin),
		positive("temperature", s.Temperature), share("label-smoothing", s.LabelSmoothing), share("dropout", s.Dropout),
		positive("lr", s.LR), share("momentum", s.Momentum), share("beta1", s.Beta1), share("beta2", s.Beta2),
		share("alpha", s.Alpha), positive("eps", s.Eps), atLeast0("weight-decay", s.WeightDecay),
		atLeast0("warmup", s.Warmup), positive("step-size", s.StepSize), positive("decay", s.Decay),
		{flag: "min-lr", value: s.MinLR, high: s.LR}, share("rise", s.Rise), positive("div-factor", s.DivFactor),
		positive("final-div", s.FinalDiv), atLeast0("clip", s.Clip), share("ema", s.EMA),
	}
}

// spec describes the model for images of a shape and a number of classes.
func (s *Settings) spec(image train.Shape, classes int) train.Spec {
	spec := train.Spec{Name: s.Model, Image: image, Classes: classes, Attention: s.Attention, Placement: s.Placement,
		Reduction: s.Reduction, NoRescale: s.Rescale == "off", Dropout: s.Dropout, Exact: s.Accuracy == "exact",
		CosineHead: train.LossConfig{Kind: s.Loss}.CosineHead()}
	if s.Width != 1 {
		spec.Width = s.Width
	}
	if s.Stem != "auto" {
		spec.Stem = s.Stem
	}
	return spec
}

// loss translates the settings of the loss. Those of other losses stay zero, so
// that they do not tell two runs apart.
func (s *Settings) loss() (train.LossConfig, error) {
	l := train.LossConfig{Kind: s.Loss, LabelSmoothing: s.LabelSmoothing}
	switch s.Loss {
	case train.LossCC, train.LossCenter, train.LossSupCon, train.LossTriplet:
		l.Lambda, l.Ramp = s.Lambda, s.Ramp
	}
	switch s.Loss {
	case train.LossCC:
		metric, err := ccloss.ParseMetric(s.CCMetric)
		if err != nil {
			return l, err
		}
		form, err := ccloss.ParseForm(s.CCForm)
		if err != nil {
			return l, err
		}
		l.CC, l.Stages = ccloss.Options{Metric: metric, Form: form, Margin: s.CCMargin}, s.Stages
	case train.LossFocal:
		l.Gamma = s.Gamma
	case train.LossArcFace, train.LossCosFace:
		l.Scale, l.Margin = s.Scale, s.Margin
	case train.LossTriplet:
		l.Margin = s.Margin
	case train.LossSupCon:
		l.Temperature = s.Temperature
	}
	return l, nil
}

// exactly is v for a field of package train in which 0 stands for a default: the
// smallest positive number, which has the effect of 0, where v is that.
func exactly(v float64) float64 {
	if v == 0 {
		return math.SmallestNonzeroFloat64
	}
	return v
}

// optimizer translates the settings of the optimizer.
func (s *Settings) optimizer() train.OptimizerConfig {
	o := train.OptimizerConfig{Kind: s.Optimizer, LR: s.LR, WeightDecay: s.WeightDecay, SkipNormDecay: s.SkipNormDecay}
	switch s.Optimizer {
	case train.SGD:
		o.Momentum, o.Nesterov = s.Momentum, s.Nesterov
	case train.Adam, train.AdamW:
		o.Beta1, o.Beta2, o.Eps, o.AMSGrad = exactly(s.Beta1), exactly(s.Beta2), s.Eps, s.AMSGrad
	case train.RMSprop:
		o.Momentum, o.Alpha, o.Eps, o.Centered = s.Momentum, exactly(s.Alpha), s.Eps, s.Centered
	}
	return o
}

// schedule translates the settings of the learning-rate schedule.
func (s *Settings) schedule() train.ScheduleConfig {
	c := train.ScheduleConfig{Kind: s.Schedule, Warmup: s.Warmup}
	switch s.Schedule {
	case train.StepDecay:
		c.StepSize, c.Gamma = s.StepSize, s.Decay
	case train.MultiStep:
		c.Milestones, c.Gamma = s.Milestones, s.Decay
	case train.Cosine:
		c.MinLR = s.MinLR
	case train.OneCycle:
		c.Warmup, c.Start, c.DivFactor, c.FinalDivFactor = 0, exactly(s.Rise), s.DivFactor, s.FinalDiv
	}
	return c
}

// config translates the settings for train.Fit, all but the folder. A new run
// starts from the tensors of --init; what came of that is said on lines. The
// augmentation of set becomes what --augment says.
func (s *Settings) config(set *data.Dataset, resume bool, lines io.Writer) (train.Config, error) {
	loss, err := s.loss()
	if err != nil {
		return train.Config{}, err
	}
	if set.Augment, err = data.ParseAugment(s.Augment, set.Augment); err != nil {
		return train.Config{}, err
	}
	h, w, c := set.Train.Shape()
	model, err := train.New(s.spec(train.Shape{H: h, W: w, C: c}, len(set.Train.Classes())), s.Seed)
	if err != nil {
		return train.Config{}, err
	}
	if s.Init != "" && !resume {
		start, err := model.InitFile(s.Init)
		if err != nil {
			return train.Config{}, fmt.Errorf("--init: %w", err)
		}
		fmt.Fprintf(lines, "%s: %s\n", s.Init, start)
	}
	return train.Config{
		Model: model, Data: set, Loss: loss, Optimizer: s.optimizer(), Schedule: s.schedule(),
		Epochs: s.Epochs, Batch: s.Batch, Seed: s.Seed, Sampler: s.sampler(),
		Accumulate: s.Accumulate, ClipNorm: s.Clip, EMA: s.EMA, Patience: s.Patience,
	}, nil
}

// objective names the loss in words.
func (s *Settings) objective() string {
	text := map[string]string{
		train.LossCE:      "cross entropy",
		train.LossCC:      fmt.Sprintf("cross entropy + %v x channel correlation (%s, %s)", s.Lambda, s.CCMetric, s.CCForm),
		train.LossCenter:  fmt.Sprintf("cross entropy + %v x center loss", s.Lambda),
		train.LossFocal:   fmt.Sprintf("focal loss, gamma %v", s.Gamma),
		train.LossArcFace: fmt.Sprintf("cross entropy of cosines with an angular margin (arcface, scale %v)", s.Scale),
		train.LossCosFace: fmt.Sprintf("cross entropy of cosines with a margin (cosface, scale %v)", s.Scale),
		train.LossSupCon:  fmt.Sprintf("cross entropy + %v x supervised contrastive loss", s.Lambda),
		train.LossTriplet: fmt.Sprintf("cross entropy + %v x triplet loss", s.Lambda),
	}[s.Loss]
	if s.Loss == train.LossCC && s.Stages > 1 {
		text += fmt.Sprintf(" of %d stages", s.Stages)
	}
	if s.LabelSmoothing > 0 {
		text += fmt.Sprintf(", label smoothing %v", s.LabelSmoothing)
	}
	return text
}
