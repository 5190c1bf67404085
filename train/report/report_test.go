package report

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// made returns a run over n images of src's first n with invented predictions:
// nine of ten right, and vectors of width 8 near a point for each class.
func made(t testing.TB, src *data.Images, seed uint64) *Run {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	n, k := src.Len(), len(src.Classes())
	ev := &train.Evaluation{Images: n, Loss: 0.3, Accuracy: 0.9, Top5: 0.99, PerClass: make([]float64, k), Confusion: make([][]int, k),
		Attention: &train.Clustering{Compactness: 0.2, Separability: 0.9, Silhouette: 0.4},
		Features:  &train.Clustering{Compactness: 2, Separability: 3, Silhouette: 0.2}}
	for y := range ev.Confusion {
		ev.Confusion[y] = make([]int, k)
		ev.PerClass[y] = r.Float64()
	}
	for i := range n {
		y := src.Label(i)
		p := y
		if r.IntN(10) == 0 {
			p = int32(r.IntN(k))
		}
		ev.Labels, ev.Predicted = append(ev.Labels, y), append(ev.Predicted, p)
		ev.Confidence = append(ev.Confidence, float32(r.Float64()))
		ev.Confusion[y][p]++
		for j := range 8 {
			ev.FeatureVectors = append(ev.FeatureVectors, float32(math.Cos(float64(int(y)*(j+2)))+0.3*r.NormFloat64()))
			ev.AttentionVectors = append(ev.AttentionVectors, float32(math.Sin(float64(int(y)*(j+3)))+0.15*r.NormFloat64()))
		}
	}
	run := &Run{Title: "glyphs, se-resnet8, cc", Test: ev, Val: ev, Images: src, BestEpoch: 5, ImagesPerSecond: 1234, Seconds: 61.25, PlanBytes: 12_345_678, ProcessBytes: 98_765_432,
		Layers:   []train.LayerTime{{Layer: train.NewFlatten("flatten"), Forward: 1e6}, {Layer: train.NewMaxPool("pool", 2, 2, 0), Forward: 2e6, Backward: 1e6}},
		Settings: []Setting{{"model", "se-resnet8"}, {"lambda", "0.1"}, {"odd", "<b>&\"'"}}}
	for e := 1; e <= 6; e++ {
		fall := math.Exp(-float64(e) / 2)
		run.Epochs = append(run.Epochs, train.EpochMetrics{Epoch: e, Loss: 3 * fall, CE: 2.8 * fall, CC: fall, TrainAcc: 1 - fall, ValAcc: 0.98 - fall, ValLoss: 3.1 * fall,
			StepTimes: train.StepTimes{Data: 0.1, Forward: 1, Loss: 0.1, Backward: 2, Update: 0.3}})
	}
	return run
}

func glyphs(t testing.TB, n int) *data.Images {
	t.Helper()
	_, test, err := data.Glyphs(data.GlyphOptions{Train: 1, Test: n})
	if err != nil {
		t.Fatal(err)
	}
	return test
}

func render(t *testing.T, r *Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	// LANES_REPORT names a file to keep the page in, to look at.
	if path := os.Getenv("LANES_REPORT"); path != "" {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// outside matches what would make a browser ask for something, or run something.
var outside = regexp.MustCompile(`(?i)https?:|//[a-z]|<script|<link|<iframe|@import|url\(|\bon[a-z]+=|(src|href)="[^d"]`)

// inlined matches the contents of images, which are any letters.
var inlined = regexp.MustCompile(`data:image/png;base64,[^"]*`)

func TestReportIsComplete(t *testing.T) {
	run := made(t, glyphs(t, 720), 1)
	text := render(t, run)
	if found := outside.FindString(inlined.ReplaceAllString(text, "d")); found != "" {
		t.Errorf("the page reaches outside: %q", found)
	}
	for _, want := range []string{"<!DOCTYPE html>", "90.00 %", "720 images", "epoch 5", "Confusion matrix", "silhouette", "1m1.3s",
		"first principal component", "12.3 MB", "98.8 MB", "Where the time went", "pooling", "75.00 %", "57.14 %", "Features of 500", "calibration error", "five guesses", "&lt;b&gt;&amp;&#34;&#39;"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if n := strings.Count(text, "<svg"); n != 5 || strings.Count(text, "</svg>") != n {
		t.Errorf("%d drawings, want 5", n)
	}
	if n := strings.Count(text, "data:image/png"); n != 80 {
		t.Errorf("%d images, want 80", n)
	}
	if n := strings.Count(text, "predicted as"); n < 36*36 {
		t.Errorf("%d cells in the matrix, want %d", n, 36*36)
	}
	if strings.Contains(text, "ZgotmplZ") {
		t.Error("the template refused a value")
	}
	if len(text) > 2<<20 {
		t.Errorf("the page has %d bytes", len(text))
	}
}

// TestReportOfLittle renders runs that lack what a report can show.
func TestReportOfLittle(t *testing.T) {
	small := func() *Run {
		src, err := data.NewImages(2, 3, 1, []string{"cat", "<dog>"}, make([]byte, 24), []int32{0, 1, 0, 1})
		if err != nil {
			t.Fatal(err)
		}
		return made(t, src, 2)
	}
	for name, change := range map[string]func(r *Run){
		"as it is":      func(r *Run) {},
		"no validation": func(r *Run) { r.Val = nil },
		"no epochs":     func(r *Run) { r.Epochs = nil },
		"one epoch":     func(r *Run) { r.Epochs = r.Epochs[:1] },
		"no attention":  func(r *Run) { r.Test.Attention, r.Test.AttentionVectors = nil, nil },
		"no vectors": func(r *Run) {
			r.Test.Attention, r.Test.Features, r.Test.AttentionVectors, r.Test.FeatureVectors = nil, nil, nil, nil
		},
		"equal vectors":  func(r *Run) { clear(r.Test.AttentionVectors); clear(r.Test.FeatureVectors) },
		"vectors of NaN": func(r *Run) { r.Test.AttentionVectors[0] = float32(math.NaN()) },
		"vectors of one": func(r *Run) { r.Test.AttentionVectors = r.Test.AttentionVectors[:4] },
		"losses of NaN":  func(r *Run) { r.Epochs[0].Loss = math.NaN() },
		"no times": func(r *Run) {
			for i := range r.Epochs {
				r.Epochs[i].StepTimes = train.StepTimes{}
			}
		},
		"confidence NaN":    func(r *Run) { r.Test.Confidence[0] = float32(math.NaN()) },
		"no layers":         func(r *Run) { r.Layers, r.PlanBytes, r.ProcessBytes = nil, 0, 0 },
		"all right":         func(r *Run) { r.Test.Predicted = r.Test.Labels },
		"compactness zero":  func(r *Run) { r.Test.Attention.Compactness = 0 },
		"all losses a zero": func(r *Run) { clear(r.Epochs) },
	} {
		t.Run(name, func(t *testing.T) {
			run := small()
			change(run)
			text := render(t, run)
			if strings.Contains(text, "<dog>") || !strings.Contains(text, "&lt;dog&gt;") {
				t.Error("a class name is not escaped")
			}
			if !strings.HasSuffix(text, "</html>\n") {
				t.Error("the page is cut")
			}
		})
	}
}

func TestWriteRejects(t *testing.T) {
	src := glyphs(t, 36)
	for name, change := range map[string]func(r *Run){
		"no evaluation":  func(r *Run) { r.Test = nil },
		"no images":      func(r *Run) { r.Images = nil },
		"other images":   func(r *Run) { r.Images = data.Subset(src, []int{1, 2}) },
		"too few labels": func(r *Run) { r.Test.Predicted = r.Test.Predicted[:3] },
		"other classes":  func(r *Run) { r.Test.Confusion = r.Test.Confusion[:3] },
	} {
		run := made(t, src, 3)
		change(run)
		path := filepath.Join(t.TempDir(), "report.html")
		if err := WriteFile(path, run); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
}

// TestReportIsReproducible renders the same run twice.
func TestReportIsReproducible(t *testing.T) {
	src := glyphs(t, 72)
	first := render(t, made(t, src, 4))
	if again := render(t, made(t, src, 4)); again != first {
		t.Error("the same run gave two pages")
	}
}
