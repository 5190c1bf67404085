package conv_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// algorithms are the ones that tests run on every shape they take.
var algorithms = []conv.Algorithm{conv.Direct, conv.Indirect, conv.Depthwise, conv.Winograd2, conv.Winograd4, conv.Auto}

// forEachAlgorithm runs f once for every algorithm that takes the shape.
func forEachAlgorithm(t *testing.T, s conv.Shape, f func(t *testing.T, a conv.Algorithm)) {
	for _, a := range algorithms {
		if _, err := conv.NewPlan(s, conv.Options{Algorithm: a}); err == nil {
			t.Run("algorithm="+a.String(), func(t *testing.T) { f(t, a) })
		}
	}
}

func newPlan(t testing.TB, s conv.Shape, opt conv.Options) *conv.Plan {
	t.Helper()
	p, err := conv.NewPlan(s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNewPlanErrors changes one thing of a shape that is fine.
func TestNewPlanErrors(t *testing.T) {
	fine := conv.Shape{N: 2, C: 8, H: 9, W: 7, K: 8, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
	newPlan(t, fine, conv.Options{})
	for _, c := range []struct {
		want   string
		change func(s *conv.Shape, opt *conv.Options)
	}{
		{"N is -1", func(s *conv.Shape, _ *conv.Options) { s.N = -1 }},
		{"C is 0", func(s *conv.Shape, _ *conv.Options) { s.C = 0 }},
		{"H is 0", func(s *conv.Shape, _ *conv.Options) { s.H = 0 }},
		{"W is -9", func(s *conv.Shape, _ *conv.Options) { s.W = -9 }},
		{"K is 0", func(s *conv.Shape, _ *conv.Options) { s.K = 0 }},
		{"R is 0", func(s *conv.Shape, _ *conv.Options) { s.R = 0 }},
		{"S is 0", func(s *conv.Shape, _ *conv.Options) { s.S = 0 }},
		{"StrideH is -1", func(s *conv.Shape, _ *conv.Options) { s.StrideH = -1 }},
		{"DilationW is -2", func(s *conv.Shape, _ *conv.Options) { s.DilationW = -2 }},
		{"PadBottom is -1", func(s *conv.Shape, _ *conv.Options) { s.PadBottom = -1 }},
		{"Groups is -1", func(s *conv.Shape, _ *conv.Options) { s.Groups = -1 }},
		{"does not divide", func(s *conv.Shape, _ *conv.Options) { s.Groups = 3 }},
		{"want at most", func(s *conv.Shape, _ *conv.Options) { s.W = math.MaxInt32 }},
		{"filter too large", func(s *conv.Shape, _ *conv.Options) { s.R, s.DilationH = 1<<20, 1<<20 }},
		{"does not fit", func(s *conv.Shape, _ *conv.Options) { s.S = 10 }},
		{"image of", func(s *conv.Shape, _ *conv.Options) { s.H, s.W = 1<<20, 1<<20 }},
		{"weights of", func(s *conv.Shape, _ *conv.Options) { s.C, s.K, s.H, s.W = 1<<20, 1<<20, 1, 1 }},
		{"does not take", func(_ *conv.Shape, opt *conv.Options) { opt.Algorithm = conv.Depthwise }},
		{"does not take", func(s *conv.Shape, opt *conv.Options) { s.StrideH, opt.Algorithm = 2, conv.Winograd4 }},
		{"DstPitch is 7", func(_ *conv.Shape, opt *conv.Options) { opt.DstPitch = 7 }},
		{"DstPitch is", func(_ *conv.Shape, opt *conv.Options) { opt.DstPitch = math.MaxInt / 2 }},
		{"not take DstPitch", func(_ *conv.Shape, opt *conv.Options) { opt.DstPitch, opt.Activation = 9, kernels.Tanh }},
		{"not take DstPitch", func(_ *conv.Shape, opt *conv.Options) { opt.DstPitch, opt.Algorithm = 9, conv.Direct }},
		{"not take DstPitch", func(s *conv.Shape, opt *conv.Options) { s.Groups, opt.DstPitch = 8, 9 }},
		{"unknown activation", func(_ *conv.Shape, opt *conv.Options) { opt.Activation = kernels.ELU + 1 }},
	} {
		s, opt := fine, conv.Options{}
		c.change(&s, &opt)
		if _, err := conv.NewPlan(s, opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", s, err, c.want)
		}
	}
}

// goldenShape reads a case's geometry.
func goldenShape(t *testing.T, c *kerneltest.Case) conv.Shape {
	t.Helper()
	x, w, y := c.Shape("x"), c.Shape("w"), c.Shape("y")
	if len(x) != 4 || len(w) != 4 || len(y) != 4 {
		t.Fatalf("not understood: x %v, w %v, y %v", x, w, y)
	}
	s := conv.Shape{N: x[0], C: x[1], H: x[2], W: x[3], K: w[0], R: w[2], S: w[3], Groups: 1}
	s.StrideH, s.StrideW = c.Pair("stride", 1)
	s.DilationH, s.DilationW = c.Pair("dilation", 1)
	if c.Has("groups") {
		s.Groups = c.Int("groups")
	}
	for _, p := range goldenPadding(t, c, s) {
		s.PadTop, s.PadLeft, s.PadBottom, s.PadRight = p[0], p[1], p[2], p[3]
		if s.OH() == y[2] && s.OW() == y[3] {
			return s
		}
	}
	t.Fatalf("not understood: no padding gives y %v", y)
	return s
}

// goldenPadding lists what a case's padding can mean, as top, left, bottom,
// right: one number for all sides, (h, w), "same", "valid", or four numbers in
// the order of ONNX or in that of torch's pad (left, right, top, bottom).
func goldenPadding(t *testing.T, c *kerneltest.Case, s conv.Shape) [][4]int {
	t.Helper()
	key := "padding"
	if !c.Has(key) {
		key = "pads"
	}
	if !c.Has(key) {
		return [][4]int{{}}
	}
	switch strings.Trim(c.Str(key), `"`) {
	case "valid":
		return [][4]int{{}}
	case "same": // torch pads the end by one more where the sum is odd
		h, w := (s.R-1)*s.DilationH, (s.S-1)*s.DilationW
		return [][4]int{{h / 2, w / 2, h - h/2, w - w/2}}
	}
	v := c.Ints(key)
	if len(v) == 4 {
		return [][4]int{{v[0], v[1], v[2], v[3]}, {v[2], v[0], v[3], v[1]}}
	}
	h, w := c.Pair(key, 0)
	return [][4]int{{h, w, h, w}}
}

func TestGoldenConv2D(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "conv2d", func(t *testing.T, c *kerneltest.Case) {
			s := goldenShape(t, c)
			var b, gb []float32
			if c.Has("b") {
				b, gb = c.F32("b"), c.F32("gb")
			}
			oh, ow := s.OH(), s.OW()
			x, w := kerneltest.ToNHWC(c.F32("x"), s.N, s.C, s.H, s.W), c.F32("w")
			gy := kerneltest.ToNHWC(c.F32("gy"), s.N, s.K, oh, ow)
			want := [4][]float32{kerneltest.ToNHWC(c.F32("y"), s.N, s.K, oh, ow), kerneltest.ToNHWC(c.F32("gx"), s.N, s.C, s.H, s.W), c.F32("gw"), gb}
			scale := run(newPlan(t, s, conv.Options{Algorithm: conv.Direct}), absolute(x), absolute(w), absolute(gy), absolute(b), nil)
			forEachAlgorithm(t, s, func(t *testing.T, a conv.Algorithm) {
				got := run(newPlan(t, s, conv.Options{Algorithm: a}), x, w, gy, b, nil)
				for i, name := range resultNames {
					if want[i] != nil {
						closeSum(t, name, got[i], want[i], scale[i], a)
					}
				}
			})
		})
	})
}

// closeSum compares sums of products. scale is the sum of the products'
// magnitudes, of which kerneltest.SumTolerance is allowed; Winograd's bound is 8
// times the direct sum's error, and its errors spread over a tile, so that the
// largest sum of the tensor counts. The contract's 1e-5 + 2e-5*|want| comes on top.
func closeSum(t *testing.T, name string, got, want, scale []float32, a conv.Algorithm) {
	t.Helper()
	factor := kerneltest.SumTolerance
	if a != conv.Direct && a != conv.Indirect && a != conv.Depthwise {
		factor *= 8
		scale = slices.Repeat([]float32{slices.Max(scale)}, len(scale))
	}
	rest := make([]float32, len(got))
	for i, v := range got {
		rest[i] = v
		if d, allowed := float64(v)-float64(want[i]), factor*float64(scale[i]); math.Abs(d) <= allowed {
			rest[i] = want[i]
		} else if d > 0 {
			rest[i] -= float32(allowed)
		} else {
			rest[i] += float32(allowed)
		}
	}
	kerneltest.Close(t, name, rest, want, 1e-5, 2e-5)
}

func absolute(x []float32) []float32 {
	y := slices.Clone(x)
	for i, v := range y {
		y[i] = float32(math.Abs(float64(v)))
	}
	return y
}

// random returns n values uniform in [-1, 1).
func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*rng.Float32() - 1
	}
	return x
}

// shapes cover every feature and the boundaries of the tiles.
var shapes = []conv.Shape{
	{N: 1, C: 1, H: 1, W: 1, K: 1, R: 1, S: 1},
	{N: 2, C: 3, H: 9, W: 7, K: 5, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 1, C: 16, H: 8, W: 8, K: 32, R: 1, S: 1},
	{N: 1, C: 17, H: 7, W: 5, K: 33, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 2, C: 5, H: 11, W: 10, K: 31, R: 3, S: 2, StrideH: 2, StrideW: 3, PadTop: 2, PadLeft: 0, PadBottom: 1, PadRight: 3},
	{N: 1, C: 4, H: 12, W: 13, K: 6, R: 2, S: 3, DilationH: 2, DilationW: 3, PadTop: 1, PadRight: 4},
	{N: 3, C: 8, H: 6, W: 6, K: 48, R: 1, S: 1, StrideH: 2, StrideW: 2},
	{N: 2, C: 80, H: 5, W: 6, K: 112, R: 1, S: 1, StrideH: 2, StrideW: 2}, // tiles of the gradient in place
	{N: 1, C: 6, H: 5, W: 7, K: 9, R: 5, S: 5, PadTop: 2, PadLeft: 2, PadBottom: 2, PadRight: 2, Groups: 3},
	{N: 2, C: 6, H: 8, W: 9, K: 12, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, Groups: 6},
	{N: 13, C: 19, H: 4, W: 4, K: 20, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 26, C: 5, H: 2, W: 2, K: 7, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 2, C: 3, H: 2, W: 3, K: 4, R: 2, S: 2, PadTop: 3, PadLeft: 4, PadBottom: 2, PadRight: 3}, // outputs without any input
	{N: 1, C: 3, H: 20, W: 20, K: 8, R: 7, S: 7, StrideH: 2, StrideW: 2, PadTop: 3, PadLeft: 3, PadBottom: 3, PadRight: 3},
	{N: 2, C: 20, H: 9, W: 11, K: 20, R: 3, S: 3, StrideH: 2, StrideW: 1, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, Groups: 20},
	{N: 2, C: 17, H: 8, W: 12, K: 17, R: 3, S: 3, StrideH: 1, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, Groups: 17},
	{N: 2, C: 12, H: 9, W: 9, K: 12, R: 5, S: 5, StrideH: 2, StrideW: 2, PadTop: 2, PadLeft: 2, PadBottom: 2, PadRight: 2, Groups: 12},
	{N: 1, C: 1400, H: 3, W: 3, K: 4, R: 2, S: 2},                                                   // several K blocks
	{N: 1, C: 3, H: 3, W: 3, K: 4, R: 2, S: 2, StrideW: 10, PadLeft: 5},                             // a row that ends before the input
	{N: 2, C: 17, H: 10, W: 11, K: 5, R: 9, S: 9, PadTop: 4, PadLeft: 4, PadBottom: 4, PadRight: 4}, // more taps than a block's order knows
	// Few channels, dilation and a stride.
	{N: 3, C: 3, H: 33, W: 24, K: 20, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 4, C: 2, H: 10, W: 20, K: 5, R: 3, S: 3, DilationH: 2, PadTop: 2, PadLeft: 1, PadBottom: 2, PadRight: 1},
	// What a stride steps over: with several tasks for the channels, with odd sizes.
	{N: 1, C: 70, H: 4, W: 6, K: 9, R: 1, S: 1, StrideH: 2, StrideW: 2},
	{N: 2, C: 9, H: 5, W: 7, K: 10, R: 1, S: 1, StrideH: 2, StrideW: 3},
	{N: 1, C: 125, H: 3, W: 4, K: 130, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}, // panels packed one by one
}

// TestAlgorithmsAgree compares every algorithm on every ISA with Direct, whose
// sums are in float64.
func TestAlgorithmsAgree(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for i, s := range shapes {
			t.Run(fmt.Sprintf("shape=%d", i), func(t *testing.T) {
				const seed = 3
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				src, w := random(rng, s.SrcLen()), random(rng, s.WeightLen())
				ddst, bias, residual := random(rng, s.DstLen()), random(rng, s.K), random(rng, s.DstLen())
				want := run(newPlan(t, s, conv.Options{Algorithm: conv.Direct}), src, w, ddst, bias, residual)
				scale := run(newPlan(t, s, conv.Options{Algorithm: conv.Direct}), absolute(src), absolute(w), absolute(ddst), absolute(bias), absolute(residual))
				forEachAlgorithm(t, s, func(t *testing.T, a conv.Algorithm) {
					p := newPlan(t, s, conv.Options{Algorithm: a})
					got := run(p, src, w, ddst, bias, residual)
					for j, name := range resultNames {
						closeSum(t, fmt.Sprintf("%v seed=%d %s", s, seed, name), got[j], want[j], scale[j], a)
					}
				})
			})
		}
	})
}

var resultNames = [4]string{"dst", "dsrc", "dw", "db"}

// run returns the results of all three directions.
func run(p *conv.Plan, src, w, ddst, bias, residual []float32) [4][]float32 {
	s := p.Shape()
	work := make([]float32, p.Workspace())
	dst, dsrc, dw, db := make([]float32, s.DstLen()), make([]float32, s.SrcLen()), make([]float32, s.WeightLen()), make([]float32, s.K)
	p.Forward(dst, src, w, bias, residual, work)
	p.BackwardData(dsrc, ddst, w, work)
	p.BackwardWeights(dw, db, src, ddst, work)
	return [4][]float32{dst, dsrc, dw, db}
}
