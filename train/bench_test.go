package train

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkStep measures training steps without the input pipeline.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		batch int
	}{{"se-resnet8", 128}, {"se-resnet20", 128}, {"se-resnet18", 128}, {"vgg16-bn", 128}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", c.name, c.batch), func(b *testing.B) {
			m := mustModel(b, Spec{Name: c.name, Image: Shape{32, 32, 3}, Classes: 36})
			s, err := NewStepper(StepConfig{Model: m, Batch: c.batch, Loss: LossConfig{Kind: LossCE}, Optimizer: OptimizerConfig{Momentum: 0.9}})
			if err != nil {
				b.Fatal(err)
			}
			x := make([]float32, c.batch*m.Image().Size())
			fillNormal(rand.New(rand.NewPCG(1, 1)), x)
			labels := make([]int32, c.batch)
			for i := range labels {
				labels[i] = int32(i % 36)
			}
			step := func() {
				if _, err := s.Step(x, labels, 1e-3, 0.1); err != nil {
					b.Fatal(err)
				}
			}
			step() // touches the memory
			best := map[string]time.Duration{}
			for b.Loop() {
				before := kindTimes(s)
				step()
				for kind, t := range kindTimes(s) {
					if d := t - before[kind]; best[kind] == 0 || d < best[kind] {
						best[kind] = d
					}
				}
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "images/s")
			reportKinds(b, best)
		})
	}
}

// kindTimes returns the time that each kind of layer took so far, by direction,
// and that of loss and update.
func kindTimes(s *Stepper) map[string]time.Duration {
	t, layers := s.Times()
	times := map[string]time.Duration{
		"loss":   time.Duration(t.Loss * 1e9),
		"update": time.Duration(t.Update * 1e9),
	}
	for _, l := range layers {
		kind := fmt.Sprintf("%T", l.Layer)
		times[kind+" forward"] += l.Forward
		times[kind+" backward"] += l.Backward
	}
	return times
}

// reportKinds prints the least time of each kind over the steps, and the share of
// the convolutions in the sum: other programs on the machine disturb it less than
// they do the mean.
func reportKinds(b *testing.B, best map[string]time.Duration) {
	var conv, total time.Duration
	for _, kind := range slices.Sorted(maps.Keys(best)) {
		b.Logf("%-30s %8.2f ms", kind, best[kind].Seconds()*1e3)
		total += best[kind]
		if strings.Contains(kind, "Conv2D") {
			conv += best[kind]
		}
	}
	b.ReportMetric(100*conv.Seconds()/total.Seconds(), "%conv")
	b.ReportMetric(total.Seconds()*1e3, "least-ms")
}
