package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Plan is what a comparison consists of. It decides the results.
type Plan struct {
	// Data, Models and Losses are compared in every combination. Differences
	// are taken from the loss ce, if it is among them.
	Data   []string `json:"data"`
	Models []string `json:"models"`
	Losses []string `json:"losses"`
	// Limit and Size (of the images of folders) are those of data.Options,
	// Width that of train.Spec.
	Limit int     `json:"limit"`
	Size  int     `json:"size"`
	Width float64 `json:"width"`
	// Grid has the settings to try for each loss, of equal number.
	Grid map[string][]Setting `json:"grid"`
	// Seed is that of tuning and of the division of the data; the runs that
	// are tested have Seed+1 to Seed+Seeds.
	Seed  uint64 `json:"seed"`
	Seeds int    `json:"seeds"`
	// Epochs are those of a tested run, TuneEpochs those of a tuning run.
	Epochs     int `json:"epochs"`
	TuneEpochs int `json:"tune-epochs"`
	Batch      int `json:"batch"`
	// LR, WeightDecay and Warmup (in epochs) are of SGD with momentum 0.9 and
	// a cosine schedule.
	LR          float64 `json:"lr"`
	WeightDecay float64 `json:"weight-decay"`
	Warmup      float64 `json:"warmup"`
}

const momentum = 0.9

// maxRuns bounds what a typing error can ask for.
const maxRuns = 100_000

// Check reports the first thing in the plan that cannot be.
func (p *Plan) Check() error {
	for _, list := range []struct {
		name  string
		items []string
	}{{"data sets", p.Data}, {"models", p.Models}, {"losses", p.Losses}} {
		if len(list.items) == 0 {
			return fmt.Errorf("no %s to compare", list.name)
		}
		sorted := slices.Sorted(slices.Values(list.items))
		if twice := slices.Compact(slices.Clone(sorted)); len(twice) != len(sorted) {
			return fmt.Errorf("one of the %s is named twice", list.name)
		}
	}
	switch {
	case p.Seeds < 1 || p.Epochs < 1 || p.TuneEpochs < 1 || p.Batch < 1:
		return errors.New("seeds, epochs, tuning epochs and batch must be at least 1")
	case p.Limit < 0 || p.Size < 0:
		return errors.New("a negative number of images or size")
	case p.Seed > math.MaxUint64-uint64(p.Seeds):
		return fmt.Errorf("seed %d is too large", p.Seed)
	}
	for _, loss := range p.Losses {
		if !slices.Contains(train.LossKinds(), loss) {
			return fmt.Errorf("unknown loss %q", loss)
		}
		if n, first := len(p.Grid[loss]), len(p.Grid[p.Losses[0]]); n == 0 || n != first {
			return fmt.Errorf("%d settings for the loss %s and %d for %s: every loss must have the same number, at least 1", n, loss, first, p.Losses[0])
		}
		for _, s := range p.Grid[loss] {
			if s.PerClass < 0 || s.PerClass > 0 && p.Batch%s.PerClass != 0 {
				return fmt.Errorf("loss %s: %d images of each class do not divide a batch of %d", loss, s.PerClass, p.Batch)
			}
		}
	}
	if n := float64(len(p.Data)) * float64(len(p.Models)) * float64(len(p.Losses)) * (float64(p.Settings()) + float64(p.Seeds)); n > maxRuns {
		return fmt.Errorf("%.0f runs are more than %d", n, maxRuns)
	}
	return nil
}

// Settings is the number of settings that are tried for each loss.
func (p *Plan) Settings() int { return len(p.Grid[p.Losses[0]]) }

// Runs is the number of training runs of the plan.
func (p *Plan) Runs() int {
	return len(p.Data) * len(p.Models) * len(p.Losses) * (p.Settings() + p.Seeds)
}

// restrictGrid drops the settings of losses that are not compared.
func (p *Plan) restrictGrid() {
	grid := map[string][]Setting{}
	for _, loss := range p.Losses {
		grid[loss] = p.Grid[loss]
	}
	p.Grid = grid
}

// continues reports in what p asks for something else than the plan that a
// folder's runs were made with. More data sets, models, losses and seeds leave
// those runs valid.
func (p *Plan) continues(before *Plan) error {
	for _, list := range []struct {
		name        string
		now, before []string
	}{{"data", p.Data, before.Data}, {"models", p.Models, before.Models}, {"losses", p.Losses, before.Losses}} {
		for _, item := range list.before {
			if !slices.Contains(list.now, item) {
				return fmt.Errorf("%s lacks %s, which the folder's comparison has", list.name, item)
			}
		}
	}
	if p.Seeds < before.Seeds {
		return fmt.Errorf("seeds is %d, the folder's comparison has %d", p.Seeds, before.Seeds)
	}
	for loss, settings := range before.Grid {
		if !slices.Equal(settings, p.Grid[loss]) {
			return fmt.Errorf("the settings tried for %s differ from the folder's", loss)
		}
	}
	// What is left must be equal.
	now, was := *p, *before
	for _, q := range []*Plan{&now, &was} {
		q.Data, q.Models, q.Losses, q.Grid, q.Seeds = nil, nil, nil, nil, 0
	}
	a, b := reflect.ValueOf(now), reflect.ValueOf(was)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			return fmt.Errorf("%s is %v, in the folder's comparison %v", a.Type().Field(i).Tag.Get("json"), x, y)
		}
	}
	return nil
}

// task is one training run. Its setting is part of what it is, for a choice made
// by tuning must not be mixed with runs of another.
type task struct {
	Data    string  `json:"data"`
	Model   string  `json:"model"`
	Loss    string  `json:"loss"`
	Setting Setting `json:"setting"`
	// Tune is the number of the setting in the grid, from 1, for a tuning
	// run; 0 for a run that is tested.
	Tune   int    `json:"tune,omitempty"`
	Seed   uint64 `json:"seed"`
	Epochs int    `json:"epochs"`
}

// name is that of the task's files.
func (t *task) name() string {
	if t.Tune > 0 {
		return fmt.Sprintf("%s_%s_%s_tune%d", t.Data, t.Model, t.Loss, t.Tune)
	}
	return fmt.Sprintf("%s_%s_%s_seed%d", t.Data, t.Model, t.Loss, t.Seed)
}

// tuning lists the runs that choose a loss's setting.
func (p *Plan) tuning(set, model, loss string) []task {
	var list []task
	for i, s := range p.Grid[loss] {
		list = append(list, task{set, model, loss, s, i + 1, p.Seed, p.TuneEpochs})
	}
	return list
}

// tested lists the runs with the chosen setting.
func (p *Plan) tested(set, model, loss string, chosen Setting) []task {
	var list []task
	for i := range p.Seeds {
		list = append(list, task{set, model, loss, chosen, 0, p.Seed + 1 + uint64(i), p.Epochs})
	}
	return list
}

// config describes a task to train.Fit.
func (p *Plan) config(t *task, set *data.Dataset) (train.Config, error) {
	loss, err := t.Setting.loss(t.Loss)
	if err != nil {
		return train.Config{}, fmt.Errorf("loss %s: %w", t.Loss, err)
	}
	h, w, c := set.Train.Shape()
	model, err := train.New(train.Spec{Name: t.Model, Image: train.Shape{H: h, W: w, C: c}, Classes: len(set.Train.Classes()),
		Width: p.Width, Placement: t.Setting.Placement, NoRescale: t.Setting.NoRescale, CosineHead: loss.CosineHead()}, t.Seed)
	if err != nil {
		return train.Config{}, err
	}
	if have, want := len(model.Attentions()), max(1, loss.Stages); loss.Kind == train.LossCC && have < want {
		return train.Config{}, fmt.Errorf("the loss cc needs %d attention vectors, model %s has %d (se-%s has some)", want, t.Model, have, t.Model)
	}
	images := *set
	if t.Tune > 0 {
		images.Test = nil
	}
	sampler := data.Sampler{}
	if t.Setting.PerClass != 0 {
		sampler = data.Sampler{Kind: data.SamplerPxK, PerClass: t.Setting.PerClass}
	}
	return train.Config{
		Model: model, Data: &images, Loss: loss, Sampler: sampler,
		Optimizer: train.OptimizerConfig{Kind: train.SGD, LR: p.LR, Momentum: momentum, WeightDecay: p.WeightDecay},
		Schedule:  train.ScheduleConfig{Kind: train.Cosine, Warmup: p.Warmup},
		Epochs:    t.Epochs, Batch: p.Batch, Seed: t.Seed,
	}, nil
}

func encode(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}
