package gen

// Kernels over one feature map in NCHW, planes of n elements. See
// kernels/planes.go.

// lanePlanes is the number of planes that LaneMax takes: a comparison of one does
// not wait for that of another.
const lanePlanes = 4

func laneMax(m Machine) {
	m.Func("LaneMax", "func(best *float32, from, lanes *int32, x *float32, n, stride int)",
		"LaneMax computes, for each of four planes x[p*stride:], the maximum over the i < n",
		"of each lane, i = lane modulo the vector length, and the i it came from: the first",
		"of equal ones, the last NaN if there is one; of lanes past n, x[p*stride] and 0.",
		"best and from take four vectors each; lanes holds 0, 1, 2, ... n > 0.")
	n, stride := m.ParamInt("n"), m.ParamInt("stride")
	at, step := m.Copy(m.Load(m.ParamPtr("lanes"), 0)), m.ConstBits(uint32(m.Lanes()))
	lowest := m.ConstBits(negInfBits)
	planes := []Ptr{m.ParamPtr("x")}
	for len(planes) < lanePlanes {
		next := m.CopyPtr(planes[len(planes)-1])
		m.AddPtr(next, stride)
		planes = append(planes, next)
	}
	var best, from []Vec
	for _, p := range planes {
		best, from = append(best, m.LoadBroadcast(p, 0)), append(from, m.Zero())
	}
	m.Strips(n, planes, 1, func(s Strip) {
		for i, p := range planes {
			v := s.Keep(s.Load(p, 0), lowest)
			better := m.OrMask(m.Less(best[i], v), m.IsNaN(v))
			m.SetIf(best[i], better, v)
			m.SetIf(from[i], better, at)
		}
		m.Set(at, m.AddI32(at, step))
	})
	for i := range planes {
		m.Store(m.ParamPtr("best"), i*m.Lanes(), best[i])
		m.Store(m.ParamPtr("from"), i*m.Lanes(), from[i])
	}
	m.Ret()
}

// planeReduction is the frame of PlaneSums and PlaneDots: for each plane, dst =
// the sum of term over n elements of ptrs. Planes shorter than a group of vectors
// are taken several at a time, so that their sums do not wait for each other.
func planeReduction(m Machine, names []string, term func(acc Vec, s Strip, ptrs []Ptr, u int)) {
	dst := m.ParamPtr("dst")
	var ptrs []Ptr
	for _, name := range names {
		ptrs = append(ptrs, m.ParamPtr(name))
	}
	together := min(m.Registers()/2, 16)
	length, short, left := m.ParamInt("n"), m.ParamInt("planes"), m.ParamInt("planes")
	m.While(length, sumsInFlight*m.Lanes(), func() {
		m.SubIntVar(short, short)
		m.SubIntVar(length, length)
	})
	m.While(short, together, func() {
		shortPlanes(m, dst, ptrs, together, term)
		m.SubInt(short, together)
		m.SubInt(left, together)
	})
	m.Repeat(left, func() {
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

// shortPlanes reduces so many planes, whose vectors all go to one accumulator, and
// moves dst and ptrs behind them.
func shortPlanes(m Machine, dst Ptr, ptrs []Ptr, planes int, term func(acc Vec, s Strip, ptrs []Ptr, u int)) {
	acc := make([]Vec, planes)
	for i := range acc {
		acc[i] = m.Zero()
	}
	m.Strips(m.ParamInt("n"), ptrs, 1, func(s Strip) {
		var at []Ptr
		for _, p := range ptrs {
			at = append(at, m.CopyPtr(p))
		}
		stride := m.ParamInt("n")
		for i := range acc {
			term(acc[i], s, at, 0)
			for _, p := range at {
				m.AddPtr(p, stride)
			}
		}
	})
	// Strips has moved ptrs by a plane.
	rest := m.ParamInt("n")
	m.MulInt(rest, planes-1)
	for _, p := range ptrs {
		m.AddPtr(p, rest)
	}
	if planes == 16 && m.Lanes() == 16 {
		m.Store(dst, 0, m.Zero())
		var sums [4][]Vec
		for i := range sums {
			sums[i] = acc[4*i : 4*i+4]
		}
		m.AddSums(dst, 0, sums)
	} else {
		for i, v := range acc {
			m.StoreF32(dst, i, m.SumLanes(v))
		}
	}
	m.AddPtrConst(dst, planes)
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

func planeScale(m Machine, k storeKind) {
	signature, doc := k.ahead("func(dst, x, a *float32, planes, n int",
		"PlaneScale"+k.suffix()+" computes dst[p*n+i] = x[p*n+i]*a[p] for p < planes, i < n.",
		"dst may be x but must not overlap x otherwise, nor a.")
	m.Func("PlaneScale"+k.suffix(), signature, doc...)
	dst, x, a := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("a")
	moving := []Ptr{dst, x}
	fetcher, fetches := m.(prefetcher)
	if fetches = fetches && k.streamed; fetches {
		moving = append(moving, aheadOf(m, x))
	}
	m.Repeat(m.ParamInt("planes"), func() {
		scale := m.LoadBroadcast(a, 0)
		m.Strips(m.ParamInt("n"), moving, 4, func(s Strip) {
			if fetches && !s.partial {
				fetchStrip(m, fetcher, s, moving[2])
			}
			for u := range s.U {
				k.store(s)(dst, u, m.Mul(s.Load(x, u), scale))
			}
		})
		m.AddPtrConst(a, 1)
	})
	k.ret(m)
}

func planeScaleShift(m Machine, k storeKind) {
	signature, doc := k.ahead("func(dst, x, a, b *float32, planes, n int",
		"PlaneScaleShift"+k.suffix()+" computes dst[p*n+i] = x[p*n+i]*a[p] + b[p] for p < planes,",
		"i < n, fused. dst may be x but must not overlap x otherwise, nor a or b.")
	m.Func("PlaneScaleShift"+k.suffix(), signature, doc...)
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	a, b := m.ParamPtr("a"), m.ParamPtr("b")
	moving := []Ptr{dst, x}
	fetcher, fetches := m.(prefetcher)
	if fetches = fetches && k.streamed; fetches {
		moving = append(moving, aheadOf(m, x))
	}
	m.Repeat(m.ParamInt("planes"), func() {
		scale, shift := m.LoadBroadcast(a, 0), m.LoadBroadcast(b, 0)
		m.Strips(m.ParamInt("n"), moving, 4, func(s Strip) {
			if fetches && !s.partial {
				fetchStrip(m, fetcher, s, moving[2])
			}
			for u := range s.U {
				v := s.Load(x, u)
				m.Horner(v, scale, shift)
				k.store(s)(dst, u, v)
			}
		})
		m.AddPtrConst(a, 1)
		m.AddPtrConst(b, 1)
	})
	k.ret(m)
}

func planeFill(m Machine, k storeKind) {
	m.Func("PlaneFill"+k.suffix(), "func(dst, v *float32, planes, n int)",
		k.doc("PlaneFill"+k.suffix()+" computes dst[p*n+i] = v[p] for p < planes, i < n.")...)
	dst, v := m.ParamPtr("dst"), m.ParamPtr("v")
	m.Repeat(m.ParamInt("planes"), func() {
		value := m.LoadBroadcast(v, 0)
		m.Strips(m.ParamInt("n"), []Ptr{dst}, 4, func(s Strip) {
			for u := range s.U {
				k.store(s)(dst, u, value)
			}
		})
		m.AddPtrConst(v, 1)
	})
	k.ret(m)
}
