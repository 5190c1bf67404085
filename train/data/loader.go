package data

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
)

// Augment says how training images are varied. The zero value leaves them alone.
type Augment struct {
	// Pad is how many black pixels surround an image before a window of the
	// original size is cut out at a random place.
	Pad int `json:"pad"`
	// Flip mirrors every other image, at random, left to right. It must stay off
	// where that changes the class, as with letters and digits.
	Flip bool `json:"flip"`
}

// LoaderOptions configure a [Loader].
type LoaderOptions struct {
	// Batch is the number of images in a batch, at most all of them.
	Batch int
	// Seed decides the order of the images and their augmentation.
	Seed uint64
	// Shuffle draws a new order for each epoch; otherwise it is the source's.
	Shuffle bool
	// DropLast leaves out a last batch of fewer than Batch images, unless it is
	// the only one.
	DropLast bool
	// Augment varies the images.
	Augment Augment
	// Mean and Std normalise each channel: (byte/255 - Mean) / Std. Nil stands for
	// 0 and 1.
	Mean, Std []float32
	// Ahead is the number of batches prepared before they are asked for.
	// 0 stands for 2.
	Ahead int
}

// Batch is one mini-batch.
type Batch struct {
	// X holds the images, N x H x W x C.
	X []float32
	// Labels holds the N labels.
	Labels []int32
	// Index holds the N numbers of the images in the source.
	Index []int
}

// Loader prepares the mini-batches of a source in a goroutine of its own, at
// most [LoaderOptions.Ahead] before they are asked for. Batches are a function of
// the options, the epoch and their place in it, so a run can go on at any epoch.
// A Loader is for one goroutine. It allocates in NewLoader only.
type Loader struct {
	src     Source
	opt     LoaderOptions
	h, w, c int
	batches int

	// scaled[k][v] is the normalised value of byte v in channel k.
	scaled [][256]float32
	order  []int
	pixels []byte
	pcg    rand.PCG
	random *rand.Rand

	epochs  chan int
	free    chan *slot
	ready   chan *slot // nil ends an epoch
	stop    chan struct{}
	abort   atomic.Bool
	running bool
	current *slot
}

type slot struct {
	batch   Batch
	x       []float32
	labels  []int32
	indexes []int
	err     error
}

// NewLoader returns a loader and starts its goroutine, which [Loader.Close] ends.
func NewLoader(src Source, opt LoaderOptions) (*Loader, error) {
	h, w, c := src.Shape()
	switch {
	case src.Len() == 0:
		return nil, errors.New("data: no images")
	case h <= 0 || w <= 0 || c <= 0:
		return nil, fmt.Errorf("data: images of %d x %d x %d", h, w, c)
	case opt.Batch <= 0:
		return nil, fmt.Errorf("data: batch of %d images", opt.Batch)
	case opt.Augment.Pad < 0 || opt.Ahead < 0:
		return nil, fmt.Errorf("data: padding %d, %d batches ahead", opt.Augment.Pad, opt.Ahead)
	case opt.Mean != nil && len(opt.Mean) != c || opt.Std != nil && len(opt.Std) != c:
		return nil, fmt.Errorf("data: mean and deviation of %d and %d channels for images of %d", len(opt.Mean), len(opt.Std), c)
	}
	opt.Batch = min(opt.Batch, src.Len())
	if opt.Ahead == 0 {
		opt.Ahead = 2
	}
	l := &Loader{src: src, opt: opt, h: h, w: w, c: c,
		batches: (src.Len() + opt.Batch - 1) / opt.Batch,
		order:   make([]int, src.Len()),
		pixels:  make([]byte, h*w*c),
		epochs:  make(chan int),
		free:    make(chan *slot, opt.Ahead+1),
		ready:   make(chan *slot, opt.Ahead+2),
		stop:    make(chan struct{}),
	}
	if opt.DropLast {
		l.batches = src.Len() / opt.Batch
	}
	l.random = rand.New(&l.pcg)
	if err := l.scale(); err != nil {
		return nil, err
	}
	for range opt.Ahead + 1 {
		l.free <- &slot{
			x:       make([]float32, opt.Batch*h*w*c),
			labels:  make([]int32, opt.Batch),
			indexes: make([]int, opt.Batch),
		}
	}
	go l.produce()
	return l, nil
}

// scale fills the table of normalised values.
func (l *Loader) scale() error {
	l.scaled = make([][256]float32, l.c)
	for k := range l.scaled {
		mean, std := float32(0), float32(1)
		if l.opt.Mean != nil {
			mean = l.opt.Mean[k]
		}
		if l.opt.Std != nil {
			std = l.opt.Std[k]
		}
		if !(std > 0) {
			return fmt.Errorf("data: deviation %v of channel %d is not positive", std, k)
		}
		for v := range 256 {
			l.scaled[k][v] = (float32(v)/255 - mean) / std
		}
	}
	return nil
}

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int { return l.batches }

// BatchSize returns the number of images in every batch but perhaps the last.
func (l *Loader) BatchSize() int { return l.opt.Batch }

// Images returns the number of images in an epoch.
func (l *Loader) Images() int {
	if l.opt.DropLast {
		return l.batches * l.opt.Batch
	}
	return l.src.Len()
}

// Source returns what the loader reads.
func (l *Loader) Source() Source { return l.src }

// Start begins an epoch, counted from 0. An epoch that is under way is dropped.
func (l *Loader) Start(epoch int) {
	l.drain()
	l.abort.Store(false)
	l.running = true
	l.epochs <- epoch
}

// Next returns the next batch, or nil at the end of the epoch. The batch is
// valid until the next call of Next, Start or Close.
func (l *Loader) Next() (*Batch, error) {
	l.release()
	if !l.running {
		return nil, nil
	}
	s := <-l.ready
	if s == nil {
		l.running = false
		return nil, nil
	}
	l.current = s
	if s.err != nil {
		return nil, s.err
	}
	return &s.batch, nil
}

// Close ends the loader's goroutine. The loader must not be used afterwards.
func (l *Loader) Close() {
	l.drain()
	close(l.stop)
}

func (l *Loader) release() {
	if l.current != nil {
		l.free <- l.current
		l.current = nil
	}
}

func (l *Loader) drain() {
	l.release()
	l.abort.Store(true)
	for l.running {
		if s := <-l.ready; s != nil {
			l.free <- s
		} else {
			l.running = false
		}
	}
}

// produce is the loader's goroutine. It cannot block for ever: drain keeps
// taking batches until the nil that ends an epoch.
func (l *Loader) produce() {
	for {
		select {
		case <-l.stop:
			return
		case epoch := <-l.epochs:
			l.shuffle(epoch)
			for b := range l.batches {
				if l.abort.Load() {
					break
				}
				s := <-l.free
				l.fill(s, epoch, b)
				l.ready <- s
				if s.err != nil {
					break
				}
			}
			l.ready <- nil
		}
	}
}

func (l *Loader) shuffle(epoch int) {
	for i := range l.order {
		l.order[i] = i
	}
	if !l.opt.Shuffle {
		return
	}
	l.pcg.Seed(mix(l.opt.Seed, saltShuffle), uint64(epoch))
	for i := len(l.order) - 1; i > 0; i-- {
		j := l.random.IntN(i + 1)
		l.order[i], l.order[j] = l.order[j], l.order[i]
	}
}

// fill makes batch number b of the epoch in s.
func (l *Loader) fill(s *slot, epoch, b int) {
	first := b * l.opt.Batch
	n := min(l.opt.Batch, len(l.order)-first)
	size := l.h * l.w * l.c
	s.batch = Batch{X: s.x[:n*size], Labels: s.labels[:n], Index: s.indexes[:n]}
	s.err = nil
	seed := mix(l.opt.Seed, saltAugment, uint64(epoch))
	for i := range n {
		image := l.order[first+i]
		s.indexes[i] = image
		s.labels[i] = l.src.Label(image)
		if err := l.src.Image(l.pixels, image); err != nil {
			s.err = err
			return
		}
		dy, dx, flip := 0, 0, false
		if l.opt.Augment != (Augment{}) {
			l.pcg.Seed(seed, uint64(image))
			pad := l.opt.Augment.Pad
			dy, dx = l.random.IntN(2*pad+1)-pad, l.random.IntN(2*pad+1)-pad
			flip = l.opt.Augment.Flip && l.random.IntN(2) == 1
		}
		l.place(s.x[i*size:(i+1)*size], dy, dx, flip)
	}
}

// place writes the image in l.pixels to dst, normalised: pixel (y, x) of the
// result is pixel (y+dy, x+dx) of the image, mirrored afterwards when flip is
// set, and black where that is outside.
func (l *Loader) place(dst []float32, dy, dx int, flip bool) {
	h, w, c := l.h, l.w, l.c
	for y := range h {
		row := dst[y*w*c : (y+1)*w*c]
		sy := y + dy
		for x := range w {
			sx := x + dx
			if flip {
				sx = w - 1 - x + dx
			}
			out := row[x*c : (x+1)*c]
			if sy < 0 || sy >= h || sx < 0 || sx >= w {
				for k := range out {
					out[k] = l.scaled[k][0]
				}
				continue
			}
			in := l.pixels[(sy*w+sx)*c:]
			for k := range out {
				out[k] = l.scaled[k][in[k]]
			}
		}
	}
}
