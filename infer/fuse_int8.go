package infer

import (
	"math"
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// Quantised layers. Two forms become operations on bytes: the operators that
// have quantised inputs and outputs (QLinearConv and its kin), and float layers
// between DequantizeLinear and QuantizeLinear. Bytes are kept unsigned in NHWC
// (the layout biased): signed ones are stored with 128 added, and so are their
// zero points.

// A quant is a quantisation of whole tensors.
type quant struct {
	scale  float32
	zero   int32 // of the unsigned byte
	signed bool  // the model's bytes are signed
}

// limits returns the bytes that stand for the bounds of an activation.
func (q *quant) limits(lo, hi float32) kernels.ByteRange {
	at := func(v float32) int32 {
		r := math.RoundToEven(float64(v/q.scale)) + float64(q.zero)
		return int32(max(0, min(255, r)))
	}
	return kernels.ByteRange{Zero: q.zero, Min: at(lo), Max: max(at(lo), at(hi))}
}

// An int8Op is what a fused operation on bytes needs beside its shape.
type int8Op struct {
	x, y   quant  // of inputs 0 and 1
	out    *quant // nil where the result is float32 or sums
	sums   bool   // the result is the 32-bit sums
	w      []int8 // (K, C/groups, R, S)
	scale  []float32
	bias   []int32
	lo, hi float32 // of the activation, -Inf and +Inf for none
}

func newInt8Op(x quant) *int8Op {
	return &int8Op{x: x, lo: float32(math.Inf(-1)), hi: float32(math.Inf(1))}
}

// quantOf returns the quantisation that constants say, if they are numbers for
// whole tensors.
func quantOf(typ onnx.DataType, scale, zero *value) (quant, bool) {
	q := quant{scale: 1, signed: typ == onnx.Int8}
	if !isByte(typ) || scale != nil && (scale.data == nil || scale.typ != onnx.Float32 || product(scale.shape) != 1) ||
		zero != nil && (zero.data == nil || zero.typ != typ || product(zero.shape) != 1) {
		return q, false
	}
	if scale != nil {
		q.scale = view[float32](scale.data)[0]
	}
	if zero != nil {
		q.zero = int32(zero.data.Float64s()[0])
	}
	if q.signed {
		q.zero += 128
	}
	return q, q.scale > 0 && !math.IsInf(float64(q.scale), 1)
}

// perChannel returns the n elements of a constant, one repeated if it has one.
func perChannel(v *value, n int) []float64 {
	if v == nil {
		return make([]float64, n)
	}
	if v.data == nil {
		return nil
	}
	f := v.data.Float64s()
	if len(f) == 1 {
		f = slices.Repeat(f, n)
	}
	if len(f) != n {
		return nil
	}
	return f
}

// setWeights takes constant weights of channels outputs, whose element i belongs
// to channel(i). It fails if they are no bytes less their zero point.
func (op *int8Op) setWeights(w, scale, zero *value, channels int, channel func(i int) int) bool {
	zeros := perChannel(zero, channels)
	if w.data == nil || !isByte(w.typ) || zeros == nil {
		return false
	}
	op.scale = slices.Repeat([]float32{1}, channels)
	if w.typ == onnx.Int8 && !slices.ContainsFunc(zeros, func(z float64) bool { return z != 0 }) {
		op.w = view[int8](w.data)
	} else if op.w = centredBytes(w, zeros, channel); op.w == nil {
		return false
	}
	if scale == nil {
		return true
	}
	for k, v := range perChannel(scale, channels) {
		if op.scale[k] = float32(v); !(v > 0) || math.IsInf(v, 1) {
			return false
		}
	}
	return scale.data != nil && scale.typ == onnx.Float32 && (product(scale.shape) == 1 || product(scale.shape) == channels)
}

// centredBytes returns weights less their zero points, nil if one is no signed
// byte then.
func centredBytes(w *value, zeros []float64, channel func(i int) int) []int8 {
	out := make([]int8, len(w.data.mem))
	for i, b := range w.data.mem {
		v := int(b)
		if w.typ == onnx.Int8 {
			v = int(int8(b))
		}
		if v -= int(zeros[channel(i)]); v < -128 || v > 127 {
			return nil
		}
		out[i] = int8(v)
	}
	return out
}

// setBias takes a bias of floats, rounded to the units of the sums.
func (op *int8Op) setBias(bias []float32) bool {
	op.bias = make([]int32, len(op.scale))
	for k := range op.bias {
		v := math.RoundToEven(float64(bias[k%len(bias)]) / (float64(op.x.scale) * float64(op.scale[k])))
		if !(math.Abs(v) < 1<<30) {
			return false
		}
		op.bias[k] = int32(v)
	}
	return true
}

// transposeInt8 turns a k x n matrix into n x k.
func transposeInt8(w []int8, k, n int) []int8 {
	t := make([]int8, len(w))
	for i := range k {
		for j := range n {
			t[j*k+i] = w[i*n+j]
		}
	}
	return t
}

// startInt8 makes an operation on bytes of a step, if it is one.
func (f *fuser) startInt8(s *step, o *fused) bool {
	c := s.call
	switch s.Op {
	case "QuantizeLinear":
		if q, ok := quantOf(c.out[0].typ, c.in[1], c.input(2)); ok && c.in[0].typ == onnx.Float32 {
			o.kind, o.in, o.int8 = quantise, s.in[:1], newInt8Op(q)
			o.int8.out = &q
			return true
		}
	case "DequantizeLinear":
		if q, ok := quantOf(c.in[0].typ, c.in[1], c.input(2)); ok {
			o.kind, o.in, o.int8 = dequantise, s.in[:1], newInt8Op(q)
			return true
		}
	case "QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger":
		return s.startInteger(o)
	case "Conv", "Gemm", "MatMul":
		return f.startBetween(s, o)
	}
	return false
}

// startInteger takes an operator whose inputs are bytes.
func (s *step) startInteger(o *fused) bool {
	c := s.call
	linear, convolves := s.Op[0] == 'Q', s.Op == "QLinearConv" || s.Op == "ConvInteger"
	var xScale, xZero, w, wScale, wZero *value
	if linear {
		xScale, xZero, w, wScale, wZero = c.in[1], c.in[2], c.in[3], c.in[4], c.in[5]
	} else {
		xZero, w, wZero = c.input(2), c.in[1], c.input(3)
	}
	x, ok := quantOf(c.in[0].typ, xScale, xZero)
	if !ok {
		return false
	}
	op := newInt8Op(x)
	shape, ok := op.shapeOf(c, w, wScale, wZero, convolves, false)
	if !ok {
		return false
	}
	if op.sums = !linear; linear {
		out, ok := quantOf(c.out[0].typ, c.in[6], c.in[7])
		if !ok {
			return false
		}
		op.out = &out
		if b := c.input(8); b != nil {
			if b.data == nil {
				return false
			}
			op.bias = slices.Clone(view[int32](b.data))
		}
	}
	return op.accept(o, s, s.in[0], shape)
}

// shapeOf takes the weights of a node and returns its shape as a convolution.
func (op *int8Op) shapeOf(c *call, w, wScale, wZero *value, convolves, transposed bool) (shape conv.Shape, ok bool) {
	if convolves {
		g, err := c.convGeometry(c.in[0], w)
		if err != nil {
			return shape, false
		}
		shape, ok = g.shape(c.in[0].shape[0])
		filter := max(1, product(w.shape[1:]))
		return shape, ok && op.setWeights(w, wScale, wZero, g.outC, func(i int) int { return i / filter })
	}
	a := c.in[0].shape
	if len(w.shape) != 2 || len(a) < 2 || len(a) == 4 || product(a) == 0 || product(w.shape) == 0 {
		return shape, false // rows of four dimensions are not in NHWC order
	}
	k, n := w.shape[0], w.shape[1]
	channel := func(i int) int { return i % n }
	if transposed {
		k, n = n, k
		channel = func(i int) int { return i / k }
	}
	if !op.setWeights(w, wScale, wZero, n, channel) {
		return shape, false
	}
	if !transposed {
		op.w = transposeInt8(op.w, k, n)
	}
	return conv.Shape{N: product(a[:len(a)-1]), C: k, H: 1, W: 1, K: n, R: 1, S: 1}, true
}

// accept makes o the operation, unless the sums may overflow.
func (op *int8Op) accept(o *fused, s *step, in int, shape conv.Shape) bool {
	if _, err := conv.NewPlanInt8(shape, conv.Int8Floats); err != nil {
		return false
	}
	o.kind, o.in, o.int8, o.conv = convInt8, []int{in}, op, shape
	return true
}

// dequantised returns the operation that makes a value of bytes, nil if another
// one does.
func (f *fuser) dequantised(id int) *fused {
	if i, ok := f.producer[id]; ok && f.ops[i] != nil && f.ops[i].kind == dequantise {
		return f.ops[i]
	}
	return nil
}

// constBytes returns the node that makes a constant of bytes or 32-bit integers.
func (f *fuser) constBytes(id int) *node {
	if f.constants == nil {
		f.constants = map[int]*node{}
		for i := range f.g.nodes {
			if n := &f.g.nodes[i]; n.Op == "DequantizeLinear" && n.out[0] >= 0 {
				f.constants[n.out[0]] = n
			}
		}
	}
	if n := f.constants[id]; n != nil && len(n.in) >= 2 && f.r.values[n.in[0]] != nil && f.r.values[n.in[0]].data != nil {
		return n
	}
	return nil
}

func (f *fuser) valueOf(n *node, i int) *value {
	if i < len(n.in) && n.in[i] >= 0 {
		return f.r.values[n.in[i]]
	}
	return nil
}

// startBetween takes a float layer whose input and weights are dequantised.
func (f *fuser) startBetween(s *step, o *fused) bool {
	c := s.call
	from, weights := f.dequantised(s.in[0]), f.constBytes(s.in[1])
	if from == nil || weights == nil || c.out[0].typ != onnx.Float32 {
		return false
	}
	transposed := false
	if s.Op == "Gemm" {
		if c.int("transA", 0) != 0 || c.float("alpha", 1) != 1 || c.input(2) != nil && c.float("beta", 1) != 1 {
			return false
		}
		transposed = c.int("transB", 0) != 0
	}
	w, scale, zero := f.valueOf(weights, 0), f.valueOf(weights, 1), f.valueOf(weights, 2)
	axis := 1 // of the output channels
	if s.Op == "Conv" || transposed {
		axis = 0
	}
	wc := call{node: weights.Node}
	if given, err := normalAxis(wc.int("axis", 1), len(w.shape)); product(scale.shape) != 1 && (err != nil || given != axis) || wc.int("block_size", 0) != 0 {
		return false
	}
	op := newInt8Op(from.int8.x)
	shape, ok := op.shapeOf(c, w, scale, zero, s.Op == "Conv", transposed)
	if !ok || c.input(2) != nil && !f.takeBias(op, s, c) || !op.accept(o, s, from.in[0], shape) {
		return false
	}
	f.unuse(s.in[0])
	return true
}

// takeBias takes a constant bias: as it is if it is quantised in the units of the
// sums, else rounded to them.
func (f *fuser) takeBias(op *int8Op, s *step, c *call) bool {
	n := len(op.scale)
	bias := c.constFloats(2)
	if shape := c.in[2].shape; len(bias) == 0 || len(bias) != 1 && (len(bias) != n || shape[len(shape)-1] != n) {
		return false
	}
	if b := f.constBytes(s.in[2]); b != nil && len(bias) == n {
		v, scale := f.valueOf(b, 0), perChannel(f.valueOf(b, 1), n)
		same := v.typ == onnx.Int32 && scale != nil && f.valueOf(b, 2) == nil
		for k := 0; same && k < n; k++ {
			same = float32(scale[k]) == op.x.scale*op.scale[k]
		}
		if same {
			op.bias = slices.Clone(view[int32](v.data))
			return true
		}
	}
	return op.setBias(bias)
}

// unuse notes that a value has one reader less, and drops what makes it if there
// is none left.
func (f *fuser) unuse(id int) {
	if f.uses[id]--; f.uses[id] == 0 {
		f.ops[f.producer[id]] = nil
	}
}

// sole returns the operation that makes a value which nothing else reads.
func (f *fuser) sole(id int) *fused {
	if i, ok := f.producer[id]; ok && f.uses[id] == 1 {
		return f.ops[i]
	}
	return nil
}

// clampOf returns the limits of a node that is a ReLU or a clip.
func (c *call) clampOf() (lo, hi float32, ok bool) {
	switch c.op {
	case "Relu":
		return 0, float32(math.Inf(1)), true
	case "Clip":
		lo, hi, ok = c.clipLimits()
		return lo, hi, ok && lo <= hi
	}
	return 0, 0, false
}

// mergeInt8 lets an operation on bytes take a clamp or its quantisation.
func (f *fuser) mergeInt8(s *step) bool {
	c := s.call
	if len(c.out) != 1 || c.out[0] == nil || s.in[0] < 0 {
		return false
	}
	if lo, hi, ok := c.clampOf(); ok {
		o := f.sole(s.in[0])
		if o == nil || o.kind != convInt8 || o.int8.out != nil || o.int8.sums || c.in[0].typ != onnx.Float32 || !math.IsInf(float64(o.int8.lo), -1) || !math.IsInf(float64(o.int8.hi), 1) {
			return false
		}
		o.int8.lo, o.int8.hi = lo, hi
		return f.extend(o, s)
	}
	if s.Op != "QuantizeLinear" || c.in[0].typ != onnx.Float32 {
		return false
	}
	q, ok := quantOf(c.out[0].typ, c.in[1], c.input(2))
	if !ok {
		return false
	}
	o := f.sole(s.in[0])
	if o != nil && o.kind == convInt8 && o.int8.out == nil && !o.int8.sums {
		o.int8.out = &q
		return f.extend(o, s)
	}
	return o != nil && o.kind == general && f.mergeBytes(s, o, q)
}

// mergeBytes replaces a sum or maximum pooling between conversions, with a clamp
// or without one, by one on bytes.
func (f *fuser) mergeBytes(s *step, last *fused, out quant) bool {
	first := last
	lo, hi, clamped := last.call.clampOf()
	if clamped {
		if first = f.sole(last.in[0]); first == nil || first.kind != general {
			return false
		}
	}
	c := first.call
	x := f.dequantised(first.in[0])
	if x == nil {
		return false
	}
	op := newInt8Op(x.int8.x)
	o := &fused{call: c, int8: op, in: []int{x.in[0]}, out: s.out, residual: -1}
	if op.out = &out; clamped {
		op.lo, op.hi = lo, hi
	}
	switch {
	case c.op == "MaxPool" && len(c.out) == 1 && len(c.in[0].shape) == 4 && !clamped && op.x == out && c.poolTaps() <= kernels.MaxByteTaps:
		o.kind = poolInt8
	case (c.op == "Add" || c.op == "Sum") && len(first.in) == 2 && sameShape(c.in[0].shape, c.in[1].shape) && f.dequantised(first.in[1]) != nil:
		y := f.dequantised(first.in[1])
		o.kind, op.y, o.in = addInt8, y.int8.x, append(o.in, y.in[0])
	default:
		return false
	}
	o.nodes = append(o.nodes, first.nodes...)
	if clamped {
		o.nodes = append(o.nodes, last.nodes...)
		f.ops[f.producer[last.in[0]]] = nil
	}
	o.nodes = append(o.nodes, s.node)
	f.ops[f.producer[s.in[0]]] = nil
	for _, id := range first.in {
		f.unuse(id)
	}
	f.add(o)
	return true
}

// poolTaps is the number of taps of a pooling window, 0 if it has no geometry.
func (c *call) poolTaps() int {
	probe := *c
	probe.out = []*value{{}}
	g, err := probe.poolGeometry()
	if err != nil {
		return kernels.MaxByteTaps + 1
	}
	return product(g.kernel)
}
