package data

import (
	"slices"
	"strings"
	"testing"
)

// uneven is a source of 40 images with 25, 10, 4, 0 and 1 of its classes.
func uneven(t testing.TB) *Images {
	t.Helper()
	var labels []int32
	for k, n := range []int{25, 10, 4, 0, 1} {
		for range n {
			labels = append(labels, int32(k))
		}
	}
	s, err := NewImages(1, 1, 1, make([]string, 5), make([]byte, len(labels)), labels)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBalancedSampler(t *testing.T) {
	src := uneven(t)
	o, err := newOrder(src, 8, Sampler{Kind: SamplerBalanced}, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range 5 {
		o.draw(epoch)
		var classes [5]int
		times := make([]int, src.Len())
		for _, i := range o.images {
			classes[src.Label(i)]++
			times[i]++
		}
		if len(o.images) != 40 || classes != [5]int{10, 10, 10, 0, 10} {
			t.Fatalf("epoch %d: %d images, of the classes %v", epoch, len(o.images), classes)
		}
		// A class is gone through before any of its images comes again.
		for i, n := range times {
			k := src.Label(i)
			size := []int{25, 10, 4, 0, 1}[k]
			if n < 10/size || n > (10+size-1)/size {
				t.Errorf("epoch %d: image %d, of %d in its class, %d times", epoch, i, size, n)
			}
		}
	}
}

// TestBalancedRemainder: where the images are no multiple of the classes, which
// classes get one more is drawn anew for each epoch.
func TestBalancedRemainder(t *testing.T) {
	src, err := NewImages(1, 1, 1, make([]string, 4), make([]byte, 10), []int32{0, 0, 0, 0, 0, 0, 1, 1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOrder(src, 5, Sampler{Kind: SamplerBalanced}, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	var more [4]int // epochs with three images of a class
	for epoch := range 40 {
		o.draw(epoch)
		var classes [4]int
		for _, i := range o.images {
			classes[src.Label(i)]++
		}
		for k, n := range classes {
			if n != 2 && n != 3 {
				t.Fatalf("epoch %d: images of the classes %v", epoch, classes)
			}
			more[k] += n - 2
		}
	}
	// Half of 40 coin throws, less or more 4 standard deviations of 3.2.
	for k, n := range more {
		if n < 7 || n > 33 {
			t.Errorf("class %d has one more image in %d of 40 epochs", k, n)
		}
	}
}

func TestPxKSampler(t *testing.T) {
	src := uneven(t)
	o, err := newOrder(src, 12, Sampler{Kind: SamplerPxK, PerClass: 4}, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	var drawn [5]int
	for epoch := range 50 {
		o.draw(epoch)
		if len(o.images) != 36 {
			t.Fatalf("%d images in an epoch", len(o.images))
		}
		for batch := range slices.Chunk(o.images, 12) {
			var classes [5]int
			times := map[int]int{}
			for _, i := range batch {
				classes[src.Label(i)]++
				times[i]++
				drawn[src.Label(i)]++
			}
			for k, n := range classes {
				if n != 0 && n != 4 {
					t.Fatalf("epoch %d: %d images of class %d in a batch", epoch, n, k)
				}
			}
			for i, n := range times {
				if n > 1 && src.Label(i) != 4 {
					t.Errorf("epoch %d: image %d, of class %d, %d times in a batch", epoch, i, src.Label(i), n)
				}
			}
		}
	}
	// 150 batches with 3 of 4 classes: 450 images of each expected, with a deviation
	// of 4*sqrt(150*3/16) = 21; 90 is more than 4 of them.
	for k, n := range drawn {
		if k != 3 && (n < 360 || n > 540) || k == 3 && n != 0 {
			t.Errorf("class %d was drawn %d times", k, n)
		}
	}
}

func TestEpochDependsOnNoOther(t *testing.T) {
	for _, s := range []Sampler{{Kind: SamplerShuffle}, {Kind: SamplerBalanced}, {Kind: SamplerPxK, PerClass: 2}} {
		var orders [2][]int
		for run, before := range [][]int{{0, 1, 2}, {5}} {
			o, err := newOrder(uneven(t), 8, s, 3, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, epoch := range before {
				o.draw(epoch)
			}
			o.draw(3)
			orders[run] = o.images
		}
		if !slices.Equal(orders[0], orders[1]) {
			t.Errorf("%s: an epoch depends on those before", s.Kind)
		}
	}
}

func TestSamplerRejects(t *testing.T) {
	for _, c := range []struct {
		s    Sampler
		want string
	}{
		{Sampler{Kind: "weighted"}, "weighted"},
		{Sampler{Kind: SamplerPxK}, "cannot have 0"},
		{Sampler{Kind: SamplerPxK, PerClass: 3}, "cannot have 3"},
		{Sampler{Kind: SamplerPxK, PerClass: 1}, "needs 8 classes, there are 4"},
	} {
		if _, err := NewLoader(uneven(t), LoaderOptions{Batch: 8, Sampler: c.s}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		}
	}
}
