package main

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer"
)

// emulate makes TestEmulatedARM run, which builds the program for another
// architecture and takes half a minute.
const emulate = "LANES_EMULATE"

// TestEmulatedARM builds a static lanes for arm64, lets it train on glyphs and
// classify a picture under qemu-aarch64, and compares with what this machine's
// own lanes makes of the same commands.
func TestEmulatedARM(t *testing.T) {
	if os.Getenv(emulate) == "" {
		t.Skip(emulate + " is not set")
	}
	qemu, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		t.Fatalf("%s is set: %v", emulate, err)
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "lanes"), ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	writePicture(t, filepath.Join(dir, "picture.png"))
	arm := func(args ...string) string {
		cmd := exec.Command(qemu, append([]string{"-cpu", "cortex-a72", filepath.Join(dir, "lanes")}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "LANES_ISA=", "LANES_NEON_TILE=")
		out, errs, status := finish(t, cmd)
		if status != 0 {
			t.Fatalf("lanes %s on arm64: status %d\n%s", strings.Join(args, " "), status, errs)
		}
		return out
	}
	own := func(args ...string) string {
		out, _ := must(t, dir, args...)
		return out
	}

	if info := arm("info", "--json"); !strings.Contains(info, `"isa":"neon"`) || !strings.Contains(info, `"gemm_tile":"8x8"`) {
		t.Errorf("lanes info on a Cortex-A72: %s", strings.TrimSpace(info))
	}
	a, b := trainAndClassify(t, dir, "emulated", arm), trainAndClassify(t, dir, "own", own)
	// One epoch is 17 updates, each of which carries float32 rounding on: 1e-3 is
	// far above what was seen, 1e-7, and far below what any wrong kernel makes.
	if math.Abs(a.loss-b.loss) > 1e-3*b.loss {
		t.Errorf("training loss %v on arm64, %v on %s", a.loss, b.loss, runtime.GOARCH)
	}
	// A score within rounding of another may change a prediction.
	if math.Abs(a.accuracy-b.accuracy) > 2.0/testImages {
		t.Errorf("test accuracy %v on arm64, %v on %s", a.accuracy, b.accuracy, runtime.GOARCH)
	}
	for name, p := range b.classes {
		if math.Abs(a.classes[name]-p) > 1e-3 {
			t.Errorf("class %s has probability %v on arm64, %v on %s", name, a.classes[name], p, runtime.GOARCH)
		}
	}
	t.Logf("loss %v and %v, accuracy %v and %v", a.loss, b.loss, a.accuracy, b.accuracy)
}

// testImages is the number of test images of a run of --limit 300.
const testImages = 100

// outcome is what training and classifying gave.
type outcome struct {
	loss, accuracy float64
	classes        map[string]float64 // of the picture
}

func trainAndClassify(t *testing.T, dir, run string, lanes func(args ...string) string) outcome {
	t.Helper()
	out := lanes("train", "--data", "glyphs", "--limit", "300", "--model", "se-resnet8", "--width", "0.25",
		"--batch", "16", "--epochs", "1", "--seed", "3", "--out", run, "--json")
	var trained struct {
		Accuracy *float64 `json:"test_acc"`
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &trained); err != nil || trained.Accuracy == nil {
		t.Fatalf("train printed %q: %v", out, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, run, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var epoch struct{ Loss float64 }
	if err := json.Unmarshal(b, &epoch); err != nil || !(epoch.Loss > 0) {
		t.Fatalf("metrics %q: %v", b, err)
	}
	o := outcome{loss: epoch.Loss, accuracy: *trained.Accuracy, classes: map[string]float64{}}
	lanes("export", "--run", run, "-o", run+".onnx")
	var picture struct{ Classes []infer.Class }
	out = lanes("infer", run+".onnx", "picture.png", "--top", "36", "--json")
	if err := json.Unmarshal([]byte(out), &picture); err != nil || len(picture.Classes) != 36 {
		t.Fatalf("infer printed %q: %v", out, err)
	}
	for _, c := range picture.Classes {
		o.classes[c.Name] = float64(c.Probability)
	}
	return o
}

// writePicture writes a white bar on black, the size of a glyph.
func writePicture(t *testing.T, path string) {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 32, 32))
	for y := 6; y < 26; y++ {
		for x := 14; x < 18; x++ {
			picture.Set(x, y, color.White)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
