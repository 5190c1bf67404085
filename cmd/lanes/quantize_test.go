package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/quantize"
)

// TestQuantize makes an int8 model from pictures, tensors and CIFAR records, and
// runs it.
func TestQuantize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "-o", "m.onnx")
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	pictures := filepath.Join(dir, "calib", "some", "class")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, 40, 33))
	for i := range img.Pix {
		img.Pix[i] = uint8(rng.IntN(256)) | uint8(i%4/3*255)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	records := make([]byte, 5*3073)
	for i := range records {
		records[i] = uint8(rng.IntN(256))
	}
	for path, b := range map[string][]byte{filepath.Join(pictures, "a.png"): file.Bytes(), filepath.Join(dir, "batch.bin"): records} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for calib, n := range map[string]int{"calib": 1, "batch.bin": 4} {
		out, _ := must(t, dir, "quantize", "m.onnx", "--calib", calib, "--samples", "4", "-o", "q.onnx", "--json", "--method", "mse")
		var report quantize.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil || report.Samples != n || report.Layers != 10 || report.Sums < 2 {
			t.Errorf("%s: %s %v", calib, out, err)
		}
	}
	if out, _ := must(t, dir, "infer", "q.onnx", "calib/some/class/a.png", "--top", "1"); out == "" {
		t.Error("the int8 model printed nothing")
	}
	checkSets(t, dir)
	must(t, dir, "quantize", "m.onnx", "--calib", ".", "-o", "q.onnx", "--samples", "100")
	if _, err := infer.Load(filepath.Join(dir, "q.onnx"), nil); err != nil {
		t.Error(err)
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	idx := append(binary.BigEndian.AppendUint32(nil, 0x803), 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6)
	if err := os.WriteFile(filepath.Join(dir, "t-idx3-ubyte"), idx, 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := findSamples(dir)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	img, err := list[1].picture()
	if err != nil || img.Bounds() != image.Rect(0, 0, 3, 1) || img.At(2, 0) != (color.Gray{Y: 6}) {
		t.Errorf("%v %v", img, err)
	}
}

func TestWrongQuantize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "-o", "m.onnx")
	for name, text := range map[string]string{"bad.bin": "12345", "bad.onnx": "not a model", "bad/x.png": "no picture", "idx/a-idx3-ubyte": "nothing", "empty/readme.txt": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rejected(t, dir, []string{"bad.onnx"}, "quantize", "bad.onnx", "--calib", ".", "-o", "q.onnx")
	rejected(t, dir, []string{"bad.bin", "CIFAR"}, "quantize", "m.onnx", "--calib", "bad.bin", "-o", "q.onnx")
	rejected(t, dir, []string{"x.png"}, "quantize", "m.onnx", "--calib", "bad", "-o", "q.onnx")
	rejected(t, dir, []string{"idx"}, "quantize", "m.onnx", "--calib", "idx", "-o", "q.onnx")
	rejected(t, dir, []string{"no picture"}, "quantize", "m.onnx", "--calib", "empty", "-o", "q.onnx")
	rejected(t, dir, []string{"missing"}, "quantize", "m.onnx", "--calib", "missing", "-o", "q.onnx")
	rejected(t, dir, []string{"--samples"}, "quantize", "m.onnx", "--calib", "empty", "-o", "q.onnx", "--samples", "0")
	rejected(t, dir, []string{"magic"}, "quantize", "m.onnx", "--calib", "empty", "-o", "q.onnx", "--method", "magic")
}
