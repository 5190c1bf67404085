package infer

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// bigModels take seconds natively, and minutes where a CPU is emulated. Under
// -short one of them runs one image once, with the faster sums, and the others are
// only planned: the smaller models have the same operators.
var bigModels = map[string]bool{"light-resnet50": false, "light-squeezenet": true, "light-vgg19": false, "super-resolution-10": true}

// TestONNXModels runs the networks of the test data: their own inputs and
// outputs, the same image several times as a batch, and both accuracies.
func TestONNXModels(t *testing.T) {
	root := kerneltest.DataPath(t, "onnx-models")
	models, err := filepath.Glob(filepath.Join(root, "*", "model.onnx"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no models in %s: %v", root, err)
	}
	for _, path := range models {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			run, big := bigModels[name]
			once := big && testing.Short()
			for _, exact := range []bool{false, true} {
				s, err := Load(path, &Options{Exact: exact})
				if err != nil {
					t.Fatal(err)
				}
				if once && !run {
					break
				}
				runModel(t, s, filepath.Dir(path), exact, once)
				if once {
					break
				}
			}
		})
	}
}

// modelTolerance is relative to the largest output. Exact sums of float32: a
// network of depth d with sums of up to 4608 products loses about d*sqrt(4608)*
// 2^-24 = d*4e-6 of it, 1e-4 for the 20 layers of these. Winograd's F(4, 3)
// multiplies that by up to 8, where it is used: 1e-3.
func modelTolerance(exact bool) float64 {
	if exact {
		return 1e-4
	}
	return 1e-3
}

// runModel runs the network on its data sets, once each, or twice and then as a
// batch.
func runModel(t *testing.T, s *Session, dir string, exact, once bool) {
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		t.Fatalf("no data sets: %v", err)
	}
	for _, set := range sets {
		in, want := readSet(t, set, "input", len(s.Inputs())), readSet(t, set, "output", len(s.Outputs()))
		got := make([]*Tensor, len(want))
		for k := range 2 {
			if k > 0 && once {
				return
			}
			if err := s.Run(got, in); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				compareModel(t, filepath.Base(set), got[i], want[i], modelTolerance(exact))
			}
		}
		if shape := s.Inputs()[0].Shape; len(in) == 1 && len(shape) > 0 && shape[0].Size < 0 {
			const n = 3
			batch := repeatTensor(in[0], n)
			if err := s.Run(got, []*Tensor{batch}); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				compareModel(t, "batch", got[i], repeatTensor(want[i], n), modelTolerance(exact))
			}
		}
	}
}

func repeatTensor(x *Tensor, n int) *Tensor {
	shape := slices.Clone(x.Shape)
	shape[0] *= n
	y := &Tensor{Type: x.Type, Shape: shape, mem: kernels.AlignedBytes(len(x.mem) * n)}
	for i := range n {
		copy(y.mem[i*len(x.mem):], x.mem)
	}
	return y
}

func compareModel(t *testing.T, name string, got, want *Tensor, rtol float64) {
	t.Helper()
	if !slices.Equal(got.Shape, want.Shape) || got.Type != want.Type {
		t.Fatalf("%s: %v %v, want %v %v", name, got.Type, got.Shape, want.Type, want.Shape)
	}
	g, w := got.Float64s(), want.Float64s()
	top, worst, at := 0.0, -1.0, 0
	for i := range w {
		top = max(top, math.Abs(w[i]))
		if d := math.Abs(g[i] - w[i]); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= rtol*top) {
		t.Errorf("%s: element %d is %v, want %v (largest %v)", name, at, g[at], w[at], top)
	}
}

// images reads records of bytes from a gzip file, behind a header.
func images(t *testing.T, path string, header, record int) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(slices.Chunk(b[header:], record))
}

// TestONNXAccuracy counts the images that the networks of the test data classify
// correctly: all of them, or under -short the first 200. A float64 evaluator's
// counts are given; float32 may change two.
func TestONNXAccuracy(t *testing.T) {
	data := kerneltest.DataPath(t)
	mean, std := []float32{0.4914, 0.4822, 0.4465}, []float32{0.2471, 0.2435, 0.2616}
	for _, c := range []struct {
		model   string
		mnist   bool
		want    int
		first   int // of the first 200
		prepare func(dst []float32, pixels []byte)
	}{
		{"mnist-8", true, 9891, 199, func(dst []float32, p []byte) {
			for i, v := range p {
				dst[i] = float32(v)
			}
		}},
		{"mnist-convnet-maxpool", true, 9792, 195, func(dst []float32, p []byte) {
			for i, v := range p {
				dst[i] = float32(v) / 255
			}
		}},
		{"cifar10-resnet2b", false, 702, 139, func(dst []float32, p []byte) {
			for i, v := range p {
				dst[i] = (float32(v)/255 - mean[i/1024]) / std[i/1024]
			}
		}},
		{"cifar10-tf-medium", false, 704, 139, func(dst []float32, p []byte) {
			for i, v := range p {
				dst[i%1024*3+i/1024] = float32(v) / 255
			}
		}},
	} {
		t.Run("model="+c.model, func(t *testing.T) {
			s, err := Load(filepath.Join(data, "onnx-models", c.model, "model.onnx"), nil)
			if err != nil {
				t.Fatal(err)
			}
			var x, labels [][]byte
			if c.mnist {
				x = images(t, kerneltest.DataPath(t, "mnist", "t10k-images-idx3-ubyte.gz"), 16, 784)
				labels = images(t, kerneltest.DataPath(t, "mnist", "t10k-labels-idx1-ubyte.gz"), 8, 1)
			} else {
				for _, r := range images(t, kerneltest.DataPath(t, "cifar-10-test1k", "test_batch.bin.gz"), 0, 3073) {
					labels, x = append(labels, r[:1]), append(x, r[1:])
				}
			}
			want := c.want
			if testing.Short() {
				x, want = x[:200], c.first
			}
			if got := countCorrect(t, s, x, labels, c.prepare); got < want-2 || got > want+2 {
				t.Errorf("%d of %d correct, want %d", got, len(x), want)
			}
		})
	}
}

// countCorrect runs the images one at a time, on four goroutines.
func countCorrect(t *testing.T, s *Session, x, labels [][]byte, prepare func([]float32, []byte)) int {
	shape := []int{1}
	for _, d := range s.Inputs()[0].Shape[1:] {
		shape = append(shape, int(d.Size))
	}
	var total [4]int
	var wg sync.WaitGroup
	for g := range total {
		wg.Go(func() {
			in := FromFloat32s(make([]float32, product(shape)), shape...)
			out := make([]*Tensor, 1)
			for i := g; i < len(x); i += len(total) {
				prepare(in.Float32s(), x[i])
				if err := s.Run(out, []*Tensor{in}); err != nil {
					t.Error(err)
					return
				}
				best := 0
				for k, v := range out[0].Float32s() {
					if v > out[0].Float32s()[best] {
						best = k
					}
				}
				if best == int(labels[i][0]) {
					total[g]++
				}
			}
		})
	}
	wg.Wait()
	return total[0] + total[1] + total[2] + total[3]
}

// TestRunAllocatesNothing checks it for networks of float32 layers.
func TestRunAllocatesNothing(t *testing.T) {
	data := kerneltest.DataPath(t)
	for _, name := range []string{"mnist-8", "cifar10-resnet2b", "cifar10-tf-medium", "mnist-convnet-maxpool", "ppocr-cls-opset10"} {
		s, err := Load(filepath.Join(data, "onnx-models", name, "model.onnx"), nil)
		if err != nil {
			t.Fatal(err)
		}
		in := readSet(t, filepath.Join(data, "onnx-models", name, "test_data_set_0"), "input", 1)
		out := make([]*Tensor, len(s.Outputs()))
		if err := s.Run(out, in); err != nil {
			t.Fatal(err)
		}
		if n := kerneltest.AllocsPerRun(10, func() {
			if err := s.Run(out, in); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations a run", name, n)
		}
	}
}

// TestBadModels checks that graphs which cannot be run give errors that say why.
func TestBadModels(t *testing.T) {
	value := func(name string, dims ...int64) onnx.ValueInfo {
		v := onnx.ValueInfo{Name: name, Type: onnx.Float32, Shape: []onnx.Dim{}}
		for _, d := range dims {
			v.Shape = append(v.Shape, onnx.Dim{Size: d})
		}
		return v
	}
	node := func(op string, in, out []string, attributes ...onnx.Attribute) onnx.Node {
		return onnx.Node{Name: "n", Op: op, Inputs: in, Outputs: out, Attributes: attributes}
	}
	x, y := []string{"x"}, []string{"y"}
	for name, g := range map[string]onnx.Graph{
		"unknown operator": {Nodes: []onnx.Node{node("Frobnicate", x, y)}},
		"other domain":     {Nodes: []onnx.Node{{Op: "Relu", Domain: "com.example", Inputs: x, Outputs: y}}},
		"cycle":            {Nodes: []onnx.Node{node("Add", []string{"x", "z"}, y), node("Relu", y, []string{"z"})}},
		"no source":        {Nodes: []onnx.Node{node("Relu", []string{"q"}, y)}},
		"two sources":      {Nodes: []onnx.Node{node("Relu", x, y), node("Relu", x, y)}},
		"shapes":           {Nodes: []onnx.Node{node("MatMul", []string{"x", "x"}, y)}},
		"missing input":    {Nodes: []onnx.Node{node("Add", x, y)}},
		"huge constant": {
			Nodes:        []onnx.Node{node("ConstantOfShape", []string{"s"}, y)},
			Initializers: []onnx.Tensor{onnx.NewInt64("s", []int64{1 << 40, 1 << 40}, 2)},
		},
		"huge pads": {Nodes: []onnx.Node{node("Pad", []string{"x", "s"}, y)},
			Initializers: []onnx.Tensor{onnx.NewInt64("s", []int64{1 << 62, 1 << 62, 1 << 62, 1 << 62}, 4)}},
		"negative size": {Nodes: []onnx.Node{node("Reshape", []string{"x", "s"}, y)},
			Initializers: []onnx.Tensor{onnx.NewInt64("s", []int64{-2, 3}, 2)}},
	} {
		g.Inputs, g.Outputs = []onnx.ValueInfo{value("x", 2, 3)}, []onnx.ValueInfo{{Name: "y"}}
		_, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: g}, nil)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		t.Logf("%s: %v", name, err)
	}
}

// TestBatches checks that every batch size gives the same rows, to the bit where
// sums do not depend on it.
func TestBatches(t *testing.T) {
	data := kerneltest.DataPath(t)
	dir := filepath.Join(data, "onnx-models", "super-resolution-10")
	if testing.Short() {
		dir = filepath.Join(data, "onnx-models", "ppocr-cls-opset10") // smaller
	}
	s, err := Load(filepath.Join(dir, "model.onnx"), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := readSet(t, filepath.Join(dir, "test_data_set_0"), "input", 1)[0]
	one := make([]*Tensor, 1)
	if err := s.Run(one, []*Tensor{in}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 5} {
		many := make([]*Tensor, 1)
		if err := s.Run(many, []*Tensor{repeatTensor(in, n)}); err != nil {
			t.Fatal(err)
		}
		compareModel(t, fmt.Sprintf("n=%d", n), many[0], repeatTensor(one[0], n), 1e-5)
	}
}
