package kernels_test

import (
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestFMALoop(t *testing.T) {
	lanes := map[string]float64{"generic": 1, "avx2": 8, "avx512": 16, "neon": 4}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, rounds := range []int{-1, 0, 1, 1000} {
			want := 24 * float64(max(0, rounds)) * lanes[kernels.Info().ISA]
			if got := kernels.FMALoop(rounds); got != want {
				t.Errorf("FMALoop(%d) = %g operations, want %g", rounds, got, want)
			}
		}
	})
}
