package kernels

import (
	"runtime"
	"sync"
)

// Parallel calls f(lo, hi) over disjoint ranges that cover [0, n), possibly
// from several goroutines, and returns when all calls have returned. A range
// holds at least grain items unless it is the last one. How [0, n) is cut
// depends on GOMAXPROCS, so f must not let a result depend on its bounds.
func Parallel(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if grain < 1 {
		grain = 1
	}
	workers := min(runtime.GOMAXPROCS(0), (n+grain-1)/grain)
	if workers <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { f(w*n/workers, (w+1)*n/workers) })
	}
	wg.Wait()
}
