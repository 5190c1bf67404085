package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Packing: what brings matrix operands into the order in which the GEMM tiles
// read them.

func copyBlock(m Machine) {
	m.Func("CopyBlock", "func(rows, cols int, dst *float32, ldd int, src *float32, lds int)",
		"CopyBlock computes dst[i*ldd+j] = src[i*lds+j] for i < rows, j < cols.",
		"Rows are written in ascending order, so that ldd may be less than cols: what a row",
		"has too much of, the next one overwrites. rows > 0, cols > 0; the blocks must not",
		"overlap.")
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	dst, ldd := m.ParamPtr("dst"), m.ParamInt("ldd")
	src, lds := m.ParamPtr("src"), m.ParamInt("lds")
	m.Repeat(rows, func() {
		d, s, n := m.CopyPtr(dst), m.CopyPtr(src), m.CopyInt(cols)
		m.Strips(n, []Ptr{d, s}, 4, func(strip Strip) {
			for u := range strip.U {
				strip.Store(d, u, strip.Load(s, u))
			}
		})
		m.AddPtr(dst, ldd)
		m.AddPtr(src, lds)
	})
	m.Ret()
}

func clearBlock(m Machine, k storeKind) {
	m.Func("ClearBlock"+k.suffix(), "func(dst *float32, ldd, rows, cols int)",
		k.doc("ClearBlock"+k.suffix()+" computes dst[i*ldd+j] = 0 for i < rows, j < cols. rows > 0, cols > 0.")...)
	dst, ldd, zero := m.ParamPtr("dst"), m.ParamInt("ldd"), m.Zero()
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	m.Repeat(rows, func() {
		d, n := m.CopyPtr(dst), m.CopyInt(cols)
		m.Strips(n, []Ptr{d}, 4, func(strip Strip) {
			for u := range strip.U {
				if strip.partial {
					strip.Store(d, u, zero)
				} else {
					k.store(strip)(d, u, zero)
				}
			}
		})
		m.AddPtr(dst, ldd)
	})
	m.Ret()
}

// transposeBlock turns up to Lanes() rows into columns, a square of
// Lanes() x Lanes() in registers at a time.
func transposeBlock(m *amd64) {
	l := m.lanes
	m.Func("TransposeBlock", "func(rows, cols int, dst *float32, ldd int, src *float32, lds int)",
		"TransposeBlock computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols,",
		fmt.Sprintf("and dst[j*ldd+i] = 0 for rows <= i < %d: it writes %d columns of dst, rows in", l, l),
		fmt.Sprintf("ascending order. ldd may be less than %d: what a row has too much of, the next one", l),
		"overwrites.",
		fmt.Sprintf("0 < rows <= %d, cols > 0; the blocks must not overlap.", l))
	t := &transposition{amd64: m, rows: m.paramGP("rows"), dst: m.paramGP("dst"), src: m.paramGP("src"),
		ldd: m.paramGP("ldd")}
	cols, lds := m.paramGP("cols"), m.paramGP("lds")
	m.SHLQ(operand.Imm(2), t.ldd)
	m.SHLQ(operand.Imm(2), lds)
	t.lds = lds
	m.CMPQ(t.rows, operand.Imm(uint64(l)))
	m.JNE(operand.LabelRef("ragged"))
	m.While(Int{cols}, l, func() {
		t.full()
		t.advance()
		m.SubInt(Int{cols}, l)
	})
	m.Label("ragged")
	m.While(Int{cols}, 1, func() {
		n := m.copyGP(cols)
		limit := m.GP64()
		m.MOVQ(operand.I32(int32(l)), limit)
		m.CMPQ(n, limit)
		m.CMOVQGT(limit, n)
		t.partial(n)
		t.advance()
		m.SubInt(Int{cols}, l)
	})
	m.Ret()
}

// transposition is the state of transposeBlock. Strides are in bytes.
type transposition struct {
	*amd64
	rows, dst, ldd, src, lds reg.GPVirtual
}

// advance moves to the next square: right in src. dst has moved already.
func (t *transposition) advance() { t.ADDQ(operand.I32(int32(4*t.lanes)), t.src) }

func (t *transposition) full() {
	in := make([]reg.VecVirtual, t.lanes)
	row := t.copyGP(t.src)
	for i := range in {
		in[i] = t.vec()
		t.VMOVUPS(operand.Mem{Base: row}, in[i])
		t.ADDQ(t.lds, row)
	}
	for _, v := range t.transpose(in) {
		t.VMOVUPS(v, operand.Mem{Base: t.dst})
		t.ADDQ(t.ldd, t.dst)
	}
}

// partial handles a square of rows x n elements that exist.
func (t *transposition) partial(n reg.GPVirtual) {
	t.setTail(Int{n})
	in := make([]reg.VecVirtual, t.lanes)
	for i := range in {
		in[i] = t.vec()
		t.VXORPS(in[i], in[i], in[i])
	}
	row, left := t.copyGP(t.src), t.copyGP(t.rows)
	loaded, stored := operand.LabelRef(t.label("loaded")), operand.LabelRef(t.label("stored"))
	for i := range in {
		if t.avx512() {
			t.VMOVUPS_Z(operand.Mem{Base: row}, t.tail, in[i])
		} else {
			t.VMASKMOVPS(operand.Mem{Base: row}, t.tail, in[i])
		}
		t.ADDQ(t.lds, row)
		t.DECQ(left)
		t.JZ(loaded)
	}
	t.Label(string(loaded))
	for _, v := range t.transpose(in) {
		t.VMOVUPS(v, operand.Mem{Base: t.dst})
		t.ADDQ(t.ldd, t.dst)
		t.DECQ(n)
		t.JZ(stored)
	}
	t.Label(string(stored))
}

// transpose emits the shuffles: within 128-bit lanes first, 4x4 elements by two
// rounds of unpacking, then whole lanes.
func (t *transposition) transpose(in []reg.VecVirtual) []reg.VecVirtual {
	l := len(in)
	pairs := make([]reg.VecVirtual, l)
	for i := 0; i < l; i += 2 {
		pairs[i], pairs[i+1] = t.vec(), t.vec()
		t.VUNPCKLPS(in[i+1], in[i], pairs[i])
		t.VUNPCKHPS(in[i+1], in[i], pairs[i+1])
	}
	// quads[4*q+c], lane g: column 4*g+c of rows 4*q to 4*q+3.
	quads := make([]reg.VecVirtual, l)
	for q := 0; q < l; q += 4 {
		for h := range 2 {
			lo, hi := t.vec(), t.vec()
			t.VUNPCKLPD(pairs[q+2+h], pairs[q+h], lo)
			t.VUNPCKHPD(pairs[q+2+h], pairs[q+h], hi)
			quads[q+2*h], quads[q+2*h+1] = lo, hi
		}
	}
	out := make([]reg.VecVirtual, l)
	for c := range 4 {
		if l == 8 {
			out[c], out[4+c] = t.vec(), t.vec()
			t.VPERM2F128(operand.Imm(0x20), quads[4+c], quads[c], out[c])
			t.VPERM2F128(operand.Imm(0x31), quads[4+c], quads[c], out[4+c])
			continue
		}
		// Lanes 0, 2 and 1, 3 of two quads, then the same of two such.
		even, odd := [2]reg.VecVirtual{}, [2]reg.VecVirtual{}
		for h := range 2 {
			a, b := quads[8*h+c], quads[8*h+4+c]
			even[h], odd[h] = t.vec(), t.vec()
			t.VSHUFF32X4(operand.Imm(0x88), b, a, even[h])
			t.VSHUFF32X4(operand.Imm(0xdd), b, a, odd[h])
		}
		for g := range 2 {
			sel := operand.Imm([]uint64{0x88, 0xdd}[g])
			out[8*g+c], out[8*g+4+c] = t.vec(), t.vec()
			t.VSHUFF32X4(sel, even[1], even[0], out[8*g+c])
			t.VSHUFF32X4(sel, odd[1], odd[0], out[8*g+4+c])
		}
	}
	return out
}
