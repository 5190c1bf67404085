package fuzz

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// The kernel targets share one form: a selector, two sizes and bytes become
// operands; the kernel runs on every instruction set; results are compared with
// the pure-Go twin's.

// operands deals out slices whose elements come from the fuzzer's bytes.
type operands struct {
	data []byte
	at   int
}

// whole returns n whole numbers from -4 to 4. Sums of a few thousand products of
// such are exact in any order, so results must be equal.
func (o *operands) whole(n int) []float32 {
	return o.slice(n, func(b []byte) float32 { return float32(int(b[0])%9 - 4) })
}

// any returns n arbitrary float32, NaN, Inf and denormals included.
func (o *operands) any(n int) []float32 {
	return o.slice(n, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

// slice starts at an offset that the data decides, so that alignments differ.
func (o *operands) slice(n int, value func(b []byte) float32) []float32 {
	off := int(o.data[o.at%len(o.data)]) % 8
	x := make([]float32, off+n)[off:]
	var b [4]byte
	for i := range x {
		for j := range b {
			b[j] = o.data[(o.at+j*7)%len(o.data)]
		}
		o.at++
		x[i] = value(b[:])
	}
	return x
}

// A kernel runs on operands of its own making and returns everything it wrote.
type kernel struct {
	name string
	// ulp is how far tiers may be apart; 0 is equality, NaN being equal to NaN.
	ulp uint32
	run func(o *operands, n, c int) []float32
}

// fuzzKernels adds seeds around the tile boundaries and compares the tiers.
func fuzzKernels(f *testing.F, list []kernel) {
	for op := range list {
		for i, n := range []uint8{1, 7, 17, 33, 70} {
			f.Add(uint8(op), n, uint8(3+13*i), []byte{byte(i), 1, 200, 30, 255, 127, 128, 5, 9})
		}
		f.Add(uint8(op), uint8(64), uint8(16), []byte{0, 0, 128, 127, 1, 0, 0, 255, 3})
	}
	f.Fuzz(func(t *testing.T, op, n, c uint8, data []byte) {
		if len(data) == 0 {
			return
		}
		k := list[int(op)%len(list)]
		var want []float32
		onEachISA(t, func(isa string) {
			got := k.run(&operands{data: data}, int(n), int(c)%80+1)
			if want == nil {
				want = got
				return
			}
			for i := range want {
				if d := kerneltest.ULP(got[i], want[i]); d > k.ulp && !(got[i] != got[i] && want[i] != want[i]) {
					t.Fatalf("%s/n=%d/c=%d/isa=%s: element %d is %g, %g in pure Go", k.name, n, int(c)%80+1, isa, i, got[i], want[i])
				}
			}
		})
	})
}

func join(parts ...[]float32) []float32 {
	all := []float32{}
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// FuzzVector covers the kernels over one or two slices.
func FuzzVector(f *testing.F) {
	binaryOp := func(op func(dst, x, y []float32)) func(o *operands, n, c int) []float32 {
		return func(o *operands, n, _ int) []float32 {
			x, y, dst := o.any(n), o.any(n), make([]float32, n)
			op(dst, x, y)
			return dst
		}
	}
	fuzzKernels(f, []kernel{
		{"Axpy", 0, func(o *operands, n, c int) []float32 {
			x, y := o.whole(n), o.whole(n)
			kernels.Axpy(float32(c%5)-2, x, y)
			return y
		}},
		{"Dot", 0, func(o *operands, n, _ int) []float32 { return []float32{kernels.Dot(o.whole(n), o.whole(n))} }},
		{"Sum", 0, func(o *operands, n, _ int) []float32 { return []float32{kernels.Sum(o.whole(n))} }},
		{"SumSquares", 0, func(o *operands, n, _ int) []float32 { return []float32{kernels.SumSquares(o.whole(n))} }},
		{"Add", 0, binaryOp(kernels.Add)},
		{"Sub", 0, binaryOp(kernels.Sub)},
		{"Mul", 0, binaryOp(kernels.Mul)},
		{"Scale", 0, func(o *operands, n, c int) []float32 {
			x := o.any(n)
			kernels.Scale(float32(c)/8, x)
			return x
		}},
		{"Max", 0, func(o *operands, n, _ int) []float32 { return []float32{kernels.Max(o.whole(n + 1))} }},
		{"ArgMax", 0, func(o *operands, n, _ int) []float32 { return []float32{float32(kernels.ArgMax(o.any(n + 1)))} }},
		{"Clamp", 0, func(o *operands, n, c int) []float32 {
			x, dst := o.any(n), make([]float32, n)
			kernels.Clamp(dst, x, -float32(c), float32(c)/2)
			return dst
		}},
	})
}

// FuzzMath covers exp, log and the activations with their derivatives. The
// bounds are twice the documented errors: both tiers may be off.
func FuzzMath(f *testing.F) {
	list := []kernel{
		{"Exp", 3, func(o *operands, n, _ int) []float32 {
			x, dst := o.any(n), make([]float32, n)
			kernels.Exp(dst, x)
			return dst
		}},
		{"Log", 3, func(o *operands, n, _ int) []float32 {
			x, dst := o.any(n), make([]float32, n)
			kernels.Log(dst, x)
			return dst
		}},
	}
	for _, name := range []string{"relu", "relu6", "leakyrelu", "silu", "hardswish", "sigmoid", "hardsigmoid", "tanh"} {
		act, err := kernels.ParseActivation(name)
		if err != nil {
			f.Fatal(err)
		}
		list = append(list, kernel{name, 8, func(o *operands, n, _ int) []float32 {
			x, dst := o.any(n), make([]float32, n)
			kernels.Activate(act, dst, x)
			return dst
		}})
	}
	fuzzKernels(f, list)
}

// FuzzRows covers the kernels over rows of channels.
func FuzzRows(f *testing.F) {
	fuzzKernels(f, []kernel{
		{"SumRows", 0, func(o *operands, n, c int) []float32 {
			dst := o.whole(c)
			kernels.SumRows(dst, o.whole(n*c), n, c)
			return dst
		}},
		{"ChannelSums", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, c)
			kernels.ChannelSums(dst, o.whole(n*c), n, c)
			return dst
		}},
		{"ChannelDots", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, c)
			kernels.ChannelDots(dst, o.whole(n*c), o.whole(n*c), n, c)
			return dst
		}},
		{"ChannelScale", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.ChannelScale(dst, o.any(n*c), o.any(c), n, c, 0, kernels.Cached)
			return dst
		}},
		{"ChannelScaleShift", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.ChannelScaleShift(dst, o.whole(n*c), o.whole(c), o.whole(c), n, c, 0, kernels.Cached)
			return dst
		}},
		{"ChannelPick", 0, func(o *operands, n, c int) []float32 {
			dst, index := make([]float32, n*c), make([]int32, c)
			for j := range index {
				index[j] = int32(j * 7 % (n + 1))
			}
			kernels.ChannelPick(dst, o.any(c), index, n, c, kernels.Cached)
			return dst
		}},
		{"PlaneSums", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, c)
			kernels.PlaneSums(dst, o.whole(n*c), c, n)
			return dst
		}},
		{"PlaneScale", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.PlaneScale(dst, o.any(n*c), o.any(c), c, n, 0, kernels.Cached)
			return dst
		}},
		{"BatchNormApply", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.BatchNormApply(kernels.ReLU, dst, o.whole(n*c), o.whole(c), o.whole(c), n, c)
			return dst
		}},
		{"BatchNormApplyAdd", 0, func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.BatchNormApplyAdd(kernels.ReLU6, dst, o.whole(n*c), o.whole(n*c), o.whole(c), o.whole(c), n, c)
			return dst
		}},
		{"ClearBlock", 0, func(o *operands, n, c int) []float32 {
			gap := c + n%5
			dst := o.any(n*gap + c)
			how := []kernels.Store{kernels.Cached, kernels.Streamed}[n%2]
			kernels.ClearBlock(dst, gap, n, c, how)
			how.Fence()
			return dst
		}},
		// Twice what is documented for 80 columns: both tiers may be off.
		{"Softmax", 2 * (4 + 82), func(o *operands, n, c int) []float32 {
			dst := make([]float32, n*c)
			kernels.Softmax(dst, o.whole(n*c), n, c)
			return dst
		}},
		{"NCHWToNHWC", 0, func(o *operands, n, c int) []float32 {
			there, back := make([]float32, n*c), make([]float32, n*c)
			kernels.NCHWToNHWC(there, o.any(n*c), 1, c, n, 1)
			kernels.NHWCToNCHW(back, there, 1, c, n, 1)
			return join(there, back)
		}},
	})
}

// FuzzOptim covers the optimizer updates, which are a few rounded operations.
func FuzzOptim(f *testing.F) {
	fuzzKernels(f, []kernel{
		{"SGDMomentum", 0, func(o *operands, n, c int) []float32 {
			w, v := o.whole(n), o.whole(n)
			kernels.SGDMomentum(w, v, o.whole(n), 0.5, 0.5, 0, 0.25, c%2 == 0)
			return join(w, v)
		}},
		{"Adam", 16, func(o *operands, n, c int) []float32 {
			w, m, v := o.whole(n), make([]float32, n), make([]float32, n)
			kernels.Adam(w, m, v, o.whole(n), kernels.AdamParams{LR: 0.5, Beta1: 0.5, Beta2: 0.75, Eps: 1e-3, Decoupled: c%2 == 0, Step: 1})
			return join(m, v)
		}},
	})
}

// FuzzDenseGemm covers panels of any width, with and without what is added.
func FuzzDenseGemm(f *testing.F) {
	fuzzKernels(f, []kernel{{"DenseGemm", 0, func(o *operands, n, c int) []float32 {
		if n == 0 {
			return nil
		}
		depth := n%30 + 1
		g := kernels.DenseGemm{Rows: n, Depth: depth, NR: c, Cols: c, A: o.whole(n * depth), LDA: depth,
			B: o.whole(depth * c), C: o.whole(n * c), LDC: c, Bias: o.whole(c), Lo: -100, Hi: 100}
		switch len(o.data) % 3 {
		case 1:
			g.Accumulate = true
		case 2:
			g.Residual = o.whole(n * c)
		}
		g.Run()
		return g.C
	}}})
}
