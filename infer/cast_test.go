package infer

import (
	"math"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
)

// TestCastPieces casts more elements than one piece through every wide type.
func TestCastPieces(t *testing.T) {
	const n = 2*castPiece + 3
	types := []onnx.DataType{onnx.Float32, onnx.Float64, onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64, onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64, onnx.Float16, onnx.BFloat16}
	for _, from := range types {
		x, err := NewTensor(from, n)
		if err != nil {
			t.Fatal(err)
		}
		up, err := castKernel(onnx.Int64, from)
		if err != nil {
			t.Fatal(err)
		}
		numbers := make([]int64, n)
		for i := range numbers {
			numbers[i] = int64(i % 100) // every type holds it
		}
		if err := up([]*Tensor{FromInt64s(numbers, n)}, []*Tensor{x}); err != nil {
			t.Fatal(err)
		}
		for _, to := range types {
			y, err := NewTensor(to, n)
			if err != nil {
				t.Fatal(err)
			}
			run, err := castKernel(from, to)
			if err != nil {
				t.Fatal(err)
			}
			if err := run([]*Tensor{x}, []*Tensor{y}); err != nil {
				t.Fatal(err)
			}
			for i, v := range y.Float64s() {
				if v != float64(numbers[i]) {
					t.Fatalf("%v to %v: element %d is %v, want %d", from, to, i, v, numbers[i])
				}
			}
		}
	}
	// One rounding from int64 to float32, the whole range of uint64, and wrapping.
	run, err := castKernel(onnx.Int64, onnx.Float32)
	if err != nil {
		t.Fatal(err)
	}
	y, err := NewTensor(onnx.Float32, 1)
	if err != nil {
		t.Fatal(err)
	}
	const big = 1<<54 + 1<<30 + 1 // a tie after a rounding to float64
	if err := run([]*Tensor{FromInt64s([]int64{big}, 1)}, []*Tensor{y}); err != nil || y.Float32s()[0] != math.Nextafter32(1<<54, 1<<60) {
		t.Errorf("%d to float32: %v, %v", int64(big), y.Float32s()[0], err)
	}
	if _, err := castKernel(onnx.Float32, onnx.Complex64); err == nil {
		t.Error("a cast to complex64 was accepted")
	}
}
