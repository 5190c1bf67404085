package gen

// Vector kernels: one pass over one or two slices.

func axpy(m Machine) {
	m.Func("Axpy", "func(alpha float32, x, y *float32, n int)",
		"Axpy computes y[i] += alpha*x[i] for i < n, one fused multiply-add each.",
		"x and y may be equal but must not overlap otherwise.")
	alpha := m.ParamF32("alpha")
	x, y, n := m.ParamPtr("x"), m.ParamPtr("y"), m.ParamInt("n")
	m.Strips(n, []Ptr{x, y}, 4, func(s Strip) {
		for u := range s.U {
			v := s.Load(y, u)
			m.AccMulAdd(v, alpha, s.Load(x, u))
			s.Store(y, u, v)
		}
	})
	m.Ret()
}

// dotAccumulators hides the latency of a fused multiply-add: 4 cycles at two a
// cycle.
const dotAccumulators = 8

func dot(m Machine) {
	m.Func("Dot", "func(x, y *float32, n int) float32",
		"Dot returns the sum of x[i]*y[i] for i < n.",
		"Vector i of the input goes to accumulator i mod 8, the rest behind the last",
		"group of 8 to accumulator 0; accumulators and then lanes are added in halves.")
	x, y, n := m.ParamPtr("x"), m.ParamPtr("y"), m.ParamInt("n")
	acc := make([]Vec, dotAccumulators)
	for i := range acc {
		acc[i] = m.Zero()
	}
	m.Strips(n, []Ptr{x, y}, dotAccumulators, func(s Strip) {
		for u := range s.U {
			m.AccMulAdd(acc[u], s.Load(x, u), s.Load(y, u))
		}
	})
	for half := len(acc) / 2; half > 0; half /= 2 {
		for i := range half {
			acc[i] = m.Add(acc[i], acc[i+half])
		}
	}
	m.ReturnF32(m.SumLanes(acc[0]))
}
