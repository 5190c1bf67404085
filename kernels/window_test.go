package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// A windowRow is a row of pixels to make a Window of: SrcStep is the distance of their
// starts, and pixel p has Cols taps in a row, one less for each time that Vary goes
// into p. Distances count pixels.
type windowRow struct {
	Pixels, DstStep, SrcStep int
	Rows, Cols, Vary         int
	RowStride, ColStride     int
	Tap, TapRow, TapCol      int
}

// windows are rows with gaps, overlaps, odd strides and pixels that differ; with none
// to three taps in a row, and more.
var windows = []windowRow{
	{Pixels: 1, Rows: 1, Cols: 1},
	{Pixels: 5, Rows: 2, Cols: 2, SrcStep: 2, RowStride: 11, ColStride: 1, TapRow: 2, TapCol: 1},
	{Pixels: 4, Rows: 3, Cols: 3, SrcStep: 1, RowStride: 7, ColStride: 1, Tap: 4, TapRow: 5, TapCol: 1},
	{Pixels: 3, DstStep: 3, Rows: 2, Cols: 2, SrcStep: 1, RowStride: 6, ColStride: 2, Tap: 8, TapRow: -5, TapCol: -2},
	{Pixels: 2, Rows: 4, Cols: 5, SrcStep: 3, RowStride: 9, ColStride: 2, Tap: 100, TapRow: 30, TapCol: 3},
	{Pixels: 3, DstStep: 2, Rows: 0, Cols: 2, SrcStep: 1, ColStride: 1},
	{Pixels: 5, Rows: 2, Cols: 5, Vary: 1, SrcStep: 2, RowStride: 17, ColStride: 1, Tap: 60, TapRow: 10, TapCol: 2},
	{Pixels: 4, Rows: 2, Cols: 3, Vary: 1, SrcStep: 1, RowStride: 9, ColStride: 2, Tap: 40, TapRow: -7, TapCol: -3},
	{Pixels: 0, Rows: 1, Cols: 1},
}

// taps returns the taps of a row of pixel p's window.
func (r windowRow) taps(p int) int {
	if r.Vary > 0 {
		return max(0, r.Cols-p/r.Vary)
	}
	return r.Cols
}

// window makes the Window for c channels, with pixels of their own first tap, and its
// columns.
func (r windowRow) window(c int) (kernels.Window, []kernels.WindowColumn) {
	list := make([]kernels.WindowColumn, r.Pixels)
	for p := range list {
		list[p] = kernels.WindowColumn{Start: p * r.SrcStep * c, Taps: r.taps(p), Tap: p % 2}
	}
	return kernels.Window{
		Columns: kernels.NewWindowColumns(list, r.ColStride*c, r.TapCol), C: c, DstStep: max(r.DstStep, 1) * c,
		Rows: r.Rows, RowStride: r.RowStride * c, Tap: r.Tap, TapRow: r.TapRow,
	}, list
}

// A windowCase is a Window with what it was made of.
type windowCase struct {
	kernels.Window
	row  windowRow
	list []kernels.WindowColumn
}

func newWindowCase(r windowRow, c int) windowCase {
	w, list := r.window(c)
	return windowCase{w, r, list}
}

func (w *windowCase) sizes() (dst, src int) {
	for _, col := range w.list {
		if w.Rows > 0 && col.Taps > 0 {
			src = max(src, col.Start+(w.Rows-1)*w.RowStride+(col.Taps-1)*w.row.ColStride*w.C+w.C)
		}
	}
	return max(0, (len(w.list)-1)*w.DstStep+w.C), src
}

// tap returns the number of tap k of pixel p, in row-major order.
func (w *windowCase) tap(p, k int) int {
	col := w.list[p]
	return w.Tap + col.Tap + k/col.Taps*w.TapRow + k%col.Taps*w.row.TapCol
}

func TestWindows(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, r := range windows {
			for _, c := range mapColumns {
				w := newWindowCase(r, c)
				t.Run(fmt.Sprintf("window=%d/c=%d", i, c), func(t *testing.T) {
					if r.Rows > 0 && (r.Pixels == 0 || r.taps(r.Pixels-1) > 0) {
						checkWindowMax(t, w)
					}
					for _, w.Store = range []kernels.Store{kernels.Cached, kernels.Streamed} {
						checkWindowBackward(t, w)
						checkWindowAvg(t, w)
					}
				})
			}
		}
	})
}

// canary marks elements between the pixels of dst, which must stay.
const canary = -123

func canaries(t *testing.T, n int) []float32 {
	x := kerneltest.Guarded(t, n)
	for i := range x {
		x[i] = canary
	}
	return x
}

// eachOutput calls f for each element of dst, with its pixel and the taps it is made
// of in order, or a negative pixel for what lies between pixels.
func eachOutput(w windowCase, dst int, f func(i, p int, taps []int)) {
	pixels, outputs := make([]int, dst), make([][]int, dst)
	for i := range pixels {
		pixels[i] = -1
	}
	for p, col := range w.list {
		for c := range w.C {
			taps := make([]int, 0, w.Rows*col.Taps)
			for i := range w.Rows {
				for j := range col.Taps {
					taps = append(taps, col.Start+i*w.RowStride+j*w.row.ColStride*w.C+c)
				}
			}
			pixels[p*w.DstStep+c], outputs[p*w.DstStep+c] = p, taps
		}
	}
	for i, taps := range outputs {
		f(i, pixels[i], taps)
	}
}

// fencedBytes returns n bytes whose end is at an inaccessible page.
func fencedBytes(t *testing.T, n int) []uint8 {
	b := kerneltest.GuardedOf[uint8](t, n)
	for i := range b {
		b[i] = 255
	}
	return b
}

func checkWindowMax(t *testing.T, w windowCase) {
	const seed = 16
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := w.sizes()
	src := kerneltest.GuardedCopy(t, rng.Slice(srcLen))
	values := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1, -1}
	for range srcLen / 3 {
		src[rng.IntN(srcLen)] = values[rng.IntN(len(values))]
	}
	dst, plain, index := canaries(t, dstLen), canaries(t, dstLen), fencedBytes(t, dstLen)
	kernels.WindowMax(dst, index, src, &w.Window)
	kernels.WindowMax(plain, nil, src, &w.Window)
	wide, wideIndex := canaries(t, dstLen), make([]int32, dstLen)
	kernels.WindowMaxWide(wide, wideIndex, src, &w.Window)
	eachOutput(w, dstLen, func(i, p int, taps []int) {
		if p < 0 {
			if dst[i] != canary || plain[i] != canary || index[i] != 255 {
				t.Fatalf("seed=%d: element %d between the pixels was written", seed, i)
			}
			return
		}
		at := 0
		for k, s := range taps {
			if v := src[s]; v > src[taps[at]] || v != v {
				at = k
			}
		}
		tap := w.tap(p, at)
		want := src[taps[at]]
		same := func(v float32) bool { return v == want || v != v && want != want }
		if !same(dst[i]) || !same(plain[i]) || !same(wide[i]) || int(index[i]) != tap || int(wideIndex[i]) != tap {
			t.Fatalf("seed=%d: element %d is %v from tap %d (%v without index; wide %v, %d), want %v from %d",
				seed, i, dst[i], index[i], plain[i], wide[i], wideIndex[i], want, tap)
		}
	})
}

func checkWindowBackward(t *testing.T, w windowCase) {
	const seed = 17
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := w.sizes()
	src, index, wide := kerneltest.GuardedCopy(t, rng.Slice(srcLen)), fencedBytes(t, srcLen), make([]int32, srcLen)
	for i := range index {
		index[i] = uint8(w.Tap + rng.IntN(w.Rows+1)*w.TapRow + rng.IntN(w.row.Cols+1)*w.row.TapCol + rng.IntN(2))
		wide[i] = int32(index[i])
	}
	dst, wideDst := canaries(t, dstLen), canaries(t, dstLen)
	kernels.WindowMaxBackward(dst, src, index, &w.Window)
	kernels.WindowMaxBackwardWide(wideDst, src, wide, &w.Window)
	eachOutput(w, dstLen, func(i, p int, taps []int) {
		want := float32(canary)
		if p >= 0 {
			want = 0
		}
		for k, s := range taps {
			if int(index[s]) == w.tap(p, k) {
				want += src[s] // in the order of the contract, so exact
			}
		}
		if dst[i] != want || wideDst[i] != want {
			t.Fatalf("seed=%d: element %d is %v, wide %v, want %v", seed, i, dst[i], wideDst[i], want)
		}
	})
}

func checkWindowAvg(t *testing.T, w windowCase) {
	const seed, scale = 18, 0.3
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := w.sizes()
	src, dst := kerneltest.GuardedCopy(t, rng.Slice(srcLen)), canaries(t, dstLen)
	kernels.WindowAvg(dst, src, scale, &w.Window)
	eachOutput(w, dstLen, func(i, p int, taps []int) {
		want := float32(canary)
		if p >= 0 {
			var sum float32
			n := w.list[p].Taps
			for r := range w.Rows {
				var row float32
				for _, s := range taps[r*n : (r+1)*n] {
					row += src[s]
				}
				sum += row
			}
			want = scale * sum // in the order of the contract, so exact
		}
		if dst[i] != want {
			t.Fatalf("seed=%d: element %d is %v, want %v", seed, i, dst[i], want)
		}
	})
}

// TestWindowParts covers calls that are cut into parts: many pixels of many
// taps, and more channels than one call takes.
func TestWindowParts(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		checkWindowAvg(t, newWindowCase(windowRow{Pixels: 70, Rows: 16, Cols: 16, RowStride: 90, ColStride: 1, SrcStep: 1}, 77))
		checkWindowAvg(t, newWindowCase(windowRow{Pixels: 2, Rows: 2, Cols: 1, RowStride: 2, SrcStep: 1}, 1<<19+3))
	})
}

func TestWindowPanics(t *testing.T) {
	ok := make([]float32, 16)
	window := func(r windowRow, c int) *kernels.Window {
		w, _ := r.window(c)
		return &w
	}
	for want, f := range map[string]func(){
		"kernels.WindowMax: dst is too short": func() {
			kernels.WindowMax(ok[:3], nil, ok, window(windowRow{Pixels: 1, Rows: 1, Cols: 1}, 4))
		},
		"kernels.WindowMax: src is too short": func() {
			kernels.WindowMax(ok, nil, ok[:5], window(windowRow{Pixels: 1, Rows: 1, Cols: 2, ColStride: 1}, 4))
		},
		"kernels.WindowMax: empty window": func() {
			kernels.WindowMax(ok, nil, ok, window(windowRow{Pixels: 2, Rows: 1, Cols: 1, Vary: 1}, 4))
		},
		"kernels.WindowMaxWide: empty window": func() {
			kernels.WindowMaxWide(ok, make([]int32, 16), ok, window(windowRow{Pixels: 1, Cols: 1}, 4))
		},
		"kernels.WindowMax: tap number out of range": func() {
			kernels.WindowMax(ok, make([]uint8, 16), ok, window(windowRow{Pixels: 1, Rows: 1, Cols: 2, ColStride: 1, Tap: 255, TapCol: 1}, 1))
		},
		"kernels.WindowMaxBackward: tap number out of range": func() {
			kernels.WindowMaxBackward(ok, ok, make([]uint8, 16), window(windowRow{Pixels: 1, Rows: 2, Cols: 1, RowStride: 1, TapRow: -1}, 1))
		},
		"kernels.NewWindowColumns: negative size": func() {
			window(windowRow{Pixels: 1, Rows: 1, Cols: 2, ColStride: -1}, 1)
		},
		"kernels.WindowAvg: negative size": func() {
			kernels.WindowAvg(ok, ok, 1, window(windowRow{Pixels: 1, Rows: -1, Cols: 2}, 1))
		},
		"kernels.HalveMax: dst or src is too short": func() {
			kernels.HalveMax(ok, make([]float32, 63), make([]uint8, 16), 1, 2, 8, 2)
		},
		"kernels.HalveMaxBackward: dst or src is too short": func() {
			kernels.HalveMaxBackward(make([]float32, 64), ok, make([]uint8, 15), 1, 2, 8, 2, kernels.Cached)
		},
		"kernels.HalveAvgBackward: dst or src is too short": func() {
			kernels.HalveAvgBackward(make([]float32, 63), ok, 1, 1, 2, 8, 3, kernels.Cached)
		},
		"kernels.HalveAvgBackward: negative size or unknown window": func() {
			kernels.HalveAvgBackward(ok, ok, 1, 1, 1, 4, 4, kernels.Cached)
		},
		"kernels.HalveMaxBackward: size overflows": func() {
			kernels.HalveMaxBackward(ok, ok, nil, math.MaxInt/8, 1, 8, 2, kernels.Cached)
		},
		"kernels.ChannelSums: map is shorter than rows*c":   func() { kernels.ChannelSums(ok, ok, 5, 4) },
		"kernels.PlaneScale: vector is shorter than planes": func() { kernels.PlaneScale(ok, ok, nil, 4, 4, 0, kernels.Cached) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			f()
		}()
	}
}
