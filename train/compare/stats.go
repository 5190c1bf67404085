package compare

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Summary describes values over seeds.
type Summary struct {
	N      int       `json:"n"`
	Mean   float64   `json:"mean"`
	SD     *float64  `json:"sd"` // of the sample, with n-1; nil for fewer than two values
	Values []float64 `json:"values"`
}

// Difference describes the differences between the values of pairs. Low and High
// bound the 95 % confidence interval of the mean by Student's t: mean -+
// t(0.975; n-1) sd/sqrt(n). It assumes differences that are normal and
// independent over the seeds. Low and High are nil for fewer than two pairs.
type Difference struct {
	Summary
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
}

// String writes the difference in percentage points and its interval, as far as
// there is one; nothing for nil.
func (d *Difference) String() string {
	switch {
	case d == nil:
		return ""
	case d.Low == nil:
		return fmt.Sprintf("%+.2f", 100*d.Mean)
	}
	return fmt.Sprintf("%+.2f [%+.2f, %+.2f]", 100*d.Mean, 100**d.Low, 100**d.High)
}

// Confidence is the level of the intervals.
const Confidence = 0.95

// Summarize returns nil for no values.
func Summarize(values []float64) *Summary {
	switch len(values) {
	case 0:
		return nil
	case 1:
		return &Summary{N: 1, Mean: values[0], Values: values}
	}
	mean, sd := meanAndDeviation(values)
	return &Summary{len(values), mean, &sd, values}
}

// meanAndDeviation returns the mean of at least two values and the standard
// deviation of the sample. The sum of the deviations, zero but for rounding of
// the mean, corrects the sum of their squares (Chan, Golub and LeVeque 1983).
func meanAndDeviation(values []float64) (mean, sd float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v
	}
	mean /= n
	squares, rest := 0.0, 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
		rest += v - mean
	}
	return mean, math.Sqrt(max(0, squares-rest*rest/n) / (n - 1))
}

// studentQuantile returns the t that a variable with Student's distribution of nu
// degrees of freedom stays within, on both sides, with probability Confidence:
// 1-Confidence = I(nu/(nu+t^2); nu/2, 1/2), I the regularised incomplete beta
// function.
func studentQuantile(nu float64) float64 {
	x := mathext.InvRegIncBeta(nu/2, 0.5, 1-Confidence)
	return math.Sqrt(nu * (1 - x) / x)
}

// Compare describes a[i]-b[i]. It returns nil for no values, and panics if the
// numbers of values differ.
func Compare(a, b []float64) *Difference {
	if len(a) != len(b) {
		panic("compare.Compare: values without a partner")
	}
	values := make([]float64, len(a))
	for i := range a {
		values[i] = a[i] - b[i]
	}
	s := Summarize(values)
	if s == nil {
		return nil
	}
	d := &Difference{Summary: *s}
	if s.N > 1 {
		n := float64(s.N)
		half := studentQuantile(n-1) * *s.SD / math.Sqrt(n)
		low, high := s.Mean-half, s.Mean+half
		d.Low, d.High = &low, &high
	}
	return d
}

// Better reports whether the interval lies above zero, Worse whether it lies
// below.
func (d *Difference) Better() bool { return d.Low != nil && *d.Low > 0 }

// Worse: see Better.
func (d *Difference) Worse() bool { return d.High != nil && *d.High < 0 }
