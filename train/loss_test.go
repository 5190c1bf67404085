package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// vectorModel is a graph whose outputs are views of its inputs' parts as far as
// losses care: scores of k classes, features of f and one attention of c.
func vectorModel(t *testing.T, f, k int, cosine bool) *Model {
	t.Helper()
	g, x := NewGraph(Shape{1, 1, 5})
	features := g.Add(NewLinear("features", 5, f, true), x)
	var logits Value
	if cosine {
		logits = g.Add(NewCosineLinear("fc", f, k), features)
	} else {
		logits = g.Add(NewLinear("fc", f, k, true), features)
	}
	two := g.AddAll(NewSE("se1", "se2", f, 3, false), features)
	one := g.AddAll(NewSE("se3", "se4", f, 3, false), features)
	if g.err != nil {
		t.Fatal(g.err)
	}
	g.SetOutputs(logits, features, two[0], one[0])
	m, err := NewModel(g, 2)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLossGradients compares the gradients of every loss with respect to scores,
// features and attention vectors with central differences of its own value. The
// step is h = 2^-10: values come as float64 sums of float32 terms of about 1, good
// to about 1e-7 relative to their size, which leaves 1e-7/h = 1e-4.
func TestLossGradients(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, kind := range LossKinds() {
			t.Run("loss="+kind, func(t *testing.T) { testLossGradient(t, LossConfig{Kind: kind, Lambda: 0.7}) })
		}
		for _, metric := range []ccloss.Metric{ccloss.SquaredEuclidean, ccloss.Euclidean} {
			for _, form := range []ccloss.Form{ccloss.Ratio, ccloss.Difference, ccloss.Margin} {
				t.Run(fmt.Sprintf("loss=cc/metric=%v/form=%v/stages=2", metric, form), func(t *testing.T) {
					testLossGradient(t, LossConfig{Kind: LossCC, Lambda: 0.7, LabelSmoothing: 0.1, Stages: 2,
						CC: ccloss.Options{Metric: metric, Form: form}})
				})
			}
		}
		t.Run("loss=focal/gamma=0.5", func(t *testing.T) { testLossGradient(t, LossConfig{Kind: LossFocal, Gamma: 0.5}) })
	})
}

func testLossGradient(t *testing.T, cfg LossConfig) {
	const n, f, k, seed = 7, 6, 4, 21
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o, err := newObjective(cfg, vectorModel(t, f, k, cfg.CosineHead()), n)
	if err != nil {
		t.Fatal(err)
	}
	testParams(t, o.params()).initialise(seed)
	io := &o.io
	io.labels = []int32{0, 1, 2, 1, 0, 1, 3}
	random := func(c int, scale, shift float64) []float32 {
		x := make([]float32, n*c)
		for i := range x {
			x[i] = float32(shift + scale*rng.NormFloat64())
		}
		return x
	}
	io.logits, io.dLogits = random(k, 0.3, 0), nanSlice(n*k)
	io.features, io.dFeatures = random(f, 1, 0), nanSlice(n*f)
	for i := range io.attentions {
		io.attentions[i], io.dAttentions[i] = random(f, 0.15, 0.5), nanSlice(n*f)
	}
	loss := func() float64 {
		total := o.ce.compute(io)
		if o.aux != nil {
			total += cfg.Lambda * o.aux.compute(io, cfg.Lambda)
		}
		return total
	}
	loss()
	check := func(name string, x, d []float32) {
		got := append([]float32(nil), d...)
		const h = 1.0 / 1024
		for i, v := range x {
			x[i] = v + h
			up := loss()
			x[i] = v - h
			down := loss()
			x[i] = v
			want := (up - down) / (2 * h)
			if diff := math.Abs(float64(got[i]) - want); !(diff <= 1e-3*(1+math.Abs(want))) {
				t.Errorf("seed %d: %s[%d]: got %v, central difference %v", seed, name, i, got[i], want)
			}
		}
	}
	check("dlogits", io.logits, io.dLogits)
	if o.in.features >= 0 {
		check("dfeatures", io.features, io.dFeatures)
	}
	for i := range io.attentions {
		check(fmt.Sprintf("dattention%d", i), io.attentions[i], io.dAttentions[i])
	}
}

// TestLossDegenerate: batches without a pair of one kind give no NaN.
func TestLossDegenerate(t *testing.T) {
	for _, kind := range LossKinds() {
		for _, labels := range [][]int32{{0, 0, 0}, {0, 1, 2}, {2}} {
			cfg, err := LossConfig{Kind: kind, Lambda: 1}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			m := vectorModel(t, 4, 3, cfg.CosineHead())
			o, err := newObjective(cfg, m, len(labels))
			if err != nil {
				t.Fatal(err)
			}
			testParams(t, o.params()).initialise(1)
			p, err := m.NewPlan(PlanOptions{Batch: len(labels), Train: true, Gradients: o.in.values()})
			if err != nil {
				t.Fatal(err)
			}
			p.Bind(nanSlice(p.Size()))
			p.Forward(make([]float32, 5*len(labels)), 0)
			l := o.compute(p, labels, nil, nil, 1)
			p.Backward()
			if !finite(l.Total) {
				t.Errorf("loss %s of labels %v: %v", kind, labels, l)
			}
			for _, q := range m.Params() {
				if !allFinite(q.Grad) {
					t.Errorf("loss %s of labels %v: gradient of %s", kind, labels, q.Name)
				}
			}
		}
	}
}

// TestAccumulate: the mean gradient over two batches is that over both at once,
// for a network whose samples do not interact.
func TestAccumulate(t *testing.T) {
	var got [2][]float32
	for i, batch := range []int{20, 10} {
		c := stripeConfig(t)
		c.Model = linearModel(t)
		c.Loss = LossConfig{}
		c.Epochs, c.Batch, c.Accumulate = 1, batch, i+1
		c.ClipNorm, c.EMA = 0, 0
		mustFit(t, c)
		got[i] = c.Model.set.values
	}
	// Sums of 20 terms in another order, five steps of size 0.1.
	kerneltest.Close(t, "weights", got[1], got[0], 1e-6, 1e-6)
}

func linearModel(t *testing.T) *Model {
	t.Helper()
	g, x := NewGraph(Shape{8, 8, 2})
	x = g.Add(NewFlatten("flatten"), x)
	g.SetOutputs(g.Add(NewLinear("fc", 128, 3, true), x), x)
	m, err := NewModel(g, 4)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestClip: the norm of a gradient is what float64 says, and clipping leaves its
// direction.
func TestClip(t *testing.T) {
	const seed = 6
	p := newParam("p", initNormal(1), 3*normBlock+5)
	set := testParams(t, []*Param{p})
	fillNormal(rand.New(rand.NewPCG(seed, 1)), p.Grad)
	want := 0.0
	for _, v := range p.Grad {
		want += float64(v) * float64(v)
	}
	// Blocks of 4096 float32 squares: at most 4096*2^-24 relative.
	if got := newNormer([]*paramSet{set}).norm(); math.Abs(got-math.Sqrt(want)) > 2.5e-4*got {
		t.Errorf("norm %v, want %v", got, math.Sqrt(want))
	}
}

// TestAverage: a constant is its own average, and a step is approached by the
// stated weights.
func TestAverage(t *testing.T) {
	p := newParam("p", initConstant(0), 1)
	set := testParams(t, []*Param{p})
	set.initialise(1)
	a := newAverage(set, 0.5)
	p.Value[0] = 1
	want := 0.0
	for u := 1; u <= 20; u++ {
		a.update()
		d := math.Min(0.5, float64(1+u)/float64(10+u))
		want = d*want + (1 - d)
		if got := float64(a.values[0]); math.Abs(got-want) > 1e-6 {
			t.Fatalf("update %d: %v, want %v", u, got, want)
		}
	}
	a.swap()
	if p.Value[0] != a.set.values[0] || a.values[0] != 1 {
		t.Error("swap does not exchange")
	}
}
