package data

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/golanes/lanes/kernels"
)

func glyphs(t testing.TB, opt GlyphOptions) (train, test *Images) {
	t.Helper()
	train, test, err := Glyphs(opt)
	if err != nil {
		t.Fatal(err)
	}
	return train, test
}

// TestGlyphsAreStable pins the pixels: published accuracies refer to them, on
// every architecture.
func TestGlyphsAreStable(t *testing.T) {
	train, test := glyphs(t, GlyphOptions{Train: 720, Test: 360})
	h := fnv.New64a()
	h.Write(train.pixels)
	h.Write(test.pixels)
	const want = "e4e149c38bb7164e"
	if got := fmt.Sprintf("%016x", h.Sum64()); got != want {
		t.Errorf("the images hash to %s, want %s", got, want)
	}
}

func TestGlyphsDependOnSeedAlone(t *testing.T) {
	train, test := glyphs(t, GlyphOptions{Seed: 4, Train: 300, Test: 100})
	if train.Len() != 300 || test.Len() != 100 || len(train.Classes()) != 36 || train.Classes()[10] != "A" {
		t.Errorf("%d and %d images, classes %v", train.Len(), test.Len(), train.Classes())
	}
	procs := runtime.GOMAXPROCS(1)
	again, more := glyphs(t, GlyphOptions{Seed: 4, Train: 300, Test: 200})
	runtime.GOMAXPROCS(procs)
	if !bytes.Equal(train.pixels, again.pixels) || !bytes.Equal(test.pixels, more.pixels[:len(test.pixels)]) {
		t.Error("GOMAXPROCS or the number of images changed an image")
	}
	other, _ := glyphs(t, GlyphOptions{Seed: 5, Train: 300, Test: 100})
	if bytes.Equal(train.pixels, other.pixels) {
		t.Error("another seed gave the same images")
	}
	if bytes.Equal(train.pixels[:len(test.pixels)], test.pixels) {
		t.Error("training and test images are the same")
	}
	for _, opt := range []GlyphOptions{{Train: -1}, {Test: maxGlyphs + 1}} {
		if _, _, err := Glyphs(opt); err == nil {
			t.Errorf("%+v: no error", opt)
		}
	}
}

// TestGlyphFields checks every font's glyphs: no two classes of a font look the
// same, and none is empty or cut off.
func TestGlyphFields(t *testing.T) {
	fonts := glyphFonts()
	fields, err := glyphFields(fonts)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for i, f := range fonts {
		if f.heldOut {
			held++
		}
		for a := range len(glyphRunes) {
			one := &fields[i*len(glyphRunes)+a]
			inside := 0
			for j, d := range one {
				if d > 0 {
					inside++
					if y, x := j/fieldSide, j%fieldSide; y == 0 || x == 0 || y == fieldSide-1 || x == fieldSide-1 {
						t.Errorf("%s: %q touches the border", f.name, glyphRunes[a])
						break
					}
				}
			}
			if inside < 60 {
				t.Errorf("%s: %q has only %d points of ink", f.name, glyphRunes[a], inside)
			}
			for b := range a {
				differ := 0
				for j := range one {
					if (one[j] > 0) != (fields[i*len(glyphRunes)+b][j] > 0) {
						differ++
					}
				}
				if differ < 30 {
					t.Errorf("%s: %q and %q differ in %d points only", f.name, glyphRunes[a], glyphRunes[b], differ)
				}
			}
		}
	}
	if held == 0 || held == len(fonts) {
		t.Errorf("%d of %d fonts are held out of training", held, len(fonts))
	}
}

// TestGlyphsAreNotLinear fits a linear classifier by stochastic gradient descent
// and checks that it stays under 60 % on the test images. By default it sees a
// part of the data for a short time; LANES_LONG=1 gives it all of it until it
// gains nothing more.
func TestGlyphsAreNotLinear(t *testing.T) {
	opt, epochs := GlyphOptions{Train: 3000, Test: 1000}, 4
	switch {
	case os.Getenv("LANES_LONG") != "":
		opt, epochs = GlyphOptions{}, 40
	case testing.Short():
		opt, epochs = GlyphOptions{Train: 720, Test: 360}, 4
	}
	train, test := glyphs(t, opt)
	const limit = 0.6
	trained, held := fitLinear(t, train, test, epochs)
	t.Logf("linear classifier: %.1f %% of the training images, %.1f %% of the test images", 100*trained, 100*held)
	if held > limit || held < 1.0/36 {
		t.Errorf("a linear classifier gets %.1f %%, want between chance and %.0f %%", 100*held, 100*limit)
	}
}

// fitLinear trains softmax regression on normalised pixels and returns its
// accuracy on the last epoch's training images and on the test images.
func fitLinear(t *testing.T, train, test *Images, epochs int) (trained, held float64) {
	t.Helper()
	mean, std, err := Stats(train)
	if err != nil {
		t.Fatal(err)
	}
	h, w, c := train.Shape()
	d, k, batch := h*w*c, len(train.Classes()), 100
	weights, gradient := make([]float32, k*d), make([]float32, k*d)
	scores := make([]float32, batch*k)
	pass := func(src Source, epoch int, rate float32) float64 {
		l := open(t, src, LoaderOptions{Batch: batch, Shuffle: rate > 0, Mean: mean, Std: std})
		right := 0
		l.Start(epoch)
		for {
			b, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				return float64(right) / float64(src.Len())
			}
			n := len(b.Labels)
			kernels.Gemm(false, true, n, k, d, 1, b.X, d, weights, d, 0, scores, k)
			for i, label := range b.Labels {
				row := scores[i*k : (i+1)*k]
				if argmax(row) == int(label) {
					right++
				}
				softmax(row)
				row[label]--
			}
			if rate > 0 {
				kernels.Gemm(true, false, k, d, n, 1/float32(n), scores, k, b.X, d, 0, gradient, d)
				kernels.Axpy(-rate, gradient, weights)
			}
		}
	}
	for epoch := range epochs {
		trained = pass(train, epoch, 0.01*(1-float32(epoch)/float32(epochs)))
	}
	return trained, pass(test, 0, 0)
}

func BenchmarkGlyphs(b *testing.B) {
	fonts := glyphFonts()
	fields, err := glyphFields(fonts)
	if err != nil {
		b.Fatal(err)
	}
	const n = 1000
	for b.Loop() {
		if _, err := drawGlyphs(fields, []int{0, 5, 10}, n, rand.Uint64()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "images/s")
}
