package compare

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	const seed = 11
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// bars draws n images of 8 x 8 with a bright row that tells the class of three,
// under noise that keeps the classes from being told apart every time.
func bars(t *testing.T, n int, seed uint64) *data.Images {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	pixels, labels := make([]byte, n*64), make([]int32, n)
	for i := range n {
		labels[i] = int32(i % 3)
		for p := range 64 {
			v := r.IntN(160)
			if p/8 == 1+2*(i%3) {
				v += 40
			}
			pixels[i*64+p] = byte(v)
		}
	}
	src, err := data.NewImages(8, 8, 1, []string{"top", "middle", "bottom"}, pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// open draws the data set of a name.
func open(t *testing.T) func(name string) (*data.Dataset, error) {
	return func(name string) (*data.Dataset, error) {
		seed := uint64(len(name))
		train, val, test := 96, 45, 60
		if testing.Short() {
			train, val, test = 48, 24, 30
		}
		set := &data.Dataset{Name: name, Train: bars(t, train, seed), Val: bars(t, val, seed+1), Test: bars(t, test, seed+2)}
		var err error
		set.Mean, set.Std, err = data.Stats(set.Train)
		return set, err
	}
}

// small is a comparison of 30 runs. -short, for emulators, trains narrower
// networks on half the images for fewer epochs.
func small() Plan {
	p := Plan{Data: []string{"bars", "beams"}, Models: []string{"se-resnet8"}, Losses: []string{"ce", "cc", "arcface"},
		Width: 0.5, Grid: Grid(), Seeds: 2, Epochs: 3, TuneEpochs: 2, Batch: 16, LR: 0.02, WeightDecay: 1e-4}
	if testing.Short() {
		p.Width, p.Epochs, p.TuneEpochs = 0.25, 2, 1
	}
	return p
}

func run(t *testing.T, plan Plan, opt Options) *Results {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	opt.Open = open(t)
	res, err := Run(t.Context(), plan, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	plan := small()
	runs := 0
	res := run(t, plan, Options{Dir: dir, OnRun: func(p Progress) {
		if runs++; p.Done != runs || p.Total != 30 || p.Before || p.Diverged != "" {
			t.Errorf("run %d: %+v", runs, p)
		}
	}})
	if runs != 30 || plan.Runs() != 30 || len(res.Cells) != 6 || len(res.Overall) != 3 {
		t.Fatalf("%d runs, %d cells, %d rows over all", runs, len(res.Cells), len(res.Overall))
	}
	for i, c := range res.Cells {
		ce := res.Cells[i/3*3]
		if c.Loss != plan.Losses[i%3] || c.Data != plan.Data[i/3] || len(c.Tuning) != 3 || c.TestAcc.N != 2 || c.Diverged != 0 {
			t.Errorf("cell %d: %+v", i, c)
		}
		best := c.Tuning[0]
		for _, a := range c.Tuning {
			if a.ValAcc > best.ValAcc {
				best = a
			}
		}
		if c.Setting != best.Setting {
			t.Errorf("%s %s: chose %v of %v", c.Data, c.Loss, c.Setting, c.Tuning)
		}
		if c.Loss == train.LossCE {
			if c.Difference != nil {
				t.Errorf("ce differs from itself")
			}
			continue
		}
		for j, v := range c.Difference.Values {
			if v != c.TestAcc.Values[j]-ce.TestAcc.Values[j] {
				t.Errorf("%s %s: difference %d is %v", c.Data, c.Loss, j, v)
			}
		}
	}
	for i, o := range res.Overall {
		want := (res.Cells[i].TestAcc.Values[1] + res.Cells[3+i].TestAcc.Values[1]) / 2
		if o.TestAcc.Values[1] != want || (o.Difference == nil) != (o.Loss == train.LossCE) {
			t.Errorf("over all: %+v, want %v", o, want)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, workFolder))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	// The same command again trains nothing; two runs at a time end the same.
	want := read(t, dir, ResultsFile)
	run(t, plan, Options{Dir: dir, OnRun: func(p Progress) {
		if !p.Before {
			t.Errorf("%s was trained again", p.Run)
		}
	}})
	if !bytes.Equal(read(t, dir, ResultsFile), want) {
		t.Error("the same command gave other results")
	}
	other := t.TempDir()
	run(t, plan, Options{Dir: other, Parallel: 2})
	if !bytes.Equal(read(t, other, ResultsFile), want) {
		t.Error("two runs at a time gave other results")
	}
}

// TestCancelled stops a comparison after some of its runs, again and again, and
// compares the end with an unbroken one's.
func TestCancelled(t *testing.T) {
	plan := small()
	plan.Data = plan.Data[:1]
	whole, parts := t.TempDir(), t.TempDir()
	run(t, plan, Options{Dir: whole})
	stops := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		fresh := 0
		_, err := Run(ctx, plan, Options{Dir: parts, Open: open(t), Parallel: 1 + stops%2, OnRun: func(p Progress) {
			if !p.Before {
				if fresh++; fresh == 2 {
					cancel()
				}
			}
		}})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(parts, ResultsFile)); err == nil {
			t.Fatal("an interrupted comparison has results")
		}
		stops++
	}
	if stops < 4 {
		t.Errorf("only %d interruptions", stops)
	}
	if !bytes.Equal(read(t, whole, ResultsFile), read(t, parts, ResultsFile)) {
		t.Error("an interrupted comparison gave other results")
	}
}

// TestDiverged trains with a rate that no loss survives.
func TestDiverged(t *testing.T) {
	plan := small()
	plan.Data, plan.Losses, plan.LR = plan.Data[:1], plan.Losses[:2], 1e30
	res := run(t, plan, Options{})
	for _, c := range res.Cells {
		if c.Diverged != 2 || c.TestAcc != nil || c.Difference != nil || !c.Tuning[0].Diverged {
			t.Errorf("cell %+v", c)
		}
	}
}

// TestBatchesByClass trains with batches of several images of each class.
func TestBatchesByClass(t *testing.T) {
	plan := small()
	plan.Data, plan.Losses, plan.Epochs, plan.TuneEpochs, plan.Seeds = plan.Data[:1], []string{"cc"}, 1, 1, 1
	plan.Grid = map[string][]Setting{"cc": {{Lambda: 0.1, PerClass: 8}}}
	chosen := run(t, plan, Options{}).Cells[0]
	plan.Grid["cc"] = []Setting{{Lambda: 0.1}}
	if plain := run(t, plan, Options{}).Cells[0]; chosen.Features.Compactness.Mean == plain.Features.Compactness.Mean {
		t.Error("the composition of the batches changes nothing")
	}
}

func TestOtherPlanIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := small()
	first.Data, first.Losses, first.Epochs, first.TuneEpochs = first.Data[:1], []string{"ce"}, 1, 1
	run(t, first, Options{Dir: dir})
	for want, change := range map[string]func(p *Plan){
		"batch is 32, in the folder's comparison 16": func(p *Plan) { p.Batch = 32 },
		"epochs is 2":                   func(p *Plan) { p.Epochs = 2 },
		"width is 1":                    func(p *Plan) { p.Width = 1 },
		"seed is 9":                     func(p *Plan) { p.Seed = 9 },
		"seeds is 1":                    func(p *Plan) { p.Seeds = 1 },
		"data lacks bars":               func(p *Plan) { p.Data = []string{"beams"} },
		"losses lacks ce":               func(p *Plan) { p.Losses = []string{"focal"} },
		"the settings tried for ce":     func(p *Plan) { p.Grid = Grid(); p.Grid["ce"][2].LabelSmoothing = 0.3 },
		"lr is 0.5, in the folder's co": func(p *Plan) { p.LR = 0.5 },
	} {
		p := first
		change(&p)
		_, err := Run(t.Context(), p, Options{Dir: dir, Open: open(t)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	// More losses and seeds keep the runs that are there.
	more := first
	more.Losses, more.Seeds = []string{"focal", "ce"}, 3
	before := 0
	run(t, more, Options{Dir: dir, OnRun: func(p Progress) {
		if p.Before {
			before++
		}
	}})
	if before != 5 {
		t.Errorf("%d runs were kept, want 5", before)
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(p *Plan){
		"no models":               func(p *Plan) { p.Models = nil },
		"named twice":             func(p *Plan) { p.Losses = []string{"ce", "ce"} },
		"unknown loss":            func(p *Plan) { p.Losses = []string{"ce", "mse"} },
		"unknown model":           func(p *Plan) { p.Models = []string{"lenet"} },
		"attention":               func(p *Plan) { p.Models = []string{"resnet8"} },
		"at least 1":              func(p *Plan) { p.Seeds = 0 },
		"runs are more than":      func(p *Plan) { p.Seeds = 1 << 20 },
		"same number":             func(p *Plan) { p.Grid = Grid(); p.Grid["cc"] = p.Grid["cc"][:2] },
		"width":                   func(p *Plan) { p.Width = -1 },
		"learning rate":           func(p *Plan) { p.LR = -1 },
		"metric":                  func(p *Plan) { p.Grid = Grid(); p.Grid["cc"][1].Metric = "cosine" },
		"label smoothing":         func(p *Plan) { p.Grid = Grid(); p.Grid["ce"][2].LabelSmoothing = 2 },
		"5 images of each class":  func(p *Plan) { p.Grid = Grid(); p.Grid["cc"][2].PerClass = 5 },
		"unknown placement":       func(p *Plan) { p.Grid = Grid(); p.Grid["ce"][2].Placement = "top" },
		"2 attention vectors, mo": func(p *Plan) { p.Grid = Grid(); p.Grid["cc"][2].Stages = 2 },
	} {
		p := small()
		change(&p)
		dir := filepath.Join(t.TempDir(), "out")
		_, err := Run(t.Context(), p, Options{Dir: dir, Open: open(t)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a folder was made", want)
		}
	}
}

func TestGridIsFair(t *testing.T) {
	grid := Grid()
	for _, kind := range train.LossKinds() {
		if len(grid[kind]) != 3 {
			t.Errorf("%d settings for %s", len(grid[kind]), kind)
		}
		for i, s := range grid[kind] {
			if s.String() == "" || i > 0 && s == grid[kind][i-1] {
				t.Errorf("%s: setting %d is %q", kind, i+1, s)
			}
		}
	}
}

func TestReadGrid(t *testing.T) {
	grid, err := ReadGrid(strings.NewReader(`{"ce": [{}], "cc": [{"lambda": 0.2, "metric": "euclidean", "no_rescale": true}]}`))
	if err != nil || len(grid) != 2 || grid["cc"][0] != (Setting{Lambda: 0.2, Metric: "euclidean", NoRescale: true}) {
		t.Errorf("%v, %v", grid, err)
	}
	for _, text := range []string{"", "[]", `{"mse": []}`, `{"ce": [{"lamda": 1}]}`, `{"ce": []} x`, `{"ce": [{"lambda": "1"}]}`, strings.Repeat(" ", 2<<20)} {
		if _, err := ReadGrid(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q: no error", text)
		}
	}
}

// TestDamagedFiles: what is not this program's own is an error that names the
// file.
func TestDamagedFiles(t *testing.T) {
	plan := small()
	plan.Data, plan.Losses, plan.Epochs, plan.TuneEpochs, plan.Seeds = plan.Data[:1], []string{"ce"}, 1, 1, 1
	dir := t.TempDir()
	run(t, plan, Options{Dir: dir})
	for _, name := range []string{PlanFile, filepath.Join(runsFolder, "bars_se-resnet8_ce_tune2.json"), filepath.Join(runsFolder, "bars_se-resnet8_ce_seed1.json")} {
		good := read(t, dir, name)
		for _, text := range []string{"", "{", "{}", `{"x": 1}`, string(good[:len(good)/2])} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := Run(t.Context(), plan, Options{Dir: dir, Open: open(t)})
			if err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s of %.10q: error %v", name, text, err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), good, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run(t, plan, Options{Dir: dir})
}
