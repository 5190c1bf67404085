package kernels

import "sync/atomic"

// Shares hands the tasks of a step to workers, each task once: to each worker those
// of its own contiguous share first, in order, then what the others have left. A
// layer's worker then mostly finds in its core's cache what it wrote in the layer
// before, and the slower of two cores does less. It is for steps run by [Parallel]
// over workers that have memory of their own; its length is the most workers.
type Shares []share

// A share is the tasks [next, end), padded to keep the counters apart in the cache.
type share struct {
	next atomic.Int64
	end  int64
	_    [112]byte
}

// NewShares returns shares for up to so many workers.
func NewShares(workers int) Shares { return make(Shares, workers) }

// Deal divides tasks 0 to tasks-1 among the first workers, of whom there are at most
// len(q), before a step begins.
func (q Shares) Deal(tasks, workers int) {
	for i := range q {
		lo, hi := 0, 0
		if i < workers {
			lo, hi = i*tasks/workers, (i+1)*tasks/workers
		}
		q[i].next.Store(int64(lo))
		q[i].end = int64(hi)
	}
}

// Take returns the next task for a worker, -1 if none is left. Workers may call it
// at the same time.
func (q Shares) Take(worker int) int {
	for i := range q {
		s := &q[(worker+i)%len(q)]
		if s.next.Load() >= s.end {
			continue
		}
		if t := s.next.Add(1) - 1; t < s.end {
			return int(t)
		}
	}
	return -1
}
