package fuzz

import (
	"slices"
	"testing"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels/blas"
)

// FuzzBLAS compares kernels/blas with gonum on small whole numbers, whose sums
// are exact in any order: results must be equal, and so must panics.
func FuzzBLAS(f *testing.F) {
	for op := range uint8(12) {
		f.Add(op, uint8(0b1011), int8(5), int8(7), int8(3), int8(7), int8(7), int8(7), int8(1), int8(1), []byte{1, 2, 3})
		f.Add(op, uint8(0b0110), int8(70), int8(40), int8(33), int8(71), int8(72), int8(73), int8(2), int8(-1), []byte{9, 250, 3, 4})
		f.Add(op, uint8(0b0001), int8(-1), int8(4), int8(0), int8(2), int8(0), int8(4), int8(0), int8(1), []byte{7})
	}
	f.Fuzz(func(t *testing.T, op, flags uint8, m, n, k, lda, ldb, ldc, incX, incY int8, data []byte) {
		if len(data) == 0 {
			return
		}
		call := blasCall{op % 12, flags, int(m), int(n), int(k), int(lda), int(ldb), int(ldc), int(incX), int(incY)}
		operands := func() [3][]float32 {
			var o [3][]float32
			for i := range o {
				o[i] = make([]float32, 20000)
				for j := range o[i] {
					o[i][j] = float32(int(data[(j+i)%len(data)])%9 - 4)
				}
			}
			return o
		}
		want := operands()
		wantPanic := call.run(gonum.Implementation{}, want)
		onEachISA(t, func(isa string) {
			got := operands()
			if gotPanic := call.run(blas.Implementation{}, got); gotPanic != wantPanic {
				t.Fatalf("%+v on %s: panic %v, gonum's %v", call, isa, gotPanic, wantPanic)
			}
			for i := range got {
				if wantPanic == nil && !slices.Equal(got[i], want[i]) {
					t.Errorf("%+v on %s: operand %d differs", call, isa, i)
				}
			}
		})
	})
}

// A blasCall is one routine with its parameters. Solves are left out: their
// divisions round.
type blasCall struct {
	op, flags              uint8
	m, n, k, lda, ldb, ldc int
	incX, incY             int
}

func (c blasCall) run(impl gonumblas.Float32, o [3][]float32) (panicked any) {
	defer func() { panicked = recover() }()
	bit := func(i int) bool { return c.flags>>i&1 == 1 }
	tA, tB, ul, d, side := gonumblas.NoTrans, gonumblas.NoTrans, gonumblas.Upper, gonumblas.NonUnit, gonumblas.Left
	if bit(0) {
		tA = gonumblas.Trans
	}
	if bit(1) {
		tB = gonumblas.Trans
	}
	if bit(2) {
		ul = gonumblas.Lower
	}
	if bit(3) {
		d = gonumblas.Unit
	}
	if bit(4) {
		side = gonumblas.Right
	}
	alpha, beta := float32(int(c.flags>>5&3)-1), float32(int(c.flags>>7))
	a, b, y := o[0], o[1], o[2]
	switch c.op {
	case 0:
		impl.Sgemm(tA, tB, c.m, c.n, c.k, alpha, a, c.lda, b, c.ldb, beta, y, c.ldc)
	case 1:
		impl.Ssymm(side, ul, c.m, c.n, alpha, a, c.lda, b, c.ldb, beta, y, c.ldc)
	case 2:
		impl.Ssyrk(ul, tA, c.n, c.k, alpha, a, c.lda, beta, y, c.ldc)
	case 3:
		impl.Ssyr2k(ul, tA, c.n, c.k, alpha, a, c.lda, b, c.ldb, beta, y, c.ldc)
	case 4:
		// beta = 0 is left out: gonum's Sgemv (v0.17.0) then clears all of y,
		// also what is no element of the vector.
		impl.Sgemv(tA, c.m, c.n, alpha, a, c.lda, b, c.incX, beta+1, y, c.incY)
	case 5:
		impl.Ssymv(ul, c.n, alpha, a, c.lda, b, c.incX, beta, y, c.incY)
	case 6:
		impl.Sspmv(ul, c.n, alpha, a, b, c.incX, beta, y, c.incY)
	case 7:
		impl.Ssyr(ul, c.n, alpha, b, c.incX, a, c.lda)
	case 8:
		impl.Ssyr2(ul, c.n, alpha, b, c.incX, y, c.incY, a, c.lda)
	case 9:
		impl.Sspr2(ul, c.n, alpha, b, c.incX, y, c.incY, a)
	case 10:
		impl.Saxpy(c.n, alpha, b, c.incX, y, c.incY)
	default:
		impl.Strmv(ul, tA, d, min(c.n, 4), a, c.lda, b, c.incX)
	}
	return nil
}
