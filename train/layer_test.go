package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// layerRun is a layer planned by itself, with buffers of its own.
type layerRun struct {
	op Op
	io *IO
}

func newLayerRun(t *testing.T, l Layer, n int, in []Shape, train bool) *layerRun {
	t.Helper()
	out, err := l.Outputs(in)
	if err != nil {
		t.Fatal(err)
	}
	op, err := l.Plan(n, in, train)
	if err != nil {
		t.Fatal(err)
	}
	r := &layerRun{op, &IO{Train: train, Work: nanSlice(op.Needs().Work), Step: 7}}
	for _, s := range in {
		r.io.Src = append(r.io.Src, make([]float32, n*s.Size()))
		r.io.DSrc = append(r.io.DSrc, nanSlice(n*s.Size()))
	}
	for _, s := range out {
		r.io.Dst = append(r.io.Dst, nanSlice(n*s.Size()))
		r.io.DDst = append(r.io.DDst, make([]float32, n*s.Size()))
	}
	return r
}

// nanSlice returns a slice that shows every element nobody wrote.
func nanSlice(n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(math.NaN())
	}
	return s
}

// testParams gives tensors storage without initialising it.
func testParams(t *testing.T, params []*Param) *paramSet {
	t.Helper()
	set, err := newParamSet(params)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func fillNormal(rng *rand.Rand, x []float32) {
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
}

// layerCases are all layers with inputs of n samples.
func layerCases() []struct {
	name  string
	layer Layer
	n     int
	in    []Shape
} {
	geometry := conv.Shape{C: 3, K: 5, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, StrideH: 2, StrideW: 2}
	return []struct {
		name  string
		layer Layer
		n     int
		in    []Shape
	}{
		{"conv", NewConv2D("l", geometry, true), 2, []Shape{{5, 4, 3}}},
		{"linear", NewLinear("l", 7, 5, true), 3, []Shape{{1, 1, 7}}},
		{"linear/bias=no", NewLinear("l", 7, 5, false), 1, []Shape{{1, 1, 7}}},
		{"cosine", NewCosineLinear("l", 7, 5), 3, []Shape{{1, 1, 7}}},
		{"batchnorm", NewBatchNorm("l", 3, kernels.Identity), 3, []Shape{{2, 3, 3}}},
		{"batchnorm/residual", NewBatchNorm("l", 3, kernels.Identity), 3, []Shape{{2, 3, 3}, {2, 3, 3}}},
		{"batchnorm/act=relu", NewBatchNorm("l", 3, kernels.ReLU), 3, []Shape{{2, 3, 3}}},
		{"batchnorm/act=relu/residual", NewBatchNorm("l", 3, kernels.ReLU), 3, []Shape{{2, 3, 3}, {2, 3, 3}}},
		{"batchnorm/act=relu6", NewBatchNorm("l", 3, kernels.ReLU6), 3, []Shape{{2, 3, 3}}},
		{"gatednorm", &GatedNorm{NewBatchNorm("l", 6, kernels.Identity), NewSE("l1", "l2", 6, 3, true), kernels.ReLU}, 3, []Shape{{2, 3, 6}, {2, 3, 6}}},
		{"gatednorm/act=relu6", &GatedNorm{NewBatchNorm("l", 4, kernels.Identity), NewSE("l1", "l2", 4, 2, true), kernels.ReLU6}, 2, []Shape{{3, 3, 4}, {3, 3, 4}}},
		{"relu", NewActivate("l", kernels.ReLU), 2, []Shape{{2, 3, 3}}},
		{"silu", NewActivate("l", kernels.SiLU), 2, []Shape{{2, 3, 3}}},
		{"add", NewAdd("l"), 2, []Shape{{2, 3, 3}, {2, 3, 3}}},
		{"flatten", NewFlatten("l"), 2, []Shape{{2, 3, 5}}},
		{"dropout", NewDropout("l", 0.4), 2, []Shape{{2, 3, 5}}},
		{"globalavgpool", NewGlobalAvgPool("l"), 2, []Shape{{2, 3, 5}}},
		{"globalavgpool/view", NewGlobalAvgPool("l"), 2, []Shape{{1, 1, 5}}},
		{"maxpool", NewMaxPool("l", 3, 2, 1), 2, []Shape{{5, 4, 3}}},
		{"avgpool", NewAvgPool("l", 2, 2, 0), 2, []Shape{{4, 4, 3}}},
		{"se", NewSE("l1", "l2", 6, 3, true), 2, []Shape{{2, 3, 6}}},
		{"eca", NewECA("l", 6, true), 2, []Shape{{2, 3, 6}}},
		{"cbam", NewCBAM("l1", "l2", 6, 3, true), 2, []Shape{{2, 3, 6}}},
		{"se/rescale=no", NewSE("l1", "l2", 6, 3, false), 2, []Shape{{2, 3, 6}}},
	}
}

// TestLayerGradients compares every gradient of every layer with central
// differences of L = sum(gy*y) with random gy. The step is h = 2^-6: with values
// of about 1 the forward pass in float32 is good to about 1e-6, which leaves an
// error of 1e-6/h = 6e-5 per difference, summed over some tens of outputs; the
// third derivative adds h^2/6 = 4e-5 of it. A kink of ReLU within h of a value
// makes a difference meaningless there, so inputs that come close are moved.
func TestLayerGradients(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range layerCases() {
			t.Run(c.name, func(t *testing.T) { testLayerGradient(t, c.layer, c.n, c.in) })
		}
	})
}

func testLayerGradient(t *testing.T, l Layer, n int, in []Shape) {
	const seed = 12
	rng := rand.New(rand.NewPCG(seed, 1))
	set := testParams(t, l.Params())
	set.initialise(seed)
	for _, p := range l.Params() {
		if !p.Buffer {
			for i := range p.Value {
				p.Value[i] += float32(rng.NormFloat64() * 0.3)
			}
			copy(p.Grad, nanSlice(len(p.Grad)))
		}
	}
	r := newLayerRun(t, l, n, in, true)
	for _, x := range r.io.Src {
		fillNormal(rng, x)
		for i, v := range x {
			if math.Abs(float64(v)) < 0.05 {
				x[i] = 0.05
			}
		}
	}
	for _, g := range r.io.DDst {
		fillNormal(rng, g)
	}
	loss := func() float64 {
		r.op.Forward(r.io)
		sum := 0.0
		for k, y := range r.io.Dst {
			for i, v := range y {
				sum += float64(v) * float64(r.io.DDst[k][i])
			}
		}
		return sum
	}
	loss()
	grads := make([][]float32, len(r.io.DDst))
	for k, g := range r.io.DDst {
		grads[k] = append([]float32(nil), g...) // Backward may use the buffer
	}
	r.op.Backward(r.io)
	for k := range grads {
		copy(r.io.DDst[k], grads[k])
	}
	for k, x := range r.io.Src {
		compareDifferences(t, fmt.Sprintf("dsrc%d", k), x, r.io.DSrc[k], loss)
	}
	for _, p := range set.trained {
		compareDifferences(t, p.Name, p.Value, append([]float32(nil), p.Grad...), loss)
	}
}

// TestDropout: what is dropped is drawn by step and layer, and the rest scaled so that
// the mean stays. Of 10,000 elements a quarter goes, more or less six standard
// deviations of 43; of two independent choices both take 625, more or less six of 24.
func TestDropout(t *testing.T) {
	mask := func(name string, step uint64) []bool {
		r := newLayerRun(t, NewDropout(name, 0.25), 2, []Shape{{50, 50, 2}}, true)
		x, y := r.io.Src[0], r.io.Dst[0]
		for i := range x {
			x[i] = 3
		}
		r.io.Step = step
		r.op.Forward(r.io)
		gone, count := make([]bool, len(y)), 0
		for i, v := range y {
			if gone[i] = v == 0; gone[i] {
				count++
			} else if math.Abs(float64(v)-4) > 4*0x1p-24 {
				t.Fatalf("%v of 3 at a rate of 1/4", v)
			}
		}
		if count < 2240 || count > 2760 {
			t.Errorf("%s, step %d: %d of %d dropped", name, step, count, len(y))
		}
		return gone
	}
	first := mask("a", 1)
	for _, other := range [][]bool{mask("b", 1), mask("a", 2), mask("a", 1<<40)} {
		both := 0
		for i, gone := range first {
			if gone && other[i] {
				both++
			}
		}
		if both < 480 || both > 770 {
			t.Errorf("%d elements dropped by two layers or steps", both)
		}
	}
	if !slices.Equal(first, mask("a", 1)) {
		t.Error("the same layer and step drop others")
	}
	r := newLayerRun(t, NewDropout("a", 0.25), 1, []Shape{{1, 1, 3}}, false)
	copy(r.io.Src[0], []float32{1, 2, 3})
	if r.op.Forward(r.io); !slices.Equal(r.io.Dst[0], r.io.Src[0]) {
		t.Errorf("%v without training", r.io.Dst[0])
	}
}

func compareDifferences(t *testing.T, name string, x, got []float32, loss func() float64) {
	t.Helper()
	const h = 1.0 / 64
	for i, v := range x {
		x[i] = v + h
		up := loss()
		x[i] = v - h
		down := loss()
		x[i] = v
		want := (up - down) / (2 * h)
		if d := math.Abs(float64(got[i]) - want); !(d <= 2e-3*(1+math.Abs(want))) {
			t.Errorf("%s[%d]: got %v, central difference %v", name, i, got[i], want)
		}
	}
}
