//go:build !purego

package isa

// detect returns the levels above Generic. Advanced SIMD is part of the base
// architecture that Go requires of arm64.
func detect() []Level { return []Level{NEON} }

func detectVNNI() bool { return false }
