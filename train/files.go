package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/golanes/lanes/internal/atomicfile"
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
		v, err := finiteFloats(t)
		return t.Shape, v, err
	})
}

// finiteFloats returns the elements of t as float32; a NaN or an infinity is an
// error.
func finiteFloats(t safetensors.Tensor) ([]float32, error) {
	v, err := t.Float32s()
	if err == nil && !allFinite(v) {
		err = errors.New("it holds a NaN or an infinity")
	}
	return v, err
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
	return atomicfile.Write(filepath.Join(dir, MetricsFile), b.Bytes())
}
