package pool_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/pool"
)

// shapes sit on the boundaries of the kernels: channels around one and four
// vectors of each ISA, windows with and without overlap, gaps between windows,
// windows that lie partly outside on any side, and dilation.
var shapes = []pool.Shape{
	{N: 1, C: 1, H: 1, W: 1, R: 1, S: 1},
	{N: 2, C: 3, H: 8, W: 8, R: 2, S: 2, StrideH: 2, StrideW: 2},
	{N: 1, C: 16, H: 7, W: 9, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 2, C: 17, H: 6, W: 5, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 1, C: 64, H: 9, W: 9, R: 3, S: 2, StrideH: 2, StrideW: 1, PadTop: 2, PadLeft: 1},
	{N: 1, C: 65, H: 5, W: 7, R: 2, S: 3, StrideH: 3, StrideW: 4, PadBottom: 1, PadRight: 2},
	{N: 1, C: 33, H: 10, W: 11, R: 3, S: 3, StrideH: 2, StrideW: 2, Ceil: true},
	{N: 1, C: 5, H: 10, W: 11, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, Ceil: true},
	{N: 1, C: 8, H: 12, W: 13, R: 3, S: 3, DilationH: 2, DilationW: 3, PadTop: 1, PadLeft: 2, PadBottom: 2, PadRight: 1},
	{N: 1, C: 7, H: 13, W: 14, R: 3, S: 2, StrideH: 2, StrideW: 3, DilationH: 3, DilationW: 2, PadTop: 2, PadLeft: 1, PadBottom: 1},
	{N: 1, C: 9, H: 16, W: 17, R: 3, S: 4, StrideH: 4, StrideW: 6, DilationH: 6, DilationW: 4, PadTop: 5, PadRight: 3},
	{N: 1, C: 3, H: 20, W: 19, R: 17, S: 18, PadTop: 3, PadLeft: 3}, // more than 256 taps
	{N: 3, C: 127, H: 4, W: 4, R: 4, S: 4},
	// Windows that fill planes, whose gradient in NCHW is direct.
	{N: 2, C: 3, H: 6, W: 22, R: 2, S: 2, StrideH: 2, StrideW: 2},
	{N: 2, C: 2, H: 8, W: 50, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 1, C: 1, H: 11, W: 13, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 2, C: 3, H: 14, W: 14, R: 4, S: 5, PadTop: 1, PadLeft: 3, PadBottom: 2, PadRight: 1},
	{N: 1, C: 4, H: 12, W: 12, R: 12, S: 2, PadTop: 11, PadRight: 1},
	{N: 1, C: 2, H: 3, W: 70, R: 1, S: 3, PadRight: 2},
}

func name(s pool.Shape) string {
	return fmt.Sprintf("in=%dx%dx%dx%d/window=%dx%d/stride=%dx%d/pad=%d,%d,%d,%d/dilation=%dx%d/ceil=%v",
		s.N, s.H, s.W, s.C, s.R, s.S, s.StrideH, s.StrideW, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, s.DilationH, s.DilationW, s.Ceil)
}

// filled returns s with strides and dilations of 0 replaced, as the reference
// needs them.
func filled(s pool.Shape) pool.Shape {
	for _, v := range []*int{&s.StrideH, &s.StrideW, &s.DilationH, &s.DilationW} {
		*v = max(*v, 1)
	}
	return s
}

// special puts NaN, infinities, zeros of both signs and denormals into x.
func special(rng *kerneltest.Random, x []float32) {
	values := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1e-42, -1e-42}
	for range 1 + len(x)/20 {
		x[rng.IntN(len(x))] = values[rng.IntN(len(values))]
	}
}

func TestMax(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, s := range shapes {
			t.Run(name(s), func(t *testing.T) {
				rng := kerneltest.Rand(uint64(i))
				s = filled(s)
				p, err := pool.NewMax(s)
				if err != nil {
					t.Fatal(err)
				}
				src, dy := rng.Slice(p.SrcLen()), rng.Slice(p.DstLen())
				special(rng, src)
				for j := range src { // ties, and windows without anything finite
					if rng.IntN(3) == 0 {
						src[j] = 0.5
					}
					if i%2 == 1 && rng.IntN(3) > 0 {
						src[j] = float32(math.Inf(-1))
					}
				}
				want := maxRef(s, src, dy)
				dst, dx, arg := make([]float32, p.DstLen()), make([]float32, p.SrcLen()), p.NewArgmax()
				check := func(what string, toNHWC bool) {
					y, x := dst, dx
					if toNHWC {
						y, x = kerneltest.ToNHWC(dst, s.N, s.C, s.OH(), s.OW()), kerneltest.ToNHWC(dx, s.N, s.C, s.H, s.W)
					}
					// The maximum is exact; each gradient is a sum of at most R*S terms.
					if at := worst(y, want.y, want.y, 0); at >= 0 {
						t.Errorf("%s seed=%d: dst[%d] = %v, want %v", what, i, at, y[at], want.y[at])
					}
					if at := worst(x, want.dx, want.dxMagnitude, float64(s.R*s.S)); at >= 0 {
						t.Errorf("%s seed=%d: dx[%d] = %v, want %v", what, i, at, x[at], want.dx[at])
					}
				}
				p.Forward(dst, arg, src)
				p.Backward(dx, dy, arg)
				check("NHWC", false)
				clear(dst)
				p.Forward(dst, nil, src)
				check("NHWC, no argmax", false)
				srcT, dyT := kerneltest.ToNCHW(src, s.N, s.C, s.H, s.W), kerneltest.ToNCHW(dy, s.N, s.C, s.OH(), s.OW())
				p.ForwardNCHW(dst, arg, srcT)
				p.BackwardNCHW(dx, dyT, arg)
				check("NCHW", true)
			})
		}
	})
}

func TestAvg(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, s := range shapes {
			for count := pool.CountPadding; count <= pool.CountInside; count++ {
				t.Run(fmt.Sprintf("%s/count=%d", name(s), count), func(t *testing.T) {
					s := filled(s)
					p, err := pool.NewAvg(s, count)
					if err != nil {
						t.Fatal(err)
					}
					rng := kerneltest.Rand(uint64(i))
					src, dy := rng.Slice(p.SrcLen()), rng.Slice(p.DstLen())
					special(rng, src)
					checkAvg(t, p, avgRef(s, count, src, dy), src, dy, s.N, s.C, s.H, s.W, s.OH(), s.OW(), float64(s.R+s.S+2))
				})
			}
		}
	})
}

// checkAvg compares both directions in both layouts; the bound is of the form of
// Avg's contract, ulps*eps*sum of magnitudes.
func checkAvg(t *testing.T, p *pool.Avg, want refResult, src, dy []float32, n, c, h, w, oh, ow int, ulps float64) {
	t.Helper()
	dst, dx := make([]float32, p.DstLen()), make([]float32, p.SrcLen())
	check := func(layout string, y, x []float32) {
		t.Helper()
		if at := worst(y, want.y, want.magnitude, ulps); at >= 0 {
			t.Errorf("%s: dst[%d] = %v, want %v", layout, at, y[at], want.y[at])
		}
		if at := worst(x, want.dx, want.dxMagnitude, ulps); at >= 0 {
			t.Errorf("%s: dx[%d] = %v, want %v", layout, at, x[at], want.dx[at])
		}
	}
	p.Forward(dst, src)
	p.Backward(dx, dy)
	check("NHWC", dst, dx)
	p.ForwardNCHW(dst, kerneltest.ToNCHW(src, n, c, h, w))
	p.BackwardNCHW(dx, kerneltest.ToNCHW(dy, n, c, oh, ow))
	check("NCHW", kerneltest.ToNHWC(dst, n, c, oh, ow), kerneltest.ToNHWC(dx, n, c, h, w))
}

func TestAdaptiveAvg(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, v := range []struct{ n, c, h, w, oh, ow int }{
			{1, 1, 1, 1, 1, 1}, {2, 5, 7, 9, 1, 1}, {1, 16, 7, 10, 3, 4}, {2, 17, 8, 8, 4, 2}, {1, 3, 5, 4, 7, 9}, {1, 64, 6, 6, 6, 6},
		} {
			t.Run(fmt.Sprintf("in=%dx%dx%dx%d/out=%dx%d", v.n, v.h, v.w, v.c, v.oh, v.ow), func(t *testing.T) {
				p, err := pool.NewAdaptiveAvg(v.n, v.c, v.h, v.w, v.oh, v.ow)
				if err != nil {
					t.Fatal(err)
				}
				rng := kerneltest.Rand(uint64(i))
				src, dy := rng.Slice(p.SrcLen()), rng.Slice(p.DstLen())
				in, out := p.SrcLen(), p.DstLen()
				want := refResult{make([]float64, out), make([]float64, out), make([]float64, in), make([]float64, in)}
				for o := range out {
					n, y, x, c := o/v.c/v.ow/v.oh, o/v.c/v.ow%v.oh, o/v.c%v.ow, o%v.c
					h0, h1 := y*v.h/v.oh, ((y+1)*v.h+v.oh-1)/v.oh
					w0, w1 := x*v.w/v.ow, ((x+1)*v.w+v.ow-1)/v.ow
					count := float64((h1 - h0) * (w1 - w0))
					for h := h0; h < h1; h++ {
						for w := w0; w < w1; w++ {
							i := ((n*v.h+h)*v.w+w)*v.c + c
							want.y[o] += float64(src[i]) / count
							want.magnitude[o] += math.Abs(float64(src[i])) / count
							want.dx[i] += float64(dy[o]) / count
							want.dxMagnitude[i] += math.Abs(float64(dy[o])) / count
						}
					}
				}
				// At most h x w taps in a window, and oh x ow windows over an element.
				checkAvg(t, p, want, src, dy, v.n, v.c, v.h, v.w, v.oh, v.ow, float64(max(v.h+v.w, v.oh+v.ow)+2))
			})
		}
	})
}

// TestThreads demands the same bits for any number of threads.
func TestThreads(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		s := pool.Shape{N: 3, C: 70, H: 33, W: 35, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1}
		m, err := pool.NewMax(s)
		if err != nil {
			t.Fatal(err)
		}
		a, err := pool.NewAvg(s, pool.CountInside)
		if err != nil {
			t.Fatal(err)
		}
		const seed = 1
		rng := kerneltest.Rand(seed)
		src, dy := rng.Slice(m.SrcLen()), rng.Slice(m.DstLen())
		var first [][]float32
		for _, procs := range []int{1, 2, 3, 8} {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			arg := m.NewArgmax()
			results := [][]float32{make([]float32, m.DstLen()), make([]float32, m.SrcLen()), make([]float32, m.DstLen()), make([]float32, m.SrcLen()), make([]float32, s.N*s.C)}
			m.Forward(results[0], arg, src)
			m.Backward(results[1], dy, arg)
			a.Forward(results[2], src)
			a.Backward(results[3], dy)
			pool.GlobalAvg(results[4], src, s.N, s.H*s.W, s.C)
			if first == nil {
				first = results
			}
			for k := range results {
				for i, v := range results[k] {
					if math.Float32bits(v) != math.Float32bits(first[k][i]) {
						t.Fatalf("procs=%d seed=%d: result %d differs at %d: %v, %v with one", procs, seed, k, i, v, first[k][i])
					}
				}
			}
		}
	})
}

func TestAllocations(t *testing.T) {
	s := pool.Shape{N: 4, C: 32, H: 16, W: 16, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1}
	m, err := pool.NewMax(s)
	if err != nil {
		t.Fatal(err)
	}
	a, err := pool.NewAvg(s, pool.CountInside)
	if err != nil {
		t.Fatal(err)
	}
	src, dst, arg := make([]float32, m.SrcLen()), make([]float32, m.DstLen()), m.NewArgmax()
	mean, index := make([]float32, s.N*s.C), make([]int32, s.N*s.C)
	for what, f := range map[string]func(){
		"Max": func() {
			m.Forward(dst, arg, src)
			m.Backward(src, dst, arg)
		},
		"Max NCHW": func() {
			m.ForwardNCHW(dst, arg, src)
			m.BackwardNCHW(src, dst, arg)
		},
		"Avg": func() {
			a.Forward(dst, src)
			a.Backward(src, dst)
		},
		"Avg NCHW": func() {
			a.ForwardNCHW(dst, src)
			a.BackwardNCHW(src, dst)
		},
		"Global": func() {
			pool.GlobalAvg(mean, src, s.N, s.H*s.W, s.C)
			pool.GlobalAvgBackward(src, mean, s.N, s.H*s.W, s.C)
			pool.GlobalMax(mean, index, src, s.N, s.H*s.W, s.C)
			pool.GlobalMaxBackward(src, mean, index, s.N, s.H*s.W, s.C)
		},
	} {
		// One thread, so that the count does not depend on how Parallel starts others.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if n := kerneltest.AllocsPerRun(5, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestErrors(t *testing.T) {
	good := pool.Shape{N: 1, C: 1, H: 4, W: 4, R: 2, S: 2}
	for what, change := range map[string]func(s *pool.Shape){
		"no batch":           func(s *pool.Shape) { s.N = 0 },
		"negative pad":       func(s *pool.Shape) { s.PadTop = -1 },
		"negative stride":    func(s *pool.Shape) { s.StrideW = -1 },
		"window too large":   func(s *pool.Shape) { s.R = 5 },
		"huge window":        func(s *pool.Shape) { s.R = math.MaxInt },
		"huge map":           func(s *pool.Shape) { s.N, s.C, s.H, s.W = 1<<20, 1<<20, 1<<20, 1<<20 },
		"window in padding":  func(s *pool.Shape) { s.PadLeft = 2 },
		"window behind":      func(s *pool.Shape) { s.PadBottom = 3 },
		"taps around a line": func(s *pool.Shape) { s.H, s.PadTop, s.PadBottom, s.DilationH = 1, 1, 1, 2 },
	} {
		s := good
		change(&s)
		if _, err := pool.NewMax(s); err == nil {
			t.Errorf("%s: NewMax accepts %v", what, s)
		}
		if _, err := pool.NewAvg(s, pool.CountPadding); err == nil {
			t.Errorf("%s: NewAvg accepts %v", what, s)
		}
	}
	if _, err := pool.NewAvg(good, 7); err == nil {
		t.Error("NewAvg accepts an unknown counting rule")
	}
	if _, err := pool.NewAdaptiveAvg(1, 1, 4, 4, 0, 1); err == nil {
		t.Error("NewAdaptiveAvg accepts an empty output")
	}
}

func TestPanics(t *testing.T) {
	p, err := pool.NewMax(pool.Shape{N: 1, C: 1, H: 2, W: 2, R: 2, S: 2})
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func(){
		"pool.Max.Forward: output of 0 elements, want 1": func() { p.Forward(nil, nil, make([]float32, 4)) },
		"pool.Max.Forward: input of 3 elements, want 4":  func() { p.Forward(make([]float32, 1), nil, make([]float32, 3)) },
		"pool.Max.BackwardNCHW: argmax of Forward": func() {
			arg := p.NewArgmax()
			p.Forward(make([]float32, 1), arg, make([]float32, 4))
			p.BackwardNCHW(make([]float32, 4), make([]float32, 1), arg)
		},
		"pool.GlobalAvg: vectors of 1 elements, want 2": func() { pool.GlobalAvg(make([]float32, 1), make([]float32, 8), 1, 4, 2) },
		"pool.GlobalAvg: n=1 hw=0 c=2":                  func() { pool.GlobalAvg(make([]float32, 2), nil, 1, 0, 2) },
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
