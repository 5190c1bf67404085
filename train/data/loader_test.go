package data

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

// digest runs one epoch and hashes every batch.
func digest(t *testing.T, l *Loader, epoch int) (images int, hash uint64) {
	t.Helper()
	h := fnv.New64a()
	l.Start(epoch)
	for {
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return images, h.Sum64()
		}
		images += len(b.Labels)
		fmt.Fprint(h, b.Labels, b.Index)
		for _, v := range b.X {
			bits := math.Float32bits(v)
			h.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
	}
}

func open(t testing.TB, src Source, opt LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(src, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestLoaderDependsOnSeedAndEpochAlone(t *testing.T) {
	src := numbered(t, 53, 4, 5, 3, 7)
	opt := LoaderOptions{Batch: 8, Seed: 9, Shuffle: true, Augment: Augment{Pad: 2, Flip: true}}
	var want [4]uint64
	first := open(t, src, opt)
	for epoch := range want {
		n, hash := digest(t, first, epoch)
		if n != 53 {
			t.Fatalf("epoch %d has %d images", epoch, n)
		}
		want[epoch] = hash
	}
	if want[0] == want[1] {
		t.Error("two epochs are the same")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 3} {
		for _, ahead := range []int{1, 20} {
			runtime.GOMAXPROCS(procs)
			opt.Ahead = ahead
			l := open(t, src, opt)
			for _, epoch := range []int{3, 1} { // as after a resume
				if _, hash := digest(t, l, epoch); hash != want[epoch] {
					t.Errorf("procs=%d/ahead=%d/epoch=%d: another epoch", procs, ahead, epoch)
				}
			}
		}
	}
	opt.Seed++
	if _, hash := digest(t, open(t, src, opt), 0); hash == want[0] {
		t.Error("another seed gave the same epoch")
	}
}

func TestLoaderCoversTheSource(t *testing.T) {
	for _, c := range []struct {
		n, batch, batches, images int
		drop                      bool
	}{
		{10, 4, 3, 10, false}, {10, 4, 2, 8, true}, {8, 4, 2, 8, true}, {3, 4, 1, 3, false}, {3, 4, 1, 3, true}, {1, 1, 1, 1, true},
	} {
		src := numbered(t, c.n, 2, 2, 1, 2)
		l := open(t, src, LoaderOptions{Batch: c.batch, Shuffle: true, DropLast: c.drop})
		if l.Batches() != c.batches || l.Images() != c.images {
			t.Errorf("%+v: %d batches of %d images", c, l.Batches(), l.Images())
		}
		seen := map[int]bool{}
		l.Start(0)
		for range c.batches {
			b, err := l.Next()
			if err != nil || b == nil {
				t.Fatalf("%+v: %v, %v", c, b, err)
			}
			for i, image := range b.Index {
				if seen[image] || b.Labels[i] != src.Label(image) {
					t.Errorf("%+v: image %d twice, or with label %d", c, image, b.Labels[i])
				}
				seen[image] = true
			}
		}
		for range 2 {
			if b, err := l.Next(); b != nil || err != nil {
				t.Errorf("%+v: %v, %v after the end", c, b, err)
			}
		}
		if len(seen) != c.images {
			t.Errorf("%+v: saw %d images", c, len(seen))
		}
	}
}

// TestLoaderPixels compares each augmented image with every displacement and
// mirror image of the original: one must match, and all must occur.
func TestLoaderPixels(t *testing.T) {
	const h, w, c, pad = 3, 4, 2, 1
	src := numbered(t, 4, h, w, c, 2)
	mean, std := []float32{0.25, 0.5}, []float32{0.5, 2}
	l := open(t, src, LoaderOptions{Batch: 4, Seed: 5, Augment: Augment{Pad: pad, Flip: true}, Mean: mean, Std: std})
	variant := func(pixels []byte, dy, dx int, flip bool) []float32 {
		var out []float32
		for y := range h {
			for x := range w {
				sx := x
				if flip {
					sx = w - 1 - x
				}
				for k := range c {
					v := byte(0)
					if sy, sx := y+dy, sx+dx; sy >= 0 && sy < h && sx >= 0 && sx < w {
						v = pixels[(sy*w+sx)*c+k]
					}
					out = append(out, (float32(v)/255-mean[k])/std[k])
				}
			}
		}
		return out
	}
	found := map[string]int{}
	pixels := make([]byte, h*w*c)
	for epoch := range 200 {
		l.Start(epoch)
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Labels {
			got := b.X[i*h*w*c:][:h*w*c]
			if err := src.Image(pixels, b.Index[i]); err != nil {
				t.Fatal(err)
			}
			ok := false
			for dy := -pad; dy <= pad; dy++ {
				for dx := -pad; dx <= pad; dx++ {
					for _, flip := range []bool{false, true} {
						if slices.Equal(got, variant(pixels, dy, dx, flip)) {
							found[fmt.Sprint(dy, dx, flip)]++
							ok = true
						}
					}
				}
			}
			if !ok {
				t.Fatalf("epoch %d, image %d is no variant of the original", epoch, b.Index[i])
			}
		}
	}
	// 800 draws over 18 variants: 44 expected each, and 15 is 4.5 deviations away.
	if len(found) != 18 {
		t.Errorf("%d of 18 variants occur", len(found))
	}
	for name, count := range found {
		if count < 15 {
			t.Errorf("variant %s occurs %d times of 800", name, count)
		}
	}
}

func TestLoaderAllocatesNothing(t *testing.T) {
	src := numbered(t, 64, 8, 8, 3, 4)
	l := open(t, src, LoaderOptions{Batch: 8, Shuffle: true, Augment: Augment{Pad: 2, Flip: true}})
	epoch := 0
	allocs := testing.AllocsPerRun(20, func() {
		l.Start(epoch)
		epoch++
		for {
			b, err := l.Next()
			if err != nil {
				t.Error(err)
			}
			if b == nil {
				return
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations in an epoch", allocs)
	}
}

func TestLoaderRestartsAndCloses(t *testing.T) {
	src := numbered(t, 64, 2, 2, 1, 4)
	before := runtime.NumGoroutine()
	for taken := range 6 {
		l, err := NewLoader(src, LoaderOptions{Batch: 4, Shuffle: true})
		if err != nil {
			t.Fatal(err)
		}
		l.Start(0)
		for range taken {
			if _, err := l.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if n, _ := digest(t, l, 1); n != 64 {
			t.Errorf("after %d batches of another epoch: %d images", taken, n)
		}
		l.Start(2)
		l.Close()
	}
	// Close does not wait for the goroutines to end, which may take a while where
	// other programs have the cores.
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// failing is a source whose image 5 cannot be read.
type failing struct{ Source }

var errImage = errors.New("image 5 is damaged")

func (f failing) Image(dst []byte, i int) error {
	if i == 5 {
		return errImage
	}
	return f.Source.Image(dst, i)
}

func TestLoaderReportsErrors(t *testing.T) {
	l := open(t, failing{numbered(t, 12, 2, 2, 1, 4)}, LoaderOptions{Batch: 4})
	for range 2 {
		l.Start(0)
		if _, err := l.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Next(); !errors.Is(err, errImage) {
			t.Fatalf("error %v, want %v", err, errImage)
		}
		if b, err := l.Next(); b != nil || err != nil {
			t.Errorf("after the error: %v, %v", b, err)
		}
	}
}

func TestNewLoaderRejects(t *testing.T) {
	src := numbered(t, 4, 2, 2, 3, 4)
	for name, opt := range map[string]LoaderOptions{
		"no batch":       {},
		"negative pad":   {Batch: 1, Augment: Augment{Pad: -1}},
		"negative ahead": {Batch: 1, Ahead: -1},
		"mean too short": {Batch: 1, Mean: []float32{0}},
		"std zero":       {Batch: 1, Std: []float32{1, 0, 1}},
		"std NaN":        {Batch: 1, Std: []float32{1, float32(math.NaN()), 1}},
	} {
		if _, err := NewLoader(src, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewLoader(Subset(src, nil), LoaderOptions{Batch: 1}); err == nil {
		t.Error("no images: no error")
	}
}

func BenchmarkLoader(b *testing.B) {
	src := numbered(b, 1024, 32, 32, 3, 10)
	l := open(b, src, LoaderOptions{Batch: 128, Shuffle: true, Augment: Augment{Pad: 4, Flip: true}})
	images := 0
	for epoch := 0; b.Loop(); epoch++ {
		l.Start(epoch)
		for {
			batch, err := l.Next()
			if err != nil {
				b.Fatal(err)
			}
			if batch == nil {
				break
			}
			images += len(batch.Labels)
		}
	}
	b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
}
