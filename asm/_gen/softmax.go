package gen

// softmaxRows is softmax for rows of one vector at most. Rows are taken four at a
// time: each alone waits for its maximum, its exponentials and its sum.
func softmaxRows(m Machine) {
	m.Func("SoftmaxRows", "func(dst, x *float32, rows, cols int)",
		"SoftmaxRows computes dst = exp(x-m)/sum(exp(x-m)) for each of rows rows of cols",
		"elements, m being the row's maximum; cols is at least 1 and at most a vector. Sums",
		"are in SumLanes' order, of zeros past cols. A row with NaN or +Inf and one of -Inf",
		"only give NaN. dst may be x.")
	const together4 = 4
	dst, x, rows := m.ParamPtr("dst"), m.ParamPtr("x"), m.ParamInt("rows")
	c, lowest := hold(m, expFunction, together4), m.ConstBits(negInfBits)
	// One strip: a full one or a partial one.
	m.Strips(m.ParamInt("cols"), nil, 1, func(s Strip) {
		for _, size := range []int{together4, 1} {
			m.While(rows, size, func() {
				softmaxGroup(c, s, dst, x, size, lowest)
				m.SubInt(rows, size)
			})
		}
	})
	m.Ret()
}

// softmaxGroup handles some rows and moves the pointers behind them. What belongs
// to all lanes of a row goes through the row's first element of dst.
func softmaxGroup(c constants, s Strip, dst, x Ptr, rows int, lowest Vec) {
	m := c.Machine
	step := m.ParamInt("cols")
	values, at := make([]Vec, rows), make([]Ptr, rows)
	for i := range rows {
		values[i], at[i] = s.Keep(s.Load(x, 0), lowest), m.CopyPtr(dst)
		m.AddPtr(x, step)
		m.AddPtr(dst, step)
	}
	for i, v := range values {
		m.StoreF32(at[i], 0, m.MaxLanes(v))
	}
	for i, v := range values {
		values[i] = m.Sub(v, m.LoadBroadcast(at[i], 0))
	}
	all := together{m, rows}
	c.Machine = all
	e := expFunction.emit(c, Vec{values})
	for i, p := range at {
		m.StoreF32(p, 0, m.SumLanes(all.of(e, i)))
	}
	for i, p := range at {
		s.Store(p, 0, m.Mul(all.of(e, i), m.Reciprocal(m.LoadBroadcast(p, 0))))
	}
}
