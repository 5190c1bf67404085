package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/golanes/lanes/kernels"
)

func externalPlace(entries []Entry) (*External, error) {
	e := &External{Length: -1}
	for _, kv := range entries {
		var dst *int64
		switch kv.Key {
		case "location":
			e.Location = kv.Value
			continue
		case "offset":
			dst = &e.Offset
		case "length":
			dst = &e.Length
		default: // a checksum, or what a later version adds
			continue
		}
		v, err := strconv.ParseInt(kv.Value, 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("external data: %s %q is no size", kv.Key, kv.Value)
		}
		*dst = v
	}
	if e.Location == "" {
		return nil, errors.New("external data without a location")
	}
	return e, nil
}

// ReadFile reads a model and the data that it keeps in other files. These must
// lie in the model's folder or below it, links included. Large tensors of the
// model's file have memory of their own each.
func ReadFile(path string) (*Model, error) {
	m, err := readModel(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := m.loadExternal(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func readModel(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return parseStream(f, info.Size())
	}
	// A pipe, whose size is known at its end, or a device, which may have none.
	b, err := io.ReadAll(io.LimitReader(f, maxPiped+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPiped {
		return nil, fmt.Errorf("onnx: more than %d bytes from what is no regular file", maxPiped)
	}
	return Parse(b)
}

// maxPiped is the most bytes of a model that does not come from a regular file.
const maxPiped = 1 << 30

// loadExternal reads every external tensor from the files of a folder. Files
// are read once, and tensors share their memory.
func (m *Model) loadExternal(dir string) error {
	var list []*Tensor
	for i := range m.Graph.Initializers {
		list = append(list, &m.Graph.Initializers[i])
	}
	for i := range m.Graph.Nodes {
		for _, a := range m.Graph.Nodes[i].Attributes {
			if a.Tensor != nil {
				list = append(list, a.Tensor)
			}
		}
	}
	files := map[string][]byte{}
	var root *os.Root
	for _, t := range list {
		if t.External == nil {
			continue
		}
		if root == nil {
			r, err := os.OpenRoot(dir)
			if err != nil {
				return err
			}
			defer r.Close()
			root = r
		}
		data, ok := files[t.External.Location]
		if !ok {
			var err error
			if data, err = readAll(root, t.External.Location); err != nil {
				return fmt.Errorf("onnx: external data of tensor %q: %w", t.Name, err)
			}
			files[t.External.Location] = data
		}
		if err := t.slice(data); err != nil {
			return fmt.Errorf("onnx: external data of tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

func readAll(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	} else if info.Size() > math.MaxInt/2 {
		return nil, fmt.Errorf("%s is too large", name)
	} else {
		b := kernels.AlignedBytes(int(info.Size()))
		_, err = io.ReadFull(f, b)
		return b, err
	}
}

// slice takes t's data from the bytes of its file.
func (t *Tensor) slice(data []byte) error {
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	want := int64(n) * int64(t.Type.Size())
	e := t.External
	if e.Length >= 0 && e.Length != want {
		return fmt.Errorf("%d bytes, want %d for shape %v of %v", e.Length, want, t.Shape, t.Type)
	}
	if e.Offset > int64(len(data)) || want > int64(len(data))-e.Offset {
		return fmt.Errorf("%d bytes at %d of %s, which has %d", want, e.Offset, e.Location, len(data))
	}
	t.Raw = data[e.Offset : e.Offset+want : e.Offset+want]
	t.External = nil
	return nil
}
