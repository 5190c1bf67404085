package fuzz

import (
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// FuzzStore compares streamed stores with ordinary ones, bit for bit on each tier:
// any length around the blocks that are streamed, any alignment, any bit patterns,
// and a destination that is the first operand.
func FuzzStore(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint16(1025), uint8(1), uint8(3))
	f.Add([]byte{0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0xff, 1, 0, 0, 0}, uint16(3100), uint8(7), uint8(0x85))
	f.Fuzz(func(t *testing.T, data []byte, length uint16, offset, choice uint8) {
		n, off := int(length%5000), int(offset%17)
		numbers := numbers(data)
		operand := func(first int) []float32 {
			x := kerneltest.Guarded(t, n+off)[off:]
			for i := range x {
				if len(numbers) > 0 {
					x[i] = numbers[(first+i)%len(numbers)]
				}
			}
			return x
		}
		act := kernels.Activation(choice & 0x7f % uint8(kernels.ELU+1))
		ops := []func(how kernels.Store, dst, x, y []float32){
			func(how kernels.Store, dst, x, y []float32) { how.Add(dst, x, y) },
			func(how kernels.Store, dst, x, y []float32) { how.Mul(dst, x, y) },
			func(how kernels.Store, dst, x, _ []float32) { how.Clamp(dst, x, -0.5, 2) },
			func(how kernels.Store, dst, x, _ []float32) { how.Exp(dst, x) },
			func(how kernels.Store, dst, x, _ []float32) { how.Log(dst, x) },
			func(how kernels.Store, dst, x, _ []float32) { how.Activate(act, dst, x) },
			func(how kernels.Store, dst, x, y []float32) { how.ActivateGrad(act, dst, x, y) },
		}
		onEachISA(t, func(isa string) {
			for i, op := range ops {
				var results [2][]float32
				for k, how := range []kernels.Store{kernels.Cached, kernels.Streamed} {
					x, y := operand(0), operand(n/2)
					dst := x
					if choice&0x80 == 0 {
						dst = operand(1)
					}
					op(how, dst, x, y)
					results[k] = dst
				}
				for e, want := range results[0] {
					// Which NaN comes of a NaN is not promised.
					got := results[1][e]
					if math.IsNaN(float64(got)) && math.IsNaN(float64(want)) {
						continue
					}
					if math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("isa=%s/op=%d/act=%v/n=%d/offset=%d: element %d is %g streamed, %g otherwise", isa, i, act, n, off, e, got, want)
					}
				}
			}
		})
	})
}
