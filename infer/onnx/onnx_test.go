package onnx_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
	"google.golang.org/protobuf/encoding/protowire"
)

func tiny() *onnx.Model {
	return &onnx.Model{
		IRVersion: 8, ProducerName: "lanes", Opsets: []onnx.Opset{{Version: 17}, {Domain: "x", Version: 1}},
		Metadata: []onnx.Entry{{Key: "k", Value: "v"}},
		Graph: onnx.Graph{
			Name: "g",
			Nodes: []onnx.Node{{Name: "n", Op: "Conv", Inputs: []string{"x", "w", ""}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{
				{Name: "group", Type: onnx.AttributeInt, Int: 0},
				{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, -1, 0}},
				{Name: "alpha", Type: onnx.AttributeFloat, Float: -0.5},
				{Name: "auto_pad", Type: onnx.AttributeString, String: "NOTSET"},
				{Name: "f", Type: onnx.AttributeFloats, Floats: []float32{1, 2}},
				{Name: "s", Type: onnx.AttributeStrings, Strings: []string{"", "b"}},
			}}},
			Initializers: []onnx.Tensor{onnx.NewFloat32("w", []float32{1, 2, 3, 4, 5, 6}, 1, 1, 2, 3), onnx.NewInt64("i", nil, 0)},
			Inputs:       []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: 1}, {Size: -1}, {Size: 0}}}},
			Outputs:      []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}, {Name: "z", Type: onnx.Int64, Shape: []onnx.Dim{}}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	want := tiny()
	b, err := onnx.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := onnx.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got.Graph.Initializers[1].Raw = []byte{}
	want.Graph.Initializers[1].Raw = []byte{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestFilesRoundTrip reads every model and tensor of the test data, and writes
// and reads it again.
func TestFilesRoundTrip(t *testing.T) {
	dir := kerneltest.DataPath(t)
	count := 0
	for _, sub := range []string{"onnx-node", "onnx-models"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			switch filepath.Ext(path) {
			case ".onnx":
				count++
				roundTripModel(t, path, b)
				sameFromFile(t, path, b)
			case ".pb":
				if len(b) > 0 {
					roundTripTensor(t, path, b)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count == 0 {
		t.Error("no model found")
	}
}

func roundTripModel(t *testing.T, path string, b []byte) {
	m, err := onnx.Parse(b)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	once, err := onnx.Marshal(m)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	again, err := onnx.Parse(once)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	twice, err := onnx.Marshal(again)
	if err != nil || !bytes.Equal(once, twice) {
		t.Errorf("%s: writing is not stable: %v", path, err)
	}
}

func roundTripTensor(t *testing.T, path string, b []byte) {
	x, err := onnx.ParseTensor(b)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	once, err := onnx.MarshalTensor(x)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	y, err := onnx.ParseTensor(once)
	if err != nil || !bytes.Equal(x.Raw, y.Raw) || !reflect.DeepEqual(x.Shape, y.Shape) {
		t.Errorf("%s: %v", path, err)
	}
}

// TestTypedData checks that typed fields, packed or not, mean the same as raw data.
func TestTypedData(t *testing.T) {
	head := func(typ onnx.DataType, n uint64) []byte {
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(typ))
	}
	minusOne := ^uint64(0)
	packed := head(onnx.Int8, 2)
	packed = protowire.AppendBytes(protowire.AppendTag(packed, 5, protowire.BytesType), protowire.AppendVarint(protowire.AppendVarint(nil, 7), minusOne))
	loose := head(onnx.Int8, 2)
	loose = protowire.AppendVarint(protowire.AppendTag(loose, 5, protowire.VarintType), 7)
	loose = protowire.AppendVarint(protowire.AppendTag(loose, 5, protowire.VarintType), minusOne)
	floats := head(onnx.Float32, 1)
	floats = protowire.AppendFixed32(protowire.AppendTag(floats, 4, protowire.Fixed32Type), 0x3f800000)
	for _, c := range []struct {
		name      string
		b, expect []byte
	}{{"packed", packed, []byte{7, 255}}, {"loose", loose, []byte{7, 255}}, {"floats", floats, []byte{0, 0, 0x80, 0x3f}}} {
		x, err := onnx.ParseTensor(c.b)
		if err != nil || !bytes.Equal(x.Raw, c.expect) {
			t.Errorf("%s: %v, %v, want %v", c.name, x, err, c.expect)
		}
	}
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "model")
	if err := os.MkdirAll(filepath.Join(inside, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := []byte{9, 9, 9, 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}
	for _, name := range []string{"secret.bin", "model/w.bin", "model/sub/w.bin"} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.bin", filepath.Join(inside, "link.bin")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		location, offset, length string
		ok                       bool
	}{
		{"w.bin", "4", "8", true},
		{"sub/w.bin", "4", "", true},
		{"w.bin", "8", "", false},
		{"w.bin", "4", "4", false},
		{"w.bin", "-4", "8", false},
		{"w.bin", "9223372036854775807", "8", false},
		{"sub", "", "", false},
		{"missing.bin", "", "", false},
		{"../secret.bin", "4", "8", false},
		{"link.bin", "4", "8", false},
		{filepath.Join(dir, "secret.bin"), "4", "8", false},
		{"", "4", "8", false},
	} {
		path := filepath.Join(inside, "m.onnx")
		if err := os.WriteFile(path, externalModel(t, c.location, c.offset, c.length), 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := onnx.ReadFile(path)
		if (err == nil) != c.ok {
			t.Errorf("%+v: error %v", c, err)
		}
		if err == nil && !reflect.DeepEqual(m.Graph.Initializers[0].Float32s(), []float32{1, 2}) {
			t.Errorf("%+v: got %v", c, m.Graph.Initializers[0].Float32s())
		}
	}
}

// TestExternalPart: of a file larger than any memory a few bytes are needed.
func TestExternalPart(t *testing.T) {
	dir := t.TempDir()
	path, weights := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "w.bin")
	const offset = 1<<40 - 8 // and no multiple of the alignment
	f, err := os.Create(weights)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}, offset); err != nil {
		t.Logf("no files with holes here: %v", err)
		return
	}
	if err := os.WriteFile(path, externalModel(t, "w.bin", fmt.Sprint(int64(offset)), ""), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Graph.Initializers[0].Float32s(); !reflect.DeepEqual(got, []float32{1, 2}) {
		t.Errorf("got %v", got)
	}
}

func message(num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func varint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func externalModel(t *testing.T, location, offset, length string) []byte {
	t.Helper()
	x := append(varint(1, 2), varint(2, uint64(onnx.Float32))...)
	x = append(x, varint(14, 1)...)
	for _, kv := range [][2]string{{"location", location}, {"offset", offset}, {"length", length}} {
		if kv[1] != "" {
			x = append(x, message(13, append(message(1, []byte(kv[0])), message(2, []byte(kv[1]))...))...)
		}
	}
	graph := append(message(5, x), message(12, message(1, []byte("y")))...)
	return message(7, graph)
}

// TestHostile feeds files that lie about their sizes: each must give an error,
// soon, and without taking much memory.
func TestHostile(t *testing.T) {
	output := message(12, message(1, []byte("y")))
	tensor := func(dims ...uint64) []byte {
		var x []byte
		for _, d := range dims {
			x = append(x, varint(1, d)...)
		}
		return append(x, varint(2, uint64(onnx.Float32))...)
	}
	for name, b := range map[string][]byte{
		"empty":           {},
		"length of 2 GiB": append(protowire.AppendTag(nil, 7, protowire.BytesType), protowire.AppendVarint(nil, 1<<31)...),
		"length of 2^63":  append(protowire.AppendTag(nil, 7, protowire.BytesType), protowire.AppendVarint(nil, 1<<63)...),
		"negative size":   message(7, append(message(5, tensor(^uint64(0))), output...)),
		"overflow":        message(7, append(message(5, tensor(1<<32, 1<<32, 1<<32)), output...)),
		"overflow by 0":   message(7, append(message(5, tensor(0, 1<<62, 1<<62)), output...)),
		"no data":         message(7, append(message(5, tensor(1<<30)), output...)),
		"65 dimensions":   message(7, append(message(5, tensor(make([]uint64, 65)...)), output...)),
		"empty nodes":     message(7, append(bytes.Repeat(message(1, nil), 1<<20), output...)),
		"empty values":    message(7, append(bytes.Repeat(message(11, nil), 1<<22+1), output...)),
		"group":           {0x3b, 0x3c},
		"no output":       message(7, message(2, []byte("g"))),
		"wire type":       varint(7, 1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		if _, err := onnx.Parse(b); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.HasPrefix(err.Error(), "onnx: ") {
			t.Errorf("%s: error %q does not begin with the package", name, err)
		} else if len(b) > 1<<20 {
			// The same from a file takes as long again.
		} else if _, fromFile := onnx.ReadFile(writeTemp(t, b)); fromFile == nil || !strings.HasSuffix(fromFile.Error(), err.Error()) {
			t.Errorf("%s: error %v from a file, want %v", name, fromFile, err)
		}
		runtime.ReadMemStats(&after)
		// 4 M values of 72 bytes, in slices that double.
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20+256*uint64(len(b)) {
			t.Errorf("%s: allocated %d bytes for a file of %d", name, used, len(b))
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

func writeTemp(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sameFromFile compares what ReadFile and Parse make of a file.
func sameFromFile(t *testing.T, path string, b []byte) {
	t.Helper()
	want, err := onnx.Parse(b)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	got, err := onnx.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: ReadFile and Parse differ", path)
	}
}

// TestReadFile reads tensors around the size from which they are entered, in both
// encodings, and the beginnings of the file.
func TestReadFile(t *testing.T) {
	m := &onnx.Model{IRVersion: 8, ProducerName: "p", Opsets: []onnx.Opset{{Version: 17}}}
	for i, n := range []int{0, 1, 1000, 1010, 1024, 5000} {
		x := onnx.NewFloat32(fmt.Sprint("w", i), make([]float32, n), n)
		for j := range x.Raw {
			x.Raw[j] = byte(j * (i + 1))
		}
		m.Graph.Initializers = append(m.Graph.Initializers, x)
	}
	m.Graph.Nodes = []onnx.Node{{Op: "Relu", Inputs: []string{"w1"}, Outputs: []string{"y"}}}
	m.Graph.Outputs = []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}}
	b, err := onnx.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	typed := message(5, slices.Concat(varint(1, 2000), varint(2, uint64(onnx.Float32)), message(8, []byte("typed")), message(4, make([]byte, 4000)), message(4, make([]byte, 4000))))
	b = append(b, message(7, typed)...) // the graph goes on
	sameFromFile(t, writeTemp(t, b), b)
	for n := 0; n < len(b); n += 97 {
		_, want := onnx.Parse(b[:n])
		_, err := onnx.ReadFile(writeTemp(t, b[:n]))
		if (err == nil) != (want == nil) || err != nil && !strings.HasSuffix(err.Error(), want.Error()) {
			t.Errorf("%d bytes: error %v, want %v", n, err, want)
		}
	}
}

// TestManyNodes reads a graph of 10^6 nodes.
func TestManyNodes(t *testing.T) {
	node := append(append(message(1, []byte("x")), message(2, []byte("x"))...), message(4, []byte("Relu"))...)
	graph := append(bytes.Repeat(message(1, node), 1e6), message(12, message(1, []byte("x")))...)
	m, err := onnx.Parse(message(7, graph))
	if err != nil || len(m.Graph.Nodes) != 1e6 {
		t.Fatalf("%d nodes, %v", len(m.Graph.Nodes), err)
	}
}
