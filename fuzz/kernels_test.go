package fuzz

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// onEachISA runs f on every level of this machine, Generic first, which is the
// one the others are compared with.
func onEachISA(t *testing.T, f func(isa string)) {
	t.Helper()
	for _, level := range kernels.Info().Available {
		previous, err := kernels.UseISA(level)
		if err != nil {
			t.Fatal(err)
		}
		f(level)
		if _, err := kernels.UseISA(previous); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers reads float32 from data: NaN and infinities as they are, others small
// enough that no sum of their products overflows in any order.
func numbers(data []byte) []float32 {
	x := make([]float32, len(data)/4)
	for i := range x {
		x[i] = number(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x
}

func number(bits uint32) float32 {
	v := math.Float32frombits(bits)
	for math.Abs(float64(v)) > 1e12 && !math.IsInf(float64(v), 0) {
		v *= 1e-13
	}
	return v
}

// near tells whether two results agree up to tolerance; infinities and NaN must
// be the same.
func near(got, want float32, tolerance float64) bool {
	g, w := float64(got), float64(want)
	if math.IsNaN(w) || math.IsInf(w, 0) {
		return math.IsNaN(g) && math.IsNaN(w) || g == w
	}
	return math.Abs(g-w) <= tolerance
}

func FuzzAxpy(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdefghijklmnopqrstuv"), uint32(0x3f800000), uint8(0))
	f.Add(make([]byte, 4*2*67), uint32(0xff800000), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, alphaBits uint32, offset uint8) {
		x := numbers(data)
		x, y := x[:len(x)/2], x[len(x)/2:][:len(x)/2]
		alpha, off := number(alphaBits), min(int(offset%8), len(x))
		x, y = x[off:], y[off:]
		var first []float32
		onEachISA(t, func(isa string) {
			got := kerneltest.GuardedCopy(t, y)
			kernels.Axpy(alpha, kerneltest.GuardedCopy(t, x), got)
			if first == nil {
				first = got
				return
			}
			for i := range got {
				// One rounding fused, two apart; denormal results round to 2^-149.
				tolerance := 2*kerneltest.Eps*(math.Abs(float64(alpha)*float64(x[i]))+math.Abs(float64(y[i]))) + 0x1p-148
				if !near(got[i], first[i], tolerance) {
					t.Errorf("isa=%s/n=%d: element %d is %g, %g in Go", isa, len(x), i, got[i], first[i])
				}
			}
		})
	})
}

func FuzzDot(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdefghijklmnopqrstuv"))
	f.Add(make([]byte, 4*2*131))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := numbers(data)
		x, y := x[:len(x)/2], x[len(x)/2:][:len(x)/2]
		_, magnitude := kerneltest.DotRef(x, y)
		var first float32
		onEachISA(t, func(isa string) {
			got := kernels.Dot(kerneltest.GuardedCopy(t, x), kerneltest.GuardedCopy(t, y))
			if isa == "generic" {
				first = got
				return
			}
			tolerance := float64(len(x)+1) * (2*kerneltest.Eps*magnitude + 0x1p-148)
			if !near(got, first, tolerance) {
				t.Errorf("isa=%s/n=%d: %g, %g in Go", isa, len(x), got, first)
			}
		})
	})
}

func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(15), uint8(33), uint16(20), uint8(0), uint8(0))
	f.Add(uint64(2), uint8(29), uint8(49), uint16(400), uint8(0xff), uint8(3))
	f.Add(uint64(3), uint8(9), uint8(2), uint16(100), uint8(0x1e), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, rows, cols uint8, depth uint16, flags, pad uint8) {
		m, n, k := int(rows%72), int(cols%104), int(depth%600)
		transA, transB := flags&1 != 0, flags&2 != 0
		beta := []float32{0, 1, -0.5, 2}[flags>>2&3]
		ep := kernels.Epilogue{Act: kernels.Activation(flags >> 6 & 1)}
		r := kerneltest.Rand(seed)
		if flags&16 != 0 {
			ep.Bias = r.Slice(n)
		}
		if flags&32 != 0 {
			ep.RowBias = r.Slice(m)
		}
		extra := int(pad % 4)
		lda, ldb, ldc := max(1, k)+extra, max(1, n)+extra, max(1, n)+extra
		if transA {
			lda = max(1, m) + extra
		}
		if transB {
			ldb = max(1, k) + extra
		}
		a, b := operand(t, r, transA, m, k, lda), operand(t, r, transB, k, n, ldb)
		before := operand(t, r, false, m, n, ldc)
		_, magnitude := kerneltest.GemmRef(transA, transB, m, n, k, 1, a, lda, b, ldb, beta, before, ldc)
		var first []float32
		onEachISA(t, func(isa string) {
			c := kerneltest.GuardedCopy(t, before)
			if flags&128 != 0 {
				kernels.GemmPacked(transA, m, 1, a, lda, kernels.PackB(transB, k, n, b, ldb), beta, c, ldc, &ep)
			} else {
				kernels.GemmEpilogue(transA, transB, m, n, k, 1, a, lda, b, ldb, beta, c, ldc, &ep)
			}
			if first == nil {
				first = c
				return
			}
			for i := range m {
				for j := range n {
					// Both are within (k+6) roundings of the exact result; the
					// biases are below 1.
					tolerance := 2 * float64(k+6) * kerneltest.Eps * (magnitude[i*n+j] + 2)
					if e := i*ldc + j; !near(c[e], first[e], tolerance) {
						t.Fatalf("isa=%s/m=%d/n=%d/k=%d/flags=%#x: C[%d,%d] = %g, %g in Go", isa, m, n, k, flags, i, j, c[e], first[e])
					}
				}
			}
		})
	})
}

// operand returns a random matrix X such that op(X) is rows x cols, against a
// guard page.
func operand(t *testing.T, r *kerneltest.Random, trans bool, rows, cols, ld int) []float32 {
	t.Helper()
	if trans {
		rows, cols = cols, rows
	}
	if rows == 0 || cols == 0 {
		return nil
	}
	x := kerneltest.Guarded(t, (rows-1)*ld+cols)
	r.Fill(x)
	return x
}
