// Package kerneltest holds the test helpers that every package of lanes
// shares: running a test on every instruction set, slices fenced by guard
// pages, comparison in ulp, float64 oracles, and the reference cases.
package kerneltest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/internal/isa"
)

// ForEachISA runs f as a sub-test "isa=<level>" once per level this machine
// has, with that level active, and restores the level that was active before.
// LANES_ISA restricts it to the levels up to the one named. A level named in
// LANES_REQUIRE_ISA (comma-separated) that does not run fails the test: a
// machine that should have an ISA cannot skip it unnoticed. Under the race detector
// only the active level runs: threads share the same things on all of them, and
// numbers are not what it checks.
func ForEachISA(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	// The cache of go test sees variables that are read while tests run; the package
	// isa reads its own before.
	_ = os.Getenv(isa.EnvVar)
	best := isa.Active
	ran := []string{}
	for _, level := range isa.Available() {
		if level > best || Race && level != best {
			continue
		}
		ran = append(ran, level.String())
		t.Run("isa="+level.String(), func(t *testing.T) {
			previous := isa.Set(level)
			defer isa.Set(previous)
			f(t)
		})
	}
	if required := os.Getenv("LANES_REQUIRE_ISA"); required != "" {
		for _, name := range strings.Split(required, ",") {
			if !slices.Contains(ran, name) {
				t.Errorf("LANES_REQUIRE_ISA asks for %s, but only %v ran", name, ran)
			}
		}
	}
}

// ForEachInt8 is [ForEachISA] for kernels on bytes, which have two forms on
// AVX-512: with VNNI, where the CPU has it, and without.
func ForEachInt8(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	ForEachISA(t, func(t *testing.T) {
		f(t)
		if WithoutVNNI() {
			t.Run("vnni=off", f)
		}
	})
}

// WithoutVNNI makes kernels on bytes do without AVX-512 VNNI until the level is
// set again, and reports whether they would have used it.
func WithoutVNNI() bool { return isa.WithoutVNNI() }
