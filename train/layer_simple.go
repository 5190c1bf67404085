package train

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// elementGrain is the number of elements of an elementwise operation from which
// a second core pays.
const elementGrain = 1 << 15

// Activate applies an activation function to every element.
type Activate struct {
	name string
	Act  kernels.Activation
}

// NewActivate returns a layer that applies act.
func NewActivate(name string, act kernels.Activation) *Activate { return &Activate{name, act} }

// Name implements Layer.
func (l *Activate) Name() string { return l.name }

// Params implements Layer.
func (l *Activate) Params() []*Param { return nil }

// Outputs implements Layer.
func (l *Activate) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%d inputs, want 1", len(in))
	}
	return in, nil
}

// Plan implements Layer.
func (l *Activate) Plan(_ int, _ []Shape, _ bool) (Op, error) {
	o := &activateOp{act: l.Act}
	o.forward = func(lo, hi int) { kernels.Activate(o.act, o.io.Dst[0][lo:hi], o.io.Src[0][lo:hi]) }
	o.backward = func(lo, hi int) {
		kernels.ActivateGrad(o.act, o.io.DSrc[0][lo:hi], o.io.DDst[0][lo:hi], o.input()[lo:hi])
	}
	return o, nil
}

// activateOp works in place. The derivative of ReLU and ReLU6 at the input can be
// told from the output, so for those the input is not kept.
type activateOp struct {
	act               kernels.Activation
	io                *IO
	forward, backward func(lo, hi int)
}

func (o *activateOp) fromOutput() bool { return o.act == kernels.ReLU || o.act == kernels.ReLU6 }

func (o *activateOp) input() []float32 {
	if o.fromOutput() {
		return o.io.Dst[0]
	}
	return o.io.Src[0]
}

func (o *activateOp) Needs() Needs {
	return Needs{Src: !o.fromOutput(), Dst: o.fromOutput(), InPlace: true, GradInPlace: [2]bool{true}}
}

func (o *activateOp) Forward(io *IO) {
	o.io = io
	kernels.Parallel(len(io.Dst[0]), elementGrain, o.forward)
}

func (o *activateOp) Backward(io *IO) {
	if io.DSrc[0] == nil {
		return
	}
	o.io = io
	kernels.Parallel(len(io.DSrc[0]), elementGrain, o.backward)
}

// Add is the sum of two activations of one shape.
type Add struct{ name string }

// NewAdd returns a layer that adds its two inputs.
func NewAdd(name string) *Add { return &Add{name} }

// Name implements Layer.
func (l *Add) Name() string { return l.name }

// Params implements Layer.
func (l *Add) Params() []*Param { return nil }

// Outputs implements Layer.
func (l *Add) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 2 || in[0] != in[1] {
		return nil, fmt.Errorf("inputs %v, want two of one shape", in)
	}
	return in[:1], nil
}

// Plan implements Layer.
func (l *Add) Plan(_ int, _ []Shape, _ bool) (Op, error) {
	o := &addOp{}
	o.body = func(lo, hi int) {
		kernels.Add(o.io.Dst[0][lo:hi], o.io.Src[0][lo:hi], o.io.Src[1][lo:hi])
	}
	return o, nil
}

type addOp struct {
	io   *IO
	body func(lo, hi int)
}

func (o *addOp) Needs() Needs { return Needs{InPlace: true, GradInPlace: [2]bool{true, true}} }

func (o *addOp) Forward(io *IO) {
	o.io = io
	kernels.Parallel(len(io.Dst[0]), elementGrain, o.body)
}

func (o *addOp) Backward(io *IO) {
	for _, d := range io.DSrc {
		if d != nil && &d[0] != &io.DDst[0][0] {
			copy(d, io.DDst[0])
		}
	}
}

// Flatten turns an H x W x C activation into a vector in the order of PyTorch's
// flatten, C slowest, so that a linear layer behind it has PyTorch's weights.
type Flatten struct{ name string }

// NewFlatten returns a layer that makes a vector of an activation.
func NewFlatten(name string) *Flatten { return &Flatten{name} }

// Name implements Layer.
func (l *Flatten) Name() string { return l.name }

// Params implements Layer.
func (l *Flatten) Params() []*Param { return nil }

// Outputs implements Layer.
func (l *Flatten) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%d inputs, want 1", len(in))
	}
	return []Shape{{1, 1, in[0].Size()}}, nil
}

// Plan implements Layer.
func (l *Flatten) Plan(n int, in []Shape, _ bool) (Op, error) { return &flattenOp{n, in[0]}, nil }

type flattenOp struct {
	n  int
	in Shape
}

// view: with one position or one channel both orders are the same.
func (o *flattenOp) view() bool { return o.in.H*o.in.W == 1 || o.in.C == 1 }

func (o *flattenOp) Needs() Needs { return Needs{View: o.view()} }

func (o *flattenOp) Forward(io *IO) {
	if o.view() {
		copy(io.Dst[0], io.Src[0])
		return
	}
	kernels.NHWCToNCHW(io.Dst[0], io.Src[0], o.n, o.in.C, o.in.H, o.in.W)
}

func (o *flattenOp) Backward(io *IO) {
	switch {
	case io.DSrc[0] == nil:
	case o.view():
		copy(io.DSrc[0], io.DDst[0])
	default:
		kernels.NCHWToNHWC(io.DSrc[0], io.DDst[0], o.n, o.in.C, o.in.H, o.in.W)
	}
}

// Dropout sets each element to zero with probability Rate in training and scales
// the others by 1/(1-Rate); it passes everything in evaluation. Which elements
// depends on IO.Step, the layer's name and the element's index alone.
type Dropout struct {
	name string
	Rate float64
}

// NewDropout returns a dropout layer; 0 <= rate < 1.
func NewDropout(name string, rate float64) *Dropout { return &Dropout{name, rate} }

// Name implements Layer.
func (l *Dropout) Name() string { return l.name }

// Params implements Layer.
func (l *Dropout) Params() []*Param { return nil }

// Outputs implements Layer.
func (l *Dropout) Outputs(in []Shape) ([]Shape, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("%d inputs, want 1", len(in))
	}
	if !(l.Rate >= 0 && l.Rate < 1) {
		return nil, fmt.Errorf("dropout rate %v, want 0 <= rate < 1", l.Rate)
	}
	return in, nil
}

// Plan implements Layer.
func (l *Dropout) Plan(_ int, _ []Shape, train bool) (Op, error) {
	o := &dropoutOp{rate: l.Rate, view: !train || l.Rate == 0, salt: hashName(l.name)}
	o.body = o.run
	return o, nil
}

type dropoutOp struct {
	rate     float64
	view     bool
	salt     uint64
	key      uint64
	dst, src []float32
	body     func(lo, hi int)
}

func (o *dropoutOp) Needs() Needs {
	return Needs{View: o.view, InPlace: true, GradInPlace: [2]bool{true}}
}

func (o *dropoutOp) Forward(io *IO) { o.apply(io.Dst[0], io.Src[0], io.Step) }

func (o *dropoutOp) Backward(io *IO) {
	if io.DSrc[0] != nil {
		o.apply(io.DSrc[0], io.DDst[0], io.Step)
	}
}

func (o *dropoutOp) apply(dst, src []float32, step uint64) {
	if o.view {
		copy(dst, src)
		return
	}
	o.dst, o.src, o.key = dst, src, mix(step+0x9e3779b97f4a7c15)^o.salt
	kernels.Parallel(len(dst), elementGrain, o.body)
}

func (o *dropoutOp) run(lo, hi int) {
	scale := float32(1 / (1 - o.rate))
	limit := uint64(o.rate * (1 << 53))
	for i := lo; i < hi; i++ {
		// A dropped NaN stays NaN: 0*NaN.
		keep := scale
		if mix(o.key+uint64(i))>>11 < limit {
			keep = 0
		}
		o.dst[i] = o.src[i] * keep
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection
// of 64-bit words that passes for random on a counter.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
