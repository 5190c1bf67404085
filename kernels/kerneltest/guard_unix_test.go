//go:build unix

package kerneltest

import (
	"runtime/debug"
	"testing"
	"unsafe"
)

// TestGuardedFaults reads one element past each fence.
func TestGuardedFaults(t *testing.T) {
	end, start := Guarded(t, 5), GuardedStart(t, 5)
	for name, p := range map[string]unsafe.Pointer{
		"end":   unsafe.Add(unsafe.Pointer(&end[0]), 4*len(end)),
		"start": unsafe.Add(unsafe.Pointer(&start[0]), -4),
	} {
		t.Run("fence="+name, func(t *testing.T) {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() {
				if recover() == nil {
					t.Error("reading past the fence did not fault")
				}
			}()
			sink = *(*float32)(p)
		})
	}
}

var sink float32
