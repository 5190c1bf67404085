package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
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
	return `The weights of the best epoch are measured on the data set's test images and on the images that were held out for validation, normalised as in training. What is printed: top-1 accuracy, top-5 where there are 20 classes or more, accuracy by class, cross entropy, expected calibration error over 15 bins, and how the attention vectors (the features of a model without attention) gather by class: compactness, separability, silhouette.

Examples:
  lanes eval --run runs/glyphs-se-resnet8-cc
  lanes eval --run runs/digits --data mnist --root ~/data/mnist --json`
}

// Run evaluates.
func (cmd *evalCmd) Run(c *console) error {
	config, model, err := openRun(cmd.RunDir)
	if err != nil {
		return err
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
		return fmt.Errorf("data set %s needs --root, the folder with its files", name)
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
	r := newMeasured(newResult(val, test, rate, cmd.RunDir), test, set.Test.Classes())
	if err := r.print(c.out, cmd.JSON); err != nil || cmd.JSON {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %d images of %s, %.0f images/s\n", model.Spec.Name, set.Val.Len()+set.Test.Len(), name, rate)
	return err
}

// measured is the line that --json prints.
type measured struct {
	result
	Loss        float64            `json:"loss"` // cross entropy
	Top5        *float64           `json:"top5,omitempty"`
	Calibration float64            `json:"calibration"` // expected calibration error
	Silhouette  *float64           `json:"silhouette"`
	Features    *train.Clustering  `json:"features"`
	PerClass    map[string]float64 `json:"per_class"` // accuracy
	Images      int                `json:"images"`
}

func newMeasured(r result, test *train.Evaluation, classes []string) *measured {
	m := &measured{result: r, Loss: test.Loss, Calibration: test.Calibration, Features: test.Features, Images: test.Images,
		PerClass: make(map[string]float64, len(classes))}
	if len(classes) >= train.Top5Classes {
		m.Top5 = &test.Top5
	}
	if c := clustering(test); c != nil {
		m.Silhouette = &c.Silhouette
	}
	for i, name := range classes {
		if slices.Max(test.Confusion[i]) > 0 { // there are images of the class
			m.PerClass[name] = test.PerClass[i]
		}
	}
	return m
}

// print writes the result for people or, with asJSON, as the one line.
func (m *measured) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printLine(w, m)
	}
	if err := m.result.print(w, false); err != nil {
		return err
	}
	if m.Silhouette != nil {
		fmt.Fprintf(w, "silhouette %.3f\n", *m.Silhouette)
	}
	if m.Top5 != nil {
		fmt.Fprintf(w, "top-5 accuracy %.2f %%\n", 100**m.Top5)
	}
	fmt.Fprintf(w, "cross entropy %.4f, calibration error %.2f %%\n", m.Loss, 100*m.Calibration)
	names := slices.SortedStableFunc(maps.Keys(m.PerClass), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.PerClass[a], m.PerClass[b]), cmp.Compare(a, b))
	})
	fmt.Fprintln(w, "accuracy by class, the lowest first:")
	for _, name := range names {
		fmt.Fprintf(w, "  %6.2f %%  %s\n", 100*m.PerClass[name], name)
	}
	return nil
}
