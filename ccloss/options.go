package ccloss

import (
	"fmt"
	"math"
)

// A Metric is the distance between two attention vectors.
type Metric uint8

const (
	// SquaredEuclidean is d² = ||x-y||². Its sums over pairs follow from class
	// statistics in O(N*C) time.
	SquaredEuclidean Metric = iota
	// Euclidean is d = ||x-y||. It needs every pair: O(N²*C) time.
	Euclidean
)

// A Form is the way the within-class mean W and the between-class mean B
// become one number.
type Form uint8

const (
	// Ratio is W / (B + Eps).
	Ratio Form = iota
	// Difference is (W - B) / s with s = sqrt(C) for Euclidean and C for
	// SquaredEuclidean, so that its size does not depend on the width.
	Difference
	// Margin is W + the mean over different-class pairs of max(0, m-d)² with
	// m = Margin*sqrt(C) and d the Euclidean distance under either metric.
	Margin
)

// Values that a zero field of Options stands for.
const (
	DefaultEps    = 1e-6
	DefaultMargin = 0.5
)

// Options choose the loss. The zero value is the squared ratio with the default
// Eps.
type Options struct {
	Metric Metric
	Form   Form
	// Eps keeps Ratio finite when the classes coincide. Zero means DefaultEps;
	// for no Eps at all pass math.SmallestNonzeroFloat64.
	Eps float64
	// Margin is the distance, in units of sqrt(C), beyond which different
	// classes no longer repel each other in Form Margin. Zero means
	// DefaultMargin.
	Margin float64
}

var (
	metricNames = [...]string{SquaredEuclidean: "squared", Euclidean: "euclidean"}
	formNames   = [...]string{Ratio: "ratio", Difference: "difference", Margin: "margin"}
)

// String returns the metric's name: "squared" or "euclidean".
func (m Metric) String() string {
	if int(m) >= len(metricNames) {
		return fmt.Sprintf("Metric(%d)", uint8(m))
	}
	return metricNames[m]
}

// String returns the form's name: "ratio", "difference" or "margin".
func (f Form) String() string {
	if int(f) >= len(formNames) {
		return fmt.Sprintf("Form(%d)", uint8(f))
	}
	return formNames[f]
}

// ParseMetric is the inverse of Metric.String.
func ParseMetric(name string) (Metric, error) {
	for m, n := range metricNames {
		if n == name {
			return Metric(m), nil
		}
	}
	return 0, fmt.Errorf("ccloss: unknown metric %q (squared or euclidean)", name)
}

// ParseForm is the inverse of Form.String.
func ParseForm(name string) (Form, error) {
	for f, n := range formNames {
		if n == name {
			return Form(f), nil
		}
	}
	return 0, fmt.Errorf("ccloss: unknown form %q (ratio, difference or margin)", name)
}

// withDefaults replaces zero fields and reports fields that make no sense.
func (o Options) withDefaults() (Options, error) {
	if o.Eps == 0 {
		o.Eps = DefaultEps
	}
	if o.Margin == 0 {
		o.Margin = DefaultMargin
	}
	switch {
	case int(o.Metric) >= len(metricNames):
		return o, fmt.Errorf("ccloss: unknown metric %d", o.Metric)
	case int(o.Form) >= len(formNames):
		return o, fmt.Errorf("ccloss: unknown form %d", o.Form)
	case !(o.Eps > 0) || math.IsInf(o.Eps, 0):
		return o, fmt.Errorf("ccloss: eps %v is not a positive finite number", o.Eps)
	case !(o.Margin > 0) || math.IsInf(o.Margin, 0):
		return o, fmt.Errorf("ccloss: margin %v is not a positive finite number", o.Margin)
	}
	return o, nil
}

// Result is the value of the loss and what it is made of.
type Result struct {
	// Loss is the value of the chosen form.
	Loss float64
	// Within and Between are the means of the chosen metric over same-class
	// and over different-class pairs, 0 where there is no such pair.
	Within, Between float64
	// Same and Different count the pairs i < j of either kind.
	Same, Different int64
}

// slopes are the derivatives of the loss with respect to the two means and to
// the mean hinge of Margin.
type slopes struct{ within, between, hinge float64 }

// combine returns the loss for the means in r and the mean hinge h, and its
// slopes. Without a different-class pair Ratio and Difference are constant; a
// mean that is not finite still makes them NaN, so that it is noticed.
func (o Options) combine(r *Result, h float64, c int) slopes {
	switch {
	case o.Form == Margin:
		r.Loss = r.Within + h
		return slopes{within: 1, hinge: 1}
	case r.Different == 0:
		r.Loss = 0 * r.Within
		return slopes{within: r.Loss}
	case o.Form == Difference:
		s := 1 / o.scale(c)
		r.Loss = (r.Within - r.Between) * s
		return slopes{within: s, between: -s}
	default:
		d := 1 / (r.Between + o.Eps)
		r.Loss = r.Within * d
		return slopes{within: d, between: -r.Within * d * d}
	}
}

// scale is the s of Difference.
func (o Options) scale(c int) float64 {
	if o.Metric == Euclidean {
		return math.Sqrt(float64(c))
	}
	return float64(c)
}

// hingeAt is the m of Margin.
func (o Options) hingeAt(c int) float64 { return o.Margin * math.Sqrt(float64(c)) }
