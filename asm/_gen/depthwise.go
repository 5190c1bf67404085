package gen

import "fmt"

// Depthwise convolution: channels in the lanes, one filter per channel. Filters
// lie tap by tap: w[tap*wStride+c].

func depthwise(m Machine) {
	for _, size := range []int{3, 5} {
		for _, stride := range []int{1, 2} {
			depthwiseRow(m, size, stride)
			depthwiseGradRow(m, size, stride)
		}
	}
	depthwisePixel(m)
	depthwiseGradPixel(m)
}

// registers returns the number of vector registers.
func registers(m Machine) int {
	if m.Lanes() == 8 {
		return 16
	}
	return 32
}

// pixelsAtOnce returns how many output pixels fit beside resident vectors, and the
// smaller numbers for what is left of a row.
func pixelsAtOnce(m Machine, resident int) []int {
	if registers(m)-resident >= 12 {
		return []int{4, 1}
	}
	return []int{2, 1}
}

// walkLoad loads count vectors of strip s, step apart from p on.
func walkLoad(m Machine, s Strip, p Ptr, step Int, count int) []Vec {
	at := m.CopyPtr(p)
	list := make([]Vec, count)
	for i := range list {
		list[i] = s.Load(at, 0)
		if i < count-1 {
			m.AddPtr(at, step)
		}
	}
	return list
}

// A stripShift moves pointers to the first channel of the current strip.
type stripShift struct {
	m       Machine
	negLeft Int // minus the channels from this strip on
}

func newStripShift(m Machine, left Int) stripShift {
	neg := m.CopyInt(left)
	m.MulInt(neg, -1)
	return stripShift{m, neg}
}

func (s stripShift) move(p Ptr) {
	s.m.AddPtr(p, s.m.ParamInt("n"))
	s.m.AddPtr(p, s.negLeft)
}

// A pixelStep moves pointers over pixels of c channels. NEON has general-purpose
// registers to keep the distances and the bounds of the result in; elsewhere they are
// loaded where they are needed.
type pixelStep struct {
	m      Machine
	keeps  bool
	one    Int         // c
	runs   map[int]Int // by pixels: so many times c
	lo, hi Vec
}

func newPixelStep(m Machine, bounds bool, stride int, widths []int) *pixelStep {
	s := &pixelStep{m: m, keeps: m.Lanes() == 4, runs: map[int]Int{}}
	if !s.keeps {
		return s
	}
	s.one = m.ParamInt("c")
	for _, pw := range widths {
		s.runs[pw*stride] = m.CopyInt(s.one)
		m.MulInt(s.runs[pw*stride], pw*stride)
	}
	if bounds {
		s.lo, s.hi = m.ParamF32("lo"), m.ParamF32("hi")
	}
	return s
}

// next moves p to the next pixel, skip over one of the runs of pixels.
func (s *pixelStep) next(p Ptr) {
	if s.keeps {
		s.m.AddPtr(p, s.one)
	} else {
		s.m.AddPtr(p, s.m.ParamInt("c"))
	}
}

func (s *pixelStep) skip(p Ptr, pixels int) {
	if run, ok := s.runs[pixels]; ok {
		s.m.AddPtr(p, run)
		return
	}
	for range pixels {
		s.next(p)
	}
}

// bounds returns the parameters lo and hi.
func (s *pixelStep) bounds() (lo, hi Vec) {
	if s.keeps {
		return s.lo, s.hi
	}
	return s.m.ParamF32("lo"), s.m.ParamF32("hi")
}

// rowPointers loads the pointers of the filter's rows.
func rowPointers(m Machine, size int) []Ptr {
	table := m.ParamPtr("rows")
	rows := make([]Ptr, size)
	for r := range rows {
		rows[r] = m.LoadPtr(table, 8*r)
	}
	return rows
}

// depthwiseRow emits the forward kernel: a row of output pixels whose taps are
// all inside the rows given.
func depthwiseRow(m Machine, size, stride int) {
	name := fmt.Sprintf("DepthwiseRow%ds%d", size, stride)
	m.Func(name, "func(dst *float32, rows **float32, w *float32, wStride int, bias *float32, lo, hi float32, n, c, pixels int)",
		name+" computes consecutive output pixels of one row for n of c channels:",
		"",
		"\ty = bias[i] + sum over r, s of rows[r][(p*"+fmt.Sprint(stride)+"+s)*c+i] * w[(r*"+fmt.Sprint(size)+"+s)*wStride+i]",
		"\tdst[p*c+i] = min(hi, max(lo, y))   for p < pixels, i < n",
		"",
		"The sum starts with the bias; products are fused. NaN passes through min and",
		"max. pixels > 0.")
	n, first := m.ParamInt("n"), m.ParamPtr("dst")
	w, bias := m.ParamPtr("w"), m.ParamPtr("bias")
	widths := pixelsAtOnce(m, size*size)
	if m.Lanes() == 4 && size == 3 { // four sums do not keep the multiply-add units busy
		widths = []int{8, 4, 1}
	}
	step := newPixelStep(m, true, stride, widths)
	m.Strips(n, []Ptr{first, w, bias}, 1, func(s Strip) {
		shift := newStripShift(m, n)
		rows := rowPointers(m, size)
		for _, p := range rows {
			shift.move(p)
		}
		taps := size * size
		var weights []Vec
		if taps+6 <= registers(m) {
			weights = walkLoad(m, s, w, m.ParamInt("wStride"), taps)
		}
		dst, left := m.CopyPtr(first), m.ParamInt("pixels")
		for _, pw := range widths {
			m.While(left, pw, func() {
				depthwisePixels(step, s, size, stride, pw, rows, dst, w, bias, weights)
				m.SubInt(left, pw)
			})
		}
	})
	m.Ret()
}

// depthwisePixels emits pw pixels and moves rows and dst behind them.
func depthwisePixels(step *pixelStep, s Strip, size, stride, pw int, rows []Ptr, dst, w, bias Ptr, weights []Vec) {
	m := step.m
	acc := make([]Vec, pw)
	for p := range acc {
		acc[p] = s.Load(bias, 0)
	}
	at := m.CopyPtr(w)
	for r := range size {
		x := m.CopyPtr(rows[r])
		var row []Vec
		if weights != nil {
			row = weights[r*size:][:size]
		} else {
			next := m.ParamInt("wStride")
			row = walkLoad(m, s, at, next, size)
			for range size {
				m.AddPtr(at, next)
			}
		}
		for col := range (pw-1)*stride + size {
			v := s.Load(x, 0)
			step.next(x)
			for p := range acc {
				if q := col - p*stride; q >= 0 && q < size {
					m.AccMulAdd(acc[p], v, row[q])
				}
			}
		}
		step.skip(rows[r], pw*stride)
	}
	lo, hi := step.bounds()
	for p := range acc {
		s.Store(dst, 0, m.Min(hi, m.Max(lo, acc[p])))
		step.next(dst)
	}
}

// depthwisePixel emits the kernel of one output pixel with any taps.
func depthwisePixel(m Machine) {
	m.Func("DepthwisePixel", "func(dst *float32, taps **float32, count int, bias *float32, lo, hi float32, n int)",
		"DepthwisePixel computes one output pixel from count taps:",
		"",
		"\ty = bias[i] + sum over t < count of taps[2*t][i] * taps[2*t+1][i]",
		"\tdst[i] = min(hi, max(lo, y))   for i < n",
		"",
		"taps holds pairs of pointers, to a pixel and to its weights. The sum starts",
		"with the bias; products are fused. NaN passes through min and max. count >= 0.")
	n, dst, bias := m.ParamInt("n"), m.ParamPtr("dst"), m.ParamPtr("bias")
	m.Strips(n, []Ptr{dst, bias}, 1, func(s Strip) {
		shift := newStripShift(m, n)
		acc := s.Load(bias, 0)
		table := m.ParamPtr("taps")
		m.Repeat(m.ParamInt("count"), func() {
			x, w := m.LoadPtr(table, 0), m.LoadPtr(table, 8)
			shift.move(x)
			shift.move(w)
			m.AccMulAdd(acc, s.Load(x, 0), s.Load(w, 0))
			m.AddPtrConst(table, 4)
		})
		s.Store(dst, 0, m.Min(m.ParamF32("hi"), m.Max(m.ParamF32("lo"), acc)))
	})
	m.Ret()
}

// depthwiseGradRow emits the weight gradient of a row of output pixels whose
// taps are all inside the rows given. Where the sums of all taps do not fit the
// registers, it goes over the row once for each row of the filter.
func depthwiseGradRow(m Machine, size, stride int) {
	name := fmt.Sprintf("DepthwiseGradRow%ds%d", size, stride)
	m.Func(name, "func(dw *float32, wStride int, rows **float32, dy *float32, n, c, pixels int)",
		name+" adds up the weight gradient over a row of output pixels, for n of c channels:",
		"",
		"\tdw[(r*"+fmt.Sprint(size)+"+s)*wStride+i] += rows[r][(p*"+fmt.Sprint(stride)+"+s)*c+i] * dy[p*c+i]   for p < pixels in this order, i < n",
		"",
		"Products are fused. pixels > 0.")
	n, dw, dy := m.ParamInt("n"), m.ParamPtr("dw"), m.ParamPtr("dy")
	group := size
	if size*size+6 > registers(m) {
		group = 1
	}
	widths := pixelsAtOnce(m, group*size+2)
	pixels := newPixelStep(m, false, stride, widths)
	m.Strips(n, []Ptr{dw, dy}, 1, func(s Strip) {
		shift := newStripShift(m, n)
		at := m.CopyPtr(dw)
		for r0 := 0; r0 < size; r0 += group {
			rows := rowPointers(m, size)[r0:][:group]
			for _, p := range rows {
				shift.move(p)
			}
			step := m.ParamInt("wStride")
			acc := walkLoad(m, s, at, step, group*size)
			y, left := m.CopyPtr(dy), m.ParamInt("pixels")
			for _, pw := range widths {
				m.While(left, pw, func() {
					depthwiseGradPixels(pixels, s, size, stride, pw, rows, y, acc)
					m.SubInt(left, pw)
				})
			}
			for _, v := range acc {
				s.Store(at, 0, v)
				m.AddPtr(at, m.ParamInt("wStride"))
			}
		}
	})
	m.Ret()
}

func depthwiseGradPixels(step *pixelStep, s Strip, size, stride, pw int, rows []Ptr, y Ptr, acc []Vec) {
	m := step.m
	dy := make([]Vec, pw)
	for p := range dy {
		dy[p] = s.Load(y, 0)
		step.next(y)
	}
	for r := range rows {
		x := m.CopyPtr(rows[r])
		for col := range (pw-1)*stride + size {
			v := s.Load(x, 0)
			step.next(x)
			for p := range dy {
				if q := col - p*stride; q >= 0 && q < size {
					m.AccMulAdd(acc[r*size+q], v, dy[p])
				}
			}
		}
		step.skip(rows[r], pw*stride)
	}
}

// depthwiseGradPixel emits the weight gradient of one output pixel with any taps.
func depthwiseGradPixel(m Machine) {
	m.Func("DepthwiseGradPixel", "func(dy *float32, taps **float32, count, n int)",
		"DepthwiseGradPixel adds one output pixel to the weight gradient of count taps:",
		"",
		"\ttaps[2*t+1][i] += taps[2*t][i] * dy[i]   for t < count, i < n",
		"",
		"taps holds pairs of pointers, to a pixel and to the gradient of its weights.",
		"Products are fused. count >= 0.")
	n, dy := m.ParamInt("n"), m.ParamPtr("dy")
	m.Strips(n, []Ptr{dy}, 1, func(s Strip) {
		shift := newStripShift(m, n)
		y := s.Load(dy, 0)
		table := m.ParamPtr("taps")
		m.Repeat(m.ParamInt("count"), func() {
			x, w := m.LoadPtr(table, 0), m.LoadPtr(table, 8)
			shift.move(x)
			shift.move(w)
			sum := s.Load(w, 0)
			m.AccMulAdd(sum, s.Load(x, 0), y)
			s.Store(w, 0, sum)
			m.AddPtrConst(table, 4)
		})
	})
	m.Ret()
}
