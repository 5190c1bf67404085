package blas_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels/blas"
	"github.com/golanes/lanes/kernels/kerneltest"
)

var native gonum.Implementation

// A shadow is a blas.Float64 for gonum's testblas suite, which has no float32
// side. Every call goes to gonum's float64 routine, whose answer it returns, and
// on the way the same call, arguments rounded to float32, is put to lanes:
//
//   - if gonum panics, lanes must panic with the same value;
//   - what gonum leaves alone, lanes must leave alone bit for bit;
//   - all else must be as close to the float64 result for the rounded arguments
//     as gonum's float32 routine is, within a factor for other summation orders.
type shadow struct{ t testing.TB }

type (
	call64 func(b [][]float64, r func(float64) float64) float64
	call32 func(i gonumblas.Float32, b [][]float32) float32
)

// slack is how much larger than gonum's worst error in a result ours may be:
// sums in another order differ by a small factor, and gonum's error may be small
// by luck when few elements were computed, hence also some roundings of the
// largest magnitude in the operands.
const slack, roundings = 8, 16

func (s shadow) compare(name string, bufs [][]float64, f64 call64, f32 call32) float64 {
	s.t.Helper()
	narrow := make([][]float32, len(bufs))
	wide := make([][]float64, len(bufs))
	var size float64
	for k, b := range bufs {
		narrow[k], wide[k] = make([]float32, len(b)), make([]float64, len(b))
		for j, v := range b {
			narrow[k][j] = float32(v)
			wide[k][j] = float64(narrow[k][j])
			if !math.IsNaN(v) && !math.IsInf(wide[k][j], 0) {
				size = max(size, math.Abs(wide[k][j]))
			}
		}
	}
	theirs, ours := clone(narrow), make([][]float32, len(narrow))
	for k, b := range narrow {
		ours[k] = kerneltest.GuardedCopy(s.t, b)
	}
	var want float64
	wantPanic := caught(func() { want = f64(wide, func(v float64) float64 { return float64(float32(v)) }) })
	var ref, got float32
	caught(func() { ref = f32(native, theirs) })
	gotPanic := caught(func() { got = f32(blas.Implementation{}, ours) })
	if wantPanic != gotPanic {
		s.t.Errorf("%s panicked with %v, gonum with %v", name, gotPanic, wantPanic)
	}
	if wantPanic == nil {
		for k := range narrow {
			s.check(fmt.Sprintf("%s: operand %d", name, k), narrow[k], ours[k], theirs[k], wide[k], size)
		}
		s.check(name+": result", []float32{float32(math.Inf(1))}, []float32{got}, []float32{ref}, []float64{want}, size)
	}
	return f64(bufs, func(v float64) float64 { return v })
}

// check compares one operand: before and after ours, gonum's float32 (ref) and
// gonum's float64 (want).
func (s shadow) check(name string, before, ours, ref []float32, want []float64, size float64) {
	s.t.Helper()
	var refErr float64
	for j, w := range want {
		if e := math.Abs(float64(ref[j]) - w); !math.IsNaN(e) && !math.IsInf(e, 0) {
			refErr = max(refErr, e)
		}
	}
	for j, w := range want {
		tol := slack*refErr + roundings*kerneltest.Eps*max(size, math.Abs(w))
		switch {
		case math.Float32bits(before[j]) == math.Float32bits(ref[j]) && same(float64(before[j]), w):
			if !same(float64(before[j]), float64(ours[j])) {
				s.t.Errorf("%s: element %d was %v and must stay, is %v", name, j, before[j], ours[j])
				return
			}
		case same(float64(float32(w)), float64(ours[j])):
		case !(math.Abs(float64(ours[j])-w) <= tol):
			s.t.Errorf("%s: element %d is %v, want %v within %.3g (gonum's float32: %v)", name, j, ours[j], w, tol, ref[j])
			return
		}
	}
}

func same(a, b float64) bool { return a == b || (a != a && b != b) }

func clone(x [][]float32) [][]float32 {
	c := make([][]float32, len(x))
	for i := range x {
		c[i] = slices.Clone(x[i])
	}
	return c
}

// caught runs f and returns what it panicked with, runtime errors by their
// text without the numbers.
func caught(f func()) (value any) {
	defer func() {
		value = recover()
		if err, ok := value.(error); ok {
			value = fmt.Sprintf("%T", err)
		}
	}()
	f()
	return nil
}
