package gen

import "fmt"

// The class statistics of gather.go for NEON: four channels are one vector of
// float32 and two of float64.

// A wideNEON is the float64 side of the arm64 machine. Of a single channel lane 0 is
// used and the other stays zero.
type wideNEON struct{ *arm64 }

// widened runs body for each vector of float64 that a strip of float32 at p makes.
func (w wideNEON) widened(p Ptr, channels int, body func(i int, x Vec)) {
	step := min(channels, 8)
	for at := 0; at < channels; at += step {
		i := at / 2
		for _, v := range w.loadPart(p, at, step) {
			body(i, Vec{w.narrow(encFCVTL, vr(v.op))})
			if channels > 1 {
				body(i+1, Vec{w.narrow(encFCVTL2, vr(v.op))})
			}
			i += 2
		}
	}
}

// round turns a strip of float64 into float32.
func (w wideNEON) round(doubles []Vec) (singles []Vec) {
	for i, v := range doubles {
		if i%2 == 0 {
			singles = append(singles, Vec{w.narrow(encFCVTN, vr(v.op))})
			continue
		}
		w.update(vr(singles[i/2].op), []vreg{vr(v.op)}, func(r []int) string { return encFCVTN2.encode(r[0], r[1]).String() })
	}
	return singles
}

// loadF64 loads a strip of float64.
func (w wideNEON) loadF64(p Ptr, channels int) []Vec {
	if channels == 1 {
		v := w.newV()
		w.op([]vreg{v}, []vreg{vr(p.op)}, asmf("FMOVD (R%[2]d), F%[1]d"))
		return []Vec{{v}}
	}
	return w.loadStrip(p, 2*channels) // counted in float32
}

// storeF64 is the reverse of loadF64 and moves p on.
func (w wideNEON) storeF64(p Ptr, v []Vec, channels int) {
	if channels == 1 {
		w.update(vr(p.op), []vreg{vr(v[0].op)}, asmf("FMOVD.P F%[2]d, 8(R%[1]d)"))
		return
	}
	w.storeStrip(p, v, 2*channels)
}

// paramF64 loads a float64 parameter.
func (w wideNEON) paramF64(name string) vreg {
	v := w.newV()
	w.op([]vreg{v}, nil, asmf("FMOVD "+w.symbol(name)+", F%d"))
	return v
}

// double broadcasts the float64 in v.
func (w wideNEON) double(v vreg) Vec {
	d := w.newV()
	w.op([]vreg{d}, []vreg{v}, func(r []int) string { return encDUPDouble(r[0], r[1]).String() })
	return Vec{d}
}

// zeros returns accumulators for a strip.
func (w wideNEON) zeros(channels int) []Vec {
	acc := make([]Vec, max(1, channels/2))
	for i := range acc {
		acc[i] = w.Zero()
	}
	return acc
}

// nextI32 returns the int32 at p and moves p on.
func (m *arm64) nextI32(p Ptr) vreg {
	d := m.newR()
	m.op([]vreg{d, vr(p.op)}, []vreg{vr(p.op)}, asmf("MOVW.P 4(R%[2]d), R%[1]d"))
	return d
}

// rows runs body for each of the n > 0 rows of the index list, row being its first
// element seen from a. pitch is the length of a row in bytes.
func (w wideNEON) rows(a, list Ptr, n Int, pitch vreg, body func(row Ptr)) {
	at := w.CopyPtr(list)
	w.repeat(n, func() {
		i, row := w.nextI32(at), w.newR()
		w.op([]vreg{row}, []vreg{i, pitch, vr(a.op)}, asmf("MADD R%[3]d, R%[4]d, R%[2]d, R%[1]d"))
		body(Ptr{op: row})
	})
}

// pitch returns c float32 in bytes.
func (m *arm64) pitch(c Int) vreg {
	d := m.newR()
	m.op([]vreg{d}, []vreg{vr(c.op)}, asmf("LSL $2, R%[2]d, R%[1]d"))
	return d
}

func gatherMeanNEON(m *arm64) {
	m.Func("GatherMean", "func(mean *float64, a *float32, rows *int32, n, c int, inv float64)",
		"GatherMean sets mean[k], k < c, to inv times the sum over i < n, in order, of",
		"a[rows[i]*c+k] in float64. n > 0.")
	w := wideNEON{m}
	mean, a, list := m.ParamPtr("mean"), m.ParamPtr("a"), m.ParamPtr("rows")
	n, c := m.ParamInt("n"), m.ParamInt("c")
	inv, pitch := w.double(w.paramF64("inv")), m.pitch(c)
	m.strips(c, func(channels int) {
		acc := w.zeros(channels)
		w.rows(a, list, n, pitch, func(row Ptr) {
			w.widened(row, channels, func(i int, x Vec) {
				w.Set(acc[i], w.three(encFADDDouble, acc[i], x))
			})
		})
		for i := range acc {
			acc[i] = w.three(encFMULDouble, acc[i], inv)
		}
		w.storeF64(mean, acc, channels)
		w.AddPtrConst(a, channels)
	})
	m.Ret()
}

func gatherSquaresNEON(m *arm64) {
	m.Func("GatherSquares", "func(a *float32, mean *float64, rows *int32, n, c int) float64",
		"GatherSquares returns the sum over i < n and k < c of (a[rows[i]*c+k]-mean[k])² in",
		"float64. Strips of 32 channels, at most one each of 24, 16, 8 and 4, and single ones",
		"follow each other. Pair j of a strip goes to accumulator j mod 8, a single channel",
		"to 0; accumulators are added in halves, then the two lanes. n > 0.")
	w := wideNEON{m}
	a, mean, list := m.ParamPtr("a"), m.ParamPtr("mean"), m.ParamPtr("rows")
	n, c := m.ParamInt("n"), m.ParamInt("c")
	pitch, acc := m.pitch(c), w.zeros(16)
	m.strips(c, func(channels int) {
		center := w.loadF64(mean, channels)
		w.rows(a, list, n, pitch, func(row Ptr) {
			w.widened(row, channels, func(i int, x Vec) {
				d := w.three(encFSUBDouble, x, center[i])
				w.accumulate(encFMLADouble, acc[i%len(acc)], d, d)
			})
		})
		w.AddPtrConst(a, channels)
		w.AddPtrConst(mean, 2*channels)
	})
	w.returnSum(acc)
}

// returnSum ends a function that returns the sum of its 8 accumulators.
func (w wideNEON) returnSum(acc []Vec) {
	for half := 4; half > 0; half /= 2 {
		for i := range half {
			acc[i] = w.three(encFADDDouble, acc[i], acc[i+half])
		}
	}
	high := w.newV()
	w.op([]vreg{high}, []vreg{vr(acc[0].op)}, func(r []int) string { return encEXT(r[0], r[1], r[1], 8).String() })
	total := w.three(encFADDDouble, acc[0], Vec{high})
	w.op(nil, []vreg{vr(total.op)}, asmf(fmt.Sprintf("FMOVD F%%d, %s", w.symbol("ret"))))
	w.Ret()
}

// parts runs body over the n elements of a function with two operands, sixteen at
// a time in wider strips, which would need too many registers.
func (w wideNEON) parts(body func(n int)) {
	w.strips(w.ParamInt("n"), func(channels int) {
		for at := 0; at < channels; at += 16 {
			body(min(16, channels-at))
		}
	})
}

func combineNEON(m *arm64) {
	m.Func("CombineF64", combineSignature, combineDoc...)
	w := wideNEON{m}
	dst, x, y := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("y")
	p, q := w.double(w.paramF64("p")), w.double(w.paramF64("q"))
	w.parts(func(n int) {
		out := w.loadF64(y, n)
		for i, v := range w.loadF64(x, n) {
			out[i] = w.three(encFMULDouble, out[i], q)
			w.accumulate(encFMLADouble, out[i], p, v)
		}
		w.AddPtrConst(x, 2*n)
		w.AddPtrConst(y, 2*n)
		w.storeF64(dst, out, n)
	})
	m.Ret()
}

func squaresF64NEON(m *arm64) {
	m.Func("SquaresF64", "func(x, y *float64, n int) float64",
		"SquaresF64 returns the sum over k < n of (x[k]-y[k])², with the strips and",
		"accumulators of GatherSquares.")
	w := wideNEON{m}
	x, y, acc := m.ParamPtr("x"), m.ParamPtr("y"), w.zeros(16)
	w.parts(func(n int) {
		b := w.loadF64(y, n)
		for i, a := range w.loadF64(x, n) {
			d := w.three(encFSUBDouble, a, b[i])
			w.accumulate(encFMLADouble, acc[i], d, d)
		}
		w.AddPtrConst(x, 2*n)
		w.AddPtrConst(y, 2*n)
	})
	w.returnSum(acc)
}

func scaleShiftNEON(m *arm64) {
	m.Func("ScaleShiftRows", scaleShiftSignature, append(scaleShiftDoc, "n > 0.")...)
	w := wideNEON{m}
	dst, x, class := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamPtr("class")
	slopes, shifts, c := m.ParamPtr("slope"), m.ParamPtr("shift"), m.ParamInt("c")
	pitch := m.newR()
	m.op([]vreg{pitch}, []vreg{vr(c.op)}, asmf("LSL $3, R%[2]d, R%[1]d"))
	m.repeat(m.ParamInt("n"), func() {
		k, at, v, shift := m.nextI32(class), m.newR(), m.newV(), m.newR()
		m.op([]vreg{at}, []vreg{k, vr(slopes.op)}, asmf("ADD R%[2]d<<3, R%[3]d, R%[1]d"))
		m.op([]vreg{v}, []vreg{at}, asmf("FMOVD (R%[2]d), F%[1]d"))
		slope := w.double(v)
		m.op([]vreg{shift}, []vreg{k, pitch, vr(shifts.op)}, asmf("MADD R%[3]d, R%[4]d, R%[2]d, R%[1]d"))
		m.strips(c, func(channels int) {
			out := w.loadF64(Ptr{op: shift}, channels)
			w.widened(x, channels, func(i int, v Vec) { w.accumulate(encFMLADouble, out[i], slope, v) })
			w.AddPtrConst(x, channels)
			w.addConst(shift, 8*channels)
			w.storeStrip(dst, w.round(out), channels)
		})
	})
	m.Ret()
}
