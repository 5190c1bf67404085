//go:build !purego

package isa

import "golang.org/x/sys/cpu"

// detect returns the levels above Generic, in ascending order.
//
// AVX2 stands for the Haswell set: AVX2, FMA and BMI2. AVX512 asks for the five feature bits together, the set every server core
// since Skylake-SP and Zen 4 has: x/sys's HasAVX512 alone means F and operating
// system support only.
func detect() []Level {
	x := &cpu.X86
	if !(x.HasAVX && x.HasAVX2 && x.HasFMA && x.HasBMI2) {
		return nil
	}
	levels := []Level{AVX2}
	if x.HasAVX512F && x.HasAVX512CD && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		levels = append(levels, AVX512)
	}
	return levels
}

func detectVNNI() bool { return cpu.X86.HasAVX512VNNI }
