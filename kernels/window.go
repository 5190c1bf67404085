package kernels

import "math"

// The kernels of this file slide a window over one row of an NHWC feature map.
// They serve pooling in both directions: forward, a pixel of dst looks at the
// taps of its window in src; backward, a pixel of the input's gradient looks at
// the outputs whose window covers it, which is again a rectangle. In assembly
// for the reason given in channels.go.

// A Window says where the pixels of a run and the taps of their windows are. All
// pixels of a run have the same window.
//
//	pixel p is dst[p*DstStep : p*DstStep+C]
//	its tap (i, j) is src[p*SrcStep+i*RowStride+j*ColStride:] for C elements
//
// for p < Pixels, i < Rows, j < Cols. Sizes count elements. Tap (i, j) is number
// Tap + i*TapRow + j*TapCol of the pooling window.
type Window struct {
	Pixels, C            int
	DstStep, SrcStep     int
	Rows, Cols           int
	RowStride, ColStride int
	Tap, TapRow, TapCol  int
	// Store is how WindowMaxBackward and WindowAvg write dst.
	Store Store
}

// windowWork bounds the taps times channels of an assembly call: some 50 us.
const windowWork = 1 << 20

// whole tells whether w is one assembly call.
func (w *Window) whole() bool { return w.Rows*w.Cols*w.Pixels*w.C <= windowWork }

// parts returns how many pixels and channels make a call.
func (w *Window) parts() (pixels, c int) {
	taps := max(w.Rows*w.Cols, 1)
	c = max(1, min(w.C, windowWork/taps))
	return max(1, windowWork/(taps*c)), c
}

// part returns the part of w for pixels from p and channels from c, and where it
// starts in dst and src.
func (w *Window) part(p, c, pixels, channels int) (sub Window, dst, src int) {
	sub = *w
	sub.Pixels, sub.C = min(pixels, w.Pixels-p), min(channels, w.C-c)
	return sub, p*w.DstStep + c, p*w.SrcStep + c
}

func (w *Window) check(name string, dst, src int) {
	if w.Pixels|w.C|w.DstStep|w.SrcStep|w.Rows|w.Cols|w.RowStride|w.ColStride < 0 {
		panic("kernels." + name + ": negative size")
	}
	if w.Pixels == 0 || w.C == 0 {
		return
	}
	if (w.Pixels-1)*w.DstStep+w.C > dst {
		panic("kernels." + name + ": dst is too short")
	}
	if w.Rows > 0 && w.Cols > 0 && (w.Pixels-1)*w.SrcStep+(w.Rows-1)*w.RowStride+(w.Cols-1)*w.ColStride+w.C > src {
		panic("kernels." + name + ": src is too short")
	}
}

// checkTaps panics unless every tap number is in [0, limit].
func (w *Window) checkTaps(name string, limit int) {
	di, dj := max(w.Rows-1, 0)*w.TapRow, max(w.Cols-1, 0)*w.TapCol
	lowest := w.Tap + min(di, 0) + min(dj, 0)
	highest := w.Tap + max(di, 0) + max(dj, 0)
	if lowest < 0 || highest > limit {
		panic("kernels." + name + ": tap number out of range")
	}
}

// WindowMax sets dst to the maximum over the taps, channel by channel, and,
// unless index is nil, index at the same positions as dst to the number of the
// tap it was found at, which must fit: the first in row-major order among equal
// values (-0 equals 0), the last NaN if there is one. Rows and Cols must be
// positive. dst and src must not overlap.
func WindowMax(dst []float32, index []uint8, src []float32, w *Window) {
	w.check("WindowMax", len(dst), len(src))
	if w.Rows == 0 || w.Cols == 0 {
		panic("kernels.WindowMax: empty window")
	}
	if index != nil {
		w.check("WindowMax", len(index), len(src))
		w.checkTaps("WindowMax", math.MaxUint8)
	}
	switch {
	case w.Pixels == 0 || w.C == 0:
	case !w.whole():
		windowMaxParts(dst, index, src, w)
	case index == nil:
		windowMax(dst, src, w)
	default:
		windowMaxIndex(dst, index, src, w)
	}
}

func windowMaxParts(dst []float32, index []uint8, src []float32, w *Window) {
	pixels, channels := w.parts()
	for p := 0; p < w.Pixels; p += pixels {
		for c := 0; c < w.C; c += channels {
			sub, d, s := w.part(p, c, pixels, channels)
			if index == nil {
				windowMax(dst[d:], src[s:], &sub)
			} else {
				windowMaxIndex(dst[d:], index[d:], src[s:], &sub)
			}
		}
	}
}

// WindowMaxWide is [WindowMax] for windows of more than 256 taps. index must not
// be nil.
func WindowMaxWide(dst []float32, index []int32, src []float32, w *Window) {
	w.check("WindowMaxWide", len(dst), len(src))
	w.check("WindowMaxWide", len(index), len(src))
	w.checkTaps("WindowMaxWide", math.MaxInt32)
	if w.Rows == 0 || w.Cols == 0 {
		panic("kernels.WindowMaxWide: empty window")
	}
	windowMaxIndexGeneric(dst, index, src, w)
}

func windowMaxGeneric(dst, src []float32, w *Window) {
	for p := range w.Pixels {
		d := dst[p*w.DstStep : p*w.DstStep+w.C]
		copy(d, src[p*w.SrcStep:p*w.SrcStep+w.C])
		for i := range w.Rows {
			for j := range w.Cols {
				at := p*w.SrcStep + i*w.RowStride + j*w.ColStride
				for c, v := range src[at : at+w.C] {
					if v > d[c] || v != v {
						d[c] = v
					}
				}
			}
		}
	}
}

func windowMaxIndexGeneric[T uint8 | int32](dst []float32, index []T, src []float32, w *Window) {
	for p := range w.Pixels {
		d, x := dst[p*w.DstStep:p*w.DstStep+w.C], index[p*w.DstStep:p*w.DstStep+w.C]
		copy(d, src[p*w.SrcStep:p*w.SrcStep+w.C])
		for c := range x {
			x[c] = T(w.Tap)
		}
		for i := range w.Rows {
			for j := range w.Cols {
				at, tap := p*w.SrcStep+i*w.RowStride+j*w.ColStride, T(w.Tap+i*w.TapRow+j*w.TapCol)
				for c, v := range src[at : at+w.C] {
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
	switch {
	case w.Pixels == 0 || w.C == 0:
	case w.Rows == 0 || w.Cols == 0:
		windowMaxBackwardGeneric(dst, src, index, w)
	case w.whole():
		windowMaxBackward(dst, src, index, w)
	default:
		windowMaxBackwardParts(dst, src, index, w)
	}
}

func windowMaxBackwardParts(dst, src []float32, index []uint8, w *Window) {
	pixels, channels := w.parts()
	for p := 0; p < w.Pixels; p += pixels {
		for c := 0; c < w.C; c += channels {
			sub, d, s := w.part(p, c, pixels, channels)
			windowMaxBackward(dst[d:], src[s:], index[s:], &sub)
		}
	}
}

// WindowMaxBackwardWide is [WindowMaxBackward] with the index of
// [WindowMaxWide].
func WindowMaxBackwardWide(dst, src []float32, index []int32, w *Window) {
	w.check("WindowMaxBackwardWide", len(dst), min(len(src), len(index)))
	w.checkTaps("WindowMaxBackwardWide", math.MaxInt32)
	windowMaxBackwardGeneric(dst, src, index, w)
}

func windowMaxBackwardGeneric[T uint8 | int32](dst, src []float32, index []T, w *Window) {
	for p := range w.Pixels {
		d := dst[p*w.DstStep : p*w.DstStep+w.C]
		clear(d)
		for i := range w.Rows {
			for j := range w.Cols {
				at, tap := p*w.SrcStep+i*w.RowStride+j*w.ColStride, T(w.Tap+i*w.TapRow+j*w.TapCol)
				x := index[at : at+w.C]
				for c, v := range src[at : at+w.C] {
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
// so the error is at most (Rows+Cols)*eps times scale times the sum of the taps'
// magnitudes, eps = 2^-24. dst and src must not overlap.
func WindowAvg(dst, src []float32, scale float32, w *Window) {
	w.check("WindowAvg", len(dst), len(src))
	switch {
	case w.Pixels == 0 || w.C == 0:
	case w.Rows == 0 || w.Cols == 0:
		windowAvgGeneric(dst, src, scale, w)
	case w.whole():
		windowAvg(dst, src, scale, w)
	default:
		windowAvgParts(dst, src, scale, w)
	}
}

func windowAvgParts(dst, src []float32, scale float32, w *Window) {
	pixels, channels := w.parts()
	for p := 0; p < w.Pixels; p += pixels {
		for c := 0; c < w.C; c += channels {
			sub, d, s := w.part(p, c, pixels, channels)
			windowAvg(dst[d:], src[s:], scale, &sub)
		}
	}
}

func windowAvgGeneric(dst, src []float32, scale float32, w *Window) {
	for p := range w.Pixels {
		d := dst[p*w.DstStep : p*w.DstStep+w.C]
		for c := range d {
			var sum float32
			for i := range w.Rows {
				at := p*w.SrcStep + i*w.RowStride + c
				var row float32
				for j := range w.Cols {
					row += src[at+j*w.ColStride]
				}
				sum += row
			}
			d[c] = scale * sum
		}
	}
}
