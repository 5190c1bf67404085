package fuzz

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// FuzzConvInt8 compares convolutions of bytes between the instruction sets, with
// VNNI and without, in all three outputs: they must agree exactly.
func FuzzConvInt8(f *testing.F) {
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
		rng := rand.New(rand.NewPCG(seed, 2))
		x, w, bias, scale := make([]uint8, s.SrcLen()), make([]int8, s.WeightLen()), make([]int32, s.K), make([]float32, s.K)
		for i := range x {
			x[i] = uint8(rng.Uint32())
		}
		for i := range w {
			w[i] = int8(rng.Uint32())
		}
		for k := range bias {
			bias[k], scale[k] = int32(rng.Uint32())>>8, rng.Float32()*0x1p-10
		}
		zero := uint8(rng.Uint32())
		var want []conv.Int8Result
		check := func(isa string) {
			var got []conv.Int8Result
			for _, output := range []conv.Int8Output{conv.Int8Bytes, conv.Int8Floats, conv.Int8Sums} {
				p, err := conv.NewPlanInt8(s, output)
				if err != nil {
					t.Fatal(err)
				}
				out := conv.Int8Result{Scale: scale, Range: kernels.ByteRange{Zero: int32(zero), Max: 255}, Lo: -100, Hi: 100,
					Bytes: make([]uint8, s.DstLen()), Floats: make([]float32, s.DstLen()), Sums: make([]int32, s.DstLen())}
				p.Forward(&out, x, p.NewWeights(w, bias, zero), make([]uint8, p.WorkspaceLen()))
				got = append(got, out)
			}
			for i := range want {
				if !slices.Equal(got[i].Bytes, want[i].Bytes) || !slices.Equal(got[i].Floats, want[i].Floats) || !slices.Equal(got[i].Sums, want[i].Sums) {
					t.Fatalf("isa=%s %v seed=%d output=%d differs from pure Go", isa, s, seed, i)
				}
			}
			want = got
		}
		onEachISA(t, func(isa string) {
			check(isa)
			if kerneltest.WithoutVNNI() {
				check(isa + " without VNNI")
			}
		})
	})
}
