package infer

import (
	"math"
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// A fusedKind says how a fused operation is carried out.
type fusedKind uint8

const (
	general fusedKind = iota // by the operator's own kernel
	convolution
	channelAffine // act(x*scale + shift + residual), constants by channel
	channelGate   // act(x*s + residual), s computed for each image and channel

	// On bytes, see fuse_int8.go.
	quantise
	dequantise
	convInt8
	addInt8
	poolInt8
)

// floats reports whether an operation can take float layers behind it.
func (k fusedKind) floats() bool { return k > general && k < quantise }

// A fused is one operation of a plan: one node, or several that are computed in
// one pass over the data.
type fused struct {
	kind  fusedKind
	nodes []*node
	call  *call // of the first node

	in  []int // values: for general those of the node, else x, then the gate
	out []int

	residual int // value that is added before the activation, -1 if none
	act      kernels.Activation

	conv         conv.Shape
	rows         bool // a convolution whose channels are the last of four dimensions
	filter       filter
	scale, shift []float32 // of channelAffine; shift is also the bias of convolution

	int8 *int8Op // of operations on bytes
}

// A fuser joins the steps of a resolution into operations.
type fuser struct {
	g        *graph
	r        *resolution
	ops      []*fused
	producer map[int]int // value -> index in ops
	uses     map[int]int // value -> readers, the graph's outputs among them

	constants map[int]*node // value -> the DequantizeLinear that makes it
}

// fuse returns the operations that compute the graph's outputs. Only float32 and
// bytes are fused.
func (g *graph) fuse(r *resolution) []*fused {
	f := &fuser{g: g, r: r, producer: map[int]int{}, uses: map[int]int{}}
	for i := range r.steps {
		for _, id := range r.steps[i].in {
			if id >= 0 {
				f.uses[id]++
			}
		}
	}
	for _, id := range g.out {
		f.uses[id]++
	}
	for i := range r.steps {
		s := &r.steps[i]
		if !f.mergeInt8(s) && !f.merge(s) {
			f.add(f.start(s))
		}
	}
	return slices.DeleteFunc(f.ops, func(o *fused) bool { return o == nil })
}

func (f *fuser) add(o *fused) {
	for _, id := range o.out {
		if id >= 0 {
			f.producer[id] = len(f.ops)
		}
	}
	f.ops = append(f.ops, o)
}

// start makes the operation of a step by itself.
func (f *fuser) start(s *step) *fused {
	o := &fused{kind: general, nodes: []*node{s.node}, call: s.call, in: s.in, out: s.out, residual: -1}
	if s.call.out[0] == nil || f.startInt8(s, o) || s.call.out[0].typ != onnx.Float32 {
		return o
	}
	switch s.Op {
	case "Conv":
		f.startConv(s, o)
	case "Gemm", "MatMul":
		f.startLinear(s, o)
	default:
		if x, scale, shift, ok := s.affine(); ok && len(s.call.out) == 1 {
			o.kind, o.in, o.scale, o.shift = channelAffine, []int{s.in[x]}, scale, shift
		} else if s.Op == "Mul" {
			startGate(s, o)
		}
	}
	return o
}

// constFloats returns the elements of a constant float32 input, nil otherwise.
func (c *call) constFloats(i int) []float32 {
	if v := c.input(i); v != nil && v.data != nil && v.typ == onnx.Float32 {
		return view[float32](v.data)
	}
	return nil
}

// filter returns input i of a step as weights; ok is false unless they are a
// constant of float32.
func (f *fuser) filter(s *step, i int) (w filter, ok bool) {
	v := s.call.input(i)
	if v == nil || v.data == nil || v.typ != onnx.Float32 {
		return w, false
	}
	id := s.in[i]
	return filter{tensor: v.data, alone: f.g.readers[id] == 1, model: f.g.consts[id] == v.data}, true
}

func (f *fuser) startConv(s *step, o *fused) {
	c := s.call
	w, isConst := f.filter(s, 1)
	if len(c.in[0].shape) != 4 || !isConst || c.input(2) != nil && c.constFloats(2) == nil {
		return
	}
	g, err := c.convGeometry(c.in[0], c.in[1])
	if err != nil {
		return
	}
	shape, ok := g.shape(c.in[0].shape[0])
	if !ok {
		return
	}
	o.kind, o.in, o.conv, o.filter, o.shift = convolution, s.in[:1], shape, w, c.constFloats(2)
}

// shape returns the shape of a convolution of n images, if it is one of maps.
func (g *spatial) shape(n int) (shape conv.Shape, ok bool) {
	if len(g.in) != 2 {
		return shape, false
	}
	shape = conv.Shape{
		N: n, C: g.channels, H: g.in[0], W: g.in[1], K: g.outC, R: g.kernel[0], S: g.kernel[1],
		StrideH: g.strides[0], StrideW: g.strides[1], DilationH: g.dilations[0], DilationW: g.dilations[1],
		PadTop: g.before[0], PadLeft: g.before[1], PadBottom: g.after[0], PadRight: g.after[1], Groups: g.groups,
	}
	// A stride beyond the input can leave less padding used than there is.
	return shape, shape.OH() == g.out[0] && shape.OW() == g.out[1]
}

// startLinear makes a 1x1 convolution, over one pixel for each row, of a product
// with a constant matrix.
func (f *fuser) startLinear(s *step, o *fused) {
	c := s.call
	w, isConst := f.filter(s, 1)
	a, b := c.in[0].shape, c.in[1].shape
	if !isConst || len(b) != 2 || len(a) < 2 || product(a) == 0 || product(b) == 0 {
		return
	}
	k, n := b[0], b[1]
	w.turned = true
	if s.Op == "Gemm" {
		if c.int("transA", 0) != 0 || c.float("alpha", 1) != 1 || c.input(2) != nil && (c.constFloats(2) == nil || c.float("beta", 1) != 1) {
			return
		}
		if c.int("transB", 0) != 0 {
			k, n, w.turned = n, k, false
		}
	}
	if bias := c.constFloats(2); bias != nil {
		switch {
		case len(bias) == 1:
			bias = slices.Repeat(bias, n)
		case len(bias) != n || c.in[2].shape[len(c.in[2].shape)-1] != n:
			return
		}
		o.shift = bias
	}
	o.kind, o.in, o.filter = convolution, s.in[:1], w
	o.conv = conv.Shape{N: product(a[:len(a)-1]), C: k, H: 1, W: 1, K: n, R: 1, S: 1}
	o.rows = len(a) == 4
}

// affine recognises a node that multiplies and shifts each channel by constants:
// inference batch norm, or arithmetic with a constant that is one number or one
// for each channel. x is the number of the other input.
func (s *step) affine() (x int, scale, shift []float32, ok bool) {
	c := s.call
	switch s.Op {
	case "BatchNormalization", "Add", "Sub", "Mul", "Div":
	default:
		return 0, nil, nil, false
	}
	if len(c.in) < 2 || c.in[0] == nil || c.in[1] == nil || !pixelRank(c.out[0].shape) {
		return 0, nil, nil, false
	}
	if s.Op == "BatchNormalization" {
		channels := c.in[0].shape[1]
		var p [4][]float32
		for i := range p {
			if p[i] = c.constFloats(i + 1); len(p[i]) != channels || c.int("training_mode", 0) != 0 {
				return 0, nil, nil, false
			}
		}
		scale, shift = make([]float32, channels), make([]float32, channels)
		kernels.BatchNormFold(scale, shift, p[0], p[1], p[2], p[3], c.float("epsilon", 1e-5))
		return 0, scale, shift, true
	}
	k := c.constFloats(1)
	if k == nil && (s.Op == "Add" || s.Op == "Mul") {
		x, k = 1, c.constFloats(0)
	}
	if k == nil || c.opset < 7 {
		return 0, nil, nil, false
	}
	shape, other := c.in[x].shape, c.in[1-x].shape
	if !sameShape(shape, c.out[0].shape) {
		return 0, nil, nil, false
	}
	channels := shape[1]
	for i, d := range other {
		if axis := len(shape) - len(other) + i; d != 1 && (axis != 1 || d != channels) {
			return 0, nil, nil, false
		}
	}
	scale, shift = make([]float32, channels), make([]float32, channels)
	for j := range scale {
		v := k[j%len(k)]
		scale[j] = 1
		switch s.Op {
		case "Add":
			shift[j] = v
		case "Sub":
			shift[j] = -v
		case "Mul":
			scale[j] = v
		case "Div":
			if scale[j] = 1 / v; float64(scale[j])*float64(v) != 1 {
				return 0, nil, nil, false // not exact
			}
		}
	}
	return x, scale, shift, true
}

// pixelRank reports whether tensors of the shape can be rows of channels: maps,
// or plain rows.
func pixelRank(shape []int) bool { return len(shape) == 2 || len(shape) == 4 }

// startGate makes the product of maps with one number for each image and
// channel, as squeeze and excitation has it.
func startGate(s *step, o *fused) {
	out := s.call.out[0].shape
	if len(out) != 4 || s.call.opset < 7 {
		return
	}
	for x := range 2 {
		gate := s.call.in[1-x].shape
		if sameShape(s.call.in[x].shape, out) && len(gate) == 4 && gate[0] == out[0] && gate[1] == out[1] && gate[2]*gate[3] == 1 && out[2]*out[3] > 1 {
			o.kind, o.in = channelGate, []int{s.in[x], s.in[1-x]}
			return
		}
	}
}

// open returns the operation that makes a value, if nothing else reads the
// value and the operation can take an activation on top.
func (f *fuser) open(id int) *fused {
	if id < 0 || f.uses[id] != 1 {
		return nil
	}
	i, ok := f.producer[id]
	if !ok || f.ops[i] == nil || !f.ops[i].kind.floats() || f.ops[i].act != kernels.Identity {
		return nil
	}
	return f.ops[i]
}

// extend makes o compute the output of s too.
func (f *fuser) extend(o *fused, s *step) bool {
	o.nodes = append(o.nodes, s.node)
	i := f.producer[o.out[0]]
	o.out = s.out
	f.producer[s.out[0]] = i
	return true
}

// merge makes an earlier operation compute the step too, if one can.
func (f *fuser) merge(s *step) bool {
	if s.call.out[0] == nil || s.call.out[0].typ != onnx.Float32 || len(s.call.out) != 1 && s.Op != "BatchNormalization" {
		return false
	}
	if act, ok := s.call.activation(); ok {
		if o := f.open(s.in[0]); o != nil {
			o.act = act
			return f.extend(o, s)
		}
		return false
	}
	if s.Op == "Mul" && f.mergeSelfGate(s) {
		return true
	}
	if f.mergeHardSwish(s) {
		return true
	}
	if x, scale, shift, ok := s.affine(); ok {
		return f.mergeAffine(s, s.in[x], scale, shift)
	}
	if s.Op == "Add" || s.Op == "Sum" && len(s.in) == 2 {
		return f.mergeResidual(s)
	}
	return false
}

// activation returns the activation that the node applies, if it is one of
// those that kernels fuse.
func (c *call) activation() (kernels.Activation, bool) {
	switch c.op {
	case "Relu":
		return kernels.ReLU, true
	case "Sigmoid":
		return kernels.Sigmoid, true
	case "Tanh":
		return kernels.Tanh, true
	case "HardSwish":
		return kernels.HardSwish, true
	case "Softplus":
		return kernels.Softplus, true
	case "Gelu":
		return kernels.GELU, c.string("approximate", "none") == "none"
	case "HardSigmoid":
		return kernels.HardSigmoid, c.float("alpha", 0.2) == 1.0/6 && c.float("beta", 0.5) == 0.5
	case "LeakyRelu":
		return kernels.LeakyReLU, c.float("alpha", 0.01) == 0.01
	case "Elu":
		return kernels.ELU, c.float("alpha", 1) == 1
	case "Clip":
		lo, hi, ok := c.clipLimits()
		return kernels.ReLU6, ok && lo == 0 && hi == 6
	}
	return 0, false
}

// clipLimits returns the limits of a Clip of float32 if they are constants.
func (c *call) clipLimits() (lo, hi float32, ok bool) {
	lo, hi = float32(math.Inf(-1)), float32(math.Inf(1))
	if c.opset < 11 {
		return c.float("min", lo), c.float("max", hi), true
	}
	for i, limit := range []*float32{&lo, &hi} {
		if c.input(i+1) == nil {
			continue
		}
		v := c.constFloats(i + 1)
		if len(v) != 1 {
			return 0, 0, false
		}
		*limit = v[0]
	}
	return lo, hi, true
}

// mergeSelfGate recognises x*sigmoid(x) and x*hardsigmoid(x) on top of an
// operation that makes x.
func (f *fuser) mergeSelfGate(s *step) bool {
	for k := range 2 {
		x, gate := s.in[k], s.in[1-k]
		gi, ok := f.producer[gate]
		if !ok || f.uses[gate] != 1 || f.ops[gi] == nil || f.ops[gi].kind != general || f.ops[gi].in[0] != x || f.uses[x] != 2 {
			continue
		}
		act, ok := f.ops[gi].call.activation()
		if ok && act == kernels.Sigmoid {
			act = kernels.SiLU
		} else if ok && act == kernels.HardSigmoid {
			act = kernels.HardSwish
		} else {
			continue
		}
		xi, ok := f.producer[x]
		if !ok || f.ops[xi] == nil || !f.ops[xi].kind.floats() || f.ops[xi].act != kernels.Identity {
			continue
		}
		o := f.ops[xi]
		o.act, o.nodes = act, append(o.nodes, f.ops[gi].nodes...)
		f.ops[gi] = nil
		return f.extend(o, s)
	}
	return false
}

// mergeAffine folds constants by channel into the operation that makes x.
func (f *fuser) mergeAffine(s *step, x int, scale, shift []float32) bool {
	o := f.open(x)
	if o == nil || o.kind == channelGate || o.rows {
		return false
	}
	identity := !slices.ContainsFunc(scale, func(v float32) bool { return v != 1 })
	if o.residual >= 0 && !identity {
		return false
	}
	if o.kind == convolution && (o.conv.K != len(scale) || len(o.call.out[0].shape) != len(s.call.out[0].shape)) {
		return false
	}
	if o.kind == convolution && !identity {
		o.filter.fold(scale)
	}
	base := o.shift
	o.shift = make([]float32, len(scale))
	for k := range scale {
		if base != nil {
			o.shift[k] = base[k] * scale[k]
		}
		o.shift[k] += shift[k]
	}
	if o.kind == channelAffine && !identity {
		own := make([]float32, len(scale))
		for k := range scale {
			own[k] = o.scale[k] * scale[k]
		}
		o.scale = own
	}
	return f.extend(o, s)
}

// mergeResidual adds one input of s in the operation that makes the other one.
// The added value must be there when that operation runs.
func (f *fuser) mergeResidual(s *step) bool {
	if !sameShape(s.call.in[0].shape, s.call.in[1].shape) || s.in[0] == s.in[1] {
		return false
	}
	for k := range 2 {
		o := f.open(s.in[k])
		if o == nil || o.residual >= 0 || s.call.in[1-k].data != nil {
			continue
		}
		if other, ok := f.producer[s.in[1-k]]; ok && other >= f.producer[s.in[k]] {
			continue
		}
		o.residual = s.in[1-k]
		return f.extend(o, s)
	}
	return false
}
