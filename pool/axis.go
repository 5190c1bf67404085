package pool

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// An axis is one dimension of a pooling operator: which inputs each output's
// window covers and, the other way round, which outputs cover an input.
type axis struct {
	in, out  int
	dilation int
	windows  []window // by output
	covers   []cover  // by input
}

// A window is the part of an output's window that lies inside the map: inputs
// start + t*dilation for t < taps. The first has number tap in the whole
// window. count is the divisor an average uses on this axis.
type window struct{ start, taps, tap, count int }

// A cover lists the outputs whose window covers an input: start + i*step for
// i < n, in which it has number tap - i*tapStep.
type cover struct{ start, n, step, tap, tapStep int }

// Count is the rule by which an average counts the elements of a window that
// reaches into the padding.
type Count uint8

const (
	// CountPadding divides by the taps that lie inside the map or its padding:
	// PyTorch's count_include_pad=True.
	CountPadding Count = iota
	// CountInside divides by the taps that lie inside the map.
	CountInside
)

// newAxis returns the axis of a sliding window, or an error if a window has no
// element inside the map.
func newAxis(in, taps, stride, dilation, before, after, out int, count Count) (*axis, error) {
	a := &axis{in: in, out: out, dilation: dilation, windows: make([]window, out)}
	for o := range a.windows {
		origin := o*stride - before
		first := max(0, (-origin+dilation-1)/dilation)
		last := min(taps, (in-origin+dilation-1)/dilation) // exclusive
		if first >= last {
			return nil, fmt.Errorf("pool: window %d of %d taps at %d has no element inside a side of %d", o, taps, origin, in)
		}
		w := window{start: origin + first*dilation, taps: last - first, tap: first, count: last - first}
		if count == CountPadding {
			w.count = min(taps, (in+after-origin+dilation-1)/dilation)
		}
		a.windows[o] = w
	}
	a.covers = slidingCovers(in, taps, stride, dilation, before, out)
	return a, nil
}

// slidingCovers solves o*stride + tap*dilation = i + before for every input i.
// With g = gcd(stride, dilation) the outputs o are one residue class modulo
// dilation/g, if g divides i + before, and taps fall as outputs rise.
func slidingCovers(in, taps, stride, dilation, before, out int) []cover {
	g := gcd(stride, dilation)
	step, tapStep := dilation/g, stride/g
	inverse := inverseModulo(tapStep, step)
	covers := make([]cover, in)
	for i := range covers {
		c := cover{step: step, tapStep: tapStep}
		sum := i + before
		lowest := max(0, (sum-dilation*(taps-1)+stride-1)/stride)
		o := lowest + ((sum/g%step*inverse-lowest)%step+step)%step
		if sum%g == 0 && o < out && o*stride <= sum {
			c.start, c.tap = o, (sum-o*stride)/dilation
			c.n = min((out-1-o)/step, c.tap/tapStep) + 1
		}
		covers[i] = c
	}
	return covers
}

// newAdaptiveAxis returns the axis whose output o covers the inputs from
// floor(o*in/out) up to ceil((o+1)*in/out).
func newAdaptiveAxis(in, out int) *axis {
	a := &axis{in: in, out: out, dilation: 1, windows: make([]window, out), covers: make([]cover, in)}
	for i := range a.covers {
		a.covers[i] = cover{step: 1}
	}
	for o := range a.windows {
		start, end := o*in/out, ((o+1)*in+out-1)/out
		a.windows[o] = window{start: start, taps: end - start, count: end - start}
		for i := start; i < end; i++ {
			if c := &a.covers[i]; c.n == 0 {
				c.start, c.n = o, 1
			} else {
				c.n++
			}
		}
	}
	return a
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// inverseModulo returns x with a*x = 1 modulo m, for a and m without a common
// factor, by Euclid's extended algorithm.
func inverseModulo(a, m int) int {
	x, next := 0, 1
	for r, s := m, a%m; s != 0; r, s = s, r%s {
		x, next = next, x-r/s*next
	}
	return (x%m + m) % m
}

// forwardColumns returns the columns of the outputs from to to-1 in maps with c
// channels.
func (a *axis) forwardColumns(from, to, c int) *kernels.WindowColumns {
	list := make([]kernels.WindowColumn, 0, to-from)
	for _, w := range a.windows[from:to] {
		list = append(list, kernels.WindowColumn{Start: w.start * c, Taps: w.taps, Tap: w.tap})
	}
	return kernels.NewWindowColumns(list, a.dilation*c, 1)
}

// backwardColumns returns the columns of the inputs.
func (a *axis) backwardColumns(c int) *kernels.WindowColumns {
	list := make([]kernels.WindowColumn, 0, a.in)
	for _, v := range a.covers {
		list = append(list, kernels.WindowColumn{Start: v.start * c, Taps: v.n, Tap: v.tap})
	}
	return kernels.NewWindowColumns(list, a.covers[0].step*c, -a.covers[0].tapStep)
}

// A span is a range of outputs.
type span struct{ from, to int }

// countSpans returns the ranges of outputs in which an average counts alike.
func (a *axis) countSpans() []span {
	var spans []span
	for o, w := range a.windows {
		if o == 0 || w.count != a.windows[o-1].count {
			spans = append(spans, span{from: o})
		}
		spans[len(spans)-1].to = o + 1
	}
	return spans
}
