package gen

import (
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
	"github.com/mmcloughlin/avo/x86"
)

// The arithmetic of the amd64 Machine. avo's instructions take their operands
// in Go order, destination last.

func (m *amd64) binary(f func(...operand.Op), b, a Vec) Vec {
	v := m.vec()
	f(m.reg(b), m.reg(a), v)
	return Vec{v}
}

// folding is binary with a constant b from memory, by the form of f that takes one.
func (m *amd64) folding(f, form func(...operand.Op), b, a Vec) Vec {
	mem, ok := b.op.(broadcast)
	if !ok {
		return m.binary(f, b, a)
	}
	v := m.vec()
	form(mem.Mem, m.reg(a), v)
	return Vec{v}
}

// commuting is folding where the operands may change places.
func (m *amd64) commuting(f, form func(...operand.Op), b, a Vec) Vec {
	if _, ok := a.op.(broadcast); ok {
		a, b = b, a
	}
	return m.folding(f, form, b, a)
}

func (m *amd64) unary(f func(...operand.Op), a Vec) Vec {
	v := m.vec()
	f(m.reg(a), v)
	return Vec{v}
}

func (m *amd64) shift(f func(...operand.Op), a Vec, bits int) Vec {
	v := m.vec()
	f(operand.Imm(uint64(bits)), vec(a), v)
	return Vec{v}
}

func (m *amd64) Add(a, b Vec) Vec { return m.commuting(m.VADDPS, m.VADDPS_BCST, b, a) }
func (m *amd64) Sub(a, b Vec) Vec { return m.folding(m.VSUBPS, m.VSUBPS_BCST, b, a) }
func (m *amd64) Mul(a, b Vec) Vec { return m.commuting(m.VMULPS, m.VMULPS_BCST, b, a) }
func (m *amd64) Div(a, b Vec) Vec { return m.binary(m.VDIVPS, b, a) }
func (m *amd64) Max(a, b Vec) Vec { return m.folding(m.VMAXPS, m.VMAXPS_BCST, b, a) }
func (m *amd64) Min(a, b Vec) Vec { return m.folding(m.VMINPS, m.VMINPS_BCST, b, a) }
func (m *amd64) Sqrt(a Vec) Vec   { return m.unary(m.VSQRTPS, a) }

func (m *amd64) AccMulAdd(acc, a, b Vec) { m.fused(m.VFMADD231PS, m.VFMADD231PS_BCST, b, a, acc) }
func (m *amd64) AccMulSub(acc, a, b Vec) { m.fused(m.VFNMADD231PS, m.VFNMADD231PS_BCST, b, a, acc) }
func (m *amd64) Horner(p, x, c Vec)      { m.fused(m.VFMADD213PS, m.VFMADD213PS_BCST, c, x, p) }

// fused is a multiply-add whose first operand may be a constant in memory.
func (m *amd64) fused(f, form func(...operand.Op), c, b, a Vec) {
	if mem, ok := c.op.(broadcast); ok {
		form(mem.Mem, m.reg(b), vec(a))
		return
	}
	f(vec(c), m.reg(b), vec(a))
}

func (m *amd64) And(a, b Vec) Vec    { return m.commuting(m.VANDPS, m.VANDPS_BCST, b, a) }
func (m *amd64) Or(a, b Vec) Vec     { return m.commuting(m.VORPS, m.VORPS_BCST, b, a) }
func (m *amd64) Xor(a, b Vec) Vec    { return m.commuting(m.VXORPS, m.VXORPS_BCST, b, a) }
func (m *amd64) AndNot(a, b Vec) Vec { return m.folding(m.VANDNPS, m.VANDNPS_BCST, b, a) }
func (m *amd64) AddI32(a, b Vec) Vec { return m.commuting(m.VPADDD, m.VPADDD_BCST, b, a) }
func (m *amd64) SubI32(a, b Vec) Vec { return m.folding(m.VPSUBD, m.VPSUBD_BCST, b, a) }

func (m *amd64) ShlI32(a Vec, bits int) Vec { return m.shift(m.VPSLLD, a, bits) }
func (m *amd64) ShrU32(a Vec, bits int) Vec { return m.shift(m.VPSRLD, a, bits) }
func (m *amd64) SarI32(a Vec, bits int) Vec { return m.shift(m.VPSRAD, a, bits) }

func (m *amd64) ToI32(a Vec) Vec   { return m.unary(m.VCVTPS2DQ, a) }
func (m *amd64) FromI32(a Vec) Vec { return m.unary(m.VCVTDQ2PS, a) }

func (m *amd64) Round(a Vec) Vec {
	v := m.vec()
	if m.avx512() {
		m.VRNDSCALEPS(operand.Imm(0), vec(a), v)
	} else {
		m.VROUNDPS(operand.Imm(0), vec(a), v)
	}
	return Vec{v}
}

func (m *amd64) MulExp2(p, n Vec) Vec {
	if m.avx512() {
		return m.binary(m.VSCALEFPS, n, p)
	}
	return mulExp2(m, p, n)
}

// Table and Lookup need AVX-512.
func (m *amd64) Table(bits [16]uint32) Vec {
	table := m.constTable(bits)
	v := m.vec()
	m.VMOVUPS(table, v)
	return Vec{v}
}

func (m *amd64) Lookup(table, index Vec) Vec { return m.binary(m.VPERMPS, table, index) }

// constTable returns sixteen constants in memory, the same for the same.
func (m *amd64) constTable(bits [16]uint32) operand.Mem {
	table, ok := m.tables[bits]
	if !ok {
		table = m.StaticGlobal(fmt.Sprintf("table%d", len(m.tables)))
		m.DataAttributes(attr.RODATA | attr.NOPTR)
		for i, v := range bits {
			m.AddDatum(4*i, operand.U32(v))
		}
		m.tables[bits] = table
	}
	return table
}

// Reciprocal is a division on AVX2 and, on AVX-512, the 14-bit estimate with a
// step of Newton's method, which leaves 2^-28 and a rounding.
func (m *amd64) Reciprocal(a Vec) Vec {
	if !m.avx512() {
		return m.Div(m.Const(1), a)
	}
	y := m.Estimate(a)
	e := m.Const(1)
	m.AccMulSub(e, a, y)
	m.Horner(e, y, y)
	return e
}

func (m *amd64) Estimate(a Vec) Vec {
	if !m.avx512() {
		return m.Div(m.Const(1), a)
	}
	return m.unary(m.VRCP14PS, a)
}

// Predicates of VCMPPS, the ordered and quiet forms.
const (
	cmpEQ    = 0x00
	cmpLT    = 0x11
	cmpLE    = 0x12
	cmpUnord = 0x03
)

func (m *amd64) compare(predicate uint64, a, b Vec) Mask {
	var d reg.Register
	if m.avx512() {
		d = m.K()
	} else {
		d = m.YMM()
	}
	if mem, ok := b.op.(broadcast); ok {
		m.VCMPPS_BCST(operand.Imm(predicate), mem.Mem, m.reg(a), d)
	} else {
		m.VCMPPS(operand.Imm(predicate), vec(b), m.reg(a), d)
	}
	return Mask{d}
}

func (m *amd64) Less(a, b Vec) Mask   { return m.compare(cmpLT, a, b) }
func (m *amd64) LessEq(a, b Vec) Mask { return m.compare(cmpLE, a, b) }
func (m *amd64) Equal(a, b Vec) Mask  { return m.compare(cmpEQ, a, b) }
func (m *amd64) IsNaN(a Vec) Mask     { return m.compare(cmpUnord, a, a) }

func (m *amd64) Select(k Mask, a, b Vec) Vec {
	v := m.vec()
	mask := k.op.(reg.Register)
	if !m.avx512() {
		m.VBLENDVPS(mask, m.reg(a), m.reg(b), v)
		return Vec{v}
	}
	blend, err := x86.VBLENDMPS(m.reg(a), m.reg(b), mask, v)
	if err != nil {
		panic(err)
	}
	// avo takes the destination of a masked instruction for an input, which
	// would keep its register busy from the start of the function.
	blend.Inputs = slices.DeleteFunc(blend.Inputs, func(op operand.Op) bool { return op == operand.Op(v) })
	m.Instruction(blend)
	return Vec{v}
}

func (m *amd64) SumLanes(a Vec) Vec { return m.fold(m.VADDPS, a) }
func (m *amd64) MaxLanes(a Vec) Vec { return m.fold(m.VMAXPS, a) }

// fold combines the upper half of the lanes with the lower half until one is
// left.
func (m *amd64) fold(f func(...operand.Op), a Vec) Vec {
	r := vec(a)
	if m.avx512() {
		half := m.YMM()
		m.VEXTRACTF64X4(operand.Imm(1), r.AsZ(), half)
		f(half, r.AsY(), half)
		r = half
		quarter := m.XMM()
		m.VEXTRACTF32X4(operand.Imm(1), r.AsY(), quarter)
		f(quarter, r.AsX(), quarter)
		r = quarter
	} else {
		half := m.XMM()
		m.VEXTRACTF128(operand.Imm(1), r.AsY(), half)
		f(half, r.AsX(), half)
		r = half
	}
	pair, one := m.XMM(), m.XMM()
	m.VPERMILPS(operand.Imm(0b01_00_11_10), r.AsX(), pair)
	f(pair, r.AsX(), pair)
	m.VPERMILPS(operand.Imm(0b10_11_00_01), pair, one)
	f(one, pair, one)
	if m.avx512() {
		return Vec{one.AsZ()}
	}
	return Vec{one.AsY()}
}
