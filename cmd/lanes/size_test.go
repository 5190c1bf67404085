package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// largestBinary bounds the stripped command for amd64. A library behind an
// interface can add megabytes, since nothing of it is left out by the linker.
const largestBinary = 15_000_000

// TestBinarySize builds the command as a user would who wants it small.
func TestBinarySize(t *testing.T) {
	if os.Getenv("LANES_LONG") == "" {
		t.Skip("builds the whole command; set LANES_LONG=1")
	}
	path := filepath.Join(t.TempDir(), "lanes")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > largestBinary {
		t.Errorf("the stripped command has %d bytes, more than %d", info.Size(), largestBinary)
	}
}
