//go:build unix

package kerneltest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// fenced returns whole pages that hold at least size bytes, with one
// inaccessible page on each side.
func fenced(t testing.TB, size int) []byte {
	t.Helper()
	page := unix.Getpagesize()
	pages := max(1, (size+page-1)/page)
	mem, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("kerneltest: mapping %d pages: %v", pages+2, err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Errorf("kerneltest: unmapping: %v", err)
		}
	})
	for _, fence := range [][]byte{mem[:page], mem[(pages+1)*page:]} {
		if err := unix.Mprotect(fence, unix.PROT_NONE); err != nil {
			t.Fatalf("kerneltest: protecting a page: %v", err)
		}
	}
	return mem[page : (pages+1)*page : (pages+1)*page]
}
