package kerneltest

import (
	"runtime/debug"
	"testing"
)

// CountsAllocations reports whether counts of allocations mean anything. Under
// the race detector they do not: there sync.Pool forgets values at random.
func CountsAllocations() bool { return !race }

// AllocsPerRun is [testing.AllocsPerRun] where that means something, and else runs
// f as often and returns 0. No garbage is collected meanwhile, which would empty
// every sync.Pool.
func AllocsPerRun(runs int, f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if n := testing.AllocsPerRun(runs, f); CountsAllocations() {
		return n
	}
	return 0
}
