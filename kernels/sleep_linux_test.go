package kernels

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every wake ends one sleep, whichever comes first, and leaves the thread's
// affinity as it was, also where wake has to move the thread.
func TestSleeper(t *testing.T) {
	var s sleeper
	s.init()
	var ready, woken atomic.Int64
	const times = 300
	confined := make(chan bool, 1)
	go func() {
		same := true
		for range times {
			s.prepare()
			var before, after unix.CPUSet
			err := unix.SchedGetaffinity(0, &before)
			thread := s.thread
			ready.Add(1)
			s.sleep()
			same = same && err == nil && unix.SchedGetaffinity(thread, &after) == nil && before == after
			woken.Add(1)
		}
		confined <- !same
	}()
	for i := range int64(times) {
		for ready.Load() == i {
			runtime.Gosched()
		}
		if i%3 == 0 {
			time.Sleep(100 * time.Microsecond) // so that it sleeps before the call of wake
		}
		runtime.LockOSThread()
		if i%2 == 0 {
			s.cpu = currentCPU() // makes wake move the sleeper
		}
		s.wake()
		runtime.UnlockOSThread()
	}
	if <-confined {
		t.Error("a sleep changed the affinity of its thread")
	}
	if n := woken.Load(); n != times {
		t.Errorf("%d of %d sleeps ended", n, times)
	}
}

func TestSleeperMoves(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	if allowed.Count() < 2 {
		t.Skip("one CPU: nowhere to move to")
	}
	var s sleeper
	s.init()
	// The kernel may take the thread back at once: one success in many is what
	// is asked for.
	for range 100 {
		ready, landed := make(chan struct{}), make(chan int)
		go func() {
			s.prepare()
			close(ready)
			s.sleep()
			landed <- currentCPU()
		}()
		<-ready
		time.Sleep(100 * time.Microsecond)
		runtime.LockOSThread()
		own := currentCPU()
		s.cpu = own
		s.wake()
		cpu := <-landed
		runtime.UnlockOSThread()
		if cpu != own {
			return
		}
	}
	t.Error("100 sleepers woke on their waker's CPU")
}
