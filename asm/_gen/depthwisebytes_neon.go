package gen

// depthwiseBytesNEON emits the rows of bytes: eight channels at once, widened to 16 bits,
// with the weights in registers.
func depthwiseBytesNEON(m *arm64) {
	for _, stride := range []int{1, 2} {
		e := depthwiseBytesARM{arm64: m, stride: stride}
		e.emit()
	}
}

type depthwiseBytesARM struct {
	*arm64
	stride int

	rows                        [3]Ptr
	column                      Int
	c, width                    Int
	w                           [9]Vec // a register of 16 bits for each tap
	bias, scale                 [2]Vec
	pad, zero, low, high, least Vec
}

const depthwiseBytesLanesNEON = 8

func (e *depthwiseBytesARM) emit() {
	name := depthwiseBytesName(e.stride, depthwiseBytesLanesNEON)
	e.Func(name, depthwiseBytesSignature, depthwiseBytesDoc(e.stride, depthwiseBytesLanesNEON,
		"w holds numbers of 16 bits, for each r and s those of a block's channels.")...)
	e.pad, e.zero, e.low, e.high = e.ParamI32("pad"), e.ParamI32("zero"), e.ParamI32("low"), e.ParamI32("high")
	e.pad = Vec{e.narrow(encUXTLHalf, vr(e.pad.op))}
	e.least = e.ConstBits(0xff7fffff)
	e.c, e.width = e.ParamInt("c"), e.ParamInt("width")
	w, bias, scale, first := e.ParamPtr("w"), e.ParamPtr("bias"), e.ParamPtr("scale"), e.ParamBytes("dst")
	table := e.ParamPtr("rows")
	start := e.newR()
	e.op([]vreg{start}, []vreg{vr(e.ParamInt("left").op)}, asmf("NEG R%[2]d, R%[1]d"))
	shift := e.newR()
	e.op([]vreg{shift}, []vreg{start, vr(e.c.op)}, asmf("MUL R%[3]d, R%[2]d, R%[1]d"))
	e.Repeat(e.ParamInt("blocks"), func() {
		for r := range e.rows {
			e.rows[r] = e.LoadPtr(table, 8*r)
			e.rows[r].bytes = true
			e.AddPtr(e.rows[r], Int{shift})
		}
		for t := range e.w {
			e.w[t] = e.Load(w, 4*t)
		}
		for q := range e.bias {
			e.bias[q], e.scale[q] = e.Load(bias, 4*q), e.Load(scale, 4*q)
		}
		e.column = e.CopyInt(Int{start})
		e.pixels(e.CopyPtr(first))
		e.AddPtrConst(w, 4*len(e.w))
		e.AddPtrConst(bias, depthwiseBytesLanesNEON)
		e.AddPtrConst(scale, depthwiseBytesLanesNEON)
		e.AddPtrConst(first, depthwiseBytesLanesNEON)
		e.addConst(shift, depthwiseBytesLanesNEON)
	})
	e.Ret()
}

// pixels is [depthwiseBytesEmitter.pixels].
func (e *depthwiseBytesARM) pixels(dst Ptr) {
	x := e.nextColumn()
	sum := e.start(x)
	var next [2]Vec
	if e.stride == 1 {
		x = e.nextColumn()
		e.dot(sum, 1, x)
		next = e.start(x)
	}
	e.Repeat(e.ParamInt("pixels"), func() {
		if e.stride == 2 {
			e.dot(sum, 1, e.nextColumn())
		}
		x := e.nextColumn()
		e.dot(sum, 2, x)
		e.finish(dst, sum)
		if e.stride == 1 {
			e.dot(next, 1, x)
			e.set(sum, next)
			e.set(next, e.start(x))
		} else {
			e.set(sum, e.start(x))
		}
	})
}

func (e *depthwiseBytesARM) set(dst, src [2]Vec) {
	for q := range dst {
		e.Set(dst[q], src[q])
	}
}

// start returns sums of the bias and the first column of the filter.
func (e *depthwiseBytesARM) start(x [3]Vec) [2]Vec {
	sum := [2]Vec{e.Copy(e.bias[0]), e.Copy(e.bias[1])}
	e.dot(sum, 0, x)
	return sum
}

// nextColumn returns the next column of the rows as numbers of 16 bits, or padding.
func (e *depthwiseBytesARM) nextColumn() [3]Vec {
	outside, done := e.label("outside"), e.label("column")
	x := [3]Vec{{e.newV()}, {e.newV()}, {e.newV()}}
	e.op(nil, []vreg{vr(e.width.op), vr(e.column.op)}, asmf("CMP R%d, R%d"))
	e.branch("BHS ", outside)
	for r, p := range e.rows {
		v := e.newV()
		e.op([]vreg{v}, []vreg{vr(p.op)}, asmf("FMOVD (R%[2]d), F%[1]d"))
		e.op([]vreg{vr(x[r].op)}, []vreg{v}, func(r []int) string { return encUXTLHalf.encode(r[0], r[1]).String() })
	}
	e.branch("B ", done)
	e.place(outside)
	for r := range x {
		e.Set(x[r], e.pad)
	}
	e.place(done)
	for _, p := range e.rows {
		e.AddPtr(p, e.c)
	}
	e.AddInt(e.column, 1)
	return x
}

// dot adds the products with column s of the filter.
func (e *depthwiseBytesARM) dot(sum [2]Vec, s int, x [3]Vec) {
	for r := range x {
		for q, enc := range []encLong{encSMLAL, encSMLAL2} {
			e.update(vr(sum[q].op), []vreg{vr(x[r].op), vr(e.w[3*r+s].op)}, func(r []int) string { return enc.encode(r[0], r[1], r[2]).String() })
		}
	}
}

// finish scales, rounds and stores the sums, and moves dst.
func (e *depthwiseBytesARM) finish(dst Ptr, sum [2]Vec) {
	var v [2]Vec
	for q := range v {
		v[q] = e.ToI32(e.three(encFMAXNM, e.least, e.Mul(e.FromI32(sum[q]), e.scale[q]))) // NaN is least
	}
	half := e.narrow(encSQXTN, vr(v[0].op))
	e.update(half, []vreg{vr(v[1].op)}, func(r []int) string { return encSQXTN2.encode(r[0], r[1]).String() })
	b := Vec{e.narrow(encSQXTUNByte, vr(e.three(encSQADDHalf, Vec{half}, e.zero).op))}
	b = e.three(encUMINByte, e.high, e.three(encUMAXByte, e.low, b))
	e.op(nil, []vreg{vr(b.op), vr(dst.op)}, asmf("FMOVD F%[1]d, (R%[2]d)"))
	e.AddPtr(dst, e.c)
}
