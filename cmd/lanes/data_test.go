package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/train"
)

// jpegOf is a picture of w x h pixels, bright at the top, the bottom or the left by
// class.
func jpegOf(t *testing.T, w, h, class, i int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := byte(30 + (x*7+y*13+i*29)%40)
			if class == 0 && y < h/2 || class == 1 && y >= h/2 || class == 2 && x < w/2 {
				v += 150
			}
			img.SetRGBA(x, y, color.RGBA{v, v / 2, 255 - v, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// album writes a folder of pictures of three classes, 20 in train and 5 in val.
func album(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for part, n := range map[string]int{"train": 20, "val": 5} {
		for k, class := range []string{"above", "below", "left"} {
			dir := filepath.Join(root, part, class)
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				put(t, dir, fmt.Sprintf("%02d.jpg", i), jpegOf(t, 20+i, 24, k, i))
			}
		}
	}
	return root
}

// pngOf is a grey PNG file of w x h pixels, all black.
func pngOf(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	if w == 1 && h == 1 {
		return file
	}
	// One bit a pixel, all black: what a bomb unpacks to is long, the file short.
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	row := make([]byte, 1+(w+7)/8)
	for range h {
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file = append([]byte(nil), file[:8]...)
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	for _, chunk := range []struct {
		kind    string
		content []byte
	}{{"IHDR", append(head, 1, 0, 0, 0, 0)}, {"IDAT", packed.Bytes()}, {"IEND", nil}} {
		body := append([]byte(chunk.kind), chunk.content...)
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(chunk.content))), body...)
		file = binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(body))
	}
	return file
}

func albumArgs(root, out string, more ...string) []string {
	return append([]string{"train", "--data", "folder", "--root", root, "--size", "16", "--out", out, "--width", "0.5", "--epochs", "2", "--batch", "12"}, more...)
}

func TestTrainOnFolder(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), album(t)
	out, _ := must(t, dir, albumArgs(root, "run", "--json", "--augment", "flip,resized-crop,mixup", "--sampler", "pxk", "--per-class", "4")...)
	var trained map[string]any
	if err := json.Unmarshal([]byte(lastLine(out)), &trained); err != nil {
		t.Fatal(err)
	}
	out, _ = must(t, dir, "eval", "--run", "run", "--json")
	var evaluated map[string]any
	if err := json.Unmarshal([]byte(lastLine(out)), &evaluated); err != nil {
		t.Fatal(err)
	}
	if trained["test_acc"] != evaluated["test_acc"] || trained["val_acc"] != evaluated["val_acc"] {
		t.Errorf("trained %v, evaluated %v", trained, evaluated)
	}
	text := string(get(t, filepath.Join(dir, "run"), configFile))
	for _, want := range []string{`"size": 16`, `"augment": "flip,resized-crop,mixup"`, `"sampler": "pxk"`, `"per-class": 4`} {
		if !strings.Contains(text, want) {
			t.Errorf("config.json has no %s", want)
		}
	}
	must(t, dir, "train", "--resume", "--out", "run")
	rejected(t, dir, []string{"--sampler", "pxk"}, "train", "--resume", "--out", "run", "--sampler", "shuffle")
	rejected(t, dir, []string{"--size"}, "train", "--resume", "--out", "run", "--size", "32")
}

func TestWrongDataSettings(t *testing.T) {
	t.Parallel()
	run, root, digits := filepath.Join(t.TempDir(), "run"), album(t), tiny(t)
	for _, c := range []struct {
		want []string
		args []string
	}{
		{[]string{"--augment", "zoom"}, albumArgs(root, run, "--augment", "zoom")},
		{[]string{"--augment", "mixup"}, albumArgs(root, run, "--augment", "mixup=7")},
		{[]string{"--sampler"}, albumArgs(root, run, "--sampler", "random")},
		{[]string{"--per-class 5"}, albumArgs(root, run, "--sampler", "pxk", "--per-class", "5")},
		{[]string{"needs 12 classes, there are 3"}, albumArgs(root, run, "--sampler", "pxk", "--per-class", "1")},
		{[]string{"side 5000"}, append(albumArgs(root, run), "--size", "5000")},
		{[]string{"side -3"}, append(albumArgs(root, run), "--size=-3")},
		{[]string{"--size"}, tinyArgs(digits, run, "--size", "32")},
		{[]string{"--skip-bad"}, tinyArgs(digits, run, "--skip-bad")},
		{[]string{"--root"}, []string{"train", "--data", "folder", "--out", run}},
		{[]string{"nowhere"}, []string{"train", "--data", "folder", "--root", "nowhere", "--out", run}},
		{[]string{"--root"}, []string{"data", "info", "folder"}},
		{[]string{"has no files"}, []string{"data", "verify", "glyphs", "--root", "."}},
		{[]string{"glyphs"}, []string{"data", "get", "glyphs", "--root", "."}},
	} {
		rejectedHere(t, c.want, c.args...)
	}
	if exists(run, "") {
		t.Error("a run was begun")
	}
}

// TestBadPictures: each is one line that names the file, or counted and named and
// left out.
func TestBadPictures(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name, file string
		content    []byte // nil makes a folder, or a link to nowhere
		want       string
	}{
		{"corrupt JPEG", "train/above/cut.jpg", jpegOf(t, 200, 200, 0, 0)[:900], "damaged"},
		{"empty class", "train/nobody", nil, "empty class folder"},
		{"1x1 image", "train/below/dot.png", pngOf(t, 1, 1), "1 x 1"},
		{"bomb", "train/left/bomb.png", pngOf(t, 20000, 20000), "20000 x 20000"},
		{"no image", "val/left/list.csv", []byte("a,b\n1,2\n"), "not a JPEG"},
		{"unreadable", "train/left/lost.jpg", nil, "no such file"},
	} {
		if !sampled(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir, root := t.TempDir(), album(t)
			path := filepath.Join(root, c.file)
			var err error
			switch {
			case c.content != nil:
				put(t, filepath.Dir(path), filepath.Base(path), c.content)
			case strings.Contains(c.file, "."):
				err = os.Symlink("nowhere", path)
			default:
				err = os.Mkdir(path, 0o777)
			}
			if err != nil {
				t.Fatal(err)
			}
			rejected(t, dir, []string{path, c.want}, albumArgs(root, "run")...)
			if exists(dir, "run") {
				t.Error("a run was begun")
			}
			out, errs, status := lanes(t, dir, albumArgs(root, "run", "--skip-bad", "--epochs", "1")...)
			if status != 0 || !strings.Contains(out, path) || !strings.Contains(out, "1 files or folders skipped") || !strings.Contains(out, "in 3 classes") {
				t.Errorf("with --skip-bad: status %d\n%s%s", status, out, errs)
			}
			out, errs, status = lanes(t, dir, "data", "verify", "folder", "--root", root)
			if status != 1 || !strings.Contains(out, path) || !strings.Contains(errs, "1 bad") {
				t.Errorf("verified: status %d\n%s%s", status, out, errs)
			}
		})
	}
}

func TestDataInfo(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), album(t)
	out, _ := must(t, dir, "data", "info", "folder", "--root", root, "--size", "16", "--json")
	var info dataInfo
	if err := json.Unmarshal([]byte(lastLine(out)), &info); err != nil {
		t.Fatal(err)
	}
	if info.Shape != [3]int{16, 16, 3} || fmt.Sprint(info.Counts) != "map[test:[5 5 5] train:[18 18 18] val:[2 2 2]]" ||
		fmt.Sprint(info.Classes) != "[above below left]" || *info.Stored != (storedSizes{[2]int{20, 39}, [2]int{24, 24}}) || len(info.Mean) != 3 {
		t.Errorf("%+v, stored %+v", info, info.Stored)
	}
	for i, args := range [][]string{{"folder", "--root", root}, {"mnist", "--root", tiny(t)}, {"glyphs"}} {
		if !sampled(i) {
			continue
		}
		out, _ := must(t, dir, append([]string{"data", "info"}, args...)...)
		if !strings.Contains(out, "mean") || !strings.Contains(out, "all") {
			t.Errorf("%v: %q", args, out)
		}
	}
	if out, _ = must(t, dir, "data", "verify", "folder", "--root", root); !strings.Contains(out, "all 75 images") {
		t.Errorf("verified: %q", out)
	}
	rejected(t, dir, []string{"4 files"}, "data", "verify", "mnist", "--root", tiny(t))
}

// TestDataGet fetches MNIST from a server on this machine, and from none.
func TestDataGet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(kerneltest.DataDir(t), "mnist")
	s := httptest.NewServer(http.FileServer(http.Dir(source)))
	defer s.Close()
	if _, err := os.Stat(source); err == nil && kerneltest.DataDir(t) != "" {
		out, errs := must(t, dir, "data", "get", "mnist", "--root", "new/mnist", "--from", s.URL)
		if !strings.Contains(out, "fetched train-images-idx3-ubyte.gz") || !strings.Contains(errs, "9.9 MB") {
			t.Errorf("%q, %q", out, errs)
		}
		if out, _ = must(t, dir, "data", "get", "mnist", "--root", "new/mnist", "--from", s.URL); !strings.Contains(out, "there already") {
			t.Errorf("again: %q", out)
		}
		if out, _ = must(t, dir, "data", "verify", "mnist", "--root", "new/mnist"); !strings.Contains(out, "60000 images") {
			t.Errorf("verified: %q", out)
		}
	}
	rejected(t, dir, []string{"404"}, "data", "get", "cifar-10", "--root", "cifar", "--from", s.URL)
	s.Close()
	rejected(t, dir, []string{"cannot reach"}, "data", "get", "cifar-10", "--root", "cifar", "--from", s.URL)
}

// TestFlowers trains and evaluates on real photos, under -short on every fifth.
func TestFlowers(t *testing.T) {
	t.Parallel()
	root := kerneltest.DataPath(t, "flowers5")
	dir := t.TempDir()
	args := []string{"train", "--data", "folder", "--root", root, "--size", "32", "--epochs", "1", "--batch", "25", "--out", "run"}
	counts, evaluated := "225 training, 25 validation and 80 test images in 5 classes", "105 images"
	if testing.Short() {
		args = append(args, "--limit", "50")
		counts, evaluated = "45 training, 5 validation and 17 test images in 5 classes", "22 images"
	}
	if out, _ := must(t, dir, args...); !strings.Contains(out, counts) {
		t.Errorf("%q, want %s", out, counts)
	}
	if out, _ := must(t, dir, "eval", "--run", "run"); !strings.Contains(out, evaluated) {
		t.Errorf("%q, want %s", out, evaluated)
	}
	if len(get(t, filepath.Join(dir, "run"), train.BestFile)) == 0 {
		t.Error("no weights")
	}
}
