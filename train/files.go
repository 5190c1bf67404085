package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/golanes/lanes/train/safetensors"
)

// specKey is the metadata key under which a saved model says how to build it.
const specKey = "model"

// Save writes the model's tensors to a safetensors file, atomically. The
// metadata gets the given entries, and "model" with Model.Spec as JSON.
func (m *Model) Save(path string, metadata map[string]string) error {
	var list []namedTensor
	for _, p := range m.set.all {
		list = append(list, namedTensor{p.Name, p.Shape, p.Value})
	}
	all := map[string]string{}
	for k, v := range metadata {
		all[k] = v
	}
	spec, err := json.Marshal(m.Spec)
	if err != nil {
		return err
	}
	all[specKey] = string(spec)
	return safetensors.WriteFile(path, encode(list), all)
}

// LoadFile reads the model's tensors from a safetensors file. Tensors the model
// does not have are ignored; one that is absent, of another shape or not finite
// is an error, and nothing is changed. Types other than float32 are converted.
func (m *Model) LoadFile(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	if err := m.loadTensors(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (m *Model) loadTensors(f *safetensors.File) error {
	return m.Load(func(name string) ([]int, []float32, error) {
		t, ok := f.Tensor(name)
		if !ok {
			return nil, nil, errors.New("not in the file")
		}
		v, err := t.Float32s()
		if err == nil && !allFinite(v) {
			err = errors.New("it holds a NaN or an infinity")
		}
		return t.Shape, v, err
	})
}

// OpenModel builds the model that a file written by Save describes, and loads
// it.
func OpenModel(path string) (*Model, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	text, ok := f.Metadata[specKey]
	if !ok {
		return nil, fmt.Errorf("%s: the file does not say which model it is of", path)
	}
	var spec Spec
	if err := unmarshalStrict([]byte(text), &spec); err != nil {
		return nil, fmt.Errorf("%s: model description: %w", path, err)
	}
	m, err := New(spec, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := m.loadTensors(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// writeMetrics replaces MetricsFile by one line per epoch.
func writeMetrics(dir string, history []EpochMetrics) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, m := range history {
		line := metricsLine{m.Epoch, m.Loss, m.CE, m.CC, m.TrainAcc, m.ValAcc, m.ImagesPS, m.Seconds}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return WriteFile(filepath.Join(dir, MetricsFile), b.Bytes())
}

// WriteFile replaces a file: to a temporary one beside it, flushed, renamed. A
// crash at any moment leaves the old content or the new.
func WriteFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), tempPattern(path))
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to report
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable. A system that cannot flush a folder says so
// with an error that has nothing to do with the file; it is dropped.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

func tempPattern(path string) string { return "." + filepath.Base(path) + ".*" }

// removeTemporaries deletes what a killed process left half-written.
func removeTemporaries(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range []string{LastFile, BestFile, StateFile, MetricsFile} {
			if strings.HasPrefix(e.Name(), "."+name+".") {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
