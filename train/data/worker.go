package data

import "math/rand/v2"

// worker is a goroutine of a loader that makes images.
type worker struct {
	l             *Loader
	pixels, other []byte
	pcg           rand.PCG
	random        *rand.Rand
	whole         wholeSource // nil if not needed
}

func newWorker(l *Loader) *worker {
	w := &worker{l: l, pixels: make([]byte, l.h*l.w*l.c)}
	w.random = rand.New(&w.pcg)
	if l.opt.Augment.costly() {
		w.other = make([]byte, len(w.pixels))
	}
	if l.opt.Augment.ResizedCrop > 0 && hasWhole(l.src) {
		w.whole = l.src.(wholeSource)
	}
	return w
}

func (w *worker) run() {
	for t := range w.l.tasks {
		s := t.slot
		for i := t.lo; i < t.hi && !w.l.abort.Load(); i++ {
			if err := w.image(s, i); err != nil {
				s.fail(i, err)
				break
			}
		}
		if s.pending.Add(-1) == 0 {
			w.finish(s)
		}
	}
}

// finish does what needs the whole batch and releases it.
func (w *worker) finish(s *slot) {
	if alpha := w.l.opt.Augment.Mixup; alpha > 0 && s.err == nil && !w.l.abort.Load() {
		w.pcg.Seed(mix(w.l.opt.Seed, saltMixup, uint64(s.epoch)), uint64(s.first))
		mixup(&s.batch, w.l.h*w.l.w*w.l.c, alpha, w.random)
	}
	s.done <- struct{}{}
}

// image makes image i of a batch.
func (w *worker) image(s *slot, i int) error {
	l, a, r := w.l, &w.l.opt.Augment, w.random
	image := s.indexes[i]
	dy, dx, flip := 0, 0, false
	if *a != (Augment{}) {
		place := uint64(0)
		if l.opt.Sampler.repeats() {
			place = uint64(s.first+i) << 32
		}
		w.pcg.Seed(mix(l.opt.Seed, saltAugment, uint64(s.epoch)), uint64(image)^place)
		dy, dx = r.IntN(2*a.Pad+1)-a.Pad, r.IntN(2*a.Pad+1)-a.Pad
		flip = a.Flip && r.IntN(2) == 1
	}
	if err := w.read(image, a.ResizedCrop); err != nil {
		return err
	}
	if a.RandOps > 0 {
		w.pixels, w.other = randAugment(w.pixels, w.other, l.h, l.w, l.c, *a, r)
	}
	if a.Jitter > 0 {
		jitter(w.pixels, l.c, a.Jitter, r)
	}
	size := l.h * l.w * l.c
	x := s.x[i*size : (i+1)*size]
	w.place(x, dy, dx, flip)
	if a.Cutout > 0 {
		cutout(x, l.h, l.w, l.c, a.Cutout, r)
	}
	return nil
}

// read reads an image to w.pixels, or a random part of at least the share least of
// it, resized, if that is positive.
func (w *worker) read(image int, least float64) error {
	l := w.l
	if w.whole != nil {
		p, err := w.whole.whole(image)
		if err != nil {
			return err
		}
		resizedCrop(w.pixels, l.h, l.w, l.c, p.raster(), least, w.random)
		w.whole.release(p)
		return nil
	}
	if err := l.src.Image(w.pixels, image); err != nil || least == 0 {
		return err
	}
	resizedCrop(w.other, l.h, l.w, l.c, raster{w.pixels, l.w, l.h, l.w * l.c, l.c}, least, w.random)
	w.pixels, w.other = w.other, w.pixels
	return nil
}

// place writes the image in w.pixels to dst, normalised: pixel (y, x) of the
// result is pixel (y+dy, x+dx) of the image, mirrored afterwards when flip is
// set, and black where that is outside.
func (w *worker) place(dst []float32, dy, dx int, flip bool) {
	l := w.l
	height, width, c := l.h, l.w, l.c
	for y := range height {
		row := dst[y*width*c : (y+1)*width*c]
		sy := y + dy
		for x := range width {
			sx := x + dx
			if flip {
				sx = width - 1 - x + dx
			}
			out := row[x*c : (x+1)*c]
			if sy < 0 || sy >= height || sx < 0 || sx >= width {
				for k := range out {
					out[k] = l.scaled[k][0]
				}
				continue
			}
			in := w.pixels[(sy*width+sx)*c:]
			for k := range out {
				out[k] = l.scaled[k][in[k]]
			}
		}
	}
}
