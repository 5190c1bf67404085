package gen

// Optimizer steps, one pass over weights, gradient and state.

func sgd(m Machine) {
	m.Func("SGD", "func(w, dw *float32, n int, lr, weightDecay float32)",
		"SGD computes w[i] -= lr*(dw[i] + weightDecay*w[i]) for i < n.")
	w, g, n := m.ParamPtr("w"), m.ParamPtr("dw"), m.ParamInt("n")
	lr, decay := m.ParamF32("lr"), m.ParamF32("weightDecay")
	m.Strips(n, []Ptr{w, g}, 4, func(s Strip) {
		for u := range s.U {
			x, d := s.Load(w, u), s.Load(g, u)
			m.AccMulAdd(d, decay, x)
			m.AccMulSub(x, lr, d)
			s.Store(w, u, x)
		}
	})
	m.Ret()
}

func sgdMomentum(m Machine) {
	m.Func("SGDMomentum", "func(w, v, dw *float32, n int, lr, momentum, keep, weightDecay, a, b float32)",
		"SGDMomentum computes, for i < n, d = dw[i] + weightDecay*w[i],",
		"v[i] = momentum*v[i] + keep*d and w[i] -= lr*(a*d + b*v[i]).")
	w, v, g, n := m.ParamPtr("w"), m.ParamPtr("v"), m.ParamPtr("dw"), m.ParamInt("n")
	lr, momentum, keep := m.ParamF32("lr"), m.ParamF32("momentum"), m.ParamF32("keep")
	decay, a, b := m.ParamF32("weightDecay"), m.ParamF32("a"), m.ParamF32("b")
	m.Strips(n, []Ptr{w, v, g}, 2, func(s Strip) {
		for u := range s.U {
			x, d := s.Load(w, u), s.Load(g, u)
			m.AccMulAdd(d, decay, x)
			next := m.Mul(d, keep)
			m.AccMulAdd(next, momentum, s.Load(v, u))
			s.Store(v, u, next)
			step := m.Mul(d, a)
			m.AccMulAdd(step, b, next)
			m.AccMulSub(x, lr, step)
			s.Store(w, u, x)
		}
	})
	m.Ret()
}

func adam(m Machine) {
	m.Func("Adam", "func(w, m, v, dw *float32, n int, f *float32)",
		"Adam computes, for i < n, with f holding beta1, rest1, beta2, rest2, rate, root,",
		"eps, decay and shrink, d = dw[i] + decay*w[i], m[i] = beta1*m[i] + rest1*d,",
		"v[i] = beta2*v[i] + rest2*d*d and",
		"w[i] = shrink*w[i] - rate*m[i]/(sqrt(v[i])*root + eps).")
	w, m1, m2, g, n := m.ParamPtr("w"), m.ParamPtr("m"), m.ParamPtr("v"), m.ParamPtr("dw"), m.ParamInt("n")
	f := m.ParamPtr("f")
	var p [9]Vec
	for i := range p {
		p[i] = m.LoadBroadcast(f, i)
	}
	beta1, rest1, beta2, rest2, rate, root, eps, decay, shrink := p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]
	m.Strips(n, []Ptr{w, m1, m2, g}, 2, func(s Strip) {
		for u := range s.U {
			x, d := s.Load(w, u), s.Load(g, u)
			m.AccMulAdd(d, decay, x)
			first := m.Mul(s.Load(m1, u), beta1)
			m.AccMulAdd(first, rest1, d)
			s.Store(m1, u, first)
			second := m.Mul(s.Load(m2, u), beta2)
			m.AccMulAdd(second, rest2, m.Mul(d, d))
			s.Store(m2, u, second)
			root1 := m.Sqrt(second)
			m.Horner(root1, root, eps)
			x = m.Mul(x, shrink)
			m.AccMulSub(x, rate, m.Div(first, root1))
			s.Store(w, u, x)
		}
	})
	m.Ret()
}

func rmsprop(m Machine) {
	m.Func("RMSprop", "func(w, s, dw *float32, n int, f *float32)",
		"RMSprop computes, for i < n, with f holding alpha, rest, rate, eps and decay,",
		"d = dw[i] + decay*w[i], s[i] = alpha*s[i] + rest*d*d and",
		"w[i] -= rate*d/(sqrt(s[i]) + eps).")
	w, sq, g, n := m.ParamPtr("w"), m.ParamPtr("s"), m.ParamPtr("dw"), m.ParamInt("n")
	f := m.ParamPtr("f")
	var p [5]Vec
	for i := range p {
		p[i] = m.LoadBroadcast(f, i)
	}
	alpha, rest, rate, eps, decay := p[0], p[1], p[2], p[3], p[4]
	m.Strips(n, []Ptr{w, sq, g}, 2, func(s Strip) {
		for u := range s.U {
			x, d := s.Load(w, u), s.Load(g, u)
			m.AccMulAdd(d, decay, x)
			mean := m.Mul(s.Load(sq, u), alpha)
			m.AccMulAdd(mean, rest, m.Mul(d, d))
			s.Store(sq, u, mean)
			m.AccMulSub(x, rate, m.Div(d, m.Add(m.Sqrt(mean), eps)))
			s.Store(w, u, x)
		}
	})
	m.Ret()
}
