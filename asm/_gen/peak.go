package gen

// peakAccumulators hides the latency of a fused multiply-add on every CPU in
// sight: 4 to 5 cycles at two a cycle.
const peakAccumulators = 12

// fmaLoop is the ceiling that benchmarks compare with.
func fmaLoop(m Machine) {
	m.Func("FMALoop", "func(n int)",
		"FMALoop performs n rounds of 12 independent vector fused multiply-adds on",
		"registers, n >= 0.")
	n, x := m.ParamInt("n"), m.Zero()
	acc := make([]Vec, peakAccumulators)
	for i := range acc {
		acc[i] = m.Zero()
	}
	m.Repeat(n, func() {
		for _, a := range acc {
			m.AccMulAdd(a, x, x)
		}
	})
	m.Ret()
}
