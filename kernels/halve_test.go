package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// halveRows are rows of outputs around one and two vectors of every ISA, and around the
// half vector behind which the last one covers what is written.
var halveRows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 20, 23, 24, 25, 28, 32, 33, 40, 47, 56}

// TestHalveBackward compares with windows that are looked at from their outputs.
func TestHalveBackward(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, ow := range halveRows {
			for i, oh := range []int{1, 2, 3} {
				for _, k := range []int{2, 3} {
					t.Run(fmt.Sprintf("k=%d/planes=%d/oh=%d/ow=%d", k, 3-i, oh, ow), func(t *testing.T) {
						for _, how := range []kernels.Store{kernels.Cached, kernels.Streamed} {
							checkHalveBackward(t, 3-i, oh, ow, k, how)
						}
					})
				}
			}
		}
	})
}

func checkHalveBackward(t *testing.T, planes, oh, ow, k int, how kernels.Store) {
	t.Helper()
	seed := uint64(planes + 10*oh + 100*ow + 10000*k)
	rng := kerneltest.Rand(seed)
	n := planes * oh * ow
	src, index := kerneltest.Guarded(t, n), kerneltest.GuardedOf[uint8](t, n)
	rng.Fill(src)
	src[rng.IntN(n)] = float32(math.NaN())
	src[rng.IntN(n)] = float32(math.Inf(-1))
	dst, avg := canaries(t, 4*n), canaries(t, 4*n)
	wantMax, wantAvg, magnitude := make([]float32, 4*n), make([]float64, 4*n), make([]float64, 4*n)
	for i := range n {
		plane, y, x := i/(oh*ow), i/ow%oh, i%ow
		for own := rng.IntN(k * k); ; own = rng.IntN(k * k) {
			if r, c := 2*y+own/k-(k-2), 2*x+own%k-(k-2); r >= 0 && c >= 0 {
				index[i] = uint8(own)
				wantMax[(plane*2*oh+r)*2*ow+c] += src[i]
				break
			}
		}
		for tap := range k * k {
			if r, c := 2*y+tap/k-(k-2), 2*x+tap%k-(k-2); r >= 0 && c >= 0 {
				at := (plane*2*oh+r)*2*ow + c
				wantAvg[at] += float64(src[i]) * 0.3
				magnitude[at] += math.Abs(float64(src[i])) * 0.3
			}
		}
	}
	kernels.HalveMaxBackward(dst, src, index, planes, oh, ow, k, how)
	kernels.HalveAvgBackward(avg, src, 0.3, planes, oh, ow, k, how)
	how.Fence()
	for i := range dst {
		if !same(dst[i], wantMax[i]) {
			t.Fatalf("seed=%d %v: max: dst[%d] = %v, want %v", seed, how, i, dst[i], wantMax[i])
		}
		// Three additions and products, and one rounding of the scale.
		err := math.Abs(float64(avg[i]) - wantAvg[i])
		special := math.IsNaN(wantAvg[i]) || math.IsInf(wantAvg[i], 0)
		if special && !same(avg[i], float32(wantAvg[i])) || !special && !(err <= 4*0x1p-24*magnitude[i]) {
			t.Fatalf("seed=%d %v: avg: dst[%d] = %v, want %v", seed, how, i, avg[i], wantAvg[i])
		}
	}
}

// TestHalveMax compares with the kernel for windows of any size, output by output.
func TestHalveMax(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, ow := range halveRows {
			for i, oh := range []int{1, 2, 3} {
				for _, k := range []int{2, 3} {
					t.Run(fmt.Sprintf("k=%d/planes=%d/oh=%d/ow=%d", k, 3-i, oh, ow), func(t *testing.T) {
						checkHalveMax(t, 3-i, oh, ow, k)
					})
				}
			}
		}
	})
}

func checkHalveMax(t *testing.T, planes, oh, ow, k int) {
	t.Helper()
	seed := uint64(planes + 10*oh + 100*ow + 10000*k)
	rng := kerneltest.Rand(seed)
	n, width := planes*oh*ow, 2*ow
	src := kerneltest.GuardedCopy(t, rng.Integers(4*n, 3)) // with ties
	for _, v := range []float64{math.NaN(), math.Inf(-1), math.Inf(-1), math.Copysign(0, -1)} {
		src[rng.IntN(4*n)] = float32(v)
	}
	if ow%3 == 0 { // windows without a finite element, at the edges as well
		for i := range src {
			if rng.IntN(3) > 0 {
				src[i] = float32(math.Inf(-1))
			}
		}
	}
	dst, index := canaries(t, n), kerneltest.GuardedOf[uint8](t, n)
	kernels.HalveMax(dst, src, index, planes, oh, ow, k)
	for i := range n {
		plane, y, x := src[i/(oh*ow)*4*oh*ow:], 2*(i/ow%oh)-(k-2), 2*(i%ow)-(k-2)
		r, s := max(0, -y), max(0, -x)
		want, tap := make([]float32, 1), make([]uint8, 1)
		kernels.WindowMax(want, tap, plane[(y+r)*width+x+s:], &kernels.Window{
			Columns: kernels.NewWindowColumns([]kernels.WindowColumn{{Taps: k - s, Tap: r*k + s}}, 1, 1),
			C:       1, DstStep: 1, Rows: k - r, RowStride: width, TapRow: k,
		})
		if !same(dst[i], want[0]) || index[i] != tap[0] {
			t.Fatalf("seed=%d: dst[%d] = %v from tap %d, want %v from %d", seed, i, dst[i], index[i], want[0], tap[0])
		}
	}
}

// same tells whether x and y are equal or both NaN.
func same(x, y float32) bool { return x == y || x != x && y != y }

// TestHalveParts covers calls that are cut into parts, and a plane that is too large.
func TestHalveParts(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		checkHalveBackward(t, 70, 63, 66, 3, kernels.Streamed)
		checkHalveMax(t, 70, 63, 66, 2)
		checkHalveBackward(t, 1, 1<<15+1, 8, 2, kernels.Cached)
	})
}
