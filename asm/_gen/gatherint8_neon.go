package gen

// gatherInt8RowsNEON are the heights of the tiles of bytes.
var gatherInt8RowsNEON = []int{8, 4, 1}

// gatherInt8NEON emits the tiles of bytes: products of even and of odd bytes fit
// 16 bits (255*128 < 2^15), and SADALP adds pairs of them to the 32-bit sums.
func gatherInt8NEON(m *arm64) {
	const vecs = 2
	m.Func("GatherWords8x8", "func(mr int, acc *int32, a *uint8, rows, offsets *int32, b *int8, bias *int32, taps, quads int)",
		gatherInt8Doc("GatherWords8x8", "mr", 4*vecs)...)
	m.chooseRows(gatherInt8RowsNEON)
	for _, mr := range gatherInt8RowsNEON {
		m.place(rowsLabel(mr))
		m.gatherInt8Body(mr, vecs)
	}
}

func (m *arm64) gatherInt8Body(mr, vecs int) {
	acc := m.tile(mr, vecs)
	for u, v := range m.loadVecs(m.ParamPtr("bias"), vecs) {
		for i := range acc {
			m.Set(acc[i][u], v)
		}
	}
	b, offsets := m.ParamPtr("b"), m.ParamPtr("offsets")
	m.Repeat(m.ParamInt("taps"), func() {
		a := m.ParamBytes("a")
		m.AddPtr(a, Int{m.signed32(offsets, 0)})
		m.AddPtrConst(offsets, 1)
		at := m.ParamPtr("rows")
		rows := make([]Ptr, mr)
		for i := range rows {
			rows[i] = m.CopyPtr(a)
			m.AddPtr(rows[i], Int{m.signed32(at, i)})
			rows[i].bytes = false // they advance by four bytes
		}
		m.Repeat(m.ParamInt("quads"), func() {
			even, odd := make([]Vec, vecs), make([]Vec, vecs)
			for u, v := range m.loadVecs(b, vecs) {
				odd[u] = m.shifted(encSSHRHalf, v, 8)
				even[u] = m.shifted(encSSHRHalf, m.shifted(encSHLHalf, v, 8), 8)
			}
			m.AddPtrConst(b, 4*vecs)
			for i, row := range rows {
				v := m.LoadBroadcast(row, 0)
				m.AddPtrConst(row, 1)
				high := m.shifted(encUSHRHalf, v, 8)
				low := m.shifted(encUSHRHalf, m.shifted(encSHLHalf, v, 8), 8)
				for u := range vecs {
					m.addPairs(acc[i][u], m.three(encMULHalf, low, even[u]))
					m.addPairs(acc[i][u], m.three(encMULHalf, high, odd[u]))
				}
			}
		})
	})
	out := m.ParamPtr("acc")
	for i := range acc {
		for u, v := range acc[i] {
			m.Store(out, 4*(i*vecs+u), v)
		}
	}
	m.Ret()
}

// addPairs adds neighbours of eight 16-bit numbers to four 32-bit sums.
func (m *arm64) addPairs(acc, v Vec) {
	m.update(vr(acc.op), []vreg{vr(v.op)}, func(r []int) string { return encSADALP.encode(r[0], r[1]).String() })
}
