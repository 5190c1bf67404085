package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/golanes/lanes/train"
)

// stepTime is where the time of training went.
type stepTime struct {
	Parts  []*timePart // of a step, in its order
	Layers []*timePart // forward and backward, by kind of layer
}

type timePart struct {
	Name    string
	Seconds float64
	Share   float64 // of the whole table
}

// newStepTime returns nil when no times were taken.
func newStepTime(r *Run) *stepTime {
	var sum train.StepTimes
	for _, m := range r.Epochs {
		t := m.StepTimes
		sum.Data += t.Data
		sum.Forward += t.Forward
		sum.Loss += t.Loss
		sum.Backward += t.Backward
		sum.Update += t.Update
	}
	s := &stepTime{Parts: shares([]*timePart{
		{Name: "data: waiting for the next batch", Seconds: sum.Data},
		{Name: "forward", Seconds: sum.Forward},
		{Name: "loss", Seconds: sum.Loss},
		{Name: "backward", Seconds: sum.Backward},
		{Name: "update", Seconds: sum.Update},
	})}
	if s.Parts == nil {
		return nil
	}
	byKind := map[string]time.Duration{}
	for _, l := range r.Layers {
		byKind[kind(l.Layer)] += l.Forward + l.Backward
	}
	for name, d := range byKind {
		s.Layers = append(s.Layers, &timePart{Name: name, Seconds: d.Seconds()})
	}
	slices.SortFunc(s.Layers, func(a, b *timePart) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name))
	})
	s.Layers = shares(s.Layers)
	return s
}

// shares fills in the shares; nil when nothing took any time.
func shares(parts []*timePart) []*timePart {
	total := 0.0
	for _, p := range parts {
		total += p.Seconds
	}
	if !(total > 0) {
		return nil
	}
	for i := range parts {
		parts[i].Share = parts[i].Seconds / total
	}
	return parts
}

// kind names what a layer does.
func kind(l train.Layer) string {
	switch l.(type) {
	case *train.Conv2D:
		return "convolutions"
	case *train.BatchNorm:
		return "batch norm, with the activation and addition behind it"
	case *train.GatedNorm:
		return "batch norm with channel attention, addition and activation"
	case *train.Attention:
		return "channel attention"
	case *train.Linear, *train.CosineLinear:
		return "classifier"
	case *train.Pool, *train.GlobalAvgPool:
		return "pooling"
	}
	return "others"
}
