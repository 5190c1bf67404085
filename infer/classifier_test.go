package infer

import (
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
)

// flattening is a network whose scores are its input.
func flattening(t *testing.T, shape ...int64) *Session {
	t.Helper()
	in := onnx.ValueInfo{Name: "x", Type: onnx.Float32}
	for _, d := range shape {
		in.Shape = append(in.Shape, onnx.Dim{Size: d})
	}
	s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: onnx.Graph{
		Nodes:  []onnx.Node{{Op: "Flatten", Inputs: []string{"x"}, Outputs: []string{"y"}}},
		Inputs: []onnx.ValueInfo{in}, Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestClassifierInput: a picture of two pixels in every layout.
func TestClassifierInput(t *testing.T) {
	wide, tall := image.NewRGBA(image.Rect(0, 0, 2, 1)), image.NewRGBA(image.Rect(0, 0, 1, 2))
	for i, pixel := range []color.RGBA{{255, 51, 102, 255}, {0, 153, 204, 255}} {
		wide.Set(i, 0, pixel)
		tall.Set(0, i, pixel)
	}
	luma := []float64{0.299 + 0.587*0.2 + 0.114*0.4, 0.587*0.6 + 0.114*0.8}
	for _, c := range []struct {
		name  string
		shape []int64
		opt   ImageOptions
		want  []float64
	}{
		{"NCHW", []int64{-1, 3, 1, 2}, ImageOptions{}, []float64{1, 0, 0.2, 0.6, 0.4, 0.8}},
		{"NHWC", []int64{1, 2, 1, 3}, ImageOptions{}, []float64{1, 0.2, 0.4, 0, 0.6, 0.8}},
		{"grey", []int64{1, 1, 1, 2}, ImageOptions{}, luma},
		{"grey, raw, normalised", []int64{1, 1, 1, 2}, ImageOptions{Raw: true, Mean: []float32{5}, Std: []float32{2}}, []float64{(255*luma[0] - 5) / 2, (255*luma[1] - 5) / 2}},
		{"normalised", []int64{1, 3, -1, -1}, ImageOptions{Width: 2, Height: 1, Mean: []float32{0.5, 0.25, 0}, Std: []float32{1, 2, 4}},
			[]float64{0.5, -0.5, -0.025, 0.175, 0.1, 0.2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := NewClassifier(flattening(t, c.shape...), c.opt)
			if err != nil {
				t.Fatal(err)
			}
			img := wide
			if h, _, _ := k.Size(); h == 2 {
				img = tall
			}
			x, err := k.Input(img)
			if err != nil {
				t.Fatal(err)
			}
			// A handful of roundings of numbers up to 255.
			near := func(a, b float64) bool { return math.Abs(a-b) <= 8*0x1p-24*max(1, math.Abs(b)) }
			if got := x.Float64s(); !slices.EqualFunc(got, c.want, near) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	for what, c := range map[string]struct {
		shape []int64
		opt   ImageOptions
	}{
		"two channels": {[]int64{1, 2, 4, 4}, ImageOptions{}},
		"another size": {[]int64{1, 3, 4, 4}, ImageOptions{Width: 5}},
		"no size":      {[]int64{1, 3, -1, -1}, ImageOptions{}},
		"three means":  {[]int64{1, 1, 4, 4}, ImageOptions{Mean: []float32{1, 1, 1}}},
		"three axes":   {[]int64{1, 4, 4}, ImageOptions{}},
	} {
		if _, err := NewClassifier(flattening(t, c.shape...), c.opt); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestRank(t *testing.T) {
	k, err := NewClassifier(flattening(t, 1, 3, 1, 1), ImageOptions{Labels: []string{"a", "b", "c"}})
	if err != nil {
		t.Fatal(err)
	}
	rank := func(top int, scores ...float32) ([]Class, error) {
		return k.Rank(FromFloat32s(scores, 1, len(scores)), top)
	}
	near := func(a, b Class) bool {
		return a.Index == b.Index && a.Name == b.Name && math.Abs(a.Probability-b.Probability) <= 1e-7 // of a float32
	}
	e := math.E
	for _, c := range []struct {
		name   string
		top    int
		scores []float32
		want   []Class
	}{
		{"probabilities", 2, []float32{0.25, 0.25, 0.5}, []Class{{2, "c", 0.5}, {0, "a", 0.25}}},
		{"scores", 9, []float32{0, -1, 1}, []Class{{2, "c", e * e / (e*e + e + 1)}, {0, "a", e / (e*e + e + 1)}, {1, "b", 1 / (e*e + e + 1)}}},
		{"scores above 0", 1, []float32{1, 2, 1}, []Class{{1, "b", e / (e + 2)}}},
		{"large scores", 1, []float32{1e9, -1e9, 0}, []Class{{0, "a", 1}}},
		{"no class", 0, []float32{0, 1, 0}, []Class{{1, "b", 1}}},
	} {
		if got, err := rank(c.top, c.scores...); err != nil || !slices.EqualFunc(got, c.want, near) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for want, scores := range map[string][]float32{"2 classes": {1, 2}, "not finite": {0, nan, 1}, "are not finite": {inf, 0, 0}} {
		if got, err := rank(1, scores...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("scores %v: %v, %v", scores, got, err)
		}
	}
}
