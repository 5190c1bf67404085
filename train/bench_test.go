package train

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkStep measures training steps without the input pipeline.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		batch int
	}{{"se-resnet8", 128}, {"se-resnet20", 128}, {"se-resnet18", 128}, {"vgg16-bn", 128}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", c.name, c.batch), func(b *testing.B) {
			m := mustModel(b, Spec{Name: c.name, Image: Shape{32, 32, 3}, Classes: 36})
			s, err := NewStepper(StepConfig{Model: m, Batch: c.batch, Loss: LossConfig{Kind: LossCC}, Optimizer: OptimizerConfig{Momentum: 0.9}})
			if err != nil {
				b.Fatal(err)
			}
			x := make([]float32, c.batch*m.Image().Size())
			fillNormal(rand.New(rand.NewPCG(1, 1)), x)
			labels := make([]int32, c.batch)
			for i := range labels {
				labels[i] = int32(i % 36)
			}
			for b.Loop() {
				if _, err := s.Step(x, labels, 1e-3, 0.1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "images/s")
			reportLayers(b, s)
		})
	}
}

// reportLayers prints the time of each kind of layer per step.
func reportLayers(b *testing.B, s *Stepper) {
	_, layers := s.Times()
	times := map[string][2]float64{}
	for _, l := range layers {
		k := fmt.Sprintf("%T", l.Layer)
		t := times[k]
		t[0] += l.Forward.Seconds() * 1e3 / float64(s.steps)
		t[1] += l.Backward.Seconds() * 1e3 / float64(s.steps)
		times[k] = t
	}
	for k, t := range times {
		b.Logf("%-22s forward %8.2f ms, backward %8.2f ms", k, t[0], t[1])
	}
}
