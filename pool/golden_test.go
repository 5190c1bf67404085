package pool_test

import (
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/pool"
)

// Tolerance of the reference cases, whose results are float64 rounded to
// float32: inputs are of order 1, and 2e-5 is over 300 roundings, more than the
// (R+S+2) of a window average or the 64+HW/64+2 of a global one.
const atol, rtol = 1e-5, 2e-5

// padding reads one or two numbers, for both sides alike, or four: top, left,
// bottom, right, as in ONNX.
func padding(t *testing.T, c *kerneltest.Case) (top, left, bottom, right int) {
	t.Helper()
	for _, key := range []string{"padding", "pads"} {
		if !c.Has(key) {
			continue
		}
		if v := c.Ints(key); len(v) == 4 {
			return v[0], v[1], v[2], v[3]
		}
		h, w := c.Pair(key, 0)
		return h, w, h, w
	}
	return 0, 0, 0, 0
}

// flag reads the first of these keys that a case has.
func flag(c *kerneltest.Case, byDefault bool, keys ...string) bool {
	for _, key := range keys {
		if c.Has(key) {
			return c.Bool(key)
		}
	}
	return byDefault
}

func TestGoldenPool2D(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "pool2d", func(t *testing.T, c *kerneltest.Case) {
			in, out := c.Shape("x"), c.Shape("y")
			if len(in) != 4 || len(out) != 4 {
				t.Fatalf("not understood: x %v, y %v", in, out)
			}
			kind := c.Str("kind")
			switch kind {
			case "adaptive_avg", "adaptive", "adaptive_avg_pool2d":
				goldenAdaptive(t, c, in, out)
				return
			case "max", "avg", "avg_excl":
			default:
				t.Fatalf("not understood: kind %q", kind)
			}
			s := pool.Shape{N: in[0], C: in[1], H: in[2], W: in[3], Ceil: flag(c, false, "ceil_mode", "ceil")}
			kernel := "kernel"
			if !c.Has(kernel) {
				kernel = "kernel_size"
			}
			s.R, s.S = c.Pair(kernel, 0)
			s.StrideH, s.StrideW = c.Pair("stride", 0)
			if !c.Has("stride") {
				s.StrideH, s.StrideW = s.R, s.S
			}
			s.PadTop, s.PadLeft, s.PadBottom, s.PadRight = padding(t, c)
			s.DilationH, s.DilationW = c.Pair("dilation", 1)
			if out[2] != s.OH() || out[3] != s.OW() {
				t.Fatalf("output %dx%d, want %dx%d", s.OH(), s.OW(), out[2], out[3])
			}
			if kind == "max" {
				goldenMax(t, c, s)
				return
			}
			count := pool.CountPadding
			if !flag(c, kind == "avg", "count_include_pad") {
				count = pool.CountInside
			}
			p, err := pool.NewAvg(s, count)
			if err != nil {
				t.Fatal(err)
			}
			goldenAvg(t, c, p, in, out)
		})
	})
}

func goldenAdaptive(t *testing.T, c *kerneltest.Case, in, out []int) {
	for _, key := range []string{"output_size", "output"} {
		if !c.Has(key) {
			continue
		}
		if oh, ow := c.Pair(key, 0); oh != out[2] || ow != out[3] {
			t.Fatalf("not understood: %s %dx%d, y %v", key, oh, ow, out)
		}
	}
	p, err := pool.NewAdaptiveAvg(in[0], in[1], in[2], in[3], out[2], out[3])
	if err != nil {
		t.Fatal(err)
	}
	goldenAvg(t, c, p, in, out)
}

func goldenMax(t *testing.T, c *kerneltest.Case, s pool.Shape) {
	p, err := pool.NewMax(s)
	if err != nil {
		t.Fatal(err)
	}
	x, y, gy, gx := c.F32("x"), c.F32("y"), c.F32("gy"), c.F32("gx")
	dst, dx, arg := make([]float32, len(y)), make([]float32, len(x)), p.NewArgmax()
	p.Forward(dst, arg, kerneltest.ToNHWC(x, s.N, s.C, s.H, s.W))
	p.Backward(dx, kerneltest.ToNHWC(gy, s.N, s.C, s.OH(), s.OW()), arg)
	kerneltest.Close(t, "y", kerneltest.ToNCHW(dst, s.N, s.C, s.OH(), s.OW()), y, atol, rtol)
	kerneltest.Close(t, "gx", kerneltest.ToNCHW(dx, s.N, s.C, s.H, s.W), gx, atol, rtol)
	p.ForwardNCHW(dst, arg, x)
	p.BackwardNCHW(dx, gy, arg)
	kerneltest.Close(t, "y NCHW", dst, y, atol, rtol)
	kerneltest.Close(t, "gx NCHW", dx, gx, atol, rtol)
}

func goldenAvg(t *testing.T, c *kerneltest.Case, p *pool.Avg, in, out []int) {
	x, y, gy, gx := c.F32("x"), c.F32("y"), c.F32("gy"), c.F32("gx")
	dst, dx := make([]float32, len(y)), make([]float32, len(x))
	p.Forward(dst, kerneltest.ToNHWC(x, in[0], in[1], in[2], in[3]))
	p.Backward(dx, kerneltest.ToNHWC(gy, out[0], out[1], out[2], out[3]))
	kerneltest.Close(t, "y", kerneltest.ToNCHW(dst, out[0], out[1], out[2], out[3]), y, atol, rtol)
	kerneltest.Close(t, "gx", kerneltest.ToNCHW(dx, in[0], in[1], in[2], in[3]), gx, atol, rtol)
	p.ForwardNCHW(dst, x)
	p.BackwardNCHW(dx, gy)
	kerneltest.Close(t, "y NCHW", dst, y, atol, rtol)
	kerneltest.Close(t, "gx NCHW", dx, gx, atol, rtol)
}

func TestGoldenGlobalPool(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "globalpool", func(t *testing.T, c *kerneltest.Case) {
			in := c.Shape("x")
			if len(in) != 4 {
				t.Fatalf("not understood: x %v", in)
			}
			n, ch, hw := in[0], in[1], in[2]*in[3]
			x, y, gy, gx := c.F32("x"), c.F32("y"), c.F32("gy"), c.F32("gx")
			if len(y) != n*ch || len(gy) != n*ch {
				t.Fatalf("not understood: x %v, y %v", in, c.Shape("y"))
			}
			dst, dx, arg := make([]float32, len(y)), make([]float32, len(x)), make([]int32, len(y))
			dstP, dxP := make([]float32, len(y)), make([]float32, len(x))
			src := kerneltest.ToNHWC(x, n, ch, in[2], in[3])
			switch kind := c.Str("kind"); kind {
			case "gavg", "avg", "mean":
				pool.GlobalAvg(dst, src, n, hw, ch)
				pool.GlobalAvgBackward(dx, gy, n, hw, ch)
				pool.GlobalAvgNCHW(dstP, x, n, ch, hw)
				pool.GlobalAvgBackwardNCHW(dxP, gy, n, ch, hw)
			case "gmax", "max":
				pool.GlobalMax(dst, arg, src, n, hw, ch)
				pool.GlobalMaxBackward(dx, gy, arg, n, hw, ch)
				pool.GlobalMaxNCHW(dstP, arg, x, n, ch, hw)
				pool.GlobalMaxBackwardNCHW(dxP, gy, arg, n, ch, hw)
			default:
				t.Fatalf("not understood: kind %q", kind)
			}
			kerneltest.Close(t, "y", dst, y, atol, rtol)
			kerneltest.Close(t, "gx", kerneltest.ToNCHW(dx, n, ch, in[2], in[3]), gx, atol, rtol)
			kerneltest.Close(t, "y NCHW", dstP, y, atol, rtol)
			kerneltest.Close(t, "gx NCHW", dxP, gx, atol, rtol)
		})
	})
}
