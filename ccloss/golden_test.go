package ccloss

import (
	"math"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestGoldenCCLoss(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "ccloss", goldenCase)
	})
}

func goldenCase(t *testing.T, g *kerneltest.Case) {
	metric, err := ParseMetric(g.Str("metric"))
	if err != nil {
		t.Fatal(err)
	}
	form, err := ParseForm(g.Str("form"))
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Metric: metric, Form: form, Eps: g.Float("eps"), Margin: g.Float("margin")}
	// A zero in the file is meant, a zero option is a default.
	opt.Eps = max(opt.Eps, math.SmallestNonzeroFloat64)
	opt.Margin = max(opt.Margin, math.SmallestNonzeroFloat64)

	shape := g.Shape("attention")
	if len(shape) != 2 {
		t.Fatalf("attention has shape %v, want N x C", shape)
	}
	n, c := shape[0], shape[1]
	a, ids := g.F32("attention"), g.I64("labels")
	labels := make([]int32, len(ids))
	for i, id := range ids {
		labels[i] = int32(id)
		if int64(labels[i]) != id {
			t.Fatalf("label %d is no int32", id)
		}
	}
	p := newPlan(t, opt, n, c)
	r := p.Forward(a, labels)
	da := make([]float32, n*c)
	p.Backward(da, 1)

	// Beside the absolute tolerance of all cases, every number is held to 1e-4
	// of its own size (the gradient of its largest entry), which is what a
	// nearly collapsed class needs: there all of them are far under 1e-5.
	compare(t, "loss", r.Loss, g.F32("loss"))
	compare(t, "within", r.Within, g.F32("within"))
	compare(t, "between", r.Between, g.F32("between"))
	want := g.F32("gattention")
	kerneltest.Close(t, "gattention", da, want, 1e-5, 2e-5)
	atol := 1e-4 * maxAbs(widen(want))
	kerneltest.Close(t, "gattention, relative", da, want, atol, 0)
}

func compare(t *testing.T, name string, got float64, want []float32) {
	t.Helper()
	if len(want) != 1 {
		t.Fatalf("%s has %d elements, want 1", name, len(want))
	}
	kerneltest.Close(t, name, []float32{float32(got)}, want, 1e-5, 2e-5)
	near(t, name, got, float64(want[0]), 1e-4, 0)
}
