package gen

import (
	"fmt"
	"slices"
)

// Pooling with stride 2 over planes (NCHW), and its gradients. See
// kernels/halve.go.

// halveMax is the maximum over windows of size x size. It begins each row of dst with
// a vector behind the edge and ends it with one that may lie over the one before.
func halveMax(size int) func(m Machine) {
	return func(m Machine) {
		name := fmt.Sprintf("HalveMax%d", size)
		m.Func(name, "func(dst, src *float32, index *uint8, planes, oh, ow, middle, back, more int)",
			fmt.Sprintf("%s computes the maximum over windows of %dx%d and the number of the tap it came", name, size, size),
			"from: the first of equal ones, the last NaN if there is one. src is planes x 2*oh x",
			"2*ow, dst and index are planes x oh x ow, ow at least a vector. A row takes a vector,",
			"middle ones behind it, and if more is 1 one that ends with the row, which lies back",
			"elements over those before.")
		w := &halveMaxRows{Machine: m, size: size, strip: Strip{U: 1, m: m.(stripMachine)}}
		w.dst, w.index = m.ParamPtr("dst"), m.ParamBytes("index")
		src, width := m.ParamPtr("src"), m.ParamInt("ow")
		for range size {
			w.rows = append(w.rows, m.CopyPtr(src))
			m.AddPtr(src, width)
			m.AddPtr(src, width)
		}
		if size == 3 {
			for _, p := range w.rows {
				m.SubPtr(p, width)
				m.SubPtr(p, width)
			}
		}
		w.tap, w.lowest = tapNumbers(m, size*size), m.ConstBits(negInfBits)
		m.Repeat(m.ParamInt("planes"), func() {
			below := m.ParamInt("oh")
			m.SubInt(below, 1)
			w.row(false)
			m.Repeat(below, func() { w.row(true) })
		})
		m.Ret()
	}
}

// A halveMaxRows walks over rows of dst and the rows of src that their windows take.
type halveMaxRows struct {
	Machine
	size   int
	strip  Strip
	dst    Ptr
	index  Ptr
	rows   []Ptr
	tap    func(i int) Vec
	lowest Vec
}

// row computes a row of dst and moves to the next one; above tells whether there is
// something above it in the plane.
func (w *halveMaxRows) row(above bool) {
	w.vector(above, true)
	w.Repeat(w.ParamInt("middle"), func() { w.vector(above, false) })
	w.IfNotZero(w.ParamInt("more"), func() {
		back := w.ParamInt("back")
		w.SubPtr(w.dst, back)
		w.SubPtr(w.index, back)
		for _, p := range w.rows {
			w.SubPtr(p, back)
			w.SubPtr(p, back)
		}
		w.vector(above, false)
	})
	for _, p := range w.rows {
		w.AddPtr(p, w.ParamInt("ow"))
		w.AddPtr(p, w.ParamInt("ow"))
	}
}

// vector computes one vector of dst; left tells whether it is the first of a row.
func (w *halveMaxRows) vector(above, left bool) {
	rows, first := w.rows, 0
	if w.size == 3 && !above {
		rows, first = rows[1:], 3
	}
	best, from := w.Copy(w.lowest), w.Copy(w.tap(first))
	if w.size == 3 && left {
		from = w.Previous(w.tap(first+1), from)
	}
	for i, p := range rows {
		even, odd := w.Unzip(w.Load(p, 0), w.Load(p, w.Lanes()))
		columns := []Vec{even, odd}
		if w.size == 3 {
			before := w.lowest
			if !left {
				before = w.LoadBroadcast(p, -1)
			}
			columns = []Vec{w.Previous(before, odd), even, odd}
		}
		for j, v := range columns {
			better := w.OrMask(w.Less(best, v), w.IsNaN(v))
			w.SetIf(best, better, v)
			w.SetIf(from, better, w.tap(first+i*w.size+j))
		}
		w.AddPtrConst(p, 2*w.Lanes())
	}
	if len(rows) < len(w.rows) {
		w.AddPtrConst(w.rows[0], 2*w.Lanes())
	}
	w.Store(w.dst, 0, best)
	w.strip.StoreBytes(w.index, 0, from)
	w.AddPtrConst(w.dst, w.Lanes())
	w.AddPtrConst(w.index, w.Lanes())
}

var halveBackwards = []func(m Machine, k storeKind){
	halveMaxBackward(2), halveMaxBackward(3), halveAvgBackward(2), halveAvgBackward(3),
}

// halveDoc describes the parameters that the kernels share.
var halveDoc = []string{
	"src is planes x oh x ow and dst planes x 2*oh x 2*ow, ow at least a vector. Each row of",
	"src is taken in full vectors and one that ends with the row, which lies back elements",
	"over the last of them; covered is 1 if that is half a vector or more, else 0.",
}

const halveParams = "planes, oh, ow, full, back, covered int"

// A halveRows walks over rows of src and, for each, two rows of dst.
type halveRows struct {
	Machine
	store storeKind
	strip Strip
	src   []Ptr // the row of src, and of its index
	below []Ptr // the row below
	dst   []Ptr // the two rows of dst
}

func newHalveRows(m Machine, k storeKind, src ...Ptr) *halveRows {
	w := &halveRows{Machine: m, store: k, strip: Strip{U: 1, m: m.(stripMachine)}, src: src}
	for _, p := range src {
		q := m.CopyPtr(p)
		m.AddPtr(q, m.ParamInt("ow"))
		w.below = append(w.below, q)
	}
	upper := m.ParamPtr("dst")
	lower := m.CopyPtr(upper)
	w.addTwice(lower, m.ParamInt("ow"))
	w.dst = []Ptr{upper, lower}
	return w
}

// addTwice moves a pointer into dst by n elements of src.
func (w *halveRows) addTwice(p Ptr, n Int) {
	w.AddPtr(p, n)
	w.AddPtr(p, n)
}

// planes runs row for every row of src; below is false in the last row of a plane.
func (w *halveRows) planes(row func(below bool)) {
	w.Repeat(w.ParamInt("planes"), func() {
		above := w.ParamInt("oh")
		w.SubInt(above, 1)
		w.Repeat(above, func() { row(true) })
		row(false)
	})
}

// row runs body for the vectors of a row of src, at its pointers, and moves those to
// the next row. body returns the gradients of the even and of the odd columns of both
// rows of dst.
func (w *halveRows) row(body func(last bool) [2][2]Vec) {
	inputs := slices.Concat(w.src, w.below)
	step := func(last bool) {
		out := body(last)
		var lo, hi Vec
		for i, p := range w.dst {
			if i == 0 || out[i] != out[0] {
				lo, hi = w.Zip(out[i][0], out[i][1])
			}
			write := w.store.store(w.strip)
			if last {
				w.IfZero(w.ParamInt("covered"), func() { write(p, 0, lo) })
			} else {
				write(p, 0, lo)
			}
			write(p, 1, hi)
			w.AddPtrConst(p, 2*w.Lanes())
		}
		for _, p := range inputs {
			w.AddPtrConst(p, w.Lanes())
		}
	}
	w.Repeat(w.ParamInt("full"), func() { step(false) })
	back := w.ParamInt("back")
	for _, p := range inputs {
		w.SubPtr(p, back)
	}
	for _, p := range w.dst {
		w.SubPtr(p, back)
		w.SubPtr(p, back)
	}
	step(true)
	for _, p := range w.dst {
		w.addTwice(p, w.ParamInt("ow"))
	}
}

// values returns the vector at p[0] and the one from its second element on, in which
// zeros follow the last of a row; with an index, p[1], also theirs, in which what
// follows is no tap.
func (w *halveRows) values(p []Ptr, last bool) (v, index [2]Vec) {
	v[0] = w.Load(p[0], 0)
	if last {
		v[1] = w.Next(v[0], w.Zero())
	} else {
		v[1] = w.Load(p[0], 1)
	}
	if len(p) == 1 {
		return v, index
	}
	index[0] = w.strip.LoadBytes(p[1], 0)
	if last {
		index[1] = w.Next(index[0], w.ConstBits(1<<16))
	} else {
		at := w.CopyPtr(p[1])
		w.AddPtrConst(at, 1)
		index[1] = w.strip.LoadBytes(at, 0)
	}
	return v, index
}

// tapNumbers returns what gives each of the first n numbers in every lane: from
// registers, if there are enough.
func tapNumbers(m Machine, n int) func(i int) Vec {
	if n > m.Registers()/2 {
		return func(i int) Vec { return m.ConstBits(uint32(i)) }
	}
	var taps []Vec
	for i := range n {
		taps = append(taps, m.ConstBits(uint32(i)))
	}
	return func(i int) Vec { return taps[i] }
}

func halveMaxBackward(size int) func(m Machine, k storeKind) {
	return func(m Machine, k storeKind) {
		name := fmt.Sprintf("HalveMaxBackward%d%s", size, k.suffix())
		m.Func(name, "func(dst, src *float32, index *uint8, "+halveParams+")",
			slices.Concat([]string{
				name + " computes the gradient of the maximum over windows of " + fmt.Sprintf("%dx%d", size, size) + " from those of the",
				"outputs and the numbers of the taps that they came from.",
			}, k.doc(slices.Concat(halveDoc, windowFenceDoc(k))...))...)
		w := newHalveRows(m, k, m.ParamPtr("src"), m.ParamBytes("index"))
		tap := tapNumbers(m, size*size)
		w.planes(func(below bool) {
			w.row(func(last bool) (out [2][2]Vec) {
				if size == 2 {
					v, index := m.Load(w.src[0], 0), w.strip.LoadBytes(w.src[1], 0)
					for i := range 4 {
						out[i/2][i%2] = m.Keep(m.EqualI32(index, tap(i)), v)
					}
					return out
				}
				v, index := w.values(w.src, last)
				for i, own := range []int{4, 5, 7, 8} {
					out[i/2][i%2] = m.Keep(m.EqualI32(index[0], tap(own)), v[0])
				}
				m.AddIf(out[0][1], m.EqualI32(index[1], tap(3)), v[1])
				m.AddIf(out[1][1], m.EqualI32(index[1], tap(6)), v[1])
				if below {
					v, index := w.values(w.below, last)
					m.AddIf(out[1][0], m.EqualI32(index[0], tap(1)), v[0])
					m.AddIf(out[1][1], m.EqualI32(index[0], tap(2)), v[0])
					m.AddIf(out[1][1], m.EqualI32(index[1], tap(0)), v[1])
				}
				return out
			})
		})
		m.Ret()
	}
}

func halveAvgBackward(size int) func(m Machine, k storeKind) {
	return func(m Machine, k storeKind) {
		name := fmt.Sprintf("HalveAvgBackward%d%s", size, k.suffix())
		m.Func(name, "func(dst, src *float32, scale float32, "+halveParams+")",
			slices.Concat([]string{
				name + " computes scale times the sum of the outputs over whose windows of",
				fmt.Sprintf("%dx%d", size, size) + " an input lies, each row of them added first.",
			}, k.doc(slices.Concat(halveDoc, windowFenceDoc(k))...))...)
		w := newHalveRows(m, k, m.ParamPtr("src"))
		scale := m.ParamF32("scale")
		w.planes(func(below bool) {
			w.row(func(last bool) (out [2][2]Vec) {
				if size == 2 {
					v := m.Mul(m.Load(w.src[0], 0), scale)
					return [2][2]Vec{{v, v}, {v, v}}
				}
				v, _ := w.values(w.src, last)
				out[0] = [2]Vec{v[0], m.Add(v[0], v[1])}
				out[1] = out[0]
				if below {
					v, _ := w.values(w.below, last)
					out[1] = [2]Vec{m.Add(out[0][0], v[0]), m.Add(out[0][1], m.Add(v[0], v[1]))}
				}
				for i := range out {
					for j, v := range out[i] {
						out[i][j] = m.Mul(v, scale)
					}
				}
				return out
			})
		})
		m.Ret()
	}
}
