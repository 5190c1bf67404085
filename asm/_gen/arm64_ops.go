package gen

// The arithmetic of the arm64 Machine.

func (m *arm64) three(e enc3, a, b Vec) Vec {
	d := m.newV()
	m.op([]vreg{d}, []vreg{vr(a.op), vr(b.op)}, func(r []int) string { return e.encode(r[0], r[1], r[2]).String() })
	return Vec{d}
}

func (m *arm64) two(e enc2, a Vec) Vec {
	d := m.newV()
	m.op([]vreg{d}, []vreg{vr(a.op)}, func(r []int) string { return e.encode(r[0], r[1]).String() })
	return Vec{d}
}

func (m *arm64) shifted(e encShift, a Vec, bits int) Vec {
	d := m.newV()
	m.op([]vreg{d}, []vreg{vr(a.op)}, func(r []int) string { return e.encode(r[0], r[1], bits).String() })
	return Vec{d}
}

// accumulate emits e with d read and written.
func (m *arm64) accumulate(e enc3, d, a, b Vec) {
	m.update(vr(d.op), []vreg{vr(a.op), vr(b.op)}, func(r []int) string { return e.encode(r[0], r[1], r[2]).String() })
}

func (m *arm64) Zero() Vec {
	d := m.newV()
	m.op([]vreg{d}, nil, func(r []int) string { return encEOR.encode(r[0], r[0], r[0]).String() })
	return Vec{d}
}

func (m *arm64) Copy(a Vec) Vec {
	d := m.newV()
	m.Set(Vec{d}, a)
	return Vec{d}
}

func (m *arm64) Set(dst, src Vec) {
	m.move(vr(dst.op), vr(src.op))
}

func (m *arm64) Add(a, b Vec) Vec { return m.three(encFADD, a, b) }
func (m *arm64) Sub(a, b Vec) Vec { return m.three(encFSUB, a, b) }
func (m *arm64) Mul(a, b Vec) Vec { return m.three(encFMUL, a, b) }
func (m *arm64) Div(a, b Vec) Vec { return m.three(encFDIV, a, b) }
func (m *arm64) Sqrt(a Vec) Vec   { return m.two(encFSQRT, a) }

// Max and Min compare and select: FMAX and FMIN have another rule for NaN.
func (m *arm64) Max(a, b Vec) Vec { return m.Select(m.Less(b, a), a, b) }
func (m *arm64) Min(a, b Vec) Vec { return m.Select(m.Less(a, b), a, b) }

func (m *arm64) AccMulAdd(acc, a, b Vec) { m.accumulate(encFMLA, acc, a, b) }
func (m *arm64) AccMulSub(acc, a, b Vec) { m.accumulate(encFMLS, acc, a, b) }

func (m *arm64) Horner(p, x, c Vec) {
	t := m.Copy(c)
	m.AccMulAdd(t, p, x)
	m.Set(p, t)
}

func (m *arm64) And(a, b Vec) Vec    { return m.three(encAND, a, b) }
func (m *arm64) Or(a, b Vec) Vec     { return m.three(encORR, a, b) }
func (m *arm64) Xor(a, b Vec) Vec    { return m.three(encEOR, a, b) }
func (m *arm64) AndNot(a, b Vec) Vec { return m.three(encBIC, b, a) }
func (m *arm64) AddI32(a, b Vec) Vec { return m.three(encADD, a, b) }
func (m *arm64) SubI32(a, b Vec) Vec { return m.three(encSUB, a, b) }

func (m *arm64) ShlI32(a Vec, bits int) Vec { return m.shifted(encSHL, a, bits) }
func (m *arm64) ShrU32(a Vec, bits int) Vec { return m.shifted(encUSHR, a, bits) }
func (m *arm64) SarI32(a Vec, bits int) Vec { return m.shifted(encSSHR, a, bits) }

func (m *arm64) ToI32(a Vec) Vec   { return m.two(encFCVTNS, a) }
func (m *arm64) FromI32(a Vec) Vec { return m.two(encSCVTF, a) }
func (m *arm64) Round(a Vec) Vec   { return m.two(encFRINTN, a) }

func (m *arm64) MulExp2(p, n Vec) Vec { return mulExp2(m, p, n) }
func (m *arm64) Estimate(a Vec) Vec   { return m.Div(m.Const(1), a) }
func (m *arm64) Reciprocal(a Vec) Vec { return m.Div(m.Const(1), a) }

func (m *arm64) Less(a, b Vec) Mask   { return Mask(m.three(encFCMGT, b, a)) }
func (m *arm64) LessEq(a, b Vec) Mask { return Mask(m.three(encFCMGE, b, a)) }
func (m *arm64) Equal(a, b Vec) Mask  { return Mask(m.three(encFCMEQ, a, b)) }
func (m *arm64) IsNaN(a Vec) Mask     { return Mask(m.two(encNOT, m.three(encFCMEQ, a, a))) }

func (m *arm64) Select(k Mask, a, b Vec) Vec {
	d := m.Copy(b)
	m.accumulate(encBIT, d, a, Vec(k))
	return d
}

func (m *arm64) Zip(a, b Vec) (lo, hi Vec) { return m.three(encZIP1, a, b), m.three(encZIP2, a, b) }

func (m *arm64) Unzip(lo, hi Vec) (a, b Vec) {
	return m.three(encUZP1, lo, hi), m.three(encUZP2, lo, hi)
}

func (m *arm64) Next(a, b Vec) Vec     { return m.extract(a, b, 4) }
func (m *arm64) Previous(a, b Vec) Vec { return m.extract(a, b, 12) }

// extract returns sixteen bytes of a and b, from so many bytes of a on.
func (m *arm64) extract(a, b Vec, bytes int) Vec {
	d := m.newV()
	m.op([]vreg{d}, []vreg{vr(a.op), vr(b.op)}, func(r []int) string { return encEXT(r[0], r[1], r[2], bytes).String() })
	return Vec{d}
}

func (m *arm64) SumLanes(a Vec) Vec                 { return m.fold(m.Add, a) }
func (m *arm64) AddSums(p Ptr, off int, v [4][]Vec) { addSums(m, p, off, v) }

func (m *arm64) MaxLanes(a Vec) Vec { return m.fold(m.Max, a) }

// fold combines the upper half of the lanes with the lower half until one is
// left.
func (m *arm64) fold(f func(a, b Vec) Vec, a Vec) Vec {
	for _, bytes := range []int{8, 4} {
		a = f(a, m.extract(a, a, bytes))
	}
	return a
}
