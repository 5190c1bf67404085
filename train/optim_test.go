package train

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// scalar is one weight with its moments, updated in float64 by the formulas in
// torch.optim's documentation.
type scalar struct{ w, m, v, peak, mean float64 }

func (x *scalar) step(c OptimizerConfig, g, decay float64, step int) {
	if c.Maximize {
		g = -g
	}
	if c.Kind == AdamW {
		x.w -= c.LR * decay * x.w
	} else {
		g += decay * x.w
	}
	switch c.Kind {
	case SGD:
		if x.m = c.Momentum*x.m + (1-c.Dampening)*g; step == 1 {
			x.m = g
		}
		if c.Nesterov {
			g += c.Momentum * x.m
		} else if c.Momentum > 0 {
			g = x.m
		}
		x.w -= c.LR * g
	case Adam, AdamW:
		x.m = c.Beta1*x.m + (1-c.Beta1)*g
		x.v = c.Beta2*x.v + (1-c.Beta2)*g*g
		x.peak = max(x.peak, x.v)
		v := x.v
		if c.AMSGrad {
			v = x.peak
		}
		first, second := 1-math.Pow(c.Beta1, float64(step)), 1-math.Pow(c.Beta2, float64(step))
		x.w -= c.LR * x.m / first / (math.Sqrt(v/second) + c.Eps)
	case RMSprop:
		x.v = c.Alpha*x.v + (1-c.Alpha)*g*g
		v := x.v
		if c.Centered {
			x.mean = c.Alpha*x.mean + (1-c.Alpha)*g
			v -= x.mean * x.mean
		}
		x.m = c.Momentum*x.m + g/(math.Sqrt(v)+c.Eps)
		x.w -= c.LR * x.m
	}
}

// TestOptimizers compares every kind of optimizer and each of its options with
// float64. Gradients shrink from step to step, so that the largest moment is an
// early one. Weights stay below 8: in each of 6 steps theirs is rounded by at most
// 2^-22, and an update of at most 0.5 is off by less than that.
func TestOptimizers(t *testing.T) {
	const steps, tolerance = 6, 6 * 2 * 0x1p-22
	for i, c := range []OptimizerConfig{
		{Kind: SGD, LR: 0.1},
		{Kind: SGD, LR: 0.1, WeightDecay: 0.2},
		{Kind: SGD, LR: 0.1, Momentum: 0.9, WeightDecay: 0.2, SkipNormDecay: true},
		{Kind: SGD, LR: 0.1, Momentum: 0.9, Dampening: 0.5},
		{Kind: SGD, LR: 0.1, Momentum: 0.9, Nesterov: true, Maximize: true},
		{Kind: Adam, LR: 0.1, WeightDecay: 0.2},
		{Kind: Adam, LR: 0.1, Beta1: 0.8, Beta2: 0.9, Eps: 0.01},
		{Kind: Adam, LR: 0.1, Beta1: math.SmallestNonzeroFloat64, Beta2: 0.5},
		{Kind: Adam, LR: 0.1, Beta2: 0.5, AMSGrad: true, WeightDecay: 0.2},
		{Kind: AdamW, LR: 0.1, WeightDecay: 0.2, SkipNormDecay: true},
		{Kind: AdamW, LR: 0.1, Beta2: 0.5, AMSGrad: true, WeightDecay: 0.2, SkipNormDecay: true},
		{Kind: RMSprop, LR: 0.01},
		{Kind: RMSprop, LR: 0.01, Alpha: 0.9, Momentum: 0.5, WeightDecay: 0.2},
		{Kind: RMSprop, LR: 0.01, Alpha: 0.9, Centered: true, Eps: 0.01},
	} {
		t.Run(fmt.Sprintf("kind=%s/%d", c.Kind, i), func(t *testing.T) {
			kerneltest.ForEachISA(t, func(t *testing.T) {
				c, err := c.withDefaults()
				if err != nil {
					t.Fatal(err)
				}
				w, b := newParam("w", initConstant(0), 5, 7), newParam("b", initConstant(0), 3)
				b.Norm = true
				params := []*Param{w, b}
				o := newOptimizer(c, testParams(t, params))
				rng := rand.New(rand.NewPCG(3, 5))
				want := map[*Param][]scalar{w: make([]scalar, 35), b: make([]scalar, 3)}
				for _, p := range params {
					fillNormal(rng, p.Value)
					for i, v := range p.Value {
						want[p][i].w = float64(v)
					}
				}
				for step := 1; step <= steps; step++ {
					for _, p := range params {
						decay := c.WeightDecay
						if p == b && c.SkipNormDecay {
							decay = 0
						}
						for i := range p.Grad {
							p.Grad[i] = float32(rng.NormFloat64() * math.Exp2(-float64(step)))
							want[p][i].step(c, float64(p.Grad[i]), decay, step)
						}
					}
					o.step(c.LR)
					for _, p := range params {
						for i, got := range p.Value {
							if x := want[p][i].w; !(math.Abs(float64(got)-x) <= tolerance) {
								t.Fatalf("%+v: step %d, %s[%d]: %v, want %v", c, step, p.Name, i, got, x)
							}
						}
					}
				}
			})
		})
	}
}

// TestSchedules: rates at chosen steps of runs of 4 epochs of 4 steps.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   ScheduleConfig
		rates map[int]float64 // of base rate 2, by step
	}{
		{"constant", ScheduleConfig{Kind: Constant}, map[int]float64{0: 2, 15: 2}},
		{"warm-up", ScheduleConfig{Kind: Constant, Warmup: 0.5, WarmupFactor: 0.5}, map[int]float64{0: 1, 1: 1.5, 2: 2, 3: 2}},
		{"step", ScheduleConfig{Kind: StepDecay, StepSize: 1.5, Gamma: 0.5}, map[int]float64{0: 2, 5: 2, 6: 1, 11: 1, 12: 0.5}},
		{"multistep", ScheduleConfig{Kind: MultiStep, Milestones: []float64{1, 2.5, 2.5}}, map[int]float64{0: 2, 3: 2, 4: 0.2, 9: 0.2, 10: 0.002, 15: 0.002}},
		{"cosine", ScheduleConfig{MinLR: 1}, map[int]float64{0: 2, 4: 1.5 + math.Sqrt2/4, 8: 1.5, 16: 1}},
		{"shorter cosine", ScheduleConfig{Length: 2}, map[int]float64{0: 2, 4: 1, 8: 0}},
		{"one cycle", ScheduleConfig{Kind: OneCycle, Start: 0.3125, DivFactor: 4, FinalDivFactor: 10}, map[int]float64{0: 0.5, 2: 1.25, 4: 2, 15: 0.05}},
		{"one cycle that only falls", ScheduleConfig{Kind: OneCycle, Start: math.SmallestNonzeroFloat64}, map[int]float64{15: 2.0 / 25 / 1e4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := c.cfg.New(2, 4, 4)
			if err != nil {
				t.Fatal(err)
			}
			for step, want := range c.rates {
				// A dozen float64 operations on numbers up to 2.
				if got := s.LR(step); !(math.Abs(got-want) <= 12*0x1p-52) {
					t.Errorf("step %d: %v, want %v", step, got, want)
				}
			}
		})
	}
}

// TestBestEpoch: of epochs that are equally good the first is the best. By two images
// for validation several of six are.
func TestBestEpoch(t *testing.T) {
	c := stripeConfig(t)
	c.Epochs, c.Data.Val = 6, stripes(t, 2, 2)
	r := mustFit(t, c)
	best := slices.MaxFunc(r.Epochs, func(a, b EpochMetrics) int {
		return cmp.Compare(a.ValAcc, b.ValAcc)
	})
	equal := 0
	for _, m := range r.Epochs {
		if m.ValAcc == best.ValAcc {
			equal++
		}
	}
	if equal < 2 {
		t.Fatalf("one best epoch of %d: nothing to choose", len(r.Epochs))
	}
	if r.BestEpoch != best.Epoch {
		t.Errorf("best epoch %d, want %d, the first of %d", r.BestEpoch, best.Epoch, equal)
	}
}
