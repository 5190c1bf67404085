package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/safetensors"
)

// The files of a run's folder.
const (
	// LastFile holds everything that a run needs to go on: the model's
	// tensors, the loss's, the optimizer's moments ("optim.<moment>.<tensor>"),
	// and in its metadata the state.
	LastFile = "last.safetensors"
	// BestFile holds the model's tensors of the best epoch.
	BestFile = "best.safetensors"
	// StateFile is a copy of the state, for people and for checking.
	StateFile = "state.json"
	// MetricsFile has one JSON object per epoch.
	MetricsFile = "metrics.jsonl"
)

// runState is what a run is at, besides tensors. Every number survives JSON
// exactly.
type runState struct {
	Version int `json:"version"`
	// Epoch and Step (of the epoch, in batches) are done; the next follows.
	Epoch   int     `json:"epoch"`
	Step    int     `json:"step"`
	Global  int     `json:"global_step"`
	Updates int     `json:"updates"`
	LR      float64 `json:"lr"`

	BestEpoch int     `json:"best_epoch"`
	BestAcc   float64 `json:"best_val_acc"`

	Sums    epochSums      `json:"sums"`
	History []EpochMetrics `json:"history"`

	// What the run depends on. A checkpoint of another run cannot be resumed.
	Run      runIdentity `json:"run"`
	Platform string      `json:"platform"`
	// Digest is the SHA-256 of the tensors in LastFile.
	Digest string `json:"digest"`
}

const stateVersion = 1

// epochSums are the sums over the batches of the epoch under way.
type epochSums struct {
	Images  int       `json:"images"`
	Correct int       `json:"correct"`
	Loss    float64   `json:"loss"`
	CE      float64   `json:"ce"`
	Aux     float64   `json:"aux"`
	Seconds float64   `json:"seconds"`
	Times   StepTimes `json:"times"`
}

// runIdentity is the part of a Config that decides the weights.
type runIdentity struct {
	Model      Spec            `json:"model"`
	Loss       LossConfig      `json:"loss"`
	Optimizer  OptimizerConfig `json:"optimizer"`
	Schedule   ScheduleConfig  `json:"schedule"`
	Data       string          `json:"data"`
	Images     int             `json:"images"`
	Augment    data.Augment    `json:"augment"`
	Sampler    data.Sampler    `json:"sampler"`
	Epochs     int             `json:"epochs"`
	Batch      int             `json:"batch"`
	Seed       uint64          `json:"seed"`
	Accumulate int             `json:"accumulate"`
	ClipNorm   float64         `json:"clip_norm"`
	EMA        float64         `json:"ema"`
}

func (c *Config) identity() runIdentity {
	return runIdentity{Model: c.Model.Spec, Loss: c.Loss, Optimizer: c.Optimizer, Schedule: c.Schedule,
		Data: c.Data.Name, Images: c.Data.Train.Len(), Augment: c.Data.Augment, Sampler: c.Sampler, Epochs: c.Epochs, Batch: c.Batch, Seed: c.Seed,
		Accumulate: c.Accumulate, ClipNorm: c.ClipNorm, EMA: c.EMA}
}

func (s *runState) metrics() EpochMetrics {
	n := float64(s.Sums.Images)
	return EpochMetrics{
		Epoch: s.Epoch + 1,
		Loss:  s.Sums.Loss / n, CE: s.Sums.CE / n, CC: s.Sums.Aux / n,
		TrainAcc: float64(s.Sums.Correct) / n,
		ImagesPS: n / s.Sums.Seconds, Seconds: s.Sums.Seconds, StepTimes: s.Sums.Times,
	}
}

// stale reports whether patience epochs have passed without a better one.
func (s *runState) stale(patience int) bool {
	return patience > 0 && s.BestEpoch > 0 && s.Epoch-s.BestEpoch >= patience
}

// begin starts a run, or goes on where the last checkpoint left it.
func (t *trainer) begin() error {
	t.state = runState{Version: stateVersion, Run: t.cfg.identity(), Platform: platform()}
	dir := t.cfg.Dir
	if dir == "" {
		if t.cfg.Resume {
			return errors.New("train: resuming needs the folder of the run")
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := atomicfile.Clean(dir, LastFile, BestFile, StateFile, MetricsFile); err != nil {
		return err
	}
	if t.cfg.Resume {
		found, err := t.resume()
		if err != nil || found {
			return err
		}
	}
	for _, name := range []string{BestFile, MetricsFile, StateFile, LastFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return t.checkpoint()
}

// checkpoint saves the run. LastFile is complete in itself and replaced in one
// rename, so a crash at any moment leaves the checkpoint before or this one.
func (t *trainer) checkpoint() error {
	if t.cfg.Dir == "" {
		return nil
	}
	if name := t.model.firstNonFinite(); name != "" {
		return &NonFiniteError{t.state.Epoch + 1, t.state.Step, "tensor " + name}
	}
	tensors := encode(t.tensors())
	t.state.Digest = digest(tensors)
	state, err := json.Marshal(&t.state)
	if err != nil {
		return err
	}
	last := filepath.Join(t.cfg.Dir, LastFile)
	if err := safetensors.WriteFile(last, tensors, map[string]string{"state": string(state)}); err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, state, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	return atomicfile.Write(filepath.Join(t.cfg.Dir, StateFile), pretty.Bytes())
}

// namedTensor is a tensor of a checkpoint with the storage it lives in.
type namedTensor struct {
	name  string
	shape []int
	value []float32
}

// tensors lists what LastFile holds.
func (t *trainer) tensors() []namedTensor {
	var list []namedTensor
	for i, set := range t.sets {
		for _, p := range set.all {
			list = append(list, namedTensor{p.Name, p.Shape, p.Value})
		}
		for _, s := range t.optims[i].slots {
			list = append(list, set.view("optim."+s.name+".", s.value)...)
		}
		if t.sums != nil {
			list = append(list, set.view("sum.", t.sums[i])...)
		}
	}
	if t.ema != nil {
		list = append(list, t.model.set.view("ema.", t.ema.values)...)
		list = append(list, t.model.set.viewBuffers("ema.", t.ema.buffers)...)
	}
	return list
}

// view names the parts of flat that lie where the trained tensors lie in values.
func (s *paramSet) view(prefix string, flat []float32) []namedTensor {
	var list []namedTensor
	at := 0
	for _, p := range s.trained {
		list = append(list, namedTensor{prefix + p.Name, p.Shape, flat[at : at+p.size()]})
		at += roundUp(p.size())
	}
	return list
}

// viewBuffers is view for the buffers.
func (s *paramSet) viewBuffers(prefix string, flat []float32) []namedTensor {
	var list []namedTensor
	at := 0
	for _, p := range s.all {
		if p.Buffer {
			list = append(list, namedTensor{prefix + p.Name, p.Shape, flat[at : at+p.size()]})
			at += roundUp(p.size())
		}
	}
	return list
}

// resume loads the last checkpoint. It reports false if there is none, and an
// error, having changed nothing that is saved, if it is damaged or of another
// run.
func (t *trainer) resume() (bool, error) {
	last := filepath.Join(t.cfg.Dir, LastFile)
	_, lastErr := os.Stat(last)
	text, stateErr := os.ReadFile(filepath.Join(t.cfg.Dir, StateFile))
	noLast, noState := errors.Is(lastErr, fs.ErrNotExist), errors.Is(stateErr, fs.ErrNotExist)
	switch {
	case noLast && noState:
		return false, nil
	case lastErr != nil:
		return false, fmt.Errorf("train: cannot resume: %w", lastErr)
	case stateErr != nil && !noState:
		return false, fmt.Errorf("train: cannot resume: %w", stateErr)
	}
	f, err := safetensors.Open(last)
	if err != nil {
		return false, fmt.Errorf("train: cannot resume: %w", err)
	}
	if err := t.restore(f, text); err != nil {
		return false, fmt.Errorf("train: cannot resume from %s: %w", last, err)
	}
	if err := t.restoreBest(); err != nil {
		return false, err
	}
	return true, writeMetrics(t.cfg.Dir, t.state.History)
}

// restore takes over the state and the tensors of f. copied is StateFile, which
// a crash may have left one checkpoint behind or not yet written.
func (t *trainer) restore(f *safetensors.File, copied []byte) error {
	var s, c runState
	if err := unmarshalStrict([]byte(f.Metadata["state"]), &s); err != nil {
		return fmt.Errorf("damaged state: %w", err)
	}
	if len(copied) > 0 {
		if err := unmarshalStrict(copied, &c); err != nil {
			return fmt.Errorf("damaged %s: %w", StateFile, err)
		}
	}
	if s.Version != stateVersion {
		return fmt.Errorf("state version %d, this program knows %d", s.Version, stateVersion)
	}
	if err := sameRun(s.Run, t.state.Run); err != nil {
		return err
	}
	if s.Epoch < 0 || s.Epoch > t.cfg.Epochs || s.Step < 0 || s.Step > t.perEpoch || len(s.History) != s.Epoch || s.Updates < 0 || s.Global < 0 {
		return errors.New("damaged state: impossible progress")
	}
	tensors := t.tensors()
	found := make([]safetensors.Tensor, len(tensors))
	for i, w := range tensors {
		got, ok := f.Tensor(w.name)
		if !ok {
			return fmt.Errorf("no tensor %q", w.name)
		}
		if got.DType != safetensors.F32 || !slices.Equal(got.Shape, w.shape) {
			return fmt.Errorf("tensor %q is %s of shape %v, want F32 of %v", w.name, got.DType, got.Shape, w.shape)
		}
		found[i] = got
	}
	if d := digest(found); d != s.Digest {
		return errors.New("damaged: the tensors do not match their checksum")
	}
	for i, w := range tensors {
		v, err := found[i].Float32s()
		if err != nil {
			return err
		}
		copy(w.value, v)
	}
	s.Platform = t.state.Platform
	t.state = s
	t.batches = s.Step % t.cfg.Accumulate
	for _, o := range t.optims {
		o.steps = s.Updates
	}
	if t.ema != nil {
		t.ema.updates = s.Updates
	}
	return nil
}

// restoreBest loads the best weights so far.
func (t *trainer) restoreBest() error {
	if t.state.BestEpoch == 0 {
		return nil
	}
	now := newSnapshot(t.model.set)
	now.take()
	defer now.restore()
	if err := t.model.LoadFile(filepath.Join(t.cfg.Dir, BestFile)); err != nil {
		return fmt.Errorf("train: cannot resume: %w", err)
	}
	t.best.take()
	return nil
}

// sameRun reports the first setting in which two runs differ.
func sameRun(saved, now runIdentity) error {
	a, err := toMap(saved)
	if err != nil {
		return err
	}
	b, err := toMap(now)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(b))
	for k := range b {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if x, y := string(a[k]), string(b[k]); x != y {
			return fmt.Errorf("it is of another run: %s was %s, now %s", k, x, y)
		}
	}
	return nil
}

func toMap(v any) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	m := map[string]json.RawMessage{}
	return m, json.Unmarshal(b, &m)
}

func unmarshalStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end")
	}
	return nil
}

// digest is the SHA-256 of names and elements in the order of the list.
func digest(tensors []safetensors.Tensor) string {
	h := sha256.New()
	for _, t := range tensors {
		h.Write([]byte(t.Name))
		h.Write(t.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func encode(tensors []namedTensor) []safetensors.Tensor {
	list := make([]safetensors.Tensor, len(tensors))
	for i, t := range tensors {
		list[i] = safetensors.Float32(t.name, t.shape, t.value)
	}
	return list
}
