// Package isa decides which instruction set the kernels use.
//
// The decision is made once, when the program starts: the best [Level] the CPU
// and the operating system support, lowered by LANES_ISA if that is set.
// Support is read from golang.org/x/sys/cpu, so GODEBUG=cpu.avx512f=off and its
// kin lower it too.
package isa

import (
	"fmt"
	"os"
	"strings"
)

// A Level names a tier of kernels. Levels of one architecture are ordered:
// Generic < AVX2 < AVX512 on amd64, Generic < NEON on arm64.
type Level int

const (
	Generic Level = iota // pure Go
	AVX2                 // AVX2, FMA and BMI2
	AVX512               // AVX-512 F, CD, BW, DQ and VL
	NEON                 // arm64 Advanced SIMD
)

// EnvVar is the environment variable that lowers the level.
const EnvVar = "LANES_ISA"

var names = [...]string{Generic: "generic", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the level's name as LANES_ISA spells it.
func (l Level) String() string {
	if l < 0 || int(l) >= len(names) {
		return fmt.Sprintf("isa.Level(%d)", int(l))
	}
	return names[l]
}

// Parse is the inverse of String. It accepts upper case.
func Parse(name string) (Level, error) {
	for l, n := range names {
		if strings.EqualFold(name, n) {
			return Level(l), nil
		}
	}
	return Generic, fmt.Errorf("unknown ISA %q (one of %s)", name, strings.Join(names[:], ", "))
}

// Active is the level every dispatch switch reads. It is written at program
// start and by tests through [Set], never while kernels run.
var Active Level

// VNNI says that the kernels on bytes use the dot products of AVX-512 VNNI. It is
// a feature beside the level: true only while AVX512 is active, on CPUs that have
// it. It is written when Active is.
var VNNI bool

// hasVNNI is what the CPU has; GODEBUG=cpu.avx512vnni=off clears it.
var hasVNNI bool

// available holds the levels of this machine in ascending order; its first
// element is Generic.
var available []Level

// envErr is what was wrong with LANES_ISA, or nil.
var envErr error

func init() {
	available = append([]Level{Generic}, detect()...)
	Active, envErr = choose(available, os.Getenv(EnvVar))
	hasVNNI = detectVNNI()
	VNNI = hasVNNI && Active == AVX512
}

// choose returns the level for a machine with the given levels and the value
// of LANES_ISA. A level that the machine lacks, or a name that does not exist,
// leaves the best one active and is reported.
func choose(available []Level, env string) (Level, error) {
	best := available[len(available)-1]
	if env == "" {
		return best, nil
	}
	want, err := Parse(env)
	if err != nil {
		return best, fmt.Errorf("%s: %w", EnvVar, err)
	}
	for _, l := range available {
		if l == want {
			return want, nil
		}
	}
	return best, fmt.Errorf("%s=%s: this CPU does not support it, using %s", EnvVar, want, best)
}

// Available returns the levels of this machine in ascending order, starting
// with Generic. LANES_ISA does not shorten the list.
func Available() []Level { return append([]Level(nil), available...) }

// Err reports what was wrong with LANES_ISA, or nil.
func Err() error { return envErr }

// Set makes l the active level and returns the previous one. It is for tests
// and benchmarks; no kernel may be running. It panics if this machine lacks l.
func Set(l Level) (previous Level) {
	for _, a := range available {
		if a == l {
			previous, Active = Active, l
			VNNI = hasVNNI && l == AVX512
			return previous
		}
	}
	panic("isa.Set: this machine lacks " + l.String())
}

// WithoutVNNI turns VNNI off until the next [Set] and reports whether it was on.
// It is for tests; no kernel may be running.
func WithoutVNNI() (was bool) {
	was, VNNI = VNNI, false
	return was
}
