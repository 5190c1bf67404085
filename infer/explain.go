package infer

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Explain runs the model on zeros of the given shapes, a few times, and returns
// a table of what it does: for each step its nodes, the kernel or algorithm, the
// shape of the result, its share of the time and the GFLOP/s of products; then
// the memory. Without shapes those of the last plan are taken.
func (s *Session) Explain(shapes ...[]int) (string, error) {
	p, src, err := s.explained(shapes)
	if err != nil {
		return "", fmt.Errorf("infer: %w", err)
	}
	if p.dynamic {
		return "evaluated node by node: shapes depend on elements, or a tensor is empty\n", nil
	}
	st, err := p.take()
	if err != nil {
		return "", fmt.Errorf("infer: %w", err)
	}
	defer p.give(st)
	p.bind(st, make([]*Tensor, len(s.graph.out)), src)
	best := make([]time.Duration, len(st.steps))
	const runs = 5
	for run := range runs {
		spent := make([]time.Duration, len(st.steps))
		timed := func(lo, hi int) error {
			for i := lo; i < hi; i++ {
				start := time.Now()
				if err := st.run(p, i, i+1); err != nil {
					return err
				}
				spent[i] += time.Since(start)
			}
			return nil
		}
		for image := range p.front.images {
			st.image(p, src, image)
			if err := timed(0, p.front.steps); err != nil {
				return "", err
			}
		}
		if err := timed(p.front.steps, len(st.steps)); err != nil {
			return "", err
		}
		for i, d := range spent {
			if run == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	return p.table(best), nil
}

func (s *Session) explained(shapes [][]int) (*plan, []*Tensor, error) {
	if len(shapes) == 0 {
		s.mu.Lock()
		if len(s.plans) > 0 {
			shapes = s.plans[0].shapes
		}
		s.mu.Unlock()
	}
	if len(shapes) != len(s.graph.inputs) {
		return nil, nil, fmt.Errorf("%d shapes for %d inputs", len(shapes), len(s.graph.inputs))
	}
	src := make([]*Tensor, len(shapes))
	for i, v := range s.graph.inputs {
		t, err := NewTensor(v.Type, shapes[i]...)
		if err != nil {
			return nil, nil, err
		}
		src[i] = t
	}
	if err := s.checkInputs(src); err != nil {
		return nil, nil, err
	}
	p, err := s.planFor(src)
	return p, src, err
}

func (p *plan) table(times []time.Duration) string {
	var b strings.Builder
	var total time.Duration
	for _, d := range times {
		total += d
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\tnodes\tkernel\tresult\tus\tshare\tGFLOP/s\tKiB")
	for i, in := range p.instrs {
		out := &p.slots[in.out[0]]
		rate := ""
		if in.flops > 0 {
			rate = fmt.Sprintf("%.0f", in.flops/max(float64(times[i]), 1))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%v\t%d\t%.1f%%\t%s\t%d\n", i, in.title, in.how, out.shape, times[i].Microseconds(),
			100*float64(times[i])/float64(max(total, 1)), rate, product(out.shape)*out.typ.Size()>>10)
	}
	// The writer is a strings.Builder, which does not fail.
	_ = w.Flush()
	if p.front.images > 0 {
		fmt.Fprintf(&b, "the first %d steps run image by image, %d times\n", p.front.steps, p.front.images)
	}
	fmt.Fprintf(&b, "%d steps in %v; arena %d KiB (%d KiB without sharing), scratch %d KiB\n",
		len(p.instrs), total.Round(time.Microsecond), p.arena>>10, p.naive>>10, p.work>>8)
	return b.String()
}

// PeakBytes is the memory that one run with inputs of the last used shapes needs
// beside weights, inputs and outputs.
func (s *Session) PeakBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.plans) == 0 {
		return 0
	}
	return s.plans[0].arena + 4*s.plans[0].work
}

// FLOPs is the number of operations, two for each multiply-add, of the
// convolutions and matrix products of one run with inputs of the last used shapes.
func (s *Session) FLOPs() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0.0
	if len(s.plans) > 0 {
		for i := range s.plans[0].instrs {
			sum += s.plans[0].instrs[i].flops
		}
	}
	return sum
}
