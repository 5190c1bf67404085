package infer

import (
	"slices"

	"github.com/golanes/lanes/infer/onnx"
)

// The first layers of a network have large maps and few weights. For a batch
// their results leave the caches before the next layer reads them, so that a
// plan runs such a front part image by image: its memory is that of one image,
// and what the rest reads is collected for the batch.

const (
	// frontBytes is what an operation must read and write for the batch before
	// it is worth running image by image: about a core's second-level cache.
	frontBytes = 1 << 20
	// frontWeights is how often an operation's weights must fit what it reads
	// and writes for one image, since every image reads them again.
	frontWeights = 2
)

// A front is the part of a plan that runs image by image.
type front struct {
	images int // 0 where there is none
	steps  int // how many of the plan's
	views  []imageView
}

// An imageView is a slot of the front that is one image of a tensor for the batch:
// of slot whole, or of input number input if whole is negative.
type imageView struct{ slot, whole, input int }

// single resolves the graph for one image of the batch that r is for, and fuses
// it. It returns nil if that is not the same operations with one image.
func (s *Session) single(r *resolution, ops []*fused) (*resolution, []*fused) {
	n := 0
	inputs := make([]*value, len(s.graph.in))
	for i, id := range s.graph.in {
		v := r.values[id]
		if v.typ != onnx.Float32 || len(v.shape) != 4 || v.shape[0] < 2 || i > 0 && v.shape[0] != n {
			return nil, nil
		}
		n = v.shape[0]
		inputs[i] = &value{typ: v.typ, shape: append([]int{1}, v.shape[1:]...)}
	}
	if n == 0 || r.frontLen(ops, nil, n) == 0 {
		return nil, nil
	}
	one, err := s.graph.resolve(inputs, false)
	if err != nil {
		return nil, nil
	}
	same := s.graph.fuse(one)
	if !slices.EqualFunc(ops, same, func(a, b *fused) bool {
		return a.kind == b.kind && slices.Equal(a.in, b.in) && slices.Equal(a.out, b.out) && a.residual == b.residual
	}) {
		return nil, nil
	}
	return one, same
}

// frontLen returns how many operations run image by image: those in front that
// treat every image by itself and move more than they weigh. one, if not nil, is
// the resolution for one image.
func (r *resolution) frontLen(ops []*fused, one *resolution, n int) int {
	for k, o := range ops {
		if !r.imagewise(o, one, n) {
			return k
		}
		moved := 0
		for _, id := range append(slices.Concat(o.in, o.out), o.residual) {
			if id >= 0 && r.values[id].data == nil {
				moved += 4 * product(r.values[id].shape)
			}
		}
		if moved < frontBytes || o.kind == convolution && moved/n < frontWeights*4*o.conv.WeightLen() {
			return k
		}
	}
	return len(ops)
}

// imagewise reports whether an operation computes each of n images from the same
// image of its inputs.
func (r *resolution) imagewise(o *fused, one *resolution, n int) bool {
	switch o.kind {
	case convolution, channelAffine, channelGate:
	case general:
		switch op := o.call.op; op {
		case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool":
		case "Concat":
			if axis, err := normalAxis(o.call.int("axis", 1), 4); err != nil || axis == 0 {
				return false
			}
		default:
			if !eachElement[op] {
				return false
			}
		}
	default:
		return false
	}
	for _, id := range append(slices.Concat(o.in, o.out), o.residual) {
		if id < 0 {
			continue
		}
		v := r.values[id]
		if v.data != nil {
			if len(v.shape) == 4 && v.shape[0] != 1 || len(v.shape) > 4 {
				return false
			}
			continue
		}
		if v.typ != onnx.Float32 || len(v.shape) != 4 || v.shape[0] != n {
			return false
		}
		if one != nil && !slices.Equal(one.values[id].shape, append([]int{1}, v.shape[1:]...)) {
			return false
		}
	}
	return true
}

// emitFront appends the instructions of the front part and makes the slots that
// the other operations read. It returns how many operations that were: none if
// the batch is better run as a whole.
func (e *emitter) emitFront(p *plan, ops []*fused) (int, error) {
	one, same := e.s.single(e.r, ops)
	if one == nil {
		return 0, nil
	}
	n := e.r.values[e.g.in[0]].shape[0]
	k := e.r.frontLen(ops, one, n)
	if k < 2 {
		return 0, nil
	}
	f := &emitter{s: e.s, g: e.g, r: one, packs: e.packs, at: map[int]*[layouts]int{}}
	for i, id := range f.g.in {
		v := one.values[id]
		slot := f.newSlot(slot{kind: inputSlot, typ: v.typ, shape: v.shape, index: i})
		f.put(id, plain, slot)
		p.front.views = append(p.front.views, imageView{slot, -1, i})
	}
	if err := f.emitOps(same, 0, k); err != nil {
		return 0, err
	}
	for i := range f.instrs {
		f.instrs[i].flops *= float64(n)
	}
	p.front.images, p.front.steps = n, len(f.instrs)
	read := map[int]bool{}
	for _, o := range ops[k:] {
		for _, id := range append(slices.Clone(o.in), o.residual) {
			read[id] = true
		}
	}
	for _, id := range e.g.out {
		read[id] = true
	}
	e.slots, e.instrs = f.slots, f.instrs
	for _, o := range ops[:k] {
		for _, id := range o.out {
			if id >= 0 && read[id] {
				e.collect(p, f, id, n)
			}
		}
	}
	return k, nil
}

// collect gives a value of the front part room for all images.
func (e *emitter) collect(p *plan, f *emitter, id, n int) {
	l := pixels
	if f.has(id, l) < 0 {
		l = plain
	}
	v := e.r.values[id]
	from := f.has(id, l)
	whole := e.newSlot(slot{typ: v.typ, shape: l.permute(v.shape)})
	e.put(id, l, whole)
	e.slots[whole].front = true
	if e.alone(from) {
		e.slots[from].root = whole
		p.front.views = append(p.front.views, imageView{from, whole, -1})
		return
	}
	part := e.newSlot(slot{typ: v.typ, shape: e.slots[from].shape})
	e.slots[part].root = whole
	p.front.views = append(p.front.views, imageView{part, whole, -1})
	e.instrs = append(e.instrs, instr{title: "collect", how: "copy", in: []int{from}, out: []int{part}, reuse: -1, build: func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error { return copyKernel(in, out) }, nil
	}})
	p.front.steps++
}

// alone reports whether a slot is in the arena and shares its memory with none.
func (e *emitter) alone(at int) bool {
	for i := range e.slots {
		if i != at && e.slots[i].root == at {
			return false
		}
	}
	return e.slots[at].kind == arenaSlot && e.slots[at].root == at
}

// image points the views of the front part at image i.
func (st *state) image(p *plan, src []*Tensor, i int) {
	for k, v := range p.front.views {
		t := st.tensors[v.slot]
		whole := st.whole[k]
		if v.whole < 0 {
			whole = src[v.input].mem
		}
		size := len(whole) / p.front.images
		t.mem = whole[i*size : (i+1)*size : (i+1)*size]
	}
}
