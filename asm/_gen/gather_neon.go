package gen

import "fmt"

// The class statistics of gather.go for NEON: four channels are one vector of
// float32 and two of float64.

// A wideNEON is the float64 side of the arm64 machine. A group is four channels,
// or one in lane 0 while scalar is set, whose other lane stays zero.
type wideNEON struct {
	*arm64
	scalar bool
}

// loadF32 loads group u of float32 and widens it.
func (w wideNEON) loadF32(p Ptr, u int) []Vec {
	if w.scalar {
		return []Vec{{w.narrow(encFCVTL, w.loadLane(p, 0))}}
	}
	v := vr(w.Load(p, 4*u).op)
	return []Vec{{w.narrow(encFCVTL, v)}, {w.narrow(encFCVTL2, v)}}
}

// storeF32 rounds group u to float32 and stores it.
func (w wideNEON) storeF32(p Ptr, u int, v []Vec) {
	d := w.narrow(encFCVTN, vr(v[0].op))
	if w.scalar {
		w.StoreF32(p, 0, Vec{d})
		return
	}
	w.update(d, []vreg{vr(v[1].op)}, func(r []int) string { return encFCVTN2.encode(r[0], r[1]).String() })
	w.Store(p, 4*u, Vec{d})
}

func (w wideNEON) loadF64(p Ptr, u int) []Vec {
	if w.scalar {
		v := w.newV()
		w.op([]vreg{v}, []vreg{vr(p.op)}, asmf("FMOVD (R%[2]d), F%[1]d"))
		return []Vec{{v}}
	}
	return []Vec{w.Load(p, 8*u), w.Load(p, 8*u+4)} // counted in float32
}

func (w wideNEON) storeF64(p Ptr, u int, v []Vec) {
	if w.scalar {
		w.op(nil, []vreg{vr(v[0].op), vr(p.op)}, asmf("FMOVD F%[1]d, (R%[2]d)"))
		return
	}
	w.Store(p, 8*u, v[0])
	w.Store(p, 8*u+4, v[1])
}

// paramF64 returns a float64 parameter in both lanes.
func (w wideNEON) paramF64(name string) Vec {
	v, d := w.newV(), w.newV()
	w.op([]vreg{v}, nil, asmf("FMOVD "+w.symbol(name)+", F%d"))
	w.op([]vreg{d}, []vreg{v}, func(r []int) string { return encDUPDouble(r[0], r[1]).String() })
	return Vec{d}
}

// channels runs body over n channels: four groups at a time, one, and single
// channels. singles and doubles are pointers to float32 and float64 that follow.
func (w wideNEON) channels(n Int, singles, doubles []Ptr, body func(w wideNEON, groups int)) {
	for _, width := range []int{16, 4, 1} {
		w.scalar = width == 1
		w.While(n, width, func() {
			body(w, max(1, width/4))
			for _, p := range singles {
				w.AddPtrConst(p, width)
			}
			for _, p := range doubles {
				w.AddPtrConst(p, 2*width)
			}
			w.SubInt(n, width)
		})
	}
}

// rows runs body for each of the n rows of the index list, row being its first
// element seen from a.
func (w wideNEON) rows(a, list Ptr, n, c Int, body func(row Ptr)) {
	at := w.CopyPtr(list)
	w.Repeat(n, func() {
		i, row := w.newR(), w.newR()
		w.op([]vreg{i}, []vreg{vr(at.op)}, asmf("MOVW (R%[2]d), R%[1]d"))
		w.update(i, []vreg{vr(c.op)}, asmf("MUL R%[2]d, R%[1]d, R%[1]d"))
		w.op([]vreg{row}, []vreg{i, vr(a.op)}, asmf("ADD R%[2]d<<2, R%[3]d, R%[1]d"))
		body(Ptr{op: row})
		w.AddPtrConst(at, 1)
	})
}

func gatherMeanNEON(m *arm64) {
	m.Func("GatherMean", "func(mean *float64, a *float32, rows *int32, n, c int, inv float64)",
		"GatherMean sets mean[k], k < c, to inv times the sum over i < n, in order, of",
		"a[rows[i]*c+k] in float64. n > 0.")
	w := wideNEON{arm64: m}
	mean, a, list := m.ParamPtr("mean"), m.ParamPtr("a"), m.ParamPtr("rows")
	n, c, inv := m.ParamInt("n"), m.ParamInt("c"), w.paramF64("inv")
	w.channels(m.CopyInt(c), []Ptr{a}, []Ptr{mean}, func(w wideNEON, groups int) {
		acc := make([][]Vec, groups)
		for u := range acc {
			acc[u] = []Vec{w.Zero()}
			if !w.scalar {
				acc[u] = append(acc[u], w.Zero())
			}
		}
		w.rows(a, list, n, c, func(row Ptr) {
			for u := range acc {
				for i, x := range w.loadF32(row, u) {
					w.Set(acc[u][i], w.three(encFADDDouble, acc[u][i], x))
				}
			}
		})
		for u := range acc {
			for i := range acc[u] {
				acc[u][i] = w.three(encFMULDouble, acc[u][i], inv)
			}
			w.storeF64(mean, u, acc[u])
		}
	})
	m.Ret()
}

func gatherSquaresNEON(m *arm64) {
	m.Func("GatherSquares", "func(a *float32, mean *float64, rows *int32, n, c int) float64",
		"GatherSquares returns the sum over i < n and k < c of (a[rows[i]*c+k]-mean[k])² in",
		"float64. Pair j of the channels goes to accumulator j mod 8, pairs behind the last",
		"group of 8 to accumulators 0 and 1, single channels to 0; accumulators are added in",
		"halves, then the two lanes.")
	w := wideNEON{arm64: m}
	a, mean, list := m.ParamPtr("a"), m.ParamPtr("mean"), m.ParamPtr("rows")
	n, c := m.ParamInt("n"), m.ParamInt("c")
	var acc [8]Vec
	for i := range acc {
		acc[i] = w.Zero()
	}
	w.channels(m.CopyInt(c), []Ptr{a}, []Ptr{mean}, func(w wideNEON, groups int) {
		var center [][]Vec
		for u := range groups {
			center = append(center, w.loadF64(mean, u))
		}
		w.rows(a, list, n, c, func(row Ptr) {
			for u := range center {
				for i, x := range w.loadF32(row, u) {
					d := w.three(encFSUBDouble, x, center[u][i])
					w.accumulate(encFMLADouble, acc[2*u+i], d, d)
				}
			}
		})
	})
	for half := 4; half > 0; half /= 2 {
		for i := range half {
			acc[i] = w.three(encFADDDouble, acc[i], acc[i+half])
		}
	}
	high := m.newV()
	m.op([]vreg{high}, []vreg{vr(acc[0].op)}, func(r []int) string { return encEXT(r[0], r[1], r[1], 8).String() })
	total := w.three(encFADDDouble, acc[0], Vec{high})
	m.op(nil, []vreg{vr(total.op)}, asmf(fmt.Sprintf("FMOVD F%%d, %s", m.symbol("ret"))))
	m.Ret()
}

func scaleShiftNEON(m *arm64) {
	m.Func("ScaleShiftF64", "func(dst, x *float32, shift *float64, n int, slope float64)",
		"ScaleShiftF64 computes dst[k] = float32(slope*x[k] - shift[k]) for k < n, the inside in",
		"float64 with one rounding. dst and x may be equal.")
	w := wideNEON{arm64: m}
	dst, x, shift := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("shift")
	n, slope := m.ParamInt("n"), w.paramF64("slope")
	w.channels(n, []Ptr{dst, x}, []Ptr{shift}, func(w wideNEON, groups int) {
		for u := range groups {
			v, out := w.loadF32(x, u), w.loadF64(shift, u)
			for i := range out {
				out[i] = w.two(encFNEGDouble, out[i])
				w.accumulate(encFMLADouble, out[i], slope, v[i])
			}
			w.storeF32(dst, u, out)
		}
	})
	m.Ret()
}
