package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/golanes/lanes/infer"
)

var (
	errFull   = errors.New("too many requests are waiting")
	errClosed = errors.New("the server is shutting down")
)

// A job is a request that waits for a run. Its tensors belong to it, so that a
// client that gives up leaves no memory in use.
type job struct {
	in, out []*infer.Tensor
	rows    int
	err     error
	done    chan struct{} // closed when out or err is set
	arrived time.Time
	timed   bool // a timer will wake a worker when the batch delay is over
}

// A batcher runs jobs, several at once if the model's batch is open.
type batcher struct {
	server  *Server
	session *infer.Session
	opt     *Options
	open    bool // the batch

	mu      sync.Mutex
	changed sync.Cond
	queue   []*job
	closed  bool
	workers sync.WaitGroup
}

func newBatcher(s *Server) *batcher {
	b := &batcher{server: s, session: s.session, opt: &s.opt, open: openBatch(s.session)}
	b.changed.L = &b.mu
	b.workers.Add(s.opt.Workers)
	for range s.opt.Workers {
		go b.work()
	}
	return b
}

// openBatch reports whether rows of the inputs are independent of each other: the
// first dimension of all inputs is open, and a run of two rows gives what two runs
// of one do, up to the choice of algorithms.
func openBatch(s *infer.Session) bool {
	for _, v := range s.Inputs() {
		if len(v.Shape) == 0 || v.Shape[0].Size >= 0 {
			return false
		}
		for _, d := range v.Shape[1:] {
			if d.Size < 0 {
				return declaredOpen(s) // nothing to try it with
			}
		}
	}
	return len(s.Inputs()) > 0 && tryBatch(s)
}

// declaredOpen reports whether all outputs are declared with the open dimension
// of the inputs first.
func declaredOpen(s *infer.Session) bool {
	name := s.Inputs()[0].Shape[0].Name
	for _, v := range slices.Concat(s.Inputs(), s.Outputs()) {
		if len(v.Shape) == 0 || v.Shape[0].Size >= 0 || v.Shape[0].Name != name || name == "" {
			return false
		}
	}
	return true
}

func tryBatch(s *infer.Session) bool {
	r := rand.New(rand.NewPCG(1, 2))
	var both []*infer.Tensor
	for _, v := range s.Inputs() {
		shape := []int{2}
		for _, d := range v.Shape[1:] {
			shape = append(shape, int(d.Size))
		}
		t, err := infer.NewTensor(v.Type, shape...)
		if err != nil {
			return false
		}
		if t.Float32s() != nil {
			for i := range t.Float32s() {
				t.Float32s()[i] = r.Float32()
			}
		}
		both = append(both, t)
	}
	whole := make([]*infer.Tensor, len(s.Outputs()))
	if err := s.Run(whole, both); err != nil {
		return false
	}
	for row := range 2 {
		single := make([]*infer.Tensor, len(whole))
		one, err := stage(nil, both, 1)
		if err != nil {
			return false
		}
		for i, t := range one {
			copyRow(t, 0, both[i], row)
		}
		if err := s.Run(single, one); err != nil {
			return false
		}
		for i, t := range whole {
			if !rowIs(t, row, single[i]) {
				return false
			}
		}
	}
	return true
}

// rowIs compares a row of a batch with the result of a single run. Algorithms
// differ by rounding, some 2^-24 a step and amplified by depth; mixing rows
// differs by about the values themselves. A hundredth is far from both.
func rowIs(batch *infer.Tensor, row int, single *infer.Tensor) bool {
	if len(batch.Shape) == 0 || len(single.Shape) != len(batch.Shape) || batch.Shape[0] != 2 || single.Shape[0] != 1 || !slices.Equal(batch.Shape[1:], single.Shape[1:]) {
		return false
	}
	want := single.Float64s()
	got := batch.Float64s()[row*len(want) : (row+1)*len(want)]
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	for i, v := range got {
		if v != want[i] && math.Abs(v-want[i]) > largest/100 {
			return false
		}
	}
	return true
}

// do runs the model on in. With an open batch, all inputs have the same number of
// rows.
func (b *batcher) do(ctx context.Context, in []*infer.Tensor) ([]*infer.Tensor, error) {
	j := &job{in: in, rows: 1, done: make(chan struct{}), arrived: time.Now()}
	if b.open {
		j.rows = in[0].Shape[0]
	}
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return nil, errClosed
	case len(b.queue) >= b.opt.MaxQueue:
		b.mu.Unlock()
		return nil, errFull
	}
	b.queue = append(b.queue, j)
	b.changed.Broadcast()
	b.mu.Unlock()
	select {
	case <-j.done:
		return j.out, j.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	if i := slices.Index(b.queue, j); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
	b.mu.Unlock()
	return nil, ctx.Err()
}

func (b *batcher) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	b.workers.Wait()
}

// next waits for jobs that may run together. It returns none when the batcher is
// closed and the queue is empty.
func (b *batcher) next() []*job {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if len(b.queue) == 0 {
			if b.closed {
				return nil
			}
			b.changed.Wait()
			continue
		}
		n, full := b.together()
		first := b.queue[0]
		rest := time.Until(first.arrived.Add(b.opt.BatchDelay))
		if full || b.closed || rest <= 0 {
			jobs := slices.Clone(b.queue[:n])
			b.queue = slices.Delete(b.queue, 0, n)
			return jobs
		}
		if !first.timed {
			first.timed = true
			time.AfterFunc(rest, func() {
				b.mu.Lock()
				b.changed.Broadcast()
				b.mu.Unlock()
			})
		}
		b.changed.Wait()
	}
}

// together counts the jobs at the head of the queue that fit into one batch;
// full says that it will not grow by waiting.
func (b *batcher) together() (count int, full bool) {
	if !b.open {
		return 1, true
	}
	rows := 0
	for i, j := range b.queue {
		if rows+j.rows > b.opt.MaxBatch || i > 0 && !sameRows(b.queue[0].in, j.in) {
			return i, true
		}
		rows += j.rows
	}
	return len(b.queue), rows == b.opt.MaxBatch
}

func sameRows(a, b []*infer.Tensor) bool {
	for i := range a {
		if !slices.Equal(a[i].Shape[1:], b[i].Shape[1:]) {
			return false
		}
	}
	return true
}

// work runs batches until the batcher is closed.
func (b *batcher) work() {
	defer b.workers.Done()
	w := &worker{batcher: b}
	for jobs := b.next(); jobs != nil; jobs = b.next() {
		if len(jobs) > 1 || jobs[0].rows > 1 {
			// A failure is some job's own: it must not spread to the others.
			if err := w.server.protect(func() error { return w.batch(jobs) }); err == nil {
				w.finish(jobs)
				continue
			}
		}
		for _, j := range jobs {
			j.out = make([]*infer.Tensor, len(b.session.Outputs()))
			j.err = w.server.protect(func() error { return w.run(j.out, j.in, j.rows) })
		}
		w.finish(jobs)
	}
}

// A worker keeps the tensors of its batches, by the binary logarithm of their
// rows.
type worker struct {
	*batcher
	in, out [13][]*infer.Tensor
}

func (w *worker) finish(jobs []*job) {
	for _, j := range jobs {
		close(j.done)
	}
}

func (w *worker) run(out, in []*infer.Tensor, rows int) error {
	start := time.Now()
	err := w.session.Run(out, in)
	w.server.metrics.runs.observe(time.Since(start).Seconds())
	w.server.metrics.rows.observe(float64(rows))
	return err
}

// batch runs all rows of jobs, the largest power of two of them at a time.
func (w *worker) batch(jobs []*job) error {
	type place struct{ job, row int }
	var rows []place
	for i, j := range jobs {
		j.out = make([]*infer.Tensor, len(w.session.Outputs()))
		for r := range j.rows {
			rows = append(rows, place{i, r})
		}
	}
	for len(rows) > 0 {
		k := bits.Len(uint(len(rows))) - 1
		n := 1 << k
		in, err := stage(w.in[k], jobs[0].in, n)
		if err != nil {
			return err
		}
		if w.in[k] = in; w.out[k] == nil {
			w.out[k] = make([]*infer.Tensor, len(w.session.Outputs()))
		}
		for at, p := range rows[:n] {
			for i, t := range in {
				copyRow(t, at, jobs[p.job].in[i], p.row)
			}
		}
		if err := w.run(w.out[k], in, n); err != nil {
			return err
		}
		for i, t := range w.out[k] {
			if len(t.Shape) == 0 || t.Shape[0] != n {
				return fmt.Errorf("output %d of shape %v for %d rows", i, t.Shape, n)
			}
			for at, p := range rows[:n] {
				j := jobs[p.job]
				if j.out[i] == nil {
					if j.out[i], err = infer.NewTensor(t.Type, append([]int{j.rows}, t.Shape[1:]...)...); err != nil {
						return err
					}
				}
				copyRow(j.out[i], p.row, t, at)
			}
		}
		rows = rows[n:]
	}
	return nil
}

// stage returns tensors like those of like, but of n rows: old ones if they fit.
func stage(old, like []*infer.Tensor, n int) ([]*infer.Tensor, error) {
	out := make([]*infer.Tensor, len(like))
	for i, t := range like {
		shape := append([]int{n}, t.Shape[1:]...)
		if old != nil && slices.Equal(old[i].Shape, shape) {
			out[i] = old[i]
			continue
		}
		var err error
		if out[i], err = infer.NewTensor(t.Type, shape...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func copyRow(dst *infer.Tensor, to int, src *infer.Tensor, from int) {
	n := len(src.Bytes()) / src.Shape[0]
	copy(dst.Bytes()[to*n:(to+1)*n], src.Bytes()[from*n:(from+1)*n])
}
