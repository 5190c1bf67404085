package data

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// LoaderOptions configure a [Loader].
type LoaderOptions struct {
	// Batch is the number of images in a batch, at most all of them.
	Batch int
	// Seed decides the order of the images and their augmentation.
	Seed uint64
	// Shuffle draws a new order for each epoch; otherwise it is the source's.
	Shuffle bool
	// Sampler, unless zero, decides instead of Shuffle.
	Sampler Sampler
	// DropLast leaves out a last batch of fewer than Batch images, unless it is
	// the only one. SamplerPxK always does.
	DropLast bool
	// Augment varies the images.
	Augment Augment
	// Mean and Std normalise each channel: (byte/255 - Mean) / Std. Nil stands for
	// 0 and 1.
	Mean, Std []float32
	// Ahead is the number of batches prepared before they are asked for.
	// 0 stands for 2.
	Ahead int
	// Workers is the number of goroutines that read and vary images, which does
	// not change the batches. 0 stands for GOMAXPROCS or, where that is only
	// copying from memory, 1.
	Workers int
}

// Batch is one mini-batch.
type Batch struct {
	// X holds the images, N x H x W x C.
	X []float32
	// Labels holds the N labels.
	Labels []int32
	// With mixup, image i is Weight[i] of class Labels[i] and 1-Weight[i] of class
	// Other[i], and Weight[i] is at least 0.5. Nil without.
	Other  []int32
	Weight []float32
	// Index holds the N numbers of the images in the source.
	Index []int
}

// Loader prepares the mini-batches of a source in goroutines of its own, at most
// [LoaderOptions.Ahead] before they are asked for. Batches are a function of the
// options, the epoch and their place in it, so a run can go on at any epoch. A
// Loader is for one goroutine. Apart from what the source allocates, it does so in
// NewLoader only.
type Loader struct {
	src     Source
	opt     LoaderOptions
	h, w, c int
	batches int
	grain   int // images in a task
	order   *order

	// scaled[k][v] is the normalised value of byte v in channel k.
	scaled [][256]float32

	epochs  chan int
	free    chan *slot
	tasks   chan task
	ready   chan *slot // nil ends an epoch
	stop    chan struct{}
	abort   atomic.Bool
	running bool
	current *slot
}

// slot is the storage of a batch.
type slot struct {
	batch        Batch
	x            []float32
	labels       []int32
	other        []int32
	weight       []float32
	indexes      []int
	epoch, first int // first is the place of its first image in the epoch

	pending atomic.Int32  // tasks not done
	done    chan struct{} // holds one element when none is left
	mu      sync.Mutex
	err     error // of the first image that failed
	failed  int
}

// task is the images lo to hi-1 of a batch.
type task struct {
	slot   *slot
	lo, hi int
}

// NewLoader returns a loader and starts its goroutines, which [Loader.Close] ends.
func NewLoader(src Source, opt LoaderOptions) (*Loader, error) {
	h, w, c := src.Shape()
	switch {
	case src.Len() == 0:
		return nil, errors.New("data: no images")
	case h <= 0 || w <= 0 || c <= 0:
		return nil, fmt.Errorf("data: images of %d x %d x %d", h, w, c)
	case opt.Batch <= 0:
		return nil, fmt.Errorf("data: batch of %d images", opt.Batch)
	case opt.Ahead < 0 || opt.Workers < 0:
		return nil, fmt.Errorf("data: %d batches ahead, %d workers", opt.Ahead, opt.Workers)
	case opt.Mean != nil && len(opt.Mean) != c || opt.Std != nil && len(opt.Std) != c:
		return nil, fmt.Errorf("data: mean and deviation of %d and %d channels for images of %d", len(opt.Mean), len(opt.Std), c)
	}
	if err := opt.Augment.check(); err != nil {
		return nil, err
	}
	opt.Batch = min(opt.Batch, src.Len())
	if opt.Ahead == 0 {
		opt.Ahead = 2
	}
	l := &Loader{src: src, opt: opt, h: h, w: w, c: c, grain: 8}
	var err error
	if l.order, err = newOrder(src, opt.Batch, opt.Sampler, opt.Seed, opt.Shuffle); err != nil {
		return nil, err
	}
	l.batches = (len(l.order.images) + opt.Batch - 1) / opt.Batch
	if opt.DropLast {
		l.batches = len(l.order.images) / opt.Batch
	}
	if err := l.scale(); err != nil {
		return nil, err
	}
	l.start()
	return l, nil
}

// start makes the storage and starts the goroutines.
func (l *Loader) start() {
	n, opt := l.opt.Batch, &l.opt
	if !inMemory(l.src) {
		l.grain = 1
	}
	if opt.Workers == 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
		if l.grain > 1 && !opt.Augment.costly() {
			opt.Workers = 1
		}
	}
	opt.Workers = min(opt.Workers, n)
	l.epochs, l.stop = make(chan int), make(chan struct{})
	l.tasks = make(chan task, opt.Workers)
	l.free = make(chan *slot, opt.Ahead+1)
	l.ready = make(chan *slot, opt.Ahead+2)
	for range opt.Ahead + 1 {
		s := &slot{
			x:       make([]float32, n*l.h*l.w*l.c),
			labels:  make([]int32, n),
			indexes: make([]int, n),
			done:    make(chan struct{}, 1),
		}
		if opt.Augment.Mixup > 0 {
			s.other, s.weight = make([]int32, n), make([]float32, n)
		}
		l.free <- s
	}
	for range opt.Workers {
		go newWorker(l).run()
	}
	go l.produce()
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

// Images returns the number of images in an epoch.
func (l *Loader) Images() int { return min(l.batches*l.opt.Batch, len(l.order.images)) }

// Source returns what the loader reads.
func (l *Loader) Source() Source { return l.src }

// Start begins an epoch, counted from 0. An epoch that is under way is dropped.
func (l *Loader) Start(epoch int) {
	l.drain()
	l.abort.Store(false)
	l.running = true
	l.epochs <- epoch
}

// Next returns the next batch, or nil at the end of the epoch. An error ends the
// epoch. The batch is valid until the next call of Next, Start or Close.
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
	<-s.done
	l.current = s
	if err := s.err; err != nil {
		l.drain()
		return nil, err
	}
	return &s.batch, nil
}

// Close ends the loader's goroutines. The loader must not be used afterwards.
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
			<-s.done
			l.free <- s
		} else {
			l.running = false
		}
	}
}

// produce hands out the work. It cannot block for ever: workers never wait for
// anything but tasks, and drain keeps taking batches until the nil that ends an
// epoch.
func (l *Loader) produce() {
	for {
		select {
		case <-l.stop:
			close(l.tasks)
			return
		case epoch := <-l.epochs:
			l.order.draw(epoch)
			for b := 0; b < l.batches && !l.abort.Load(); b++ {
				s := <-l.free
				l.fill(s, epoch, b)
				l.ready <- s
			}
			l.ready <- nil
		}
	}
}

// fill hands out the images of batch number b of the epoch.
func (l *Loader) fill(s *slot, epoch, b int) {
	s.epoch, s.first, s.err = epoch, b*l.opt.Batch, nil
	n := min(l.opt.Batch, len(l.order.images)-s.first)
	s.batch = Batch{X: s.x[:n*l.h*l.w*l.c], Labels: s.labels[:n], Index: s.indexes[:n]}
	if s.other != nil {
		s.batch.Other, s.batch.Weight = s.other[:n], s.weight[:n]
	}
	copy(s.indexes, l.order.images[s.first:s.first+n])
	for i, image := range s.batch.Index {
		s.labels[i] = l.src.Label(image)
	}
	s.pending.Store(int32((n + l.grain - 1) / l.grain))
	for lo := 0; lo < n; lo += l.grain {
		l.tasks <- task{s, lo, min(lo+l.grain, n)}
	}
}

// fail keeps the error of the first image that failed, whichever worker came first.
func (s *slot) fail(i int, err error) {
	s.mu.Lock()
	if s.err == nil || i < s.failed {
		s.err, s.failed = err, i
	}
	s.mu.Unlock()
}
