package main

import (
	"fmt"
	"runtime"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/report"
)

// listed is what a report says about how the run was made.
func (cmd *trainCmd) listed() []report.Setting {
	s := &cmd.Settings
	info := kernels.Info()
	list := []report.Setting{
		{Name: "data", Value: s.Data},
		{Name: "model", Value: s.Model},
		{Name: "loss", Value: cmd.objective()},
		{Name: "epochs", Value: fmt.Sprint(s.Epochs)},
		{Name: "batch", Value: fmt.Sprint(s.Batch)},
		{Name: "optimizer", Value: fmt.Sprintf("%s, rate %v, momentum 0.9, weight decay %v, schedule %s, warm-up %v epochs", train.SGD, s.LR, s.WeightDecay, s.Schedule, s.Warmup)},
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
