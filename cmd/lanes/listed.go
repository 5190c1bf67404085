package main

import (
	"fmt"
	"runtime"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train/report"
)

// listed is what a report says about how the run was made.
func (cmd *trainCmd) listed() []report.Setting {
	s := &cmd.Settings
	info := kernels.Info()
	list := []report.Setting{
		{Name: "data", Value: s.Data},
		{Name: "augmentation", Value: s.Augment},
		{Name: "sampler", Value: s.Sampler},
		{Name: "model", Value: s.Model},
		{Name: "loss", Value: cmd.objective()},
		{Name: "epochs", Value: fmt.Sprint(s.Epochs)},
		{Name: "batch", Value: fmt.Sprint(s.Batch)},
		{Name: "optimizer", Value: s.updates()},
		{Name: "seed", Value: fmt.Sprint(s.Seed)},
		{Name: "instruction set", Value: info.ISA},
		{Name: "CPU", Value: fmt.Sprintf("%s, %d threads", info.CPU, info.GOMAXPROCS)},
		{Name: "Go", Value: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
	}
	if s.Limit > 0 {
		list = append(list, report.Setting{Name: "limit", Value: fmt.Sprintf("%d images", s.Limit)})
	}
	return list
}

// updates says in words how gradients change the weights.
func (s *Settings) updates() string {
	text := fmt.Sprintf("%s, rate %v, schedule %s, weight decay %v", s.Optimizer, s.LR, s.Schedule, s.WeightDecay)
	for _, part := range []struct {
		shown bool
		text  string
	}{
		{s.schedule().Warmup > 0, fmt.Sprintf("warm-up %v epochs", s.Warmup)},
		{s.optimizer().Momentum > 0, fmt.Sprintf("momentum %v", s.Momentum)},
		{s.optimizer().Nesterov, "Nesterov"},
		{s.Accumulate > 1, fmt.Sprintf("gradients of %d batches accumulated", s.Accumulate)},
		{s.Clip > 0, fmt.Sprintf("gradient norm up to %v", s.Clip)},
		{s.EMA > 0, fmt.Sprintf("weights averaged with decay %v", s.EMA)},
	} {
		if part.shown {
			text += ", " + part.text
		}
	}
	return text
}
