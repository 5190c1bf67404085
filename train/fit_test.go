package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/safetensors"
)

// stripes is a source of n images of 8 x 8 x 2 of three classes: horizontal,
// vertical and diagonal stripes in noise.
func stripes(t testing.TB, n int, seed uint64) data.Source {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	pixels, labels := make([]byte, 0, n*128), make([]int32, n)
	for i := range labels {
		y := int32(rng.IntN(3))
		labels[i] = y
		phase := rng.IntN(4)
		for r := range 8 {
			for c := range 8 {
				k := []int{r, c, r + c}[y] + phase
				for range 2 {
					pixels = append(pixels, byte(60+100*(k/2%2)+rng.IntN(90)))
				}
			}
		}
	}
	src, err := data.NewImages(8, 8, 2, []string{"-", "|", "/"}, pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func stripeData(t testing.TB) *data.Dataset {
	return &data.Dataset{Name: "stripes", Train: stripes(t, 100, 1), Val: stripes(t, 37, 2), Test: stripes(t, 41, 3),
		Augment: data.Augment{Pad: 1}, Mean: []float32{0.5, 0.5}, Std: []float32{0.25, 0.25}}
}

// stripeConfig is a run of a few seconds that uses every part of the loop.
func stripeConfig(t testing.TB) Config {
	t.Helper()
	m, err := New(Spec{Name: "se-resnet8", Image: Shape{8, 8, 2}, Classes: 3, Width: 0.5, Dropout: 0.1}, 5)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Model: m, Data: stripeData(t), Epochs: 4, Batch: 16, Seed: 9,
		Loss:       LossConfig{Kind: LossCC, Lambda: 0.1, LabelSmoothing: 0.05},
		Optimizer:  OptimizerConfig{LR: 0.1, Momentum: 0.9, WeightDecay: 5e-4},
		EMA:        0.9,
		ClipNorm:   2,
		Accumulate: 2,
	}
}

func mustFit(t testing.TB, c Config) *Result {
	t.Helper()
	r, err := Fit(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// weights are the tensors of a run's last checkpoint, without its state.
func weights(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, LastFile))
	if err != nil {
		t.Fatal(err)
	}
	w := map[string][]byte{}
	for _, x := range f.Tensors() {
		w[x.Name] = x.Data
	}
	return w
}

func sameWeights(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tensors, want %d", len(got), len(want))
	}
	for name, w := range want {
		if !bytes.Equal(got[name], w) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestFitLearns(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		c := stripeConfig(t)
		c.Dir = t.TempDir()
		c.Epochs = 5
		steps := 0
		c.OnStep = func(s StepInfo) {
			steps++
			if s.Epoch < 1 || s.Step < 1 || s.Step > s.Steps || !(s.Loss.Total > 0) || !(s.LR > 0) {
				t.Errorf("progress %+v", s)
			}
		}
		r := mustFit(t, c)
		if r.Test.Accuracy < 0.9 || r.Val == nil || r.Interrupted || r.BestEpoch < 1 {
			t.Errorf("test accuracy %v, best epoch %d", r.Test.Accuracy, r.BestEpoch)
		}
		if r.Test.Images != 41 || len(r.Test.Predicted) != 41 || sum2(r.Test.Confusion) != 41 {
			t.Errorf("%d of 41 test images were counted", r.Test.Images)
		}
		if steps != c.Epochs*6 {
			t.Errorf("%d steps, want %d", steps, c.Epochs*6)
		}
		if r.Test.Attention == nil || !(r.Test.Attention.Separability > 0) {
			t.Errorf("attention %+v", r.Test.Attention)
		}
		m, err := OpenModel(filepath.Join(c.Dir, BestFile))
		if err != nil {
			t.Fatal(err)
		}
		d := c.Data
		ev, err := Evaluate(m, d.Test, EvalOptions{Batch: 7, Mean: d.Mean, Std: d.Std})
		if err != nil {
			t.Fatal(err)
		}
		if ev.Accuracy != r.Test.Accuracy {
			t.Errorf("the saved model has accuracy %v, the run says %v", ev.Accuracy, r.Test.Accuracy)
		}
		lines, err := os.ReadFile(filepath.Join(c.Dir, MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(lines, []byte("\n")); n != c.Epochs {
			t.Errorf("%d lines of metrics, want %d", n, c.Epochs)
		}
	})
}

func sum2(x [][]int) int {
	n := 0
	for _, row := range x {
		for _, v := range row {
			n += v
		}
	}
	return n
}

// TestFitThreads: the same weights whatever GOMAXPROCS.
func TestFitThreads(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		var want map[string][]byte
		threads, epochs := []int{1, 2, 3, 7}, 2
		if testing.Short() {
			threads, epochs = []int{1, 3}, 1
		}
		for _, procs := range threads {
			previous := runtime.GOMAXPROCS(procs)
			c := stripeConfig(t)
			c.Dir = t.TempDir()
			c.Epochs = epochs
			mustFit(t, c)
			runtime.GOMAXPROCS(previous)
			got := weights(t, c.Dir)
			if want == nil {
				want = got
			}
			sameWeights(t, got, want)
		}
	})
}

// TestFitResume stops a run at every kind of moment and compares its end with an
// unbroken run's, bit for bit.
func TestFitResume(t *testing.T) {
	whole := stripeConfig(t)
	cases := [][]int{{1}, {5}, {6}, {7}, {24}, {2, 9, 10, 20}}
	if testing.Short() {
		whole.Epochs, cases = 2, [][]int{{1, 5, 7}, {6, 12}}
	}
	epochs := whole.Epochs
	whole.Dir = t.TempDir()
	want := mustFit(t, whole)
	wantWeights := weights(t, whole.Dir)
	for _, stops := range cases {
		t.Run(fmt.Sprintf("stops=%v", stops), func(t *testing.T) {
			dir := t.TempDir()
			for _, stop := range append(stops, 0) {
				c := stripeConfig(t)
				c.Dir, c.Resume, c.CheckpointSteps, c.Epochs = dir, true, 4, epochs
				ctx, cancel := context.WithCancel(context.Background())
				c.OnStep = func(s StepInfo) {
					if (s.Epoch-1)*s.Steps+s.Step == stop {
						cancel()
					}
				}
				r, err := Fit(ctx, c)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				if finished := stop == 0 || stop == 6*epochs; r.Interrupted == finished {
					t.Fatalf("stop %d: interrupted %v", stop, r.Interrupted)
				}
				if stop == 0 && r.Test.Accuracy != want.Test.Accuracy {
					t.Errorf("test accuracy %v, unbroken %v", r.Test.Accuracy, want.Test.Accuracy)
				}
				if stop == 0 && !slices.EqualFunc(r.Epochs, want.Epochs, sameEpoch) {
					t.Errorf("epochs differ:\n%+v\n%+v", r.Epochs, want.Epochs)
				}
			}
			sameWeights(t, weights(t, dir), wantWeights)
		})
	}
}

// sameEpoch compares what does not depend on the clock.
func sameEpoch(a, b EpochMetrics) bool {
	for _, m := range []*EpochMetrics{&a, &b} {
		m.Seconds, m.ImagesPS, m.StepTimes = 0, 0, StepTimes{}
	}
	return reflect.DeepEqual(a, b)
}

// TestFitResumeKinds resumes with every kind of optimizer, and with a loss that
// has tensors of its own: all of their state is in the checkpoint.
func TestFitResumeKinds(t *testing.T) {
	epochs := 2
	if testing.Short() {
		epochs = 1
	}
	for _, o := range []OptimizerConfig{
		{Kind: SGD, LR: 0.1, Momentum: 0.9, Nesterov: true}, {Kind: Adam, LR: 0.01, AMSGrad: true}, {Kind: AdamW, LR: 0.01, WeightDecay: 0.1},
		{Kind: RMSprop, LR: 0.01, Momentum: 0.9, Centered: true},
	} {
		t.Run("optimizer="+o.Kind, func(t *testing.T) {
			config := func(dir string) Config {
				c := stripeConfig(t)
				c.Epochs, c.Dir, c.Optimizer, c.Schedule.Kind = epochs, dir, o, OneCycle
				c.Loss = LossConfig{Kind: LossCenter, Lambda: 0.1}
				return c
			}
			whole := config(t.TempDir())
			mustFit(t, whole)
			part := config(t.TempDir())
			ctx, cancel := context.WithCancel(context.Background())
			part.OnStep = func(s StepInfo) {
				if s.Epoch == epochs && s.Step == 3 { // in the middle of an accumulated batch
					cancel()
				}
			}
			if r, err := Fit(ctx, part); err != nil || !r.Interrupted {
				t.Fatalf("not interrupted: %v", err)
			}
			again := config(part.Dir)
			again.Resume = true
			mustFit(t, again)
			sameWeights(t, weights(t, part.Dir), weights(t, whole.Dir))
		})
	}
}

// TestFitEarlyStop: a run that does not get better ends after Patience epochs,
// and stays ended when it is resumed.
func TestFitEarlyStop(t *testing.T) {
	c := stripeConfig(t)
	c.Dir, c.Epochs, c.Patience, c.Optimizer.LR, c.EMA = t.TempDir(), 50, 2, 1e-12, 0
	r := mustFit(t, c)
	if !r.EarlyStopped || r.Interrupted || len(r.Epochs) != r.BestEpoch+2 {
		t.Errorf("early stop %v after %d epochs, the best was %d", r.EarlyStopped, len(r.Epochs), r.BestEpoch)
	}
	again := stripeConfig(t)
	again.Dir, again.Epochs, again.Patience, again.Optimizer.LR, again.EMA, again.Resume = c.Dir, 50, 2, 1e-12, 0, true
	if s := mustFit(t, again); len(s.Epochs) != len(r.Epochs) || !s.EarlyStopped {
		t.Errorf("resumed, it ran %d epochs", len(s.Epochs))
	}
}

// TestFitCrash kills a run, as far as files go, between any two of its writes:
// the folder is copied at every step and epoch, and each copy resumed.
func TestFitCrash(t *testing.T) {
	c := stripeConfig(t)
	c.Dir, c.Epochs, c.CheckpointSteps = t.TempDir(), 2, 2
	var copies []string
	keep := func() {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(c.Dir)); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, to)
	}
	c.OnStep = func(StepInfo) { keep() }
	c.OnEpoch = func(EpochMetrics) error { keep(); return nil }
	mustFit(t, c)
	want := weights(t, c.Dir)
	for i, dir := range copies {
		if testing.Short() && i/2%3 > 0 {
			continue // of every three pairs, one
		}
		// A crash between the two files of a checkpoint leaves the old state.json.
		if i > 0 && i%2 == 1 {
			old, err := os.ReadFile(filepath.Join(copies[i-1], StateFile))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, StateFile), old, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "."+LastFile+".123"), []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		r := stripeConfig(t)
		r.Dir, r.Epochs, r.CheckpointSteps, r.Resume = dir, 2, 2, true
		mustFit(t, r)
		sameWeights(t, weights(t, dir), want)
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestFitDamaged resumes from damaged checkpoints: an error of one line, and
// nothing is overwritten.
func TestFitDamaged(t *testing.T) {
	c := stripeConfig(t)
	c.Dir, c.Epochs = t.TempDir(), 1
	mustFit(t, c)
	for _, d := range []struct {
		name, file, want string
		damage           func(b []byte) []byte
	}{
		{"truncated", LastFile, LastFile, func(b []byte) []byte { return b[:len(b)-9] }},
		{"header cut", LastFile, LastFile, func(b []byte) []byte { return b[:20] }},
		{"empty", LastFile, LastFile, func([]byte) []byte { return nil }},
		{"bit flip", LastFile, "checksum", func(b []byte) []byte { b[len(b)-100] ^= 16; return b }},
		{"absent", LastFile, LastFile, nil},
		{"state cut", StateFile, StateFile, func(b []byte) []byte { return b[:len(b)/2] }},
		{"state is noise", StateFile, StateFile, func([]byte) []byte { return []byte("\x00\xff") }},
		{"best cut", BestFile, BestFile, func(b []byte) []byte { return b[:len(b)/2] }},
		{"best absent", BestFile, BestFile, nil},
	} {
		t.Run(strings.ReplaceAll(d.name, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(c.Dir)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, d.file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d.damage == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, d.damage(b), 0o666)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := stripeConfig(t)
			r.Dir, r.Epochs, r.Resume = dir, 1, true
			_, err = Fit(context.Background(), r)
			if err == nil || !strings.Contains(err.Error(), d.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, d.want)
			}
		})
	}
	t.Run("another_run", func(t *testing.T) {
		r := stripeConfig(t)
		r.Dir, r.Resume = c.Dir, true // four epochs, not one
		if _, err := Fit(context.Background(), r); err == nil || !strings.Contains(err.Error(), "epochs was 1, now 4") {
			t.Errorf("error %v", err)
		}
	})
}

// TestFitNonFinite: the run stops where a NaN appears, says so, and keeps the
// checkpoint before it.
func TestFitNonFinite(t *testing.T) {
	c := stripeConfig(t)
	c.Dir, c.ClipNorm = t.TempDir(), 0
	var before map[string][]byte
	c.OnStep = func(s StepInfo) {
		if s.Epoch == 2 && s.Step == 3 {
			before = weights(t, c.Dir)
			c.Model.Param("layer2.0.conv2.weight").Value[4] = float32(math.Inf(1))
		}
	}
	_, err := Fit(context.Background(), c)
	var bad *NonFiniteError
	if !errors.As(err, &bad) || bad.Epoch != 2 || bad.Step != 4 || bad.Where != "tensor layer2.0.conv2.weight" {
		t.Fatalf("error %v", err)
	}
	sameWeights(t, weights(t, c.Dir), before)

	t.Run("lr", func(t *testing.T) {
		c := stripeConfig(t)
		c.Dir, c.ClipNorm = t.TempDir(), 0
		c.Optimizer.LR = 1e38
		_, err := Fit(context.Background(), c)
		if !errors.As(err, &bad) || bad.Where == "" || bad.Epoch != 1 {
			t.Errorf("error %v", err)
		}
		for name, b := range weights(t, c.Dir) {
			if len(b) == 0 {
				t.Errorf("%s is empty", name)
			}
		}
		if _, err := OpenModel(filepath.Join(c.Dir, BestFile)); err == nil {
			t.Error("a best model was saved")
		}
	})
}

func TestFitErrors(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"model":      func(c *Config) { c.Model = nil },
		"spec":       func(c *Config) { c.Model, c.Spec = nil, Spec{Name: "resnet9000"} },
		"data":       func(c *Config) { c.Data = &data.Dataset{} },
		"epochs":     func(c *Config) { c.Epochs = 0 },
		"batch":      func(c *Config) { c.Batch = -1 },
		"lambda":     func(c *Config) { c.Loss.Lambda = -0.1 },
		"lambda nan": func(c *Config) { c.Loss.Lambda = math.NaN() },
		"loss":       func(c *Config) { c.Loss.Kind = "nonsense" },
		"metric":     func(c *Config) { c.Loss.CC.Metric = ccloss.Metric(9) },
		"optimizer":  func(c *Config) { c.Optimizer.Kind = "nonsense" },
		"lr":         func(c *Config) { c.Optimizer.LR = math.Inf(1) },
		"schedule":   func(c *Config) { c.Schedule.Kind = "nonsense" },
		"ema":        func(c *Config) { c.EMA = 1 },
		"clip":       func(c *Config) { c.ClipNorm = math.NaN() },
		"stages":     func(c *Config) { c.Loss.Stages = 3 },
		"shape":      func(c *Config) { c.Data.Train = firstImages(t) },
		"dir": func(c *Config) {
			c.Dir = filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(c.Dir, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		},
		"resume": func(c *Config) { c.Resume = true },
	} {
		c := stripeConfig(t)
		change(&c)
		if _, err := Fit(context.Background(), c); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func firstImages(t *testing.T) data.Source {
	src, err := data.NewImages(4, 4, 1, []string{"a", "b", "c"}, make([]byte, 16), []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// TestFitSpec: a model may be left to Fit, which takes its shapes from the data.
func TestFitSpec(t *testing.T) {
	c := stripeConfig(t)
	c.Model, c.Spec, c.Epochs = nil, Spec{Name: "se-resnet8", Width: 0.5}, 1
	c.Loss = LossConfig{Kind: LossArcFace}
	r := mustFit(t, c)
	if s := r.Model.Spec; s.Image != (Shape{8, 8, 2}) || s.Classes != 3 || !s.CosineHead {
		t.Errorf("the model is of %+v", s)
	}
}

// TestStateJSON: what is saved survives JSON exactly.
func TestStateJSON(t *testing.T) {
	s := runState{Version: stateVersion, Epoch: 3, LR: 0.1 / 3, Sums: epochSums{Loss: 1e-300 / 3, Images: 7}}
	b, err := json.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	var got runState
	if err := unmarshalStrict(b, &got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%v: got %+v, want %+v", err, got, s)
	}
}
