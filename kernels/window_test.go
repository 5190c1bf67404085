package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// windows are runs with gaps, overlaps and odd strides; C is filled in.
var windows = []kernels.Window{
	{Pixels: 1, Rows: 1, Cols: 1},
	{Pixels: 5, Rows: 2, Cols: 2, SrcStep: 2, RowStride: 11, ColStride: 1, TapRow: 2, TapCol: 1},
	{Pixels: 4, Rows: 3, Cols: 3, SrcStep: 1, RowStride: 7, ColStride: 1, Tap: 4, TapRow: 5, TapCol: 1},
	{Pixels: 3, DstStep: 3, Rows: 2, Cols: 2, SrcStep: 1, RowStride: 6, ColStride: 2, Tap: 8, TapRow: -5, TapCol: -2},
	{Pixels: 2, Rows: 4, Cols: 5, SrcStep: 3, RowStride: 9, ColStride: 2, Tap: 100, TapRow: 30, TapCol: 3},
	{Pixels: 3, DstStep: 2, Rows: 0, Cols: 2, SrcStep: 1, ColStride: 1},
	{Pixels: 0, Rows: 1, Cols: 1},
}

// scaledWindow turns the pixel units of w into elements.
func scaledWindow(w kernels.Window, c int) kernels.Window {
	w.C = c
	w.DstStep = max(w.DstStep, 1) * c
	w.SrcStep *= c
	w.RowStride *= c
	w.ColStride *= c
	return w
}

func windowSizes(w kernels.Window) (dst, src int) {
	return max(0, (w.Pixels-1)*w.DstStep+w.C),
		max(0, (w.Pixels-1)*w.SrcStep+max(w.Rows-1, 0)*w.RowStride+max(w.Cols-1, 0)*w.ColStride+w.C)
}

func TestWindows(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, w := range windows {
			for _, c := range mapColumns {
				w := scaledWindow(w, c)
				t.Run(fmt.Sprintf("window=%d/c=%d", i, c), func(t *testing.T) {
					if w.Rows > 0 {
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

// eachOutput calls f for each element of dst, with what it must hold, taps in
// order, or nil between pixels.
func eachOutput(w kernels.Window, dst int, f func(i int, taps []int)) {
	outputs := make([][]int, dst)
	for p := range w.Pixels {
		for c := range w.C {
			taps := make([]int, 0, w.Rows*w.Cols)
			for i := range w.Rows {
				for j := range w.Cols {
					taps = append(taps, p*w.SrcStep+i*w.RowStride+j*w.ColStride+c)
				}
			}
			outputs[p*w.DstStep+c] = taps
		}
	}
	for i, taps := range outputs {
		f(i, taps)
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

func checkWindowMax(t *testing.T, w kernels.Window) {
	const seed = 16
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := windowSizes(w)
	src := kerneltest.GuardedCopy(t, rng.Slice(srcLen))
	values := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1, -1}
	for range srcLen / 3 {
		src[rng.IntN(srcLen)] = values[rng.IntN(len(values))]
	}
	dst, plain, index := canaries(t, dstLen), canaries(t, dstLen), fencedBytes(t, dstLen)
	kernels.WindowMax(dst, index, src, &w)
	kernels.WindowMax(plain, nil, src, &w)
	wide, wideIndex := canaries(t, dstLen), make([]int32, dstLen)
	kernels.WindowMaxWide(wide, wideIndex, src, &w)
	eachOutput(w, dstLen, func(i int, taps []int) {
		if taps == nil {
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
		tap := w.Tap + at/w.Cols*w.TapRow + at%w.Cols*w.TapCol
		want := src[taps[at]]
		same := func(v float32) bool { return v == want || v != v && want != want }
		if !same(dst[i]) || !same(plain[i]) || !same(wide[i]) || int(index[i]) != tap || int(wideIndex[i]) != tap {
			t.Fatalf("seed=%d: element %d is %v from tap %d (%v without index; wide %v, %d), want %v from %d",
				seed, i, dst[i], index[i], plain[i], wide[i], wideIndex[i], want, tap)
		}
	})
}

func checkWindowBackward(t *testing.T, w kernels.Window) {
	const seed = 17
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := windowSizes(w)
	src, index, wide := kerneltest.GuardedCopy(t, rng.Slice(srcLen)), fencedBytes(t, srcLen), make([]int32, srcLen)
	for i := range index {
		index[i] = uint8(w.Tap + rng.IntN(w.Rows+1)*w.TapRow + rng.IntN(w.Cols+1)*w.TapCol)
		wide[i] = int32(index[i])
	}
	dst, wideDst := canaries(t, dstLen), canaries(t, dstLen)
	kernels.WindowMaxBackward(dst, src, index, &w)
	kernels.WindowMaxBackwardWide(wideDst, src, wide, &w)
	eachOutput(w, dstLen, func(i int, taps []int) {
		want := float32(canary)
		if taps != nil {
			want = 0
		}
		for k, s := range taps {
			if int(index[s]) == w.Tap+k/w.Cols*w.TapRow+k%w.Cols*w.TapCol {
				want += src[s] // in the order of the contract, so exact
			}
		}
		if dst[i] != want || wideDst[i] != want {
			t.Fatalf("seed=%d: element %d is %v, wide %v, want %v", seed, i, dst[i], wideDst[i], want)
		}
	})
}

func checkWindowAvg(t *testing.T, w kernels.Window) {
	const seed, scale = 18, 0.3
	rng := kerneltest.Rand(seed)
	dstLen, srcLen := windowSizes(w)
	src, dst := kerneltest.GuardedCopy(t, rng.Slice(srcLen)), canaries(t, dstLen)
	kernels.WindowAvg(dst, src, scale, &w)
	eachOutput(w, dstLen, func(i int, taps []int) {
		want := float32(canary)
		if taps != nil {
			var sum float32
			for r := range w.Rows {
				var row float32
				for _, s := range taps[r*w.Cols : (r+1)*w.Cols] {
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
		checkWindowAvg(t, scaledWindow(kernels.Window{Pixels: 70, Rows: 16, Cols: 16, RowStride: 90, ColStride: 1, SrcStep: 1}, 77))
		checkWindowAvg(t, scaledWindow(kernels.Window{Pixels: 2, Rows: 2, Cols: 1, RowStride: 2, SrcStep: 1}, 1<<19+3))
	})
}

func TestWindowPanics(t *testing.T) {
	ok := make([]float32, 16)
	for want, f := range map[string]func(){
		"kernels.WindowMax: dst is too short": func() {
			kernels.WindowMax(ok[:3], nil, ok, &kernels.Window{Pixels: 1, C: 4, Rows: 1, Cols: 1})
		},
		"kernels.WindowMax: src is too short": func() {
			kernels.WindowMax(ok, nil, ok[:5], &kernels.Window{Pixels: 1, C: 4, Rows: 1, Cols: 2, ColStride: 4})
		},
		"kernels.WindowMax: empty window": func() {
			kernels.WindowMax(ok, nil, ok, &kernels.Window{Pixels: 1, C: 4, Cols: 1})
		},
		"kernels.WindowMax: tap number out of range": func() {
			kernels.WindowMax(ok, make([]uint8, 16), ok, &kernels.Window{Pixels: 1, C: 1, Rows: 1, Cols: 2, ColStride: 1, Tap: 255, TapCol: 1})
		},
		"kernels.WindowAvg: negative size": func() {
			kernels.WindowAvg(ok, ok, 1, &kernels.Window{Pixels: 1, C: 1, Rows: 1, Cols: 2, ColStride: -1})
		},
		"kernels.ChannelSums: map is shorter than rows*c":   func() { kernels.ChannelSums(ok, ok, 5, 4) },
		"kernels.PlaneScale: vector is shorter than planes": func() { kernels.PlaneScale(ok, ok, nil, 4, 4, kernels.Cached) },
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
