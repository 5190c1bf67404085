package ccloss

import (
	"fmt"
	"testing"
)

func BenchmarkPlan(b *testing.B) {
	for _, s := range [][3]int{{128, 64, 10}, {512, 64, 100}, {2048, 64, 100}, {2048, 512, 100}, {8192, 512, 1000}} {
		n, c, k := s[0], s[1], s[2]
		a, labels := attention(1, n, c, k, 1)
		da := make([]float32, len(a))
		for _, opt := range allOptions() {
			if opt.Form == Margin && opt.Metric == SquaredEuclidean || opt.Form == Difference {
				continue
			}
			if n > 4096 && opt.Metric == Euclidean && opt.Form == Margin {
				continue
			}
			p := newPlan(b, opt, n, c)
			name := fmt.Sprintf("%s/n=%d/c=%d/k=%d", optName(opt), n, c, k)
			b.Run("pass=forward/"+name, func(b *testing.B) {
				for b.Loop() {
					p.Forward(a, labels)
				}
				b.ReportMetric(float64(n)*float64(n)*float64(c)*2*float64(b.N)/b.Elapsed().Seconds()/1e9, "gram-GF/s")
			})
			p.Forward(a, labels)
			b.Run("pass=backward/"+name, func(b *testing.B) {
				for b.Loop() {
					p.Backward(da, 1)
				}
				b.ReportMetric(float64(n)*float64(n)*float64(c)*2*float64(b.N)/b.Elapsed().Seconds()/1e9, "gram-GF/s")
			})
		}
	}
}
