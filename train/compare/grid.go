package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/train"
)

// Setting is what can be tuned of a loss. The fields are those of
// train.LossConfig, ccloss.Options and train.Spec; a zero field stands for its
// default there. PerClass, if not zero, makes batches of that many images of each
// of Batch/PerClass classes (data.SamplerPxK).
type Setting struct {
	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	Lambda         float64 `json:"lambda,omitempty"`
	Ramp           float64 `json:"ramp,omitempty"`
	Metric         string  `json:"metric,omitempty"`
	Form           string  `json:"form,omitempty"`
	Stages         int     `json:"stages,omitempty"`
	Placement      string  `json:"placement,omitempty"`
	NoRescale      bool    `json:"no_rescale,omitempty"`
	Gamma          float64 `json:"gamma,omitempty"`
	Scale          float64 `json:"scale,omitempty"`
	Margin         float64 `json:"margin,omitempty"`
	Temperature    float64 `json:"temperature,omitempty"`
	PerClass       int     `json:"per_class,omitempty"`
}

// Grid returns the settings that are tried for each loss, three for every kind,
// spread around the values in use in the literature. For cross entropy they are
// strengths of label smoothing, none among them.
func Grid() map[string][]Setting {
	return map[string][]Setting{
		train.LossCE: {{}, {LabelSmoothing: 0.05}, {LabelSmoothing: 0.1}},
		train.LossCC: {
			{Lambda: 0.1, Ramp: 1, Metric: "squared", Form: "ratio"},
			{Lambda: 0.3, Ramp: 1, Metric: "squared", Form: "difference"},
			{Lambda: 0.1, Ramp: 1, Metric: "euclidean", Form: "ratio"},
		},
		train.LossCenter:  {{Lambda: 0.001}, {Lambda: 0.01}, {Lambda: 0.1}},
		train.LossFocal:   {{Gamma: 0.5}, {Gamma: 1}, {Gamma: 2}},
		train.LossArcFace: {{Margin: 0.1, Scale: 16}, {Margin: 0.3, Scale: 16}, {Margin: 0.3, Scale: 30}},
		train.LossCosFace: {{Margin: 0.1, Scale: 16}, {Margin: 0.35, Scale: 16}, {Margin: 0.35, Scale: 30}},
		train.LossSupCon:  {{Lambda: 0.1}, {Lambda: 0.3}, {Lambda: 1}},
		train.LossTriplet: {{Lambda: 0.1}, {Lambda: 0.3}, {Lambda: 1}},
	}
}

// ReadGrid reads a grid as JSON: an object with a list of settings for each loss.
func ReadGrid(r io.Reader) (map[string][]Setting, error) {
	const longest = 1 << 20
	text, err := io.ReadAll(io.LimitReader(r, longest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > longest {
		return nil, fmt.Errorf("a grid of more than %d bytes", longest)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var grid map[string][]Setting
	if err := d.Decode(&grid); err != nil {
		return nil, fmt.Errorf("grid: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("grid: something follows the object")
	}
	for kind := range grid {
		if !slices.Contains(train.LossKinds(), kind) {
			return nil, fmt.Errorf("grid: unknown loss %q", kind)
		}
	}
	return grid, nil
}

// loss is the objective of a kind of loss with these settings.
func (s Setting) loss(kind string) (train.LossConfig, error) {
	c := train.LossConfig{Kind: kind, LabelSmoothing: s.LabelSmoothing, Lambda: s.Lambda, Ramp: s.Ramp, Stages: s.Stages,
		Gamma: s.Gamma, Scale: s.Scale, Margin: s.Margin, Temperature: s.Temperature}
	if kind != train.LossCC {
		return c, nil
	}
	c.CC.Margin, c.Margin = s.Margin, 0
	var err error
	if s.Metric != "" {
		if c.CC.Metric, err = ccloss.ParseMetric(s.Metric); err != nil {
			return c, err
		}
	}
	if s.Form != "" {
		c.CC.Form, err = ccloss.ParseForm(s.Form)
	}
	return c, err
}

// String lists the fields that are not zero, or says "plain".
func (s Setting) String() string {
	var parts []string
	if form := strings.TrimSpace(s.Metric + " " + s.Form); form != "" {
		parts = append(parts, form)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"lambda", s.Lambda}, {"ramp", s.Ramp}, {"smoothing", s.LabelSmoothing}, {"stages", float64(s.Stages)}, {"gamma", s.Gamma},
		{"margin", s.Margin}, {"scale", s.Scale}, {"temperature", s.Temperature},
		{"images per class", float64(s.PerClass)}} {
		if f.value != 0 {
			parts = append(parts, fmt.Sprintf("%s %v", f.name, f.value))
		}
	}
	if s.Placement != "" {
		parts = append(parts, "attention at "+s.Placement)
	}
	if s.NoRescale {
		parts = append(parts, "no rescale")
	}
	if parts == nil {
		return "plain"
	}
	return strings.Join(parts, ", ")
}
