package kerneltest

import (
	"runtime/debug"
	"testing"
)

// CountsAllocations reports whether counts of allocations mean anything. Under
// the race detector they do not: there sync.Pool forgets values at random.
func CountsAllocations() bool { return !Race }

// AllocsPerRun is the least of three counts of [testing.AllocsPerRun] where those mean
// something, and else runs f as often as one of them and returns 0. What other
// goroutines allocate meanwhile counts too, now and then; what f allocates always. No
// garbage is collected meanwhile, which would empty every sync.Pool.
func AllocsPerRun(runs int, f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	least := testing.AllocsPerRun(runs, f)
	if !CountsAllocations() {
		return 0
	}
	for i := 1; i < 3 && least > 0; i++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
