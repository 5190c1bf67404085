package train

import (
	"fmt"
	"math"
	"math/rand/v2"
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
			// A rectifier near its threshold may switch in one of the two and move
			// all gradients before it. A wrong gradient is off on every batch.
			var wrong string
			for images := 3; images < 6; images++ {
				if wrong = fusionDiffers(t, s, images); wrong == "" {
					return
				}
			}
			t.Error(wrong)
		})
	}
	if fused == 0 {
		t.Error("no model has anything to fuse")
	}
}

// fusionDiffers says how the gradients of a network with fused layers differ from
// those without by more than roundings explain, on a batch.
func fusionDiffers(t *testing.T, s Spec, images int) string {
	want := gradients(t, s, images, PlanOptions{plain: true})
	got := gradients(t, s, images, PlanOptions{})
	// How much a network makes of roundings (batch norm divides by deviations of
	// few values) is measured: by images whose pixels moved to the next number.
	// Each of about 100 layers rounds like that, which adds up like a random walk:
	// 10 times, and 16 for its spread.
	rng := rand.New(rand.NewPCG(9, 9))
	moved := gradientsOf(t, s, images, PlanOptions{plain: true}, func(x []float32) {
		for i, v := range x {
			x[i] = math.Nextafter32(v, float32(rng.IntN(3)-1)*math.MaxFloat32)
		}
	})
	rounding := 0.0
	for i := range want {
		if diff, norm := distance(moved[i], want[i]); norm > 0 {
			rounding = max(rounding, diff/norm)
		}
	}
	// A wrong gradient is off by its own size.
	if 16*rounding > 0.3 {
		return fmt.Sprintf("roundings change the gradients by %.2g: this network tests nothing", rounding)
	}
	for i := range want {
		if diff, norm := distance(got[i], want[i]); !(diff <= 16*rounding*norm+1e-5) {
			return fmt.Sprintf("buffer %d of %d elements: differs by %.3g of %.3g, one rounding by %.2g of 1", i, len(want[i]), diff, norm, rounding)
		}
	}
	return ""
}

// distance returns the Euclidean norms of a-b and of b.
func distance(a, b []float32) (diff, norm float64) {
	for k, v := range b {
		d := float64(a[k]) - float64(v)
		diff += d * d
		norm += float64(v) * float64(v)
	}
	return math.Sqrt(diff), math.Sqrt(norm)
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
