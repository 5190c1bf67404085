package infer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// listed are the operators that a model may use without being skipped.
var listed = strings.Fields(`Conv ConvTranspose Gemm MatMul BatchNormalization LayerNormalization GroupNormalization Relu LeakyRelu PRelu Clip
	Sigmoid HardSigmoid HardSwish Tanh Elu Gelu Softplus Softmax LogSoftmax Erf Add Sub Mul Div Pow Sqrt Exp Log Abs Neg Min Max Mean Sum MaxPool
	AveragePool GlobalAveragePool GlobalMaxPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL2 ReduceSumSquare ArgMax Flatten Reshape
	Squeeze Unsqueeze Transpose Concat Split Slice Pad Expand Tile Resize Gather Cast Shape Size Constant ConstantOfShape Identity Dropout Where
	Equal Less Greater Not And Or DepthToSpace LRN Range
	QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger`)

// TestONNXNode runs the cases of ONNX's own test suite, as
// <group>/<opset>/<case>, and prints how many passed by operator.
func TestONNXNode(t *testing.T) {
	root := kerneltest.DataPath(t, "onnx-node")
	models, err := filepath.Glob(filepath.Join(root, "*", "*", "*", "model.onnx"))
	if err != nil || len(models) == 0 {
		t.Fatalf("no models in %s: %v", root, err)
	}
	passed, unsupported, failed := map[string]int{}, map[string]int{}, map[string]int{}
	for _, path := range models {
		dir := filepath.Dir(path)
		name, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.ToSlash(name)
		op := operatorsOf(path)
		done, skipped := false, false
		t.Run(name, func(t *testing.T) {
			defer func() { skipped = t.Skipped() }()
			runFolder(t, dir)
			done = !t.Failed()
		})
		switch {
		case skipped:
			unsupported[op]++
		case done:
			passed[op]++
		default:
			failed[op]++
		}
	}
	printTable(t, passed, unsupported, failed)
}

func operatorsOf(path string) string {
	m, err := onnx.ReadFile(path)
	if err != nil {
		return "unreadable"
	}
	var ops []string
	for _, n := range m.Graph.Nodes {
		if n.Op != "Constant" || len(m.Graph.Nodes) == 1 {
			ops = append(ops, n.Op)
		}
	}
	slices.Sort(ops)
	if ops = slices.Compact(ops); len(ops) == 1 {
		return ops[0]
	}
	return "several"
}

func printTable(t *testing.T, passed, unsupported, failed map[string]int) {
	var ops []string
	for _, m := range []map[string]int{passed, unsupported, failed} {
		for op := range m {
			ops = append(ops, op)
		}
	}
	slices.Sort(ops)
	var b strings.Builder
	fmt.Fprintf(&b, "%-24s %6s %11s %6s\n", "operator", "passed", "unsupported", "failed")
	var total [3]int
	for _, op := range slices.Compact(ops) {
		fmt.Fprintf(&b, "%-24s %6d %11d %6d\n", op, passed[op], unsupported[op], failed[op])
		for i, m := range []map[string]int{passed, unsupported, failed} {
			total[i] += m[op]
		}
	}
	fmt.Fprintf(&b, "%-24s %6d %11d %6d", "total", total[0], total[1], total[2])
	t.Log("\n" + b.String())
}

// runFolder runs model.onnx on every test_data_set_* of a folder. Operators that
// are not listed skip the test, anything else that is wrong fails it.
func runFolder(t *testing.T, dir string) {
	s, err := Load(filepath.Join(dir, "model.onnx"), nil)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) && !slices.Contains(listed, unsupported.Op) {
		t.Skipf("operator %s is not supported", unsupported.Op)
	}
	if err != nil {
		t.Fatal(err)
	}
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		t.Fatalf("no data sets: %v", err)
	}
	for _, set := range sets {
		in, want := readSet(t, set, "input", len(s.Inputs())), readSet(t, set, "output", len(s.Outputs()))
		got := make([]*Tensor, len(want))
		for range 2 { // the second run reuses what the first has left
			if err := s.Run(got, in); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				compareTensors(t, fmt.Sprintf("%s: output %d", filepath.Base(set), i), got[i], want[i])
			}
		}
	}
}

func readSet(t *testing.T, dir, kind string, n int) []*Tensor {
	t.Helper()
	var out []*Tensor
	for i := range n {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, i)))
		if err != nil {
			t.Fatal(err)
		}
		x, err := onnx.ParseTensor(b)
		if err != nil {
			t.Fatal(err)
		}
		v, err := FromONNX(x)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// compareTensors applies the tolerances of the suite, rtol 1e-3 and atol 1e-7:
// floats may differ by the rounding of sums in another order.
func compareTensors(t *testing.T, name string, got, want *Tensor) {
	t.Helper()
	if got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("%s: %v %v, want %v %v", name, got.Type, got.Shape, want.Type, want.Shape)
		return
	}
	rtol, atol := 1e-3, 1e-7
	if !isFloat(got.Type) {
		rtol, atol = 0, 0
	}
	g, w := got.Float64s(), want.Float64s()
	bad := 0
	for i := range w {
		same := g[i] == w[i] || g[i] != g[i] && w[i] != w[i] || math.Abs(g[i]-w[i]) <= atol+rtol*math.Abs(w[i])
		if !same {
			if bad++; bad <= 3 {
				t.Errorf("%s: element %d is %v, want %v", name, i, g[i], w[i])
			}
		}
	}
	if bad > 3 {
		t.Errorf("%s: %d of %d elements differ", name, bad, len(w))
	}
}
