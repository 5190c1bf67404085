package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
)

func TestRunRows(t *testing.T) {
	var out bytes.Buffer
	opt := Options{Suite: "gemm", Threads: 1, Match: "cube/NN/m=64/", JSON: true, Rivals: true, Rounds: 1}
	if err := Run(context.Background(), &out, opt); err != nil {
		t.Fatal(err)
	}
	rivals := 0
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "#") {
			t.Log(line)
			continue
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var r Row
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Suite != "gemm" || r.Case != "cube/NN/m=64/n=64/k=64" || r.ISA != kernels.Info().ISA || r.Threads != 1 {
			t.Errorf("row of the wrong case: %s", line)
		}
		if !(r.NS > 0 && r.GFlops > 0 && r.GBps == 0 && r.FractionOfPeak > 0) {
			t.Errorf("implausible: %s", line)
		}
		if r.Rival != "" {
			rivals++
			if !(r.RivalNS > 0 && r.Ratio > 0) {
				t.Errorf("implausible: %s", line)
			}
		}
	}
	if rivals == 0 {
		t.Error("gonum at least is always there, but no row names a rival")
	}
}

// TestAlgorithms checks that a choice is timed beside every other algorithm, once each.
func TestAlgorithms(t *testing.T) {
	for _, dir := range ConvDirections {
		var out bytes.Buffer
		opt := Options{Suite: "conv", Threads: 1, Model: "vgg16-cifar", Batch: 1, Dir: dir, Match: "/64-64_32", JSON: true, Rounds: 1, Algorithms: true}
		if err := Run(context.Background(), &out, opt); err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(out.String()) {
			var r Row
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if chosen := r.Case[strings.LastIndexByte(r.Case, '/')+1:]; len(names) == 0 {
				names = append(names, chosen)
			} else if chosen != names[0] {
				t.Errorf("%s: %s was chosen before", r.Case, names[0])
			}
			names = append(names, r.Rival)
			if !(r.GFlops > 0 && r.RivalNS > 0 && r.Ratio > 0) {
				t.Errorf("implausible: %s", line)
			}
		}
		if slices.Sort(names); !slices.Equal(names, []string{"indirect", "winograd2", "winograd4"}) {
			t.Errorf("%s: timed %v", dir, names)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	active := kernels.Info().ISA
	for _, opt := range []Options{
		{Suite: "nothing"},
		{Suite: "gemm", Threads: -1},
		{Suite: "gemm", Threads: 1 << 20},
		{Suite: "gemm", ISA: "mmx"},
	} {
		if err := Run(context.Background(), io.Discard, opt); err == nil {
			t.Errorf("%+v was accepted", opt)
		}
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(stopped, io.Discard, Options{Suite: "gemm"}); err != context.Canceled {
		t.Errorf("a cancelled run returned %v", err)
	}
	if kernels.Info().ISA != active {
		t.Errorf("%s is active, was %s", kernels.Info().ISA, active)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 5}, 5}} {
		if got := median(slices.Clone(c.x)); got != c.want {
			t.Errorf("median(%v) = %g, want %g", c.x, got, c.want)
		}
	}
}

func ExampleRun() {
	opt := Options{Suite: "gemm", ISA: "generic", Threads: 1, Match: "no such case"}
	if err := Run(context.Background(), os.Stdout, opt); err != nil {
		fmt.Println(err)
	}
	// Output: no case of suite gemm has "no such case" in its name
}

// TestMapSuites times a case of each suite on feature maps, also with PyTorch if it
// is installed, and checks that the others are complete.
func TestMapSuites(t *testing.T) {
	for suite, match := range map[string]string{"pool": "gavg/fwd/nhwc/128x512x4x4", "attention": "se/fwd+bwd/nhwc/128x512x4x4", "elementwise": "softmax/128x1000"} {
		var out bytes.Buffer
		opt := Options{Suite: suite, Threads: 1, Match: match, JSON: true, Rivals: true, Rounds: 1}
		if err := Run(context.Background(), &out, opt); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "#") {
				t.Log(line)
				continue
			}
			var r Row
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if r.Suite != suite || r.Case != match || !(r.NS > 0 && r.GBps > 0 && r.GFlops == 0 && r.FractionOfPeak > 0) {
				t.Errorf("implausible: %s", line)
			}
		}
	}
	for _, c := range elementwiseCases(Options{Threads: 1}) {
		if c.bytes <= 0 || c.workingSet <= 0 {
			t.Errorf("%s: incomplete case", c.name)
		}
	}
	for _, c := range append(poolCases(Options{Threads: 1}), attentionCases(Options{Threads: 1})...) {
		if c.bytes <= 0 || c.torch == nil || len(c.torch.Setups) == 0 || c.torch.Run == "" {
			t.Errorf("%s: incomplete case", c.name)
		}
	}
}

// TestTrainSuite times a training step, also with PyTorch if it is installed.
func TestTrainSuite(t *testing.T) {
	var out bytes.Buffer
	opt := Options{Suite: "train", Model: "se-resnet20", Batch: 2, Threads: 1, JSON: true, Rivals: !testing.Short(), Rounds: 1}
	if err := Run(context.Background(), &out, opt); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "#") {
			t.Log(line)
			continue
		}
		var r Row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		names = append(names, r.Case)
		if !(r.NS > 0 && r.GFlops > 0 && r.FractionOfPeak > 0 && math.Abs(r.ImagesPerS*r.NS/2e9-1) < 1e-9) {
			t.Errorf("implausible: %s", line)
		}
		// The race detector keeps memory of what ran before, which may hide a peak;
		// it runs with -short.
		least := int64(1)
		if runtime.GOOS != "linux" || testing.Short() {
			least = 0
		}
		if r.PeakBytes < least || r.PeakBytes >= 1<<30 {
			t.Errorf("implausible peak: %s", line)
		}
		if r.Rival != "" && !(r.RivalNS > 0 && r.Ratio > 0 && r.RivalPeakBytes >= 0) {
			t.Errorf("implausible: %s", line)
		}
	}
	if want := []string{"se-resnet20/n=2/fast", "se-resnet20/n=2/exact"}; !slices.Equal(names, want) {
		t.Errorf("cases %v, want %v", names, want)
	}
	// Of 41 million multiply-adds, three passes but for the image's gradient.
	cases, err := trainCases(opt)
	if err != nil || len(cases) != 2 || cases[0].flops < 2*2*3*40e6 || cases[0].flops > 2*2*3*42e6 {
		t.Errorf("%v operations, %v", cases[0].flops, err)
	}
	for _, opt := range []Options{{Suite: "train", Model: "lenet"}, {Suite: "train", Batch: -1}} {
		if err := Run(context.Background(), io.Discard, opt); err == nil {
			t.Errorf("%+v was accepted", opt)
		}
	}
}
