package kernels

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sleeper is the place where one goroutine waits until another wakes it: with
// its thread, in the kernel, so that it goes on where it was. A goroutine that
// waits in Go's scheduler is continued by any thread, and a kernel that takes
// the machine for busy starts that one on its waker's CPU and leaves it there
// for milliseconds beside an idle CPU (Linux 6.18, two CPUs: the first 10 ms
// of work after a pause ran at the speed of one thread).
type sleeper struct {
	word atomic.Uint32 // 1: woken

	// Set by prepare, for wake.
	thread int
	cpu    int

	// Set by wake, for sleep.
	moved   bool
	allowed unix.CPUSet // the thread's affinity, if moved
}

func (s *sleeper) init() {}

// prepare binds the goroutine to its thread. Each call is followed by one of
// sleep or cancel; what makes wake possible comes after it.
func (s *sleeper) prepare() {
	runtime.LockOSThread()
	s.thread, s.cpu, s.moved = unix.Gettid(), currentCPU(), false
}

// cancel undoes prepare.
func (s *sleeper) cancel() { runtime.UnlockOSThread() }

// sleep returns after the call of wake, be it before or after the call of
// sleep, and undoes prepare.
func (s *sleeper) sleep() {
	for !s.word.CompareAndSwap(1, 0) {
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.word)), futexWait, 0, 0, 0, 0)
	}
	if s.moved {
		// Fails only if the process was confined meanwhile to other CPUs, and
		// then the kernel has set the affinity itself.
		_ = unix.SchedSetaffinity(0, &s.allowed)
	}
	runtime.UnlockOSThread()
}

// wake ends the sleep, on another CPU than the caller's if there is one.
func (s *sleeper) wake() {
	if s.cpu == currentCPU() && unix.SchedGetaffinity(s.thread, &s.allowed) == nil {
		others := s.allowed
		others.Clear(s.cpu)
		s.moved = others.Count() > 0 && unix.SchedSetaffinity(s.thread, &others) == nil
	}
	s.word.Store(1)
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.word)), futexWake, 1, 0, 0, 0)
}

// Operations of futex(2) on a word that no other process maps.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

// currentCPU returns the CPU that runs the caller, or -1 if that is unknown.
func currentCPU() int {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return -1
	}
	return int(cpu)
}

// yieldThread lets other threads that wait for this CPU run before the caller's.
func yieldThread() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
