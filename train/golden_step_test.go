package train

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// goldenNet builds the network of the reference steps: a stem, two residual
// blocks of channels and 2*channels, squeeze and excitation, a classifier.
func goldenNet(t *testing.T, image Shape, channels, classes, reduction int, rescale bool) *Model {
	t.Helper()
	g, x := NewGraph(image)
	add := func(name string, x Value, k, size, stride int) Value {
		l := NewConv2D(name, conv.Shape{C: g.Shape(x).C, K: k, R: size, S: size, StrideH: stride, StrideW: stride,
			PadTop: size / 2, PadLeft: size / 2, PadBottom: size / 2, PadRight: size / 2}, false)
		l.Accuracy = conv.Exact
		return g.Add(l, x)
	}
	x = add("stem", x, channels, 3, 1)
	x = g.Add(NewBatchNorm("bn", channels, kernels.ReLU), x)
	for i, k := range []int{channels, 2 * channels} {
		name, stride, shortcut := fmt.Sprintf("block%d", i+1), i+1, x
		y := add(name+".conv1", x, k, 3, stride)
		y = g.Add(NewBatchNorm(name+".bn1", k, kernels.ReLU), y)
		y = add(name+".conv2", y, k, 3, 1)
		if stride == 2 {
			shortcut = add(name+".down.0", x, k, 1, stride)
			shortcut = g.Add(NewBatchNorm(name+".down.1", k, kernels.Identity), shortcut)
		}
		x = g.Add(NewBatchNorm(name+".bn2", k, kernels.ReLU), y, shortcut)
	}
	c := 2 * channels
	out := g.AddAll(NewSE("se_fc1", "se_fc2", c, c/reduction, rescale), x)
	if rescale {
		x = out[0]
	}
	features := g.Add(NewGlobalAvgPool("pool"), x)
	logits := g.Add(NewLinear("fc", c, classes, true), features)
	g.SetOutputs(logits, features, out[len(out)-1])
	m, err := NewModel(g, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenTrainStep runs the reference's SGD steps on a whole network.
func TestGoldenTrainStep(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "trainstep", goldenTrainStep)
	})
}

func goldenTrainStep(t *testing.T, c *kerneltest.Case) {
	shape := c.Shape("x0")
	n, image := shape[0], Shape{shape[2], shape[3], shape[1]}
	if n != c.Int("batch") {
		t.Fatalf("batch %d of %v", c.Int("batch"), shape)
	}
	m := goldenNet(t, image, c.Int("channels"), c.Int("classes"), c.Int("se_reduction"), c.Bool("rescale"))
	err := m.Load(func(name string) ([]int, []float32, error) {
		return c.Shape("init." + name), c.F32("init." + name), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	loss := LossConfig{Kind: LossCC, Lambda: c.Float("lam")}
	if loss.CC.Metric, err = ccloss.ParseMetric(c.Str("metric")); err != nil {
		t.Fatal(err)
	}
	if loss.CC.Form, err = ccloss.ParseForm(c.Str("form")); err != nil {
		t.Fatal(err)
	}
	loss.CC.Margin, loss.CC.Eps = optional(c, "margin", 0), optional(c, "eps", 0)
	if loss, err = loss.withDefaults(); err != nil {
		t.Fatal(err)
	}
	goal, err := newObjective(loss, m, n)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.NewPlan(PlanOptions{Batch: n, Train: true, Gradients: goal.in.values()})
	if err != nil {
		t.Fatal(err)
	}
	arena := kernels.AlignedFloats(p.Size())
	for i := range arena {
		arena[i] = float32(math.NaN()) // nothing may count on what a buffer held
	}
	p.Bind(arena)
	o := newOptimizer(OptimizerConfig{Kind: SGD, LR: c.Float("lr"), Momentum: c.Float("momentum"), WeightDecay: c.Float("weight_decay"),
		Nesterov: c.Has("nesterov") && c.Bool("nesterov")}, m.set)
	var losses []float32
	logits, _, attentions := m.Outputs()
	for k := 0; c.Has(fmt.Sprintf("x%d", k)); k++ {
		x := kerneltest.ToNHWC(c.F32(fmt.Sprintf("x%d", k)), n, image.C, image.H, image.W)
		p.Forward(x, uint64(k))
		l := goal.compute(p, c.Labels(fmt.Sprintf("y%d", k)), nil, nil, loss.Lambda)
		losses = append(losses, float32(l.Total), float32(l.CE), float32(l.Aux))
		kerneltest.Close(t, fmt.Sprintf("logits%d", k), p.Output(logits), c.F32(fmt.Sprintf("logits%d", k)), 1e-5, 2e-5)
		kerneltest.Close(t, fmt.Sprintf("attention%d", k), p.Output(attentions[0]), c.F32(fmt.Sprintf("attention%d", k)), 1e-5, 2e-5)
		p.Backward()
		o.step(c.Float("lr"))
	}
	kerneltest.Close(t, "losses", losses, c.F32("losses"), 1e-5, 2e-5)
	for _, q := range m.Params() {
		kerneltest.Close(t, q.Name, q.Value, c.F32("final."+q.Name), 1e-5, 2e-5)
	}
	for _, name := range c.Tensors() {
		if strings.HasPrefix(name, "final.") && m.Param(strings.TrimPrefix(name, "final.")) == nil {
			t.Errorf("not understood: %s", name)
		}
	}
}
