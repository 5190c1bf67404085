package fuzz

import (
	"bytes"
	"testing"

	"github.com/golanes/lanes/train/data"
)

// FuzzIDX feeds the IDX reader any bytes: it must return, without a panic, and
// what it accepts must be exactly as long as its header says.
func FuzzIDX(f *testing.F) {
	f.Add([]byte{0, 0, 8, 1, 0, 0, 0, 2, 7, 9}, byte(1))
	f.Add([]byte{0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 5, 6}, byte(3))
	f.Add([]byte{0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, byte(3))
	f.Add([]byte{0, 0, 8, 0, 1}, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, rank byte) {
		shape, elements, err := data.ReadIDX(bytes.NewReader(b), int(rank))
		if err != nil {
			return
		}
		size := 1
		for _, d := range shape {
			size *= d
		}
		if len(shape) != int(rank) || len(elements) != size || len(b) != 4+4*len(shape)+size {
			t.Errorf("%d bytes read as %d elements of shape %v", len(b), len(elements), shape)
		}
	})
}
