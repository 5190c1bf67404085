package kernels_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golanes/lanes/kernels"
)

// withProcs runs f with n threads.
func withProcs(t testing.TB, n int, f func()) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	f()
}

func TestParallelCovers(t *testing.T) {
	for _, procs := range []int{1, 2, 3, 8} {
		withProcs(t, procs, func() {
			for _, n := range []int{0, 1, 2, 3, 7, 64, 1000} {
				for _, grain := range []int{-1, 0, 1, 3, 64, 5000} {
					hits := make([]atomic.Int32, n)
					short := atomic.Int32{}
					kernels.Parallel(n, grain, func(lo, hi int) {
						if hi-lo < min(grain, n) || hi <= lo {
							short.Add(1)
						}
						for i := lo; i < hi; i++ {
							hits[i].Add(1)
						}
					})
					for i := range hits {
						if h := hits[i].Load(); h != 1 {
							t.Fatalf("procs=%d/n=%d/grain=%d: item %d was visited %d times", procs, n, grain, i, h)
						}
					}
					if short.Load() != 0 {
						t.Errorf("procs=%d/n=%d/grain=%d: %d ranges below the grain", procs, n, grain, short.Load())
					}
				}
			}
		})
	}
}

func TestParallelNestedAndConcurrent(t *testing.T) {
	withProcs(t, 4, func() {
		var total atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					kernels.Parallel(16, 1, func(lo, hi int) {
						for range hi - lo {
							kernels.Parallel(10, 1, func(lo, hi int) { total.Add(int64(hi - lo)) })
						}
					})
				}
			})
		}
		wg.Wait()
		if want := int64(8 * 50 * 16 * 10); total.Load() != want {
			t.Errorf("%d inner items were visited, want %d", total.Load(), want)
		}
	})
}

func TestParallelPanics(t *testing.T) {
	withProcs(t, 3, func() {
		for n := range 24 {
			func() {
				defer func() {
					if got := recover(); got != "boom" {
						t.Errorf("item=%d: recovered %v", n, got)
					}
				}()
				kernels.Parallel(24, 1, func(lo, hi int) {
					if lo <= n && n < hi {
						panic("boom")
					}
				})
				t.Errorf("item=%d: no panic", n)
			}()
		}
		// The pool still works.
		var items atomic.Int64
		kernels.Parallel(100, 1, func(lo, hi int) { items.Add(int64(hi - lo)) })
		if items.Load() != 100 {
			t.Errorf("after panics %d of 100 items were visited", items.Load())
		}
	})
}

// TestParallelGoexit ends the calling goroutine and a helper from inside f, as
// testing's FailNow does.
func TestParallelGoexit(t *testing.T) {
	withProcs(t, 2, func() {
		for range 20 {
			done := make(chan any, 1)
			go func() {
				defer func() { done <- recover() }()
				kernels.Parallel(2, 1, func(lo, hi int) {
					time.Sleep(100 * time.Microsecond)
					runtime.Goexit()
				})
			}()
			<-done
		}
		var items atomic.Int64
		kernels.Parallel(100, 1, func(lo, hi int) { items.Add(int64(hi - lo)) })
		if items.Load() != 100 {
			t.Errorf("afterwards %d of 100 items were visited", items.Load())
		}
	})
}

// TestParallelHelps checks that a second thread takes part, also after the
// helpers have gone to sleep.
func TestParallelHelps(t *testing.T) {
	withProcs(t, 2, func() {
		for range 3 {
			// Each range waits for the other, which one thread cannot do.
			var arrived atomic.Int32
			deadline := time.Now().Add(10 * time.Second)
			kernels.Parallel(2, 1, func(lo, hi int) {
				arrived.Add(int32(hi - lo))
				for arrived.Load() < 2 {
					if time.Now().After(deadline) {
						panic("the second range was not begun")
					}
					runtime.Gosched()
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func TestParallelAllocatesNothing(t *testing.T) {
	withProcs(t, 2, func() {
		f := func(lo, hi int) {}
		if allocs := testing.AllocsPerRun(100, func() { kernels.Parallel(8, 1, f) }); allocs != 0 {
			t.Errorf("%g allocations per call", allocs)
		}
	})
}

// BenchmarkParallel measures two ranges of some microseconds each. Fork and
// join cost what threads=2 takes beyond half of threads=1.
func BenchmarkParallel(b *testing.B) {
	x := make([]float32, 2*16384)
	f := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			kernels.Dot(x[i*16384:(i+1)*16384], x[i*16384:(i+1)*16384])
		}
	}
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", procs), func(b *testing.B) {
			withProcs(b, procs, func() {
				for b.Loop() {
					kernels.Parallel(2, 1, f)
				}
			})
		})
	}
}
