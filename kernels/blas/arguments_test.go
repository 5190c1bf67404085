package blas_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels/blas"
)

// The arguments that TestArguments puts in the place of valid ones. With every
// integer 3 and every slice of 9 elements nearly all routines are content: orders,
// leading dimensions and increments fit.
const argument, elements = 3, 9

var (
	integers = []int{-3, -1, 0, 1, 2, 4}
	lengths  = []int{0, 1, 3, 5, 6, 7, 8, 12}
	enums    = map[reflect.Type][]any{
		reflect.TypeFor[gonumblas.Transpose](): {gonumblas.NoTrans, gonumblas.Trans, gonumblas.ConjTrans, gonumblas.Transpose('X')},
		reflect.TypeFor[gonumblas.Uplo]():      {gonumblas.Upper, gonumblas.Lower, gonumblas.Uplo('X')},
		reflect.TypeFor[gonumblas.Diag]():      {gonumblas.NonUnit, gonumblas.Unit, gonumblas.Diag('X')},
		reflect.TypeFor[gonumblas.Side]():      {gonumblas.Left, gonumblas.Right, gonumblas.Side('X')},
	}
)

// TestArguments calls every routine of blas.Float32 with valid arguments, with one
// and with two of them replaced, and demands of lanes what gonum does: the same
// panic, or the same results up to rounding.
func TestArguments(t *testing.T) {
	ours, theirs := reflect.ValueOf(blas.Implementation{}), reflect.ValueOf(gonum.Implementation{})
	routines := reflect.TypeFor[gonumblas.Float32]()
	for i := range routines.NumMethod() {
		m := routines.Method(i)
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			calls, valid := 0, 0
			try := func(args []any) {
				calls++
				if compareCalls(t, m.Name, ours.MethodByName(m.Name), theirs.MethodByName(m.Name), args) {
					valid++
				}
			}
			args := make([]any, m.Type.NumIn())
			for p := range args {
				args[p] = choices(m.Type.In(p))[0]
			}
			try(args)
			for p := range args {
				for _, v := range choices(m.Type.In(p)) {
					for q := range p + 1 {
						for _, w := range choices(m.Type.In(q)) {
							changed := append([]any(nil), args...)
							changed[p], changed[q] = v, w
							try(changed)
						}
					}
				}
			}
			if valid == 0 {
				t.Errorf("none of %d calls was valid", calls)
			}
		})
	}
}

// choices returns values for a parameter, a valid one first. Slices are given by
// their lengths.
func choices(p reflect.Type) (list []any) {
	switch p.Kind() {
	case reflect.Int:
		list = append(list, argument)
		for _, v := range integers {
			list = append(list, v)
		}
	case reflect.Slice:
		list = append(list, elements)
		for _, v := range lengths {
			list = append(list, v)
		}
	case reflect.Float32:
		list = []any{float32(1.5), float32(0), float32(1)}
	case reflect.Struct:
		list = []any{reflect.Zero(p).Interface()}
	default:
		list = enums[p]
	}
	return list
}

// compareCalls calls both and returns whether the call was valid.
func compareCalls(t *testing.T, name string, ours, theirs reflect.Value, args []any) bool {
	t.Helper()
	run := func(f reflect.Value) (out []float32, panicked any) {
		in := make([]reflect.Value, len(args))
		for p, a := range args {
			in[p] = reflect.ValueOf(a)
			if kind := f.Type().In(p); kind.Kind() == reflect.Slice {
				x := make([]float32, a.(int))
				for i := range x {
					// The diagonals of 3 x 3 matrices are large, for those that divide.
					x[i] = float32((i*5+p)%7)/8 - 0.25
					if i%4 == 0 {
						x[i] += 3
					}
				}
				in[p] = reflect.ValueOf(x)
			}
		}
		defer func() {
			panicked = recover()
			for _, v := range in {
				if v.Kind() == reflect.Slice {
					out = append(out, v.Interface().([]float32)...)
				}
			}
		}()
		for _, v := range f.Call(in) {
			switch v.Kind() {
			case reflect.Float32, reflect.Float64:
				out = append(out, float32(v.Float()))
			case reflect.Int:
				out = append(out, float32(v.Int()))
			}
		}
		return out, nil
	}
	got, gotPanic := run(ours)
	want, wantPanic := run(theirs)
	if fmt.Sprint(gotPanic) != fmt.Sprint(wantPanic) {
		t.Fatalf("%s(%v): panic %v, want %v", name, args, gotPanic, wantPanic)
	}
	if wantPanic != nil || name == "Sger" {
		return wantPanic == nil // see TestGerIncrements
	}
	for i := range want {
		// A dozen operations on numbers up to 300.
		if d := math.Abs(float64(got[i]) - float64(want[i])); d > 1e-4*(1+math.Abs(float64(want[i]))) {
			t.Fatalf("%s(%v): element %d is %g, want %g", name, args, i, got[i], want[i])
		}
	}
	return true
}
