package train

import (
	"context"
	"fmt"
	"time"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train/data"
)

// Fit trains c.Model and evaluates its best weights. For one ISA the weights
// depend on the configuration and the weights at the start alone: not on
// GOMAXPROCS, timing or interruptions.
//
// Cancelling ctx ends the run at the next step with a checkpoint (if c.Dir is
// set), Result.Interrupted and no error. A loss or gradient that becomes NaN or
// infinite ends it with a *NonFiniteError; the checkpoints stay those of the last
// step that was good.
func Fit(ctx context.Context, c Config) (*Result, error) {
	t, err := newTrainer(c)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if err := t.begin(); err != nil {
		return nil, err
	}
	for !t.done() {
		finished, err := t.epoch(ctx)
		if err != nil {
			return nil, err
		}
		if !finished {
			return t.result(), t.checkpoint()
		}
	}
	return t.evaluate()
}

// NonFiniteError says where a NaN or an infinity first appeared.
type NonFiniteError struct {
	Epoch, Step int    // both from 1
	Where       string // "layer block1.conv1", "tensor fc.weight", "images", "gradient of ...", "loss"
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("train: epoch %d, step %d: NaN or infinity, first in %s; the checkpoint before it is kept", e.Epoch, e.Step, e.Where)
}

// trainer is a run of Fit.
type trainer struct {
	*Stepper
	cfg      Config
	loader   *data.Loader
	val      *evaluator
	schedule *Schedule
	best     *snapshot
	perEpoch int // steps
	state    runState

	rate       rate
	last       time.Time
	convBefore float64 // convSeconds at the start of the epoch
}

// rate counts what this call of Fit has done.
type rate struct {
	images  int
	seconds float64
}

func newTrainer(c Config) (*trainer, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &trainer{cfg: c}
	if t.Stepper, err = newStepper(c.step()); err != nil {
		return nil, err
	}
	t.best = newSnapshot(t.model.set)
	if err := t.openData(); err != nil {
		t.close()
		return nil, err
	}
	arena := t.plan.Size()
	if t.val != nil {
		arena = max(arena, t.val.arenaSize())
	}
	storage := kernels.AlignedFloats(arena)
	t.plan.Bind(storage)
	if t.val != nil {
		t.val.bind(storage)
	}
	return t, nil
}

// openData starts the loaders, and makes the schedule for their number of steps.
func (t *trainer) openData() error {
	c, d := &t.cfg, t.cfg.Data
	var err error
	if d.Val != nil {
		if t.val, err = newEvaluator(c.Model, d.Val, EvalOptions{Mean: d.Mean, Std: d.Std}); err != nil {
			return err
		}
	}
	t.loader, err = data.NewLoader(d.Train, data.LoaderOptions{Batch: c.Batch, Seed: c.Seed, Shuffle: true,
		Sampler: c.Sampler, DropLast: true, Augment: d.Augment, Mean: d.Mean, Std: d.Std})
	if err != nil {
		return err
	}
	t.perEpoch = t.loader.Batches()
	updates := (t.perEpoch + c.Accumulate - 1) / c.Accumulate
	t.schedule, err = c.Schedule.New(c.Optimizer.LR, c.Epochs, updates)
	return err
}

func (t *trainer) close() {
	if t.loader != nil {
		t.loader.Close()
	}
	if t.val != nil {
		t.val.close()
	}
}

// done reports whether no epoch is left to train.
func (t *trainer) done() bool {
	return t.state.Epoch >= t.cfg.Epochs || t.state.stale(t.cfg.Patience)
}

// epoch trains what is left of the current epoch, and validates and saves it. It
// returns false when ctx ended it first.
func (t *trainer) epoch(ctx context.Context) (bool, error) {
	t.loader.Start(t.state.Epoch)
	for range t.state.Step {
		if _, err := t.loader.Next(); err != nil {
			return false, err
		}
	}
	t.last = time.Now()
	for t.state.Step < t.perEpoch {
		if ctx.Err() != nil {
			return false, nil
		}
		b, err := t.loader.Next()
		if err != nil {
			return false, err
		}
		if b == nil {
			return false, fmt.Errorf("train: the loader gave %d of %d batches", t.state.Step, t.perEpoch)
		}
		t.clock(&t.state.Sums.Times.Data)
		if err := t.step(b); err != nil {
			return false, err
		}
		if n := t.cfg.CheckpointSteps; n > 0 && t.state.Step%n == 0 && t.state.Step < t.perEpoch {
			if err := t.checkpoint(); err != nil {
				return false, err
			}
			t.last = time.Now()
		}
	}
	return true, t.finishEpoch()
}

// clock adds the time since its last call to what took it.
func (t *trainer) clock(to *float64) {
	now := time.Now()
	d := now.Sub(t.last).Seconds()
	t.last = now
	*to += d
	t.state.Sums.Seconds += d
	t.rate.seconds += d
}

// step trains one batch.
func (t *trainer) step(b *data.Batch) error {
	s := &t.state
	times := &s.Sums.Times
	t.plan.Forward(b.X, t.key())
	t.clock(&times.Forward)
	loss := t.goal.compute(t.plan, b.Labels, b.Other, b.Weight, t.lambda())
	t.count(b.Labels, loss)
	if !finite(loss.Total) {
		return &NonFiniteError{s.Epoch + 1, s.Step + 1, t.findNonFinite(b.X, t.key())}
	}
	t.clock(&times.Loss)
	t.plan.Backward()
	t.clock(&times.Backward)
	s.Step++
	s.Global++
	s.LR = t.schedule.LR(s.Updates)
	where := t.update(s.LR, s.Step == t.perEpoch)
	if t.batches == 0 {
		s.Updates++
	}
	t.clock(&times.Update)
	if where != "" {
		return &NonFiniteError{s.Epoch + 1, s.Step, where}
	}
	t.rate.images += len(b.Labels)
	t.report()
	return nil
}

// key seeds what is random in the next step.
func (t *trainer) key() uint64 { return t.cfg.Seed + uint64(t.state.Global) }

// lambda is the weight of the loss's second term now.
func (t *trainer) lambda() float64 {
	l := t.cfg.Loss
	if l.Ramp <= 0 {
		return l.Lambda
	}
	return l.Lambda * min(1, float64(t.state.Global)/(l.Ramp*float64(t.perEpoch)))
}

// count adds a batch to the sums of the epoch.
func (t *trainer) count(labels []int32, loss LossValue) {
	sums := &t.state.Sums
	n := float64(len(labels))
	sums.Images += len(labels)
	sums.Loss += loss.Total * n
	sums.CE += loss.CE * n
	sums.Aux += loss.Aux * n
	logits, k := t.plan.Output(t.goal.in.logits), t.model.Classes()
	for i, y := range labels {
		if argMax(logits[i*k:(i+1)*k]) == int(y) {
			sums.Correct++
		}
	}
}

func (t *trainer) report() {
	if t.cfg.OnStep == nil {
		return
	}
	s := &t.state
	n := float64(s.Sums.Images)
	t.cfg.OnStep(StepInfo{
		Epoch: s.Epoch + 1, Epochs: t.cfg.Epochs, Step: s.Step, Steps: t.perEpoch,
		Loss:            LossValue{s.Sums.Loss / n, s.Sums.CE / n, s.Sums.Aux / n},
		LR:              s.LR,
		ImagesPerSecond: n / s.Sums.Seconds,
		Elapsed:         time.Duration(s.Sums.Seconds * float64(time.Second)),
	})
	t.last = time.Now()
}
