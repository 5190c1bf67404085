package train

import (
	"errors"
	"fmt"
	"time"

	"github.com/golanes/lanes/train/data"
)

// Config describes a training run.
type Config struct {
	// Model is trained in place. When Fit returns it holds the weights of the
	// best epoch.
	Model *Model
	// Spec describes the model to build, from Seed, if Model is nil. Its Image
	// and Classes may be zero: then they are those of Data, as is CosineHead
	// what Loss wants.
	Spec Spec
	// Data holds the images. Val may be nil; then the last epoch is the best.
	// Test may be nil.
	Data *data.Dataset
	// Loss, Optimizer and Schedule: their zero values are cross entropy, SGD
	// and a cosine to zero.
	Loss      LossConfig
	Optimizer OptimizerConfig
	Schedule  ScheduleConfig
	// Epochs and Batch must be positive. A last batch of fewer than Batch
	// images is left out of training; evaluation counts every image.
	Epochs, Batch int
	// Seed decides the order and augmentation of the images and what dropout
	// drops. (The weights start from the seed given to the model's builder.)
	Seed uint64

	// Sampler decides which images make up an epoch; its zero value shuffles
	// them all.
	Sampler data.Sampler

	// Accumulate sums the gradients of this many batches for one update;
	// 0 means 1.
	Accumulate int
	// ClipNorm scales the gradient down to this Euclidean norm; 0 leaves it.
	ClipNorm float64
	// EMA is the decay of a running average of the weights, which is then
	// what is evaluated and saved as best; 0 keeps none.
	EMA float64
	// Patience stops the run after this many epochs without a better
	// validation accuracy; 0 never stops early.
	Patience int

	// Dir is the folder for the checkpoints and metrics.jsonl. "" writes
	// nothing. Without Resume, files of an earlier run in it are replaced.
	Dir string
	// Resume goes on from the last checkpoint in Dir, or from the beginning
	// if there is none, and ends with the same weights as a run that was
	// never stopped. The rest of Config must be what it was.
	Resume bool
	// CheckpointSteps writes a checkpoint every so many steps too; 0 writes
	// at the end of each epoch only, and when the context is cancelled.
	CheckpointSteps int

	// OnStep, if set, is called after every update.
	OnStep func(StepInfo)
	// OnEpoch, if set, is called after every epoch. An error ends the run.
	OnEpoch func(EpochMetrics) error
}

// Check reports the first thing in c that Fit would refuse before it trains.
func (c Config) Check() error {
	c, err := c.withDefaults()
	if err == nil {
		_, err = c.Schedule.New(c.Optimizer.LR, c.Epochs, 1)
	}
	return err
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Data == nil || c.Data.Train == nil:
		return c, errors.New("train: no training images")
	case c.Model == nil && c.Spec.Name == "":
		return c, errors.New("train: no model")
	case c.Epochs < 1:
		return c, fmt.Errorf("train: %d epochs", c.Epochs)
	case c.Patience < 0 || c.CheckpointSteps < 0:
		return c, errors.New("train: negative number of epochs or steps")
	}
	if c.Model == nil {
		if err := c.build(); err != nil {
			return c, err
		}
	}
	c.Batch = min(c.Batch, c.Data.Train.Len())
	step, err := c.step().withDefaults()
	if err != nil {
		return c, err
	}
	c.Loss, c.Optimizer, c.Accumulate = step.Loss, step.Optimizer, step.Accumulate
	for _, src := range []data.Source{c.Data.Train, c.Data.Val, c.Data.Test} {
		if src == nil {
			continue
		}
		if err := checkSource(c.Model, src); err != nil {
			return c, err
		}
	}
	return c, nil
}

// build makes the model that Spec describes.
func (c *Config) build() error {
	spec := c.Spec
	if spec.Image == (Shape{}) {
		spec.Image.H, spec.Image.W, spec.Image.C = c.Data.Train.Shape()
	}
	if spec.Classes == 0 {
		spec.Classes = len(c.Data.Train.Classes())
	}
	spec.CosineHead = spec.CosineHead || c.Loss.CosineHead()
	var err error
	c.Model, err = New(spec, c.Seed)
	return err
}

// step is the part of c that an update depends on.
func (c *Config) step() StepConfig {
	return StepConfig{Model: c.Model, Batch: c.Batch, Loss: c.Loss, Optimizer: c.Optimizer,
		Accumulate: c.Accumulate, ClipNorm: c.ClipNorm, EMA: c.EMA, Seed: c.Seed}
}

// checkSource reports images that a model cannot take.
func checkSource(m *Model, src data.Source) error {
	h, w, ch := src.Shape()
	if s := m.Image(); s != (Shape{h, w, ch}) {
		return fmt.Errorf("train: images of %v for a model of %v", Shape{h, w, ch}, s)
	}
	if len(src.Classes()) > m.Classes() {
		return fmt.Errorf("train: %d classes for a model of %d", len(src.Classes()), m.Classes())
	}
	return nil
}

// StepInfo is the progress of a run after an update.
type StepInfo struct {
	Epoch, Epochs int // Epoch counts from 1
	Step, Steps   int // batches of this epoch, done and in all
	Loss          LossValue
	LR            float64
	// ImagesPerSecond is over this epoch so far, as is Elapsed.
	ImagesPerSecond float64
	Elapsed         time.Duration
}

// EpochMetrics is what an epoch came to. Losses and TrainAcc are means over the
// training images as they were seen, before each update. StateFile keeps all of
// it, MetricsFile what is in metricsLine.
type EpochMetrics struct {
	Epoch     int     `json:"epoch"` // from 1
	Loss      float64 `json:"loss"`
	CE        float64 `json:"ce"`
	CC        float64 `json:"cc"` // the second term, of whatever kind
	TrainAcc  float64 `json:"train_acc"`
	ValAcc    float64 `json:"val_acc"`
	ValLoss   float64 `json:"val_loss"` // cross entropy
	LR        float64 `json:"lr"`       // of the last step
	ImagesPS  float64 `json:"images_per_s"`
	Seconds   float64 `json:"seconds"` // of training, without validation
	Best      bool    `json:"best"`
	StepTimes `json:"times"`
}

// metricsLine is one line of MetricsFile.
type metricsLine struct {
	Epoch    int     `json:"epoch"`
	Loss     float64 `json:"loss"`
	CE       float64 `json:"ce"`
	CC       float64 `json:"cc"`
	TrainAcc float64 `json:"train_acc"`
	ValAcc   float64 `json:"val_acc"`
	ImagesPS float64 `json:"images_per_s"`
	Seconds  float64 `json:"seconds"`
}

// StepTimes is where the time of an epoch went, in seconds.
type StepTimes struct {
	Data     float64 `json:"data"` // waiting for the loader
	Forward  float64 `json:"forward"`
	Loss     float64 `json:"loss"`
	Backward float64 `json:"backward"`
	Update   float64 `json:"update"`
	Conv     float64 `json:"conv"` // the convolutions' part of Forward and Backward
}

// Result is the outcome of Fit.
type Result struct {
	// Model holds the weights of the best epoch.
	Model *Model
	// Epochs has one entry per finished epoch, those before a resume
	// included.
	Epochs []EpochMetrics
	// BestEpoch counts from 1; 0 if no epoch was finished.
	BestEpoch int
	// Interrupted is set when the context was cancelled: a checkpoint was
	// written, and there is no evaluation.
	Interrupted bool
	// EarlyStopped is set when Patience ended the run.
	EarlyStopped bool
	// ImagesPerSecond is the training rate over this call of Fit, and
	// Seconds its training time.
	ImagesPerSecond float64
	Seconds         float64
	// PlanBytes is the memory of activations, gradients, parameters and
	// optimizer state.
	PlanBytes int64
	// Layers is the time each layer took.
	Layers []LayerTime
	// Val and Test evaluate the best weights; nil without such images.
	Val, Test *Evaluation
}
