package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/compare"
	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/report"
)

// compareCmd is `lanes compare`.
type compareCmd struct {
	Data  []string `default:"glyphs" placeholder:"NAME,..." group:"What" help:"Data sets: ${datasets} (default ${default})."`
	Root  []string `sep:"none" placeholder:"[NAME=]DIR" group:"What" help:"Folder with the files of data set NAME; give it again for each. NAME= can be left out if one data set alone is read from files."`
	Limit int      `placeholder:"N" group:"What" help:"Use at most N images of each data set for training and validation, and N/3 for the test (default all)."`
	Size  int      `placeholder:"N" group:"What" help:"Side of the images of data sets that are folders (default 64)."`

	Models []string `default:"se-resnet8" placeholder:"NAME,..." group:"What" help:"Networks: ${backbones}, by themselves or after se-, eca- or cbam- (default ${default}). cc needs one with attention."`
	Width  float64  `default:"1" placeholder:"F" group:"What" help:"Multiplies the numbers of channels of the networks (default ${default})."`
	Losses []string `default:"ce,cc" placeholder:"NAME,..." group:"What" help:"Losses: ${losses} (default ${default})."`
	Grid   string   `placeholder:"FILE" group:"What" help:"JSON file with the settings to try for each loss, in place of the built-in ones: {\"cc\": [{\"lambda\": 0.1, \"form\": \"ratio\"}, ...], ...}."`

	Seeds       int     `default:"3" placeholder:"N" group:"Budget" help:"Runs of each loss with its chosen setting (default ${default})."`
	Seed        uint64  `default:"0" placeholder:"N" group:"Budget" help:"Seed of tuning and of the division of the data; the runs that are tested have the seeds after it (default ${default})."`
	Epochs      int     `default:"6" placeholder:"N" group:"Budget" help:"Passes over the training images of a tested run (default ${default})."`
	TuneEpochs  int     `placeholder:"N" group:"Budget" help:"Passes of a tuning run (default half of --epochs, rounded up)."`
	Batch       int     `default:"128" placeholder:"N" group:"Budget" help:"Images in a mini-batch (default ${default})."`
	LR          float64 `default:"0.05" placeholder:"F" group:"Budget" help:"Base learning rate of SGD with momentum 0.9 and a cosine schedule (default ${default})."`
	WeightDecay float64 `default:"0.0005" placeholder:"F" group:"Budget" help:"Weight decay (default ${default})."`
	Warmup      float64 `default:"0.25" placeholder:"F" group:"Budget" help:"Epochs in which the learning rate rises from 0 (default ${default})."`

	Out      string `required:"" placeholder:"DIR" group:"Run" help:"Folder for the runs, results.json and report.html. Finished runs in it are kept, so the same command goes on after an interruption."`
	Parallel int    `default:"1" placeholder:"N" group:"Run" help:"Runs at the same time (default ${default}); the results do not depend on it."`
	JSON     bool   `name:"json" group:"Run" help:"Print the results as one JSON object on the last line, and the progress to standard error."`
}

// Help is shown after the flags.
func (compareCmd) Help() string {
	return `Every loss gets the same budget on every data set and network: the same images, augmentation, batch, optimizer, schedule and epochs, and the same tuning. Tuning trains each of the loss's settings (the same number for every loss, 3 unless --grid says otherwise) with one seed for --tune-epochs and chooses by validation accuracy. The chosen setting is then trained with --seeds other seeds and tested. Runs of two losses with one seed start from the same weights and see the images in the same order, so their results are compared in pairs: differences from ce are given with 95 % confidence intervals (Student's t over the seeds).

The settings tried by default:
` + gridHelp() + `
A command that differs from the one DIR was made with is an error, but it may add data sets, models, losses and seeds.

Examples:
  lanes compare --out runs/glyphs --losses ce,cc,center --limit 3600
  lanes compare --data mnist,fashion-mnist --root mnist=data/mnist --root fashion-mnist=data/fashion --models se-resnet8,se-vgg11-bn --width 0.5 --losses ce,cc,focal,arcface --seeds 5 --epochs 6 --out runs/paper`
}

func gridHelp() string {
	var b strings.Builder
	grid := compare.Grid()
	for _, loss := range train.LossKinds() {
		var settings []string
		for _, s := range grid[loss] {
			settings = append(settings, s.String())
		}
		fmt.Fprintf(&b, "  %s: %s\n", loss, strings.Join(settings, "; "))
	}
	return b.String()
}

// plan translates the flags.
func (cmd *compareCmd) plan() (compare.Plan, error) {
	p := compare.Plan{Data: cmd.Data, Models: cmd.Models, Losses: cmd.Losses, Limit: cmd.Limit, Size: cmd.Size, Width: cmd.Width, Grid: compare.Grid(),
		Seed: cmd.Seed, Seeds: cmd.Seeds, Epochs: cmd.Epochs, TuneEpochs: cmd.TuneEpochs, Batch: cmd.Batch,
		LR: cmd.LR, WeightDecay: cmd.WeightDecay, Warmup: cmd.Warmup}
	if p.TuneEpochs == 0 {
		p.TuneEpochs = (p.Epochs + 1) / 2
	}
	if cmd.Grid != "" {
		f, err := os.Open(cmd.Grid)
		if err != nil {
			return p, err
		}
		defer f.Close()
		if p.Grid, err = compare.ReadGrid(f); err != nil {
			return p, fmt.Errorf("%s: %w", cmd.Grid, err)
		}
	}
	return p, cmd.check(&p)
}

// check reports the first flag that cannot be.
func (cmd *compareCmd) check(p *compare.Plan) error {
	switch {
	case p.Epochs < 1 || p.Epochs > maxEpochs:
		return fmt.Errorf("--epochs is %d, want 1 to %d", p.Epochs, maxEpochs)
	case p.TuneEpochs < 1 || p.TuneEpochs > maxEpochs:
		return fmt.Errorf("--tune-epochs is %d, want 1 to %d", p.TuneEpochs, maxEpochs)
	case p.Batch < 1 || p.Batch > maxBatch:
		return fmt.Errorf("--batch is %d, want 1 to %d", p.Batch, maxBatch)
	case cmd.Parallel < 1 || cmd.Parallel > maxParallel:
		return fmt.Errorf("--parallel is %d, want 1 to %d", cmd.Parallel, maxParallel)
	}
	for _, r := range []interval{
		{flag: "width", value: p.Width, high: maxWidth, lowOpen: true}, {flag: "lr", value: p.LR, high: math.Inf(1), lowOpen: true},
		{flag: "weight-decay", value: p.WeightDecay, high: math.Inf(1)}, {flag: "warmup", value: p.Warmup, high: math.Inf(1)},
	} {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, name := range p.Data {
		if !slices.Contains(data.Names(), name) {
			return fmt.Errorf("unknown data set %q, want some of %s", name, strings.Join(data.Names(), ", "))
		}
	}
	return p.Check()
}

// maxParallel bounds the memory that a typing error can take.
const maxParallel = 64

// roots returns the folder of each data set that is read from files.
func (cmd *compareCmd) roots() (map[string]string, error) {
	var need []string
	for _, name := range cmd.Data {
		if data.NeedsRoot(name) {
			need = append(need, name)
		}
	}
	roots := map[string]string{}
	for _, root := range cmd.Root {
		name, dir, pair := strings.Cut(root, "=")
		if !pair || !slices.Contains(data.Names(), name) {
			if len(need) != 1 {
				return nil, fmt.Errorf("--root %s: with %d data sets that are read from files, write --root NAME=DIR", root, len(need))
			}
			name, dir = need[0], root
		}
		switch {
		case !slices.Contains(need, name):
			return nil, fmt.Errorf("--root %s: data set %s is not read from files or not compared", root, name)
		case roots[name] != "":
			return nil, fmt.Errorf("--root names the folder of %s twice", name)
		case dir == "":
			return nil, fmt.Errorf("--root %s: no folder", root)
		}
		roots[name] = dir
	}
	for _, name := range need {
		if roots[name] == "" {
			return nil, fmt.Errorf("--data %s needs --root %s=DIR, the folder with its files", name, name)
		}
	}
	return roots, nil
}

// Run compares.
func (cmd *compareCmd) Run(c *console) error {
	plan, err := cmd.plan()
	if err != nil {
		return err
	}
	roots, err := cmd.roots()
	if err != nil {
		return err
	}
	if holdsRun(cmd.Out) {
		return fmt.Errorf("%s holds a run of lanes train: give another --out", cmd.Out)
	}
	lines := c.out
	if cmd.JSON {
		lines = c.errors
	}
	fmt.Fprintf(lines, "%d runs: %d data sets x %d models x %d losses x (%d settings + %d seeds)\n",
		plan.Runs(), len(plan.Data), len(plan.Models), len(plan.Losses), plan.Settings(), plan.Seeds)
	shown := &compareProgress{out: lines, start: time.Now()}
	results, err := compare.Run(c.ctx, plan, compare.Options{Dir: cmd.Out, Parallel: cmd.Parallel, OnRun: shown.run,
		Open: func(name string) (*data.Dataset, error) {
			opt := data.Options{Root: roots[name], Seed: plan.Seed, Limit: plan.Limit}
			if data.IsFolder(name) {
				opt.Size = plan.Size
			}
			return data.Open(name, opt)
		}})
	if errors.Is(err, compare.ErrInterrupted) {
		fmt.Fprintf(lines, "stopped; the same command goes on from here\n")
		return nil
	}
	if err != nil {
		return err
	}
	page := filepath.Join(cmd.Out, reportFile)
	if err := report.WriteComparison(page, results); err != nil {
		return fmt.Errorf("the comparison is complete, its report is not: %w", err)
	}
	printComparison(lines, results)
	fmt.Fprintf(lines, "report: %s\n", page)
	if !cmd.JSON {
		return nil
	}
	return printLine(c.out, results)
}

// compareProgress prints a line for each run.
type compareProgress struct {
	out   io.Writer
	start time.Time
	fresh int // runs trained by this process
}

func (s *compareProgress) run(p compare.Progress) {
	outcome := fmt.Sprintf("val %.2f %%", 100*p.ValAcc)
	switch {
	case p.Diverged != "":
		outcome = "diverged: " + p.Diverged
	case p.TestAcc > 0:
		outcome += fmt.Sprintf("  test %.2f %%", 100*p.TestAcc)
	}
	if p.Before {
		fmt.Fprintf(s.out, "%d/%d  %s  %s  (from before)\n", p.Done, p.Total, p.Run, outcome)
		return
	}
	s.fresh++
	left := time.Since(s.start) / time.Duration(s.fresh) * time.Duration(p.Total-p.Done)
	fmt.Fprintf(s.out, "%d/%d  %s  %s  %.1f s, about %s left\n", p.Done, p.Total, p.Run, outcome, p.Seconds, left.Round(time.Second))
}

// printComparison prints the table for people.
func printComparison(w io.Writer, r *compare.Results) {
	for i, c := range r.Cells {
		if i == 0 || c.Data != r.Cells[i-1].Data || c.Model != r.Cells[i-1].Model {
			fmt.Fprintf(w, "\n%s, %s: test accuracy over %d seeds, difference from ce with 95 %% confidence interval, in %%\n", c.Data, c.Model, r.Plan.Seeds)
		}
		fmt.Fprintf(w, "  %-8s %s  %-28s %s\n", c.Loss, meanAndSD(c.TestAcc), c.Difference, c.Setting)
	}
	if r.Overall != nil {
		fmt.Fprintf(w, "\nmean over data sets and models\n")
		for _, o := range r.Overall {
			fmt.Fprintf(w, "  %-8s %s  %s\n", o.Loss, meanAndSD(o.TestAcc), o.Difference)
		}
	}
}

func meanAndSD(s *compare.Summary) string {
	if s == nil {
		return "diverged      "
	}
	if s.SD == nil {
		return fmt.Sprintf("%6.2f        ", 100*s.Mean)
	}
	return fmt.Sprintf("%6.2f +- %4.2f", 100*s.Mean, 100**s.SD)
}
