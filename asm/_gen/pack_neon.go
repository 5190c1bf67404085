package gen

import "fmt"

// transposeBlockNEON is [transposeBlock] for four lanes: squares of 4 x 4 by
// two rounds of transposing pairs, and single columns where fewer are left or
// rows are missing.
func transposeBlockNEON(m *arm64) {
	m.Func("TransposeBlock", "func(rows, cols int, dst *float32, ldd int, src *float32, lds int)",
		"TransposeBlock computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols,",
		"and dst[j*ldd+i] = 0 for rows <= i < 4: it writes 4 columns of dst.",
		"0 < rows <= 4, cols > 0; the blocks must not overlap.")
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	dst, ldd := m.ParamPtr("dst"), m.ParamInt("ldd")
	src, lds := m.ParamPtr("src"), m.ParamInt("lds")
	m.op(nil, []vreg{vr(rows.op)}, asmf("CMP $4, R%d"))
	m.branch("BNE ", "columns")
	m.While(cols, 4, func() {
		row := m.CopyPtr(src)
		var in [4]Vec
		for i := range in {
			in[i] = m.Load(row, 0)
			m.AddPtr(row, lds)
		}
		for _, v := range m.transpose4(in) {
			m.Store(dst, 0, v)
			m.AddPtr(dst, ldd)
		}
		m.AddPtrConst(src, 4)
		m.SubInt(cols, 4)
	})
	m.place("columns")
	m.While(cols, 1, func() {
		m.Store(dst, 0, m.Zero())
		from, to := m.CopyPtr(src), m.CopyPtr(dst)
		m.Repeat(rows, func() {
			m.StoreF32(to, 0, Vec{m.loadLane(from, 0)})
			m.AddPtr(from, lds)
			m.AddPtrConst(to, 1)
		})
		m.AddPtr(dst, ldd)
		m.AddPtrConst(src, 1)
		m.SubInt(cols, 1)
	})
	m.Ret()
}

// transposeNEON is [transposeMatrix] for four lanes.
func transposeNEON(m *arm64) {
	m.Func("Transpose", "func(rows, cols int, dst *float32, ldd int, src *float32, lds int)",
		"Transpose computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols, both",
		"positive, in squares of 4 x 4 and single elements beside them. The matrices must",
		"not overlap.")
	rows, cols := m.ParamInt("rows"), m.ParamInt("cols")
	dst, ldd := m.ParamPtr("dst"), m.ParamInt("ldd")
	src, lds := m.ParamPtr("src"), m.ParamInt("lds")
	// column copies n elements of a column at from to the row at to, and moves both
	// pointers to the next.
	column := func(from, to Ptr, n Int) {
		at, out := m.CopyPtr(from), m.CopyPtr(to)
		m.Repeat(n, func() {
			m.StoreF32(out, 0, Vec{m.loadLane(at, 0)})
			m.AddPtr(at, lds)
			m.AddPtrConst(out, 1)
		})
		m.AddPtrConst(from, 1)
		m.AddPtr(to, ldd)
	}
	m.While(rows, 4, func() {
		from, to, left := m.CopyPtr(src), m.CopyPtr(dst), m.CopyInt(cols)
		m.While(left, 4, func() {
			row := m.CopyPtr(from)
			var in [4]Vec
			for i := range in {
				in[i] = m.Load(row, 0)
				m.AddPtr(row, lds)
			}
			for _, v := range m.transpose4(in) {
				m.Store(to, 0, v)
				m.AddPtr(to, ldd)
			}
			m.AddPtrConst(from, 4)
			m.SubInt(left, 4)
		})
		four := m.newR()
		m.op([]vreg{four}, nil, asmf("MOVD $4, R%d"))
		m.Repeat(left, func() { column(from, to, Int{four}) })
		for range 4 {
			m.AddPtr(src, lds)
		}
		m.AddPtrConst(dst, 4)
		m.SubInt(rows, 4)
	})
	m.Repeat(cols, func() { column(src, dst, rows) })
	m.Ret()
}

// transpose4 returns the columns of the 4 x 4 matrix whose rows are in.
func (m *arm64) transpose4(in [4]Vec) [4]Vec {
	trn := func(n int, lanes string, a, b Vec) Vec {
		d := m.newV()
		m.op([]vreg{d}, []vreg{vr(a.op), vr(b.op)},
			asmf(fmt.Sprintf("VTRN%d V%%[3]d.%s, V%%[2]d.%s, V%%[1]d.%s", n, lanes, lanes, lanes)))
		return Vec{d}
	}
	// even01 is in[0][0], in[1][0], in[0][2], in[1][2]; the others alike.
	even01, odd01 := trn(1, "S4", in[0], in[1]), trn(2, "S4", in[0], in[1])
	even23, odd23 := trn(1, "S4", in[2], in[3]), trn(2, "S4", in[2], in[3])
	return [4]Vec{
		trn(1, "D2", even01, even23), trn(1, "D2", odd01, odd23),
		trn(2, "D2", even01, even23), trn(2, "D2", odd01, odd23),
	}
}
