package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Settings are the flags that decide the outcome of a run. They are kept in its
// config.json; the JSON names are the names of the flags.
type Settings struct {
	Data  string `json:"data" enum:"${datasets}" default:"glyphs" group:"Data" help:"Data set: ${enum}. glyphs are drawn by the program, the others are read from --root (default ${default})."`
	Root  string `json:"root" placeholder:"DIR" group:"Data" help:"Folder with the data set's original files, gzipped or not."`
	Size  int    `json:"size" placeholder:"N" group:"Data" help:"Side of the images of a folder, to which they are resized (default 64)."`
	Limit int    `json:"limit" placeholder:"N" group:"Data" help:"Use at most N images for training and validation, and N/3 for the test (default all)."`

	SkipBad  bool   `json:"skip-bad" group:"Data" help:"Leave out the files of a folder that cannot be used, instead of failing."`
	Augment  string `json:"augment" default:"default" placeholder:"LIST" group:"Data" help:"How training images are varied: some of ${augmentations}, each perhaps with =strength, or none (default what suits the data set)."`
	Sampler  string `json:"sampler" enum:"${samplers}" default:"shuffle" group:"Data" help:"Images of an epoch: ${enum}. balanced takes all classes equally often, pxk fills each batch with --per-class images of each of its classes (default ${default})."`
	PerClass int    `json:"per-class" default:"4" placeholder:"K" group:"Data" help:"Images of a class in a batch of --sampler pxk (default ${default})."`

	Model     string  `json:"model" default:"se-resnet8" placeholder:"NAME" group:"Model" help:"Network: ${backbones}; se-, eca- or cbam- in front of the name adds channel attention (default ${default})."`
	Width     float64 `json:"width" default:"1" placeholder:"F" group:"Model" help:"Multiplies the numbers of channels of the network (default ${default})."`
	Attention string  `json:"attention" enum:"none,se,eca,cbam," default:"" placeholder:"KIND" group:"Model" help:"Channel attention: none, se, eca or cbam (default by the name of the model)."`
	Placement string  `json:"placement" enum:"head,stages,blocks," default:"" placeholder:"WHERE" group:"Model" help:"Where attention is: head (behind the last block), stages (behind every stage) or blocks (in every block). Default blocks for resnet18, resnet34 and mobilenet-v2, stages with --stages, else head."`
	Reduction int     `json:"reduction" default:"0" placeholder:"N" group:"Model" help:"Channels divided by the width of the attention's hidden layer (default 16 in blocks, else 4)."`
	Rescale   string  `json:"rescale" enum:"on,off" default:"on" group:"Model" help:"on multiplies the features by the attention vector; off computes the vector for the loss only, and a deployed model is without it (default ${default})."`
	Stem      string  `json:"stem" enum:"auto,cifar,imagenet" default:"auto" group:"Model" help:"First layers: cifar keeps the size of the images, imagenet reduces it; auto is cifar for images of up to 64 x 64 (default ${default})."`
	Dropout   float64 `json:"dropout" default:"0" placeholder:"F" group:"Model" help:"Share of the features dropped in front of the classifier (default ${default})."`
	Accuracy  string  `json:"accuracy" enum:"fast,exact" default:"fast" group:"Model" help:"Convolutions: fast may use Winograd's algorithm, exact sums directly (default ${default})."`
	Init      string  `json:"init" placeholder:"FILE" group:"Model" help:"Start from the tensors of a safetensors file, such as a torchvision state dict; a classifier of another size starts at random."`

	Loss           string  `json:"loss" enum:"${losses}" default:"cc" group:"Loss" help:"ce is the cross entropy; cc, center, supcon and triplet add lambda times a second term to it; focal, arcface and cosface change it: ${enum} (default ${default})."`
	Lambda         float64 `json:"lambda" default:"0.1" placeholder:"F" group:"Loss" help:"Weight of the second term (default ${default})."`
	Ramp           float64 `json:"ramp" default:"1" placeholder:"F" group:"Loss" help:"Epochs over which lambda rises from 0: vectors that are still alike would get too large a push (default ${default})."`
	CCMetric       string  `json:"cc-metric" enum:"euclidean,squared" default:"euclidean" group:"Loss" help:"cc: distance between attention vectors: ${enum} (default ${default})."`
	CCForm         string  `json:"cc-form" enum:"ratio,difference,margin" default:"ratio" group:"Loss" help:"cc: how distances within and between classes combine: ${enum} (default ${default})."`
	CCMargin       float64 `json:"cc-margin" default:"0.5" placeholder:"F" group:"Loss" help:"cc: distance from which form margin leaves different classes alone, in units of the root of the number of channels (default ${default})."`
	Stages         int     `json:"stages" default:"1" placeholder:"N" group:"Loss" help:"cc: how many of the last stages the loss looks at (default ${default})."`
	Gamma          float64 `json:"gamma" default:"2" placeholder:"F" group:"Loss" help:"focal: exponent of 1-p (default ${default})."`
	Scale          float64 `json:"scale" default:"16" placeholder:"F" group:"Loss" help:"arcface, cosface: factor of the cosines (default ${default})."`
	Margin         float64 `json:"margin" default:"0" placeholder:"F" group:"Loss" help:"Margin of arcface (radians, default 0.3), cosface (default 0.35) and triplet (default 0.3)."`
	Temperature    float64 `json:"temperature" default:"0.1" placeholder:"F" group:"Loss" help:"supcon: divides the similarities (default ${default})."`
	LabelSmoothing float64 `json:"label-smoothing" default:"0" placeholder:"F" group:"Loss" help:"Share of each target that goes to all classes alike; not for focal (default ${default})."`

	Optimizer     string  `json:"optimizer" enum:"sgd,adam,adamw,rmsprop" default:"sgd" group:"Optimizer" help:"${enum} (default ${default})."`
	LR            float64 `json:"lr" default:"0" placeholder:"F" group:"Optimizer" help:"Base learning rate (default 0.1 for sgd, 0.001 for the others)."`
	Momentum      float64 `json:"momentum" default:"0.9" placeholder:"F" group:"Optimizer" help:"sgd, rmsprop: momentum (default ${default})."`
	Nesterov      bool    `json:"nesterov" group:"Optimizer" help:"sgd: Nesterov's momentum."`
	Beta1         float64 `json:"beta1" name:"beta1" default:"0.9" placeholder:"F" group:"Optimizer" help:"adam, adamw: decay of the mean gradient (default ${default})."`
	Beta2         float64 `json:"beta2" name:"beta2" default:"0.999" placeholder:"F" group:"Optimizer" help:"adam, adamw: decay of the mean squared gradient (default ${default})."`
	AMSGrad       bool    `json:"amsgrad" name:"amsgrad" group:"Optimizer" help:"adam, adamw: divide by the largest mean squared gradient so far."`
	Alpha         float64 `json:"alpha" default:"0.99" placeholder:"F" group:"Optimizer" help:"rmsprop: decay of the mean squared gradient (default ${default})."`
	Centered      bool    `json:"centered" group:"Optimizer" help:"rmsprop: subtract the square of the mean gradient."`
	Eps           float64 `json:"eps" default:"1e-8" placeholder:"F" group:"Optimizer" help:"adam, adamw, rmsprop: added to the divisor (default ${default})."`
	WeightDecay   float64 `json:"weight-decay" default:"0.0005" placeholder:"F" group:"Optimizer" help:"Weight decay (default ${default})."`
	SkipNormDecay bool    `json:"skip-norm-decay" group:"Optimizer" help:"Spare biases and normalisation from weight decay."`

	Schedule   string    `json:"schedule" enum:"cosine,step,multistep,onecycle,constant" default:"cosine" group:"Schedule" help:"Learning rate over the run: ${enum} (default ${default})."`
	Warmup     float64   `json:"warmup" default:"0.25" placeholder:"F" group:"Schedule" help:"Epochs in which the learning rate rises from 0; onecycle rises by itself (default ${default})."`
	StepSize   float64   `json:"step-size" default:"0" placeholder:"F" group:"Schedule" help:"step: epochs between two drops (default a third of the run)."`
	Milestones []float64 `json:"milestones" placeholder:"F" group:"Schedule" help:"multistep: epochs after which the rate drops."`
	Decay      float64   `json:"decay" default:"0.1" placeholder:"F" group:"Schedule" help:"step, multistep: factor of the rate at a drop (default ${default})."`
	MinLR      float64   `json:"min-lr" default:"0" placeholder:"F" group:"Schedule" help:"cosine: the rate at the end (default ${default})."`
	Rise       float64   `json:"rise" default:"0.3" placeholder:"F" group:"Schedule" help:"onecycle: share of the run in which the rate rises (default ${default})."`
	DivFactor  float64   `json:"div-factor" default:"25" placeholder:"F" group:"Schedule" help:"onecycle: base rate divided by the first rate (default ${default})."`
	FinalDiv   float64   `json:"final-div" default:"10000" placeholder:"F" group:"Schedule" help:"onecycle: first rate divided by the last (default ${default})."`

	Epochs     int     `json:"epochs" default:"${epochs}" placeholder:"N" group:"Training" help:"Passes over the training images (default ${default})."`
	Batch      int     `json:"batch" default:"32" placeholder:"N" group:"Training" help:"Images in a mini-batch (default ${default})."`
	Accumulate int     `json:"accumulate" default:"1" placeholder:"N" group:"Training" help:"Mini-batches whose gradients make one update (default ${default})."`
	Clip       float64 `json:"clip" default:"0" placeholder:"F" group:"Training" help:"Scale the gradient down to this norm; 0 leaves it (default ${default})."`
	EMA        float64 `json:"ema" name:"ema" default:"0" placeholder:"F" group:"Training" help:"Evaluate and keep a running average of the weights with this decay, such as 0.999; 0 keeps none (default ${default})."`
	Patience   int     `json:"patience" default:"0" placeholder:"N" group:"Training" help:"Stop after N epochs without a better validation accuracy; 0 never does (default ${default})."`
	Seed       uint64  `json:"seed" default:"1" placeholder:"N" group:"Training" help:"Decides the weights at the start, the order of the images, and what is drawn. The same seed gives the same weights (default ${default})."`
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
	return atomicfile.Write(filepath.Join(dir, configFile), append(text, '\n'))
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
	if err := kong.ApplyDefaults(&c.Settings, vars()); err != nil { // of what the file does not mention
		return nil, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if c.Version != configVersion {
		return nil, fmt.Errorf("%s has version %d, this program knows %d", path, c.Version, configVersion)
	}
	if !slices.Contains(data.Names(), c.Settings.Data) {
		return nil, fmt.Errorf("%s is damaged: unknown data set %q", path, c.Settings.Data)
	}
	c.Settings.complete()
	if err := c.Settings.check(); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return &c, nil
}

// openRun reads dir's config.json and the model with the best weights, which must
// go together.
func openRun(dir string) (*runConfig, *train.Model, error) {
	config, err := readRunConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	model, err := train.OpenModel(filepath.Join(dir, train.BestFile))
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, configFile)
	if channels := model.Image().C; len(config.Mean) != channels || len(config.Std) != channels {
		return nil, nil, fmt.Errorf("%s is damaged: mean and deviation of %d and %d channels for images of %d", path, len(config.Mean), len(config.Std), channels)
	}
	if len(config.Classes) != model.Classes() {
		return nil, nil, fmt.Errorf("%s is damaged: %d names of classes for a model of %d", path, len(config.Classes), model.Classes())
	}
	return config, model, nil
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
