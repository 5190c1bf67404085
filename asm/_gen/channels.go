package gen

// Kernels over one feature map in NHWC, rows x c with a distance of stride
// elements between rows, and in NCHW, planes of n elements. See kernels/channels.go
// and kernels/planes.go.

// columns runs body over n columns in strips of 4, 2 and 1 vectors and the
// partial one, advancing ptrs.
func columns(m Machine, n Int, ptrs []Ptr, body func(s Strip)) {
	for _, u := range []int{4, 2} {
		m.While(n, u*m.Lanes(), func() {
			body(Strip{U: u, m: m.(stripMachine)})
			for _, p := range ptrs {
				m.AddPtrConst(p, u*m.Lanes())
			}
			m.SubInt(n, u*m.Lanes())
		})
	}
	m.Strips(n, ptrs, 1, body)
}

// sumsInFlight hides the latency of an addition or a fused multiply-add.
const sumsInFlight = 8

// sumRows returns, in acc, the sums over rows of term, for a strip: row i of a
// group goes to accumulator set i, and the sets are added in halves.
func sumRows(m Machine, s Strip, rows Int, stride func() Int, ptrs []Ptr, term func(acc Vec, ptrs []Ptr, u int)) []Vec {
	sets := sumsInFlight / s.U
	acc := make([][]Vec, sets)
	for i := range acc {
		for range s.U {
			acc[i] = append(acc[i], m.Zero())
		}
	}
	var at []Ptr
	for _, p := range ptrs {
		at = append(at, m.CopyPtr(p))
	}
	left := m.CopyInt(rows)
	group := func(size int) {
		m.While(left, size, func() {
			step := stride()
			for i := range size {
				for u := range s.U {
					term(acc[i][u], at, u)
				}
				for _, p := range at {
					m.AddPtr(p, step)
				}
			}
			m.SubInt(left, size)
		})
	}
	group(sets)
	group(1)
	for half := sets / 2; half > 0; half /= 2 {
		for i := range half {
			for u := range s.U {
				acc[i][u] = m.Add(acc[i][u], acc[i+half][u])
			}
		}
	}
	return acc[0]
}

func channelSums(m Machine) {
	m.Func("ChannelSums", "func(dst, x *float32, rows, c, stride int)",
		"ChannelSums computes dst[j] += sum of x[i*stride+j] over i < rows, for j < c.",
		"Rows go round-robin to 2, 4 or 8 partial sums, which are added in halves.",
		"dst must not overlap x.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, c, []Ptr{dst, x}, func(s Strip) {
		sums := sumRows(m, s, rows, func() Int { return m.ParamInt("stride") }, []Ptr{x}, func(acc Vec, at []Ptr, u int) {
			m.Set(acc, m.Add(acc, s.Load(at[0], u)))
		})
		for u, v := range sums {
			s.Store(dst, u, m.Add(s.Load(dst, u), v))
		}
	})
	m.Ret()
}

func channelDots(m Machine) {
	m.Func("ChannelDots", "func(dst, x, y *float32, rows, c, stride int)",
		"ChannelDots computes dst[j] += sum of x[i*stride+j]*y[i*stride+j] over",
		"i < rows, for j < c, with fused multiply-adds. Rows go round-robin to 2, 4 or",
		"8 partial sums, which are added in halves. dst must not overlap x or y.")
	dst, x, y := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("y")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, c, []Ptr{dst, x, y}, func(s Strip) {
		sums := sumRows(m, s, rows, func() Int { return m.ParamInt("stride") }, []Ptr{x, y}, func(acc Vec, at []Ptr, u int) {
			m.AccMulAdd(acc, s.Load(at[0], u), s.Load(at[1], u))
		})
		for u, v := range sums {
			s.Store(dst, u, m.Add(s.Load(dst, u), v))
		}
	})
	m.Ret()
}

// mapRows stores f of every vector of a strip of rows of x to dst.
func mapRows(m Machine, s Strip, rows Int, dst, x Ptr, f func(v Vec, u int) Vec) {
	d, p := m.CopyPtr(dst), m.CopyPtr(x)
	m.Repeat(rows, func() {
		for u := range s.U {
			s.Store(d, u, f(s.Load(p, u), u))
		}
		step := m.ParamInt("stride")
		m.AddPtr(d, step)
		m.AddPtr(p, step)
	})
}

func channelScale(m Machine) {
	m.Func("ChannelScale", "func(dst, x, a *float32, rows, c, stride int)",
		"ChannelScale computes dst[i*stride+j] = x[i*stride+j]*a[j] for i < rows, j < c.",
		"dst may be x but must not overlap x otherwise, nor a.")
	dst, x, a := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("a")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, c, []Ptr{dst, x, a}, func(s Strip) {
		var scale []Vec
		for u := range s.U {
			scale = append(scale, s.Load(a, u))
		}
		mapRows(m, s, rows, dst, x, func(v Vec, u int) Vec { return m.Mul(v, scale[u]) })
	})
	m.Ret()
}

func channelScaleShift(m Machine) {
	m.Func("ChannelScaleShift", "func(dst, x, a, b *float32, rows, c, stride int)",
		"ChannelScaleShift computes dst[i*stride+j] = x[i*stride+j]*a[j] + b[j] for",
		"i < rows, j < c, fused. dst may be x but must not overlap x otherwise, nor a",
		"or b.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	a, b := m.ParamPtr("a"), m.ParamPtr("b")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, c, []Ptr{dst, x, a, b}, func(s Strip) {
		var scale, shift []Vec
		for u := range s.U {
			scale, shift = append(scale, s.Load(a, u)), append(shift, s.Load(b, u))
		}
		mapRows(m, s, rows, dst, x, func(v Vec, u int) Vec {
			m.Horner(v, scale[u], shift[u])
			return v
		})
	})
	m.Ret()
}

func channelFill(m Machine) {
	m.Func("ChannelFill", "func(dst, v *float32, rows, c, stride int)",
		"ChannelFill computes dst[i*stride+j] = v[j] for i < rows, j < c.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("v")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, c, []Ptr{dst, x}, func(s Strip) {
		var v []Vec
		for u := range s.U {
			v = append(v, s.Load(x, u))
		}
		d := m.CopyPtr(dst)
		m.Repeat(rows, func() {
			for u := range s.U {
				s.Store(d, u, v[u])
			}
			m.AddPtr(d, m.ParamInt("stride"))
		})
	})
	m.Ret()
}

// planeReduction is the frame of PlaneSums and PlaneDots: for each plane, dst =
// the sum of term over n elements of ptrs.
func planeReduction(m Machine, names []string, term func(acc Vec, s Strip, ptrs []Ptr, u int)) {
	dst := m.ParamPtr("dst")
	var ptrs []Ptr
	for _, name := range names {
		ptrs = append(ptrs, m.ParamPtr(name))
	}
	m.Repeat(m.ParamInt("planes"), func() {
		acc := make([]Vec, sumsInFlight)
		for i := range acc {
			acc[i] = m.Zero()
		}
		m.Strips(m.ParamInt("n"), ptrs, sumsInFlight, func(s Strip) {
			for u := range s.U {
				term(acc[u], s, ptrs, u)
			}
		})
		for half := len(acc) / 2; half > 0; half /= 2 {
			for i := range half {
				acc[i] = m.Add(acc[i], acc[i+half])
			}
		}
		m.StoreF32(dst, 0, m.SumLanes(acc[0]))
		m.AddPtrConst(dst, 1)
	})
	m.Ret()
}

func planeSums(m Machine) {
	m.Func("PlaneSums", "func(dst, x *float32, planes, n int)",
		"PlaneSums computes dst[p] = sum of x[p*n+i] over i < n, for p < planes.",
		"Groups of 8 vectors go to 8 accumulators, the vectors behind the last group",
		"to the first of them; accumulators and then lanes are added in halves.",
		"dst must not overlap x.")
	planeReduction(m, []string{"x"}, func(acc Vec, s Strip, p []Ptr, u int) {
		m.Set(acc, m.Add(acc, s.Load(p[0], u)))
	})
}

func planeDots(m Machine) {
	m.Func("PlaneDots", "func(dst, x, y *float32, planes, n int)",
		"PlaneDots computes dst[p] = sum of x[p*n+i]*y[p*n+i] over i < n, for",
		"p < planes, with fused multiply-adds, in the order of PlaneSums.",
		"dst must not overlap x or y.")
	planeReduction(m, []string{"x", "y"}, func(acc Vec, s Strip, p []Ptr, u int) {
		m.AccMulAdd(acc, s.Load(p[0], u), s.Load(p[1], u))
	})
}

func planeScale(m Machine) {
	m.Func("PlaneScale", "func(dst, x, a *float32, planes, n int)",
		"PlaneScale computes dst[p*n+i] = x[p*n+i]*a[p] for p < planes, i < n.",
		"dst may be x but must not overlap x otherwise, nor a.")
	dst, x, a := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("a")
	m.Repeat(m.ParamInt("planes"), func() {
		scale := m.LoadBroadcast(a, 0)
		m.Strips(m.ParamInt("n"), []Ptr{dst, x}, 4, func(s Strip) {
			for u := range s.U {
				s.Store(dst, u, m.Mul(s.Load(x, u), scale))
			}
		})
		m.AddPtrConst(a, 1)
	})
	m.Ret()
}

func planeScaleShift(m Machine) {
	m.Func("PlaneScaleShift", "func(dst, x, a, b *float32, planes, n int)",
		"PlaneScaleShift computes dst[p*n+i] = x[p*n+i]*a[p] + b[p] for p < planes,",
		"i < n, fused. dst may be x but must not overlap x otherwise, nor a or b.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	a, b := m.ParamPtr("a"), m.ParamPtr("b")
	m.Repeat(m.ParamInt("planes"), func() {
		scale, shift := m.LoadBroadcast(a, 0), m.LoadBroadcast(b, 0)
		m.Strips(m.ParamInt("n"), []Ptr{dst, x}, 4, func(s Strip) {
			for u := range s.U {
				v := s.Load(x, u)
				m.Horner(v, scale, shift)
				s.Store(dst, u, v)
			}
		})
		m.AddPtrConst(a, 1)
		m.AddPtrConst(b, 1)
	})
	m.Ret()
}

func planeFill(m Machine) {
	m.Func("PlaneFill", "func(dst, v *float32, planes, n int)",
		"PlaneFill computes dst[p*n+i] = v[p] for p < planes, i < n.")
	dst, v := m.ParamPtr("dst"), m.ParamPtr("v")
	m.Repeat(m.ParamInt("planes"), func() {
		value := m.LoadBroadcast(v, 0)
		m.Strips(m.ParamInt("n"), []Ptr{dst}, 4, func(s Strip) {
			for u := range s.U {
				s.Store(dst, u, value)
			}
		})
		m.AddPtrConst(v, 1)
	})
	m.Ret()
}
