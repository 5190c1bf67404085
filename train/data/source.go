package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Source is a set of labelled images of one size. Its methods must be safe for
// concurrent use.
type Source interface {
	// Len returns the number of images.
	Len() int
	// Shape returns height, width and channels of every image.
	Shape() (h, w, c int)
	// Classes returns the class names; labels index them. The caller must not
	// change the slice.
	Classes() []string
	// Label returns the label of image i, 0 <= i < Len().
	Label(i int) int32
	// Image writes image i to dst, which has h*w*c bytes: rows from the top, the
	// channels of a pixel together.
	Image(dst []byte, i int) error
}

// Images is a Source held in memory.
type Images struct {
	h, w, c int
	classes []string
	pixels  []byte
	labels  []int32
}

// NewImages returns a source of len(labels) images of h x w pixels with c
// channels. pixels holds them one after the other, as [Source.Image] gives them.
// The slices are used, not copied.
func NewImages(h, w, c int, classes []string, pixels []byte, labels []int32) (*Images, error) {
	if h <= 0 || w <= 0 || c <= 0 {
		return nil, fmt.Errorf("data: images of %d x %d x %d", h, w, c)
	}
	if size := h * w * c; len(pixels)/size != len(labels) || len(pixels)%size != 0 {
		return nil, fmt.Errorf("data: %d bytes of pixels for %d images of %d x %d x %d", len(pixels), len(labels), h, w, c)
	}
	for i, label := range labels {
		if label < 0 || int(label) >= len(classes) {
			return nil, fmt.Errorf("data: label %d of image %d is not among %d classes", label, i, len(classes))
		}
	}
	return &Images{h, w, c, classes, pixels, labels}, nil
}

// Len implements Source.
func (s *Images) Len() int { return len(s.labels) }

// Shape implements Source.
func (s *Images) Shape() (h, w, c int) { return s.h, s.w, s.c }

// Classes implements Source.
func (s *Images) Classes() []string { return s.classes }

// Label implements Source.
func (s *Images) Label(i int) int32 { return s.labels[i] }

// Image implements Source. It never fails.
func (s *Images) Image(dst []byte, i int) error {
	size := s.h * s.w * s.c
	copy(dst[:size], s.pixels[i*size:(i+1)*size])
	return nil
}

// subset is the images of a source with the given numbers.
type subset struct {
	Source
	index []int
}

// base returns what src is a subset of.
func base(src Source) Source {
	for {
		s, ok := src.(*subset)
		if !ok {
			return src
		}
		src = s.Source
	}
}

// inMemory reports whether the images of src are ready in memory.
func inMemory(src Source) bool {
	_, ok := base(src).(*Images)
	return ok
}

// wholeSource is a source that has its pictures as they were before they were made
// one size.
type wholeSource interface {
	// whole returns picture i, until it is given back with release.
	whole(i int) (*picture, error)
	release(p *picture)
}

// hasWhole reports whether src, a subset perhaps, is a wholeSource.
func hasWhole(src Source) bool {
	_, ok := base(src).(wholeSource)
	return ok
}

// Subset returns the images of src whose numbers index lists, in that order. It
// uses index, which must hold numbers of src only.
func Subset(src Source, index []int) Source { return &subset{src, index} }

func (s *subset) Len() int                      { return len(s.index) }
func (s *subset) Label(i int) int32             { return s.Source.Label(s.index[i]) }
func (s *subset) Image(dst []byte, i int) error { return s.Source.Image(dst, s.index[i]) }

// whole and release are for subsets of a wholeSource only.
func (s *subset) whole(i int) (*picture, error) { return s.Source.(wholeSource).whole(s.index[i]) }
func (s *subset) release(p *picture)            { s.Source.(wholeSource).release(p) }

// Split divides src at random into a rest and a part of n images in which each
// class has its share: its count times n/Len, rounded so that the parts add up to
// n. The same seed gives the same split. Both keep the order of src.
func Split(src Source, n int, seed uint64) (rest, part Source) {
	total := src.Len()
	n = max(0, min(n, total))
	order := rand.New(rand.NewPCG(seed, saltSplit)).Perm(total)
	slices.SortStableFunc(order, func(a, b int) int { return int(src.Label(a) - src.Label(b)) })
	// With the classes one after the other, taking n evenly spaced images gives
	// each class its share.
	chosen := func(i int) int64 { return int64(i) * int64(n) / int64(total) } // the product may not fit into an int of 32 bits
	var in, out []int
	for i, image := range order {
		if chosen(i) != chosen(i+1) {
			in = append(in, image)
		} else {
			out = append(out, image)
		}
	}
	slices.Sort(in)
	slices.Sort(out)
	return Subset(src, out), Subset(src, in)
}
