package gen

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Bytes, masks and streamed stores of the amd64 Machine.

func (m *amd64) ParamBytes(name string) Ptr { return Ptr{op: m.paramGP(name), bytes: true} }

func (m *amd64) ParamI32(name string) Vec {
	v := m.vec()
	m.VBROADCASTSS(m.addr(m.Param(name)), v) // go vet takes the D of VPBROADCASTD for 8 bytes
	return Vec{v}
}

func (m *amd64) EqualI32(a, b Vec) Mask {
	if m.avx512() {
		k := m.K()
		m.VPCMPEQD(vec(b), vec(a), k)
		return Mask{k}
	}
	v := m.YMM()
	m.VPCMPEQD(vec(b), vec(a), v)
	return Mask{v}
}

func (m *amd64) OrMask(a, b Mask) Mask {
	x, y := a.op.(reg.Register), b.op.(reg.Register)
	if m.avx512() {
		k := m.K()
		m.KORW(x, y, k)
		return Mask{k}
	}
	v := m.YMM()
	m.VORPS(x, y, v)
	return Mask{v}
}

func (m *amd64) SetIf(dst Vec, k Mask, src Vec) {
	mask := k.op.(reg.Register)
	if m.avx512() {
		m.VMOVAPS(m.reg(src), mask, vec(dst))
		return
	}
	m.VBLENDVPS(mask, m.reg(src), vec(dst), vec(dst))
}

func (m *amd64) AddIf(acc Vec, k Mask, v Vec) {
	if m.avx512() {
		m.VADDPS(vec(v), vec(acc), k.op.(reg.Register), vec(acc))
		return
	}
	m.Set(acc, m.Add(acc, m.And(Vec(k), v)))
}

// comparesBytes tells whether equalBytes serves a strip.
func (m *amd64) comparesBytes(s Strip) bool { return m.avx512() && s.U == 4 }

// equalBytes compares 64 bytes at p with those of v and returns a mask for each of four
// vectors.
func (m *amd64) equalBytes(p Ptr, v Vec) (masks []Mask) {
	all := m.K()
	m.VPCMPEQB(m.byteMem(p, 0), vec(v), all)
	masks = append(masks, Mask{all})
	for u := 1; u < 4; u++ {
		k := m.K()
		m.KSHIFTRQ(operand.Imm(uint64(16*u)), all, k)
		masks = append(masks, Mask{k})
	}
	return masks
}

// lowBytes returns the low byte of lane 0 in every byte, addBytes the sums of bytes.
func (m *amd64) lowBytes(v Vec) Vec {
	d := m.vec()
	m.VPBROADCASTB(vec(v).AsX(), d)
	return Vec{d}
}

func (m *amd64) addBytes(a, b Vec) Vec { return m.binary(m.VPADDB, b, a) }

func (m *amd64) Keep(k Mask, v Vec) Vec {
	if m.avx512() {
		return m.Select(k, v, m.Zero())
	}
	return m.And(Vec(k), v)
}

func (m *amd64) byteMem(p Ptr, u int) operand.Mem {
	return operand.Mem{Base: gp(p.op), Disp: u * m.lanes}
}

func (m *amd64) stripLoadBytes(s Strip, p Ptr, u int) Vec {
	mem, v := m.byteMem(p, u), m.vec()
	switch {
	case !s.partial:
		m.VPMOVZXBD(mem, v)
	case m.avx512():
		m.VPMOVZXBD_Z(mem, m.tail, v)
	default:
		x := m.XMM()
		m.VMOVQ(m.gatherBytes(p), x)
		m.VPMOVZXBD(x, v)
	}
	return Vec{v}
}

// gatherBytes loads tailLen bytes at p, fewer than 8, into a register.
func (m *amd64) gatherBytes(p Ptr) reg.GPVirtual {
	loop := m.label("bytes")
	all, left, one := m.GP64(), m.GP64(), m.GP64()
	m.XORQ(all, all)
	m.MOVQ(m.tailLen, left)
	m.Label(loop)
	m.SHLQ(operand.Imm(8), all)
	m.MOVBQZX(operand.Mem{Base: gp(p.op), Index: left, Scale: 1, Disp: -1}, one)
	m.ORQ(one, all)
	m.DECQ(left)
	m.JNZ(operand.LabelRef(loop))
	return all
}

func (m *amd64) stripStoreBytes(s Strip, p Ptr, u int, v Vec) {
	mem, x := m.byteMem(p, u), m.XMM()
	if m.avx512() {
		m.VPMOVDB(vec(v), x)
		if s.partial {
			m.VMOVDQU8(x, m.tail, mem)
		} else {
			m.VMOVDQU8(x, mem)
		}
		return
	}
	m.VEXTRACTI128(operand.Imm(1), vec(v), x)
	m.VPACKUSDW(x, vec(v).AsX(), x)
	m.VPACKUSWB(x, x, x)
	if !s.partial {
		m.VMOVQ(x, mem)
		return
	}
	loop := m.label("bytes")
	all, i := m.GP64(), m.GP64()
	m.VMOVQ(x, all)
	m.XORQ(i, i)
	m.Label(loop)
	m.MOVB(all.As8L(), operand.Mem{Base: gp(p.op), Index: i, Scale: 1})
	m.SHRQ(operand.Imm(8), all)
	m.INCQ(i)
	m.CMPQ(i, m.tailLen)
	m.JNE(operand.LabelRef(loop))
}

func (m *amd64) StreamEnd() { m.SFENCE() }

func (m *amd64) stripStream(s Strip, p Ptr, u int, v Vec) {
	if s.partial {
		m.stripStore(s, p, u, v)
		return
	}
	m.VMOVNTPS(vec(v), m.mem(p, u*m.lanes))
}
