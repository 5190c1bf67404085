package compare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Options say how to carry out a plan. They do not change the results.
type Options struct {
	// Dir is the folder of the comparison. Runs that are finished there are
	// not trained again.
	Dir string
	// Open opens a data set of the plan.
	Open func(name string) (*data.Dataset, error)
	// Parallel is the number of runs at the same time; 0 means 1.
	Parallel int
	// OnRun, if set, is called after every run, by one goroutine at a time.
	OnRun func(Progress)
}

// Progress is how far a comparison is.
type Progress struct {
	Done, Total int    // runs
	Run         string // the run's data set, model, loss, setting and seed
	ValAcc      float64
	TestAcc     float64 // 0 for a tuning run
	Diverged    string
	Seconds     float64 // of training
	Before      bool    // the run was finished by an earlier call
}

// ErrInterrupted is returned when the context ended a comparison. Run it again to
// go on.
var ErrInterrupted = errors.New("compare: interrupted")

// runner carries out a plan.
type runner struct {
	plan  *Plan
	opt   Options
	store *store
	sets  map[string]*data.Dataset

	mu   sync.Mutex
	done int
}

// Run carries out a plan and writes its results to ResultsFile in opt.Dir. A loss
// that becomes NaN or infinite ends that run alone. While another process runs in
// that folder it is an error.
func Run(ctx context.Context, plan Plan, opt Options) (*Results, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	plan.restrictGrid()
	r := &runner{plan: &plan, opt: opt, sets: map[string]*data.Dataset{}}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.Dir, 0o777); err != nil {
		return nil, err
	}
	unlock, err := train.LockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r.store, err = openStore(opt.Dir, &plan); err != nil {
		return nil, err
	}
	results := r.newResults()
	for _, set := range plan.Data {
		for _, model := range plan.Models {
			if err := r.block(ctx, results, set, model); err != nil {
				return nil, err
			}
		}
	}
	results.overall()
	return results, results.write(opt.Dir)
}

// prepare opens the data sets and tries every configuration, so that a mistake
// shows before hours of training.
func (r *runner) prepare() error {
	p := r.plan
	for _, name := range p.Data {
		set, err := r.opt.Open(name)
		if err != nil {
			return err
		}
		r.sets[name] = set
		for _, model := range p.Models {
			for _, loss := range p.Losses {
				for _, t := range p.tuning(name, model, loss) {
					c, err := p.config(&t, set)
					if err == nil {
						err = c.Check()
					}
					if err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// block tunes and tests all losses on one data set with one model.
func (r *runner) block(ctx context.Context, results *Results, set, model string) error {
	var tuning, testing []task
	p := r.plan
	for _, loss := range p.Losses {
		tuning = append(tuning, p.tuning(set, model, loss)...)
	}
	tuned, err := r.all(ctx, tuning)
	if err != nil {
		return err
	}
	settings := p.Settings()
	for i, loss := range p.Losses {
		chosen := choose(tuned[i*settings : (i+1)*settings])
		testing = append(testing, p.tested(set, model, loss, p.Grid[loss][chosen])...)
	}
	records, err := r.all(ctx, testing)
	if err != nil {
		return err
	}
	results.add(tuned, records)
	return nil
}

// choose returns the number of the run with the highest validation accuracy, the
// first of equals. Runs that diverged come last.
func choose(tuned []*record) int {
	best := 0
	for i, t := range tuned {
		b := tuned[best]
		if t.Diverged == "" && (b.Diverged != "" || t.ValAcc > b.ValAcc) {
			best = i
		}
	}
	return best
}

// all carries out tasks, some at the same time, and returns their records in
// order.
func (r *runner) all(ctx context.Context, tasks []task) ([]*record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	records := make([]*record, len(tasks))
	next := make(chan int, len(tasks))
	for i := range tasks {
		next <- i
	}
	close(next)
	var first error
	var failed sync.Once
	var workers sync.WaitGroup
	for range max(1, min(r.opt.Parallel, len(tasks))) {
		workers.Go(func() {
			for i := range next {
				var err error
				if records[i], err = r.one(ctx, &tasks[i]); err != nil {
					failed.Do(func() { first = err; cancel() })
					return
				}
			}
		})
	}
	workers.Wait()
	return records, first
}

// one returns the record of a task, after training it if need be.
func (r *runner) one(ctx context.Context, t *task) (*record, error) {
	if ctx.Err() != nil {
		return nil, ErrInterrupted
	}
	rec, err := r.store.load(t)
	before := rec != nil
	if err == nil && !before {
		if rec, err = r.train(ctx, t); err == nil {
			err = r.store.save(rec)
		}
	}
	if err != nil {
		return nil, err
	}
	r.report(rec, before)
	return rec, nil
}

// train runs a task to its end, from its last checkpoint if there is one.
func (r *runner) train(ctx context.Context, t *task) (*record, error) {
	c, err := r.plan.config(t, r.sets[t.Data])
	if err != nil {
		return nil, err
	}
	c.Dir, c.Resume = r.store.work(t), true
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return nil, err
	}
	rec := &record{task: *t, Params: c.Model.NumParams()}
	result, err := train.Fit(ctx, c)
	var diverged *train.NonFiniteError
	switch {
	case errors.As(err, &diverged):
		rec.Diverged = fmt.Sprintf("epoch %d, step %d: NaN or infinity in %s", diverged.Epoch, diverged.Step, diverged.Where)
		return rec, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", t.name(), err)
	case result.Interrupted:
		return nil, ErrInterrupted
	}
	rec.BestEpoch, rec.ValAcc = result.BestEpoch, result.Val.Accuracy
	if ev := result.Test; ev != nil {
		rec.Test = &tested{ev.Accuracy, ev.Top5, ev.Calibration, ev.Attention, ev.Features}
	}
	images := 0
	for _, m := range result.Epochs {
		rec.Seconds += m.Seconds
		images += int(m.ImagesPS*m.Seconds + 0.5)
	}
	if rec.Seconds > 0 {
		rec.ImagesPerSecond = float64(images) / rec.Seconds
	}
	return rec, nil
}

func (r *runner) report(rec *record, before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.opt.OnRun == nil {
		return
	}
	kind := "seed"
	if rec.Tune > 0 {
		kind = "tuning, seed"
	}
	p := Progress{Done: r.done, Total: r.plan.Runs(), ValAcc: rec.ValAcc, Diverged: rec.Diverged, Seconds: rec.Seconds, Before: before,
		Run: fmt.Sprintf("%s %s %s (%s), %s %d", rec.Data, rec.Model, rec.Loss, rec.Setting, kind, rec.Seed)}
	if rec.Test != nil {
		p.TestAcc = rec.Test.Accuracy
	}
	r.opt.OnRun(p)
}
