package gen

import "slices"

// Kernels that slide a window over a row of an NHWC map. See kernels/window.go.

// A windowFrame is what the window kernels have in common: pointers to what is
// written, which move on from pixel to pixel, those to what is read, and the columns.
type windowFrame struct {
	Machine
	store   storeKind
	dst     []Ptr
	src     []string // names of parameters
	columns Ptr
}

// The parts of a kernels.WindowColumn, in bytes.
const (
	columnStart = 8 * iota
	columnTaps
	columnTap
	columnBytes
)

// newWindow starts on the body of a kernel whose parameters src name what is read,
// which is bytes if named index.
func newWindow(m Machine, k storeKind, dst []Ptr, src ...string) *windowFrame {
	return &windowFrame{m, k, dst, src, m.ParamPtr("columns")}
}

// pixels runs body over the pixels.
func (w *windowFrame) pixels(body func()) {
	w.Repeat(w.ParamInt("pixels"), func() {
		body()
		gap := w.ParamInt("dstGap")
		for _, p := range w.dst {
			w.AddPtr(p, gap)
		}
		w.AddPtrConst(w.columns, columnBytes/4)
	})
}

// channels runs body over strips of the channels of a pixel, with at at the pixel's
// first tap.
func (w *windowFrame) channels(body func(s Strip, at []Ptr)) {
	var at []Ptr
	for _, name := range w.src {
		p := w.ParamPtr(name)
		if name == "index" {
			p = w.ParamBytes(name)
		}
		w.AddPtr(p, w.LoadInt(w.columns, columnStart))
		at = append(at, p)
	}
	w.Strips(w.ParamInt("c"), slices.Concat(w.dst, at), 4, func(s Strip) { body(s, at) })
}

// firstTap returns the number of a pixel's first tap in every lane.
func (w *windowFrame) firstTap() Vec {
	return w.AddI32(w.ParamI32("tap"), w.LoadBroadcast(w.columns, columnTap/4))
}

// taps runs body for every tap, in row-major order, with ptrs at the tap,
// and endRow after each row of taps.
func (w *windowFrame) taps(ptrs []Ptr, startRow func(), body func(at []Ptr), endRow func()) {
	var row []Ptr
	for _, p := range ptrs {
		row = append(row, w.CopyPtr(p))
	}
	w.Repeat(w.ParamInt("rows"), func() {
		var at []Ptr
		for _, p := range row {
			at = append(at, w.CopyPtr(p))
		}
		startRow()
		w.Repeat(w.LoadInt(w.columns, columnTaps), func() {
			body(at)
			step := w.ParamInt("colStride")
			for _, p := range at {
				w.AddPtr(p, step)
			}
		})
		endRow()
		step := w.ParamInt("rowStride")
		for _, p := range row {
			w.AddPtr(p, step)
		}
	})
}

// unrolledColumns is the number of taps in a row up to which windows have code of
// their own, without a loop over them.
const unrolledColumns = 3

// byColumns emits narrow for pixels of 1, 2 and so on taps in a row, and wide for
// those of more, or none.
func (w *windowFrame) byColumns(narrow func(cols int), wide func()) {
	w.byColumnsFrom(1, narrow, wide)
}

func (w *windowFrame) byColumnsFrom(cols int, narrow func(cols int), wide func()) {
	left := func() Int {
		n := w.LoadInt(w.columns, columnTaps)
		w.SubInt(n, cols)
		return n
	}
	w.IfZero(left(), func() { narrow(cols) })
	w.IfNotZero(left(), func() {
		if cols == unrolledColumns {
			wide()
		} else {
			w.byColumnsFrom(cols+1, narrow, wide)
		}
	})
}

// tapRows is taps for rows of so many, with body told which tap of the row it is. For
// maps in memory and the most taps it then prefetches the row behind them, which the
// next row of the map needs.
func (w *windowFrame) tapRows(s Strip, ptrs []Ptr, cols int, body func(j int, at []Ptr), endRow func()) {
	var row []Ptr
	for _, p := range ptrs {
		row = append(row, w.CopyPtr(p))
	}
	w.Repeat(w.ParamInt("rows"), func() {
		at := row
		if cols > 1 {
			at = nil
			for _, p := range row {
				at = append(at, w.CopyPtr(p))
			}
		}
		for j := range cols {
			if j > 0 {
				step := w.ParamInt("colStride")
				for _, p := range at {
					w.AddPtr(p, step)
				}
			}
			body(j, at)
		}
		endRow()
		step := w.ParamInt("rowStride")
		for _, p := range row {
			w.AddPtr(p, step)
		}
	})
	if fetcher, ok := w.Machine.(prefetcher); ok && w.store.streamed && cols == unrolledColumns && !s.partial {
		for i, p := range row {
			for at := 0; at < s.U*w.Lanes()*int(ptrs[i].size()); at += 4 * lineFloats {
				fetcher.Prefetch(p, at/int(ptrs[i].size()))
			}
		}
	}
}

func nothing() {}

const windowParams = "columns *int, pixels, c, dstGap, rows, rowStride, colStride int"

// windowDoc describes the parameters that all window kernels share.
var windowDoc = []string{
	"Pixel p < pixels is dst[p*(c+dstGap):] for c channels; its tap (i, j), i < rows,",
	"j < taps, is src[start+i*rowStride+j*colStride:], where start, taps and the number",
	"of the first tap are columns[3*p:]. dst must not overlap src. dstGap may be",
	"negative.",
}

// windowFenceDoc says what is left to the caller of a streaming kernel: rows are
// short, and to wait for each of them costs a fifth of the time.
func windowFenceDoc(k storeKind) []string {
	if k.streamed {
		return []string{"StreamFence must follow before another thread looks at dst."}
	}
	return nil
}

func windowMax(m Machine) {
	m.Func("WindowMax", "func(dst, src *float32, "+windowParams+")",
		append([]string{"WindowMax computes dst = maximum over the taps, NaN if one is NaN; rows, taps > 0."}, windowDoc...)...)
	dst := m.ParamPtr("dst")
	w := newWindow(m, storeKind{}, []Ptr{dst}, "src")
	strips := func(taps func(s Strip, at []Ptr, tap func(at Ptr))) {
		w.channels(func(s Strip, at []Ptr) {
			var best []Vec
			for u := range s.U {
				best = append(best, m.Copy(s.Load(at[0], u)))
			}
			taps(s, at, func(at Ptr) {
				for u, b := range best {
					v := s.Load(at, u)
					// Max keeps the old one if v is NaN.
					m.Set(b, m.Max(v, b))
					m.SetIf(b, m.IsNaN(v), v)
				}
			})
			for u, b := range best {
				s.Store(dst, u, b)
			}
		})
	}
	w.pixels(func() {
		w.byColumns(func(cols int) {
			strips(func(s Strip, at []Ptr, tap func(at Ptr)) {
				w.tapRows(s, at, cols, func(_ int, at []Ptr) { tap(at[0]) }, nothing)
			})
		}, func() {
			strips(func(s Strip, at []Ptr, tap func(at Ptr)) {
				w.taps(at, nothing, func(at []Ptr) { tap(at[0]) }, nothing)
			})
		})
	})
	m.Ret()
}

var windowMaxIndexDoc = []string{
	"WindowMaxIndex computes dst = maximum over the taps and index, with the layout of",
	"dst, = number tap + i*tapRow + j*tapCol, and that of the first tap, of the tap it",
	"came from: the first of equal ones, the last NaN if there is one. Numbers are < 256;",
	"rows, taps > 0.",
}

func windowMaxIndex(m Machine) {
	m.Func("WindowMaxIndex", "func(dst, src *float32, index *uint8, "+windowParams+", tap, tapRow, tapCol int32)",
		slices.Concat(windowMaxIndexDoc, windowDoc)...)
	dst, index := m.ParamPtr("dst"), m.ParamBytes("index")
	w := newWindow(m, storeKind{}, []Ptr{dst, index}, "src")
	strips := func(taps func(s Strip, at []Ptr, tap Vec, see func(at Ptr))) {
		w.channels(func(s Strip, at []Ptr) {
			tap := w.firstTap()
			var best, from []Vec
			for u := range s.U {
				best, from = append(best, m.Copy(s.Load(at[0], u))), append(from, m.Copy(tap))
			}
			taps(s, at, tap, func(at Ptr) {
				for u := range s.U {
					v := s.Load(at, u)
					better := m.OrMask(m.Less(best[u], v), m.IsNaN(v))
					m.SetIf(best[u], better, v)
					m.SetIf(from[u], better, tap)
				}
				m.Set(tap, m.AddI32(tap, m.ParamI32("tapCol")))
			})
			for u := range s.U {
				s.Store(dst, u, best[u])
				s.StoreBytes(index, u, from[u])
			}
		})
	}
	w.pixels(func() {
		w.byColumns(func(cols int) {
			strips(func(s Strip, at []Ptr, tap Vec, see func(at Ptr)) {
				tapOfRow := m.Copy(tap)
				w.tapRows(s, at, cols, func(j int, at []Ptr) {
					if j == 0 {
						m.Set(tap, tapOfRow)
					}
					see(at[0])
				}, func() { m.Set(tapOfRow, m.AddI32(tapOfRow, m.ParamI32("tapRow"))) })
			})
		}, func() {
			strips(func(s Strip, at []Ptr, tap Vec, see func(at Ptr)) {
				tapOfRow := m.Copy(tap)
				w.taps(at, func() { m.Set(tap, tapOfRow) }, func(at []Ptr) { see(at[0]) },
					func() { m.Set(tapOfRow, m.AddI32(tapOfRow, m.ParamI32("tapRow"))) })
			})
		})
	})
	m.Ret()
}

func windowMaxBackwardDoc(suffix string) []string {
	return []string{
		"WindowMaxBackward" + suffix + " computes dst = sum over those taps whose index, with the",
		"layout of src, is their number tap + i*tapRow + j*tapCol and that of the first tap,",
		"in order.",
	}
}

func windowMaxBackward(m Machine, k storeKind) {
	m.Func("WindowMaxBackward"+k.suffix(), "func(dst, src *float32, index *uint8, "+windowParams+", tap, tapRow, tapCol int32)",
		slices.Concat(windowMaxBackwardDoc(k.suffix()), k.doc(slices.Concat(windowDoc, windowFenceDoc(k))...))...)
	dst := m.ParamPtr("dst")
	w := newWindow(m, k, []Ptr{dst}, "src", "index")
	strips := func(body func(s Strip, at []Ptr, sum []Vec)) {
		w.channels(func(s Strip, at []Ptr) {
			sum := zeros(m, s.U)
			body(s, at, sum)
			for u, v := range sum {
				k.store(s)(dst, u, v)
			}
		})
	}
	a := m.(*amd64)
	// number returns a number of taps as a strip compares it, in every byte or lane;
	// next is the sum of two.
	number := func(s Strip, v Vec) Vec {
		if a.comparesBytes(s) {
			return a.lowBytes(v)
		}
		return m.Copy(v)
	}
	next := func(s Strip, v, by Vec) Vec {
		if a.comparesBytes(s) {
			return a.addBytes(v, by)
		}
		return m.AddI32(v, by)
	}
	add := func(s Strip, sum []Vec, src, index Ptr, tap Vec) {
		if a.comparesBytes(s) {
			for u, k := range a.equalBytes(index, tap) {
				m.AddIf(sum[u], k, s.Load(src, u))
			}
			return
		}
		for u, v := range sum {
			m.AddIf(v, m.EqualI32(s.LoadBytes(index, u), tap), s.Load(src, u))
		}
	}
	w.pixels(func() {
		w.byColumns(func(cols int) {
			strips(func(s Strip, at []Ptr, sum []Vec) {
				tap := []Vec{number(s, w.firstTap())}
				if cols > 1 {
					right := number(s, m.ParamI32("tapCol"))
					for j := 1; j < cols; j++ {
						tap = append(tap, next(s, tap[j-1], right))
					}
				}
				down := number(s, m.ParamI32("tapRow"))
				w.tapRows(s, at, cols, func(j int, at []Ptr) {
					add(s, sum, at[0], at[1], tap[j])
					m.Set(tap[j], next(s, tap[j], down))
				}, nothing)
			})
		}, func() {
			strips(func(s Strip, at []Ptr, sum []Vec) {
				tapOfRow := number(s, w.firstTap())
				tap := m.Copy(tapOfRow)
				w.taps(at, func() { m.Set(tap, tapOfRow) }, func(at []Ptr) {
					add(s, sum, at[0], at[1], tap)
					m.Set(tap, next(s, tap, number(s, m.ParamI32("tapCol"))))
				}, func() { m.Set(tapOfRow, next(s, tapOfRow, number(s, m.ParamI32("tapRow")))) })
			})
		})
	})
	m.Ret()
}

func zeros(m Machine, n int) (v []Vec) {
	for range n {
		v = append(v, m.Zero())
	}
	return v
}

func windowAvg(m Machine, k storeKind) {
	m.Func("WindowAvg"+k.suffix(), "func(dst, src *float32, scale float32, "+windowParams+")",
		append([]string{"WindowAvg" + k.suffix() + " computes dst = scale * sum over the taps, row by row, in order."}, k.doc(slices.Concat(windowDoc, windowFenceDoc(k))...)...)...)
	dst, scale := m.ParamPtr("dst"), m.ParamF32("scale")
	w := newWindow(m, k, []Ptr{dst}, "src")
	strips := func(body func(s Strip, sum []Vec, ptrs []Ptr)) {
		w.channels(func(s Strip, at []Ptr) {
			sum := zeros(m, s.U)
			body(s, sum, at)
			for u, v := range sum {
				k.store(s)(dst, u, m.Mul(v, scale))
			}
		})
	}
	w.pixels(func() {
		w.byColumns(func(cols int) {
			strips(func(s Strip, sum []Vec, ptrs []Ptr) {
				row := make([]Vec, s.U)
				w.tapRows(s, ptrs, cols, func(j int, at []Ptr) {
					for u := range row {
						if v := s.Load(at[0], u); j == 0 {
							row[u] = v
						} else {
							row[u] = m.Add(row[u], v)
						}
					}
				}, func() {
					for u, v := range row {
						m.Set(sum[u], m.Add(sum[u], v))
					}
				})
			})
		}, func() {
			strips(func(s Strip, sum []Vec, ptrs []Ptr) {
				row := zeros(m, s.U)
				w.taps(ptrs, func() {
					for _, r := range row {
						m.Set(r, m.Zero())
					}
				}, func(at []Ptr) {
					for u, r := range row {
						m.Set(r, m.Add(r, s.Load(at[0], u)))
					}
				}, func() {
					for u := range s.U {
						m.Set(sum[u], m.Add(sum[u], row[u]))
					}
				})
			})
		})
	})
	m.Ret()
}
