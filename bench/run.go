package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// Options selects what [Run] measures.
type Options struct {
	Suite   string // one of [Suites]
	Threads int    // 0 means GOMAXPROCS
	ISA     string // "" means the active one
	Match   string // only cases whose name contains it
	JSON    bool   // one JSON object per line instead of a table
	Rivals  bool   // also time the rivals that are installed
	Rounds  int    // samples per case; 0 means 7

	folder string // for files of the run

	// Suites conv, int8, train and infer.
	Model string // one of [ConvModels], train.ModelNames or [InferModels], or an ONNX file; "" for all or for [TrainModels]
	Batch int    // 0 for each network's own

	// Suite conv only.
	Dir        string // one of [ConvDirections], "" for all
	Algorithms bool   // beside each choice the other algorithms that take the layer
}

// A Row is one line of the result: a case, or with rivals a case against one
// rival. Times are medians per call.
type Row struct {
	Suite          string  `json:"suite"`
	Case           string  `json:"case"`
	ISA            string  `json:"isa"`
	Threads        int     `json:"threads"`
	NS             float64 `json:"ns"`
	GFlops         float64 `json:"gflops,omitempty"` // 1e9 operations a second
	GBps           float64 `json:"gbps,omitempty"`   // 1e9 bytes a second, reads and writes
	FractionOfPeak float64 `json:"fraction_of_peak"` // of FMA peak, or of the bandwidth of the same traffic
	// Bound is which of the two that is, where a case is held against the lower.
	Bound   string  `json:"bound,omitempty"`
	Rival   string  `json:"rival,omitempty"`
	RivalNS float64 `json:"rival_ns,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // RivalNS / NS: above 1, lanes is faster

	// Suites train and infer only. Peaks are of the resident memory of the
	// process, less what it had before the case; 0 where the system does not tell.
	ImagesPerS     float64 `json:"images_per_s,omitempty"`
	PeakBytes      int64   `json:"peak_bytes,omitempty"`
	RivalPeakBytes int64   `json:"rival_peak_bytes,omitempty"`
	// Suite infer only: reading a file and preparing it to run.
	LoadNS      float64 `json:"load_ns,omitempty"`
	RivalLoadNS float64 `json:"rival_load_ns,omitempty"`
}

// A benchCase is one thing to measure. One of flops and bytes is set, or both where
// either may bound it.
type benchCase struct {
	name  string
	flops float64 // per call
	bytes float64 // per call, read and written
	// workingSet is how many bytes a call touches, for the bandwidth that
	// bytes is compared with.
	workingSet int
	// images is the images in a training step, 0 for anything else.
	images int
	// setup allocates the operands and returns what is timed.
	setup func() func()
	// native is the request to the helper process, or "".
	native string
	// conv is the request to the helper process of oneDNN's convolutions, or "".
	conv string
	// oneDNN is the request to the helper process of its other work, or "".
	oneDNN string
	// torch is the same work in PyTorch, or nil.
	torch *torchCase
	// traffic names the rate that bytes is compared with.
	traffic traffic
	// gonum returns the same work done by gonum, or nil.
	gonum func() func()
	// model is the model that the case runs, or nil.
	model *modelCase
	// others set up the same work by the algorithms that were not chosen, if asked for.
	others map[conv.Algorithm]func() func()
}

// suites lists the suites by name.
func suites() map[string]func(Options) ([]benchCase, error) {
	return map[string]func(Options) ([]benchCase, error){
		"ccloss":      func(Options) ([]benchCase, error) { return lossCases(), nil },
		"conv":        convCases,
		"infer":       inferCases,
		"int8":        int8Cases,
		"elementwise": func(opt Options) ([]benchCase, error) { return elementwiseCases(opt), nil },
		"gemm":        func(Options) ([]benchCase, error) { return gemmCases(), nil },
		"attention":   func(opt Options) ([]benchCase, error) { return attentionCases(opt), nil },
		"train":       trainCases,
		"pool":        func(opt Options) ([]benchCase, error) { return poolCases(opt), nil },
	}
}

// Suites returns the names of the suites in ascending order.
func Suites() []string {
	var names []string
	for name := range suites() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// maxBatch keeps a typing error from taking all memory.
const maxBatch = 4096

// Run measures a suite and writes its rows to w as they come. It changes
// GOMAXPROCS and the active ISA while it runs: nothing else should.
func Run(ctx context.Context, w io.Writer, opt Options) error {
	list, ok := suites()[opt.Suite]
	if !ok {
		return fmt.Errorf("unknown suite %q (one of %s)", opt.Suite, strings.Join(Suites(), ", "))
	}
	if opt.Threads < 0 || opt.Threads > runtime.NumCPU() {
		return fmt.Errorf("%d threads: this machine has %d", opt.Threads, runtime.NumCPU())
	}
	if opt.Threads == 0 {
		opt.Threads = runtime.GOMAXPROCS(0)
	}
	if opt.Batch < 0 || opt.Batch > maxBatch {
		return fmt.Errorf("batch of %d images, want at most %d", opt.Batch, maxBatch)
	}
	if opt.Rounds < 0 {
		return fmt.Errorf("%d rounds", opt.Rounds)
	}
	if opt.Rounds == 0 {
		opt.Rounds = 7
	}
	if opt.Suite == "infer" {
		dir, err := os.MkdirTemp("", "lanes-bench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		opt.folder = dir
	}
	cases, err := list(opt)
	if err != nil {
		return err
	}
	cases = slices.DeleteFunc(cases, func(c benchCase) bool { return !strings.Contains(c.name, opt.Match) })
	if len(cases) == 0 {
		return fmt.Errorf("no case of suite %s has %q in its name", opt.Suite, opt.Match)
	}
	if opt.ISA != "" {
		previous, err := kernels.UseISA(opt.ISA)
		if err != nil {
			return err
		}
		defer kernels.UseISA(previous)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(opt.Threads))

	var rivals []rival
	if opt.Algorithms {
		rivals = algorithmRivals()
	}
	if opt.Rivals {
		rivals = append(rivals, startRivals(ctx, w, opt, cases)...)
		defer func() {
			for _, r := range rivals {
				r.close()
			}
		}()
	}
	out := &printer{w: w, json: opt.JSON}
	m := &machine{threads: opt.Threads}
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := measure(m, opt, c, rivals)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		for _, r := range rows {
			if err := out.row(r); err != nil {
				return err
			}
		}
	}
	if err := out.summary(); err != nil || opt.JSON {
		return err
	}
	for _, line := range m.ceilings() {
		if _, err := fmt.Fprintf(w, "ceiling with %d threads, %s\n", opt.Threads, line); err != nil {
			return err
		}
	}
	return nil
}

// printer writes rows as JSON lines or as a table.
type printer struct {
	w      io.Writer
	json   bool
	header bool
	ratios map[string][]float64 // of each rival
}

func (p *printer) row(r Row) error {
	if r.Rival != "" {
		if p.ratios == nil {
			p.ratios = map[string][]float64{}
		}
		p.ratios[r.Rival] = append(p.ratios[r.Rival], r.Ratio)
	}
	if p.json {
		return json.NewEncoder(p.w).Encode(r)
	}
	if !p.header {
		p.header = true
		fmt.Fprintf(p.w, "%-38s %-7s %7s %12s %9s %8s %-15s %12s %6s\n",
			"case", "isa", "threads", "ns", "rate", "of peak", "rival", "rival ns", "ratio")
	}
	rate := fmt.Sprintf("%.1f GF", r.GFlops)
	if r.GBps != 0 {
		rate = fmt.Sprintf("%.1f GB", r.GBps)
	}
	if r.ImagesPerS != 0 {
		rate = fmt.Sprintf("%.1f im/s", r.ImagesPerS)
	}
	_, err := fmt.Fprintf(p.w, "%-38s %-7s %7d %12.0f %9s %7.1f%%", r.Case, r.ISA, r.Threads, r.NS, rate, 100*r.FractionOfPeak)
	if err == nil && r.Bound != "" {
		_, err = fmt.Fprintf(p.w, " (%s)", r.Bound)
	}
	if err == nil && r.Rival != "" {
		_, err = fmt.Fprintf(p.w, " %-15s %12.0f %6.2f", r.Rival, r.RivalNS, r.Ratio)
	}
	if err == nil && r.LoadNS != 0 {
		_, err = fmt.Fprintf(p.w, "  load %.0f ms", r.LoadNS/1e6)
		if err == nil && r.RivalLoadNS != 0 {
			_, err = fmt.Fprintf(p.w, ", rival %.0f ms", r.RivalLoadNS/1e6)
		}
	}
	if err == nil && r.PeakBytes != 0 {
		_, err = fmt.Fprintf(p.w, "  peak %d MB", r.PeakBytes>>20)
		if err == nil && r.RivalPeakBytes != 0 {
			_, err = fmt.Fprintf(p.w, ", rival %d MB", r.RivalPeakBytes>>20)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(p.w)
	}
	return err
}

// summary writes the geometric mean and the least ratio for each rival. JSON
// output has rows only.
func (p *printer) summary() error {
	if p.json {
		return nil
	}
	var names []string
	for name := range p.ratios {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		logs, ratios := 0.0, p.ratios[name]
		for _, r := range ratios {
			logs += math.Log(r)
		}
		_, err := fmt.Fprintf(p.w, "%s: geometric mean %.2f, least %.2f over %d cases\n",
			name, math.Exp(logs/float64(len(ratios))), slices.Min(ratios), len(ratios))
		if err != nil {
			return err
		}
	}
	return nil
}
