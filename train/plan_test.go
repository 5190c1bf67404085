package train

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/train/data"
)

// testSpecs are all models, narrow, with all kinds and placements of attention.
func testSpecs() []Spec {
	var specs []Spec
	for _, name := range Backbones() {
		s := Spec{Name: name, Image: Shape{32, 32, 3}, Classes: 7, Width: 0.125}
		specs = append(specs, s)
		s.Name, s.Dropout = "se-"+name, 0.2
		specs = append(specs, s)
		s.Placement, s.NoRescale = AtStages, true
		specs = append(specs, s)
	}
	base := Spec{Image: Shape{13, 10, 1}, Classes: 3, Width: 0.5}
	for _, name := range []string{"se-resnet8", "eca-resnet8", "cbam-resnet8"} {
		for _, placement := range []string{AtHead, AtStages, AtBlocks} {
			s := base
			s.Name, s.Placement = name, placement
			specs = append(specs, s)
		}
	}
	cosine := base
	cosine.Name, cosine.CosineHead = "se-resnet8", true
	large := Spec{Name: "resnet18", Image: Shape{70, 66, 3}, Classes: 3, Width: 0.125}
	if testing.Short() { // half the resolution, and only the large image at its own
		for i := range specs {
			if im := &specs[i].Image; im.H == 32 {
				im.H, im.W = 16, 16
			}
		}
	}
	vgg := Spec{Name: "vgg11-bn", Image: Shape{224, 224, 3}, Classes: 3, Width: 0.03125}
	return append(specs, cosine, large, vgg)
}

func (s Spec) testName() string {
	return fmt.Sprintf("model=%s/image=%v/width=%v/at=%s/rescale=%v/cosine=%v", s.Name, s.Image, s.Width, s.Placement, !s.NoRescale, s.CosineHead)
}

// gradients runs a forward and a backward pass and returns all gradients and
// outputs.
func gradients(t *testing.T, s Spec, n int, opt PlanOptions) [][]float32 {
	t.Helper()
	return gradientsOf(t, s, n, opt, func([]float32) {})
}

// gradientsOf is gradients with the images changed first.
func gradientsOf(t *testing.T, s Spec, n int, opt PlanOptions, change func(x []float32)) [][]float32 {
	t.Helper()
	m, err := New(s, 3)
	if err != nil {
		t.Fatal(err)
	}
	logits, features, attentions := m.Outputs()
	opt.Batch, opt.Train = n, true
	opt.Gradients = append([]Value{logits, features}, attentions...)
	p, err := m.NewPlan(opt)
	if err != nil {
		t.Fatal(err)
	}
	p.Bind(nanSlice(p.Size()))
	rng := rand.New(rand.NewPCG(8, 8))
	x := make([]float32, n*m.Image().Size())
	fillNormal(rng, x)
	change(x)
	var out [][]float32
	for range 2 {
		p.Forward(x, 1)
		for _, v := range opt.Gradients {
			out = append(out, slices.Clone(p.Output(v)))
			fillNormal(rng, p.OutputGrad(v))
		}
		p.Backward()
		for _, q := range m.Params() {
			out = append(out, slices.Clone(q.Value), slices.Clone(q.Grad))
		}
	}
	return out
}

// TestPlanSharing: a plan whose buffers share storage computes the very bits of
// one where nothing is shared and nothing works in place. Additions of gradients
// commute, so their order does not matter.
func TestPlanSharing(t *testing.T) {
	for _, s := range testSpecs() {
		t.Run(s.testName(), func(t *testing.T) {
			n := 3
			if testing.Short() {
				n = 2
			}
			want := gradients(t, s, n, PlanOptions{separate: true})
			got := gradients(t, s, n, PlanOptions{})
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Fatalf("buffer %d differs", i)
				}
				if !allFinite(want[i]) {
					t.Fatalf("buffer %d is not finite", i)
				}
			}
		})
	}
}

// TestPlanMemory: sharing saves most of the arena.
func TestPlanMemory(t *testing.T) {
	m, err := New(Spec{Name: "se-resnet18", Image: Shape{32, 32, 3}, Classes: 10}, 1)
	if err != nil {
		t.Fatal(err)
	}
	size := func(opt PlanOptions) int {
		opt.Batch = 128
		p, err := m.NewPlan(opt)
		if err != nil {
			t.Fatal(err)
		}
		return p.Size()
	}
	separate, shared, eval := size(PlanOptions{Train: true, separate: true}), size(PlanOptions{Train: true}), size(PlanOptions{})
	t.Logf("SE-ResNet-18, batch 128: %d MB apart, %d MB shared, %d MB to evaluate", separate>>18, shared>>18, eval>>18)
	if shared > separate*2/3 || eval > shared/3 {
		t.Errorf("arena of %d floats shared, %d apart, %d to evaluate", shared, separate, eval)
	}
}

// TestStepAllocations: after the first, a step allocates nothing. -short, for
// emulators, takes the instruction set in use for all.
func TestStepAllocations(t *testing.T) {
	each := kerneltest.ForEachISA
	if testing.Short() {
		each = func(t *testing.T, f func(t *testing.T)) { f(t) }
	}
	each(t, func(t *testing.T) {
		for _, kind := range LossKinds() {
			t.Run("loss="+kind, func(t *testing.T) {
				c := stripeConfig(t)
				if kind == LossFocal {
					c.Loss.LabelSmoothing = 0
				}
				if c.Loss.Kind = kind; c.Loss.CosineHead() {
					c.Model = mustModel(t, Spec{Name: "se-resnet8", Image: Shape{8, 8, 2}, Classes: 3, Width: 0.5, CosineHead: true})
				}
				c.Dir = ""
				if testing.Short() {
					c.Epochs = 1
				}
				// The runtime and pools that it empties allocate now and
				// then; a step that does shows in every step of the epoch.
				var before, after runtime.MemStats
				fewest := uint64(1 << 60)
				c.OnStep = func(s StepInfo) {
					runtime.ReadMemStats(&after)
					if s.Step > 1 {
						fewest = min(fewest, after.Mallocs-before.Mallocs)
					}
					runtime.ReadMemStats(&before)
				}
				mustFit(t, c)
				if fewest > 0 && kerneltest.CountsAllocations() {
					t.Errorf("%d allocations in every step", fewest)
				}
			})
		}
	})
}

// TestStepperAllocations: a program's own loop over a loader allocates nothing
// after its first steps.
func TestStepperAllocations(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		loss string
	}{
		{Spec{Name: "se-resnet20"}, LossCC},
		{Spec{Name: "se-resnet18", Width: 0.125}, LossCE},
		{Spec{Name: "vgg16-bn", Width: 0.125}, LossCE},
	} {
		t.Run("model="+c.spec.Name, func(t *testing.T) { testStepperAllocations(t, c.spec, c.loss) })
	}
}

func testStepperAllocations(t *testing.T, spec Spec, loss string) {
	const batch = 8
	n, side := 6*batch, 32
	if testing.Short() {
		side = 8
	}
	src, err := data.NewImages(side, side, 3, []string{"a", "b", "c"}, make([]byte, n*side*side*3), make([]int32, n))
	if err != nil {
		t.Fatal(err)
	}
	loader, err := data.NewLoader(src, data.LoaderOptions{Batch: batch, Shuffle: true, DropLast: true, Augment: data.Augment{Pad: 4, Flip: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	spec.Image, spec.Classes = Shape{side, side, 3}, 3
	m := mustModel(t, spec)
	s, err := NewStepper(StepConfig{Model: m, Batch: batch, Loss: LossConfig{Kind: loss}, Optimizer: OptimizerConfig{Momentum: 0.9}, ClipNorm: 1, EMA: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	fewest := uint64(1 << 60)
	for epoch := range 2 {
		loader.Start(epoch)
		for step := 0; ; step++ {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b, err := loader.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			if _, err := s.Step(b.X, b.Labels, 1e-3, 0.1); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if step > 0 {
				fewest = min(fewest, after.Mallocs-before.Mallocs)
			}
		}
	}
	if fewest > 0 && kerneltest.CountsAllocations() {
		t.Errorf("%d allocations in every step", fewest)
	}
}

// TestAttentionLeftOut: an evaluation that keeps no vectors does not compute
// attention that only feeds the loss, and predicts the same.
func TestAttentionLeftOut(t *testing.T) {
	for _, off := range []bool{true, false} {
		m := mustModel(t, Spec{Name: "se-resnet8", Image: Shape{8, 8, 2}, Classes: 3, Width: 0.5, NoRescale: off})
		e, err := newEvaluator(m, stripes(t, 20, 2), EvalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		e.bind(nanSlice(e.arenaSize()))
		plain, err := e.run(false)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range e.batch.Times() {
			if _, is := l.Layer.(*Attention); is && (l.Forward == 0) != off || e.batch.steps[i].skip != (is && off) {
				t.Errorf("rescale off %v: %s took %v", off, l.Layer.Name(), l.Forward)
			}
		}
		full, err := e.run(true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(plain.Confidence, full.Confidence) || full.Attention == nil || plain.Attention != nil {
			t.Errorf("rescale off %v: the predictions differ, or there are no vectors", off)
		}
	}
}

func mustModel(t testing.TB, s Spec) *Model {
	t.Helper()
	m, err := New(s, 5)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLayOut: regions that live at the same time do not overlap.
func TestLayOut(t *testing.T) {
	const seed = 4
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		regions := make([]*region, rng.IntN(40))
		for i := range regions {
			first := rng.IntN(30)
			regions[i] = &region{size: 1 + rng.IntN(100), first: first, last: first + rng.IntN(10)}
		}
		total := layOut(regions)
		for i, a := range regions {
			if a.offset < 0 || a.offset%alignFloats != 0 || a.offset+a.size > total {
				t.Fatalf("seed %d: region %+v of an arena of %d", seed, a, total)
			}
			for _, b := range regions[:i] {
				apart := a.offset+a.size <= b.offset || b.offset+b.size <= a.offset
				if !apart && a.first <= b.last && b.first <= a.last {
					t.Fatalf("seed %d: %+v and %+v overlap", seed, a, b)
				}
			}
		}
	}
}

func TestSpecErrors(t *testing.T) {
	good := Spec{Name: "se-resnet8", Image: Shape{32, 32, 3}, Classes: 10}
	for name, change := range map[string]func(*Spec){
		"name":      func(s *Spec) { s.Name = "resnet9000" },
		"attention": func(s *Spec) { s.Attention = "x" },
		"classes":   func(s *Spec) { s.Classes = 1 },
		"width":     func(s *Spec) { s.Width = -1 },
		"image":     func(s *Spec) { s.Image.H = 0 },
		"huge":      func(s *Spec) { s.Image.H = 1 << 30 },
		"placement": func(s *Spec) { s.Placement = "x" },
		"blocks":    func(s *Spec) { s.Placement, s.NoRescale = AtBlocks, true },
		"reduction": func(s *Spec) { s.Reduction = -1 },
		"stem":      func(s *Spec) { s.Stem = "x" },
		"dropout":   func(s *Spec) { s.Dropout = 1 },
	} {
		s := good
		change(&s)
		if m, err := New(s, 1); err == nil || m != nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
