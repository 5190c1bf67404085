package gen

import "github.com/mmcloughlin/avo/operand"

// Exchanges of lanes of the amd64 Machine.

// permutePairs returns two vectors of the lanes of a (from 0 on) and b (from 16 on) in
// the order that lane gives for each. It needs AVX-512.
func (m *amd64) permutePairs(a, b Vec, lane func(half, i uint32) uint32) (x, y Vec) {
	var order [2][16]uint32
	for half := range order {
		for i := range order[half] {
			order[half][i] = lane(uint32(half), uint32(i))
		}
	}
	x, y = m.Table(order[0]), m.Table(order[1])
	m.VPERMI2PS(m.reg(b), m.reg(a), vec(x))
	m.VPERMI2PS(m.reg(b), m.reg(a), vec(y))
	return x, y
}

func (m *amd64) Zip(a, b Vec) (lo, hi Vec) {
	if m.avx512() {
		return m.permutePairs(a, b, func(half, i uint32) uint32 { return i/2 + 8*half + i%2*16 })
	}
	low, high := m.binary(m.VUNPCKLPS, b, a), m.binary(m.VUNPCKHPS, b, a)
	lo, hi = Vec{m.vec()}, Vec{m.vec()}
	m.VPERM2F128(operand.Imm(0x20), vec(high), vec(low), vec(lo))
	m.VPERM2F128(operand.Imm(0x31), vec(high), vec(low), vec(hi))
	return lo, hi
}

func (m *amd64) Unzip(lo, hi Vec) (a, b Vec) {
	if m.avx512() {
		return m.permutePairs(lo, hi, func(half, i uint32) uint32 { return 2*i + half })
	}
	a, b = Vec{m.vec()}, Vec{m.vec()}
	m.VSHUFPS(operand.Imm(0b10_00_10_00), vec(hi), vec(lo), vec(a))
	m.VSHUFPS(operand.Imm(0b11_01_11_01), vec(hi), vec(lo), vec(b))
	for _, v := range []Vec{a, b} {
		m.VPERMPD(operand.Imm(0b11_01_10_00), vec(v), vec(v))
	}
	return a, b
}

func (m *amd64) Next(a, b Vec) Vec {
	v := m.vec()
	if m.avx512() {
		m.VALIGND(operand.Imm(1), m.reg(a), m.reg(b), v)
		return Vec{v}
	}
	m.VPERM2F128(operand.Imm(0x21), vec(b), vec(a), v)
	m.VPALIGNR(operand.Imm(4), vec(a), v, v)
	return Vec{v}
}

func (m *amd64) Previous(a, b Vec) Vec {
	v := m.vec()
	if m.avx512() {
		m.VALIGND(operand.Imm(15), m.reg(a), m.reg(b), v)
		return Vec{v}
	}
	m.VPERM2F128(operand.Imm(0x21), vec(b), vec(a), v)
	m.VPALIGNR(operand.Imm(12), v, vec(b), v)
	return Vec{v}
}
