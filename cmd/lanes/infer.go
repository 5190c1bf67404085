package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// inferCmd is `lanes infer`.
type inferCmd struct {
	Model  string   `arg:"" help:"ONNX file."`
	Images []string `arg:"" optional:"" help:"Pictures: JPEG, PNG, GIF or WebP."`

	imageFlags

	Top   int  `default:"5" help:"Classes to print for a picture."`
	Exact bool `help:"Only exact convolutions: no Winograd."`
	JSON  bool `name:"json" help:"Print one JSON object for each picture."`

	Check   string `xor:"look" placeholder:"DIR" help:"Run the test_data_set folders in DIR and print the largest errors."`
	Bench   bool   `xor:"look" help:"Measure the time of a run on zeros."`
	Explain bool   `xor:"look" help:"Print the plan: kernels, shapes, times and memory."`
	Batch   int    `default:"1" help:"Images in a run of --bench and --explain."`
	Threads int    `help:"Threads to use (default all)."`
}

// Help is shown after the flags.
func (inferCmd) Help() string {
	return `Examples:
  lanes infer model.onnx cat.jpg dog.png --top 3
  lanes infer resnet18.onnx --bench --threads 1 --batch 16
  lanes infer model.onnx --check testdata/model`
}

// Run does what the flags ask for.
func (cmd *inferCmd) Run(c *console) error {
	switch {
	case cmd.Batch < 1 || cmd.Batch > 1<<16:
		return fmt.Errorf("--batch is %d, want 1 to %d", cmd.Batch, 1<<16)
	case cmd.Top < 1:
		return fmt.Errorf("--top is %d, want at least 1", cmd.Top)
	case len(cmd.Images) > 0 && (cmd.Check != "" || cmd.Bench || cmd.Explain):
		return errors.New("pictures are classified, or the model is looked at with --check, --bench or --explain, not both")
	}
	if err := useThreads(cmd.Threads); err != nil {
		return err
	}
	m, err := onnx.ReadFile(cmd.Model)
	if err != nil {
		return err
	}
	start := time.Now()
	s, err := infer.New(m, &infer.Options{Exact: cmd.Exact, TakeWeights: true})
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Model, err)
	}
	loaded := time.Since(start)
	switch {
	case cmd.Check != "":
		return cmd.check(c, s)
	case cmd.Bench:
		return cmd.bench(c, s, loaded)
	case cmd.Explain:
		shapes, err := cmd.shapes(s)
		if err != nil {
			return err
		}
		text, err := s.Explain(shapes...)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(c.out, text)
		return err
	case len(cmd.Images) == 0:
		return errors.New("no picture, and none of --check, --bench and --explain")
	}
	return cmd.classify(c, s, m)
}

func (cmd *inferCmd) classify(c *console, s *infer.Session, m *onnx.Model) error {
	opt, err := cmd.options(cmd.Model, m)
	if err != nil {
		return err
	}
	classifier, err := infer.NewClassifier(s, opt)
	if err != nil {
		return err
	}
	for _, path := range cmd.Images {
		img, err := readImage(path)
		if err != nil {
			return err
		}
		classes, err := classifier.Classify(img, cmd.Top)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if cmd.JSON {
			err = json.NewEncoder(c.out).Encode(struct {
				Image   string        `json:"image"`
				Classes []infer.Class `json:"classes"`
			}{path, classes})
		} else {
			_, err = fmt.Fprintln(c.out, path)
			for _, k := range classes {
				fmt.Fprintf(c.out, "  %6.2f %%  %s\n", 100*k.Probability, k.Name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shapes returns the input shapes with --batch and --size where they are open.
func (cmd *inferCmd) shapes(s *infer.Session) ([][]int, error) {
	var shapes [][]int
	for _, v := range s.Inputs() {
		shape := []int{}
		for i, d := range v.Shape {
			size := int(d.Size)
			if d.Size < 0 {
				size = cmd.Size
				if i == 0 {
					size = cmd.Batch
				}
			}
			if size < 1 {
				return nil, fmt.Errorf("input %q has open sizes %v: give --size", v.Name, v.Shape)
			}
			shape = append(shape, size)
		}
		shapes = append(shapes, shape)
	}
	return shapes, nil
}

// bench runs on zeros for about two seconds and prints the median.
func (cmd *inferCmd) bench(c *console, s *infer.Session, loaded time.Duration) error {
	shapes, err := cmd.shapes(s)
	if err != nil {
		return err
	}
	var src []*infer.Tensor
	for i, v := range s.Inputs() {
		t, err := infer.NewTensor(v.Type, shapes[i]...)
		if err != nil {
			return err
		}
		src = append(src, t)
	}
	dst := make([]*infer.Tensor, len(s.Outputs()))
	var times []time.Duration
	for begin := time.Now(); len(times) < 5 || time.Since(begin) < 2*time.Second; {
		start := time.Now()
		if err := s.Run(dst, src); err != nil {
			return err
		}
		if times = append(times, time.Since(start)); c.ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	slices.Sort(times[1:]) // the first run plans
	median := times[1+len(times[1:])/2]
	_, err = fmt.Fprintf(c.out, "%s: batch %d, %d threads: median %.3f ms, best %.3f ms, %.1f images/s; load %.1f ms, arena %.1f MiB\n",
		cmd.Model, cmd.Batch, runtime.GOMAXPROCS(0), ms(median), ms(times[1]), float64(cmd.Batch)/median.Seconds(), ms(loaded), float64(s.PeakBytes())/(1<<20))
	return err
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// check runs every data set of a folder.
func (cmd *inferCmd) check(c *console, s *infer.Session) error {
	entries, err := os.ReadDir(cmd.Check)
	if err != nil {
		return err
	}
	var sets []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "test_data_set_") {
			sets = append(sets, filepath.Join(cmd.Check, e.Name()))
		}
	}
	if len(sets) == 0 {
		return fmt.Errorf("%s: no test_data_set folder", cmd.Check)
	}
	for _, dir := range sets {
		src, err := readTensors(dir, "input", len(s.Inputs()))
		if err != nil {
			return err
		}
		want, err := readTensors(dir, "output", len(s.Outputs()))
		if err != nil {
			return err
		}
		got := make([]*infer.Tensor, len(want))
		if err := s.Run(got, src); err != nil {
			return err
		}
		for i := range want {
			if !slices.Equal(got[i].Shape, want[i].Shape) || got[i].Type != want[i].Type {
				return fmt.Errorf("%s: output %d is %v %v, want %v %v", dir, i, got[i].Type, got[i].Shape, want[i].Type, want[i].Shape)
			}
			worst, largest := 0.0, 0.0
			w := want[i].Float64s()
			for j, v := range got[i].Float64s() {
				worst = max(worst, distance(v, w[j]))
				if !math.IsNaN(w[j]) {
					largest = max(largest, math.Abs(w[j]))
				}
			}
			fmt.Fprintf(c.out, "%s: output %d: largest error %.3g, of values up to %.3g\n", dir, i, worst, largest)
		}
	}
	return nil
}

// distance is |a-b|: zero between equal infinities and between NaNs, infinite
// between a NaN and a number.
func distance(a, b float64) float64 {
	switch d := math.Abs(a - b); {
	case a == b || math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(d):
		return math.Inf(1)
	default:
		return d
	}
}

func readTensors(dir, kind string, n int) ([]*infer.Tensor, error) {
	var out []*infer.Tensor
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, i))
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		x, err := onnx.ParseTensor(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		t, err := infer.FromONNX(x)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, t)
	}
	return out, nil
}
