package kernels

import "math"

// The kernels of this file slide a window over one row of an NHWC feature map, pixel
// by pixel, so that dst is one stream of addresses.
// They serve pooling in both directions: forward, a pixel of dst looks at the
// taps of its window in src; backward, a pixel of the input's gradient looks at
// the outputs whose window covers it, which is again a rectangle. In assembly
// for the reason given in channels.go.

// A Window says where the pixels of a row and the taps of their windows are, in
// elements.
//
//	pixel p is dst[p*DstStep : p*DstStep+C]
//	its tap (i, j) is src[col.Start+i*RowStride+j*ColStride:] for C elements
//
// for i < Rows and j < col.Taps, where col is column p of Columns, which has the
// ColStride too. Tap (i, j) is number Tap + col.Tap + i*TapRow + j*TapCol of the
// pooling window.
type Window struct {
	Columns         *WindowColumns
	C, DstStep      int
	Rows, RowStride int
	Tap, TapRow     int
	// Store is how WindowMaxBackward and WindowAvg write dst. Store.Fence must follow
	// before another thread looks at it.
	Store Store
}

// A WindowColumn is what the window of a pixel has of its own: where its first tap
// is, how many there are in a row, and the number of the first.
type WindowColumn struct{ Start, Taps, Tap int }

// WindowColumns are the columns of a row of pixels. They are made once for all rows.
type WindowColumns struct {
	list              []WindowColumn
	colStride, tapCol int
	// end is the greatest start of a last tap in a row; taps range from least to
	// most in number and from lowest to highest by their numbers.
	end, least, most, lowest, highest int
}

// NewWindowColumns returns the columns whose taps are colStride elements and tapCol
// numbers apart. It keeps list.
func NewWindowColumns(list []WindowColumn, colStride, tapCol int) *WindowColumns {
	if colStride < 0 {
		panic("kernels.NewWindowColumns: negative size")
	}
	w := &WindowColumns{list: list, colStride: colStride, tapCol: tapCol}
	for i, c := range list {
		if c.Start < 0 || c.Taps < 0 {
			panic("kernels.NewWindowColumns: negative size")
		}
		if i == 0 {
			w.least, w.lowest, w.highest = c.Taps, c.Tap, c.Tap
		}
		w.least, w.most = min(w.least, c.Taps), max(w.most, c.Taps)
		last := max(c.Taps-1, 0)
		w.end = max(w.end, c.Start+last*colStride)
		w.lowest = min(w.lowest, c.Tap, c.Tap+last*tapCol)
		w.highest = max(w.highest, c.Tap, c.Tap+last*tapCol)
	}
	return w
}

// windowWork bounds the taps times channels of an assembly call: some 50 us.
const windowWork = 1 << 20

// empty tells whether there is nothing to write.
func (w *Window) empty() bool { return len(w.Columns.list) == 0 || w.C == 0 }

// A windowCall is the part of a Window that is one assembly call: the pixels of list
// and c of their channels.
type windowCall struct {
	*Window
	list []WindowColumn
	c    int
}

// call returns the part of w from channel c of pixel p on, and where it starts in
// dst and src.
func (w *Window) call(p, c int) (call windowCall, dst, src int) {
	taps := max(w.Rows*w.Columns.most, 1)
	channels := max(1, windowWork/taps)
	if channels > 4*cacheLine {
		channels -= channels % (4 * cacheLine) // whole strips, which can be streamed
	}
	channels = min(w.C, channels)
	pixels := max(1, windowWork/(taps*channels))
	list := w.Columns.list
	return windowCall{w, list[p:min(p+pixels, len(list))], min(channels, w.C-c)}, p*w.DstStep + c, c
}

// next returns where the part behind a call is.
func (w *Window) next(call *windowCall, p, c int) (int, int) {
	if c += call.c; c < w.C {
		return p, c
	}
	return p + len(call.list), 0
}

// done tells whether pixel p is behind the last one.
func (w *Window) done(p int) bool { return p >= len(w.Columns.list) }

func (w *Window) check(name string, dst, src int) {
	if w.C|w.DstStep|w.Rows|w.RowStride < 0 {
		panic("kernels." + name + ": negative size")
	}
	if w.empty() {
		return
	}
	if (len(w.Columns.list)-1)*w.DstStep+w.C > dst {
		panic("kernels." + name + ": dst is too short")
	}
	if w.Rows > 0 && w.Columns.most > 0 && w.Columns.end+(w.Rows-1)*w.RowStride+w.C > src {
		panic("kernels." + name + ": src is too short")
	}
}

// checkTaps panics unless every tap number is in [0, limit].
func (w *Window) checkTaps(name string, limit int) {
	di := max(w.Rows-1, 0) * w.TapRow
	if w.Tap+w.Columns.lowest+min(di, 0) < 0 || w.Tap+w.Columns.highest+max(di, 0) > limit {
		panic("kernels." + name + ": tap number out of range")
	}
}

// WindowMax sets dst to the maximum over the taps, channel by channel, and,
// unless index is nil, index at the same positions as dst to the number of the
// tap it was found at, which must fit: the first in row-major order among equal
// values (-0 equals 0), the last NaN if there is one. Every pixel must have taps. dst
// and src must not overlap.
func WindowMax(dst []float32, index []uint8, src []float32, w *Window) {
	w.checkMax("WindowMax", len(dst), len(src))
	if index != nil {
		w.check("WindowMax", len(index), len(src))
		w.checkTaps("WindowMax", math.MaxUint8)
	}
	if w.empty() {
		return
	}
	for p, c := 0, 0; !w.done(p); {
		part, d, s := w.call(p, c)
		if index == nil {
			windowMax(dst[d:], src[s:], &part)
		} else {
			windowMaxIndex(dst[d:], index[d:], src[s:], &part)
		}
		p, c = w.next(&part, p, c)
	}
}

// checkMax is check, and that every pixel has taps.
func (w *Window) checkMax(name string, dst, src int) {
	w.check(name, dst, src)
	if w.Rows == 0 || w.Columns.least == 0 && len(w.Columns.list) > 0 {
		panic("kernels." + name + ": empty window")
	}
}

// WindowMaxWide is [WindowMax] for windows of more than 256 taps. index must not
// be nil.
func WindowMaxWide(dst []float32, index []int32, src []float32, w *Window) {
	w.checkMax("WindowMaxWide", len(dst), len(src))
	w.check("WindowMaxWide", len(index), len(src))
	w.checkTaps("WindowMaxWide", math.MaxInt32)
	windowMaxIndexGeneric(dst, index, src, &windowCall{w, w.Columns.list, w.C})
}

func windowMaxGeneric(dst, src []float32, w *windowCall) {
	for p, col := range w.list {
		d := dst[p*w.DstStep : p*w.DstStep+w.c]
		copy(d, src[col.Start:col.Start+w.c])
		for i := range w.Rows {
			for j := range col.Taps {
				at := col.Start + i*w.RowStride + j*w.Columns.colStride
				for c, v := range src[at : at+w.c] {
					if v > d[c] || v != v {
						d[c] = v
					}
				}
			}
		}
	}
}

func windowMaxIndexGeneric[T uint8 | int32](dst []float32, index []T, src []float32, w *windowCall) {
	for p, col := range w.list {
		d, x := dst[p*w.DstStep:p*w.DstStep+w.c], index[p*w.DstStep:p*w.DstStep+w.c]
		copy(d, src[col.Start:col.Start+w.c])
		first := w.Tap + col.Tap
		for c := range x {
			x[c] = T(first)
		}
		for i := range w.Rows {
			for j := range col.Taps {
				at, tap := col.Start+i*w.RowStride+j*w.Columns.colStride, T(first+i*w.TapRow+j*w.Columns.tapCol)
				for c, v := range src[at : at+w.c] {
					if v > d[c] || v != v {
						d[c], x[c] = v, tap
					}
				}
			}
		}
	}
}

// WindowMaxBackward sets dst to the sum of src over those taps whose index, at
// the same position as src, is the tap's number; 0 if there are none, or no
// taps. With dst a row of the input's gradient, src the output's gradient and
// index what [WindowMax] wrote, it is the backward pass of max pooling, each
// element of dst written once. Taps are added in row-major order. dst and src
// must not overlap.
func WindowMaxBackward(dst, src []float32, index []uint8, w *Window) {
	w.check("WindowMaxBackward", len(dst), min(len(src), len(index)))
	w.checkTaps("WindowMaxBackward", math.MaxUint8)
	if w.empty() {
		return
	}
	if w.Rows == 0 || w.Columns.most == 0 {
		windowMaxBackwardGeneric(dst, src, index, &windowCall{w, w.Columns.list, w.C})
		return
	}
	for p, c := 0, 0; !w.done(p); {
		part, d, s := w.call(p, c)
		windowMaxBackward(dst[d:], src[s:], index[s:], &part)
		p, c = w.next(&part, p, c)
	}
}

// WindowMaxBackwardWide is [WindowMaxBackward] with the index of
// [WindowMaxWide].
func WindowMaxBackwardWide(dst, src []float32, index []int32, w *Window) {
	w.check("WindowMaxBackwardWide", len(dst), min(len(src), len(index)))
	w.checkTaps("WindowMaxBackwardWide", math.MaxInt32)
	windowMaxBackwardGeneric(dst, src, index, &windowCall{w, w.Columns.list, w.C})
}

func windowMaxBackwardGeneric[T uint8 | int32](dst, src []float32, index []T, w *windowCall) {
	for p, col := range w.list {
		d := dst[p*w.DstStep : p*w.DstStep+w.c]
		clear(d)
		for i := range w.Rows {
			for j := range col.Taps {
				at, tap := col.Start+i*w.RowStride+j*w.Columns.colStride, T(w.Tap+col.Tap+i*w.TapRow+j*w.Columns.tapCol)
				x := index[at : at+w.c]
				for c, v := range src[at : at+w.c] {
					if x[c] == tap {
						d[c] += v
					}
				}
			}
		}
	}
}

// WindowAvg sets dst to scale times the sum over the taps, channel by channel,
// 0 without taps. Each row of taps is summed in order, then the rows in order,
// so the error is at most (Rows+columns)*eps times scale times the sum of the taps'
// magnitudes, eps = 2^-24. dst and src must not overlap.
func WindowAvg(dst, src []float32, scale float32, w *Window) {
	w.check("WindowAvg", len(dst), len(src))
	if w.empty() {
		return
	}
	if w.Rows == 0 || w.Columns.most == 0 {
		windowAvgGeneric(dst, src, scale, &windowCall{w, w.Columns.list, w.C})
		return
	}
	for p, c := 0, 0; !w.done(p); {
		part, d, s := w.call(p, c)
		windowAvg(dst[d:], src[s:], scale, &part)
		p, c = w.next(&part, p, c)
	}
}

func windowAvgGeneric(dst, src []float32, scale float32, w *windowCall) {
	for p, col := range w.list {
		d := dst[p*w.DstStep : p*w.DstStep+w.c]
		for c := range d {
			var sum float32
			for i := range w.Rows {
				at := col.Start + i*w.RowStride + c
				var row float32
				for j := range col.Taps {
					row += src[at+j*w.Columns.colStride]
				}
				sum += row
			}
			d[c] = scale * sum
		}
	}
}
