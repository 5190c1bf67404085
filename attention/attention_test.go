package attention_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/golanes/lanes/attention"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// Tolerance of the golden cases and of the comparisons with float64: all inputs
// are of order 1 and no sum here has more than a few hundred terms.
const atol, rtol = 1e-5, 2e-5

func TestGoldenSE(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "se", func(t *testing.T, c *kerneltest.Case) {
			in, reduced := c.Shape("x"), c.Shape("w1")[0]
			if len(in) != 4 || c.Has("reduction") && max(in[1]/c.Int("reduction"), 1) != reduced {
				t.Fatalf("not understood: x %v, w1 %v", in, c.Shape("w1"))
			}
			for _, nchw := range []bool{false, true} {
				goldenSE(t, c, attention.Shape{N: in[0], C: in[1], H: in[2], W: in[3]}, reduced, attention.Options{NCHW: nchw})
			}
		})
	})
}

func goldenSE(t *testing.T, c *kerneltest.Case, s attention.Shape, reduced int, opt attention.Options) {
	p, err := attention.NewSE(s, reduced, opt)
	if err != nil {
		t.Fatal(err)
	}
	maps := func(x []float32) []float32 {
		if opt.NCHW {
			return x
		}
		return kerneltest.ToNHWC(x, s.N, s.C, s.H, s.W)
	}
	back := func(x []float32) []float32 {
		if opt.NCHW {
			return x
		}
		return kerneltest.ToNCHW(x, s.N, s.C, s.H, s.W)
	}
	x, gy := c.F32("x"), c.F32("gy")
	w := attention.MLP{W1: c.F32("w1"), B1: make([]float32, reduced), W2: c.F32("w2"), B2: make([]float32, s.C)}
	biases := c.Has("b1")
	if biases {
		w.B1, w.B2 = c.F32("b1"), c.F32("b2")
	}
	dw := zeros(w)
	y, a, gx := make([]float32, len(x)), make([]float32, s.N*s.C), make([]float32, len(x))
	st := p.NewState()
	p.Forward(y, a, maps(x), w, st)
	p.Backward(gx, dw, maps(gy), c.F32("ga"), maps(x), a, w, st)
	for _, v := range []struct {
		name string
		got  []float32
	}{{"a", a}, {"y", back(y)}, {"gx", back(gx)}, {"gw1", dw.W1}, {"gb1", dw.B1}, {"gw2", dw.W2}, {"gb2", dw.B2}} {
		kerneltest.Close(t, v.name, v.got, c.F32(v.name), atol, rtol)
	}
}

func zeros(w attention.MLP) attention.MLP {
	return attention.MLP{
		W1: make([]float32, len(w.W1)), B1: make([]float32, len(w.B1)),
		W2: make([]float32, len(w.W2)), B2: make([]float32, len(w.B2)),
	}
}

// A module hides which of the three plans it is.
type module struct {
	forward  func(dst, a, src []float32)
	backward func(dx, dy, da, src, a []float32)
	dw       attention.MLP
}

// newModule makes a module that takes so many samples together, 0 for its own choice.
func newModule(t *testing.T, kind string, s attention.Shape, cr int, opt attention.Options, w attention.MLP, group int) module {
	m := module{dw: zeros(w)}
	switch kind {
	case "se":
		p, err := attention.NewSE(s, cr, opt)
		if err != nil {
			t.Fatal(err)
		}
		if group > 0 {
			attention.SetGroup(p, group)
		}
		st := p.NewState()
		m.forward = func(dst, a, src []float32) { p.Forward(dst, a, src, w, st) }
		m.backward = func(dx, dy, da, src, a []float32) { p.Backward(dx, m.dw, dy, da, src, a, w, st) }
	case "cbam":
		p, err := attention.NewCBAM(s, cr, opt)
		if err != nil {
			t.Fatal(err)
		}
		if group > 0 {
			attention.SetGroup(p, group)
		}
		st := p.NewState()
		m.forward = func(dst, a, src []float32) { p.Forward(dst, a, src, w, st) }
		m.backward = func(dx, dy, da, src, a []float32) { p.Backward(dx, m.dw, dy, da, src, a, w, st) }
	case "eca":
		p, err := attention.NewECA(s, cr, opt)
		if err != nil {
			t.Fatal(err)
		}
		if group > 0 {
			attention.SetGroup(p, group)
		}
		st := p.NewState()
		m.forward = func(dst, a, src []float32) { p.Forward(dst, a, src, w.W1, st) }
		m.backward = func(dx, dy, da, src, a []float32) { p.Backward(dx, m.dw.W1, dy, da, src, a, w.W1, st) }
	}
	return m
}

// TestGradients compares every output with the float64 definition and every
// gradient with its central differences, with random upstream gradients at dst
// and at the attention vector.
func TestGradients(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, v := range []struct {
			n, c, h, w, cr int
			bias           bool
		}{{1, 1, 1, 1, 1, true}, {3, 8, 3, 5, 3, true}, {2, 17, 4, 4, 5, false}, {2, 5, 9, 9, 5, true}, {2, 16, 1, 1, 33, true}} {
			for _, kind := range []string{"se", "cbam", "eca"} {
				for _, opt := range []attention.Options{{}, {NCHW: true}, {HeadOnly: true}, {NCHW: true, HeadOnly: true}} {
					for _, group := range []int{v.n, 2} {
						t.Run(fmt.Sprintf("kind=%s/in=%dx%dx%dx%d/hidden=%d/bias=%v/nchw=%v/head=%v/group=%d", kind, v.n, v.h, v.w, v.c, v.cr, v.bias, opt.NCHW, opt.HeadOnly, group), func(t *testing.T) {
							s := attention.Shape{N: v.n, C: v.c, H: v.h, W: v.w}
							checkGradients(t, kind, s, v.cr, v.bias, opt, group, uint64(i))
						})
						if v.n <= 2 {
							break
						}
					}
				}
			}
		}
	})
}

func checkGradients(t *testing.T, kind string, s attention.Shape, cr int, bias bool, opt attention.Options, group int, seed uint64) {
	rng := kerneltest.Rand(seed)
	w := attention.MLP{W1: rng.Slice(cr * s.C), W2: rng.Slice(s.C * cr)}
	if bias {
		w.B1, w.B2 = rng.Slice(cr), rng.Slice(s.C)
	}
	if kind == "eca" {
		w = attention.MLP{W1: rng.Slice(cr)}
	}
	elements := s.N * s.C * s.H * s.W
	src, dy, da := rng.Slice(elements), rng.Slice(elements), rng.Slice(s.N*s.C)
	ref := &refInput{
		n: s.N, c: s.C, cr: cr, hw: s.H * s.W, kind: kind, headOnly: opt.HeadOnly,
		src: widen(src), w1: widen(w.W1), b1: widen(w.B1), w2: widen(w.W2), b2: widen(w.B2), dy: widen(dy), da: widen(da),
	}
	layout := func(x []float32) []float32 {
		if opt.NCHW {
			return kerneltest.ToNCHW(x, s.N, s.C, s.H, s.W)
		}
		return x
	}
	m := newModule(t, kind, s, cr, opt, w, group)
	dst, a, dx := make([]float32, elements), make([]float32, s.N*s.C), make([]float32, elements)
	m.forward(dst, a, layout(src))
	if opt.HeadOnly {
		copy(dst, layout(src))
	}
	wantA, wantY := ref.output()
	near(t, "a", seed, a, wantA)
	near(t, "dst", seed, dst, widen(layout(narrow(wantY))))

	m.backward(dx, layout(dy), da, layout(src), a)
	near(t, "dx", seed, dx, widen(layout(narrow(ref.gradient(ref.src)))))
	near(t, "dw1", seed, m.dw.W1, ref.gradient(ref.w1))
	near(t, "db1", seed, m.dw.B1, ref.gradient(ref.b1))
	near(t, "dw2", seed, m.dw.W2, ref.gradient(ref.w2))
	near(t, "db2", seed, m.dw.B2, ref.gradient(ref.b2))

	// In place, and accumulating a second time.
	again := slices.Clone(layout(dy))
	m.backward(again, again, da, layout(src), a)
	if !slices.Equal(again, dx) {
		t.Errorf("seed=%d: dx in place of dy differs", seed)
	}
	twice := ref.gradient(ref.w1)
	for i := range twice {
		twice[i] *= 2
	}
	near(t, "dw1 twice", seed, m.dw.W1, twice)
	if opt.HeadOnly {
		clear(ref.dy)
		m.backward(dx, nil, da, nil, a)
		near(t, "dx without dy", seed, dx, widen(layout(narrow(ref.gradient(ref.src)))))
	}
}

func near(t *testing.T, name string, seed uint64, got []float32, want []float64) {
	t.Helper()
	kerneltest.Close(t, fmt.Sprintf("%s seed=%d", name, seed), got, narrow(want), atol, rtol)
}

func widen(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// TestNaN demands that a NaN in a map reaches the attention of its sample and no
// other.
func TestNaN(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const seed = 3
		rng := kerneltest.Rand(seed)
		s := attention.Shape{N: 2, C: 20, H: 5, W: 5}
		w := attention.MLP{W1: rng.Slice(4 * s.C), B1: rng.Slice(4), W2: rng.Slice(4 * s.C), B2: rng.Slice(s.C)}
		for _, kind := range []string{"se", "cbam"} {
			m := newModule(t, kind, s, 4, attention.Options{}, w, 0)
			src, a := rng.Slice(s.N*s.C*s.H*s.W), make([]float32, s.N*s.C)
			src[7] = float32(math.NaN())
			m.forward(make([]float32, len(src)), a, src)
			for i, v := range a {
				if (v != v) != (i < s.C) {
					t.Errorf("%s seed=%d: a[%d] = %v", kind, seed, i, v)
				}
			}
		}
	})
}

// TestThreads demands the same bits for any number of threads, with the batch in
// groups and at once. Hidden units are few and many, whose gradients differ in method.
func TestThreads(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, group := range []int{16, 37} {
			for _, cr := range []int{10, 33} {
				checkThreads(t, group, cr)
			}
		}
	})
}

func checkThreads(t *testing.T, group, cr int) {
	const seed = 4
	rng := kerneltest.Rand(seed)
	s := attention.Shape{N: 37, C: 40, H: 6, W: 6}
	w := attention.MLP{W1: rng.Slice(cr * s.C), B1: rng.Slice(cr), W2: rng.Slice(cr * s.C), B2: rng.Slice(s.C)}
	src, dy, da := rng.Slice(s.N*s.C*s.H*s.W), rng.Slice(s.N*s.C*s.H*s.W), rng.Slice(s.N*s.C)
	var first [][]float32
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(procs)
		m := newModule(t, "cbam", s, cr, attention.Options{}, w, group)
		dst, a, dx := make([]float32, len(src)), make([]float32, s.N*s.C), make([]float32, len(src))
		m.forward(dst, a, src)
		m.backward(dx, dy, da, src, a)
		results := [][]float32{dst, a, dx, m.dw.W1, m.dw.B1, m.dw.W2, m.dw.B2}
		if first == nil {
			first = results
		}
		for k := range results {
			if !slices.Equal(results[k], first[k]) {
				t.Errorf("procs=%d group=%d hidden=%d seed=%d: result %d differs from that of one thread", procs, group, cr, seed, k)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := attention.Shape{N: 3, C: 16, H: 4, W: 4}
	w := attention.MLP{W1: make([]float32, 64), B1: make([]float32, 4), W2: make([]float32, 64), B2: make([]float32, 16)}
	for _, kind := range []string{"se", "cbam", "eca"} {
		cr := 4
		if kind == "eca" {
			cr = 3
		}
		m := newModule(t, kind, s, cr, attention.Options{}, w, 0)
		src, a, dx := make([]float32, 3*16*16), make([]float32, 3*16), make([]float32, 3*16*16)
		if n := kerneltest.AllocsPerRun(5, func() {
			m.forward(dx, a, src)
			m.backward(dx, dx, a, src, a)
		}); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

func TestErrors(t *testing.T) {
	good := attention.Shape{N: 1, C: 4, H: 2, W: 2}
	if _, err := attention.NewSE(attention.Shape{N: 1, C: 0, H: 2, W: 2}, 1, attention.Options{}); err == nil {
		t.Error("NewSE accepts no channels")
	}
	if _, err := attention.NewSE(attention.Shape{N: 1 << 20, C: 1 << 20, H: 1 << 20, W: 1 << 20}, 1, attention.Options{}); err == nil {
		t.Error("NewSE accepts maps that no memory holds")
	}
	if _, err := attention.NewCBAM(good, 0, attention.Options{}); err == nil {
		t.Error("NewCBAM accepts no hidden units")
	}
	for _, k := range []int{0, 2, 11} {
		if _, err := attention.NewECA(good, k, attention.Options{}); err == nil {
			t.Errorf("NewECA accepts %d weights", k)
		}
	}
	for c, want := range map[int]int{1: 1, 16: 3, 64: 3, 128: 5, 512: 5, 2048: 7} {
		// t = (log2(c)+1)/2 truncated, raised to odd: 64 gives 3.5, 128 gives 4.
		if got := attention.ECASize(c); got != want {
			t.Errorf("ECASize(%d) = %d, want %d", c, got, want)
		}
	}
}

func TestPanics(t *testing.T) {
	p, err := attention.NewSE(attention.Shape{N: 1, C: 2, H: 1, W: 2}, 1, attention.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ok := make([]float32, 4)
	w := attention.MLP{W1: ok, W2: ok}
	for want, f := range map[string]func(){
		"attention.SE.Forward: dst of 3 elements, want 4":                           func() { p.Forward(ok[:3], ok, ok, w, nil) },
		"attention.SE.Forward: a of 1 elements, want 2":                             func() { p.Forward(ok, ok[:1], ok, w, nil) },
		"attention.SE.Forward: W1 of 0 elements, want 2":                            func() { p.Forward(ok, ok, ok, attention.MLP{}, nil) },
		"attention.SE.Backward: dy of 0 elements, want 4":                           func() { p.Backward(ok, w, nil, nil, ok, ok, w, p.NewState()) },
		"attention.SE.Backward: no State, which Forward must have been given":       func() { p.Backward(ok, w, ok, nil, ok, ok, w, nil) },
		"attention.SE.VectorBackward: no State, which Forward must have been given": func() { p.VectorBackward(ok, w, ok, ok, w, nil) },
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
