package ccloss

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// reservedClasses is the number of classes, at most the batch, that New makes
// room for. A batch with more classes makes the plan grow once.
const reservedClasses = 1024

// A Plan computes one loss for batches of up to n vectors of c channels. What
// Forward found is kept for Backward, so a plan serves one goroutine at a time.
type Plan struct {
	opt  Options
	n, c int

	// Of the last Forward.
	a      []float32
	labels []int32
	result Result
	slope  slopes

	// Class statistics, for the squared metric.
	stats  *Stats
	group  *grouping
	center []float64
	lines  *lines

	pairs *pairs // nil if the pairs are not needed
}

// New returns a plan for batches of at most n vectors of c channels.
func New(opt Options, n, c int) (*Plan, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	if n < 0 || c < 1 {
		return nil, fmt.Errorf("ccloss: batch %d and channels %d: want at least 0 and 1", n, c)
	}
	if n > math.MaxInt32 || n > math.MaxInt/16/c {
		return nil, fmt.Errorf("ccloss: %d vectors of %d channels are too large", n, c)
	}
	p := &Plan{opt: opt, n: n, c: c, labels: make([]int32, 0, n)}
	if opt.Metric == SquaredEuclidean {
		k := min(n, reservedClasses)
		p.stats, p.group, p.lines = NewStats(c), newGrouping(c), newLines(c)
		p.stats.reserve(k)
		p.group.reserve(n)
		p.lines.reserve(k)
		p.center = make([]float64, c)
	}
	if opt.Metric == Euclidean || opt.Form == Margin {
		p.pairs = newPairs(opt, n, c)
	}
	return p, nil
}

// Options returns the plan's options with defaults filled in.
func (p *Plan) Options() Options { return p.opt }

// String says what the plan computes and how.
func (p *Plan) String() string {
	how := "class statistics, O(N*C)"
	switch {
	case p.pairs != nil && p.stats != nil:
		how = "class statistics and pair tiles, O(N*N*C)"
	case p.pairs != nil:
		how = "pair tiles, O(N*N*C)"
	}
	return fmt.Sprintf("ccloss: %s %s, N<=%d C=%d: %s", p.opt.Metric, p.opt.Form, p.n, p.c, how)
}

// Forward returns the loss of the vectors a (len(labels) x C, row-major) with
// the given labels, any int32 values. a is not copied: it must stay unchanged
// until Backward. It panics if the lengths do not fit the plan.
func (p *Plan) Forward(a []float32, labels []int32) Result {
	if len(labels) > p.n {
		panic(fmt.Sprintf("ccloss.Plan.Forward: %d samples in a plan for %d", len(labels), p.n))
	}
	if len(a) != len(labels)*p.c {
		panic("ccloss.Plan.Forward: len(a) != len(labels)*C")
	}
	p.a, p.labels, p.result = a, append(p.labels[:0], labels...), Result{}
	if p.stats != nil {
		p.group.run(p.stats, a, labels)
		p.stats.moments(&p.result, p.center)
	}
	var hinge float64
	if p.pairs != nil {
		sums := p.pairs.forward(a, p.labels)
		if p.stats == nil {
			p.countPairs(&p.result)
			p.result.Within, p.result.Between = mean(sums.Same, p.result.Same), mean(sums.Diff, p.result.Different)
		}
		hinge = mean(sums.Hinge, p.result.Different)
	}
	p.slope = p.opt.combine(&p.result, hinge, p.c)
	return p.result
}

// countPairs fills in the pair counts from the labels alone.
func (p *Plan) countPairs(r *Result) {
	n := int64(len(p.labels))
	r.Same = p.pairs.samePairs(p.labels)
	r.Different = n*(n-1)/2 - r.Same
}

// mean returns sum/n, 0 for n = 0.
func mean(sum float64, n int64) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// Stats returns the class statistics of the last Forward's batch, nil for the
// Euclidean metric. They are valid until the next Forward.
func (p *Plan) Stats() *Stats { return p.stats }

// Backward sets da (the size of the last Forward's a) to scale times the
// gradient of its loss; scale carries lambda and any upstream gradient. da is
// overwritten and must not overlap a.
func (p *Plan) Backward(da []float32, scale float32) {
	if len(da) != len(p.a) {
		panic("ccloss.Plan.Backward: len(da) differs from the last Forward's a")
	}
	if p.stats != nil {
		p.lines.fit(p.stats, &p.result, p.slope, p.center, float64(scale))
		p.lines.apply(da, p.a, p.group.class)
	} else {
		clear(da)
	}
	if p.pairs == nil {
		return
	}
	rule := kernels.PairRule{Margin: p.pairs.margin}
	same, diff := float64(p.result.Same), float64(p.result.Different)
	if p.stats == nil && same > 0 {
		rule.Same = float32(float64(scale) * p.slope.within / same)
	}
	if diff > 0 && p.opt.Form == Margin {
		rule.Hinge = true
		rule.Diff = float32(-2 * float64(scale) * p.slope.hinge / diff)
	} else if diff > 0 {
		rule.Diff = float32(float64(scale) * p.slope.between / diff)
	}
	p.pairs.backward(da, p.a, p.labels, rule)
}
