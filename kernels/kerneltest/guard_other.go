//go:build !unix

package kerneltest

import "testing"

// fenced returns size bytes between two runs of canary bytes, which are checked
// when the test ends.
func fenced(t testing.TB, size int) []byte {
	t.Helper()
	const fence, canary = 256, 0xa5
	// A multiple of 8 keeps the end aligned for every element type.
	size = (size + 7) &^ 7
	mem := make([]byte, fence+size+fence)
	for i := range fence {
		mem[i], mem[fence+size+i] = canary, canary
	}
	t.Cleanup(func() {
		for i := range fence {
			if mem[i] != canary {
				t.Errorf("kerneltest: byte %d before the slice was overwritten", fence-i)
			}
			if mem[fence+size+i] != canary {
				t.Errorf("kerneltest: byte %d after the slice was overwritten", i)
			}
		}
	})
	return mem[fence : fence+size : fence+size]
}
