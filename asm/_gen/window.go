package gen

import "slices"

// Kernels that slide a window over a row of an NHWC map. See kernels/window.go.

// windowPixels runs body over the pixels and, within a pixel, over strips of
// channels. ptrs move with both: behind the last channel, ptrs[i] moves on by the
// parameter steps[i], which is the distance of pixels less c.
func windowPixels(m Machine, ptrs []Ptr, steps []string, body func(s Strip)) {
	m.Repeat(m.ParamInt("pixels"), func() {
		m.Strips(m.ParamInt("c"), ptrs, 4, body)
		for i, p := range ptrs {
			m.AddPtr(p, m.ParamInt(steps[i]))
		}
	})
}

// windowTaps runs body for every tap, in row-major order, with ptrs at the tap,
// and endRow after each row of taps.
func windowTaps(m Machine, ptrs []Ptr, startRow func(), body func(at []Ptr), endRow func()) {
	var row []Ptr
	for _, p := range ptrs {
		row = append(row, m.CopyPtr(p))
	}
	m.Repeat(m.ParamInt("rows"), func() {
		var at []Ptr
		for _, p := range row {
			at = append(at, m.CopyPtr(p))
		}
		startRow()
		m.Repeat(m.ParamInt("cols"), func() {
			body(at)
			step := m.ParamInt("colStride")
			for _, p := range at {
				m.AddPtr(p, step)
			}
		})
		endRow()
		step := m.ParamInt("rowStride")
		for _, p := range row {
			m.AddPtr(p, step)
		}
	})
}

// unrolledColumns is the number of columns up to which windows have code of their
// own, without a loop over the columns: what backward passes meet, where as many
// windows cover a pixel as the size is of the stride.
const unrolledColumns = 3

// windowColumns emits narrow for windows of 1, 2 and so on columns, and wide for
// those of more. Each must end with a return.
func windowColumns(m Machine, narrow func(cols int), wide func()) {
	left := m.ParamInt("cols")
	for cols := 1; cols <= unrolledColumns; cols++ {
		m.SubInt(left, 1)
		m.IfZero(left, func() { narrow(cols) })
	}
	wide()
}

// windowRows runs body for every row of taps with at[i][j], where ptrs[i] is at tap
// j of so many. With k for maps in memory it then prefetches the row behind them,
// which the next row of the map needs; with fewer columns than the most, pixels are
// visited in several runs, whose reads do not follow each other.
func windowRows(m Machine, k storeKind, s Strip, ptrs []Ptr, cols int, body func(at [][]Ptr)) {
	var row []Ptr
	for _, p := range ptrs {
		row = append(row, m.CopyPtr(p))
	}
	m.Repeat(m.ParamInt("rows"), func() {
		at := make([][]Ptr, len(row))
		step := m.ParamInt("colStride")
		for i, p := range row {
			at[i] = []Ptr{p}
			for j := 1; j < cols; j++ {
				next := m.CopyPtr(at[i][j-1])
				m.AddPtr(next, step)
				at[i] = append(at[i], next)
			}
		}
		body(at)
		step = m.ParamInt("rowStride")
		for _, p := range row {
			m.AddPtr(p, step)
		}
	})
	if fetcher, ok := m.(prefetcher); ok && k.streamed && cols == unrolledColumns && !s.partial {
		for i, p := range row {
			for at := 0; at < s.U*m.Lanes()*int(ptrs[i].size()); at += 4 * lineFloats {
				fetcher.Prefetch(p, at/int(ptrs[i].size()))
			}
		}
	}
}

func nothing() {}

const windowParams = "pixels, c, dstGap, srcGap, rows, cols, rowStride, colStride int"

// windowDoc describes the parameters that all window kernels share.
var windowDoc = []string{
	"Pixel p < pixels is dst[p*(c+dstGap):] for c channels; its tap (i, j), i < rows,",
	"j < cols, is src[p*(c+srcGap)+i*rowStride+j*colStride:]. dst must not overlap",
	"src. A gap may be negative.",
}

func windowMax(m Machine) {
	m.Func("WindowMax", "func(dst, src *float32, "+windowParams+")",
		append([]string{"WindowMax computes dst = maximum over the taps, NaN if one is NaN; rows, cols > 0."}, windowDoc...)...)
	dst, src := m.ParamPtr("dst"), m.ParamPtr("src")
	windowPixels(m, []Ptr{dst, src}, []string{"dstGap", "srcGap"}, func(s Strip) {
		var best []Vec
		for u := range s.U {
			best = append(best, m.Copy(s.Load(src, u)))
		}
		windowTaps(m, []Ptr{src}, nothing, func(at []Ptr) {
			for u, b := range best {
				v := s.Load(at[0], u)
				// Max keeps the old one if v is NaN.
				m.Set(b, m.Max(v, b))
				m.SetIf(b, m.IsNaN(v), v)
			}
		}, nothing)
		for u, b := range best {
			s.Store(dst, u, b)
		}
	})
	m.Ret()
}

var windowMaxIndexDoc = []string{
	"WindowMaxIndex computes dst = maximum over the taps and index, with the layout",
	"of dst, = number tap + i*tapRow + j*tapCol of the tap it came from: the first",
	"of equal ones, the last NaN if there is one. Numbers are < 256; rows, cols > 0.",
}

func windowMaxIndex(m Machine) {
	m.Func("WindowMaxIndex", "func(dst, src *float32, index *uint8, "+windowParams+", tap, tapRow, tapCol int32)",
		slices.Concat(windowMaxIndexDoc, windowDoc)...)
	dst, src, index := m.ParamPtr("dst"), m.ParamPtr("src"), m.ParamBytes("index")
	windowPixels(m, []Ptr{dst, src, index}, []string{"dstGap", "srcGap", "dstGap"}, func(s Strip) {
		tapOfRow := m.ParamI32("tap")
		tap := m.Copy(tapOfRow)
		var best, from []Vec
		for u := range s.U {
			best, from = append(best, m.Copy(s.Load(src, u))), append(from, m.Copy(tap))
		}
		windowTaps(m, []Ptr{src}, func() { m.Set(tap, tapOfRow) }, func(at []Ptr) {
			for u := range s.U {
				v := s.Load(at[0], u)
				better := m.OrMask(m.Less(best[u], v), m.IsNaN(v))
				m.SetIf(best[u], better, v)
				m.SetIf(from[u], better, tap)
			}
			m.Set(tap, m.AddI32(tap, m.ParamI32("tapCol")))
		}, func() { m.Set(tapOfRow, m.AddI32(tapOfRow, m.ParamI32("tapRow"))) })
		for u := range s.U {
			s.Store(dst, u, best[u])
			s.StoreBytes(index, u, from[u])
		}
	})
	m.Ret()
}

func windowMaxBackwardDoc(suffix string) []string {
	return []string{
		"WindowMaxBackward" + suffix + " computes dst = sum over those taps whose index, with the",
		"layout of src, is their number tap + i*tapRow + j*tapCol, in order.",
	}
}

func windowMaxBackward(m Machine, k storeKind) {
	m.Func("WindowMaxBackward"+k.suffix(), "func(dst, src *float32, index *uint8, "+windowParams+", tap, tapRow, tapCol int32)",
		slices.Concat(windowMaxBackwardDoc(k.suffix()), k.doc(windowDoc...))...)
	dst, src, index := m.ParamPtr("dst"), m.ParamPtr("src"), m.ParamBytes("index")
	pixels := func(body func(s Strip) []Vec) {
		windowPixels(m, []Ptr{dst, src, index}, []string{"dstGap", "srcGap", "srcGap"}, func(s Strip) {
			for u, v := range body(s) {
				k.store(s)(dst, u, v)
			}
		})
		k.ret(m)
	}
	zeros := func(n int) (v []Vec) {
		for range n {
			v = append(v, m.Zero())
		}
		return v
	}
	add := func(s Strip, sum []Vec, src, index Ptr, tap Vec) {
		for u, v := range sum {
			m.(*amd64).addIf(v, m.EqualI32(s.LoadBytes(index, u), tap), s.Load(src, u))
		}
	}
	windowColumns(m, func(cols int) {
		first := []Vec{m.ParamI32("tap")}
		for j := 1; j < cols; j++ {
			first = append(first, m.AddI32(first[j-1], m.ParamI32("tapCol")))
		}
		down := m.ParamI32("tapRow")
		pixels(func(s Strip) []Vec {
			sum := zeros(s.U)
			var tap []Vec
			for _, v := range first {
				tap = append(tap, m.Copy(v))
			}
			windowRows(m, k, s, []Ptr{src, index}, cols, func(at [][]Ptr) {
				for j, v := range tap {
					add(s, sum, at[0][j], at[1][j], v)
					m.Set(v, m.AddI32(v, down))
				}
			})
			return sum
		})
	}, func() {
		pixels(func(s Strip) []Vec {
			sum, tapOfRow := zeros(s.U), m.ParamI32("tap")
			tap := m.Copy(tapOfRow)
			windowTaps(m, []Ptr{src, index}, func() { m.Set(tap, tapOfRow) }, func(at []Ptr) {
				add(s, sum, at[0], at[1], tap)
				m.Set(tap, m.AddI32(tap, m.ParamI32("tapCol")))
			}, func() { m.Set(tapOfRow, m.AddI32(tapOfRow, m.ParamI32("tapRow"))) })
			return sum
		})
	})
}

func windowAvg(m Machine, k storeKind) {
	m.Func("WindowAvg"+k.suffix(), "func(dst, src *float32, scale float32, "+windowParams+")",
		append([]string{"WindowAvg" + k.suffix() + " computes dst = scale * sum over the taps, row by row, in order."}, k.doc(windowDoc...)...)...)
	dst, src, scale := m.ParamPtr("dst"), m.ParamPtr("src"), m.ParamF32("scale")
	pixels := func(body func(s Strip, sum []Vec)) {
		windowPixels(m, []Ptr{dst, src}, []string{"dstGap", "srcGap"}, func(s Strip) {
			var sum []Vec
			for range s.U {
				sum = append(sum, m.Zero())
			}
			body(s, sum)
			for u, v := range sum {
				k.store(s)(dst, u, m.Mul(v, scale))
			}
		})
		k.ret(m)
	}
	windowColumns(m, func(cols int) {
		pixels(func(s Strip, sum []Vec) {
			windowRows(m, k, s, []Ptr{src}, cols, func(at [][]Ptr) {
				for u := range s.U {
					row := s.Load(at[0][0], u)
					for j := 1; j < cols; j++ {
						row = m.Add(row, s.Load(at[0][j], u))
					}
					m.Set(sum[u], m.Add(sum[u], row))
				}
			})
		})
	}, func() {
		pixels(func(s Strip, sum []Vec) {
			var row []Vec
			for range s.U {
				row = append(row, m.Zero())
			}
			windowTaps(m, []Ptr{src}, func() {
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
}
