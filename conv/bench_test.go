package conv_test

import (
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/conv"
)

func benchShape(n, c, k, hw, r, stride int) conv.Shape {
	p := r / 2
	return conv.Shape{N: n, C: c, H: hw, W: hw, K: k, R: r, S: r, StrideH: stride, StrideW: stride, PadTop: p, PadLeft: p, PadBottom: p, PadRight: p}
}

func BenchmarkConv(b *testing.B) {
	for _, l := range []struct {
		name  string
		shape conv.Shape
	}{
		{"3-64_32_k3s1", benchShape(32, 3, 64, 32, 3, 1)},
		{"64-64_32_k3s1", benchShape(32, 64, 64, 32, 3, 1)},
		{"64-128_32_k3s2", benchShape(32, 64, 128, 32, 3, 2)},
		{"64-128_32_k1s2", benchShape(32, 64, 128, 32, 1, 2)},
		{"256-256_8_k3s1", benchShape(32, 256, 256, 8, 3, 1)},
		{"512-512_4_k3s1", benchShape(32, 512, 512, 4, 3, 1)},
		{"512-512_2_k3s1", benchShape(32, 512, 512, 2, 3, 1)},
		{"64-256_56_k1s1", benchShape(2, 64, 256, 56, 1, 1)},
		{"3-64_224_k7s2", benchShape(1, 3, 64, 224, 7, 2)},
	} {
		rng := rand.New(rand.NewPCG(1, 1))
		s := l.shape
		src, w, ddst := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen())
		dst, dsrc, dw := make([]float32, len(ddst)), make([]float32, len(src)), make([]float32, len(w))
		for _, opt := range []struct {
			name string
			conv.Options
		}{{"exact", conv.Options{Accuracy: conv.Exact}}, {"fast", conv.Options{}}} {
			p := newPlan(b, s, opt.Options)
			f, _, _ := p.Algorithms()
			if opt.name == "fast" && (f == conv.Indirect || f == conv.Depthwise) {
				continue
			}
			work := make([]float32, p.Workspace())
			for dir, run := range map[string]func(){
				"fwd":         func() { p.Forward(dst, src, w, nil, nil, work) },
				"bwd-data":    func() { p.BackwardData(dsrc, ddst, w, work) },
				"bwd-weights": func() { p.BackwardWeights(dw, nil, src, ddst, work) },
			} {
				b.Run("layer="+l.name+"/accuracy="+opt.name+"/dir="+dir, func(b *testing.B) {
					b.ReportAllocs()
					for range b.N {
						run()
					}
					b.ReportMetric(s.FLOPs()*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
