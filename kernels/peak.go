package kernels

// FMALoop performs independent multiply-adds on registers, rounds times a dozen
// instructions of the active ISA, and returns how many floating-point
// operations that is, two to a multiply-add. Timing it gives the ceiling of one
// core.
func FMALoop(rounds int) (flops float64) {
	const perRound = 2 * 12
	rounds = max(0, rounds)
	return perRound * float64(rounds) * float64(fmaLoop(rounds))
}

// fmaLoopGeneric returns the number of lanes, as the machine code's arms do.
func fmaLoopGeneric(rounds int) (lanes int) {
	// Zero, but not so that the compiler knows.
	x := float32(rounds) * 0
	var s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 float32
	for range rounds {
		s0 += x * x
		s1 += x * x
		s2 += x * x
		s3 += x * x
		s4 += x * x
		s5 += x * x
		s6 += x * x
		s7 += x * x
		s8 += x * x
		s9 += x * x
		s10 += x * x
		s11 += x * x
	}
	if s0+s1+s2+s3+s4+s5+s6+s7+s8+s9+s10+s11 != 0 {
		return 0
	}
	return 1
}
