package bench

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
)

// startPeak begins to watch the resident memory of this process. The function
// that it returns tells by how much the memory has exceeded at most what it was,
// or 0 where the system does not tell.
func startPeak() func() int64 {
	debug.FreeOSMemory()
	// Linux forgets the peak so far.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return func() int64 { return 0 }
	}
	before := residentBytes("VmRSS:")
	return func() int64 { return max(0, residentBytes("VmHWM:")-before) }
}

// residentBytes returns a field of /proc/self/status, which is in kB; 0 if it is
// not there.
func residentBytes(field string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte(field))
	value, _, _ := bytes.Cut(rest, []byte("kB"))
	kB, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
	if err != nil {
		return 0
	}
	return kB << 10
}
