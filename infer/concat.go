package infer

import (
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// The inputs of a Concat of channels that are results of convolutions, and that
// nothing else reads, are written where they belong in the whole. What remains is
// copied.

// A part is the place of a value among the channels of a Concat.
type part struct {
	concat          *fused
	first, channels int // its first channel, and those of the whole
}

// findParts notes which results of ops[lo:hi] are written as parts.
func (e *emitter) findParts(ops []*fused, lo, hi int) {
	made := map[int]bool{} // by a convolution that can write parts
	e.parts, e.wholes = map[int]part{}, map[*fused]int{}
	for _, o := range ops[lo:hi] {
		if o.kind == convolution && !o.rows && o.residual < 0 {
			made[o.out[0]] = true
		}
		if !joinsChannels(o) {
			continue
		}
		shape := o.call.out[0].shape
		for i, at := 0, 0; i < len(o.in); i++ {
			if made[o.in[i]] {
				e.parts[o.in[i]] = part{o, at, shape[1]}
			}
			at += o.call.in[i].shape[1]
		}
	}
	if len(e.parts) == 0 {
		return
	}
	readers := map[int]int{}
	for _, id := range e.g.out {
		readers[id]++
	}
	for _, o := range ops {
		for _, id := range append(slices.Clone(o.in), o.residual) {
			readers[id]++
		}
	}
	for id := range e.parts {
		if readers[id] > 1 {
			delete(e.parts, id)
		}
	}
}

// joinsChannels reports whether an operation is a Concat of the channels of computed
// maps of float32.
func joinsChannels(o *fused) bool {
	if o.kind != general || o.call.op != "Concat" || o.call.out[0].typ != onnx.Float32 || len(o.call.out[0].shape) != 4 {
		return false
	}
	axis, err := normalAxis(o.call.int("axis", 1), 4)
	return err == nil && axis == 1 && !slices.ContainsFunc(o.call.in, func(v *value) bool { return v.data != nil })
}

// planPart plans a convolution whose result is a part, and makes the slot of that. It
// returns nil if there is no such plan.
func (e *emitter) planPart(o *fused, opt conv.Options) (plan *conv.Plan, out int) {
	p, ok := e.parts[o.out[0]]
	if !ok {
		return nil, -1
	}
	opt.DstPitch = p.channels
	plan, err := conv.NewPlan(o.conv, opt)
	if err != nil {
		return nil, -1
	}
	whole, ok := e.wholes[p.concat]
	if !ok {
		v := e.r.values[p.concat.out[0]]
		whole = e.newSlot(slot{typ: v.typ, shape: pixels.permute(v.shape)})
		e.wholes[p.concat] = whole
	}
	out = e.alias(whole, pixels.permute(e.r.values[o.out[0]].shape))
	pixelCount := o.conv.DstLen() / o.conv.K
	e.slots[out].skip, e.slots[out].span = 4*p.first, 4*((pixelCount-1)*p.channels+o.conv.K)
	e.put(o.out[0], pixels, out)
	return plan, out
}

// emitJoin completes a Concat some of whose inputs are written where they belong. It
// reports false if it is none.
func (e *emitter) emitJoin(o *fused) bool {
	whole, ok := e.wholes[o]
	if !ok {
		return false
	}
	shape := e.slots[whole].shape
	j := joiner{width: shape[3]}
	i := instr{title: o.title(), how: "the other channels, NHWC", out: []int{whole}, reuse: -1}
	at := 0
	for k, id := range o.in {
		channels := o.call.in[k].shape[1]
		if s := e.has(id, pixels); s < 0 || e.slots[s].root != whole {
			i.in = append(i.in, e.need(id, pixels))
			j.at, j.widths = append(j.at, at), append(j.widths, channels)
		}
		at += channels
	}
	if len(i.in) > 0 {
		i.build = j.builder(product(shape[:3]))
		e.instrs = append(e.instrs, i)
	}
	e.put(o.out[0], pixels, whole)
	return true
}

// A joiner puts rows of several tensors into the rows of one, on all threads.
type joiner struct {
	at, widths []int // where the row of each input begins, and its floats
	width      int   // of a row of the output
	dst        []float32
	src        [][]float32
	body       func(lo, hi int)
}

// builder returns the builder of a runner for a number of rows.
func (j joiner) builder(rows int) func() (runner, error) {
	return func() (runner, error) {
		k := j
		k.src, k.body = make([][]float32, len(k.widths)), k.run
		return func(in, out []*Tensor, _ []float32) error {
			k.dst = view[float32](out[0])
			for i, t := range in {
				k.src[i] = view[float32](t)
			}
			kernels.Parallel(rows, grain/max(k.width, 1)+1, k.body)
			return nil
		}, nil
	}
}

func (j *joiner) run(lo, hi int) {
	for i, n := range j.widths {
		kernels.CopyBlock(j.dst[lo*j.width+j.at[i]:], j.width, j.src[i][lo*n:], n, hi-lo, n)
	}
}

// fastConcat takes inputs of equal shape but for the axis, as opConcat has checked.
func fastConcat(c *call) *fast {
	axis, err := normalAxis(c.int("axis", 1), len(c.out[0].shape))
	if err != nil {
		return nil
	}
	j := joiner{width: product(c.out[0].shape[axis:])}
	at := 0
	for _, v := range c.in {
		n := product(v.shape[axis:])
		j.at, j.widths = append(j.at, at), append(j.widths, n)
		at += n
	}
	return &fast{how: "rows", reuse: -1, build: j.builder(product(c.out[0].shape[:axis]))}
}
