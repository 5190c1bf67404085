package train

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestStepperThreads: the same weights and running statistics whatever GOMAXPROCS,
// on networks with fused layers and with pooling.
func TestStepperThreads(t *testing.T) {
	const batch, seed = 6, 9
	width, size := 0.25, 16
	if testing.Short() {
		width, size = 0.125, 8
	}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, name := range []string{"se-resnet18", "vgg16-bn"} {
			var want [][]float32
			for _, procs := range []int{1, 3} {
				previous := runtime.GOMAXPROCS(procs)
				m := mustModel(t, Spec{Name: name, Image: Shape{size, size, 3}, Classes: 3, Width: width})
				s, err := NewStepper(StepConfig{Model: m, Batch: batch, Loss: LossConfig{Kind: LossCE}, Optimizer: OptimizerConfig{Momentum: 0.9}})
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(seed, 1))
				x := make([]float32, batch*m.Image().Size())
				for range 2 {
					fillNormal(rng, x)
					if _, err := s.Step(x, []int32{0, 1, 2, 0, 1, 2}, 0.05, 0); err != nil {
						t.Fatal(err)
					}
				}
				runtime.GOMAXPROCS(previous)
				got := [][]float32{m.set.values, m.set.buffers}
				if want == nil {
					want = got
				}
				for i := range got {
					if !allFinite(got[i]) || !slices.Equal(got[i], want[i]) {
						t.Errorf("model=%s/threads=%d: weights differ (seed %d)", name, procs, seed)
					}
				}
			}
		}
	})
}
