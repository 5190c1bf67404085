package infer

import (
	"bytes"
	"maps"
	"math"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// weightsModel has weights of every kind that a session takes: for both algorithms,
// with panels that are full or not, with factors, turned, grouped, and one that two
// nodes read.
func weightsModel(seed uint64) *onnx.Model {
	rng := kerneltest.Rand(seed)
	g := onnx.Graph{
		Inputs:  []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: 8}, {Size: 12}, {Size: 12}}}},
		Outputs: []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}, {Name: "z", Type: onnx.Float32}},
	}
	weights := func(name string, shape ...int) string {
		g.Initializers = append(g.Initializers, onnx.NewFloat32(name, rng.Normal(product(shape)), shape...))
		return name
	}
	node := func(op string, out string, in ...string) *onnx.Node {
		g.Nodes = append(g.Nodes, onnx.Node{Name: out, Op: op, Inputs: in, Outputs: []string{out}})
		return &g.Nodes[len(g.Nodes)-1]
	}
	pads := onnx.Attribute{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, 1, 1}}
	one := func(name string) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeInt, Int: 1}
	}
	norm := func(out, in string, c int) {
		positive := rng.Normal(c)
		for i := range positive {
			positive[i] = 0.5 + positive[i]*positive[i]
		}
		g.Initializers = append(g.Initializers, onnx.NewFloat32(out+"v", positive, c))
		node("BatchNormalization", out, in, weights(out+"s", c), weights(out+"b", c), weights(out+"m", c), out+"v")
	}
	node("Conv", "a", "x", weights("wa", 32, 8, 3, 3)).Attributes = []onnx.Attribute{pads}
	norm("an", "a", 32)
	node("Conv", "b", "an", weights("wb", 40, 32, 1, 1)) // a panel that is filled up
	norm("bn", "b", 40)
	node("Conv", "c", "bn", weights("wc", 40, 20, 3, 3)).Attributes = []onnx.Attribute{pads, {Name: "group", Type: onnx.AttributeInt, Int: 2}}
	node("Conv", "d", "c", weights("wd", 40, 1, 3, 3)).Attributes = []onnx.Attribute{pads, {Name: "group", Type: onnx.AttributeInt, Int: 40}}
	norm("dn", "d", 40)
	node("Conv", "e", "dn", weights("we", 40, 40, 1, 1))
	node("Conv", "f", "e", "we")
	node("Neg", "wi", weights("wn", 24, 40, 1, 1)) // computed for each plan
	node("Conv", "i", "f", "wi")
	node("Flatten", "rows", "i")
	node("Gemm", "g", "rows", weights("wg", 64, 24*144), weights("bg", 64)).Attributes = []onnx.Attribute{one("transB")}
	node("MatMul", "h", "g", weights("wh", 64, 48)) // turned
	node("MatMul", "y", "h", weights("wy", 48, 10)) // turned and filled up
	node("ReduceSum", "sum", weights("wz", 3, 3))   // a constant that is computed
	node("Mul", "z", "sum", "g")
	return &onnx.Model{Opsets: []onnx.Opset{{Version: 12}}, Graph: g}
}

// TestTakenWeights checks that a session which takes a model's weights gives the
// bits of one that does not, for batches that choose different algorithms, and
// that what it keeps of the weights is right.
func TestTakenWeights(t *testing.T) {
	for _, exact := range []bool{false, true} {
		model := weightsModel(150)
		keeps, err := New(model, &Options{Exact: exact})
		if err != nil {
			t.Fatal(err)
		}
		takes, err := New(weightsModel(150), &Options{Exact: exact, TakeWeights: true})
		if err != nil {
			t.Fatal(err)
		}
		taken, inPlace, turned, raw := 0, 0, 0, 0
		for _, c := range takes.graph.consts {
			if r := c.repacked; r != nil {
				taken++
				switch {
				case r.plan == nil:
					raw++
				case r.turned:
					turned++
				case r.plan.PacksInPlace():
					inPlace++
				}
			}
		}
		// wa for Winograd's algorithm is not packed in place, nor is wd.
		if taken != 7 || inPlace < 1 || turned != 2 || raw < 1 {
			t.Errorf("exact=%v: %d constants taken, %d in place, %d turned, %d as they are", exact, taken, inPlace, turned, raw)
		}
		rng := kerneltest.Rand(151)
		for _, n := range []int{1, 16, 2, 0, 1} {
			x := FromFloat32s(rng.Normal(n*8*144), n, 8, 12, 12)
			var out [2][]*Tensor
			for i, s := range []*Session{keeps, takes} {
				out[i] = make([]*Tensor, 2)
				if err := s.Run(out[i], []*Tensor{x}); err != nil {
					t.Fatalf("exact=%v, batch %d: %v", exact, n, err)
				}
			}
			for i := range out[0] {
				if !bytes.Equal(out[0][i].mem, out[1][i].mem) {
					t.Errorf("exact=%v, batch %d: output %d differs from that of a session that keeps the weights", exact, n, i)
				}
			}
		}
		for id, c := range keeps.graph.consts {
			if c.Type == onnx.Float32 {
				restoredLike(t, keeps.graph.names[id], restored(takes.graph.consts[id]), c)
			}
		}
	}
}

// restoredLike allows two roundings, of a product and of the division that undoes
// it: 2^-24 each.
func restoredLike(t *testing.T, name string, got, want *Tensor) {
	t.Helper()
	g, w := view[float32](got), view[float32](want)
	if len(g) != len(w) {
		t.Errorf("%s: %d elements, want %d", name, len(g), len(w))
		return
	}
	for i := range w {
		if d := math.Abs(float64(g[i]) - float64(w[i])); d > 2.1*math.Abs(float64(w[i]))/(1<<24) {
			t.Errorf("%s[%d] = %v, want %v", name, i, g[i], w[i])
			return
		}
	}
}

// TestForget checks that the plan of a wrong guess is dropped, and with it the
// packed weights that no other plan reads.
func TestForget(t *testing.T) {
	// Winograd's transform of so many filters does not pay for one map of 4x4.
	const c, side = 128, 4
	s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 17}}, Graph: onnx.Graph{
		Inputs:       []onnx.ValueInfo{{Name: "x", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: c}, {Size: side}, {Size: side}}}},
		Outputs:      []onnx.ValueInfo{{Name: "y", Type: onnx.Float32}},
		Initializers: []onnx.Tensor{onnx.NewFloat32("w", kerneltest.Rand(152).Normal(c*c*9), c, c, 3, 3)},
		Nodes: []onnx.Node{{Op: "Conv", Inputs: []string{"x", "w"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{
			{Name: "pads", Type: onnx.AttributeInts, Ints: []int64{1, 1, 1, 1}}}}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	guessed := maps.Clone(s.packs)
	for plans, n := range []int{32, 1} {
		x := FromFloat32s(make([]float32, n*c*side*side), n, c, side, side)
		if err := s.Run(make([]*Tensor, 1), []*Tensor{x}); err != nil {
			t.Fatal(err)
		}
		if len(s.plans) != plans+1 {
			t.Errorf("%d plans after runs of %d shapes", len(s.plans), plans+1)
		}
		used := map[packKey]bool{}
		for _, p := range s.plans {
			for i := range p.packs {
				used[p.packs[i].key] = true
			}
		}
		if len(used) != len(s.packs) {
			t.Errorf("batch %d: %d packed weights, of which plans read %d", n, len(s.packs), len(used))
		}
		if plans > 0 {
			continue
		}
		for key := range s.packs {
			delete(guessed, key)
		}
		if len(guessed) == 0 {
			t.Error("a batch of 32 chooses the algorithms of one image: nothing was tested")
		}
	}
}
