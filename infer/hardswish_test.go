package infer

import (
	"math"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// TestHardSwishForms checks that x*clip(x+3, 0, 6)/6 behind a convolution is one
// instruction with it, where nothing else reads what lies between, and that the
// results are those of the definition.
func TestHardSwishForms(t *testing.T) {
	for _, c := range []struct {
		name, last string
		by         float32
		output     string // of what lies between
		fused      bool
	}{
		{"divided", "Div", 6, "", true}, {"multiplied", "Mul", float32(1) / 6, "", true}, {"by 5", "Div", 5, "", false}, {"read", "Div", 6, "m", false},
		{"read before", "Div", 6, "c", false},
	} {
		rng := kerneltest.Rand(150)
		const k, side = 5, 9
		w := rng.Normal(k * 2)
		g := onnx.Graph{
			Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: 1}, {Size: 2}, {Size: side}, {Size: side}}}},
			Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
			Initializers: []onnx.Tensor{
				onnx.NewFloat32("w", w, k, 2, 1, 1), onnx.NewFloat32("three", []float32{3}), onnx.NewFloat32("by", []float32{c.by}),
				onnx.NewFloat32("zero", []float32{0}), onnx.NewFloat32("six", []float32{6}),
			},
			Nodes: []onnx.Node{
				{Op: "Conv", Inputs: []string{"x", "w"}, Outputs: []string{"c"}},
				{Op: "Add", Inputs: []string{"c", "three"}, Outputs: []string{"a"}},
				{Op: "Clip", Inputs: []string{"a", "zero", "six"}, Outputs: []string{"r"}},
				{Op: "Mul", Inputs: []string{"c", "r"}, Outputs: []string{"m"}},
				{Op: c.last, Inputs: []string{"m", "by"}, Outputs: []string{"y"}},
			},
		}
		if c.output != "" {
			g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: c.output, Type: onnx.Float32})
		}
		s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 13}}, Graph: g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := rng.Normal(2 * side * side)
		for i := range x {
			x[i] *= 4 // both limits of the clip
		}
		out := make([]*Tensor, len(g.Outputs))
		if err := s.Run(out, []*Tensor{FromFloat32s(x, 1, 2, side, side)}); err != nil {
			t.Fatal(err)
		}
		// The convolution, and the layouts of input and output.
		if fused := len(s.plans[0].instrs) == 3; fused != c.fused {
			t.Errorf("%s: %d instructions", c.name, len(s.plans[0].instrs))
		}
		y := out[0].Float32s()
		for i, got := range y {
			k, p := i/(side*side), i%(side*side)
			a, b := float64(w[2*k])*float64(x[p]), float64(w[2*k+1])*float64(x[side*side+p])
			v := a + b
			want := v * min(6, max(0, v+3)) / 6
			if c.by == 5 {
				want *= 6.0 / 5
			}
			// Each of the sum, the gate, the product and the division rounds once; the
			// error of the sum grows with the slope of the function, at most 1 + |v|/3,
			// and that of the gate with |v|.
			bound := 4 * 0x1p-24 * (math.Abs(a) + math.Abs(b) + 3) * (2 + math.Abs(v))
			if !(math.Abs(float64(got)-want) <= bound) {
				t.Errorf("%s: element %d is %v, want %v within %v", c.name, i, got, want, bound)
				break
			}
		}
	}
}
