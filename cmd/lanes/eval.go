package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// evalCmd is `lanes eval`.
type evalCmd struct {
	RunDir string `name:"run" required:"" placeholder:"DIR" help:"Folder of the run."`
	Data   string `enum:"${datasets}," default:"" placeholder:"NAME" help:"Data set: ${enum} (default the run's own)."`
	Root   string `placeholder:"DIR" help:"Folder with the data set's files (default the run's own)."`
	JSON   bool   `name:"json" help:"Print the result as one JSON object on the last line."`
}

// Help is shown after the flags.
func (evalCmd) Help() string {
	return `The weights of the best epoch are measured on the data set's test images and on the images that were held out for validation, normalised as in training.

Examples:
  lanes eval --run runs/glyphs-se-resnet8-cc
  lanes eval --run runs/digits --data mnist --root ~/data/mnist --json`
}

// Run evaluates.
func (cmd *evalCmd) Run(c *console) error {
	config, err := readRunConfig(cmd.RunDir)
	if err != nil {
		return err
	}
	model, err := train.OpenModel(filepath.Join(cmd.RunDir, train.BestFile))
	if err != nil {
		return err
	}
	if channels := model.Image().C; len(config.Mean) != channels || len(config.Std) != channels {
		return fmt.Errorf("%s is damaged: mean and deviation of %d and %d channels for images of %d",
			filepath.Join(cmd.RunDir, configFile), len(config.Mean), len(config.Std), channels)
	}
	name, opt := config.Settings.Data, config.Settings.dataOptions()
	if cmd.Data != "" && cmd.Data != name {
		name, opt.Root, opt.Limit = cmd.Data, "", 0
		opt.Size, opt.SkipBad = 0, opt.SkipBad && data.IsFolder(name)
		if data.IsFolder(name) {
			opt.Size = model.Image().H
		}
	}
	if cmd.Root != "" {
		opt.Root = cmd.Root
	}
	if data.NeedsRoot(name) && opt.Root == "" {
		return fmt.Errorf("--data %s needs --root, the folder with its files", name)
	}
	set, err := data.Open(name, opt)
	if err != nil {
		return err
	}
	skipped(c.errors, set)
	options := train.EvalOptions{Mean: config.Mean, Std: config.Std}
	start := time.Now()
	val, err := train.Evaluate(model, set.Val, options)
	if err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	options.Vectors = true
	test, err := train.Evaluate(model, set.Test, options)
	if err != nil {
		return err
	}
	rate := float64(set.Val.Len()+set.Test.Len()) / time.Since(start).Seconds()
	r := newResult(val, test, rate, cmd.RunDir)
	if err := r.print(c.out, cmd.JSON); err != nil || cmd.JSON {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %d images of %s, %.0f images/s\n", model.Spec.Name, set.Val.Len()+set.Test.Len(), name, rate)
	return err
}
