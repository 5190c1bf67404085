package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transposeMatrix transposes a matrix in squares of Lanes() x Lanes().
func transposeMatrix(m *amd64) {
	l := m.lanes
	m.Func("Transpose", "func(rows, cols int, dst *float32, ldd int, src *float32, lds int)",
		"Transpose computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols, both",
		fmt.Sprintf("positive, in squares of %d x %d. The matrices must not overlap.", l, l))
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	dst, src := m.ParamPtr("dst"), m.ParamPtr("src")
	t := &transposition{amd64: m, ldd: m.paramGP("ldd"), lds: m.paramGP("lds")}
	m.SHLQ(operand.Imm(2), t.ldd)
	m.SHLQ(operand.Imm(2), t.lds)
	m.While(rows, l, func() {
		t.dst, t.src = m.copyGP(dst.op), m.copyGP(src.op)
		left := m.CopyInt(cols)
		m.While(left, l, func() {
			t.full()
			t.advance()
			m.SubInt(left, l)
		})
		m.IfNotZero(left, func() {
			m.setTail(left)
			t.store(t.transpose(t.load(l, m.tail)), nil, gp(left.op))
		})
		for range l {
			m.ADDQ(t.lds, gp(src.op))
		}
		m.AddPtrConst(dst, l)
		m.SubInt(rows, l)
	})
	m.IfNotZero(rows, func() {
		m.setTail(rows)
		high := m.tail
		t.dst, t.src, t.rows = gp(dst.op), gp(src.op), gp(rows.op)
		m.While(cols, 1, func() {
			n, limit := m.copyGP(cols.op), m.GP64()
			m.MOVQ(operand.I32(int32(l)), limit)
			m.CMPQ(n, limit)
			m.CMOVQGT(limit, n)
			m.setTail(Int{n})
			t.store(t.transpose(t.load(0, m.tail)), high, n)
			t.advance()
			m.SubInt(cols, l)
		})
	})
	m.Ret()
}

// transposeStream is transposeMatrix past the caches, for squares of 16 x 16: a row
// of one is a cache line, and the other vectors would leave lines in halves.
func transposeStream(m *amd64) {
	l := m.lanes
	m.Func("TransposeStream", "func(rows, cols int, dst *float32, ldd int, src *float32, lds, ahead int)",
		"TransposeStream computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols.",
		fmt.Sprintf("rows, cols and ldd are multiples of %d and dst is aligned to a line: stores pass", l),
		"the caches, and StreamFence must follow before another thread looks at dst. What",
		"lies ahead elements behind what is read is prefetched. The matrices must not",
		"overlap.")
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	dst, src, ahead := m.ParamPtr("dst"), m.ParamPtr("src"), m.paramGP("ahead")
	t := &transposition{amd64: m, ldd: m.paramGP("ldd"), lds: m.paramGP("lds")}
	m.SHLQ(operand.Imm(2), t.ldd)
	m.SHLQ(operand.Imm(2), t.lds)
	m.While(cols, l, func() {
		row, to := m.copyGP(src.op), m.copyGP(dst.op)
		left := m.CopyInt(rows)
		m.While(left, l, func() {
			in := make([]reg.VecVirtual, l)
			for i := range in {
				in[i] = m.vec()
				m.VMOVUPS(operand.Mem{Base: row}, in[i])
				m.PREFETCHT1(operand.Mem{Base: row, Index: ahead, Scale: 4})
				m.ADDQ(t.lds, row)
			}
			column := m.copyGP(to)
			for _, v := range t.transpose(in) {
				m.VMOVNTPS(v, operand.Mem{Base: column})
				m.ADDQ(t.ldd, column)
			}
			m.ADDQ(operand.I32(int32(4*l)), to)
			m.SubInt(left, l)
		})
		m.AddPtrConst(src, l)
		for range l {
			m.ADDQ(t.ldd, gp(dst.op))
		}
		m.SubInt(cols, l)
	})
	m.Ret()
}

// load returns the rows of a square: all of them, or with rows = 0 the first
// t.rows and zeros. Only the columns of mask are read.
func (t *transposition) load(rows int, mask reg.Register) []reg.VecVirtual {
	in := make([]reg.VecVirtual, t.lanes)
	for i := range in {
		in[i] = t.vec()
		t.VXORPS(in[i], in[i], in[i])
	}
	row := t.copyGP(t.src)
	loaded := t.label("loaded")
	var left reg.GPVirtual
	if rows == 0 {
		left = t.copyGP(t.rows)
	}
	for i := range in {
		if t.avx512() {
			t.VMOVUPS_Z(operand.Mem{Base: row}, mask, in[i])
		} else {
			t.VMASKMOVPS(operand.Mem{Base: row}, mask, in[i])
		}
		t.ADDQ(t.lds, row)
		if rows == 0 {
			t.DECQ(left)
			t.JZ(operand.LabelRef(loaded))
		}
	}
	t.Label(loaded)
	return in
}

// store stores the first n columns of a square, all of their rows or those of
// mask, and moves dst past them. It counts in n.
func (t *transposition) store(columns []reg.VecVirtual, mask reg.Register, n reg.GPVirtual) {
	stored := t.label("stored")
	for _, v := range columns {
		switch {
		case mask == nil:
			t.VMOVUPS(v, operand.Mem{Base: t.dst})
		case t.avx512():
			t.VMOVUPS(v, mask, operand.Mem{Base: t.dst})
		default:
			t.VMASKMOVPS(v, mask, operand.Mem{Base: t.dst})
		}
		t.ADDQ(t.ldd, t.dst)
		t.DECQ(n)
		t.JZ(operand.LabelRef(stored))
	}
	t.Label(stored)
}
