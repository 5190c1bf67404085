package infer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// A layout is the order in which a tensor of four dimensions is stored.
type layout uint8

const (
	plain   layout = iota // as the model has it: NCHW
	pixels                // NHWC
	biased                // NHWC of unsigned bytes, see fuse_int8.go
	layouts = 3
)

// permute returns the shape of a tensor as it is stored.
func (l layout) permute(shape []int) []int {
	if l == plain || len(shape) != 4 {
		return shape
	}
	return []int{shape[0], shape[2], shape[3], shape[1]}
}

// A slotKind says where the memory of a slot is.
type slotKind uint8

const (
	arenaSlot slotKind = iota
	constSlot
	inputSlot  // the caller's
	outputSlot // the caller's
)

// A slot is a tensor at run time: a value in one layout. Slots that hold the
// same bytes share memory through root.
type slot struct {
	kind  slotKind
	typ   onnx.DataType
	shape []int // as stored
	root  int   // the slot whose memory it has; itself mostly
	index int   // of the input or output
	data  *Tensor

	// front: made image by image, so that it lives from the first instruction on.
	front bool

	// Of a part of its root: the bytes in front of it, and from its first to its last.
	skip, span int

	// Of roots in the arena: place, size, and the instructions it lives through.
	offset, bytes, first, last int
}

// An instr is a step of a plan.
type instr struct {
	title, how string
	in, out    []int // slots, -1 where omitted
	work       int   // floats of scratch
	// reuse is the input whose memory output 0 may take over, -1 for none.
	reuse int
	build func() (runner, error)
	flops float64
}

// A runner carries out an instruction. It belongs to one state.
type runner func(in, out []*Tensor, work []float32) error

// An emitter turns fused operations into instructions.
type emitter struct {
	s      *Session
	g      *graph
	r      *resolution
	slots  []slot
	instrs []instr
	packs  *[]packing            // that the plan reads
	at     map[int]*[layouts]int // value -> slot+1 by layout
	parts  map[int]part          // value -> its place
	wholes map[*fused]int        // Concat -> slot that has parts
}

func (e *emitter) newSlot(s slot) int {
	s.root, s.first, s.last = len(e.slots), -1, -1
	e.slots = append(e.slots, s)
	return s.root
}

// put makes id's value available in a slot.
func (e *emitter) put(id int, l layout, slot int) {
	if e.at[id] == nil {
		e.at[id] = new([layouts]int)
	}
	e.at[id][l] = slot + 1
}

// has returns the slot of a value in a layout, -1 if there is none.
func (e *emitter) has(id int, l layout) int {
	if at := e.at[id]; at != nil {
		return at[l] - 1
	}
	return -1
}

// result makes a new slot in the arena for a value.
func (e *emitter) result(id int, l layout) int {
	if id < 0 {
		return -1
	}
	v := e.r.values[id]
	slot := e.newSlot(slot{typ: v.typ, shape: l.permute(v.shape)})
	e.put(id, l, slot)
	return slot
}

// alias makes a slot with the memory of another one.
func (e *emitter) alias(of int, shape []int) int {
	s := e.slots[of]
	s.shape = shape
	e.slots = append(e.slots, s)
	return len(e.slots) - 1
}

// oneOrder reports whether both layouts of a shape are the same.
func oneOrder(shape []int) bool {
	return len(shape) != 4 || shape[1] == 1 || shape[2]*shape[3] == 1
}

// need returns a slot that holds a value in a layout, converting it if it must.
func (e *emitter) need(id int, l layout) int {
	v := e.r.values[id]
	if len(v.shape) != 4 {
		l = plain
	}
	if at := e.has(id, l); at >= 0 {
		return at
	}
	if v.data != nil {
		at := e.constant(v.data, l)
		e.put(id, l, at)
		return at
	}
	from := e.has(id, 1-l)
	if from < 0 { // bytes
		from = e.has(id, biased)
		to := e.result(id, plain)
		e.instrs = append(e.instrs, convertBytes(from, to, v, false))
		return e.need(id, l)
	}
	if oneOrder(v.shape) {
		at := e.alias(from, l.permute(v.shape))
		e.put(id, l, at)
		return at
	}
	to := e.result(id, l)
	e.instrs = append(e.instrs, convert("", from, to, v.shape, l))
	return to
}

// constant returns a slot for constant data.
func (e *emitter) constant(t *Tensor, l layout) int {
	t = restored(t)
	if l == pixels {
		s := t.Shape
		moved := &Tensor{Type: t.Type, Shape: l.permute(s), mem: kernels.AlignedBytes(len(t.mem))}
		strides := []int{s[1] * s[2] * s[3], s[3], 1, s[2] * s[3]}
		// The kernel cannot fail: it only copies.
		_ = stridedKernel(t.Type.Size(), moved.Shape, strides, 0)([]*Tensor{t}, []*Tensor{moved})
		t = moved
	}
	return e.newSlot(slot{kind: constSlot, typ: t.Type, shape: t.Shape, data: t})
}

// convert is the instruction that changes the layout of a map of float32 to l.
func convert(title string, from, to int, shape []int, l layout) instr {
	n, c, h, w := shape[0], shape[1], shape[2], shape[3]
	how := "NCHW to NHWC"
	if l == plain {
		how = "NHWC to NCHW"
	}
	return instr{title: title, how: how, in: []int{from}, out: []int{to}, reuse: -1, build: func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error {
			if l == plain {
				kernels.NHWCToNCHW(view[float32](out[0]), view[float32](in[0]), n, c, h, w)
			} else {
				kernels.NCHWToNHWC(view[float32](out[0]), view[float32](in[0]), n, c, h, w)
			}
			return nil
		}, nil
	}}
}

// emit appends the instructions of one operation.
func (e *emitter) emit(o *fused) error {
	switch o.kind {
	case convolution:
		return e.emitConv(o)
	case channelAffine, channelGate:
		return e.emitChannels(o)
	case quantise, dequantise, convInt8, addInt8, poolInt8:
		return e.emitInt8(o)
	}
	c := o.call
	if e.passes(o) {
		e.at[o.out[0]] = e.at[o.in[0]]
		return nil
	}
	if operators[c.op].view && c.out[0] != nil {
		from := e.need(o.in[0], plain)
		e.put(o.out[0], plain, e.alias(from, c.out[0].shape))
		return nil
	}
	if c.op == "Transpose" && e.emitTranspose(o) || e.emitJoin(o) || e.emitPool(o) || e.emitInPixels(o) {
		return nil
	}
	e.emitCall(o, c, plain)
	return nil
}

// passes reports whether an operation hands its input on, in any layout: an
// Identity, or a Dropout that is not asked for its mask nor for training.
func (e *emitter) passes(o *fused) bool {
	if c := o.call; c.op != "Identity" && c.op != "Dropout" || c.out[0] == nil || c.input(2) != nil || e.at[o.in[0]] == nil {
		return false
	}
	for _, mask := range o.out[1:] {
		if mask < 0 {
			continue
		}
		if slices.Contains(e.g.out, mask) || slices.ContainsFunc(e.r.steps, func(s step) bool { return slices.Contains(s.in, mask) }) {
			return false
		}
	}
	return true
}

// emitCall appends the instruction for a node by itself, on slots of layout l.
func (e *emitter) emitCall(o *fused, c *call, l layout) {
	i := instr{title: o.title(), how: "general", reuse: -1}
	for _, id := range o.in {
		if id < 0 {
			i.in = append(i.in, -1)
		} else {
			i.in = append(i.in, e.need(id, l))
		}
	}
	for _, id := range o.out {
		i.out = append(i.out, e.result(id, l))
	}
	if k := fastKernel(c); k != nil {
		i.how, i.reuse, i.build = k.how, k.reuse, k.build
	} else {
		i.build = func() (runner, error) {
			run, err := c.prepare()
			return func(in, out []*Tensor, _ []float32) error { return run(in, out) }, err
		}
	}
	if l == pixels {
		i.how += ", NHWC"
	}
	e.instrs = append(e.instrs, i)
}

// title names the nodes of an operation.
func (o *fused) title() string {
	var b strings.Builder
	for i, n := range o.nodes {
		if i > 0 {
			b.WriteByte('+')
		}
		b.WriteString(n.Op)
	}
	if name := o.nodes[0].Name; name != "" {
		fmt.Fprintf(&b, " %s", name)
	}
	return b.String()
}

// emitTranspose lets a transposition between the two layouts cost nothing.
func (e *emitter) emitTranspose(o *fused) bool {
	c := o.call
	perm, shape := c.ints("perm"), c.out[0].shape
	switch {
	case slices.Equal(perm, []int{0, 3, 1, 2}): // what is stored is the result's NHWC
		at := e.alias(e.need(o.in[0], plain), pixels.permute(shape))
		e.put(o.out[0], pixels, at)
		return c.out[0].typ == onnx.Float32
	case slices.Equal(perm, []int{0, 2, 3, 1}) && e.has(o.in[0], pixels) >= 0:
		e.put(o.out[0], plain, e.alias(e.has(o.in[0], pixels), shape))
		return true
	}
	return false
}

// eachElement are the operators that treat every element by itself, after
// broadcasting, so that they work in any layout.
var eachElement = map[string]bool{
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Pow": true, "Min": true, "Max": true, "Mean": true, "Sum": true,
	"Relu": true, "Abs": true, "Neg": true, "Clip": true, "LeakyRelu": true, "PRelu": true, "Elu": true, "Selu": true, "Gelu": true,
	"Sigmoid": true, "HardSigmoid": true, "HardSwish": true, "Tanh": true, "Softplus": true, "Softsign": true, "Erf": true,
	"Exp": true, "Log": true, "Sqrt": true, "Reciprocal": true, "Floor": true, "Ceil": true,
}

// emitInPixels runs an operator that does not care about the layout on NHWC, if
// that is how its inputs are at hand.
func (e *emitter) emitInPixels(o *fused) bool {
	c := o.call
	if !eachElement[c.op] && c.op != "Concat" || c.opset < 7 || len(c.out) != 1 || c.out[0].typ != onnx.Float32 || len(c.out[0].shape) != 4 {
		return false
	}
	some := false
	for i, id := range o.in {
		if id < 0 {
			continue
		}
		v := c.in[i]
		switch {
		case v.typ != onnx.Float32:
			return false
		case len(v.shape) == 4 && (v.data == nil || oneOrder(v.shape)):
			some = some || e.has(id, pixels) >= 0 && e.has(id, plain) < 0
		case product(v.shape) != 1:
			return false
		}
	}
	if !some {
		return false
	}
	moved := *c
	moved.in, moved.out = nil, []*value{{}}
	for _, v := range c.in {
		if v != nil && len(v.shape) == 4 {
			w := *v
			if w.shape = pixels.permute(v.shape); v.data != nil {
				w.data = &Tensor{Type: v.typ, Shape: w.shape, mem: v.data.mem}
			}
			v = &w
		}
		moved.in = append(moved.in, v)
	}
	if c.op == "Concat" {
		axis, _ := normalAxis(c.int("axis", 1), 4)
		moved.node = &onnx.Node{Op: "Concat", Attributes: []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: int64([]int{0, 3, 1, 2}[axis])}}}
	}
	if _, err := moved.prepare(); err != nil {
		return false
	}
	e.emitCall(o, &moved, pixels)
	return true
}
