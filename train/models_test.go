package train

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/train/safetensors"
)

// TestTorchvision: names, shapes and numbers of tensors are those of torchvision's
// models (num_batches_tracked, which only counts, apart). The numbers of
// parameters are in its documentation.
func TestTorchvision(t *testing.T) {
	for _, c := range []struct {
		name    string
		params  int
		tensors int
		some    map[string][]int
	}{
		{"resnet18", 11689512, 102, map[string][]int{
			"conv1.weight": {64, 3, 7, 7}, "bn1.running_var": {64}, "layer1.0.conv1.weight": {64, 64, 3, 3},
			"layer2.0.downsample.0.weight": {128, 64, 1, 1}, "layer2.0.downsample.1.running_mean": {128},
			"layer4.1.bn2.bias": {512}, "fc.weight": {1000, 512}, "fc.bias": {1000}}},
		{"resnet34", 21797672, 182, map[string][]int{"layer3.5.conv2.weight": {256, 256, 3, 3}}},
		{"vgg11-bn", 132868840, 54, map[string][]int{
			"features.0.weight": {64, 3, 3, 3}, "features.0.bias": {64}, "features.1.running_mean": {64},
			"features.4.weight": {128, 64, 3, 3}, "features.25.weight": {512, 512, 3, 3}, "features.26.bias": {512},
			"classifier.0.weight": {4096, 25088}, "classifier.3.weight": {4096, 4096}, "classifier.6.bias": {1000}}},
		{"vgg16-bn", 138365992, 84, map[string][]int{"features.40.weight": {512, 512, 3, 3}, "features.41.running_var": {512}}},
		{"vgg16", 138357544, 32, map[string][]int{"features.2.bias": {64}, "features.28.weight": {512, 512, 3, 3}, "classifier.6.bias": {1000}}},
		{"mobilenetv2", 3504872, 262, map[string][]int{"features.18.0.weight": {1280, 320, 1, 1}}},
		{"mobilenet-v2", 3504872, 262, map[string][]int{
			"features.0.0.weight": {32, 3, 3, 3}, "features.0.1.running_var": {32},
			"features.1.conv.0.0.weight": {32, 1, 3, 3}, "features.1.conv.0.1.weight": {32}, "features.1.conv.1.weight": {16, 32, 1, 1},
			"features.1.conv.2.bias": {16}, "features.2.conv.0.0.weight": {96, 16, 1, 1}, "features.2.conv.1.0.weight": {96, 1, 3, 3},
			"features.17.conv.2.weight": {320, 960, 1, 1}, "features.17.conv.3.weight": {320},
			"features.18.0.weight": {1280, 320, 1, 1}, "classifier.1.weight": {1000, 1280}}},
	} {
		g, err := Spec{Name: c.name, Image: Shape{224, 224, 3}, Classes: 1000}.graph()
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(); err != nil {
			t.Fatal(err)
		}
		params, tensors, shapes := 0, 0, map[string][]int{}
		for _, n := range g.nodes {
			for _, p := range n.layer.Params() {
				tensors++
				shapes[p.Name] = p.Shape
				if !p.Buffer {
					params += p.size()
				}
			}
		}
		if params != c.params || tensors != c.tensors || len(shapes) != tensors {
			t.Errorf("%s: %d parameters in %d tensors, want %d in %d", c.name, params, tensors, c.params, c.tensors)
		}
		for name, shape := range c.some {
			if !slices.Equal(shapes[name], shape) {
				t.Errorf("%s: %s has shape %v, want %v", c.name, name, shapes[name], shape)
			}
		}
	}
}

// TestLoadStateDict loads a state dict with the extra counters that PyTorch keeps,
// and rejects one that does not fit, whole.
func TestLoadStateDict(t *testing.T) {
	spec := Spec{Name: "resnet18", Image: Shape{32, 32, 3}, Classes: 4, Width: 0.125}
	from, err := New(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []namedTensor
	for _, p := range from.Params() {
		tensors = append(tensors, namedTensor{p.Name, p.Shape, p.Value})
	}
	file := append(encode(tensors), safetensors.Int64("bn1.num_batches_tracked", nil, []int64{7}))
	dir := t.TempDir()
	good := filepath.Join(dir, "good.safetensors")
	if err := safetensors.WriteFile(good, file, nil); err != nil {
		t.Fatal(err)
	}
	to, err := New(spec, 2)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(to.set.values)
	for name, list := range map[string][]safetensors.Tensor{
		"absent": file[1:],
		"shape":  append(slices.Clone(file[1:]), safetensors.Float32(file[0].Name, []int{1}, []float32{1})),
		"nan":    append(slices.Clone(file[1:]), safetensors.Float32(file[0].Name, file[0].Shape, nanSlice(file[0].Len()))),
		"type":   append(slices.Clone(file[1:]), safetensors.Int64(file[0].Name, file[0].Shape, make([]int64, file[0].Len()))),
	} {
		path := filepath.Join(dir, name+".safetensors")
		if err := safetensors.WriteFile(path, list, nil); err != nil {
			t.Fatal(err)
		}
		if err := to.LoadFile(path); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), file[0].Name) {
			t.Errorf("%s: error %v", name, err)
		}
		if !slices.Equal(to.set.values, before) {
			t.Errorf("%s: the model was changed", name)
		}
	}
	if err := to.LoadFile(good); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(to.set.values, from.set.values) || !slices.Equal(to.set.buffers, from.set.buffers) {
		t.Error("the model is not what was saved")
	}
	if _, err := OpenModel(good); err == nil {
		t.Error("a file without a description was opened")
	}
}

// TestInitFile starts a model with attention and other classes from a plain one.
func TestInitFile(t *testing.T) {
	image := Shape{32, 32, 3}
	from := mustModel(t, Spec{Name: "resnet18", Image: image, Classes: 10, Width: 0.125})
	path := filepath.Join(t.TempDir(), "from.safetensors")
	if err := from.Save(path, nil); err != nil {
		t.Fatal(err)
	}
	to, err := New(Spec{Name: "se-resnet18", Image: image, Classes: 4, Width: 0.125}, 9)
	if err != nil {
		t.Fatal(err)
	}
	report, err := to.InitFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Loaded) != 100 || len(report.Kept) != len(to.Params())-100 || !slices.Contains(report.Kept, "fc.weight") || !slices.Contains(report.Kept, "layer1.0.se.fc1.weight") {
		t.Errorf("%v: %v", report, report.Kept)
	}
	for _, name := range report.Loaded {
		if !slices.Equal(to.Param(name).Value, from.Param(name).Value) {
			t.Errorf("%s is not the file's", name)
		}
	}
	for name, spec := range map[string]Spec{
		"shape":   {Name: "resnet18", Image: image, Classes: 10, Width: 0.25},
		"nothing": {Name: "vgg11-bn", Image: image, Classes: 10, Width: 0.125},
	} {
		m := mustModel(t, spec)
		before := slices.Clone(m.set.values)
		if _, err := m.InitFile(path); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
		if !slices.Equal(m.set.values, before) {
			t.Errorf("%s: the model was changed", name)
		}
	}
}
