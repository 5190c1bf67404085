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
	windowPixels(m, []Ptr{dst, src, index}, []string{"dstGap", "srcGap", "srcGap"}, func(s Strip) {
		tapOfRow := m.ParamI32("tap")
		tap := m.Copy(tapOfRow)
		zero := m.Zero()
		var sum []Vec
		for range s.U {
			sum = append(sum, m.Zero())
		}
		windowTaps(m, []Ptr{src, index}, func() { m.Set(tap, tapOfRow) }, func(at []Ptr) {
			for u := range s.U {
				hit := m.EqualI32(s.LoadBytes(at[1], u), tap)
				m.Set(sum[u], m.Add(sum[u], m.Select(hit, s.Load(at[0], u), zero)))
			}
			m.Set(tap, m.AddI32(tap, m.ParamI32("tapCol")))
		}, func() { m.Set(tapOfRow, m.AddI32(tapOfRow, m.ParamI32("tapRow"))) })
		for u := range s.U {
			k.store(s)(dst, u, sum[u])
		}
	})
	k.ret(m)
}

func windowAvg(m Machine, k storeKind) {
	m.Func("WindowAvg"+k.suffix(), "func(dst, src *float32, scale float32, "+windowParams+")",
		append([]string{"WindowAvg" + k.suffix() + " computes dst = scale * sum over the taps, row by row, in order."}, k.doc(windowDoc...)...)...)
	dst, src := m.ParamPtr("dst"), m.ParamPtr("src")
	windowPixels(m, []Ptr{dst, src}, []string{"dstGap", "srcGap"}, func(s Strip) {
		var sum, row []Vec
		for range s.U {
			sum, row = append(sum, m.Zero()), append(row, m.Zero())
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
		scale := m.ParamF32("scale")
		for u := range s.U {
			k.store(s)(dst, u, m.Mul(sum[u], scale))
		}
	})
	k.ret(m)
}
