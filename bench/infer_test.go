package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/train"
)

// TestInferSuite measures a small network in a file, and onnxruntime where the
// environment names it.
func TestInferSuite(t *testing.T) {
	m, err := train.New(train.Spec{Name: "resnet8", Image: train.Shape{H: 16, W: 16, C: 3}, Classes: 10, Width: 0.5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	g, err := train.Export(m, train.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "small.onnx")
	if err := onnx.WriteFile(file, g); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	opt := Options{Suite: "infer", Model: file, Batch: 3, Threads: 1, JSON: true, Rivals: true, Rounds: 1}
	if err := Run(context.Background(), &out, opt); err != nil {
		t.Fatal(err)
	}
	var cases []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "#") {
			t.Log(line)
			continue
		}
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		cases = append(cases, r.Case)
		if !(r.NS > 0 && r.GFlops > 0 && r.LoadNS > 0 && math.Abs(r.ImagesPerS*r.NS/3e9-1) < 1e-9) {
			t.Errorf("implausible: %s", line)
		}
		if r.Rival != "" && !(r.RivalNS > 0 && r.RivalLoadNS > 0 && r.Ratio > 0) {
			t.Errorf("implausible: %s", line)
		}
	}
	if want := []string{"small/b3/fast", "small/b3/exact"}; !slices.Equal(cases, want) {
		t.Errorf("cases %v, want %v", cases, want)
	}
	for _, opt := range []Options{{Suite: "infer", Model: "nothing"}, {Suite: "infer", Model: "nothing.onnx"}, {Suite: "infer", Batch: -1}} {
		if err := Run(context.Background(), io.Discard, opt); err == nil {
			t.Errorf("%+v was accepted", opt)
		}
	}
}
