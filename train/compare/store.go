package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/train"
)

// The files of a comparison's folder.
const (
	// PlanFile holds the plan that the runs belong to.
	PlanFile = "compare.json"
	// ResultsFile holds the Results.
	ResultsFile = "results.json"
	runsFolder  = "runs" // a file for each finished run
	workFolder  = "work" // checkpoints of runs under way
)

// record is the outcome of a finished run.
type record struct {
	task
	Params    int     `json:"params"`
	BestEpoch int     `json:"best_epoch"`
	ValAcc    float64 `json:"val_acc"`
	// Test is nil for a tuning run and for one that diverged.
	Test *tested `json:"test,omitempty"`
	// Diverged says where a NaN or infinity ended the run.
	Diverged string `json:"diverged,omitempty"`

	Seconds         float64 `json:"seconds"` // of training
	ImagesPerSecond float64 `json:"images_per_s"`
}

// tested is what is kept of an evaluation on test images.
type tested struct {
	Accuracy    float64           `json:"accuracy"`
	Top5        float64           `json:"top5"`
	Calibration float64           `json:"calibration"`
	Attention   *train.Clustering `json:"attention"`
	Features    *train.Clustering `json:"features"`
}

// store keeps records in a folder.
type store struct{ dir string }

// openStore prepares the folder for the runs of p. A folder with another plan is
// an error.
func openStore(dir string, p *Plan) (*store, error) {
	for _, sub := range []string{runsFolder, workFolder} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, PlanFile)
	var before Plan
	switch err := readJSON(path, &before); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := p.continues(&before); err != nil {
			return nil, fmt.Errorf("%s holds another comparison: %w", dir, err)
		}
	}
	text, err := encode(p)
	if err != nil {
		return nil, err
	}
	s := &store{dir}
	for _, sub := range []string{"", runsFolder} {
		if err := atomicfile.Clean(filepath.Join(dir, sub), "*.json"); err != nil {
			return nil, err
		}
	}
	return s, atomicfile.Write(path, text)
}

func (s *store) path(t *task) string { return filepath.Join(s.dir, runsFolder, t.name()+".json") }

// work is the folder for a run's checkpoints.
func (s *store) work(t *task) string { return filepath.Join(s.dir, workFolder, t.name()) }

// load returns the record of a finished run, or nil.
func (s *store) load(t *task) (*record, error) {
	var r record
	err := readJSON(s.path(t), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.task != *t {
		return nil, fmt.Errorf("%s: a run with other settings than this comparison's", s.path(t))
	}
	if t.Tune == 0 && r.Diverged == "" && (r.Test == nil || r.Test.Features == nil) {
		return nil, fmt.Errorf("%s is damaged: no test result", s.path(t))
	}
	return &r, os.RemoveAll(s.work(t))
}

// save makes a run finished.
func (s *store) save(r *record) error {
	text, err := encode(r)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(s.path(&r.task), text); err != nil {
		return err
	}
	return os.RemoveAll(s.work(&r.task))
}

// maxFile is far above what this package writes.
const maxFile = 16 << 20

func readJSON(path string, v any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s is damaged: %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}
