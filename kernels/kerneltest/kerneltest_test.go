package kerneltest

import (
	"math"
	"testing"
)

func TestULP(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	negZero := float32(math.Copysign(0, -1))
	tiny := float32(math.SmallestNonzeroFloat32)
	for _, c := range []struct {
		a, b float32
		want uint32
	}{
		{1, 1, 0}, {0, negZero, 0}, {nan, nan, 0}, {nan, 1, math.MaxUint32},
		{1, math.Nextafter32(1, 2), 1}, {-1, math.Nextafter32(-1, -2), 1},
		{tiny, -tiny, 2}, {math.MaxFloat32, inf, 1}, {2, 4, 1 << 23},
	} {
		if got := ULP(c.a, c.b); got != c.want {
			t.Errorf("ULP(%g, %g) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := ULP(c.b, c.a); got != c.want {
			t.Errorf("ULP(%g, %g) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestULPError(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		got  float32
		want float64
		err  float64
	}{
		{1, 1, 0}, {1, 1 + 0x1p-24, 0.5}, {math.Nextafter32(1, 2), 1, 1},
		{0, 0x1p-150, 0.5}, {inf, 1e300, 0}, {math.MaxFloat32, 1e300, 1},
		{inf, math.Inf(1), 0}, {float32(math.NaN()), math.NaN(), 0}, {float32(math.NaN()), 1, math.Inf(1)},
	} {
		if got := ULPError(c.got, c.want); got != c.err {
			t.Errorf("ULPError(%g, %g) = %g, want %g", c.got, c.want, got, c.err)
		}
	}
}

func TestGuardedShape(t *testing.T) {
	for _, n := range []int{0, 1, 7, 1024, 1025} {
		for name, x := range map[string][]float32{"end": Guarded(t, n), "start": GuardedStart(t, n)} {
			if len(x) != n || cap(x) != n {
				t.Errorf("fence=%s/n=%d: len %d cap %d", name, n, len(x), cap(x))
			}
			for i := range x {
				x[i] = float32(i)
			}
		}
	}
	if b := GuardedOf[byte](t, 3); len(b) != 3 {
		t.Errorf("GuardedOf[byte](3) has length %d", len(b))
	}
}

func TestGemmRef(t *testing.T) {
	// [1 2; 3 4] * [5 6; 7 8] = [19 22; 43 50], in each storage order.
	a, at := []float32{1, 2, 3, 4}, []float32{1, 3, 2, 4}
	b, bt := []float32{5, 6, 7, 8}, []float32{5, 7, 6, 8}
	want := []float64{2*19 + 1, 2*22 + 1, 2*43 + 1, 2*50 + 1}
	for _, c := range []struct {
		ta, tb bool
		a, b   []float32
	}{{false, false, a, b}, {true, false, at, b}, {false, true, a, bt}, {true, true, at, bt}} {
		got, _ := GemmRef(c.ta, c.tb, 2, 2, 2, 2, c.a, 2, c.b, 2, 0.5, []float32{2, 2, 2, 2}, 2)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("transA=%v/transB=%v: element %d is %g, want %g", c.ta, c.tb, i, got[i], want[i])
			}
		}
	}
}

func TestRandRepeats(t *testing.T) {
	a, b := Rand(7).WithSpecials(64), Rand(7).WithSpecials(64)
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			t.Fatalf("element %d differs between two sources of one seed", i)
		}
	}
}
