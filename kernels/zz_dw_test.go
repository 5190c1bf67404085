package kernels_test

import (
	"fmt"
	"testing"

	"github.com/golanes/lanes/kernels"
)

func BenchmarkZZGrad(b *testing.B) {
	for _, t := range [][5]int{{3, 1, 64, 30, 0}, {3, 1, 64, 28, 1}, {3, 1, 64, 14, 1}, {3, 1, 64, 7, 1}, {3, 2, 64, 57, 0}, {3, 2, 64, 28, 0}, {3, 2, 64, 14, 0}} {
		size, stride, c, width, left := t[0], t[1], t[2], t[3], t[4]
		pixels := (width+2*left-size)/stride + 1
		if stride == 2 && width%2 == 0 {
			pixels = width / 2
		}
		for _, dir := range []string{"grad", "fwd"} {
			b.Run(fmt.Sprintf("%s/stride=%d/width=%d/left=%d/pixels=%d", dir, stride, width, left, pixels), func(b *testing.B) {
				d := kernels.NewDepthwiseRows(size, stride, c, width, left, pixels)
				o := kernels.DepthwiseOperands{Count: 2, Y: make([]float32, 2*pixels*c), Src: make([]float32, 5*width*c), W: make([]float32, 9*c), WStride: c, Bias: make([]float32, c), Lo: -1, Hi: 1}
				for i := range o.Rows {
					o.Rows[i] = i * width * c
				}
				for b.Loop() {
					if dir == "grad" {
						d.Gradient(&o)
					} else {
						d.Forward(&o)
					}
				}
				flops := float64(2 * 2 * 9 * pixels * c)
				b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GF")
			})
		}
	}
}
