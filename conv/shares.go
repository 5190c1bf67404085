package conv

import "sync/atomic"

// shares hands the tasks of a step to workers, each task once: to each worker those
// of its own contiguous share first, in order, then what the others have left. A
// layer's worker then mostly finds in its core's cache what it wrote in the layer
// before, and the slower of two cores does less.
type shares []share

// A share is the tasks [next, end), padded to keep the counters apart in the cache.
type share struct {
	next atomic.Int64
	end  int64
	_    [112]byte
}

// deal divides tasks among the first n workers.
func (q shares) deal(tasks, n int) {
	for i := range q {
		lo, hi := 0, 0
		if i < n {
			lo, hi = i*tasks/n, (i+1)*tasks/n
		}
		q[i].next.Store(int64(lo))
		q[i].end = int64(hi)
	}
}

// take returns the next task for a worker, -1 if there is none.
func (q shares) take(worker int) int {
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
