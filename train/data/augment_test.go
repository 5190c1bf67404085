package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// everything is every augmentation at once.
var everything = Augment{Pad: 1, Flip: true, ResizedCrop: 0.3, Jitter: 0.4, Cutout: 0.4, Mixup: 0.3, RandOps: 3, RandMagnitude: 15}

// TestAugmentedBatches: the same for any number of workers and for a subset, other
// in every epoch, and without allocation.
func TestAugmentedBatches(t *testing.T) {
	for _, sampler := range []Sampler{{}, {Kind: SamplerBalanced}, {Kind: SamplerPxK, PerClass: 4}} {
		src := numbered(t, 53, 9, 8, 3, 5)
		opt := LoaderOptions{Batch: 16, Seed: 9, Shuffle: true, Sampler: sampler, Augment: everything}
		var want [2]uint64
		for _, workers := range []int{1, 2, 3, 16} {
			opt.Workers = workers
			l := open(t, src, opt)
			for epoch := range want {
				_, hash := digest(t, l, epoch)
				if workers == 1 {
					want[epoch] = hash
				} else if hash != want[epoch] {
					t.Errorf("sampler=%s/workers=%d/epoch=%d: other batches", sampler.Kind, workers, epoch)
				}
			}
		}
		if want[0] == want[1] {
			t.Errorf("sampler=%s: two epochs are the same", sampler.Kind)
		}
		l := open(t, src, opt)
		epoch := 0
		// Now and then the runtime allocates for a goroutine that blocks, more often
		// on a busy machine; what images need would show every time.
		allocs := math.Inf(1)
		for try := 0; try < 10 && allocs > 0; try++ {
			allocs = min(allocs, testing.AllocsPerRun(10, func() {
				l.Start(epoch)
				epoch++
				for b, err := l.Next(); b != nil; b, err = l.Next() {
					if err != nil {
						t.Error(err)
					}
				}
			}))
		}
		if allocs != 0 {
			t.Errorf("sampler=%s: %v allocations in an epoch", sampler.Kind, allocs)
		}
	}
}

// TestMixup: each image is the stated mixture of two of its batch.
func TestMixup(t *testing.T) {
	const size = 5 * 4 * 2
	src := numbered(t, 30, 5, 4, 2, 7)
	opt := LoaderOptions{Batch: 7, Seed: 4, Shuffle: true}
	plain := open(t, src, opt)
	opt.Augment.Mixup = 0.5
	mixed := open(t, src, opt)
	plain.Start(3)
	mixed.Start(3)
	var weights []float32
	for range plain.Batches() {
		p, err := plain.Next()
		if err != nil {
			t.Fatal(err)
		}
		m, err := mixed.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.Labels, m.Labels) || !slices.Equal(p.Index, m.Index) || p.Other != nil || len(m.Other) != len(p.Labels) {
			t.Fatalf("other samples: %v, %v", p, m)
		}
		for i, w := range m.Weight {
			weights = append(weights, w)
			j := len(m.Labels) - 1 - i
			if m.Other[i] != p.Labels[j] || w < 0.5 || w > 1 {
				t.Fatalf("image %d: other label %d, weight %v", i, m.Other[i], w)
			}
			for k, got := range m.X[i*size : (i+1)*size] {
				a, b := p.X[i*size+k], p.X[j*size+k]
				// Two products and a sum of numbers up to 1, each rounded.
				if want := w*a + (1-w)*b; math.Abs(float64(got-want)) > 2e-7 {
					t.Fatalf("image %d: %v, want %v", i, got, want)
				}
			}
		}
	}
	if slices.Min(weights) == slices.Max(weights) {
		t.Errorf("all weights are %v", weights[0])
	}
}

// TestBeta compares mean and variance with 1/2 and 1/(4(2 alpha + 1)).
func TestBeta(t *testing.T) {
	const n = 20000
	for _, alpha := range []float64{0.01, 0.2, 1} {
		r := rand.New(rand.NewPCG(1, 2))
		mean, square := 0.0, 0.0
		for range n {
			v := beta(alpha, r)
			if !(v >= 0 && v <= 1) {
				t.Fatalf("alpha=%v: %v", alpha, v)
			}
			mean += v / n
			square += v * v / n
		}
		// Deviations of the two over 20000 draws: at most 0.5/141 = 0.0035, and
		// less than that for the variance; four of them.
		variance := 1 / (4 * (2*alpha + 1))
		if math.Abs(mean-0.5) > 0.014 || math.Abs(square-mean*mean-variance) > 0.014 {
			t.Errorf("alpha=%v: mean %v, variance %v, want 0.5, %v", alpha, mean, square-mean*mean, variance)
		}
	}
}

// TestWarp: whole displacements copy pixels, and a ramp stays a ramp.
func TestWarp(t *testing.T) {
	const h, w = 5, 6
	src := make([]byte, h*w)
	for i := range src {
		src[i] = byte(40*(i%w) + i/w)
	}
	image := raster{src, w, h, w, 1}
	dst := make([]byte, h*w)
	warp(dst, h, w, 1, image, affine{xx: 1, x0: 2, yy: 1, y0: -1}, false)
	for y := range h {
		for x := range w {
			want := byte(0)
			if y >= 1 && x+2 < w {
				want = src[(y-1)*w+x+2]
			}
			if dst[y*w+x] != want {
				t.Errorf("moved: (%d,%d) is %d, want %d", x, y, dst[y*w+x], want)
			}
		}
	}
	big := make([]byte, h*2*w)
	warp(big, h, 2*w, 1, image, affine{xx: 0.5, x0: -0.25, yy: 1}, true)
	for x := 1; x < 2*w-1; x++ {
		if want := 40*(float64(x)/2-0.25) + 2; math.Abs(float64(big[2*2*w+x])-want) > 0.51+40.0/256 {
			t.Errorf("widened: column %d is %d, want %v", x, big[2*2*w+x], want)
		}
	}
	for _, degrees := range []float64{90, -90} {
		square := make([]byte, h*h)
		warp(square, h, h, 1, raster{src, h, h, w, 1}, rotation(degrees, h, h), true)
		for y := range h {
			for x := range h {
				sx, sy := y, h-1-x
				if degrees < 0 {
					sx, sy = h-1-y, x
				}
				// The angle is inexact, so a weight of 1/256 may fall to a neighbour.
				if got, want := int(square[y*h+x]), int(src[sy*w+sx]); got < want-1 || got > want+1 {
					t.Errorf("turned by %v: (%d,%d) is %d, want %d", degrees, x, y, got, want)
				}
			}
		}
	}
}

// TestResizedCrop: parts of a constant are constant, of a horizontal ramp rise, and
// the drawn parts keep to the least area.
func TestResizedCrop(t *testing.T) {
	const side = 32
	src := make([]byte, side*side)
	for i := range src {
		src[i] = byte(8 * (i % side))
	}
	r := rand.New(rand.NewPCG(3, 4))
	dst := make([]byte, side*side)
	narrowest := 255
	for range 300 {
		resizedCrop(dst, side, side, 1, raster{src, side, side, side, 1}, 0.25, r)
		row := dst[:side]
		if !slices.IsSorted(row) {
			t.Fatalf("a ramp became %v", row)
		}
		narrowest = min(narrowest, int(row[side-1])-int(row[0]))
	}
	// A quarter of the area at 3:4 is sqrt(3)/4 = 0.433 wide: 13.9 pixels of 8
	// levels, and its outermost pixels lie half a pixel of 32 inside.
	if narrowest < 105 || narrowest > 150 {
		t.Errorf("the narrowest part spans %d levels, want about 107", narrowest)
	}
	for _, shape := range [][2]int{{100, 3}, {3, 100}, {1, 1}} {
		w, h := shape[0], shape[1]
		flat := make([]byte, w*h)
		for i := range flat {
			flat[i] = 77
		}
		resizedCrop(dst, side, side, 1, raster{flat, w, h, w, 1}, 1, r)
		if slices.Min(dst) != 77 || slices.Max(dst) != 77 {
			t.Errorf("%d x %d: a constant became %d to %d", w, h, slices.Min(dst), slices.Max(dst))
		}
	}
}

func TestJitter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pixels := []byte{200, 30, 60, 10, 220, 90}
	before := slices.Clone(pixels)
	jitter(pixels, 3, 0, r)
	for i, v := range pixels {
		// The two matrices are inverse to three digits: 255 * 2e-3.
		if d := int(v) - int(before[i]); d < -1 || d > 1 {
			t.Errorf("strength 0 made %v of %v", pixels, before)
			break
		}
	}
	grey := []byte{90, 90, 90, 90, 90, 90}
	jitter(grey, 3, 0.4, r)
	if d := int(slices.Max(grey)) - int(slices.Min(grey)); d > 1 {
		t.Errorf("grey became %v", grey)
	}
	jitter(pixels, 3, 0.4, r)
	if slices.Equal(pixels, before) {
		t.Error("strength 0.4 changed nothing")
	}
	two := []byte{0, 100, 200, 50}
	jitter(two, 2, 0.4, r)
	if !(two[0] < two[3] && two[3] < two[1] && two[1] < two[2]) {
		t.Errorf("levels changed their order: %v", two)
	}
}

func TestCutout(t *testing.T) {
	const h, w, c = 10, 12, 2
	r := rand.New(rand.NewPCG(7, 8))
	sizes := map[int]bool{}
	for range 500 {
		x := slices.Repeat([]float32{1}, h*w*c)
		cutout(x, h, w, c, 0.4, r)
		hidden := 0
		for _, v := range x {
			if v == 0 {
				hidden++
			}
		}
		sizes[hidden] = true
		if hidden%c != 0 || hidden > 4*4*c || hidden < 2*2*c {
			t.Fatalf("%d values hidden", hidden)
		}
	}
	if !sizes[4*4*c] || !sizes[2*2*c] {
		t.Errorf("areas %v: want whole squares and corners", sizes)
	}
}

// TestRandOps runs every operation at every kind of strength on images of every
// kind of shape: identity where the strength is 0, and always within bounds.
func TestRandOps(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, shape := range [][3]int{{1, 1, 1}, {2, 3, 3}, {9, 7, 3}, {8, 8, 2}} {
		h, w, c := shape[0], shape[1], shape[2]
		for op := range randOps {
			for _, strength := range []float64{0, 0.3, 1} {
				src := make([]byte, h*w*c)
				for i := range src {
					src[i] = byte(r.Uint32())
				}
				before, dst := slices.Clone(src), make([]byte, len(src))
				result := src
				if randOp(dst, src, h, w, c, op, strength, -1) {
					result = dst
				}
				exempt := op >= 11 // they have no strength that leaves an image alone
				if strength == 0 && !exempt && !slices.Equal(result, before) {
					t.Errorf("op=%d/shape=%v: strength 0 made %v of %v", op, shape, result, before)
				}
			}
		}
	}
	pixels := []byte{100, 110, 120, 130}
	autoContrast(pixels, 1)
	if !slices.Equal(pixels, []byte{0, 85, 170, 255}) {
		t.Errorf("autocontrast gave %v", pixels)
	}
	flat := []byte{9, 9, 9}
	autoContrast(flat, 1)
	equalize(flat, 1)
	if !slices.Equal(flat, []byte{9, 9, 9}) {
		t.Errorf("a flat image became %v", flat)
	}
	ramp := make([]byte, 64*64)
	for i := range ramp {
		ramp[i] = byte(100 + i/64)
	}
	equalize(ramp, 1)
	if lo, hi := ramp[0], ramp[len(ramp)-1]; lo > 8 || hi < 247 || !slices.IsSorted(ramp) {
		t.Errorf("equalized levels go from %d to %d", lo, hi)
	}
	high := []byte{0, 200, 255}
	randOp(nil, high, 1, 3, 1, 11, 0.5, 1)
	if !slices.Equal(high, []byte{0, 55, 0}) {
		t.Errorf("solarized: %v", high)
	}
	fine := []byte{255, 17, 16}
	randOp(nil, fine, 1, 3, 1, 10, 1, 1)
	if !slices.Equal(fine, []byte{240, 16, 16}) {
		t.Errorf("posterized: %v", fine)
	}
}

func TestParseAugment(t *testing.T) {
	usual := Augment{Pad: 2}
	for text, want := range map[string]Augment{
		"": usual, "default": usual, "none": {}, "crop": {Pad: 4}, "crop=2, flip": {Pad: 2, Flip: true},
		"resized-crop,jitter,cutout,mixup,randaugment": {ResizedCrop: 0.25, Jitter: 0.4, Cutout: 0.5, Mixup: 0.2, RandOps: 2, RandMagnitude: 9},
		"mixup=0.4,randaugment=14":                     {Mixup: 0.4, RandOps: 2, RandMagnitude: 14},
		"flip=1, crop=2":                               {Flip: true, Pad: 2},
		"flip=0":                                       {},
	} {
		if got, err := ParseAugment(text, usual); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"zoom", "crop,", "crop=-1", "crop=1e9", "mixup=2", "mixup=NaN", "jitter=x", "randaugment=31", "cutout=1.5", "none,crop",
		"flip=99", "flip=0.5", "crop=2.5", "randaugment=9.9", "jitter=-0.1", "crop,crop=2", "flip="} {
		if got, err := ParseAugment(text, usual); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// BenchmarkAugment is the cost of each augmentation for one image of 32 x 32.
func BenchmarkAugment(b *testing.B) {
	src := numbered(b, 512, 32, 32, 3, 10)
	for _, list := range append([]string{"none"}, AugmentNames()...) {
		b.Run(fmt.Sprintf("augment=%s", list), func(b *testing.B) {
			a, err := ParseAugment(list, Augment{})
			if err != nil {
				b.Fatal(err)
			}
			l := open(b, src, LoaderOptions{Batch: 128, Shuffle: true, Augment: a, Workers: runtime.GOMAXPROCS(0)})
			images := 0
			for epoch := 0; b.Loop(); epoch++ {
				l.Start(epoch)
				for batch, err := l.Next(); batch != nil; batch, err = l.Next() {
					if err != nil {
						b.Fatal(err)
					}
					images += len(batch.Labels)
				}
			}
			b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
