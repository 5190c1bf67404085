package fuzz

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/golanes/lanes/ccloss"
)

// FuzzCCLoss compares loss and gradient of every metric and form between the
// instruction sets. A byte of data is a value in [0,1]; 255 is NaN.
func FuzzCCLoss(f *testing.F) {
	f.Add(uint8(5), uint8(3), uint8(2), uint8(0), []byte{1, 2, 3, 200, 100, 50, 7, 8, 9, 250, 0, 0})
	f.Add(uint8(60), uint8(17), uint8(7), uint8(4), []byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 254, 31})
	f.Add(uint8(49), uint8(1), uint8(1), uint8(5), []byte{255, 1})
	f.Fuzz(func(t *testing.T, n, c, classes, option uint8, data []byte) {
		if len(data) == 0 {
			return
		}
		channels := 1 + int(c)%80
		a, labels := make([]float32, int(n)*channels), make([]int32, n)
		for i := range a {
			// Another multiple for each pass over data, so that samples differ.
			a[i] = float32(data[i%len(data)]) / 254 * (1 - float32(i/len(data)%13)/16)
			if data[i%len(data)] == 255 {
				a[i] = float32(math.NaN())
			}
		}
		for i := range labels {
			labels[i] = int32(data[i*7%len(data)]%max(1, classes)) - 3
		}
		opt := ccloss.Options{Metric: ccloss.Metric(option % 2), Form: ccloss.Form(option / 2 % 3)}
		plan, err := ccloss.New(opt, int(n), channels)
		if err != nil {
			t.Fatal(err)
		}
		var want ccloss.Result
		var wantGrad []float32
		onEachISA(t, func(isa string) {
			got, grad := plan.Forward(a, labels), make([]float32, len(a))
			plan.Backward(grad, 1)
			if wantGrad == nil {
				want, wantGrad = got, grad
				return
			}
			// Sums of up to 80 channels and 255 samples in float32; the loss
			// and its slope divide by B+Eps, which is no smaller than W's part.
			size := 1 + math.Abs(want.Loss)
			close := func(x, y, scale float64) bool { return x != x && y != y || math.Abs(x-y) <= 1e-4*scale }
			if !close(got.Loss, want.Loss, size) || !close(got.Within, want.Within, 1+want.Within) || !close(got.Between, want.Between, 1+want.Between) {
				t.Errorf("%v on %s: %+v, pure Go gives %+v", plan, isa, got, want)
			}
			// A gradient may cancel to nothing; what it is summed from is no
			// larger than the loss's slopes.
			top := 0.1
			if opt.Form == ccloss.Ratio {
				d := want.Between + plan.Options().Eps
				top = 0.1 * (1 + want.Within/d) / d
			}
			for _, g := range wantGrad {
				if g == g {
					top = max(top, math.Abs(float64(g)))
				}
			}
			for i := range grad {
				if !close(float64(grad[i]), float64(wantGrad[i]), top) {
					t.Errorf("%v on %s: gradient %d is %v, pure Go gives %v", plan, isa, i, grad[i], wantGrad[i])
					return
				}
			}
		})
	})
}

// FuzzMergeFlat feeds Stats.MergeFlat any numbers: it must refuse them or end up
// with the samples they claim.
func FuzzMergeFlat(f *testing.F) {
	record := func(x ...float64) (b []byte) {
		for _, v := range x {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	f.Add(uint8(1), record(3, 2, 0.5, 0.25))
	f.Add(uint8(0), record(-1, 0, 0, 1, 1e300, 0))
	f.Add(uint8(2), record(math.NaN(), math.Inf(1), -1, 0, 0))
	f.Fuzz(func(t *testing.T, c uint8, data []byte) {
		flat := make([]float64, len(data)/8)
		var samples float64
		for i := range flat {
			flat[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			if i%(int(c)+3) == 1 {
				samples += flat[i]
			}
		}
		s := ccloss.NewStats(int(c))
		if s.MergeFlat(flat) == nil && samples < 1<<53 && float64(s.Samples()) != samples {
			t.Errorf("%d samples from records of %v", s.Samples(), samples)
		}
		if _, err := s.Loss(ccloss.Options{}); err != nil {
			t.Error(err)
		}
	})
}
