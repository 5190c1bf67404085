package fuzz

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// addModels adds the small models of the test data to a corpus.
func addModels(f *testing.F) {
	f.Helper()
	dir := kerneltest.DataDir(f)
	if dir == "" {
		return
	}
	paths, err := filepath.Glob(filepath.Join(dir, "onnx-node", "*", "*", "*", "model.onnx"))
	if err != nil {
		f.Fatal(err)
	}
	for i, path := range paths {
		if i%5 != 0 {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 4096 {
			f.Add(b)
		}
	}
}

// FuzzONNX feeds the reader any bytes: it must return, without a panic; and
// what it accepts must survive being written and read again.
func FuzzONNX(f *testing.F) {
	addModels(f)
	addHostile(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Parse(b)
		if err != nil {
			return
		}
		for i := range m.Graph.Initializers {
			m.Graph.Initializers[i].External = nil
		}
		once, err := onnx.Marshal(m)
		if err != nil {
			return // external data, attributes that are not read
		}
		again, err := onnx.Parse(once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		twice, err := onnx.Marshal(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("writing is not stable: %v", err)
		}
	})
}

// marshal encodes a graph with one input x and one output y.
func marshal(t testing.TB, nodes []onnx.Node, constants []onnx.Tensor, shape ...int64) []byte {
	t.Helper()
	b, err := onnx.Marshal(&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: onnx.Graph{
		Nodes: nodes, Initializers: constants,
		Inputs:  []onnx.ValueInfo{input("x", onnx.Float32, shape...)},
		Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// addHostile adds what a reader must survive.
func addHostile(f *testing.F) {
	f.Helper()
	f.Add([]byte("\x3a\xff\xff\xff\xff\x07"))                                                                                  // a length of 2 GiB
	f.Add([]byte("\x3a\x10\x2a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01\x62\x01y"))                             // a negative size
	f.Add([]byte("\x3a\x1e\x2a\x19\x08\x80\x80\x80\x80\x10\x08\x80\x80\x80\x80\x10\x08\x80\x80\x80\x80\x10\x10\x01\x62\x01y")) // an overflow
	nan := float32(math.NaN())
	f.Add(marshal(f, []onnx.Node{ // a cycle
		{Op: "Add", Inputs: []string{"x", "b"}, Outputs: []string{"a"}},
		{Op: "Relu", Inputs: []string{"a"}, Outputs: []string{"b"}},
		{Op: "Identity", Inputs: []string{"b"}, Outputs: []string{"y"}}}, nil, 2, 2))
	f.Add(marshal(f, []onnx.Node{{Op: "Relu", Inputs: []string{"y"}, Outputs: []string{"y"}}}, nil, 2)) // of one node
	f.Add(marshal(f, []onnx.Node{{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
		[]onnx.Tensor{onnx.NewFloat32("w", []float32{nan, nan, nan, nan}, 2, 2)}, -1, 2)) // weights that are no numbers
	f.Add(marshal(f, []onnx.Node{{Op: "Conv", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
		[]onnx.Tensor{onnx.NewFloat32("w", []float32{nan, float32(math.Inf(1))}, 2, 1, 1, 1)}, 1, 1, 3, 3))
	f.Add(marshal(f, []onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}}, nil, math.MaxInt64, math.MaxInt64)) // overflowing inputs
	f.Add(marshal(f, []onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}}, nil, math.MinInt64, 1))
	for _, sizes := range [][]int64{{1 << 40, 1 << 40}, {-1, -1}, {-5, 3}, {0, math.MaxInt64}, {1 << 15, 1 << 15}, {1 << 10, 1 << 10}} {
		shape := []onnx.Tensor{onnx.NewInt64("s", sizes, 2)}
		f.Add(marshal(f, []onnx.Node{{Op: "Reshape", Inputs: []string{"x", "s"}, Outputs: []string{"y"}}}, shape, 2, 2))
		f.Add(marshal(f, []onnx.Node{{Op: "Expand", Inputs: []string{"x", "s"}, Outputs: []string{"y"}}}, shape, 1, 1))
		f.Add(marshal(f, []onnx.Node{{Op: "Tile", Inputs: []string{"x", "s"}, Outputs: []string{"y"}}}, shape, 1, 1))
		f.Add(marshal(f, []onnx.Node{{Op: "ConstantOfShape", Inputs: []string{"s"}, Outputs: []string{"y"}}}, shape, 1))
	}
}

// FuzzONNXSession makes sessions of any bytes and runs those that are small. It
// must return, without a panic and in the memory that package infer promises.
func FuzzONNXSession(f *testing.F) {
	addModels(f)
	addHostile(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := infer.Parse(b, nil)
		if err != nil || s.PeakBytes() > 1<<20 {
			return
		}
		var src []*infer.Tensor
		for _, v := range s.Inputs() {
			shape, n := []int{}, int64(1)
			for _, d := range v.Shape {
				size := max(d.Size, 0)
				if d.Size < 0 {
					size = 2
				}
				if size > 1<<12 || n*size > 1<<12 {
					return
				}
				n *= size
				shape = append(shape, int(size))
			}
			x, err := infer.NewTensor(v.Type, shape...)
			if err != nil {
				return
			}
			src = append(src, x)
		}
		if err := s.Run(make([]*infer.Tensor, len(s.Outputs())), src); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %v", err)
		}
	})
}

// TestHugeGraph loads graphs of 100 thousand nodes, with LANES_LONG=1 of a
// million: a chain, a cycle, and a fan of which all but two nodes are of no use.
func TestHugeGraph(t *testing.T) {
	n := 100_000
	if os.Getenv("LANES_LONG") != "" {
		n = 1_000_000
	}
	if testing.Short() {
		n = 20_000
	}
	for _, name := range []string{"chain", "cycle", "fan"} {
		t.Run(name, func(t *testing.T) {
			value := func(i int) string { return fmt.Sprint("v", i) }
			nodes := make([]onnx.Node, n)
			for i := range nodes {
				nodes[i] = onnx.Node{Op: "Add", Inputs: []string{value(i), "x"}, Outputs: []string{value(i + 1)}}
				if name == "fan" && i < n-1 {
					nodes[i].Inputs[0] = "x"
				}
			}
			nodes[0].Inputs[0] = "x"
			if name == "cycle" {
				nodes[0].Inputs[0] = value(n)
			}
			nodes = append(nodes, onnx.Node{Op: "Identity", Inputs: []string{value(n)}, Outputs: []string{"y"}})
			b := marshal(t, nodes, nil, 1)
			nodes = nil
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, err := infer.Parse(b, nil)
			runtime.ReadMemStats(&after)
			// A node, its call, values and names are some hundred bytes each.
			if used := (after.TotalAlloc - before.TotalAlloc) / uint64(n); used > 5000 {
				t.Errorf("%d bytes a node", used)
			}
			if name == "cycle" {
				if err == nil || !strings.Contains(err.Error(), "own output") {
					t.Errorf("a cycle: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			out := make([]*infer.Tensor, 1)
			if err := s.Run(out, []*infer.Tensor{infer.FromFloat32s([]float32{1}, 1)}); err != nil {
				t.Fatal(err)
			}
			want := float32(n + 1) // below 2^24, so exact
			if name == "fan" {
				want = 3
			}
			if got := out[0].Float32s()[0]; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}
