package gen

// Quantised tensors: q stands for (q - zero)*scale. All kernels round to nearest
// even and saturate by clamping before they convert.

// quantiseStore emits the last steps of every kernel that makes bytes:
// dst = clamp(v, lo, hi) rounded + zero, with NaN giving lo.
func quantiseStore(m Machine, s Strip, dst Ptr, u int, v, lo, hi, zero Vec) {
	q := m.AddI32(m.ToI32(m.Min(m.Max(v, lo), hi)), zero)
	s.StoreBytes(dst, u, m.And(q, m.ConstBits(0xff)))
}

// dequantise emits (byte - zero) as float32.
func dequantise(m Machine, s Strip, src Ptr, u int, flip, zero Vec) Vec {
	v := s.LoadBytes(src, u)
	if flip.op != nil {
		v = m.Xor(v, flip)
	}
	return m.FromI32(m.SubI32(v, zero))
}

func quantiseBytes(m Machine) {
	m.Func("QuantizeBytes", "func(dst *uint8, src *float32, n int, scale, lo, hi float32, zero int32)",
		"QuantizeBytes sets dst[i] to the low byte of round(min(max(src[i]/scale, lo), hi)) + zero,",
		"ties to even; NaN counts as lo. n >= 0.")
	n, dst, src := m.ParamInt("n"), m.ParamBytes("dst"), m.ParamPtr("src")
	scale, lo, hi, zero := m.ParamF32("scale"), m.ParamF32("lo"), m.ParamF32("hi"), m.ParamI32("zero")
	m.Strips(n, []Ptr{dst, src}, 2, func(s Strip) {
		for u := range s.U {
			quantiseStore(m, s, dst, u, m.Div(s.Load(src, u), scale), lo, hi, zero)
		}
	})
	m.Ret()
}

func dequantiseBytes(m Machine) {
	m.Func("DequantizeBytes", "func(dst *float32, src *uint8, n int, scale float32, zero, flip int32)",
		"DequantizeBytes sets dst[i] = float32((src[i]^flip) - zero) * scale. n >= 0.")
	n, dst, src := m.ParamInt("n"), m.ParamPtr("dst"), m.ParamBytes("src")
	scale, zero, flip := m.ParamF32("scale"), m.ParamI32("zero"), m.ParamI32("flip")
	m.Strips(n, []Ptr{dst, src}, 2, func(s Strip) {
		for u := range s.U {
			s.Store(dst, u, m.Mul(dequantise(m, s, src, u, flip, zero), scale))
		}
	})
	m.Ret()
}

// rowsOf32 emits a loop over rows of 32-bit sums: body gets pointers to the
// row's first element of dst, acc and scale, and steps through cols of them.
func rowsOf32(m Machine, dst Ptr, body func(n Int, dst, acc, scale Ptr)) {
	acc := m.ParamPtr("acc")
	m.Repeat(m.ParamInt("rows"), func() {
		body(m.ParamInt("cols"), m.CopyPtr(dst), m.CopyPtr(acc), m.ParamPtr("scale"))
		m.AddPtr(dst, m.ParamInt("ldc"))
		m.AddPtr(acc, m.ParamInt("lda"))
	})
	m.Ret()
}

func requantiseRows(m Machine) {
	m.Func("RequantizeRows", "func(dst *uint8, ldc int, acc *int32, lda int, scale *float32, rows, cols int, lo, hi float32, zero int32)",
		"RequantizeRows sets, for i < rows and j < cols,",
		"",
		"\tdst[i*ldc+j] = round(min(max(float32(acc[i*lda+j])*scale[j], lo), hi)) + zero",
		"",
		"ties to even; NaN counts as lo. rows, cols >= 0.")
	lo, hi, zero := m.ParamF32("lo"), m.ParamF32("hi"), m.ParamI32("zero")
	rowsOf32(m, m.ParamBytes("dst"), func(n Int, dst, acc, scale Ptr) {
		m.Strips(n, []Ptr{dst, acc, scale}, 2, func(s Strip) {
			for u := range s.U {
				quantiseStore(m, s, dst, u, m.Mul(m.FromI32(s.Load(acc, u)), s.Load(scale, u)), lo, hi, zero)
			}
		})
	})
}

func dequantiseRows(m Machine) {
	m.Func("DequantizeRows", "func(dst *float32, ldc int, acc *int32, lda int, scale *float32, rows, cols int, lo, hi float32)",
		"DequantizeRows sets, for i < rows and j < cols,",
		"",
		"\tdst[i*ldc+j] = min(hi, max(lo, float32(acc[i*lda+j])*scale[j]))",
		"",
		"NaN passes through min and max. rows, cols >= 0.")
	lo, hi := m.ParamF32("lo"), m.ParamF32("hi")
	rowsOf32(m, m.ParamPtr("dst"), func(n Int, dst, acc, scale Ptr) {
		m.Strips(n, []Ptr{dst, acc, scale}, 2, func(s Strip) {
			for u := range s.U {
				v := m.Mul(m.FromI32(s.Load(acc, u)), s.Load(scale, u))
				s.Store(dst, u, m.Min(hi, m.Max(lo, v)))
			}
		})
	})
}

func addBytes(m Machine) {
	m.Func("AddBytes", "func(dst, x, y *uint8, n int, xScale, yScale, scale float32, xZero, yZero, zero int32, lo, hi float32)",
		"AddBytes sets dst[i] = round(min(max(s/scale, lo), hi)) + zero with",
		"",
		"\ts = float32(x[i]-xZero)*xScale + float32(y[i]-yZero)*yScale",
		"",
		"every step rounded to float32, the last to nearest even; NaN counts as lo. n >= 0.")
	n, dst, x, y := m.ParamInt("n"), m.ParamBytes("dst"), m.ParamBytes("x"), m.ParamBytes("y")
	xZero, yZero, zero := m.ParamI32("xZero"), m.ParamI32("yZero"), m.ParamI32("zero")
	xScale, yScale, scale := m.ParamF32("xScale"), m.ParamF32("yScale"), m.ParamF32("scale")
	lo, hi := m.ParamF32("lo"), m.ParamF32("hi")
	m.Strips(n, []Ptr{dst, x, y}, 1, func(s Strip) {
		v := m.Mul(dequantise(m, s, x, 0, Vec{}, xZero), xScale)
		w := m.Mul(dequantise(m, s, y, 0, Vec{}, yZero), yScale)
		quantiseStore(m, s, dst, 0, m.Div(m.Add(v, w), scale), lo, hi, zero)
	})
	m.Ret()
}

// bytesAt returns the pointer to bytes stored at p, moved by n bytes less left.
func bytesAt(m Machine, p Ptr, negLeft Int) Ptr {
	at := m.LoadPtr(p, 0)
	at.bytes = true
	m.AddPtr(at, m.ParamInt("n"))
	m.AddPtr(at, negLeft)
	return at
}

func maxBytes(m Machine) {
	m.Func("MaxBytes", "func(dst *uint8, taps **uint8, count, n int)",
		"MaxBytes sets dst[i] to the largest of taps[t][i] for t < count. count, n >= 0.")
	n, dst := m.ParamInt("n"), m.ParamBytes("dst")
	m.Strips(n, []Ptr{dst}, 1, func(s Strip) {
		negLeft := m.CopyInt(n)
		m.MulInt(negLeft, -1)
		acc, table := m.Zero(), m.ParamPtr("taps")
		m.Repeat(m.ParamInt("count"), func() {
			v := m.FromI32(s.LoadBytes(bytesAt(m, table, negLeft), 0))
			m.Set(acc, m.Max(v, acc))
			m.AddPtrConst(table, 2)
		})
		s.StoreBytes(dst, 0, m.ToI32(acc))
	})
	m.Ret()
}

// depthwiseBytes multiplies in float32: products of a byte and a weight are
// below 2^15, so that sums of up to 2^9 of them are exact.
func depthwiseBytes(m Machine) {
	m.Func("DepthwiseBytes", "func(dst *uint8, taps **uint8, count int, w *float32, wStride int, bias *int32, scale *float32, n int, lo, hi float32, zero int32)",
		"DepthwiseBytes computes one pixel of a depthwise convolution:",
		"",
		"\ts = bias[i] + sum over t < count of taps[t][i] * w[t*wStride+i]",
		"\tdst[i] = round(min(max(float32(s)*scale[i], lo), hi)) + zero   for i < n",
		"",
		"w holds whole numbers from -128 to 127. count <= 256, n >= 0.")
	n, dst := m.ParamInt("n"), m.ParamBytes("dst")
	w, bias, scale := m.ParamPtr("w"), m.ParamPtr("bias"), m.ParamPtr("scale")
	m.Strips(n, []Ptr{dst, w, bias, scale}, 1, func(s Strip) {
		negLeft := m.CopyInt(n)
		m.MulInt(negLeft, -1)
		acc, table, at := m.Zero(), m.ParamPtr("taps"), m.CopyPtr(w)
		m.Repeat(m.ParamInt("count"), func() {
			x := m.FromI32(s.LoadBytes(bytesAt(m, table, negLeft), 0))
			m.AccMulAdd(acc, x, s.Load(at, 0))
			m.AddPtrConst(table, 2)
			m.AddPtr(at, m.ParamInt("wStride"))
		})
		sum := m.AddI32(m.ToI32(acc), s.Load(bias, 0))
		quantiseStore(m, s, dst, 0, m.Mul(m.FromI32(sum), s.Load(scale, 0)), m.ParamF32("lo"), m.ParamF32("hi"), m.ParamI32("zero"))
	})
	m.Ret()
}
