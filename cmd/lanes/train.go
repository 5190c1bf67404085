package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/compare"
	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/report"
)

// reportFile is in the folder of every complete run.
const reportFile = "report.html"

// trainCmd is `lanes train`.
type trainCmd struct {
	Settings `embed:""`

	CheckpointSteps int `placeholder:"N" group:"Run" help:"Write a checkpoint every N mini-batches too (default at the end of an epoch only)."`

	Out       string `placeholder:"DIR" group:"Run" help:"Folder for the run (default runs/DATA-MODEL-LOSS, numbered if it is taken)."`
	Resume    bool   `group:"Run" help:"Go on from the last checkpoint in --out, with the settings kept there."`
	Overwrite bool   `group:"Run" help:"Replace the run that --out holds."`
	JSON      bool   `name:"json" group:"Run" help:"Print the result as one JSON object on the last line, and the progress to standard error."`

	given []string // the flags of the command line
}

// Help is shown after the flags.
func (trainCmd) Help() string {
	return `The folder of a run gets config.json (the settings), metrics.jsonl (one object per epoch), best.safetensors and last.safetensors (the weights of the best epoch on the validation images, and everything needed to go on), state.json, and report.html, a page to open in a browser.

Ctrl-C writes a checkpoint and stops; --resume goes on from there and ends with the same weights as a run that was never stopped.

Examples:
  lanes train
  lanes train --loss ce --seed 2 --out runs/plain
  lanes train --model eca-resnet20 --loss cc --stages 3 --rescale off
  lanes train --optimizer adamw --schedule onecycle --ema 0.999 --clip 1
  lanes train --data fashion-mnist --root ~/data/fashion-mnist --epochs 3 --json
  lanes train --resume --out runs/plain`
}

// AfterApply notes which flags the command line gave; kong calls it.
func (cmd *trainCmd) AfterApply(path *kong.Context) error {
	for _, element := range path.Path {
		if element.Flag != nil {
			cmd.given = append(cmd.given, element.Flag.Name)
		}
	}
	return nil
}

// result is the line that --json prints.
type result struct {
	TestAcc         float64  `json:"test_acc"`
	ValAcc          float64  `json:"val_acc"`
	Compactness     *float64 `json:"compactness"` // of the attention vectors; of the features in a model without
	Separability    *float64 `json:"separability"`
	ImagesPerSecond float64  `json:"images_per_s"`
	Out             string   `json:"out"`
}

func newResult(val, test *train.Evaluation, imagesPerSecond float64, out string) result {
	r := result{TestAcc: test.Accuracy, ValAcc: val.Accuracy, ImagesPerSecond: imagesPerSecond, Out: out}
	if c := clustering(test); c != nil {
		r.Compactness, r.Separability = &c.Compactness, &c.Separability
	}
	return r
}

// clustering is that of the attention vectors, or of the features of a model
// without attention.
func clustering(ev *train.Evaluation) *train.Clustering {
	if ev.Attention != nil {
		return ev.Attention
	}
	return ev.Features
}

// print writes the result for people or, with asJSON, as the one line.
func (r result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printLine(w, r)
	}
	fmt.Fprintf(w, "\ntest accuracy %.2f %%, validation %.2f %%\n", 100*r.TestAcc, 100*r.ValAcc)
	if r.Compactness != nil {
		fmt.Fprintf(w, "vectors: compactness %.4g, separability %.4g\n", *r.Compactness, *r.Separability)
	}
	return nil
}

// printLine writes v as JSON on one line.
func printLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

// Run trains.
func (cmd *trainCmd) Run(c *console) error {
	if err := cmd.prepare(); err != nil {
		return err
	}
	lines := c.out
	if cmd.JSON {
		lines = c.errors
	}
	out, err := makeFolder(cmd.Out)
	if err != nil {
		return err
	}
	defer out.unlock()
	config, err := cmd.begin(lines)
	if err == nil && c.ctx.Err() != nil {
		err = errors.New("interrupted before training began")
	}
	if err != nil {
		cmd.undo(out)
		return err
	}
	shown := newProgress(lines, c.errors, &cmd.Settings)
	config.OnStep = shown.step
	config.OnEpoch = func(m train.EpochMetrics) error {
		shown.epoch(m, cmd.Epochs)
		return nil
	}
	trained, err := train.Fit(c.ctx, config)
	shown.bar.clear()
	if err != nil {
		cmd.undo(out)
		return err
	}
	if trained.Interrupted {
		fmt.Fprintf(lines, "stopped; the checkpoint is in %s. Go on with: lanes train --resume --out %s\n", cmd.Out, cmd.Out)
		return nil
	}
	if trained.EarlyStopped {
		fmt.Fprintf(lines, "stopped early: no better validation accuracy in %d epochs\n", cmd.Patience)
	}
	return cmd.finish(c, lines, config, trained)
}

// undo takes back a new run that has not begun. A run that was to be resumed
// stays as it is.
func (cmd *trainCmd) undo(out *folder) {
	if !cmd.Resume {
		out.undo()
	}
}

// prepare completes and checks the settings, from an earlier run if that is to be
// resumed.
func (cmd *trainCmd) prepare() error {
	if cmd.LR == 0 && slices.Contains(cmd.given, "lr") {
		return errors.New("--lr is 0, want a number above 0")
	}
	if slices.Contains(cmd.given, "margin") {
		cmd.Margin = exactly(cmd.Margin) // of a loss that has none given, its own
	}
	cmd.complete()
	if err := cmd.check(); err != nil && !cmd.Resume {
		return err
	}
	if cmd.CheckpointSteps < 0 {
		return fmt.Errorf("--checkpoint-steps is %d, want at least 0", cmd.CheckpointSteps)
	}
	if cmd.Out == "" {
		cmd.Out = defaultFolder(&cmd.Settings, cmd.Resume)
	}
	if !cmd.Resume {
		if exists(cmd.Out, compare.PlanFile) {
			return fmt.Errorf("%s holds a comparison: give another --out", cmd.Out)
		}
		if holdsRun(cmd.Out) && !cmd.Overwrite {
			return fmt.Errorf("%s holds a run already: --resume goes on with it, --overwrite replaces it", cmd.Out)
		}
		return nil
	}
	if cmd.Overwrite {
		return errors.New("--resume and --overwrite exclude each other")
	}
	saved, err := readRunConfig(cmd.Out)
	if err != nil {
		return err
	}
	cmd.Settings, err = cmd.takeOver(saved.Settings, cmd.given)
	if err != nil {
		return err
	}
	return cmd.check()
}

// begin opens the data and builds the model.
func (cmd *trainCmd) begin(lines io.Writer) (train.Config, error) {
	set, err := data.Open(cmd.Data, cmd.dataOptions())
	if err != nil {
		return train.Config{}, err
	}
	skipped(lines, set)
	config, err := cmd.config(set, cmd.Resume, lines)
	if err != nil {
		return train.Config{}, err
	}
	config.Dir, config.Resume, config.CheckpointSteps = cmd.Out, cmd.Resume, cmd.CheckpointSteps
	fmt.Fprintf(lines, "%s: %d training, %d validation and %d test images in %d classes\n%s: %d weights; %s\n",
		cmd.Data, set.Train.Len(), set.Val.Len(), set.Test.Len(), len(set.Train.Classes()), cmd.Model, config.Model.NumParams(), cmd.objective())
	if !cmd.Resume { // a report of the run that is replaced would be taken for this one's
		if err := os.Remove(filepath.Join(cmd.Out, reportFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return train.Config{}, err
		}
	}
	kept, err := newRunConfig(cmd.Settings, set)
	if err != nil {
		return train.Config{}, err
	}
	return config, kept.write(cmd.Out)
}

// processBytes is the memory the program took from the system.
func processBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// finish writes the report and prints the result.
func (cmd *trainCmd) finish(c *console, lines io.Writer, config train.Config, trained *train.Result) error {
	page := filepath.Join(cmd.Out, reportFile)
	err := report.WriteFile(page, &report.Run{
		Title:     fmt.Sprintf("%s, %s, loss %s, seed %d", cmd.Data, cmd.Model, cmd.Loss, cmd.Seed),
		Settings:  cmd.listed(),
		Epochs:    trained.Epochs,
		BestEpoch: trained.BestEpoch,
		Seconds:   trained.Seconds, ImagesPerSecond: trained.ImagesPerSecond,
		PlanBytes: trained.PlanBytes, ProcessBytes: processBytes(), Layers: trained.Layers,
		Val: trained.Val, Test: trained.Test, Images: config.Data.Test,
	})
	if err != nil {
		return fmt.Errorf("the run is complete, its report is not: %w", err)
	}
	r := newResult(trained.Val, trained.Test, trained.ImagesPerSecond, cmd.Out)
	waiting(lines, trained.Epochs)
	if !cmd.JSON {
		if err := r.print(lines, false); err != nil {
			return err
		}
		_, err = fmt.Fprintf(lines, "trained in %.1f s, %.0f images/s\nreport: %s\n", trained.Seconds, trained.ImagesPerSecond, page)
		return err
	}
	fmt.Fprintf(lines, "report: %s\n", page)
	return r.print(c.out, true)
}
