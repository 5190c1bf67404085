package gen

import "github.com/mmcloughlin/avo/operand"

// depthwiseSpread emits the kernel of two rows of the gradient of a 3x3 filter with
// stride 2, which reads every element of the gradient of dst once.
func depthwiseSpread(m Machine) {
	m.Func("DepthwiseSpread3s2", "func(dst0, dst1, u, v, w *float32, wStride, n, c, blocks, first, last, before, after, flags int, aheadDst, aheadSrc *float32)",
		"DepthwiseSpread3s2 computes two rows of a gradient. For k < blocks and n of c channels,",
		"which are left out here, with w[r][s] = w[(r*3+s)*wStride]:",
		"",
		"\tdst0[2*k] = u[k]*w[0][0] + u[k-1]*w[0][2] + v[k]*w[2][0] + v[k-1]*w[2][2]",
		"\tdst0[2*k+1] = u[k]*w[0][1] + v[k]*w[2][1]",
		"\tdst1[2*k] = u[k]*w[1][0] + u[k-1]*w[1][2]",
		"\tdst1[2*k+1] = u[k]*w[1][1]",
		"",
		"If first != 0 also the second pixel of k = -1, if last != 0 the first of k = blocks. u[-1]",
		"and v[-1] are 0 if before = 0, u[blocks] and v[blocks] if after = 0. The pointers are",
		"those of the first elements that are used. Products are added in this order, fused. On",
		"amd64 it asks with flags&2 for the lines from aheadSrc on, with flags&4 for those from",
		"aheadDst on, as many as one row of u and two of dst take, which never faults. On AVX-512,",
		"if flags&8 != 0, whole vectors are stored past the caches: dst0, dst1 and their steps",
		"must be aligned to them, and StreamFence must follow.")
	n := m.ParamInt("n")
	dst0, dst1, u, v, w := m.ParamPtr("dst0"), m.ParamPtr("dst1"), m.ParamPtr("u"), m.ParamPtr("v"), m.ParamPtr("w")
	m.Strips(n, []Ptr{dst0, dst1, u, v, w}, 1, func(s Strip) {
		f := walkLoad(m, s, w, m.ParamInt("wStride"), 9)
		e := spreadEmitter{
			m: m, s: s, f: f, dst0: m.CopyPtr(dst0), dst1: m.CopyPtr(dst1), u: m.CopyPtr(u), v: m.CopyPtr(v), c: m.ParamInt("c"),
			u0: m.Zero(), v0: m.Zero(),
		}
		m.IfNotZero(m.ParamInt("before"), func() {
			u, v := e.next()
			m.Set(e.u0, u)
			m.Set(e.v0, v)
		})
		m.IfNotZero(m.ParamInt("first"), func() { e.second(e.u0, e.v0) })
		m.Repeat(m.ParamInt("blocks"), func() {
			u, v := e.next()
			e.first(u, v)
			e.second(u, v)
			m.Set(e.u0, u)
			m.Set(e.v0, v)
			if !s.partial {
				e.fetch()
			}
		})
		m.IfNotZero(m.ParamInt("last"), func() {
			u, v := m.Zero(), m.Zero()
			m.IfNotZero(m.ParamInt("after"), func() {
				nextU, nextV := e.next()
				m.Set(u, nextU)
				m.Set(v, nextV)
			})
			e.first(u, v)
		})
	})
	m.Ret()
}

// A spreadEmitter emits parts of the kernel for one vector of channels.
type spreadEmitter struct {
	m                Machine
	s                Strip
	f                []Vec // the filter, row by row
	dst0, dst1, u, v Ptr
	c                Int
	u0, v0           Vec // the elements before the next ones
}

// next loads the next elements of u and v.
func (e *spreadEmitter) next() (u, v Vec) {
	u, v = e.s.Load(e.u, 0), e.s.Load(e.v, 0)
	e.m.AddPtr(e.u, e.c)
	e.m.AddPtr(e.v, e.c)
	return u, v
}

// first emits the first pixel of a block, second the other.
func (e *spreadEmitter) first(u, v Vec) {
	a := e.m.Mul(u, e.f[0])
	e.m.AccMulAdd(a, e.u0, e.f[2])
	e.m.AccMulAdd(a, v, e.f[6])
	e.m.AccMulAdd(a, e.v0, e.f[8])
	b := e.m.Mul(u, e.f[3])
	e.m.AccMulAdd(b, e.u0, e.f[5])
	e.store(a, b)
}

func (e *spreadEmitter) second(u, v Vec) {
	a := e.m.Mul(u, e.f[1])
	e.m.AccMulAdd(a, v, e.f[7])
	e.store(a, e.m.Mul(u, e.f[4]))
}

func (e *spreadEmitter) store(a, b Vec) {
	if m, ok := e.m.(*amd64); ok && m.avx512() && !e.s.partial {
		cached, done := m.label("cached"), m.label("stored")
		m.TESTQ(operand.I32(depthwiseStream), m.addr(m.Param("flags")))
		m.JZ(operand.LabelRef(cached))
		e.s.Stream(e.dst0, 0, a)
		e.s.Stream(e.dst1, 0, b)
		m.JMP(operand.LabelRef(done))
		m.Label(cached)
		e.s.Store(e.dst0, 0, a)
		e.s.Store(e.dst1, 0, b)
		m.Label(done)
	} else {
		e.s.Store(e.dst0, 0, a)
		e.s.Store(e.dst1, 0, b)
	}
	e.m.AddPtr(e.dst0, e.c)
	e.m.AddPtr(e.dst1, e.c)
}

// fetch asks for as many vectors as a block reads and writes. What it advances are the
// parameters themselves, since registers are short.
func (e *spreadEmitter) fetch() {
	m, ok := e.m.(*amd64)
	if !ok {
		return
	}
	for _, a := range []struct {
		name          string
		vectors, flag int
	}{{"aheadSrc", 1, depthwiseFetch}, {"aheadDst", 4, depthwiseFetchY}} {
		near := m.label("near")
		m.TESTQ(operand.I32(a.flag), m.addr(m.Param("flags")))
		m.JZ(operand.LabelRef(near))
		p := m.paramGP(a.name)
		for at := 0; at < a.vectors*m.lanes; at += lineFloats {
			m.PREFETCHT1(operand.Mem{Base: p, Disp: 4 * at})
		}
		m.ADDQ(operand.I32(4*a.vectors*m.lanes), m.addr(m.Param(a.name)))
		m.Label(near)
	}
}
