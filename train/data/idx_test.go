package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// idx returns the bytes of an IDX file.
func idx(elements []byte, dims ...uint32) []byte {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return append(b, elements...)
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// small is a data set of n training and n test images of 2 x 3 pixels in the
// files of MNIST, to damage.
func small(n int) map[string][]byte {
	pixels, labels := make([]byte, n*6), make([]byte, n)
	for i := range labels {
		labels[i] = byte(i % 10)
		pixels[i*6] = byte(i)
	}
	files := map[string][]byte{}
	for _, prefix := range []string{"train", "t10k"} {
		files[prefix+"-images-idx3-ubyte"] = idx(pixels, uint32(n), 2, 3)
		files[prefix+"-labels-idx1-ubyte"] = idx(labels, uint32(n))
	}
	return files
}

func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenIDX(t *testing.T) {
	files := small(40)
	name := "train-images-idx3-ubyte"
	files[name+".gz"] = gzipped(t, files[name])
	delete(files, name)
	d, err := Open("mnist", Options{Root: write(t, files), Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 36 || d.Val.Len() != 4 || d.Test.Len() != 40 || d.Augment.Flip || len(d.Mean) != 1 {
		t.Errorf("data set %+v", d)
	}
	pixels := make([]byte, 6)
	for i := range d.Test.Len() {
		if err := d.Test.Image(pixels, i); err != nil || int(pixels[0]) != i || int(d.Test.Label(i)) != i%10 {
			t.Fatalf("image %d: %v, label %d, %v", i, pixels, d.Test.Label(i), err)
		}
	}
	limited, err := Open("fashion-mnist", Options{Root: write(t, small(40)), Limit: 20})
	if err != nil {
		t.Fatal(err)
	}
	if limited.Train.Len()+limited.Val.Len() != 20 || limited.Test.Len() != 7 || !limited.Augment.Flip {
		t.Errorf("limited data set %+v", limited)
	}
}

func TestOpenIDXRejects(t *testing.T) {
	const images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
	cases := []struct {
		name   string
		damage func(f map[string][]byte)
		want   []string
	}{
		{"images missing", func(f map[string][]byte) { delete(f, images) }, []string{images, "is there"}},
		{"labels missing", func(f map[string][]byte) { delete(f, labels) }, []string{labels, "is there"}},
		{"empty", func(f map[string][]byte) { f[images] = nil }, []string{images, "no IDX header"}},
		{"half a header", func(f map[string][]byte) { f[images] = f[images][:9] }, []string{images, "truncated IDX header"}},
		{"wrong magic", func(f map[string][]byte) { f[images][2] = 9 }, []string{images, "magic number 0x00000903"}},
		{"labels for images", func(f map[string][]byte) { f[images] = f[labels] }, []string{images, "magic number"}},
		{"truncated images", func(f map[string][]byte) { f[images] = f[images][:len(f[images])-1] }, []string{images, "truncated: 239"}},
		{"truncated labels", func(f map[string][]byte) { f[labels] = f[labels][:20] }, []string{labels, "truncated: 12"}},
		{"oversized images", func(f map[string][]byte) { f[images] = append(f[images], 0) }, []string{images, "oversized"}},
		{"oversized labels", func(f map[string][]byte) { f[labels] = append(f[labels], 0) }, []string{labels, "oversized"}},
		{"label out of range", func(f map[string][]byte) { f[labels][8+5] = 10 }, []string{labels, "label 10 of record 5"}},
		{"counts differ", func(f map[string][]byte) { f[labels] = idx(make([]byte, 39), 39) }, []string{images, "40 images", "39 labels"}},
		{"huge count", func(f map[string][]byte) { binary.BigEndian.PutUint32(f[images][4:], math.MaxUint32) }, []string{images, "limit"}},
		{"huge sides", func(f map[string][]byte) { f[images] = idx(nil, 1<<31, 1<<31, 1<<31) }, []string{images, "limit"}},
		{"many promised", func(f map[string][]byte) { binary.BigEndian.PutUint32(f[images][4:], 80_000_000) }, []string{images, "truncated"}},
		{"no images", func(f map[string][]byte) { f[images], f[labels] = idx(nil, 0, 2, 3), idx(nil, 0) }, []string{images, "no images"}},
		{"no pixels", func(f map[string][]byte) { f[images] = idx(nil, 40, 0, math.MaxUint32) }, []string{images, "no images"}},
		{"too wide", func(f map[string][]byte) { f[images] = idx(make([]byte, 40*1025), 40, 1, 1025) }, []string{images, "larger"}},
		{"sizes differ", func(f map[string][]byte) { f["t10k-images-idx3-ubyte"] = idx(make([]byte, 40*6), 40, 3, 2) }, []string{"2 x 3 x 1", "3 x 2 x 1"}},
		{"too few", func(f map[string][]byte) { f[images], f[labels] = idx(make([]byte, 6), 1, 2, 3), idx([]byte{0}, 1) }, []string{"too few"}},
		{"gzip cut", func(f map[string][]byte) {
			f[images+".gz"] = gzipped(t, f[images])[:30]
			delete(f, images)
		}, []string{images + ".gz", "EOF"}},
		{"gzip checksum cut", func(f map[string][]byte) {
			z := gzipped(t, f[images])
			f[images+".gz"] = z[:len(z)-1]
			delete(f, images)
		}, []string{images + ".gz", "EOF"}},
		{"gzip damaged", func(f map[string][]byte) {
			z := gzipped(t, f[images])
			z[len(z)-5] ^= 1
			f[images+".gz"] = z
			delete(f, images)
		}, []string{images + ".gz", "checksum"}},
		{"not gzip", func(f map[string][]byte) {
			f[images+".gz"] = f[images]
			delete(f, images)
		}, []string{images + ".gz", "gzip"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := small(40)
			c.damage(files)
			_, err := Open("mnist", Options{Root: write(t, files)})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not have %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
		})
	}
}

func TestOpenRejects(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, root, want string }{
		{"mnist", "", "missing"},
		{"mnist", filepath.Join(file, "..", "absent"), "no such"},
		{"mnist", file, "not a folder"},
		{"glyphs", file, "no root"},
		{"imagenet", "", "glyphs, mnist, fashion-mnist, cifar-10, cifar-100"},
	} {
		_, err := Open(c.name, Options{Root: c.root})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q, root %q): %v, want an error with %q", c.name, c.root, err, c.want)
		}
	}
}

// TestPublishedFiles reads the published files and compares with what is known
// of them.
func TestPublishedFiles(t *testing.T) {
	for _, c := range []struct {
		name                string
		trainMean, testMean float64
		classes             []string
		trainCounts         []int
	}{
		{"mnist", 0.1306604763, 0.1325146058, DigitClasses(), []int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}},
		{"fashion-mnist", 0.2860405970, 0.2868492807, FashionClasses(), []int{6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000, 6000}},
	} {
		t.Run("data="+c.name, func(t *testing.T) {
			t.Parallel()
			root := kerneltest.DataPath(t, c.name)
			train, test, err := openIDX(root, c.classes)
			if err != nil {
				t.Fatal(err)
			}
			if train.Len() != 60000 || test.Len() != 10000 {
				t.Errorf("%d and %d images", train.Len(), test.Len())
			}
			means := map[*Images]float64{train: c.trainMean, test: c.testMean}
			if testing.Short() {
				delete(means, train)
			}
			for part, want := range means {
				// The published means have ten digits; float32 rounds to 2^-25 of 0.13..0.29.
				if mean, _, err := Stats(part); err != nil || math.Abs(float64(mean[0])-want) > 3e-8 {
					t.Errorf("mean %v, %v, want %v", mean, err, want)
				}
			}
			counts := make([]int, 10)
			for i := range train.Len() {
				counts[train.Label(i)]++
			}
			for k, want := range c.trainCounts {
				if counts[k] != want {
					t.Errorf("class %d has %d images, want %d", k, counts[k], want)
				}
			}
		})
	}
}
