package gen

import "fmt"

// The transforms of Winograd's convolution F(m x m, 3 x 3), t = m+2: each is
// T X T' for a small matrix T, applied to one matrix X per channel, with
// channels in the lanes. A first pass multiplies the columns of X by T, keeping
// the result in scratch, a second pass multiplies its rows. So pixels and arrays are
// read and written a few at a time, each for all channels. Where the results are few and
// the registers many (sandwich), a vector of channels takes both at once.

// A matrix1D is T: rows outputs from len(rows[0]) inputs.
type matrix1D [][]float64

func (t matrix1D) inputs() int  { return len(t[0]) }
func (t matrix1D) outputs() int { return len(t) }

func (t matrix1D) transposed() matrix1D {
	u := make(matrix1D, t.inputs())
	for i := range u {
		for j := range t {
			u[i] = append(u[i], t[j][i])
		}
	}
	return u
}

// toomCook returns the matrices of F(m, 3) for the given finite points and the
// point at infinity: data (t x t), filter (t x 3) and output (m x t). Point a_j
// evaluates a polynomial: row j of filter holds the powers of a_j over
// f_j = product of a_j - a_l, row j of data the coefficients of the product of
// x - a_l over the other points, and column j of output the powers of a_j.
func toomCook(m int, points ...float64) (data, filter, output matrix1D) {
	product := func(skip int) []float64 { // coefficients, lowest first
		c := []float64{1}
		for l, a := range points {
			if l == skip {
				continue
			}
			next := make([]float64, len(c)+1)
			for i, v := range c {
				next[i] -= a * v
				next[i+1] += v
			}
			c = next
		}
		return c
	}
	power := func(a float64, n int) float64 {
		v := 1.0
		for range n {
			v *= a
		}
		return v
	}
	t := len(points) + 1
	output = make(matrix1D, m)
	for j, a := range points {
		f := 1.0
		for l, b := range points {
			if l != j {
				f *= a - b
			}
		}
		row := make([]float64, t)
		copy(row, product(j))
		data = append(data, row)
		filter = append(filter, []float64{1 / f, a / f, a * a / f})
		for i := range output {
			output[i] = append(output[i], power(a, i))
		}
	}
	data = append(data, product(-1))
	filter = append(filter, []float64{0, 0, 1})
	for i := range output {
		last := 0.0
		if i == m-1 {
			last = 1
		}
		output[i] = append(output[i], last)
	}
	return data, filter, output
}

// winogradPoints are the finite points for each m. With 1/2 and -2 instead of 2
// and -2 the error of F(4, 3) is a third lower.
func winogradPoints(m int) []float64 {
	if m == 2 {
		return []float64{0, 1, -1}
	}
	return []float64{0, 1, -1, 0.5, -2}
}

func winograd(m Machine) {
	for _, size := range []int{2, 4} {
		w := winogradEmitter{Machine: m}
		data, filter, output := winogradTransforms(size)
		t := size + 2
		w.gather(fmt.Sprintf("WinogradInput%d", size), data, fmt.Sprintf(
			"transforms a tile of %dx%d pixels of src, which in points to: v = B'dB.", t, t))
		w.gather(fmt.Sprintf("WinogradGrad%d", size), output.back(), fmt.Sprintf(
			"transforms a tile of %dx%d pixels of ddst, which in points to: v = AdA'.", size, size))
		w.strided(fmt.Sprintf("WinogradFilter%d", size), filter, true, "transforms 3x3 filters: out = GgG'.")
		w.strided(fmt.Sprintf("WinogradFilterGrad%d", size), filter.back(), false,
			"transforms the gradient of transformed filters back: out = G'uG.")
		w.scatter(fmt.Sprintf("WinogradOutput%d", size), output, size)
	}
}

// prefetchPixels emits a loop that asks for the pixels of a tile.
func prefetchPixels(m Machine) {
	m.Func("PrefetchPixels", "func(p *float32, rowStep, rows, pixelStep, pixels, n int)",
		"PrefetchPixels asks for n floats, a multiple of 16, of each pixel in the second-level cache:",
		"",
		"\tp[i*rowStep+j*pixelStep:][:n]   for i < rows, j < pixels",
		"",
		"It never faults.")
	fetcher := m.(prefetcher)
	row, rowStep, pixelStep, pixels, n := m.ParamPtr("p"), m.ParamInt("rowStep"), m.ParamInt("pixelStep"), m.ParamInt("pixels"), m.ParamInt("n")
	m.Repeat(m.ParamInt("rows"), func() {
		pixel := m.CopyPtr(row)
		m.Repeat(pixels, func() {
			p, left := m.CopyPtr(pixel), m.CopyInt(n)
			m.While(left, 16, func() {
				fetcher.Prefetch(p, 0)
				m.AddPtrConst(p, 16)
				m.SubInt(left, 16)
			})
			m.AddPtr(pixel, pixelStep)
		})
		m.AddPtr(row, rowStep)
	})
	m.Ret()
}

type winogradEmitter struct {
	Machine
	consts map[float64]Vec
}

// load loads the constants of a transform into registers.
func (w *winogradEmitter) load(t *transform1D) {
	w.consts = map[float64]Vec{}
	for _, c := range t.consts {
		if _, ok := w.consts[c]; !ok {
			w.consts[c] = w.Const(float32(c))
		}
	}
}

// pass emits one pass over n channels: for each strip it loads the inputs,
// multiplies by t and stores the outputs. Scratch advances by area vectors.
func (w *winogradEmitter) pass(t *transform1D, n Int, ptrs []Ptr, scratch Ptr, area int, load func(s Strip, i int) Vec, store func(s Strip, i int, v Vec)) {
	w.Strips(n, ptrs, 1, func(s Strip) {
		x := &terms{winogradEmitter: w, x: make([]Vec, t.inputs())}
		for i := range x.x {
			x.x[i] = load(s, i)
		}
		for i := range t.outputs() {
			store(s, i, t.row(x, i))
		}
		w.AddPtrConst(scratch, area*w.Lanes())
	})
}

// columns emits the first pass for column j of X, whose elements pointers point
// to: scratch[strip][i][j] for i < outputs. One pointer more is to what is added to
// element 1.
func (w *winogradEmitter) columns(t *transform1D, j int, pointers []Ptr) {
	n, scratch := w.ParamInt("n"), w.ParamPtr("scratch")
	w.pass(t, n, pointers, scratch, t.inputs()*t.outputs(),
		func(s Strip, i int) Vec {
			v := s.Load(pointers[i], 0)
			if i == 1 && len(pointers) > t.inputs() {
				v = w.Add(v, s.Load(pointers[t.inputs()], 0))
			}
			return v
		},
		func(_ Strip, i int, v Vec) { w.Store(scratch, (i*t.inputs()+j)*w.Lanes(), v) })
}

// rows emits the second pass for row i of the product.
func (w *winogradEmitter) rows(t *transform1D, i int, pointers []Ptr, store func(s Strip, j int, v Vec)) {
	n, scratch := w.ParamInt("n"), w.ParamPtr("scratch")
	w.pass(t, n, pointers, scratch, t.inputs()*t.outputs(),
		func(_ Strip, j int) Vec { return w.Load(scratch, (i*t.inputs()+j)*w.Lanes()) }, store)
}

// walk returns count pointers, step apart, and moves p behind the last.
func (w *winogradEmitter) walk(p Ptr, step Int, count int) []Ptr {
	list := make([]Ptr, count)
	for i := range list {
		list[i] = w.CopyPtr(p)
		w.AddPtr(p, step)
	}
	return list
}

const winogradScratch = "scratch holds n, rounded up to whole vectors, times %d floats."

// gather emits a transform from pixels to a strided array.
func (w *winogradEmitter) gather(name string, t *transform1D, doc string) {
	p, q := t.inputs(), t.outputs()
	w.Func(name, "func(out *float32, outStride int, in **float32, n int, scratch *float32)",
		name+" "+doc,
		"",
		fmt.Sprintf("\tout[(i*%d+j)*outStride+c] = sum over k, l of T[i][k]*T[j][l]*in[k*%d+l][c]   for c < n", q, p),
		"",
		fmt.Sprintf(winogradScratch, p*q))
	w.load(t)
	for j := range p {
		table := w.ParamPtr("in")
		pointers := make([]Ptr, p)
		for i := range pointers {
			pointers[i] = w.LoadPtr(table, 8*(i*p+j))
		}
		w.columns(t, j, pointers)
	}
	w.rowsStrided(t, false)
	w.Ret()
}

// rowsStrided emits the second pass of all rows to the array out, past the caches if
// that is offered and asked for.
func (w *winogradEmitter) rowsStrided(t *transform1D, streams bool) {
	q := t.outputs()
	out := w.ParamPtr("out")
	for i := range q {
		step := w.ParamInt("outStride")
		pointers := w.walk(out, step, q)
		store := func(s Strip, j int, v Vec) { s.Store(pointers[j], 0, v) }
		if streams {
			flag := w.ParamInt("stream")
			store = func(s Strip, j int, v Vec) { w.storeOrStream(s, flag, pointers[j], v) }
		}
		w.rows(t, i, pointers, store)
	}
}

// storeOrStream stores a whole vector past the caches if flag is not 0.
func (w *winogradEmitter) storeOrStream(s Strip, flag Int, p Ptr, v Vec) {
	if s.partial {
		s.Store(p, 0, v)
		return
	}
	w.IfZero(flag, func() { s.Store(p, 0, v) })
	w.IfNotZero(flag, func() { s.Stream(p, 0, v) })
}

// strided emits a transform from one strided array to another.
func (w *winogradEmitter) strided(name string, t *transform1D, streams bool, doc string) {
	p, q := t.inputs(), t.outputs()
	params, lines := "out *float32, outStride int, in *float32, inStride int, n int, scratch *float32", []string{
		name + " " + doc,
		"",
		fmt.Sprintf("\tout[(i*%d+j)*outStride+c] = sum over k, l of T[i][k]*T[j][l]*in[(k*%d+l)*inStride+c]   for c < n", q, p),
		"",
		fmt.Sprintf(winogradScratch, p*q)}
	if streams {
		params += ", stream int"
		lines = append(lines, "If stream != 0 whole vectors of out, which must be aligned, pass the caches where",
			"the ISA can: StreamFence must follow.")
	}
	w.Func(name, "func("+params+")", lines...)
	w.load(t)
	w.columnsStrided(t)
	w.rowsStrided(t, streams)
	w.Ret()
}

// columnsStrided emits the first pass of all columns of the array in, with add, if
// there is one, added to the element (1, 1).
func (w *winogradEmitter) columnsStrided(t *transform1D, add ...Ptr) {
	p := t.inputs()
	in := w.ParamPtr("in")
	for j := range p {
		step := w.ParamInt("inStride")
		w.MulInt(step, p)
		pointers := w.walk(w.CopyPtr(in), step, p)
		if j == 1 {
			pointers = append(pointers, add...)
		}
		w.columns(t, j, pointers)
		w.AddPtr(in, w.ParamInt("inStride"))
	}
}

// scatter emits the output transform with its epilogue.
func (w *winogradEmitter) scatter(name string, t *transform1D, size int) {
	p := t.inputs()
	params := "out, residual **float32, in *float32, inStride int, bias *float32, addResidual, clamp int, lo, hi float32, n int"
	doc := []string{
		name + fmt.Sprintf(" transforms products back to a tile of %dx%d pixels, which out points to:", size, size),
		"",
		fmt.Sprintf("\ty = sum over k, l of T[i][k]*T[j][l]*in[(k*%d+l)*inStride+c] + bias[c]", p),
		fmt.Sprintf("\tif addResidual != 0 && clamp != 0 { y += residual[i*%d+j][c] }", size),
		"\tif clamp != 0 { y = min(hi, max(lo, y)) }",
		fmt.Sprintf("\tout[i*%d+j][c] = y   for c < n", size),
		"",
		"bias is added to the element (1, 1) of in, for which all of T is 1. NaN passes",
		"through min and max.",
	}
	if w.Registers() >= 32 {
		if w.streams() {
			params += ", stream int"
			doc = append(doc, "If stream != 0 whole vectors of out, which must be aligned, pass the caches:",
				"StreamFence must follow.")
		}
		w.Func(name, "func("+params+")", doc...)
		w.scatterAtOnce(t, size)
		return
	}
	w.Func(name, "func("+params+", scratch *float32)", append(doc, fmt.Sprintf(winogradScratch, p*size))...)
	w.load(t)
	w.columnsStrided(t, w.ParamPtr("bias"))
	e := w.epilogue()
	for i := range size {
		outTable, residualTable := w.ParamPtr("out"), w.ParamPtr("residual")
		var out, residual []Ptr
		for j := range size {
			out = append(out, w.LoadPtr(outTable, 8*(i*size+j)))
			residual = append(residual, w.LoadPtr(residualTable, 8*(i*size+j)))
		}
		w.rows(t, i, append(out, residual...), func(s Strip, j int, v Vec) {
			s.Store(out[j], 0, e.apply(v, func() Vec { return s.Load(residual[j], 0) }))
		})
	}
	w.Ret()
}

// streams reports whether a vector is a cache line, which can pass the caches whole.
func (w *winogradEmitter) streams() bool { return w.Lanes() == lineFloats }

// A winogradEpilogue is what is done to results before they are stored.
type winogradEpilogue struct {
	*winogradEmitter
	lo, hi             Vec
	addResidual, clamp Int
}

func (w *winogradEmitter) epilogue() winogradEpilogue {
	return winogradEpilogue{w, w.ParamF32("lo"), w.ParamF32("hi"), w.ParamInt("addResidual"), w.ParamInt("clamp")}
}

// apply changes y, a sum.
func (e *winogradEpilogue) apply(y Vec, residual func() Vec) Vec {
	e.IfNotZero(e.clamp, func() {
		e.IfNotZero(e.addResidual, func() { e.Set(y, e.Add(y, residual())) })
		e.Set(y, e.Min(e.hi, e.Max(e.lo, y)))
	})
	return y
}

// scatterAtOnce emits the body of the output transform for one vector of channels after
// the other.
func (w *winogradEmitter) scatterAtOnce(t *transform1D, size int) {
	p := t.inputs()
	w.load(t)
	out, residual := w.ParamPtr("out"), w.ParamPtr("residual")
	in, step, bias, n := w.ParamPtr("in"), w.ParamInt("inStride"), w.ParamPtr("bias"), w.ParamInt("n")
	e := w.epilogue()
	var stream Int
	if w.streams() {
		stream = w.ParamInt("stream")
	}
	down := w.CopyInt(step)
	w.MulInt(down, p)
	at := w.CopyInt(n)
	w.SubIntVar(at, n)
	w.Strips(n, []Ptr{in, bias}, 1, func(s Strip) {
		var column Ptr
		load := func(j, first, last int) []Vec {
			if j == 0 {
				column = w.CopyPtr(in)
				for range first {
					w.AddPtr(column, down)
				}
			}
			x, from := make([]Vec, p), w.CopyPtr(column)
			for i := first; i <= last; i++ {
				x[i] = s.Load(from, 0)
				if i < last {
					w.AddPtr(from, down)
				}
			}
			w.AddPtr(column, step)
			if j == 1 {
				x[1] = w.Add(x[1], s.Load(bias, 0))
			}
			return x
		}
		pixel := func(table Ptr, i, j int) Ptr {
			from := w.LoadPtr(table, 8*(i*size+j))
			w.AddPtr(from, at)
			return from
		}
		w.sandwich(t, load, func(i, j int, y Vec) {
			y = e.apply(y, func() Vec { return s.Load(pixel(residual, i, j), 0) })
			if to := pixel(out, i, j); w.streams() {
				w.storeOrStream(s, stream, to, y)
			} else {
				s.Store(to, 0, y)
			}
		})
		if s.partial {
			w.AddInt(at, 1) // where the last channels come one by one
		} else {
			w.AddInt(at, w.Lanes())
		}
	})
	w.Ret()
}

// sandwich emits T X T' for a vector of channels: the columns of X, whose elements
// first to last load returns, times the rows of a group of T, times T'.
func (w *winogradEmitter) sandwich(t *transform1D, load func(j, first, last int) []Vec, store func(i, j int, v Vec)) {
	for _, group := range t.groups {
		half := make([][]Vec, t.outputs())
		first, last := t.reads(group)
		for j := range t.inputs() {
			x := &terms{winogradEmitter: w, x: load(j, first, last)}
			for _, i := range group {
				half[i] = append(half[i], t.row(x, i))
			}
		}
		for _, i := range group {
			x := &terms{winogradEmitter: w, x: half[i]}
			for j := range t.outputs() {
				store(i, j, t.row(x, j))
			}
		}
	}
}
