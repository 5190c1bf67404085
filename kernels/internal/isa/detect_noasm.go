//go:build purego || !(amd64 || arm64)

package isa

// detect returns nil: only the pure-Go kernels are built.
func detect() []Level { return nil }

func detectVNNI() bool { return false }
