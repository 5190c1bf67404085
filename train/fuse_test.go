package train

import (
	"math"
	"testing"
)

// TestFusion: a plan with fused layers computes what one without does, but for
// rounding, on all models; and it does fuse the blocks that can be.
func TestFusion(t *testing.T) {
	fused := 0
	for _, s := range testSpecs() {
		m := mustModel(t, s)
		less := len(m.graph.nodes) - len(m.graph.fused(m.graph.outputs()).nodes)
		if less == 0 {
			continue
		}
		fused++
		t.Run(s.testName(), func(t *testing.T) {
			want := gradients(t, s, 3, PlanOptions{plain: true})
			got := gradients(t, s, 3, PlanOptions{})
			for i := range want {
				// Roundings of 2^-24 grow through some tens of layers, each of
				// which divides by deviations of few values.
				var sum, diff float64
				for k, w := range want[i] {
					sum += float64(w) * float64(w)
					d := float64(got[i][k]) - float64(w)
					diff += d * d
				}
				if !(math.Sqrt(diff) <= 2e-3*math.Sqrt(sum)+1e-5) {
					t.Errorf("buffer %d of %d elements: differs by %.3g of %.3g", i, len(want[i]), math.Sqrt(diff), math.Sqrt(sum))
				}
			}
		})
	}
	if fused == 0 {
		t.Error("no model has anything to fuse")
	}
}

// TestFusionKeeps: values that somebody looks at and layers of another kind stay.
func TestFusionKeeps(t *testing.T) {
	nodes := func(name string, kept ...Value) int {
		g := mustModel(t, Spec{Name: name, Image: Shape{16, 16, 3}, Classes: 3, Width: 0.125}).graph
		return len(g.nodes) - len(g.fused(append(g.outputs(), kept...)).nodes)
	}
	g := mustModel(t, Spec{Name: "se-resnet18", Image: Shape{16, 16, 3}, Classes: 3, Width: 0.125}).graph
	var inner Value // the sum in the first block
	for _, n := range g.nodes {
		if _, ok := n.layer.(*Add); ok && inner == 0 {
			inner = n.out[0]
		}
	}
	for _, c := range []struct {
		name string
		kept []Value
		want int
	}{{"se-resnet18", nil, 8 * 3}, {"se-resnet18", []Value{inner}, 7 * 3}, {"eca-resnet18", nil, 0}, {"resnet18", nil, 0}} {
		if got := nodes(c.name, c.kept...); got != c.want {
			t.Errorf("%s keeping %v: %d layers less, want %d", c.name, c.kept, got, c.want)
		}
	}
}
