package pool_test

import (
	"math"

	"github.com/golanes/lanes/pool"
)

// maxRef and avgRef are pooling by its definition, NHWC, in float64. They return
// the output and, for an upstream gradient dy, the input's gradient and its sum
// of magnitudes.

type refResult struct{ y, magnitude, dx, dxMagnitude []float64 }

func each(s pool.Shape, f func(out int, taps []int, counted int)) {
	oh, ow := s.OH(), s.OW()
	for n := range s.N {
		for y := range oh {
			for x := range ow {
				var taps []int
				counted := 0
				for r := range s.R {
					for q := range s.S {
						h, w := y*s.StrideH-s.PadTop+r*s.DilationH, x*s.StrideW-s.PadLeft+q*s.DilationW
						if h < s.H+s.PadBottom && w < s.W+s.PadRight {
							counted++
						}
						if h >= 0 && h < s.H && w >= 0 && w < s.W {
							taps = append(taps, (n*s.H+h)*s.W+w)
						}
					}
				}
				f((n*oh+y)*ow+x, taps, counted)
			}
		}
	}
}

func maxRef(s pool.Shape, src, dy []float32) refResult {
	res := newResult(s)
	each(s, func(out int, taps []int, _ int) {
		for c := range s.C {
			best := taps[0]
			for _, t := range taps[1:] {
				if v := src[t*s.C+c]; v > src[best*s.C+c] || v != v {
					best = t
				}
			}
			o := out*s.C + c
			res.y[o] = float64(src[best*s.C+c])
			res.dx[best*s.C+c] += float64(dy[o])
			res.dxMagnitude[best*s.C+c] += math.Abs(float64(dy[o]))
		}
	})
	return res
}

func avgRef(s pool.Shape, count pool.Count, src, dy []float32) refResult {
	res := newResult(s)
	each(s, func(out int, taps []int, counted int) {
		if count == pool.CountInside {
			counted = len(taps)
		}
		for c := range s.C {
			o := out*s.C + c
			for _, t := range taps {
				v := float64(src[t*s.C+c]) / float64(counted)
				res.y[o] += v
				res.magnitude[o] += math.Abs(v)
				g := float64(dy[o]) / float64(counted)
				res.dx[t*s.C+c] += g
				res.dxMagnitude[t*s.C+c] += math.Abs(g)
			}
		}
	})
	return res
}

func newResult(s pool.Shape) refResult {
	in, out := s.N*s.H*s.W*s.C, s.N*s.OH()*s.OW()*s.C
	return refResult{make([]float64, out), make([]float64, out), make([]float64, in), make([]float64, in)}
}

// worst returns the index at which |got-want| exceeds ulps*eps*magnitude most,
// or -1. NaN equals NaN.
func worst(got []float32, want, magnitude []float64, ulps float64) int {
	at, excess := -1, 0.0
	for i, w := range want {
		g := float64(got[i])
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		e := math.Abs(g-w) - ulps*0x1p-24*magnitude[i]
		if e > excess || math.IsNaN(e) {
			at, excess = i, e
		}
	}
	return at
}
