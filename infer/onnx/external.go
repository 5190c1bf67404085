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

// A part is the part of a file that holds tensors' data.
type part struct {
	size   int64 // of the file
	lo, hi int64
	data   []byte // from lo to hi
}

// loadExternal reads every external tensor from the files of a folder. Of each file
// the bytes from its first tensor to its last are read once, and tensors share them.
func (m *Model) loadExternal(dir string) error {
	list := m.externalTensors()
	if len(list) == 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	parts := map[string]*part{}
	for _, t := range list {
		name := t.External.Location
		if parts[name] == nil {
			info, err := root.Stat(filepath.FromSlash(name))
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s is not a regular file", name)
			}
			if err != nil {
				return fmt.Errorf("onnx: external data of tensor %q: %w", t.Name, err)
			}
			parts[name] = &part{size: info.Size(), lo: info.Size()}
		}
		if err := t.extend(parts[name]); err != nil {
			return fmt.Errorf("onnx: external data of tensor %q: %w", t.Name, err)
		}
	}
	for _, t := range list {
		e := t.External
		p := parts[e.Location]
		if p.data == nil {
			if err := p.read(root, e.Location); err != nil {
				return fmt.Errorf("onnx: external data of tensor %q: %w", t.Name, err)
			}
		}
		end := e.Offset - p.lo + e.Length
		t.Raw, t.External = p.data[e.Offset-p.lo:end:end], nil
	}
	return nil
}

// externalTensors lists the tensors whose data lies in other files.
func (m *Model) externalTensors() []*Tensor {
	var list []*Tensor
	add := func(t *Tensor) {
		if t != nil && t.External != nil {
			list = append(list, t)
		}
	}
	for i := range m.Graph.Initializers {
		add(&m.Graph.Initializers[i])
	}
	for i := range m.Graph.Nodes {
		for _, a := range m.Graph.Nodes[i].Attributes {
			add(a.Tensor)
		}
	}
	return list
}

// extend checks t's place against its file, notes its length, and makes p hold it.
func (t *Tensor) extend(p *part) error {
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	want := int64(n) * int64(t.Type.Size())
	e := t.External
	if e.Length >= 0 && e.Length != want {
		return fmt.Errorf("%d bytes, want %d for shape %v of %v", e.Length, want, t.Shape, t.Type)
	}
	if e.Offset > p.size || want > p.size-e.Offset {
		return fmt.Errorf("%d bytes at %d of %s, which has %d", want, e.Offset, e.Location, p.size)
	}
	const alignment = 64 // of the memory, which data keeps that has it in the file
	e.Length = want
	p.lo, p.hi = min(p.lo, e.Offset&^(alignment-1)), max(p.hi, e.Offset+want)
	return nil
}

// read reads the part of a file that p says.
func (p *part) read(root *os.Root, name string) error {
	if p.hi-p.lo > math.MaxInt/2 {
		return fmt.Errorf("%s is too large", name)
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer f.Close()
	p.data = kernels.AlignedBytes(int(p.hi - p.lo))
	_, err = io.ReadFull(io.NewSectionReader(f, p.lo, p.hi-p.lo), p.data)
	return err
}
