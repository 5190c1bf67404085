package kernels

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls f(lo, hi) over disjoint ranges that cover [0, n), possibly
// from several goroutines at once, and returns when all calls have returned.
// Every range holds at least grain items (n if n < grain). How [0, n) is cut,
// and which goroutine runs a range, depends on GOMAXPROCS and on timing, so f
// must not let a result depend on its bounds.
//
// The calling goroutine takes part; the others are kept by the package. A call
// costs about 1 us at two threads when the previous one is recent (go test
// ./kernels -run XXX -bench Parallel, two cores of an AMD EPYC), 50 to 200 us
// until all take part when they have gone to sleep, and nothing worth counting
// when [0, n) is not cut. It allocates nothing (f itself may be allocated by
// the caller, as it escapes). Calls may be nested and may come from several
// goroutines: whoever finds no idle helper does the work alone.
//
// A panic in f is passed on to the caller after the other ranges have stopped;
// ranges not yet begun are dropped.
func Parallel(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	procs := runtime.GOMAXPROCS(0)
	parts := min(n/max(grain, 1), procs*partsPerThread)
	threads := min(procs, parts)
	if threads <= 1 {
		f(0, n)
		return
	}
	helpers.run(n, parts, threads, f)
}

const (
	// partsPerThread is how many ranges a thread gets at most: enough that a
	// thread held up by the operating system leaves little undone.
	partsPerThread = 4

	// A worker looks for a job spinLoads times (about 12 us), lets other threads
	// and now and then other goroutines run, and parks after workerRounds of that:
	// longer than a range of work that others still compute and the serial
	// stretches between the layers of a network. A thread that sleeps is back after
	// 50 us at best, and each park makes Go's monitor thread look around every 20 us
	// for a while, on a CPU that has work. The caller waits for joinRounds without
	// runtime.Gosched: where a P is idle, that hands its goroutine to a thread that
	// has yet to be woken.
	spinLoads     = 32768
	workerRounds  = 160
	goschedRounds = 4
	joinRounds    = 16
)

// helpers is the process's pool.
var helpers pool

// A pool hands jobs to idle workers. Workers are made on demand and kept.
type pool struct {
	mu      sync.Mutex
	workers []*worker
	idle    []uint64 // bit i%64 of word i/64: workers[i] is idle
	free    []*job   // unused jobs
}

// A job is one call of Parallel. The workers of its team read it until their
// last access, [job.leave]; the caller alone uses team.
type job struct {
	f        func(lo, hi int)
	n, parts int
	members  int // participants, the caller being number 0
	segments []segment
	team     []*worker
	stopped  atomic.Bool   // a range panicked: begin no others
	running  atomic.Int64  // workers not finished, plus callerAsleep
	wake     chan struct{} // capacity 1

	failure  sync.Mutex
	panicked bool
	value    any // of the first panic
}

// callerAsleep in job.running means that the worker that finishes last must
// wake the caller. One word holds both, so that the last access of a worker
// whose caller does not sleep is the one that tells the caller to go on.
const callerAsleep = 1 << 32

// A segment is the ranges meant for one participant, so that repeated calls
// over the same data find it in the same core's cache. The others help when
// they are done with their own. Padded to keep counters apart in the cache.
type segment struct {
	next atomic.Int64
	end  int64
	_    [112]byte
}

// A worker is a goroutine that waits for a job in its mailbox.
type worker struct {
	index   int
	member  int // participant number in the job of the mailbox
	mailbox atomic.Pointer[job]
	parked  atomic.Bool
	bed     sleeper
	_       [64]byte
}

func (p *pool) run(n, parts, threads int, f func(lo, hi int)) {
	j := p.begin(n, parts, threads, f)
	defer p.finish(j) // also when f ends this goroutine
	for i, w := range j.team {
		w.member = i + 1
		w.mailbox.Store(j)
		if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
			w.bed.wake()
		}
	}
	j.work(0)
}

// begin returns a job with a team of up to threads-1 idle workers.
func (p *pool) begin(n, parts, threads int, f func(lo, hi int)) *job {
	p.mu.Lock()
	var j *job
	if last := len(p.free) - 1; last >= 0 {
		j, p.free = p.free[last], p.free[:last]
	} else {
		j = &job{wake: make(chan struct{}, 1)}
	}
	for word := range p.idle {
		for p.idle[word] != 0 && len(j.team) < threads-1 {
			bit := bits.TrailingZeros64(p.idle[word])
			p.idle[word] &^= 1 << bit
			j.team = append(j.team, p.workers[word*64+bit])
		}
	}
	for len(j.team) < threads-1 && len(p.workers) < threads-1 {
		j.team = append(j.team, p.newWorker())
	}
	p.mu.Unlock()

	j.members = len(j.team) + 1
	for len(j.segments) < j.members {
		j.segments = append(j.segments, segment{})
	}
	for i := range j.members {
		j.segments[i].next.Store(int64(i * parts / j.members))
		j.segments[i].end = int64((i + 1) * parts / j.members)
	}
	j.f, j.n, j.parts = f, n, parts
	j.stopped.Store(false)
	j.running.Store(int64(len(j.team)))
	return j
}

// newWorker starts a worker that is not idle. The caller holds p.mu.
func (p *pool) newWorker() *worker {
	w := &worker{index: len(p.workers)}
	w.bed.init()
	p.workers = append(p.workers, w)
	if len(p.idle)*64 < len(p.workers) {
		p.idle = append(p.idle, 0)
	}
	go w.loop()
	return w
}

// setIdle makes w available to other jobs.
func (p *pool) setIdle(w *worker) {
	p.mu.Lock()
	p.idle[w.index/64] |= 1 << (w.index % 64)
	p.mu.Unlock()
}

// finish takes the job back from workers that have not looked at it, waits for
// the others, and passes on a panic.
func (p *pool) finish(j *job) {
	for _, w := range j.team {
		if w.mailbox.CompareAndSwap(j, nil) {
			j.running.Add(-1)
			p.setIdle(w)
		}
	}
	j.join()
	panicked, value := j.panicked, j.value
	j.f, j.panicked, j.value = nil, false, nil
	clear(j.team)
	j.team = j.team[:0]
	p.mu.Lock()
	p.free = append(p.free, j)
	p.mu.Unlock()
	if panicked {
		panic(value)
	}
}

// work runs ranges until none is left, first those of its own segment.
func (j *job) work(member int) {
	normal := false
	defer func() {
		if !normal {
			j.fail(member, recover())
		}
	}()
	for i := range j.members {
		s := &j.segments[(member+i)%j.members]
		for !j.stopped.Load() {
			part := s.next.Add(1) - 1
			if part >= s.end {
				break
			}
			n, parts := int64(j.n), int64(j.parts) // the products may not fit into an int of 32 bits
			j.f(int(part*n/parts), int((part+1)*n/parts))
		}
	}
	normal = true
}

// fail stops the job and records its first panic. A nil value means that f
// called runtime.Goexit, which ends the caller by itself but not a worker's
// caller.
func (j *job) fail(member int, value any) {
	j.stopped.Store(true)
	if value == nil {
		if member == 0 {
			return
		}
		value = "kernels.Parallel: f called runtime.Goexit"
	}
	j.failure.Lock()
	if !j.panicked {
		j.panicked, j.value = true, value
	}
	j.failure.Unlock()
}

// join waits until no worker runs the job.
func (j *job) join() {
	for range joinRounds {
		for range spinLoads {
			if j.running.Load() == 0 {
				return
			}
		}
		yieldThread()
	}
	if j.running.Add(callerAsleep) != callerAsleep {
		<-j.wake
	}
}

// leave is a worker's last access to the job.
func (j *job) leave() {
	if j.running.Add(-1) == callerAsleep {
		j.wake <- struct{}{}
	}
}

func (w *worker) loop() {
	for {
		j := w.await()
		w.run(j, w.member)
	}
}

// run works on j and becomes idle before the caller can know that j is done,
// so that the caller's next job finds this worker.
func (w *worker) run(j *job, member int) {
	alive := false
	defer func() {
		if !alive {
			go w.loop()
		}
		helpers.setIdle(w)
		j.leave()
	}()
	j.work(member)
	alive = true
}

// await returns the next job from the mailbox.
func (w *worker) await() *job {
	for {
		for round := range workerRounds {
			for range spinLoads {
				if j := w.mailbox.Load(); j != nil && w.mailbox.CompareAndSwap(j, nil) {
					return j
				}
			}
			yieldThread()
			if round%goschedRounds == goschedRounds-1 {
				runtime.Gosched()
			}
		}
		w.bed.prepare()
		w.parked.Store(true)
		if w.mailbox.Load() != nil && w.parked.CompareAndSwap(true, false) {
			w.bed.cancel()
			continue
		}
		w.bed.sleep()
	}
}
