package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/train"
)

// InferModels returns the names of the networks of suite infer, which are written
// with random weights; beside them it takes ONNX files.
func InferModels() []string {
	return []string{"resnet18", "vgg16", "mobilenetv2", "se-resnet18"}
}

// A modelCase is a network in a file and a batch.
type modelCase struct {
	file   string
	exact  bool
	batch  int
	inputs []string
	shapes [][]int

	current *loadedModel // shared by all cases, so that only one holds memory
}

// A loadedModel is the session of the case that is measured.
type loadedModel struct {
	session  *infer.Session
	dst, src []*infer.Tensor
	err      error
}

// inferCases returns, for each network and batch, a run with Fast and one with
// Exact convolutions.
func inferCases(opt Options) ([]benchCase, error) {
	files, err := modelFiles(opt)
	if err != nil {
		return nil, err
	}
	batches := []int{1, 16}
	if opt.Batch > 0 {
		batches = []int{opt.Batch}
	}
	var cases []benchCase
	current := &loadedModel{}
	for _, file := range files {
		g, err := onnx.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		if name == "model" {
			name = filepath.Base(filepath.Dir(file))
		}
		for _, n := range batches {
			for i, accuracy := range []string{"fast", "exact"} {
				m := &modelCase{file: file, exact: i == 1, batch: n, current: current}
				ok, err := m.shape(g)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				if ok {
					cases = append(cases, benchCase{name: fmt.Sprintf("%s/b%d/%s", name, n, accuracy), images: n, setup: m.setup, model: m})
				}
			}
		}
	}
	return cases, nil
}

// modelFiles returns the files that opt asks for: the one it names, or those
// written here of the networks whose names match, and $LANES_DATA/onnx-models.
func modelFiles(opt Options) ([]string, error) {
	if strings.HasSuffix(opt.Model, ".onnx") {
		return []string{opt.Model}, nil
	}
	names := InferModels()
	if opt.Model != "" {
		if !slices.Contains(names, opt.Model) {
			return nil, fmt.Errorf("unknown model %q (one of %s, or an ONNX file)", opt.Model, strings.Join(names, ", "))
		}
		names = []string{opt.Model}
	}
	var files []string
	for _, name := range names {
		if network, _, ok := strings.Cut(opt.Match, "/"); ok && !strings.HasSuffix(name, network) {
			continue // no case of it can match
		}
		m, err := train.New(train.Spec{Name: name, Image: train.Shape{H: 224, W: 224, C: 3}, Classes: 1000}, 1)
		if err != nil {
			return nil, err
		}
		g, err := train.Export(m, train.ExportOptions{})
		if err != nil {
			return nil, err
		}
		file := filepath.Join(opt.folder, name+".onnx")
		if err := onnx.WriteFile(file, g); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if data := os.Getenv("LANES_DATA"); data != "" && opt.Model == "" {
		more, err := filepath.Glob(filepath.Join(data, "onnx-models", "*", "model.onnx"))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// openSides are the sizes of maps where a model leaves them open.
var openSides = map[int]int{2: 48, 3: 192}

// shape fills in inputs and shapes; ok is false if the model has another batch.
func (m *modelCase) shape(g *onnx.Model) (ok bool, err error) {
	weights := map[string]bool{}
	for i := range g.Graph.Initializers {
		weights[g.Graph.Initializers[i].Name] = true
	}
	for _, v := range g.Graph.Inputs {
		if weights[v.Name] {
			continue
		}
		if v.Type != onnx.Float32 || len(v.Shape) == 0 {
			return false, fmt.Errorf("input %q is not a tensor of float32 with a shape", v.Name)
		}
		var shape []int
		for i, d := range v.Shape {
			switch {
			case d.Size >= 0:
				shape = append(shape, int(d.Size))
			case i == 0:
				shape = append(shape, m.batch)
			case openSides[i] > 0:
				shape = append(shape, openSides[i])
			default:
				return false, fmt.Errorf("input %q has open sizes", v.Name)
			}
		}
		if shape[0] != m.batch {
			return false, nil
		}
		m.inputs, m.shapes = append(m.inputs, v.Name), append(m.shapes, shape)
	}
	return true, nil
}

// setup drops the model of the case before and makes the inputs of this one.
func (m *modelCase) setup() func() {
	*m.current = loadedModel{}
	for _, shape := range m.shapes {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i%251)/125 - 1
		}
		m.current.src = append(m.current.src, infer.FromFloat32s(x, shape...))
	}
	return m.current.run
}

func (l *loadedModel) run() {
	if l.session != nil && l.err == nil {
		l.err = l.session.Run(l.dst, l.src)
	}
}

// cost loads the model and runs it once. It notes the time of loading and the
// memory of both in row, and returns the operations of a run.
func (m *modelCase) cost(row *Row) (flops float64, err error) {
	peak := startPeak()
	start := time.Now()
	l := m.current
	if l.session, err = infer.Load(m.file, &infer.Options{Exact: m.exact}); err != nil {
		return 0, err
	}
	row.LoadNS = float64(time.Since(start).Nanoseconds())
	l.dst = make([]*infer.Tensor, len(l.session.Outputs()))
	l.run()
	row.PeakBytes = peak()
	return l.session.FLOPs(), l.err
}
