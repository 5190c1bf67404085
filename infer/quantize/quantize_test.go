package quantize_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/infer/quantize"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// cifar returns the pixels (CHW, 0..255) and labels of cifar-10-test1k.
func cifar(t *testing.T) (pixels [][]byte, labels []int) {
	f, err := os.Open(kerneltest.DataPath(t, "cifar-10-test1k/test_batch.bin.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	const record = 1 + 3*32*32
	for i := 0; i+record <= len(all); i += record {
		labels, pixels = append(labels, int(all[i])), append(pixels, all[i+1:i+record])
	}
	return pixels, labels
}

// TestCIFAR quantises the real classifiers with their first 100 test images: all
// methods may cost at most 1 point of accuracy on the 1000.
func TestCIFAR(t *testing.T) {
	if testing.Short() {
		t.Skip("quantises two networks with each method and classifies 1000 images with every result")
	}
	pixels, labels := cifar(t)
	mean, std := []float32{0.4914, 0.4822, 0.4465}, []float32{0.2471, 0.2435, 0.2616}
	for _, c := range []struct {
		model   string
		correct int
		input   func(p []byte) *infer.Tensor
	}{
		{"cifar10-resnet2b", 702, func(p []byte) *infer.Tensor {
			x := make([]float32, len(p))
			for i, v := range p {
				x[i] = (float32(v)/255 - mean[i/1024]) / std[i/1024]
			}
			return infer.FromFloat32s(x, 1, 3, 32, 32)
		}},
		{"cifar10-tf-medium", 704, func(p []byte) *infer.Tensor {
			x := make([]float32, len(p))
			for i, v := range p {
				x[i%1024*3+i/1024] = float32(v) / 255
			}
			return infer.FromFloat32s(x, 1, 32, 32, 3)
		}},
	} {
		m, err := onnx.ReadFile(kerneltest.DataPath(t, "onnx-models/"+c.model+"/model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		samples := func(yield func([]*infer.Tensor) error) error {
			for _, p := range pixels[:100] {
				if err := yield([]*infer.Tensor{c.input(p)}); err != nil {
					return err
				}
			}
			return nil
		}
		for _, method := range quantize.Methods() {
			q, report, err := quantize.Run(m, samples, quantize.Options{Method: quantize.Method(method)})
			if err != nil {
				t.Fatal(err)
			}
			s, err := infer.New(q, nil)
			if err != nil {
				t.Fatal(err)
			}
			correct, out := 0, make([]*infer.Tensor, 1)
			for i, p := range pixels {
				if err := s.Run(out, []*infer.Tensor{c.input(p)}); err != nil {
					t.Fatal(err)
				}
				if scores := out[0].Float32s(); slices.Index(scores, slices.Max(scores)) == labels[i] {
					correct++
				}
			}
			t.Logf("%s, %s: %d correct of %d, %d in float32; %+v", c.model, method, correct, len(labels), c.correct, *report)
			if correct < c.correct-10 {
				t.Errorf("%s, %s: %d correct, want at least %d", c.model, method, correct, c.correct-10)
			}
		}
	}
}

// small is a network with all that is quantised: convolution, batch norm, ReLU,
// clip, depthwise convolution, residual sum, pooling, fully connected layers.
func small(rng *kerneltest.Random) *onnx.Model {
	tensor := func(name string, scale float32, shape ...int) onnx.Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := rng.Slice(n)
		for i := range x {
			x[i] = x[i]*scale + max(0, 1-10*scale) // near 1 for the norm's
		}
		return onnx.NewFloat32(name, x, shape...)
	}
	pads := []onnx.Attribute{{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, 1, 1}}}
	node := func(op string, a []onnx.Attribute, out string, in ...string) onnx.Node {
		return onnx.Node{Op: op, Inputs: in, Outputs: []string{out}, Attributes: a}
	}
	group := append(slices.Clone(pads), onnx.Attribute{Name: "group", Type: onnx.AttributeInt, Int: 8})
	clip := []onnx.Attribute{{Name: "min", Type: onnx.AttributeFloat}, {Name: "max", Type: onnx.AttributeFloat, Float: 2}}
	window := []onnx.Attribute{{Name: "kernel_shape", Type: onnx.AttributeInts, Ints: []int64{2, 2}}, {Name: "strides", Type: onnx.AttributeInts, Ints: []int64{2, 2}}}
	return &onnx.Model{IRVersion: 4, Opsets: []onnx.Opset{{Version: 9}}, Graph: onnx.Graph{
		Name:   "small",
		Inputs: []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "n"}, {Size: 3}, {Size: 8}, {Size: 8}}}},
		Nodes: []onnx.Node{
			node("Conv", pads, "c1", "x", "w1"), node("BatchNormalization", nil, "b1", "c1", "gamma", "beta", "mu", "var"), node("Relu", nil, "r1", "b1"),
			node("Conv", group, "c2", "r1", "w2", "bias2"), node("Clip", clip, "r2", "c2"),
			node("Conv", pads, "c3", "r2", "w3", "bias3"), node("Add", nil, "s", "r1", "c3"), node("Relu", nil, "r3", "s"),
			node("MaxPool", window, "p", "r3"), node("Conv", nil, "c4", "p", "w4"), node("GlobalAveragePool", nil, "g", "c4"), node("Flatten", nil, "f", "g"),
			node("MatMul", nil, "m", "f", "w5"), node("Add", nil, "y", "m", "bias5"),
		},
		Initializers: []onnx.Tensor{tensor("w1", 0.3, 8, 3, 3, 3), tensor("gamma", 0.01, 8), tensor("beta", 0.3, 8), tensor("mu", 0.3, 8), tensor("var", 0.01, 8),
			tensor("w2", 0.5, 8, 1, 3, 3), tensor("bias2", 0.3, 8), tensor("w3", 0.3, 8, 8, 3, 3), tensor("bias3", 0.3, 8), tensor("w4", 0.4, 6, 8, 1, 1),
			tensor("w5", 0.5, 6, 5), tensor("bias5", 0.3, 5)},
		Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "n"}, {Size: 5}}}},
	}}
}

func smallSamples(rng *kerneltest.Random, n int) quantize.Samples {
	var inputs []*infer.Tensor
	for range n {
		inputs = append(inputs, infer.FromFloat32s(rng.Slice(3*8*8), 1, 3, 8, 8))
	}
	return func(yield func([]*infer.Tensor) error) error {
		for _, x := range inputs {
			if err := yield([]*infer.Tensor{x}); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestSmall checks the whole way on every instruction set: the same bytes in the
// file, the same integers in between, results near those of float32, every layer
// on bytes, and a run that allocates nothing.
func TestSmall(t *testing.T) {
	const seed = 81
	m := small(kerneltest.Rand(seed))
	samples := smallSamples(kerneltest.Rand(seed+1), 20)
	float, err := infer.New(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	var first []float32
	kerneltest.ForEachInt8(t, func(t *testing.T) {
		q, report, err := quantize.Run(m, samples, quantize.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Layers != 5 || report.Sums != 1 || report.Pools != 1 {
			t.Errorf("seed=%d: %+v", seed, report)
		}
		b, err := onnx.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if file == nil {
			file = b
		}
		s, err := infer.Parse(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.Explain([]int{2, 3, 8, 8})
		if err != nil {
			t.Fatal(err)
		}
		for what, n := range map[string]int{"int8 ": 7, "int8 depthwise": 1, "int8 add": 1, "int8 pool": 1, "general": 0} {
			if strings.Count(text, what) != n {
				t.Errorf("%q %d times, want %d:\n%s", what, strings.Count(text, what), n, text)
			}
		}
		var worst, largest float64
		var results []float32
		got, want := make([]*infer.Tensor, 1), make([]*infer.Tensor, 1)
		if err := samples(func(x []*infer.Tensor) error {
			if err := s.Run(got, x); err != nil {
				return err
			}
			results = append(results, got[0].Float32s()...)
			err := float.Run(want, x)
			for i, v := range want[0].Float32s() {
				worst = max(worst, math.Abs(float64(v-got[0].Float32s()[i])))
				largest = max(largest, math.Abs(float64(v)))
			}
			if n := kerneltest.AllocsPerRun(3, func() { err = s.Run(got, x) }); n != 0 {
				t.Errorf("a run allocates %v times", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		// Five layers, each with errors of half a step of 1/255 of its range.
		if !(worst < 0.04*largest) {
			t.Errorf("seed=%d: an error of %g in values up to %g", seed, worst, largest)
		}
		// Pooling over maps is the one step that is not exact between them.
		if first == nil {
			first = results
		}
		for i := range first {
			if math.Abs(float64(first[i]-results[i])) > 0.01*largest {
				t.Fatalf("seed=%d: result %d is %g, %g in pure Go", seed, i, results[i], first[i])
			}
		}
	})
	again, _, err := quantize.Run(m, samples, quantize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := onnx.Marshal(again); err != nil || !bytes.Equal(b, mustMarshal(t, again)) {
		t.Error("two runs give different files", err)
	}
}

func mustMarshal(t *testing.T, m *onnx.Model) []byte {
	b, err := onnx.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestErrors(t *testing.T) {
	rng := kerneltest.Rand(83)
	m := small(rng)
	samples := smallSamples(rng, 1)
	none := func(func([]*infer.Tensor) error) error { return nil }
	nan := func(yield func([]*infer.Tensor) error) error {
		x := make([]float32, 3*8*8)
		x[0] = float32(math.NaN())
		return yield([]*infer.Tensor{infer.FromFloat32s(x, 1, 3, 8, 8)})
	}
	old := small(rng)
	old.Opsets[0].Version = 6
	strange := small(rng)
	strange.Graph.Nodes[2].Op = "Upsample"
	cyclic := small(rng)
	cyclic.Graph.Nodes[12].Inputs[0], cyclic.Graph.Nodes[11].Op, cyclic.Graph.Nodes[11].Inputs[0] = "f", "Relu", "f"
	bare := small(rng)
	bare.Graph.Nodes[3].Inputs = nil
	empty := &onnx.Model{Opsets: []onnx.Opset{{Version: 13}}}
	for _, c := range []struct {
		m       *onnx.Model
		samples quantize.Samples
		opt     quantize.Options
		want    string
	}{
		{m, samples, quantize.Options{Method: "magic"}, "unknown method"},
		{m, none, quantize.Options{}, "no samples"},
		{m, nan, quantize.Options{}, "not finite"},
		{old, samples, quantize.Options{}, "too old"},
		{strange, samples, quantize.Options{}, "Upsample"},
		{cyclic, samples, quantize.Options{}, "f"},
		{bare, samples, quantize.Options{}, "without input"},
		{empty, samples, quantize.Options{}, "no convolution"},
		{m, func(func([]*infer.Tensor) error) error { return fmt.Errorf("unreadable") }, quantize.Options{}, "unreadable"},
	} {
		if _, _, err := quantize.Run(c.m, c.samples, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
