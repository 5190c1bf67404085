package data

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Kinds of sampler.
const (
	// SamplerShuffle takes every image once an epoch, in a new order.
	SamplerShuffle = "shuffle"
	// SamplerBalanced takes as many images in an epoch as there are, the same
	// number of each class but for rounding: images of small classes several
	// times, of large classes not all.
	SamplerBalanced = "balanced"
	// SamplerPxK fills each batch with PerClass images of each of Batch/PerClass
	// classes, which are drawn anew for every batch. Losses over pairs of images
	// need it: it gives every image others of its class.
	SamplerPxK = "pxk"
)

// SamplerNames lists the kinds of sampler.
func SamplerNames() []string { return []string{SamplerShuffle, SamplerBalanced, SamplerPxK} }

// Sampler says which images make up an epoch, and in which order. The zero value
// leaves that to [LoaderOptions.Shuffle].
type Sampler struct {
	Kind string `json:"kind,omitempty"`
	// PerClass is K of SamplerPxK. It must divide the batch.
	PerClass int `json:"per_class,omitempty"`
}

// repeats reports whether an image can come more than once in an epoch.
func (s Sampler) repeats() bool { return s.Kind == SamplerBalanced || s.Kind == SamplerPxK }

// order draws the images of each epoch. It allocates in newOrder only.
type order struct {
	sampler Sampler
	seed    uint64
	random  *rand.Rand
	pcg     *rand.PCG

	images []int // of the epoch
	batch  int
	// The images of class k, of those that have any, are
	// byClass[start[k]:start[k+1]]. cycle is the same, shuffled; next[k] is the
	// first in it that was not used yet.
	byClass, cycle, start, next, classes []int
}

// newOrder checks the sampler against src. batch is that of the loader.
func newOrder(src Source, batch int, sampler Sampler, seed uint64, shuffle bool) (*order, error) {
	o := &order{sampler: sampler, seed: mix(seed, saltShuffle), batch: batch, pcg: &rand.PCG{}}
	o.random = rand.New(o.pcg)
	n := src.Len()
	switch sampler.Kind {
	case "":
		if shuffle {
			o.sampler.Kind = SamplerShuffle
		}
	case SamplerShuffle:
	case SamplerBalanced, SamplerPxK:
		o.sortByClass(src)
	default:
		return nil, fmt.Errorf("data: unknown sampler %q, want one of %s", sampler.Kind, strings.Join(SamplerNames(), ", "))
	}
	if sampler.Kind == SamplerPxK {
		k := sampler.PerClass
		if k < 1 || batch%k != 0 {
			return nil, fmt.Errorf("data: a batch of %d images cannot have %d of each class", batch, k)
		}
		if p := batch / k; p > len(o.classes) {
			return nil, fmt.Errorf("data: a batch of %d images with %d of each class needs %d classes, there are %d", batch, k, p, len(o.classes))
		}
		n -= n % batch
	}
	o.images = make([]int, n)
	return o, nil
}

func (o *order) sortByClass(src Source) {
	n := src.Len()
	counts := make([]int, len(src.Classes())+1)
	for i := range n {
		counts[src.Label(i)+1]++
	}
	for k := 1; k < len(counts); k++ {
		if counts[k] > 0 {
			o.start = append(o.start, counts[k-1])
		}
		counts[k] += counts[k-1]
	}
	o.start = append(o.start, n)
	o.byClass, o.cycle = make([]int, n), make([]int, n)
	for i := range n {
		y := src.Label(i)
		o.byClass[counts[y]] = i
		counts[y]++
	}
	o.next = make([]int, len(o.start)-1)
	o.classes = make([]int, len(o.start)-1)
}

// draw fills images for an epoch.
func (o *order) draw(epoch int) {
	o.pcg.Seed(o.seed, uint64(epoch))
	switch o.sampler.Kind {
	case SamplerBalanced:
		o.beginCycles()
		o.balanced()
		o.shuffle(o.images)
	case SamplerPxK:
		o.beginCycles()
		for b := 0; b < len(o.images); b += o.batch {
			o.pxk(o.images[b : b+o.batch])
		}
	default:
		for i := range o.images {
			o.images[i] = i
		}
		if o.sampler.Kind == SamplerShuffle {
			o.shuffle(o.images)
		}
	}
}

func (o *order) shuffle(x []int) {
	for i := len(x) - 1; i > 0; i-- {
		j := o.random.IntN(i + 1)
		x[i], x[j] = x[j], x[i]
	}
}

// beginCycles undoes what earlier epochs shuffled, on which an epoch must not
// depend.
func (o *order) beginCycles() {
	copy(o.cycle, o.byClass)
	for k := range o.classes {
		o.classes[k] = k
		o.shuffle(o.cycle[o.start[k]:o.start[k+1]])
		o.next[k] = o.start[k]
	}
}

// take returns images of class k. together says that the n images are for one
// batch, which should have none twice.
func (o *order) take(dst []int, k int, together bool) {
	lo, hi := o.start[k], o.start[k+1]
	if together && len(dst) <= hi-lo && hi-o.next[k] < len(dst) {
		o.next[k] = hi
	}
	for i := range dst {
		if o.next[k] == hi {
			o.shuffle(o.cycle[lo:hi])
			o.next[k] = lo
		}
		dst[i] = o.cycle[o.next[k]]
		o.next[k]++
	}
}

func (o *order) balanced() {
	o.shuffle(o.classes) // decides which classes get one image more
	n, c := int64(len(o.images)), int64(len(o.classes))
	for i, k := range o.classes {
		i := int64(i)
		o.take(o.images[i*n/c:(i+1)*n/c], k, false)
	}
}

func (o *order) pxk(batch []int) {
	k := o.sampler.PerClass
	for p := range len(batch) / k {
		j := p + o.random.IntN(len(o.classes)-p)
		o.classes[p], o.classes[j] = o.classes[j], o.classes[p]
		o.take(batch[p*k:(p+1)*k], o.classes[p], true)
	}
}
