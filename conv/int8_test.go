package conv_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

var int8Shapes = []conv.Shape{
	{N: 1, C: 1, H: 1, W: 1, K: 1, R: 1, S: 1},
	{N: 2, C: 3, H: 9, W: 11, K: 5, R: 7, S: 7, StrideH: 2, StrideW: 2, PadTop: 3, PadLeft: 3, PadBottom: 3, PadRight: 3},
	{N: 1, C: 16, H: 7, W: 7, K: 33, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 3, C: 8, H: 5, W: 6, K: 50, R: 1, S: 1, StrideH: 2, StrideW: 2},
	{N: 2, C: 5, H: 6, W: 5, K: 17, R: 2, S: 3, DilationH: 2, DilationW: 2, PadRight: 1},
	{N: 1, C: 12, H: 5, W: 5, K: 8, R: 3, S: 3, Groups: 4, PadTop: 1, PadLeft: 2},
	{N: 2, C: 19, H: 6, W: 7, K: 19, R: 3, S: 3, Groups: 19, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, StrideH: 2, StrideW: 1},
	{N: 2, C: 32, H: 6, W: 7, K: 32, R: 3, S: 3, Groups: 32, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
	{N: 1, C: 144, H: 7, W: 5, K: 144, R: 3, S: 3, Groups: 144, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, StrideH: 2, StrideW: 2},
	{N: 1, C: 100, H: 2, W: 1, K: 100, R: 3, S: 3, Groups: 100, PadTop: 4, PadLeft: 5, PadBottom: 3, PadRight: 6, StrideH: 2, StrideW: 2},
	{N: 2, C: 45, H: 5, W: 8, K: 45, R: 3, S: 3, Groups: 45, PadLeft: 2},
	{N: 70, C: 64, H: 1, W: 1, K: 10, R: 1, S: 1},
}

// convSums32 is the definition, in NHWC.
func convSums32(s conv.Shape, x []uint8, zero uint8, w []int8, bias []int32) []int32 {
	for _, p := range []*int{&s.StrideH, &s.StrideW, &s.DilationH, &s.DilationW, &s.Groups} {
		*p = max(*p, 1)
	}
	cg, kg, y := s.C/s.Groups, s.K/s.Groups, make([]int32, s.DstLen())
	for o := range y {
		k, j, i, n := o%s.K, o/s.K%s.OW(), o/s.K/s.OW()%s.OH(), o/s.K/s.OW()/s.OH()
		y[o] = bias[k]
		for t := range cg * s.R * s.S {
			c, row, col := t/(s.R*s.S), i*s.StrideH-s.PadTop+t/s.S%s.R*s.DilationH, j*s.StrideW-s.PadLeft+t%s.S*s.DilationW
			if row >= 0 && row < s.H && col >= 0 && col < s.W {
				v := int32(x[((n*s.H+row)*s.W+col)*s.C+k/kg*cg+c]) - int32(zero)
				y[o] += v * int32(w[k*cg*s.R*s.S+t])
			}
		}
	}
	return y
}

func TestPlanInt8(t *testing.T) {
	kerneltest.ForEachInt8(t, func(t *testing.T) {
		for _, s := range int8Shapes {
			t.Run(fmt.Sprint(s), func(t *testing.T) { testInt8Shape(t, s) })
		}
	})
}

func testInt8Shape(t *testing.T, s conv.Shape) {
	rng := kerneltest.Rand(71)
	const zero = 77
	x, w, bias, scale := kerneltest.GuardedOf[uint8](t, s.SrcLen()), make([]int8, s.WeightLen()), make([]int32, s.K), make([]float32, s.K)
	for i := range x {
		x[i] = uint8(rng.IntN(256))
	}
	for i := range w {
		w[i] = int8(rng.IntN(256) - 128)
	}
	for k := range bias {
		bias[k], scale[k] = int32(rng.IntN(1<<16)-1<<15), rng.Float32()*0x1p-9
	}
	sums := convSums32(s, x, zero, w, bias)
	for _, output := range []conv.Int8Output{conv.Int8Bytes, conv.Int8Floats, conv.Int8Sums} {
		p, err := conv.NewPlanInt8(s, output)
		if err != nil {
			t.Fatal(err)
		}
		weights := p.NewWeights(w, bias, zero)
		out := &conv.Int8Result{Scale: scale, Range: kernels.ByteRange{Zero: 100, Min: 90, Max: 255}, Lo: -1, Hi: 300,
			Bytes: kerneltest.GuardedOf[uint8](t, s.DstLen()), Floats: kerneltest.Guarded(t, s.DstLen()), Sums: kerneltest.GuardedOf[int32](t, s.DstLen())}
		work := kerneltest.GuardedOf[uint8](t, p.WorkspaceLen())
		run := func() { p.Forward(out, x, weights, work) }
		run()
		for i, sum := range sums {
			v := float32(sum) * scale[i%s.K]
			ok := false
			switch output {
			case conv.Int8Bytes:
				ok = float64(out.Bytes[i]) == max(90, min(255, math.RoundToEven(float64(v))+100))
			case conv.Int8Floats:
				ok = out.Floats[i] == max(-1, min(300, v))
			default:
				ok = out.Sums[i] == sum
			}
			if !ok {
				t.Fatalf("%v output=%d seed=%d: [%d] = %d, %g, %d for the sum %d", p, output, rng.Seed, i, out.Bytes[i], out.Floats[i], out.Sums[i], sum)
			}
		}
		if n := kerneltest.AllocsPerRun(5, run); n != 0 {
			t.Errorf("Forward allocates %v times", n)
		}
	}
}

// TestPlanInt8Batch checks that weights serve every batch size.
func TestPlanInt8Batch(t *testing.T) {
	s := int8Shapes[2]
	x, w := make([]uint8, 5*s.SrcLen()), make([]int8, s.WeightLen())
	for i := range x {
		x[i] = uint8(i * 7)
	}
	for i := range w {
		w[i] = int8(i * 5)
	}
	var weights *conv.Int8Weights
	var first []int32
	for _, n := range []int{1, 5} {
		s.N = n
		p, err := conv.NewPlanInt8(s, conv.Int8Sums)
		if err != nil {
			t.Fatal(err)
		}
		if weights == nil {
			weights = p.NewWeights(w, nil, 3)
		}
		out := &conv.Int8Result{Sums: make([]int32, s.DstLen())}
		p.Forward(out, x[:s.SrcLen()], weights, make([]uint8, p.WorkspaceLen()))
		if first == nil {
			first = out.Sums
		} else if !slices.Equal(first, out.Sums[:len(first)]) {
			t.Error("the first image's sums depend on the batch")
		}
	}
}

func TestPlanInt8Errors(t *testing.T) {
	for _, s := range []conv.Shape{
		{},
		{N: 1, C: 70000, H: 1, W: 1, K: 1, R: 1, S: 1},
		{N: 1, C: 1024, H: 1024, W: 128, K: 1, R: 1, S: 1},
		{N: 1, C: 1 << 20, H: 1, W: 1, K: 1 << 20, R: 3, S: 3, Groups: 1 << 20, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, DilationW: 2},
	} {
		if _, err := conv.NewPlanInt8(s, conv.Int8Sums); err == nil {
			t.Errorf("no error for %v", s)
		}
	}
}
