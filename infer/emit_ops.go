package infer

import (
	"slices"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/pool"
)

// convOptions are those of the plan for o.
func (e *emitter) convOptions(o *fused) conv.Options {
	opt := conv.Options{Activation: o.act, Packed: true, ForwardOnly: true}
	if e.s.opt.Exact {
		opt.Accuracy = conv.Exact
	}
	return opt
}

func (e *emitter) emitConv(o *fused) error {
	opt := e.convOptions(o)
	first, out := e.planPart(o, opt)
	if first == nil {
		var err error
		if first, err = conv.NewPlan(o.conv, opt); err != nil {
			return err
		}
	}
	opt = first.Options()
	bias, n := o.shift, o.conv.N
	packed := e.packed(first, o)
	algorithm, _, _ := first.Algorithms()
	i := instr{
		title: o.title(), how: algorithm.String(), reuse: -1, work: first.WorkspaceForwardPacked(), flops: o.conv.FLOPs(),
	}
	l := pixels
	if o.rows {
		l = plain
	}
	planes := first.ReadsPlanes() && e.has(o.in[0], pixels) < 0 && e.has(o.in[0], plain) >= 0 && len(e.r.values[o.in[0]].shape) == 4
	if planes {
		i.in, i.how = []int{e.has(o.in[0], plain)}, i.how+" from NCHW"
	} else {
		i.in = []int{e.need(o.in[0], l)}
	}
	if o.act != kernels.Identity {
		i.how += "+" + o.act.String()
	}
	if o.residual >= 0 {
		// In place, if it is read no more: then memory goes by once.
		i.reuse = len(i.in)
		i.in = append(i.in, e.need(o.residual, l))
		i.how += "+residual"
	}
	if len(e.r.values[o.out[0]].shape) != 4 {
		l = plain
	}
	if out < 0 {
		out = e.result(o.out[0], l)
	}
	i.out = []int{out}
	shape := o.conv
	i.build = func() (runner, error) {
		plan := first
		first = nil
		if plan == nil {
			var err error
			if plan, err = conv.NewPlan(shape, opt); err != nil {
				return nil, err
			}
		}
		return func(in, out []*Tensor, work []float32) error {
			var residual []float32
			if len(in) > 1 {
				residual = view[float32](in[1])
			}
			switch {
			case n == 0:
			case planes:
				plan.ForwardPlanes(view[float32](out[0]), view[float32](in[0]), packed.floats, bias, residual, work)
			default:
				plan.ForwardPacked(view[float32](out[0]), view[float32](in[0]), packed.floats, bias, residual, work)
			}
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, i)
	return nil
}

// layoutOf is the layout in which operations on channels leave a value.
func (e *emitter) layoutOf(id int) layout {
	if len(e.r.values[id].shape) == 4 {
		return pixels
	}
	return plain
}

// emitChannels appends x*scale + shift by channel, or x times a gate.
func (e *emitter) emitChannels(o *fused) error {
	shape := e.r.values[o.out[0]].shape
	n, c := shape[0], shape[1]
	rows := product(shape) / max(n*c, 1)
	i := instr{title: o.title(), how: "scale and shift " + o.act.String(), reuse: 0}
	for _, id := range o.in {
		i.in = append(i.in, e.need(id, pixels))
	}
	residual := -1
	if o.residual >= 0 {
		residual = len(i.in)
		i.in = append(i.in, e.need(o.residual, pixels))
		i.how += "+residual"
	}
	act, scale, shift, gate := o.act, o.scale, o.shift, o.kind == channelGate
	if gate {
		i.how = strings.Replace(i.how, "scale and shift", "gate", 1)
		shift = make([]float32, c)
	} else {
		n, rows = 1, n*rows
	}
	i.out = []int{e.result(o.out[0], e.layoutOf(o.out[0]))}
	i.build = func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error {
			x, y, s := view[float32](in[0]), view[float32](out[0]), scale
			size := rows * c
			for b := range n {
				if gate {
					s = view[float32](in[1])[b*c : (b+1)*c]
				}
				lo, hi := b*size, (b+1)*size
				if residual >= 0 {
					kernels.BatchNormApplyAdd(act, y[lo:hi], x[lo:hi], view[float32](in[residual])[lo:hi], s, shift, rows, c)
				} else {
					kernels.BatchNormApply(act, y[lo:hi], x[lo:hi], s, shift, rows, c)
				}
			}
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, i)
	return nil
}

// emitPool appends a pooling of maps of float32. It reports false if the node is
// something else, or a pooling that package pool does not do.
func (e *emitter) emitPool(o *fused) bool {
	c := o.call
	if len(c.in) == 0 || c.in[0] == nil || c.out[0] == nil || c.in[0].typ != onnx.Float32 || len(c.in[0].shape) != 4 || product(c.in[0].shape) == 0 {
		return false
	}
	for _, v := range c.out[1:] {
		if v != nil {
			return false
		}
	}
	s := c.in[0].shape
	var build func() (runner, error)
	switch c.op {
	case "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax":
		if !c.overMaps() {
			return false
		}
		max := c.op == "GlobalMaxPool" || c.op == "ReduceMax"
		if !max && s[1]%evenChannels != 0 {
			if build = averageMaps(s); build != nil {
				break
			}
		}
		build = func() (runner, error) {
			return func(in, out []*Tensor, _ []float32) error {
				if max {
					pool.GlobalMax(view[float32](out[0]), nil, view[float32](in[0]), s[0], s[2]*s[3], s[1])
				} else {
					pool.GlobalAvg(view[float32](out[0]), view[float32](in[0]), s[0], s[2]*s[3], s[1])
				}
				return nil
			}, nil
		}
	case "MaxPool", "AveragePool":
		if build = c.windowPool(); build == nil {
			return false
		}
	default:
		return false
	}
	i := instr{title: o.title(), how: "pool", in: []int{e.need(o.in[0], pixels)}, reuse: -1, build: build}
	i.out = []int{e.result(o.out[0], e.layoutOf(o.out[0]))}
	for range o.out[1:] {
		i.out = append(i.out, -1)
	}
	e.instrs = append(e.instrs, i)
	return true
}

// evenChannels is a number of channels that every tier of pool.GlobalAvg sums in
// one order. The last channels of another number are summed in another order:
// equal channels would get means that differ by a rounding, which a softmax of
// large numbers makes visible.
const evenChannels = 64

// averageMaps returns the builder of a mean over whole maps as a window.
func averageMaps(s []int) func() (runner, error) {
	shape := pool.Shape{N: s[0], C: s[1], H: s[2], W: s[3], R: s[2], S: s[3]}
	if _, err := pool.NewAvg(shape, pool.CountInside); err != nil {
		return nil
	}
	return func() (runner, error) {
		p, err := pool.NewAvg(shape, pool.CountInside)
		return func(in, out []*Tensor, _ []float32) error {
			p.Forward(view[float32](out[0]), view[float32](in[0]))
			return nil
		}, err
	}
}

// overMaps reports whether the node reduces exactly the two dimensions of maps.
func (c *call) overMaps() bool {
	if c.op[:6] == "Global" {
		return true
	}
	mask, err := c.reduceMask(18)
	return err == nil && slices.Equal(mask, []bool{false, false, true, true})
}

// windowPool returns the builder of MaxPool or AveragePool on NHWC, nil if
// package pool does not take the shape.
func (c *call) windowPool() func() (runner, error) {
	probe := *c
	probe.out = []*value{{}}
	g, err := probe.poolGeometry()
	if err != nil {
		return nil
	}
	s := c.in[0].shape
	shape := pool.Shape{
		N: s[0], C: s[1], H: s[2], W: s[3], R: g.kernel[0], S: g.kernel[1], StrideH: g.strides[0], StrideW: g.strides[1],
		DilationH: g.dilations[0], DilationW: g.dilations[1],
		PadTop: g.before[0], PadLeft: g.before[1], PadBottom: g.after[0], PadRight: g.after[1], Ceil: c.int("ceil_mode", 0) != 0,
	}
	if shape.OH() != g.out[0] || shape.OW() != g.out[1] {
		return nil
	}
	if c.op == "MaxPool" {
		if _, err := pool.NewMax(shape); err != nil {
			return nil
		}
		return func() (runner, error) {
			p, err := pool.NewMax(shape)
			return func(in, out []*Tensor, _ []float32) error {
				p.Forward(view[float32](out[0]), nil, view[float32](in[0]))
				return nil
			}, err
		}
	}
	count := pool.CountInside
	if c.opset >= 7 && c.int("count_include_pad", 0) != 0 {
		count = pool.CountPadding
	}
	if _, err := pool.NewAvg(shape, count); err != nil {
		return nil
	}
	return func() (runner, error) {
		p, err := pool.NewAvg(shape, count)
		return func(in, out []*Tensor, _ []float32) error {
			p.Forward(view[float32](out[0]), view[float32](in[0]))
			return nil
		}, err
	}
}

// A fast is a kernel for float32 that replaces an operator's general one.
type fast struct {
	how   string
	reuse int
	build func() (runner, error)
}

// grain is the number of elements worth a thread.
const grain = 16 << 10

// fastKernel returns a kernel for a call, whatever the layout, or nil.
func fastKernel(c *call) *fast {
	if len(c.in) == 0 || c.in[0] == nil || c.out[0] == nil || c.in[0].typ != onnx.Float32 || c.out[0].typ != onnx.Float32 || len(c.out) != 1 {
		return nil
	}
	switch c.op {
	case "Add", "Sub", "Mul":
		if c.input(1) == nil || !sameShape(c.in[0].shape, c.out[0].shape) || !sameShape(c.in[1].shape, c.out[0].shape) {
			return nil
		}
		return fastChunks(&chunks{op: c.op})
	case "Softmax", "LogSoftmax":
		return fastSoftmax(c)
	case "Concat":
		return fastConcat(c)
	case "Exp", "Log":
		return fastChunks(&chunks{op: c.op})
	case "LeakyRelu":
		return fastChunks(&chunks{op: c.op, a: c.float("alpha", 0.01)})
	case "Elu":
		return fastChunks(&chunks{op: c.op, a: c.float("alpha", 1)})
	case "HardSigmoid":
		return fastChunks(&chunks{op: c.op, a: c.float("alpha", 0.2), b: c.float("beta", 0.5)})
	case "Clip":
		if lo, hi, ok := c.clipLimits(); ok && lo <= hi {
			return fastChunks(&chunks{op: c.op, a: lo, b: hi})
		}
		return nil
	}
	if act, ok := c.activation(); ok {
		return fastChunks(&chunks{op: "activation", act: act})
	}
	return nil
}

// chunks applies an elementwise function in pieces, on all threads.
type chunks struct {
	op        string
	act       kernels.Activation
	a, b      float32
	dst, x, y []float32
	body      func(lo, hi int)
}

func fastChunks(proto *chunks) *fast {
	how := proto.op
	if how == "activation" {
		how = proto.act.String()
	}
	return &fast{how: how, reuse: 0, build: func() (runner, error) {
		k := *proto
		j := &k
		j.body = j.run
		return func(in, out []*Tensor, _ []float32) error {
			j.dst, j.x = view[float32](out[0]), view[float32](in[0])
			if len(in) > 1 && in[1] != nil {
				j.y = view[float32](in[1])
			}
			kernels.Parallel(len(j.dst), grain, j.body)
			return nil
		}, nil
	}}
}

func (j *chunks) run(lo, hi int) {
	dst, x := j.dst[lo:hi], j.x[lo:hi]
	switch j.op {
	case "Add":
		kernels.Add(dst, x, j.y[lo:hi])
	case "Sub":
		kernels.Sub(dst, x, j.y[lo:hi])
	case "Mul":
		kernels.Mul(dst, x, j.y[lo:hi])
	case "Exp":
		kernels.Exp(dst, x)
	case "Log":
		kernels.Log(dst, x)
	case "LeakyRelu":
		kernels.LeakyReLUWith(j.a, dst, x)
	case "Elu":
		kernels.ELUWith(j.a, dst, x)
	case "HardSigmoid":
		kernels.HardSigmoidWith(j.a, j.b, dst, x)
	case "Clip":
		kernels.Clamp(dst, x, j.a, j.b)
	default:
		kernels.Activate(j.act, dst, x)
	}
}

// fastSoftmax takes softmax over the last dimension, or over all from one on.
func fastSoftmax(c *call) *fast {
	shape, def := c.in[0].shape, -1
	if c.opset < 13 {
		def = 1
	}
	axis, err := normalAxis(c.int("axis", def), len(shape))
	if err != nil || c.opset >= 13 && axis != len(shape)-1 {
		return nil
	}
	rows, cols, logarithm := product(shape[:axis]), product(shape[axis:]), c.op == "LogSoftmax"
	return &fast{how: "rows", reuse: 0, build: func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error {
			if logarithm {
				kernels.LogSoftmax(view[float32](out[0]), view[float32](in[0]), rows, cols)
			} else {
				kernels.Softmax(view[float32](out[0]), view[float32](in[0]), rows, cols)
			}
			return nil
		}, nil
	}}
}
