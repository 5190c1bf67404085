package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestBombMemory: pictures that would unpack to 400 MB each are refused while the
// program stays small.
func TestBombMemory(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), album(t)
	bomb := pngOf(t, 20000, 20000)
	for _, name := range []string{"a.png", "b.png", "c.png"} {
		put(t, filepath.Join(root, "train", "left"), name, bomb)
	}
	cmd := command(t, dir, "data", "verify", "folder", "--root", root)
	out, errs, status := finish(t, cmd)
	if status != 1 || strings.Count(out, "20000 x 20000") != 3 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no account of the memory")
	}
	limit := int64(200 << 10)
	if kerneltest.Race {
		limit *= 4
	}
	if kb := int64(usage.Maxrss); kb > limit {
		t.Errorf("the program took %d MB", kb>>10)
	}
}
