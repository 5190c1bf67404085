package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Settings are the flags that decide the outcome of a run. They are kept in its
// config.json; the JSON names are the names of the flags.
type Settings struct {
	Data  string `json:"data" enum:"${datasets}" default:"glyphs" group:"Data" help:"Data set: ${enum}. glyphs are drawn by the program, the others are read from --root (default ${default})."`
	Root  string `json:"root" placeholder:"DIR" group:"Data" help:"Folder with the data set's original files, gzipped or not."`
	Limit int    `json:"limit" placeholder:"N" group:"Data" help:"Use at most N images for training and validation, and N/3 for the test (default all)."`

	Model string `json:"model" enum:"${models}" default:"se-resnet8" group:"Model and loss" help:"Network: ${enum} (default ${default})."`
	Loss  string `json:"loss" enum:"${losses}" default:"cc" group:"Model and loss" help:"ce is the cross entropy, cc adds lambda times the channel-correlation loss of the attention vectors (default ${default})."`

	Lambda   float64 `json:"lambda" default:"0.1" placeholder:"F" group:"Model and loss" help:"Weight of the channel-correlation loss (default ${default})."`
	Ramp     float64 `json:"ramp" default:"1" placeholder:"F" group:"Model and loss" help:"Epochs over which lambda rises from 0: attention vectors that are still alike would get too large a push (default ${default})."`
	CCMetric string  `json:"cc-metric" enum:"euclidean,squared" default:"squared" group:"Model and loss" help:"Distance between attention vectors: ${enum} (default ${default})."`
	CCForm   string  `json:"cc-form" enum:"ratio,difference,margin" default:"ratio" group:"Model and loss" help:"How distances within and between classes combine: ${enum} (default ${default})."`

	Epochs      int     `json:"epochs" default:"${epochs}" placeholder:"N" group:"Training" help:"Passes over the training images (default ${default})."`
	Batch       int     `json:"batch" default:"32" placeholder:"N" group:"Training" help:"Images in a mini-batch (default ${default})."`
	LR          float64 `json:"lr" default:"0.05" placeholder:"F" group:"Training" help:"Base learning rate of SGD with momentum 0.9 (default ${default})."`
	Schedule    string  `json:"schedule" enum:"cosine,step,constant" default:"cosine" group:"Training" help:"Learning rate over the run: ${enum}; step divides it by ten after each third (default ${default})."`
	Warmup      float64 `json:"warmup" default:"0.25" placeholder:"F" group:"Training" help:"Epochs in which the learning rate rises from 0 (default ${default})."`
	WeightDecay float64 `json:"weight-decay" default:"0.0005" placeholder:"F" group:"Training" help:"Weight decay (default ${default})."`
	Seed        uint64  `json:"seed" default:"1" placeholder:"N" group:"Training" help:"Decides the weights at the start, the order of the images, and what is drawn. The same seed gives the same weights (default ${default})."`
}

// Bounds of what a command line may ask for, which keep a typing error from
// taking all memory.
const (
	maxEpochs = 100_000
	maxBatch  = 4096
)

// check reports the first setting that cannot be.
func (s *Settings) check() error {
	number := func(name string, v float64) error {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("--%s is %v, want a number of at least 0", name, v)
		}
		return nil
	}
	switch {
	case s.Epochs < 1 || s.Epochs > maxEpochs:
		return fmt.Errorf("--epochs is %d, want 1 to %d", s.Epochs, maxEpochs)
	case s.Batch < 1 || s.Batch > maxBatch:
		return fmt.Errorf("--batch is %d, want 1 to %d", s.Batch, maxBatch)
	case s.Limit < 0:
		return fmt.Errorf("--limit is %d, want a number of images", s.Limit)
	case data.NeedsRoot(s.Data) && s.Root == "":
		return fmt.Errorf("--data %s needs --root, the folder with its files", s.Data)
	case !data.NeedsRoot(s.Data) && s.Root != "":
		return fmt.Errorf("--data %s is drawn by the program and takes no --root", s.Data)
	}
	return firstOf(number("lambda", s.Lambda), number("ramp", s.Ramp), number("warmup", s.Warmup), number("lr", s.LR), number("weight-decay", s.WeightDecay))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) dataOptions() data.Options {
	return data.Options{Root: s.Root, Seed: s.Seed, Limit: s.Limit}
}

// config translates the settings for train.Fit, all but the folder.
func (s *Settings) config(set *data.Dataset) (train.Config, error) {
	metric, err := ccloss.ParseMetric(s.CCMetric)
	if err != nil {
		return train.Config{}, err
	}
	form, err := ccloss.ParseForm(s.CCForm)
	if err != nil {
		return train.Config{}, err
	}
	h, w, c := set.Train.Shape()
	spec := train.Spec{Name: s.Model, Image: train.Shape{H: h, W: w, C: c}, Classes: len(set.Train.Classes())}
	model, err := train.New(spec, s.Seed)
	if err != nil {
		return train.Config{}, err
	}
	loss := train.LossConfig{Kind: s.Loss}
	if s.Loss == train.LossCC {
		loss.Lambda, loss.Ramp, loss.CC = s.Lambda, s.Ramp, ccloss.Options{Metric: metric, Form: form}
	}
	return train.Config{
		Model: model, Data: set, Loss: loss,
		Optimizer: train.OptimizerConfig{Kind: train.SGD, LR: s.LR, Momentum: 0.9, WeightDecay: s.WeightDecay},
		Schedule:  train.ScheduleConfig{Kind: s.Schedule, StepSize: float64(s.Epochs) / 3, Warmup: s.Warmup},
		Epochs:    s.Epochs, Batch: s.Batch, Seed: s.Seed,
	}, nil
}

// configFile is in every run's folder.
const configFile = "config.json"

// runConfig is the content of config.json: what `lanes eval` and a resumed run
// need to know of a run.
type runConfig struct {
	Version  int       `json:"version"`
	Settings Settings  `json:"settings"`
	Classes  []string  `json:"classes"`
	Mean     []float32 `json:"mean"`
	Std      []float32 `json:"std"`
}

const configVersion = 1

func newRunConfig(s Settings, set *data.Dataset) (*runConfig, error) {
	if s.Root != "" {
		root, err := filepath.Abs(s.Root)
		if err != nil {
			return nil, err
		}
		s.Root = root
	}
	return &runConfig{configVersion, s, set.Train.Classes(), set.Mean, set.Std}, nil
}

func (c *runConfig) write(dir string) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return train.WriteFile(filepath.Join(dir, configFile), append(text, '\n'))
}

// readRunConfig reads and checks dir's config.json.
func readRunConfig(dir string) (*runConfig, error) {
	path := filepath.Join(dir, configFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no run: there is no %s", dir, configFile)
	}
	if err != nil {
		return nil, err
	}
	var c runConfig
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if c.Version != configVersion {
		return nil, fmt.Errorf("%s has version %d, this program knows %d", path, c.Version, configVersion)
	}
	if !slices.Contains(data.Names(), c.Settings.Data) {
		return nil, fmt.Errorf("%s is damaged: unknown data set %q", path, c.Settings.Data)
	}
	if err := c.Settings.check(); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return &c, nil
}

// takeOver returns the settings of an earlier run for the run that resumes it.
// given names the flags of the command line: one that asks for something else is
// an error, but for --root, for files may move.
func (s *Settings) takeOver(saved Settings, given []string) (Settings, error) {
	now, err := s.byFlag()
	if err != nil {
		return saved, err
	}
	before, err := saved.byFlag()
	if err != nil {
		return saved, err
	}
	for _, flag := range given {
		if flag == "root" {
			saved.Root = s.Root
			continue
		}
		if was, ok := before[flag]; ok && string(was) != string(now[flag]) {
			return saved, fmt.Errorf("--%s %s differs from the run's %s: a resumed run keeps its settings", flag, now[flag], was)
		}
	}
	return saved, nil
}

func (s *Settings) byFlag() (map[string]json.RawMessage, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(text, &m)
}
