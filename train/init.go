package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golanes/lanes/train/safetensors"
)

// InitReport says which tensors InitFile found.
type InitReport struct {
	Loaded, Kept []string
}

// String counts the tensors and names a few of those that keep their values.
func (r InitReport) String() string {
	text := fmt.Sprintf("%d of %d tensors taken over", len(r.Loaded), len(r.Loaded)+len(r.Kept))
	const named = 4
	if n := len(r.Kept); n > 0 {
		text += "; at random: " + strings.Join(r.Kept[:min(n, named)], ", ")
		if n > named {
			text += fmt.Sprintf(" and %d more", n-named)
		}
	}
	return text
}

// InitFile starts fine-tuning: it takes over every tensor of a safetensors file
// that has the name of one of the model's, such as those of a torchvision state
// dict. Tensors the file lacks (an attention module's, say) keep their values, as
// do those of the classifier where their shape differs, for another number of
// classes. Any other difference of shape is an error, as is a value that is not
// finite and a file that has none of the convolutions; then nothing is changed.
func (m *Model) InitFile(path string) (InitReport, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return InitReport{}, err
	}
	report, err := m.initTensors(f)
	if err != nil {
		return InitReport{}, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

func (m *Model) initTensors(f *safetensors.File) (InitReport, error) {
	var report InitReport
	values := map[*Param][]float32{}
	convolutions := 0
	for _, n := range m.graph.nodes {
		_, isConv := n.layer.(*Conv2D)
		classifier := slices.Contains(n.out, m.graph.logits)
		for _, p := range n.layer.Params() {
			t, ok := f.Tensor(p.Name)
			if ok && !slices.Equal(t.Shape, p.Shape) {
				if !classifier {
					return report, fmt.Errorf("tensor %q has shape %v, the model needs %v", p.Name, t.Shape, p.Shape)
				}
				ok = false
			}
			if !ok {
				report.Kept = append(report.Kept, p.Name)
				continue
			}
			v, err := finiteFloats(t)
			if err != nil {
				return report, fmt.Errorf("tensor %q: %w", p.Name, err)
			}
			values[p] = v
			report.Loaded = append(report.Loaded, p.Name)
			if isConv {
				convolutions++
			}
		}
	}
	if convolutions == 0 {
		return report, errors.New("it has none of the model's convolutions")
	}
	for p, v := range values {
		copy(p.Value, v)
	}
	return report, nil
}
