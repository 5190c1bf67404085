package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// ownSpin is longer than the helpers of kernels.Parallel look for work
	// before they sleep.
	ownSpin = 5 * time.Millisecond
	// settleTime is longer than the threads of a rival spin after its last
	// call, where this cannot be seen: OpenBLAS's do for 2^26 clock ticks or
	// more.
	settleTime = 150 * time.Millisecond
	settlePoll = time.Millisecond
)

// settle returns when nobody's threads look for work any more: they would take
// a CPU from whoever is timed next.
func settle(rivals []rival) {
	time.Sleep(ownSpin)
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(settlePoll) {
		if allAsleep(rivals) {
			return
		}
	}
}

// allAsleep reports whether no thread of the rivals' processes is running or
// ready to run; false if the system does not tell.
func allAsleep(rivals []rival) bool {
	for _, r := range rivals {
		pid := r.pid()
		if pid == 0 {
			continue
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return false
		}
		for _, thread := range threads {
			// The state follows the name, which is in brackets and may hold any
			// character.
			text, err := os.ReadFile(thread)
			if i := bytes.LastIndexByte(text, ')'); err == nil && i >= 0 && bytes.HasPrefix(text[i:], []byte(") R")) {
				return false
			}
		}
	}
	return true
}
