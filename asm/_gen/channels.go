package gen

// Kernels over one feature map in NHWC, rows x c with a distance of stride
// elements between rows. See kernels/channels.go.

// columns runs body over n columns in strips of widest vectors, of half as many
// and so on, and the partial one, advancing ptrs.
func columns(m Machine, widest int, n Int, ptrs []Ptr, body func(s Strip)) {
	for u := widest; u > 1; u /= 2 {
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

// widestStrip is the number of vectors of a strip that keeps so many registers for
// each of them: half of all on amd64, where narrow strips of wide maps are half as
// fast, since prefetchers do not follow them.
func widestStrip(m Machine, registers int) int {
	if !foldsLoads(m) {
		return 4
	}
	return m.Registers() / 2 / registers
}

// sumRows returns, in acc, the sums over rows of term, for a strip: row i of a
// group goes to accumulator set i, and the sets are added in halves.
func sumRows(m Machine, s Strip, rows Int, stride func() Int, ptrs []Ptr, term func(acc Vec, ptrs []Ptr, u int)) []Vec {
	sets := max(1, sumsInFlight/s.U)
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
	columns(m, widestStrip(m, 1), c, []Ptr{dst, x}, func(s Strip) {
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
	columns(m, widestStrip(m, 1), c, []Ptr{dst, x, y}, func(s Strip) {
		sums := sumRows(m, s, rows, func() Int { return m.ParamInt("stride") }, []Ptr{x, y}, func(acc Vec, at []Ptr, u int) {
			m.AccMulAdd(acc, s.Load(at[0], u), s.Load(at[1], u))
		})
		for u, v := range sums {
			s.Store(dst, u, m.Add(s.Load(dst, u), v))
		}
	})
	m.Ret()
}

// A storeKind is how a kernel stores its result: through the caches or past them.
type storeKind struct{ streamed bool }

func (k storeKind) suffix() string {
	if k.streamed {
		return "Stream"
	}
	return ""
}

// doc returns the stub's comment.
func (k storeKind) doc(lines ...string) []string {
	if k.streamed {
		lines = append(lines,
			"Stores pass the caches: dst must be aligned to a vector, and strides, rows and",
			"planes be whole vectors.")
	}
	return lines
}

// store returns s.Store or s.Stream.
func (k storeKind) store(s Strip) func(p Ptr, u int, v Vec) {
	if k.streamed {
		return s.Stream
	}
	return s.Store
}

// ret ends a kernel that stores this way.
func (k storeKind) ret(m Machine) {
	if k.streamed {
		m.StreamEnd()
	}
	m.Ret()
}

// storing makes the emitter of programs that store one way.
func storing(k storeKind, programs ...func(m Machine, k storeKind)) func(Machine) {
	return func(m Machine) {
		for _, p := range programs {
			p(m, k)
		}
	}
}

// mapColumns is the frame of kernels that store f of every element of rows of maps
// and of the vectors a of c elements. Where arithmetic takes an operand from the
// first-level cache for nothing, it goes row by row, one stream of addresses for
// each map; else strip by strip, with the vectors in registers.
//
// A rowCounter, if not nil, counts the rows.
func mapColumns(m Machine, k storeKind, rows, c Int, dst Ptr, maps, vectors []Ptr, counter *rowCounter, f func(maps, vectors []Vec) Vec) {
	var soon []Ptr // what will be read, where the kernel streams
	fetcher, fetches := m.(prefetcher)
	if fetches = fetches && k.streamed && len(maps) > 0; fetches {
		soon = []Ptr{aheadOf(m, maps[0])}
	}
	store := func(s Strip, at []Ptr, vec func(i, u int) Vec) {
		if fetches && !s.partial {
			fetchStrip(m, fetcher, s, soon[0])
		}
		for u := range s.U {
			var in, v []Vec
			for _, p := range at[1:] {
				in = append(in, s.Load(p, u))
			}
			for i := range vectors {
				v = append(v, vec(i, u))
			}
			k.store(s)(at[0], u, f(in, v))
		}
	}
	moving := append([]Ptr{dst}, maps...)
	all := append(append([]Ptr{}, moving...), vectors...)
	if foldsLoads(m) {
		gap := m.ParamInt("stride")
		m.SubIntVar(gap, c)
		counter.start(m)
		m.Repeat(rows, func() {
			m.Strips(m.CopyInt(c), append(soon, all...), 4, func(s Strip) {
				store(s, moving, func(i, u int) Vec { return s.Load(vectors[i], u) })
			})
			for _, p := range append(soon, moving...) {
				m.AddPtr(p, gap)
			}
			for _, p := range vectors {
				m.SubPtr(p, c)
			}
			counter.count(m)
		})
		return
	}
	columns(m, 4, c, all, func(s Strip) {
		held := make([][]Vec, len(vectors))
		for i, p := range vectors {
			for u := range s.U {
				held[i] = append(held[i], s.Load(p, u))
			}
		}
		var at []Ptr
		for _, p := range moving {
			at = append(at, m.CopyPtr(p))
		}
		counter.start(m)
		m.Repeat(rows, func() {
			store(s, at, func(i, u int) Vec { return held[i][u] })
			step := m.ParamInt("stride")
			for _, p := range at {
				m.AddPtr(p, step)
			}
			counter.count(m)
		})
	})
}

// aheadOf returns the parameter ahead's distance behind p.
func aheadOf(m Machine, p Ptr) Ptr {
	soon := m.CopyPtr(p)
	m.AddPtr(soon, m.ParamInt("ahead"))
	return soon
}

// fetchStrip asks for the lines of a strip at p.
func fetchStrip(m Machine, fetcher prefetcher, s Strip, p Ptr) {
	for at := 0; at < s.U*m.Lanes(); at += lineFloats {
		fetcher.Prefetch(p, at)
	}
}

// ahead adds what only a kernel that streams has to a list of parameters and a
// comment.
func (k storeKind) ahead(params string, doc ...string) (string, []string) {
	doc = k.doc(doc...)
	if !k.streamed {
		return params + ")", doc
	}
	return params + ", ahead int)", append(doc, "What lies ahead elements behind x is prefetched as x is read.")
}

// A rowCounter holds the number of the row, the parameter first being that of the
// first row, in every lane.
type rowCounter struct{ row, one Vec }

func (r *rowCounter) start(m Machine) {
	if r != nil {
		r.row, r.one = m.Copy(m.ParamI32("first")), m.ConstBits(1)
	}
}

func (r *rowCounter) count(m Machine) {
	if r != nil {
		m.Set(r.row, m.AddI32(r.row, r.one))
	}
}

// foldsLoads reports whether arithmetic can take an operand from memory.
func foldsLoads(m Machine) bool { _, ok := m.(*amd64); return ok }

func channelScale(m Machine, k storeKind) {
	signature, doc := k.ahead("func(dst, x, a *float32, rows, c, stride int",
		"ChannelScale"+k.suffix()+" computes dst[i*stride+j] = x[i*stride+j]*a[j] for i < rows, j < c.",
		"dst may be x but must not overlap x otherwise, nor a.")
	m.Func("ChannelScale"+k.suffix(), signature, doc...)
	dst, x, a := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("a")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	mapColumns(m, k, rows, c, dst, []Ptr{x}, []Ptr{a}, nil, func(x, v []Vec) Vec { return m.Mul(x[0], v[0]) })
	k.ret(m)
}

func channelScaleShift(m Machine, k storeKind) {
	signature, doc := k.ahead("func(dst, x, a, b *float32, rows, c, stride int",
		"ChannelScaleShift"+k.suffix()+" computes dst[i*stride+j] = x[i*stride+j]*a[j] + b[j] for",
		"i < rows, j < c, fused. dst may be x but must not overlap x otherwise, nor a",
		"or b.")
	m.Func("ChannelScaleShift"+k.suffix(), signature, doc...)
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	a, b := m.ParamPtr("a"), m.ParamPtr("b")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	mapColumns(m, k, rows, c, dst, []Ptr{x}, []Ptr{a, b}, nil, func(x, v []Vec) Vec {
		m.Horner(x[0], v[0], v[1])
		return x[0]
	})
	k.ret(m)
}

func channelFill(m Machine, k storeKind) {
	m.Func("ChannelFill"+k.suffix(), "func(dst, v *float32, rows, c, stride int)",
		k.doc("ChannelFill"+k.suffix()+" computes dst[i*stride+j] = v[j] for i < rows, j < c.")...)
	dst, x := m.ParamPtr("dst"), m.ParamPtr("v")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	mapColumns(m, k, rows, c, dst, nil, []Ptr{x}, nil, func(_, v []Vec) Vec { return v[0] })
	k.ret(m)
}

func channelPick(m Machine, k storeKind) {
	m.Func("ChannelPick"+k.suffix(), "func(dst, v *float32, index *int32, rows, c, stride int, first int32)",
		k.doc("ChannelPick"+k.suffix()+" computes dst[i*stride+j] = v[j] if index[j] is first+i, else 0, for",
			"i < rows, j < c.")...)
	dst, v, index := m.ParamPtr("dst"), m.ParamPtr("v"), m.ParamPtr("index")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	zero, counter := m.Zero(), &rowCounter{}
	mapColumns(m, k, rows, c, dst, nil, []Ptr{v, index}, counter, func(_, v []Vec) Vec {
		return m.Select(m.EqualI32(v[1], counter.row), v[0], zero)
	})
	k.ret(m)
}

func channelMax(m Machine) {
	m.Func("ChannelMax", "func(dst, x *float32, rows, c, stride int)",
		"ChannelMax computes dst[j] = the maximum of dst[j] and x[i*stride+j] over",
		"i < rows, for j < c, NaN if one is NaN. dst must not overlap x.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	columns(m, widestStrip(m, 1), c, []Ptr{dst, x}, func(s Strip) {
		var best []Vec
		for u := range s.U {
			best = append(best, m.Copy(s.Load(dst, u)))
		}
		p := m.CopyPtr(x)
		m.Repeat(rows, func() {
			for u, b := range best {
				v := s.Load(p, u)
				// Max keeps the old one if v is NaN.
				m.Set(b, m.Max(v, b))
				m.SetIf(b, m.IsNaN(v), v)
			}
			m.AddPtr(p, m.ParamInt("stride"))
		})
		for u, b := range best {
			s.Store(dst, u, b)
		}
	})
	m.Ret()
}

func channelMaxIndex(m Machine) {
	m.Func("ChannelMaxIndex", "func(dst *float32, index *int32, x *float32, rows, c, stride int, first int32, ahead int)",
		"ChannelMaxIndex computes dst[j] = the maximum of dst[j] and x[i*stride+j] over",
		"i < rows, for j < c, and sets index[j] = first+i where that is x[i*stride+j]:",
		"the first that is greater than all before it, the last NaN if there is one. With",
		"ahead > 0, rows*stride, what follows x is prefetched.")
	dst, index, x := m.ParamPtr("dst"), m.ParamPtr("index"), m.ParamPtr("x")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	widest := widestStrip(m, 2)
	fetcher, fetches := m.(prefetcher)
	var next Int
	if fetches {
		next = m.ParamInt("ahead")
	}
	columns(m, widest, c, []Ptr{dst, index, x}, func(s Strip) {
		var best, from []Vec
		for u := range s.U {
			best, from = append(best, m.Copy(s.Load(dst, u))), append(from, m.Copy(s.Load(index, u)))
		}
		row, one := m.Copy(m.ParamI32("first")), m.ConstBits(1)
		p := m.CopyPtr(x)
		loop := func(fetch bool) {
			m.Repeat(rows, func() {
				if fetch {
					behind := m.ParamPtr("x")
					m.AddPtr(behind, next)
					for at := 0; at < s.U*m.Lanes(); at += lineFloats {
						fetcher.Prefetch(behind, at)
					}
					m.AddInt(next, s.U*m.Lanes())
				}
				for u := range s.U {
					v := s.Load(p, u)
					better := m.OrMask(m.Less(best[u], v), m.IsNaN(v))
					m.SetIf(best[u], better, v)
					m.SetIf(from[u], better, row)
				}
				m.Set(row, m.AddI32(row, one))
				m.AddPtr(p, m.ParamInt("stride"))
			})
		}
		if fetches && s.U == widest {
			m.IfZero(m.ParamInt("ahead"), func() { loop(false) })
			m.IfNotZero(m.ParamInt("ahead"), func() { loop(true) })
		} else {
			loop(false)
		}
		for u := range s.U {
			s.Store(dst, u, best[u])
			s.Store(index, u, from[u])
		}
	})
	m.Ret()
}
