package train_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train"
)

// TestExport compares models of every kind with what package infer makes of
// their export, with batch norms apart and folded, on random statistics.
//
// Both sum the same products of float32, in different orders: 1e-4 of the
// largest score is 1700 roundings, for at most 22 layers with exact convolutions.
func TestExport(t *testing.T) {
	for _, spec := range []train.Spec{
		{Name: "se-resnet8", Image: train.Shape{H: 16, W: 16, C: 1}, Classes: 5},
		{Name: "resnet8", Image: train.Shape{H: 12, W: 20, C: 3}, Classes: 3, CosineHead: true},
		{Name: "se-resnet20", Image: train.Shape{H: 16, W: 16, C: 3}, Classes: 4, NoRescale: true, Dropout: 0.5},
		{Name: "eca-resnet8", Image: train.Shape{H: 16, W: 16, C: 3}, Classes: 4},
		{Name: "cbam-resnet8", Image: train.Shape{H: 16, W: 16, C: 3}, Classes: 4},
		{Name: "se-resnet18", Image: train.Shape{H: 32, W: 32, C: 3}, Classes: 7, Width: 0.125},
		{Name: "resnet18", Image: train.Shape{H: 65, W: 65, C: 3}, Classes: 7, Width: 0.125},
		{Name: "vgg11-bn", Image: train.Shape{H: 32, W: 32, C: 3}, Classes: 4, Width: 0.125},
		{Name: "mobilenet-v2", Image: train.Shape{H: 32, W: 32, C: 3}, Classes: 4, Width: 0.5},
	} {
		spec.Exact = true
		for _, fold := range []bool{false, true} {
			t.Run(fmt.Sprintf("model=%s/cosine=%v/fold=%v", spec.Name, spec.CosineHead, fold), func(t *testing.T) {
				testExport(t, spec, fold)
			})
		}
	}
}

func testExport(t *testing.T, spec train.Spec, fold bool) {
	m, err := train.New(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 3))
	for _, p := range m.Params() {
		if len(p.Shape) == 1 { // biases, and the tensors of batch norms
			for i := range p.Value {
				p.Value[i] = 0.5 + rng.Float32()
			}
		}
	}
	n := 3
	if testing.Short() {
		n = 2
	}
	images := make([]float32, n*spec.Image.Size())
	for i := range images {
		images[i] = float32(rng.NormFloat64())
	}
	plan, err := m.NewPlan(train.PlanOptions{Batch: n})
	if err != nil {
		t.Fatal(err)
	}
	plan.Bind(make([]float32, plan.Size()))
	plan.Forward(images, 0)
	logits, _, _ := m.Outputs()
	want := plan.Output(logits)

	exported, err := train.Export(m, train.ExportOptions{FoldBatchNorm: fold, Classes: []string{"a"}, Mean: []float32{0.5}, Std: []float32{0.25}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnx.Marshal(exported)
	if err != nil {
		t.Fatal(err)
	}
	s, err := infer.Parse(b, &infer.Options{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	planes := make([]float32, len(images))
	kernels.NHWCToNCHW(planes, images, n, spec.Image.C, spec.Image.H, spec.Image.W)
	out := make([]*infer.Tensor, 1)
	if err := s.Run(out, []*infer.Tensor{infer.FromFloat32s(planes, n, spec.Image.C, spec.Image.H, spec.Image.W)}); err != nil {
		t.Fatal(err)
	}
	got := out[0].Float32s()
	top := 0.0
	for _, v := range want {
		top = max(top, math.Abs(float64(v)))
	}
	if len(got) != n*spec.Classes {
		t.Fatalf("%d scores", len(got))
	}
	for i, v := range got {
		if d := math.Abs(float64(v) - float64(want[i])); !(d <= 1e-4*top) {
			t.Errorf("score %d is %v, want %v (largest %v)", i, v, want[i], top)
		}
	}
}
