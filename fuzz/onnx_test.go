package fuzz

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// addModels adds the small models of the test data to a corpus.
func addModels(f *testing.F) {
	f.Helper()
	dir := kerneltest.DataDir(f)
	if dir == "" {
		return
	}
	paths, err := filepath.Glob(filepath.Join(dir, "onnx-node", "*", "*", "*", "model.onnx"))
	if err != nil {
		f.Fatal(err)
	}
	for i, path := range paths {
		if i%5 != 0 {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 4096 {
			f.Add(b)
		}
	}
}

// FuzzONNX feeds the reader any bytes: it must return, without a panic; and
// what it accepts must survive being written and read again.
func FuzzONNX(f *testing.F) {
	addModels(f)
	f.Add([]byte("\x3a\xff\xff\xff\xff\x07"))                                                                                  // a length of 2 GiB
	f.Add([]byte("\x3a\x10\x2a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01\x62\x01y"))                             // a negative size
	f.Add([]byte("\x3a\x1e\x2a\x19\x08\x80\x80\x80\x80\x10\x08\x80\x80\x80\x80\x10\x08\x80\x80\x80\x80\x10\x10\x01\x62\x01y")) // an overflow
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		for i := range m.Graph.Initializers {
			m.Graph.Initializers[i].External = nil
		}
		once, err := onnx.Marshal(m)
		if err != nil {
			return // external data, attributes that are not read
		}
		again, err := onnx.Parse(once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		twice, err := onnx.Marshal(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("writing is not stable: %v", err)
		}
	})
}
