package kernels_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// onGeneric runs f on the pure-Go tier.
func onGeneric(t testing.TB, f func()) {
	t.Helper()
	previous, err := kernels.UseISA("generic")
	if err != nil {
		t.Fatal(err)
	}
	defer kernels.UseISA(previous)
	f()
}

// A vectorCase is a kernel over slices of one length, compared with its twin.
type vectorCase struct {
	name   string
	slices int
	run    func(s [][]float32)
	// rel and abs bound the difference from the twin: twice the promised error
	// for the functions, a rounding of the product where the tier fuses it.
	rel, abs float64
}

const (
	exact   = 0
	rounded = 2 * kerneltest.Eps // one rounding of numbers up to 2 in magnitude
)

func vectorCases() []vectorCase {
	cases := []vectorCase{
		{"add", 3, func(s [][]float32) { kernels.Add(s[0], s[1], s[2]) }, exact, exact},
		{"add/alias=x", 2, func(s [][]float32) { kernels.Add(s[0], s[0], s[1]) }, exact, exact},
		{"add/alias=all", 1, func(s [][]float32) { kernels.Add(s[0], s[0], s[0]) }, exact, exact},
		{"sub", 3, func(s [][]float32) { kernels.Sub(s[0], s[1], s[2]) }, exact, exact},
		{"sub/alias=y", 2, func(s [][]float32) { kernels.Sub(s[0], s[1], s[0]) }, exact, exact},
		{"mul", 3, func(s [][]float32) { kernels.Mul(s[0], s[1], s[2]) }, exact, exact},
		{"scale", 1, func(s [][]float32) { kernels.Scale(0.7, s[0]) }, exact, exact},
		{"scale/alpha=0", 1, func(s [][]float32) { kernels.Scale(0, s[0]) }, exact, exact},
		{"clamp", 2, func(s [][]float32) { kernels.Clamp(s[0], s[1], -0.25, 0.5) }, exact, exact},
		{"clamp/lo=0", 1, func(s [][]float32) { kernels.Clamp(s[0], s[0], 0, float32(math.Inf(1))) }, exact, exact},
		{"axpy", 2, func(s [][]float32) { kernels.Axpy(0.7, s[0], s[1]) }, rounded, rounded},
		{"axpy/alpha=0", 2, func(s [][]float32) { kernels.Axpy(0, s[0], s[1]) }, rounded, rounded},
		{"exp", 2, func(s [][]float32) { kernels.Exp(s[0], s[1]) }, 3 * rounded, 0},
		{"exp/alias=x", 1, func(s [][]float32) { kernels.Exp(s[0], s[0]) }, 3 * rounded, 0},
		{"log", 2, func(s [][]float32) { kernels.Log(s[0], s[1]) }, 3 * rounded, 0},
		{"leaky", 2, func(s [][]float32) { kernels.LeakyReLUWith(0.3, s[0], s[1]) }, exact, exact},
		{"elu", 2, func(s [][]float32) { kernels.ELUWith(0.3, s[0], s[1]) }, 6 * rounded, 0},
		{"hardsigmoid", 2, func(s [][]float32) { kernels.HardSigmoidWith(0.2, 0.5, s[0], s[1]) }, rounded, rounded},
		{"sgd", 2, func(s [][]float32) { kernels.SGDMomentum(s[0], nil, s[1], 0.1, 0, 0, 0.01, false) }, 2 * rounded, 2 * rounded},
		{"sgd/momentum", 3, func(s [][]float32) { kernels.SGDMomentum(s[0], s[1], s[2], 0.1, 0.9, 0.1, 0.01, false) }, 8 * rounded, 8 * rounded},
		{"sgd/nesterov", 3, func(s [][]float32) { kernels.SGDMomentum(s[0], s[1], s[2], 0.1, 0.9, 0, 0.01, true) }, 8 * rounded, 8 * rounded},
	}
	streamed := kernels.Streamed
	cases = append(cases,
		vectorCase{"add/streamed", 3, func(s [][]float32) { streamed.Add(s[0], s[1], s[2]) }, exact, exact},
		vectorCase{"add/streamed/alias=x", 2, func(s [][]float32) { streamed.Add(s[0], s[0], s[1]) }, exact, exact},
		vectorCase{"mul/streamed", 3, func(s [][]float32) { streamed.Mul(s[0], s[1], s[2]) }, exact, exact},
		vectorCase{"clamp/streamed", 2, func(s [][]float32) { streamed.Clamp(s[0], s[1], -0.25, 0.5) }, exact, exact},
		vectorCase{"exp/streamed", 2, func(s [][]float32) { streamed.Exp(s[0], s[1]) }, 3 * rounded, 0},
		vectorCase{"log/streamed", 2, func(s [][]float32) { streamed.Log(s[0], s[1]) }, 3 * rounded, 0})
	for act := kernels.Identity; act <= kernels.ELU; act++ {
		cases = append(cases,
			vectorCase{fmt.Sprintf("act=%v/streamed", act), 2, func(s [][]float32) { streamed.Activate(act, s[0], s[1]) }, 8 * rounded, 2 * rounded},
			vectorCase{fmt.Sprintf("grad=%v/streamed", act), 3, func(s [][]float32) { streamed.ActivateGrad(act, s[0], s[1], s[2]) }, 16 * rounded, 16 * rounded},
			vectorCase{fmt.Sprintf("act=%v", act), 2, func(s [][]float32) { kernels.Activate(act, s[0], s[1]) }, 8 * rounded, 2 * rounded},
			vectorCase{fmt.Sprintf("act=%v/alias=x", act), 1, func(s [][]float32) { kernels.Activate(act, s[0], s[0]) }, 8 * rounded, 2 * rounded},
			vectorCase{fmt.Sprintf("grad=%v", act), 3, func(s [][]float32) { kernels.ActivateGrad(act, s[0], s[1], s[2]) }, 16 * rounded, 16 * rounded},
			vectorCase{fmt.Sprintf("grad=%v/alias=dy", act), 2, func(s [][]float32) { kernels.ActivateGrad(act, s[0], s[0], s[1]) }, 16 * rounded, 16 * rounded})
	}
	return cases
}

func TestVectorKernels(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range vectorCases() {
			t.Run(c.name, func(t *testing.T) {
				for _, n := range vectorLengths {
					for off := range 3 {
						compareWithTwin(t, c, n, off)
					}
				}
			})
		}
	})
}

// compareWithTwin runs c on guarded slices: ending at a fence for off = 0,
// beginning after one for off = 1, and for more off-1 elements behind one.
func compareWithTwin(t *testing.T, c vectorCase, n, off int) {
	seed := uint64(n*8 + off)
	rng := kerneltest.Rand(seed)
	got, want := make([][]float32, c.slices), make([][]float32, c.slices)
	for i := range got {
		data := rng.WithSpecials(n)
		if strings.HasPrefix(c.name, "sgd") || strings.HasPrefix(c.name, "grad") && i < len(got)-1 {
			tame(data)
		}
		if off == 0 {
			got[i] = kerneltest.Guarded(t, n)
		} else {
			got[i] = kerneltest.GuardedStart(t, n+off-1)[off-1:]
		}
		copy(got[i], data)
		want[i] = data
	}
	c.run(got)
	onGeneric(t, func() { c.run(want) })
	for i := range got {
		kerneltest.Close(t, fmt.Sprintf("n=%d/off=%d/seed=%d/slice=%d", n, off, seed, i), got[i], want[i], c.abs, c.rel)
	}
}

// tame replaces finite numbers next to the largest, whose sums and products
// with the last bits of others cancel: the error bounds are relative to them.
func tame(x []float32) {
	for i, v := range x {
		if math.Abs(float64(v)) > 1e30 && !math.IsInf(float64(v), 0) {
			x[i] = 3
		}
	}
}

func TestReductions(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, n := range append([]int{70001}, vectorLengths...) {
			rng := kerneltest.Rand(uint64(n))
			x := kerneltest.GuardedCopy(t, rng.Slice(n))
			var sum, sumAbs, squares float64
			for _, v := range x {
				sum += float64(v)
				sumAbs += math.Abs(float64(v))
				squares += float64(v) * float64(v)
			}
			// The bounds of the contracts.
			if got := float64(kernels.Sum(x)); math.Abs(got-sum) > float64(n)*kerneltest.Eps*sumAbs {
				t.Errorf("n=%d: Sum = %v, want %v", n, got, sum)
			}
			if got := float64(kernels.SumSquares(x)); math.Abs(got-squares) > float64(n)*kerneltest.Eps*squares {
				t.Errorf("n=%d: SumSquares = %v, want %v", n, got, squares)
			}
			for trial := range min(n, 20) {
				at := rng.IntN(n)
				old := x[at]
				for _, v := range []float32{2, float32(math.Inf(1)), float32(math.NaN())} {
					x[at] = v
					if got := kernels.Max(x); got != v && !(got != got && v != v) {
						t.Errorf("n=%d/trial=%d: Max with %v at %d is %v", n, trial, v, at, got)
					}
					if got := kernels.ArgMax(x); got != at {
						t.Errorf("n=%d/trial=%d: ArgMax with %v at %d is %d", n, trial, v, at, got)
					}
				}
				x[at] = old
			}
		}
		low := []float32{float32(math.Inf(-1)), float32(math.Inf(-1))}
		if kernels.Max(low) != low[0] || kernels.ArgMax(low) != 0 {
			t.Error("a vector of -Inf has no maximum")
		}
	})
}

func TestSoftmax(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, cols := range []int{1, 2, 7, 8, 9, 10, 15, 16, 17, 100, 257, 1000} {
			const rows = 7
			rng := kerneltest.Rand(uint64(cols))
			x := kerneltest.GuardedCopy(t, rng.Normal(rows*cols))
			kernels.Scale(5, x)
			soft, logs := kerneltest.Guarded(t, rows*cols), kerneltest.Guarded(t, rows*cols)
			kernels.Softmax(soft, x, rows, cols)
			kernels.LogSoftmax(logs, x, rows, cols)
			wantSoft, wantLogs := make([]float32, rows*cols), make([]float32, rows*cols)
			for i := range rows {
				row := x[i*cols : (i+1)*cols]
				top, sum := float64(kernels.Max(row)), 0.0
				for _, v := range row {
					sum += math.Exp(float64(v) - top)
				}
				for j, v := range row {
					wantSoft[i*cols+j] = float32(math.Exp(float64(v)-top) / sum)
					wantLogs[i*cols+j] = float32(float64(v) - top - math.Log(sum))
				}
			}
			// The bounds of the contracts; |x-m| is below 64.
			kerneltest.Close(t, fmt.Sprintf("softmax/cols=%d", cols), soft, wantSoft, 0, (8+64+float64(cols)+2)*kerneltest.Eps)
			kerneltest.Close(t, fmt.Sprintf("logsoftmax/cols=%d", cols), logs, wantLogs, (float64(cols)+4+128)*kerneltest.Eps, 0)
			kernels.Softmax(x, x, rows, cols)
			kerneltest.Close(t, fmt.Sprintf("softmax/cols=%d/alias=x", cols), x, soft, 0, 0)
		}
		x := []float32{1, float32(math.NaN()), 0, 1}
		kernels.Softmax(x, x, 2, 2)
		if x[0] == x[0] || x[1] == x[1] || x[2] != x[2] {
			t.Errorf("softmax of a row with NaN beside one without is %v", x)
		}
		inf := float32(math.Inf(1))
		x = []float32{inf, 0, 1, -inf, -inf, -inf, -inf, 2, 3}
		kernels.Softmax(x, x, 3, 3)
		for i, v := range x {
			if nan := v != v; nan != (i < 6) || i == 6 && v != 0 {
				t.Errorf("softmax of rows with infinities is %v", x)
				break
			}
		}
	})
}

func TestVectorPanics(t *testing.T) {
	two, three := make([]float32, 2), make([]float32, 3)
	for want, f := range map[string]func(){
		"kernels.Add: lengths differ":                      func() { kernels.Add(two, two, three) },
		"kernels.Exp: lengths differ":                      func() { kernels.Exp(two, three) },
		"kernels.Clamp: not lo <= hi":                      func() { kernels.Clamp(two, two, 1, 0) },
		"kernels.Max: empty slice":                         func() { kernels.Max(nil) },
		"kernels.ArgMax: empty slice":                      func() { kernels.ArgMax(nil) },
		"kernels.Activate: unknown activation":             func() { kernels.Activate(99, two, two) },
		"kernels.Softmax: a map's length is not rows*c":    func() { kernels.Softmax(two, two, 1, 3) },
		"kernels.SumRows: a vector's length is not c":      func() { kernels.SumRows(three, two, 1, 2) },
		"kernels.BatchNormStats: no rows":                  func() { kernels.BatchNormStats(two, two, nil, 0, 2) },
		"kernels.Adam: Step < 1":                           func() { kernels.Adam(two, two, two, two, kernels.AdamParams{}) },
		"kernels.NCHWToNHWC: a length is not n*c*h*w":      func() { kernels.NCHWToNHWC(two, two, 1, 3, 1, 1) },
		"kernels.SGDMomentum: lengths differ":              func() { kernels.SGDMomentum(two, nil, two, 1, 0.9, 0, 0, false) },
		"kernels.BiasActivate: a vector's length is not c": func() { kernels.BiasActivate(kernels.ReLU, two, two, three, 1, 2) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("recovered %v, want %q", got, want)
				}
			}()
			f()
		}()
	}
}
