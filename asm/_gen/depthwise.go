package gen

import (
	"fmt"
	"math"
)

// Depthwise convolution: channels in the lanes, one filter per channel. Filters
// lie tap by tap: w[tap*wStride+c].

// depthwiseRowsNEON emits the kernels for rows; amd64 has its own.
func depthwiseRowsNEON(m Machine) {
	for _, size := range []int{3, 5} {
		for _, stride := range []int{1, 2} {
			depthwiseRow(m, size, stride)
			depthwiseGradRow(m, size, stride)
		}
	}
}

func depthwise(m Machine) {
	depthwisePixel(m)
	for _, taps := range []int{1, 2, 4} {
		depthwiseSteps(m, taps)
	}
	depthwiseSpread(m)
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
// registers to keep the distances in, as bytes, and loads and stores that add one to
// their pointer; elsewhere they are loaded where they are needed.
type pixelStep struct {
	m    Machine
	neon *arm64      // m, or nil
	one  Int         // bytes of c
	runs map[int]Int // by pixels: so many times one
}

// stepChain is the number of loads or stores after which the pointer that they move is
// set anew: each move may take as long as a load.
const stepChain = 4

func newPixelStep(m Machine, stride int, widths []int) *pixelStep {
	s := &pixelStep{m: m, runs: map[int]Int{}}
	neon, ok := m.(*arm64)
	if !ok {
		return s
	}
	s.neon, s.one = neon, neon.paramIntBytes("c")
	for _, pw := range append([]int{stepChain}, widths...) {
		for _, pixels := range []int{pw, pw * stride} {
			if _, ok := s.runs[pixels]; !ok {
				s.runs[pixels] = m.CopyInt(s.one)
				m.MulInt(s.runs[pixels], pixels)
			}
		}
	}
	return s
}

// skip moves p over one of the runs of pixels.
func (s *pixelStep) skip(p Ptr, pixels int) {
	if s.neon != nil {
		s.neon.addPtrBytes(p, s.runs[pixels])
		return
	}
	for range pixels {
		s.m.AddPtr(p, s.m.ParamInt("c"))
	}
}

// load returns the vector of strip t at p and moves p to the next pixel.
func (s *pixelStep) load(t Strip, p Ptr) Vec {
	if s.neon != nil {
		return s.neon.loadStep(t, p, s.one)
	}
	v := t.Load(p, 0)
	s.m.AddPtr(p, s.m.ParamInt("c"))
	return v
}

// A pixelWalk loads count vectors, stride pixels apart, on NEON. It moves start over as
// many of them as are multiples of stepChain.
type pixelWalk struct {
	*pixelStep
	t             Strip
	start, x      Ptr
	stride        int
	loaded, count int
}

func (k *pixelWalk) next() Vec {
	first := k.loaded%stepChain == 0
	if first && k.loaded > 0 {
		k.skip(k.start, stepChain*k.stride)
	}
	k.loaded++
	last := k.loaded%stepChain == 0 || k.loaded == k.count
	switch {
	case first && last:
		return k.t.Load(k.start, 0)
	case first:
		k.x = k.m.CopyPtr(k.start)
	case last:
		return k.t.Load(k.x, 0)
	}
	return k.neon.loadStep(k.t, k.x, k.runs[k.stride])
}

// sweep calls use with every output pixel of pw, every tap of a filter row and the vector
// of strip t that they multiply, and moves row over the pixels. It loads each vector
// once. For one pixel taps come in ascending order, for one tap pixels do. x is a copy of
// row, which it may use.
func (s *pixelStep) sweep(t Strip, row, x Ptr, size, stride, pw int, use func(pixel, tap int, v Vec)) {
	count := (pw-1)*stride + size
	walk := &pixelWalk{pixelStep: s, t: t, start: row, stride: 1, count: count}
	chained := s.neon != nil && (count-1)/stepChain*stepChain == pw*stride
	for col := range count {
		var v Vec
		if chained {
			v = walk.next()
		} else {
			v = s.load(t, x)
		}
		for pixel := range pw {
			if tap := col - pixel*stride; tap >= 0 && tap < size {
				use(pixel, tap, v)
			}
		}
	}
	if !chained {
		s.skip(row, pw*stride)
	}
}

// sweepTaps is [pixelStep.sweep] on NEON for a multiple of stepChain pixels, a tap after
// the other: products that follow each other belong to different pixels.
func (s *pixelStep) sweepTaps(t Strip, row Ptr, size, stride, pw int, use func(pixel, tap int, v Vec)) {
	// Taps of one phase, which differ by a multiple of the stride, share vectors. The
	// walk of phase 0 moves row over all pixels.
	phases, columns := make([]*pixelWalk, stride), make([][]Vec, stride)
	for phase := stride - 1; phase >= 0; phase-- {
		start := row
		if phase > 0 {
			start = s.m.CopyPtr(row)
			s.skip(start, phase)
		}
		phases[phase] = &pixelWalk{pixelStep: s, t: t, start: start, stride: stride, count: pw + (size-1-phase)/stride}
	}
	for tap := range size {
		phase, first := tap%stride, tap/stride
		for pixel := range pw {
			if first+pixel == len(columns[phase]) {
				columns[phase] = append(columns[phase], phases[phase].next())
			}
			use(pixel, tap, columns[phase][first+pixel])
		}
	}
}

// storePixels writes vectors of strip t to pixels from p on, each after limit, and moves
// p behind them.
func (s *pixelStep) storePixels(t Strip, p Ptr, list []Vec, limit func(v Vec) Vec) {
	for s.neon != nil && len(list) > stepChain {
		x := s.m.CopyPtr(p)
		s.skip(p, stepChain)
		for _, v := range list[:stepChain] {
			s.store(t, x, limit(v))
		}
		list = list[stepChain:]
	}
	for _, v := range list {
		s.store(t, p, limit(v))
	}
}

// store writes the vector of strip t to p and moves p to the next pixel.
func (s *pixelStep) store(t Strip, p Ptr, v Vec) {
	if s.neon != nil {
		s.neon.storeStep(t, p, s.one, v)
		return
	}
	t.Store(p, 0, v)
	s.m.AddPtr(p, s.m.ParamInt("c"))
}

// A rowClamp limits results to the parameters lo and hi, which must not be NaN. NEON
// keeps them in registers and has a value that is zero where they limit nothing.
type rowClamp struct {
	m      Machine
	neon   *arm64
	lo, hi Vec
	active Int
}

func newRowClamp(m Machine) *rowClamp {
	k := &rowClamp{m: m}
	if neon, ok := m.(*arm64); ok {
		k.neon, k.lo, k.hi = neon, m.ParamF32("lo"), m.ParamF32("hi")
		k.active = neon.differs("lo", float32(math.Inf(-1)), "hi", float32(math.Inf(1)))
	}
	return k
}

// limit returns a function that limits a vector; NaN stays NaN. On NEON the maximum of
// zeros of both signs is +0 and their minimum -0. It limits nothing if k is nil.
func (k *rowClamp) limit() func(v Vec) Vec {
	if k == nil {
		return func(v Vec) Vec { return v }
	}
	if k.neon != nil {
		return func(v Vec) Vec { return k.neon.three(encFMIN, k.hi, k.neon.three(encFMAX, k.lo, v)) }
	}
	lo, hi := k.m.ParamF32("lo"), k.m.ParamF32("hi")
	return func(v Vec) Vec { return clampNaN(k.m, v, lo, hi) }
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
	if m.Lanes() == 4 { // fewer sums do not keep the multiply-add units busy
		widths = []int{8, 4, 1}
	}
	step, clamp := newPixelStep(m, stride, widths), newRowClamp(m)
	var next Int
	if step.neon != nil {
		next = step.neon.paramIntBytes("wStride")
	}
	m.Strips(n, []Ptr{first, w, bias}, 1, func(s Strip) {
		shift := newStripShift(m, n)
		rows := rowPointers(m, size)
		for _, p := range rows {
			shift.move(p)
		}
		taps := size * size
		var weights []Vec
		if taps+6 <= registers(m) && (step.neon == nil || size == 3) { // NEON needs registers for eight sums
			weights = walkLoad(m, s, w, m.ParamInt("wStride"), taps)
		}
		dst, left := m.CopyPtr(first), m.ParamInt("pixels")
		run := func(pw int, clamp *rowClamp) {
			m.While(left, pw, func() {
				depthwisePixels(step, s, size, stride, pw, rows, dst, w, bias, weights, next, clamp)
				m.SubInt(left, pw)
			})
		}
		if step.neon != nil && !s.partial { // the clamp takes multiply-add units
			m.IfZero(clamp.active, func() { run(widths[0], nil) })
		}
		for _, pw := range widths {
			run(pw, clamp)
		}
	})
	m.Ret()
}

// depthwisePixels emits pw pixels and moves rows and dst behind them. Without weights
// it loads them, on NEON next bytes apart. clamp may be nil.
func depthwisePixels(step *pixelStep, s Strip, size, stride, pw int, rows []Ptr, dst, w, bias Ptr, weights []Vec, next Int, clamp *rowClamp) {
	m := step.m
	acc := make([]Vec, pw)
	for p := range acc {
		acc[p] = s.Load(bias, 0)
	}
	at := m.CopyPtr(w)
	for r := range size {
		byTap := step.neon != nil && pw%stepChain == 0
		var x Ptr
		if !byTap {
			x = m.CopyPtr(rows[r])
		}
		var row []Vec
		if weights != nil {
			row = weights[r*size:][:size]
		} else if step.neon != nil {
			for range size {
				row = append(row, step.neon.loadStep(s, at, next))
			}
		} else {
			next := m.ParamInt("wStride")
			row = walkLoad(m, s, at, next, size)
			for range size {
				m.AddPtr(at, next)
			}
		}
		multiply := func(pixel, tap int, v Vec) { m.AccMulAdd(acc[pixel], v, row[tap]) }
		if byTap {
			step.sweepTaps(s, rows[r], size, stride, pw, multiply)
		} else {
			step.sweep(s, rows[r], x, size, stride, pw, multiply)
		}
	}
	step.storePixels(s, dst, acc, clamp.limit())
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

// depthwiseSteps emits the kernel of some pixels of one phase of a strided gradient,
// whose weights stay in registers.
func depthwiseSteps(m Machine, taps int) {
	name := fmt.Sprintf("DepthwiseSteps%d", taps)
	m.Func(name, "func(dst *float32, dstStep int, taps **float32, srcStep, n, pixels int)",
		fmt.Sprintf("%s computes pixels of %d taps:", name, taps),
		"",
		fmt.Sprintf("\tdst[p*dstStep+i] = sum over t < %d of taps[2*t][p*srcStep+i] * taps[2*t+1][i]   for p < pixels, i < n", taps),
		"",
		"The sum starts with 0; products are fused. pixels > 0.")
	n, dst := m.ParamInt("n"), m.ParamPtr("dst")
	m.Strips(n, []Ptr{dst}, 1, func(s Strip) {
		shift, table := newStripShift(m, n), m.ParamPtr("taps")
		x, w := make([]Ptr, taps), make([]Vec, taps)
		for t := range x {
			weights := m.LoadPtr(table, 16*t+8)
			shift.move(weights)
			w[t] = s.Load(weights, 0)
			x[t] = m.LoadPtr(table, 16*t)
			shift.move(x[t])
		}
		to, srcStep, dstStep := m.CopyPtr(dst), m.ParamInt("srcStep"), m.ParamInt("dstStep")
		m.Repeat(m.ParamInt("pixels"), func() {
			acc := m.Zero()
			for t := range x {
				m.AccMulAdd(acc, s.Load(x[t], 0), w[t])
				m.AddPtr(x[t], srcStep)
			}
			s.Store(to, 0, acc)
			m.AddPtr(to, dstStep)
		})
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
	pixels := newPixelStep(m, stride, widths)
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
		dy[p] = step.load(s, y)
	}
	for r := range rows {
		step.sweep(s, rows[r], m.CopyPtr(rows[r]), size, stride, pw, func(pixel, tap int, v Vec) { m.AccMulAdd(acc[r*size+tap], v, dy[pixel]) })
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
