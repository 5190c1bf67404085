package train

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/golanes/lanes/kernels"
)

// finishEpoch validates the epoch that was trained, keeps it if it is the best,
// and saves.
func (t *trainer) finishEpoch() error {
	s := &t.state
	if name := t.model.firstNonFinite(); name != "" {
		return &NonFiniteError{s.Epoch + 1, s.Step, "tensor " + name}
	}
	m := s.metrics()
	m.LR = s.LR
	m.StepTimes.Conv = t.convSeconds() - t.convBefore
	t.convBefore += m.StepTimes.Conv
	if err := t.validate(&m); err != nil {
		return err
	}
	s.History = append(s.History, m)
	s.Epoch, s.Step, s.Sums = s.Epoch+1, 0, epochSums{}
	if err := t.checkpoint(); err != nil {
		return err
	}
	if t.cfg.Dir != "" {
		if err := writeMetrics(t.cfg.Dir, s.History); err != nil {
			return err
		}
	}
	if t.cfg.OnEpoch != nil {
		return t.cfg.OnEpoch(m)
	}
	return nil
}

// validate measures the epoch's weights and saves them if they are the best.
func (t *trainer) validate(m *EpochMetrics) error {
	s := &t.state
	if t.ema != nil {
		t.ema.swap()
		defer t.ema.swap()
	}
	better := true
	if t.val != nil {
		ev, err := t.val.run(false)
		if err != nil {
			return err
		}
		if !finite(ev.Loss) {
			return &NonFiniteError{m.Epoch, s.Step, "validation loss"}
		}
		m.ValAcc, m.ValLoss = ev.Accuracy, ev.Loss
		better = s.BestEpoch == 0 || ev.Accuracy > s.BestAcc
	}
	if !better {
		return nil
	}
	m.Best = true
	s.BestEpoch, s.BestAcc = m.Epoch, m.ValAcc
	t.best.take()
	if t.cfg.Dir == "" {
		return nil
	}
	return t.model.Save(filepath.Join(t.cfg.Dir, BestFile), map[string]string{
		"epoch": fmt.Sprint(m.Epoch), "val_acc": fmt.Sprint(m.ValAcc)})
}

func (t *trainer) result() *Result {
	s := &t.state
	r := &Result{Model: t.model, Epochs: s.History, BestEpoch: s.BestEpoch, Seconds: t.rate.seconds, Layers: t.plan.Times()}
	if t.rate.seconds > 0 {
		r.ImagesPerSecond = float64(t.rate.images) / t.rate.seconds
	}
	r.Interrupted = !t.done()
	r.EarlyStopped = s.Epoch < t.cfg.Epochs && !r.Interrupted
	r.PlanBytes = t.Bytes()
	return r
}

// evaluate ends a run: the model gets its best weights back and is measured.
func (t *trainer) evaluate() (*Result, error) {
	t.best.restore()
	r := t.result()
	d := t.cfg.Data
	var err error
	if t.val != nil {
		if r.Val, err = t.val.run(true); err != nil {
			return nil, err
		}
	}
	if d.Test != nil {
		r.Test, err = Evaluate(t.model, d.Test, EvalOptions{Mean: d.Mean, Std: d.Std, Vectors: true})
	}
	return r, err
}

// snapshot is a copy of a model's tensors.
type snapshot struct {
	set             *paramSet
	values, buffers []float32
}

func newSnapshot(set *paramSet) *snapshot {
	return &snapshot{set, make([]float32, len(set.values)), make([]float32, len(set.buffers))}
}

func (s *snapshot) take() {
	copy(s.values, s.set.values)
	copy(s.buffers, s.set.buffers)
}

func (s *snapshot) restore() {
	copy(s.set.values, s.values)
	copy(s.set.buffers, s.buffers)
}

// average is a running average of a model's tensors, buffers included:
// a = decay*a + (1-decay)*w. While few updates were made it forgets faster, with
// decay (1+u)/(10+u), so that it does not stay at the initial weights.
type average struct {
	snapshot
	decay   float64
	updates int
}

func newAverage(set *paramSet, decay float64) *average {
	a := &average{snapshot: *newSnapshot(set), decay: decay}
	a.take()
	return a
}

func (a *average) update() {
	a.updates++
	decay := min(a.decay, float64(1+a.updates)/float64(10+a.updates))
	kernels.Scale(float32(decay), a.values)
	kernels.Axpy(float32(1-decay), a.set.values, a.values)
	kernels.Scale(float32(decay), a.buffers)
	kernels.Axpy(float32(1-decay), a.set.buffers, a.buffers)
}

// swap exchanges the average and the model's tensors.
func (a *average) swap() {
	for i, v := range a.values {
		a.values[i], a.set.values[i] = a.set.values[i], v
	}
	for i, v := range a.buffers {
		a.buffers[i], a.set.buffers[i] = a.set.buffers[i], v
	}
}

// normer computes the Euclidean norm of all gradients: float32 sums of squares
// of blocks of fixed size, added in order in float64.
type normer struct {
	grads  [][]float32
	blocks []float64
	body   func(lo, hi int)
}

const normBlock = 1 << 12

func newNormer(sets []*paramSet) *normer {
	n := &normer{}
	for _, set := range sets {
		for at := 0; at < len(set.grads); at += normBlock {
			n.grads = append(n.grads, set.grads[at:min(at+normBlock, len(set.grads))])
		}
	}
	n.blocks = make([]float64, len(n.grads))
	n.body = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			n.blocks[i] = float64(kernels.SumSquares(n.grads[i]))
		}
	}
	return n
}

func (n *normer) norm() float64 {
	kernels.Parallel(len(n.blocks), 8, n.body)
	sum := 0.0
	for _, b := range n.blocks {
		sum += b
	}
	return math.Sqrt(sum)
}

// platform names what the bits of a result depend on.
func platform() string {
	return strings.Join([]string{runtime.GOARCH, kernels.Info().ISA}, "/")
}
