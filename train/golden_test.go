package train

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// golden runs f over the reference cases of op on every ISA.
func golden(t *testing.T, op string, f func(t *testing.T, c *kerneltest.Case)) {
	kerneltest.ForEachISA(t, func(t *testing.T) { kerneltest.Golden(t, op, f) })
}

// The tolerance of the reference cases: float32 inputs and results of a few
// hundred operations each.
const atol, rtol = 1e-5, 2e-5

func TestGoldenCrossEntropy(t *testing.T) {
	golden(t, "crossentropy", func(t *testing.T, c *kerneltest.Case) {
		testClassification(t, c, LossConfig{Kind: LossCE, LabelSmoothing: optional(c, "label_smoothing", 0)})
	})
}

func TestGoldenFocal(t *testing.T) {
	golden(t, "focal", func(t *testing.T, c *kerneltest.Case) {
		testClassification(t, c, LossConfig{Kind: LossFocal, Gamma: optional(c, "gamma", 2)})
	})
}

// reduction is what a case's loss over n samples is, divided by the mean: torch's
// reduction, and alpha, the constant factor of the focal loss.
func reduction(t *testing.T, c *kerneltest.Case, n int) float64 {
	t.Helper()
	factor := optional(c, "alpha", 1)
	if !c.Has("reduction") {
		return factor
	}
	switch c.Str("reduction") {
	case "mean":
		return factor
	case "sum":
		return factor * float64(n)
	}
	t.Fatalf("not understood: reduction %q", c.Str("reduction"))
	return 0
}

// optional reads a number that a case may lack.
func optional(c *kerneltest.Case, key string, byDefault float64) float64 {
	if c.Has(key) {
		return c.Float(key)
	}
	return byDefault
}

func testClassification(t *testing.T, c *kerneltest.Case, cfg LossConfig) {
	shape := c.Shape("logits")
	io := &lossIO{logits: c.F32("logits"), labels: c.Labels("labels"), dLogits: nanSlice(shape[0] * shape[1])}
	loss := newCrossEntropy(cfg, shape[0], shape[1]).compute(io)
	if factor := reduction(t, c, shape[0]); factor != 1 {
		loss *= factor
		kernels.Scale(float32(factor), io.dLogits)
	}
	kerneltest.Close(t, "loss", []float32{float32(loss)}, c.F32("loss"), atol, rtol)
	kerneltest.Close(t, "glogits", io.dLogits, c.F32("glogits"), atol, rtol)
}

func TestGoldenCenter(t *testing.T) {
	golden(t, "center", func(t *testing.T, c *kerneltest.Case) {
		f, k := c.Shape("features"), c.Shape("centers")
		l := newCenterLoss(f[0], k[0], k[1])
		set := testParams(t, l.params())
		copy(l.centers.Value, c.F32("centers"))
		io := &lossIO{features: c.F32("features"), labels: c.Labels("labels"), dFeatures: nanSlice(f[0] * f[1])}
		loss := l.compute(io, 1)
		kerneltest.Close(t, "loss", []float32{float32(loss)}, c.F32("loss"), atol, rtol)
		kerneltest.Close(t, "gfeatures", io.dFeatures, c.F32("gfeatures"), atol, rtol)
		kerneltest.Close(t, "gcenters", set.byName["loss.centers"].Grad, c.F32("gcenters"), atol, rtol)
	})
}

func TestGoldenMarginSoftmax(t *testing.T) {
	golden(t, "marginsoftmax", func(t *testing.T, c *kerneltest.Case) {
		f, k := c.Shape("features"), c.Shape("weights")
		n, classes := f[0], k[0]
		cfg := LossConfig{Kind: strings.ToLower(c.Str("kind")), Scale: c.Float("scale"), Margin: c.Float("margin")}
		if !cfg.CosineHead() {
			t.Fatalf("not understood: kind %q", cfg.Kind)
		}
		l := NewCosineLinear("fc", k[1], classes)
		testParams(t, l.Params())
		copy(l.Weight.Value, c.F32("weights"))
		r := newLayerRun(t, l, n, []Shape{{1, 1, f[1]}}, true)
		r.io.Src[0] = c.F32("features")
		r.op.Forward(r.io)
		loss := newCrossEntropy(cfg, n, classes).compute(&lossIO{logits: r.io.Dst[0], dLogits: r.io.DDst[0], labels: c.Labels("labels")})
		r.op.Backward(r.io)
		kerneltest.Close(t, "loss", []float32{float32(loss)}, c.F32("loss"), atol, rtol)
		kerneltest.Close(t, "gfeatures", r.io.DSrc[0], c.F32("gfeatures"), atol, rtol)
		kerneltest.Close(t, "gweights", l.Weight.Grad, c.F32("gweights"), atol, rtol)
	})
}

func TestGoldenLinear(t *testing.T) {
	golden(t, "linear", func(t *testing.T, c *kerneltest.Case) {
		x, w := c.Shape("x"), c.Shape("w")
		l := NewLinear("fc", w[1], w[0], c.Has("b"))
		testParams(t, l.Params())
		copy(l.Weight.Value, c.F32("w"))
		if l.Bias != nil {
			copy(l.Bias.Value, c.F32("b"))
		}
		r := newLayerRun(t, l, x[0], []Shape{{1, 1, x[1]}}, true)
		r.io.Src[0], r.io.DDst[0] = c.F32("x"), c.F32("gy")
		r.op.Forward(r.io)
		r.op.Backward(r.io)
		n, in, out := x[0], x[1], w[0]
		product := func(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int) []float64 {
			_, magnitude := kerneltest.GemmRef(transA, transB, m, n, k, 1, a, lda, b, ldb, 0, nil, n)
			return magnitude
		}
		xs, ws, gy := r.io.Src[0], c.F32("w"), r.io.DDst[0]
		kerneltest.CloseSums(t, "y", r.io.Dst[0], c.F32("y"), product(false, true, n, out, in, xs, in, ws, in), atol, rtol)
		kerneltest.CloseSums(t, "gx", r.io.DSrc[0], c.F32("gx"), product(false, false, n, in, out, gy, out, ws, in), atol, rtol)
		kerneltest.CloseSums(t, "gw", l.Weight.Grad, c.F32("gw"), product(true, false, out, in, n, gy, out, xs, in), atol, rtol)
		if l.Bias != nil {
			kerneltest.Close(t, "gb", l.Bias.Grad, c.F32("gb"), atol, rtol)
		}
	})
}

func TestGoldenBatchNorm(t *testing.T) {
	golden(t, "batchnorm", func(t *testing.T, c *kerneltest.Case) {
		k := kerneltest.ReadNorm(c)
		l := NewBatchNorm("bn", k.C, kernels.Identity)
		l.Eps, l.Momentum = k.Eps, k.Momentum
		testParams(t, l.Params()).initialise(1)
		copy(l.Weight.Value, k.Gamma)
		copy(l.Bias.Value, k.Beta)
		in := []Shape{{1, 1, k.C}}
		r := newLayerRun(t, l, k.Rows, in, true)
		r.io.Src[0], r.io.DDst[0] = k.X, k.DY
		r.op.Forward(r.io)
		r.op.Backward(r.io)
		kerneltest.CloseSums(t, "y", r.io.Dst[0], k.Y, k.MagY, atol, rtol)
		kerneltest.CloseSums(t, "gx", r.io.DSrc[0], k.DX, k.MagDX, atol, rtol)
		if k.Affine {
			kerneltest.CloseSums(t, "ggamma", l.Weight.Grad, k.DGamma, k.MagGamma, atol, rtol)
			kerneltest.Close(t, "gbeta", l.Bias.Grad, k.DBeta, atol, rtol)
		}
		kerneltest.Close(t, "running_mean", l.RunningMean.Value, k.RunningMean, atol, rtol)
		kerneltest.Close(t, "running_var", l.RunningVar.Value, k.RunningVar, atol, rtol)
		e := newLayerRun(t, l, k.Rows, in, false)
		e.io.Src[0] = k.X
		e.op.Forward(e.io)
		kerneltest.CloseSums(t, "y_eval", e.io.Dst[0], k.YEval, k.MagEval, atol, rtol)
	})
}

// TestGoldenOptim repeats the reference's updates. Each is a handful of float32
// operations on weights of about 1, so after six of them an error of a few units
// in the last place, 2^-24, is all that is allowed.
func TestGoldenOptim(t *testing.T) {
	golden(t, "optim", func(t *testing.T, c *kerneltest.Case) {
		cfg := optimConfig(t, c)
		p := newParam("p", initConstant(0), c.Shape("p0")...)
		set := testParams(t, []*Param{p})
		copy(p.Value, c.F32("p0"))
		o := newOptimizer(cfg, set)
		for k := 1; c.Has(fmt.Sprintf("g%d", k)); k++ {
			copy(p.Grad, c.F32(fmt.Sprintf("g%d", k)))
			o.step(cfg.LR)
			kerneltest.Close(t, fmt.Sprintf("p%d", k), p.Value, c.F32(fmt.Sprintf("p%d", k)), 4e-7, 4e-7)
		}
	})
}

// optimConfig reads the settings of an optimizer of torch.optim. Which one can be
// told from their names, but for adam and adamw, which the case's name or
// decoupled_weight_decay tells.
func optimConfig(t *testing.T, c *kerneltest.Case) OptimizerConfig {
	flag := func(key string) bool { return c.Has(key) && c.Bool(key) }
	cfg := OptimizerConfig{LR: c.Float("lr"), WeightDecay: optional(c, "weight_decay", 0), Maximize: flag("maximize")}
	for _, key := range []string{"capturable", "differentiable", "fused", "foreach", "initial_lr"} {
		if c.Has(key) { // how torch computes it, not what
			c.Str(key)
		}
	}
	switch {
	case c.Has("betas"):
		cfg.Kind = Adam
		if decoupled := flag("decoupled_weight_decay"); decoupled || strings.HasPrefix(c.Name, AdamW) {
			cfg.Kind = AdamW
		}
		betas := c.Floats("betas")
		if len(betas) != 2 {
			t.Fatalf("not understood: betas %v", betas)
		}
		cfg.Beta1, cfg.Beta2, cfg.Eps, cfg.AMSGrad = betas[0], betas[1], optional(c, "eps", 1e-8), flag("amsgrad")
	case c.Has("alpha"):
		cfg.Kind = RMSprop
		cfg.Momentum, cfg.Alpha, cfg.Eps, cfg.Centered = optional(c, "momentum", 0), c.Float("alpha"), optional(c, "eps", 1e-8), flag("centered")
	case c.Has("momentum") || strings.HasPrefix(c.Name, SGD):
		cfg.Kind = SGD
		cfg.Momentum, cfg.Dampening, cfg.Nesterov = optional(c, "momentum", 0), optional(c, "dampening", 0), flag("nesterov")
	default:
		t.Fatal("not understood: unknown optimizer")
	}
	return cfg
}

// TestGoldenSchedule compares learning rates step by step: float64 formulas
// against values rounded to float32, so within one rounding, 2^-24 relative. A
// cosine that ends at 0 does so up to a rounding of its base rate in float64,
// where cos(pi) is -1 to 2^-53.
func TestGoldenSchedule(t *testing.T) {
	golden(t, "schedule", func(t *testing.T, c *kerneltest.Case) {
		want := c.F32("lr")
		cfg, base := scheduleConfig(t, c)
		s, err := cfg.New(base, len(want), 1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		for i := range got {
			got[i] = float32(s.LR(i))
		}
		kerneltest.Close(t, "lr", got, want, 4e-16*base, 1.2e-7)
	})
}

// scheduleConfig reads the settings of a schedule of torch.optim.lr_scheduler,
// which one can tell from their names, and the base rate.
func scheduleConfig(t *testing.T, c *kerneltest.Case) (ScheduleConfig, float64) {
	base := optional(c, "base_lr", 0)
	cfg := ScheduleConfig{Gamma: optional(c, "gamma", 0.1)}
	switch {
	case c.Has("max_lr"), c.Has("total_steps"):
		if c.Has("anneal_strategy") && c.Str("anneal_strategy") != "cos" || c.Has("three_phase") && c.Bool("three_phase") {
			t.Fatal("not understood: a cycle of other curves")
		}
		if c.Int("total_steps") < len(c.F32("lr")) {
			t.Fatal("not understood: a cycle that is over before the run")
		}
		return ScheduleConfig{Kind: OneCycle, Length: c.Float("total_steps"), Start: optional(c, "pct_start", 0.3),
			DivFactor: optional(c, "div_factor", 25), FinalDivFactor: optional(c, "final_div_factor", 1e4)}, optional(c, "max_lr", base)
	case c.Has("step_size"):
		cfg.Kind, cfg.StepSize = StepDecay, c.Float("step_size")
	case c.Has("milestones"):
		cfg.Kind, cfg.Milestones = MultiStep, c.Floats("milestones")
	case c.Has("T_max"):
		cfg.Kind, cfg.Length, cfg.MinLR = Cosine, c.Float("T_max"), optional(c, "eta_min", 0)
	case c.Has("gamma"): // at every step
		cfg.Kind, cfg.StepSize = StepDecay, 1
	case c.Has("total_iters"):
		cfg.Kind = Constant
	default:
		t.Fatal("not understood: unknown schedule")
	}
	warm := ""
	for _, key := range []string{"total_iters", "warmup", "warmup_steps", "warmup_iters"} {
		if c.Has(key) {
			warm = key
		}
	}
	if warm == "" {
		return cfg, base
	}
	if optional(c, "end_factor", 1) != 1 {
		t.Fatal("not understood: a warm-up that does not end at the base rate")
	}
	cfg.Warmup, cfg.WarmupFactor = c.Float(warm), optional(c, "start_factor", 0)
	return cfg, base
}
