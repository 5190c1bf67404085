package main

import (
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// TestExportAndInfer writes a model and uses it in every way.
func TestExportAndInfer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "--fold-bn", "-o", "m.onnx")
	f, err := os.Create(filepath.Join(dir, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, image.NewGray(image.Rect(0, 0, 50, 40))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "labels.txt"), []byte("ant\nbee\ncat\ndog\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "dot.webp", []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"))
	if out, _ := must(t, dir, "infer", "m.onnx", "dot.webp", "a.png", "--top", "1"); strings.Count(out, "class ") != 2 {
		t.Errorf("two pictures: %s", out)
	}
	out, _ := must(t, dir, "infer", "m.onnx", "a.png", "--labels", "labels.txt", "--top", "4", "--json", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
	var got struct {
		Image   string
		Classes []infer.Class
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Image != "a.png" || len(got.Classes) != 4 {
		t.Fatalf("%s: %v", out, err)
	}
	sum, names := 0.0, ""
	for i, c := range got.Classes {
		sum += c.Probability
		names += c.Name
		if i > 0 && c.Probability > got.Classes[i-1].Probability {
			t.Errorf("not sorted: %s", out)
		}
	}
	if sum < 0.9999 || sum > 1.0001 || len(names) != 12 {
		t.Errorf("probabilities add up to %v, names %s", sum, names)
	}
	for _, args := range [][]string{{"--bench", "--threads", "1"}, {"--explain", "--batch", "2"}} {
		if out, _ := must(t, dir, append([]string{"infer", "m.onnx"}, args...)...); out == "" {
			t.Errorf("%v printed nothing", args)
		}
	}
	checkSets(t, dir)
}

// checkSets makes a data set of the model's own outputs, one of them changed.
func checkSets(t *testing.T, dir string) {
	s, err := infer.Load(filepath.Join(dir, "m.onnx"), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := infer.FromFloat32s(make([]float32, 3*32*32), 1, 3, 32, 32)
	out := make([]*infer.Tensor, 1)
	if err := s.Run(out, []*infer.Tensor{in}); err != nil {
		t.Fatal(err)
	}
	out[0].Float32s()[1] += 0.25
	set := filepath.Join(dir, "[sets", "test_data_set_0")
	if err := os.MkdirAll(set, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]*infer.Tensor{"input_0.pb": in, "output_0.pb": out[0]} {
		tensor := x.ToONNX("")
		b, err := onnx.MarshalTensor(&tensor)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(set, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := must(t, dir, "infer", "m.onnx", "--check", "[sets"); !strings.Contains(text, "largest error 0.25") {
		t.Errorf("check printed %q", text)
	}
}

func TestWrongInfer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.onnx"), []byte("not a model"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "-o", "m.onnx")
	rejected(t, dir, []string{"bad.onnx"}, "infer", "bad.onnx", "--bench")
	rejected(t, dir, []string{"no picture"}, "infer", "m.onnx")
	rejected(t, dir, []string{"bad.onnx"}, "infer", "m.onnx", "bad.onnx")
	rejected(t, dir, []string{"no test_data_set"}, "infer", "m.onnx", "--check", ".")
	rejected(t, dir, []string{"absent", "no such file"}, "infer", "m.onnx", "--check", "absent")
	put(t, dir, "labels.txt", []byte("ant\nbee\n"))
	rejected(t, dir, []string{"2 labels for 4 classes"}, "infer", "m.onnx", "x.webp", "--labels", "labels.txt")
	rejected(t, dir, []string{"absent.txt"}, "infer", "m.onnx", "x.webp", "--labels", "absent.txt")
	rejected(t, dir, []string{"x.webp", "no such file"}, "infer", "m.onnx", "x.webp")
	put(t, dir, "x.webp", []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\xff\xff\xff\x1f\x07\x10\x11\x11\x88\x88\xfe\x07\x00"))
	rejected(t, dir, []string{"x.webp", "16384x16384 pixels"}, "infer", "m.onnx", "x.webp")
	rejected(t, dir, []string{"--batch"}, "infer", "m.onnx", "--bench", "--batch", "0")
	rejected(t, dir, []string{"99x99"}, "infer", "m.onnx", "x.webp", "--size", "99")
	rejected(t, dir, []string{"--threads", "100000000"}, "infer", "m.onnx", "x.webp", "--threads", "100000000")
	rejected(t, dir, []string{"--top"}, "infer", "m.onnx", "x.webp", "--top", "0")
	rejected(t, dir, []string{"--bench"}, "infer", "m.onnx", "x.webp", "--bench")
	rejected(t, dir, []string{"--bench", "--explain"}, "infer", "m.onnx", "--bench", "--explain")
	rejected(t, dir, []string{"not a file with a picture"}, "infer", "m.onnx", ".")
	put(t, dir, "empty.txt", nil)
	if _, err := os.Stat("/dev/zero"); err == nil {
		rejected(t, dir, []string{"/dev/zero", "class names"}, "infer", "m.onnx", "x.webp", "--labels", "/dev/zero")
	}
	rejected(t, dir, []string{"empty.txt", "no class names"}, "infer", "m.onnx", "x.webp", "--labels", "empty.txt")
	rejected(t, dir, []string{"not a regular file"}, "export", "--model", "resnet8", "-o", ".")
	rejected(t, dir, []string{"without a name"}, "export", "--model", "resnet8", "-o", "")
	rejected(t, dir, []string{"--run"}, "export", "-o", "x.onnx")
	rejected(t, dir, []string{"unknown model"}, "export", "--model", "nothing", "-o", "x.onnx")
}
