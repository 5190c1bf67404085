package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbered returns n images of h x w x c, image i filled from a stream of its
// own, with labels i modulo classes.
func numbered(t testing.TB, n, h, w, c, classes int) *Images {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	pixels, labels := make([]byte, n*h*w*c), make([]int32, n)
	for i := range pixels {
		pixels[i] = byte(r.Uint32())
	}
	for i := range labels {
		labels[i] = int32(i % classes)
	}
	s, err := NewImages(h, w, c, make([]string, classes), pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewImagesRejects(t *testing.T) {
	classes := []string{"a", "b"}
	for name, f := range map[string]func() error{
		"no height":      func() error { _, err := NewImages(0, 1, 1, classes, nil, nil); return err },
		"bytes missing":  func() error { _, err := NewImages(1, 2, 3, classes, make([]byte, 11), make([]int32, 2)); return err },
		"bytes left":     func() error { _, err := NewImages(1, 2, 3, classes, make([]byte, 13), make([]int32, 2)); return err },
		"label too big":  func() error { _, err := NewImages(1, 1, 1, classes, make([]byte, 1), []int32{2}); return err },
		"label negative": func() error { _, err := NewImages(1, 1, 1, classes, make([]byte, 1), []int32{-1}); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ total, n, classes int }{{100, 10, 5}, {103, 10, 7}, {10, 0, 3}, {10, 10, 3}, {5, 9, 2}, {1, 1, 1}} {
		src := numbered(t, c.total, 1, 1, 1, c.classes)
		rest, part := Split(src, c.n, 7)
		n := min(c.n, c.total)
		if part.Len() != n || rest.Len() != c.total-n {
			t.Errorf("%+v: parts of %d and %d", c, rest.Len(), part.Len())
		}
		all := append(slices.Clone(rest.(*subset).index), part.(*subset).index...)
		slices.Sort(all)
		for i, v := range all {
			if i != v {
				t.Fatalf("%+v: image %d is missing or twice", c, i)
			}
		}
		counts := make([]int, c.classes)
		for i := range n {
			counts[part.Label(i)]++
		}
		for k, got := range counts {
			share := float64(n) / float64(c.classes)
			// A class's own count differs from the mean by less than one image, and
			// rounding adds less than one more.
			if math.Abs(float64(got)-share) > 2 {
				t.Errorf("%+v: class %d has %d images, its share is %.1f", c, k, got, share)
			}
		}
		_, again := Split(src, c.n, 7)
		if !slices.Equal(part.(*subset).index, again.(*subset).index) {
			t.Errorf("%+v: the same seed gave another split", c)
		}
		_, other := Split(src, c.n, 8)
		if n == 10 && c.total > 10 && slices.Equal(part.(*subset).index, other.(*subset).index) {
			t.Errorf("%+v: another seed gave the same split", c)
		}
	}
}

func TestStats(t *testing.T) {
	pixels := []byte{0, 255, 51, 255, 102, 255}
	src, err := NewImages(1, 3, 2, []string{"a"}, pixels, []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	mean, std, err := Stats(src)
	if err != nil {
		t.Fatal(err)
	}
	// Channel 0 holds 0, 0.2, 0.4; channel 1 is constant, so its deviation is the
	// smallest allowed.
	want := float32(math.Sqrt(0.08 / 3))
	if !slices.Equal(mean, []float32{0.2, 1}) || math.Abs(float64(std[0]-want)) > 1e-7 || std[1] != 1.0/255 {
		t.Errorf("mean %v, deviation %v, want [0.2 1], [%v %v]", mean, std, want, 1.0/255)
	}
}

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// softmax replaces the scores x by probabilities.
func softmax(x []float32) {
	top := x[argmax(x)]
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - top))
		x[i] = float32(e)
		sum += e
	}
	for i := range x {
		x[i] /= float32(sum)
	}
}
