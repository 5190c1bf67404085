package quantize

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// bins is the resolution of the histograms.
const bins = 2048

// A span is the range of an activation and how often it has which values.
type span struct {
	lo, hi float32
	counts [bins]float64
}

// watched returns the activations whose ranges may be needed.
func (g *network) watched() []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range g.m.Graph.Nodes {
		switch g.roles[i] {
		case product, maxPool:
			add(g.m.Graph.Nodes[i].Inputs[0])
		case sum:
			add(g.m.Graph.Nodes[i].Inputs[0])
			add(g.m.Graph.Nodes[i].Inputs[1])
			add(g.result(i))
		}
	}
	return names
}

// calibrate runs the float model on the samples: once for the ranges and, if the
// method asks, once more for the histograms. It returns the ranges to use.
func (g *network) calibrate(samples Samples, method Method, report *Report) (map[string]span, error) {
	names := g.watched()
	probe := *g.m
	probe.Graph.Outputs = nil
	given := map[string]int{} // model inputs by place
	for i, v := range g.m.Graph.Inputs {
		given[v.Name] = i
	}
	for _, name := range names {
		if _, ok := given[name]; !ok {
			probe.Graph.Outputs = append(probe.Graph.Outputs, onnx.ValueInfo{Name: name, Type: onnx.Float32})
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the model has no convolution or fully connected layer with constant weights")
	}
	var session *infer.Session
	if len(probe.Graph.Outputs) > 0 {
		var err error
		if session, err = infer.New(&probe, &infer.Options{Exact: true}); err != nil {
			return nil, err
		}
	}
	spans := make([]*span, len(names))
	for i := range spans {
		spans[i] = &span{}
	}
	out := make([]*infer.Tensor, len(probe.Graph.Outputs))
	pass := func(visit func(s *span, values []float32)) (n int, err error) {
		err = samples(func(inputs []*infer.Tensor) error {
			n++
			if session != nil {
				if err := session.Run(out, inputs); err != nil {
					return err
				}
			}
			next := 0
			for i, name := range names {
				t := (*infer.Tensor)(nil)
				if at, ok := given[name]; ok {
					if at >= len(inputs) {
						return fmt.Errorf("%d inputs, want %d", len(inputs), len(given))
					}
					t = inputs[at]
				} else {
					t = out[next]
					next++
				}
				if t.Type != onnx.Float32 {
					return fmt.Errorf("%q is %v, want float32", name, t.Type)
				}
				g.shapes[name] = slices.Clone(t.Shape)
				visit(spans[i], t.Float32s())
			}
			return nil
		})
		return n, err
	}
	n, err := pass((*span).widen)
	if err != nil {
		return nil, err
	}
	if report.Samples = n; n == 0 {
		return nil, errors.New("no samples to calibrate with")
	}
	if method != MinMax {
		if _, err := pass((*span).count); err != nil {
			return nil, err
		}
	}
	return rangesOf(names, spans, method)
}

// rangesOf returns the ranges to use by the names of the activations.
func rangesOf(names []string, spans []*span, method Method) (map[string]span, error) {
	ranges := map[string]span{}
	for i, name := range names {
		s := spans[i]
		if math.IsInf(float64(s.hi-s.lo), 0) || s.hi != s.hi || s.lo != s.lo {
			return nil, fmt.Errorf("%q has values that are not finite", name)
		}
		switch method {
		case Percentile:
			s.cut(1e-4)
		case MSE:
			s.minimise()
		}
		ranges[name] = span{lo: s.lo, hi: s.hi}
	}
	return ranges, nil
}

// widen takes values into the range, which always holds zero.
func (s *span) widen(values []float32) {
	for _, v := range values {
		if v < s.lo || v != v {
			s.lo = v
		}
		if v > s.hi || v != v {
			s.hi = v
		}
	}
}

func (s *span) count(values []float32) {
	width := s.hi - s.lo
	if width == 0 {
		return
	}
	for _, v := range values {
		s.counts[min(bins-1, max(0, int((v-s.lo)/width*bins)))]++
	}
}

// cut leaves out a share of the values at either end.
func (s *span) cut(share float64) {
	total := 0.0
	for _, c := range s.counts {
		total += c
	}
	lo, hi := 0, bins
	for sum := 0.0; lo < bins && sum+s.counts[lo] <= share*total; lo++ {
		sum += s.counts[lo]
	}
	for sum := 0.0; hi > lo+1 && sum+s.counts[hi-1] <= share*total; hi-- {
		sum += s.counts[hi-1]
	}
	step := (s.hi - s.lo) / bins
	s.lo, s.hi = min(0, s.lo+float32(lo)*step), max(0, s.lo+float32(hi)*step)
}

// minimise shrinks both ends in steps of 2 % to where the mean square of rounding
// and clipping errors is least.
func (s *span) minimise() {
	best, factor := math.Inf(1), 1.0
	for f := 1.0; f > 0.3; f -= 0.02 {
		lo, hi := float64(s.lo)*f, float64(s.hi)*f
		step := (hi - lo) / 255
		e := 0.0
		for i, c := range s.counts {
			v := float64(s.lo) + (float64(i)+0.5)*float64(s.hi-s.lo)/bins
			switch {
			case v < lo:
				e += c * (lo - v) * (lo - v)
			case v > hi:
				e += c * (v - hi) * (v - hi)
			default:
				e += c * step * step / 12
			}
		}
		if e < best {
			best, factor = e, f
		}
	}
	s.lo, s.hi = float32(float64(s.lo)*factor), float32(float64(s.hi)*factor)
}

// parameters returns scale and zero point of the range.
func (s span) parameters() (scale float32, zero uint8) {
	scale = (s.hi - s.lo) / 255
	if !(scale >= 0x1p-100) { // nothing but zero
		return 1, 0
	}
	return scale, uint8(min(255, math.RoundToEven(float64(-s.lo/scale))))
}
