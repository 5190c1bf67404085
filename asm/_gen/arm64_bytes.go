package gen

import "fmt"

// Bytes, masks and streamed stores of the arm64 Machine. The latter are ordinary
// ones: STNP is a hint that cores take differently.

func (m *arm64) ParamBytes(name string) Ptr { return Ptr{op: m.paramR(name), bytes: true} }

func (m *arm64) ParamI32(name string) Vec {
	r, v := m.newR(), m.newV()
	m.op([]vreg{r}, nil, asmf("MOVW "+m.symbol(name)+", R%d"))
	m.op([]vreg{v}, []vreg{r}, asmf("VDUP R%[2]d, V%[1]d.S4"))
	return Vec{v}
}

func (m *arm64) EqualI32(a, b Vec) Mask { return Mask(m.three(encCMEQ, a, b)) }
func (m *arm64) OrMask(a, b Mask) Mask  { return Mask(m.three(encORR, Vec(a), Vec(b))) }

func (m *arm64) SetIf(dst Vec, k Mask, src Vec) { m.accumulate(encBIT, dst, src, Vec(k)) }

func (m *arm64) AddIf(acc Vec, k Mask, v Vec) { m.Set(acc, m.Add(acc, m.And(Vec(k), v))) }
func (m *arm64) Keep(k Mask, v Vec) Vec       { return m.And(Vec(k), v) }

// narrow emits e from src to a fresh register.
func (m *arm64) narrow(e encNarrow, src vreg) vreg {
	d := m.newV()
	m.op([]vreg{d}, []vreg{src}, func(r []int) string { return e.encode(r[0], r[1]).String() })
	return d
}

func (m *arm64) stripLoadBytes(s Strip, p Ptr, u int) Vec {
	v := m.newV()
	if s.partial {
		r := m.newR()
		m.op([]vreg{r}, []vreg{vr(p.op)}, asmf("MOVBU (R%[2]d), R%[1]d"))
		m.op([]vreg{v}, []vreg{r}, asmf("FMOVS R%[2]d, F%[1]d"))
		return Vec{v}
	}
	m.op([]vreg{v}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("FMOVS %d(R%%[2]d), F%%[1]d", 4*u)))
	return Vec{m.narrow(encUXTLWord, m.narrow(encUXTLHalf, v))}
}

func (m *arm64) stripStoreBytes(s Strip, p Ptr, u int, v Vec) {
	if s.partial {
		r := m.newR()
		m.op([]vreg{r}, []vreg{vr(v.op)}, asmf("FMOVS F%[2]d, R%[1]d"))
		m.op(nil, []vreg{r, vr(p.op)}, asmf("MOVB R%[1]d, (R%[2]d)"))
		return
	}
	b := m.narrow(encXTNByte, m.narrow(encXTNHalf, vr(v.op)))
	m.op(nil, []vreg{b, vr(p.op)}, asmf(fmt.Sprintf("FMOVS F%%[1]d, %d(R%%[2]d)", 4*u)))
}

func (m *arm64) StreamEnd() {}

func (m *arm64) stripStream(s Strip, p Ptr, u int, v Vec) { m.stripStore(s, p, u, v) }
