package train

import (
	"context"
	"fmt"
	"math"
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
	cfg      Config
	model    *Model
	plan     *Plan
	goal     *objective
	loader   *data.Loader
	val      *evaluator
	sets     []*paramSet // the model's and the loss's
	optims   []*Optimizer
	schedule *Schedule
	sums     [][]float32 // accumulated gradients, by set; nil without
	norm     *normer
	ema      *average
	best     *snapshot
	steps    int // per epoch
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
	t := &trainer{cfg: c, model: c.Model}
	if t.goal, err = newObjective(c.Loss, c.Model, c.Batch); err != nil {
		return nil, err
	}
	t.plan, err = c.Model.NewPlan(PlanOptions{Batch: c.Batch, Train: true, Gradients: t.goal.in.values()})
	if err != nil {
		return nil, err
	}
	arena := t.plan.Size()
	d := c.Data
	if d.Val != nil {
		if t.val, err = newEvaluator(c.Model, d.Val, EvalOptions{Mean: d.Mean, Std: d.Std}); err != nil {
			return nil, err
		}
		arena = max(arena, t.val.arenaSize())
	}
	if err := t.prepareUpdate(); err != nil {
		t.close()
		return nil, err
	}
	t.loader, err = data.NewLoader(d.Train, data.LoaderOptions{Batch: c.Batch, Seed: c.Seed, Shuffle: true,
		DropLast: true, Augment: d.Augment, Mean: d.Mean, Std: d.Std})
	if err != nil {
		t.close()
		return nil, err
	}
	t.steps = t.loader.Batches()
	updates := (t.steps + c.Accumulate - 1) / c.Accumulate
	if t.schedule, err = c.Schedule.New(c.Optimizer.LR, c.Epochs, updates); err != nil {
		t.close()
		return nil, err
	}
	storage := alignedFloats(arena)
	t.plan.Bind(storage)
	if t.val != nil {
		t.val.bind(storage)
	}
	return t, nil
}

// prepareUpdate makes the optimizers and what goes with them.
func (t *trainer) prepareUpdate() error {
	t.sets = []*paramSet{t.model.set}
	if extra := t.goal.params(); len(extra) > 0 {
		set, err := newParamSet(extra)
		if err != nil {
			return err
		}
		set.initialise(t.cfg.Seed)
		t.sets = append(t.sets, set)
	}
	for _, set := range t.sets {
		t.optims = append(t.optims, newOptimizer(t.cfg.Optimizer, set))
		if t.cfg.Accumulate > 1 {
			t.sums = append(t.sums, alignedFloats(len(set.grads)))
		}
	}
	if t.cfg.ClipNorm > 0 {
		t.norm = newNormer(t.sets)
	}
	if t.cfg.EMA > 0 {
		t.ema = newAverage(t.model.set, t.cfg.EMA)
	}
	t.best = newSnapshot(t.model.set)
	return nil
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
	for t.state.Step < t.steps {
		if ctx.Err() != nil {
			return false, nil
		}
		b, err := t.loader.Next()
		if err != nil {
			return false, err
		}
		if b == nil {
			return false, fmt.Errorf("train: the loader gave %d of %d batches", t.state.Step, t.steps)
		}
		t.clock(&t.state.Sums.Times.Data)
		if err := t.step(b); err != nil {
			return false, err
		}
		if n := t.cfg.CheckpointSteps; n > 0 && t.state.Step%n == 0 && t.state.Step < t.steps {
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
	t.plan.Forward(b.X, uint64(s.Global))
	t.clock(&times.Forward)
	loss := t.goal.compute(t.plan, b.Labels, t.lambda())
	t.count(b.Labels, loss)
	if !finite(loss.Total) {
		return t.locate(b)
	}
	t.clock(&times.Loss)
	t.plan.Backward()
	t.clock(&times.Backward)
	s.Step++
	s.Global++
	err := t.update()
	t.clock(&times.Update)
	if err != nil {
		return err
	}
	t.rate.images += len(b.Labels)
	t.report()
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// lambda is the weight of the loss's second term now.
func (t *trainer) lambda() float64 {
	l := t.cfg.Loss
	if l.Ramp <= 0 {
		return l.Lambda
	}
	return l.Lambda * min(1, float64(t.state.Global)/(l.Ramp*float64(t.steps)))
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

// update changes the weights, at the last batch of every Accumulate or of the
// epoch.
func (t *trainer) update() error {
	s := &t.state
	last := s.Step%t.cfg.Accumulate == 0 || s.Step == t.steps
	s.LR = t.schedule.LR(s.Updates)
	if t.sums != nil {
		t.accumulate(last)
	}
	if !last {
		return nil
	}
	if t.norm != nil {
		if err := t.clip(); err != nil {
			return err
		}
	}
	s.Updates++
	for _, o := range t.optims {
		o.step(s.LR)
	}
	if t.ema != nil {
		t.ema.update()
	}
	return nil
}

// accumulate adds the gradients to the sums, or at the last batch leaves the mean
// in the gradients and clears the sums.
func (t *trainer) accumulate(last bool) {
	n := t.cfg.Accumulate
	if r := t.state.Step % n; last && r != 0 {
		n = r
	}
	for i, set := range t.sets {
		if !last {
			kernels.Add(t.sums[i], t.sums[i], set.grads)
			continue
		}
		kernels.Add(set.grads, set.grads, t.sums[i])
		kernels.Scale(float32(1/float64(n)), set.grads)
		clear(t.sums[i])
	}
}

// clip scales the gradients down to ClipNorm.
func (t *trainer) clip() error {
	norm := t.norm.norm()
	if !finite(norm) {
		for _, set := range t.sets {
			for _, p := range set.trained {
				if !allFinite(p.Grad) {
					return &NonFiniteError{t.state.Epoch + 1, t.state.Step, "gradient of tensor " + p.Name}
				}
			}
		}
		return &NonFiniteError{t.state.Epoch + 1, t.state.Step, "norm of the gradient"}
	}
	if norm > t.cfg.ClipNorm {
		for _, set := range t.sets {
			kernels.Scale(float32(t.cfg.ClipNorm/norm), set.grads)
		}
	}
	return nil
}

// locate finds where a non-finite loss came from. The forward pass is repeated
// layer by layer; the running statistics it moves are put back.
func (t *trainer) locate(b *data.Batch) error {
	where := t.findNonFinite(b)
	if where == "" {
		where = "loss"
	}
	return &NonFiniteError{t.state.Epoch + 1, t.state.Step + 1, where}
}

func (t *trainer) findNonFinite(b *data.Batch) string {
	buffers := append([]float32(nil), t.model.set.buffers...)
	defer copy(t.model.set.buffers, buffers)
	return t.plan.FindNonFinite(b.X, uint64(t.state.Global))
}

func (t *trainer) report() {
	if t.cfg.OnStep == nil {
		return
	}
	s := &t.state
	n := float64(s.Sums.Images)
	t.cfg.OnStep(StepInfo{
		Epoch: s.Epoch + 1, Epochs: t.cfg.Epochs, Step: s.Step, Steps: t.steps,
		Loss:            LossValue{s.Sums.Loss / n, s.Sums.CE / n, s.Sums.Aux / n},
		LR:              s.LR,
		ImagesPerSecond: n / s.Sums.Seconds,
		Elapsed:         time.Duration(s.Sums.Seconds * float64(time.Second)),
	})
	t.last = time.Now()
}
