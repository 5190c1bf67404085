package fuzz

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// convShape decodes a shape with extents of 1 to 40 from fuzzed bytes, or
// ok = false if the filter does not fit or there is too much work for one run.
func convShape(b [16]byte) (s conv.Shape, ok bool) {
	extent := func(i, most int) int { return int(b[i])%most + 1 }
	s = conv.Shape{
		N: extent(0, 3), C: extent(1, 40), H: extent(2, 40), W: extent(3, 40), K: extent(4, 40),
		R: extent(5, 7), S: extent(6, 7), StrideH: extent(7, 3), StrideW: extent(8, 3),
		PadTop: int(b[9] % 5), PadLeft: int(b[10] % 5), PadBottom: int(b[11] % 5), PadRight: int(b[12] % 5),
		DilationH: extent(13, 3), DilationW: extent(14, 3), Groups: 1,
	}
	switch b[15] % 4 {
	case 1: // depthwise
		s.Groups, s.K = s.C, s.C
	case 2: // two groups
		s.Groups, s.C, s.K = 2, 2*s.C, 2*s.K
	case 3: // what Winograd takes
		s.R, s.S, s.StrideH, s.StrideW, s.DilationH, s.DilationW = 3, 3, 1, 1, 1, 1
	}
	return s, s.OH() > 0 && s.OW() > 0 && s.FLOPs() < 2e7
}

// FuzzConv compares every algorithm on every instruction set with the sums of
// Direct in float64, in all three directions.
func FuzzConv(f *testing.F) {
	f.Add([]byte{0, 15, 8, 8, 15, 2, 2, 0, 0, 1, 1, 1, 1, 0, 0, 3}, uint64(1))
	f.Add([]byte{1, 2, 12, 11, 30, 6, 6, 1, 1, 3, 3, 3, 3, 0, 0, 0}, uint64(2))
	f.Add([]byte{0, 24, 9, 14, 0, 2, 2, 1, 1, 1, 1, 0, 1, 0, 0, 1}, uint64(3))
	f.Add([]byte{2, 6, 10, 7, 9, 1, 3, 0, 1, 0, 4, 2, 3, 1, 2, 2}, uint64(4))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var fixed [16]byte
		copy(fixed[:], b)
		s, ok := convShape(fixed)
		if !ok {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		random := func(n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = 2*rng.Float32() - 1
			}
			return x
		}
		src, w, ddst := random(s.SrcLen()), random(s.WeightLen()), random(s.DstLen())
		want := convRun(t, s, conv.Direct, src, w, ddst)
		previous, err := kernels.UseISA(kernels.Info().ISA)
		if err != nil {
			t.Fatal(err)
		}
		defer kernels.UseISA(previous)
		for _, level := range kernels.Info().Available {
			if _, err := kernels.UseISA(level); err != nil {
				t.Fatal(err)
			}
			for _, a := range []conv.Algorithm{conv.Indirect, conv.Depthwise, conv.Winograd2, conv.Winograd4} {
				if _, err := conv.NewPlan(s, conv.Options{Algorithm: a}); err != nil {
					continue // it does not take the shape
				}
				got := convRun(t, s, a, src, w, ddst)
				// Sums of at most terms products below 1, and 8 times their error
				// for Winograd's transforms.
				terms := [3]int{s.C * s.R * s.S, s.K * s.R * s.S, s.N * s.OH() * s.OW()}
				for j := range got {
					bound := 8 * 0x1p-24 * float64(terms[j]+16)
					for i, v := range got[j] {
						if d := math.Abs(float64(v) - float64(want[j][i])); !(d <= bound) {
							t.Fatalf("isa=%s algorithm=%v %v seed=%d: result %d[%d] = %v, want %v within %v", level, a, s, seed, j, i, v, want[j][i], bound)
						}
					}
				}
			}
		}
	})
}

// convRun returns dst, dsrc and dw.
func convRun(t *testing.T, s conv.Shape, a conv.Algorithm, src, w, ddst []float32) [3][]float32 {
	p, err := conv.NewPlan(s, conv.Options{Algorithm: a})
	if err != nil {
		t.Fatal(err)
	}
	work := make([]float32, p.Workspace())
	dst, dsrc, dw := make([]float32, len(ddst)), make([]float32, len(src)), make([]float32, len(w))
	p.Forward(dst, src, w, nil, nil, work)
	p.BackwardData(dsrc, ddst, w, work)
	p.BackwardWeights(dw, nil, src, ddst, work)
	return [3][]float32{dst, dsrc, dw}
}
