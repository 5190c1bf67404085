package infer

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// Weights make up most of a session's memory. They share the memory of the model
// they come from until a plan packs them. A session that may take a model's
// weights packs them in place where it can, so that they are in memory once; what
// needs them in the model's order after that gets a copy.

// A filter is the weights of a convolution: a constant, turned or not, and factors
// that are folded into it.
type filter struct {
	tensor *Tensor
	alone  bool      // nothing else reads the tensor
	model  bool      // the tensor is the model's, not computed for this plan
	turned bool      // the tensor is C x K, not K x C
	scale  []float32 // by out-channel, nil for ones
}

// fold multiplies the filters by one number each, the weights when they are packed.
func (w *filter) fold(scale []float32) {
	if w.scale == nil {
		w.scale = scale
		return
	}
	own := make([]float32, len(scale))
	for k, v := range scale {
		own[k] = w.scale[k] * v
	}
	w.scale = own
}

// A repacked is a constant whose memory a session has taken: its elements are
// turned, multiplied by scale, and packed by plan if that is not nil.
type repacked struct {
	plan   *conv.Plan
	turned bool
	scale  []float32
	mem    []float32
}

// filters writes the elements, turned and multiplied, in the order KCRS.
func (r *repacked) filters(dst []float32) {
	if r.plan != nil {
		r.plan.Unpack(dst, r.mem)
	} else {
		copy(dst, r.mem)
	}
}

// invertible reports whether a division undoes a multiplication by the factors,
// up to a rounding.
func invertible(scale []float32) bool {
	return !slices.ContainsFunc(scale, func(v float32) bool {
		a := math.Abs(float64(v))
		return !(a > 1e-12 && a < 1e12)
	})
}

// restored returns a constant as the model has it: t itself, or a copy if its
// memory was taken. Factors are divided out of that, which may change last bits.
func restored(t *Tensor) *Tensor {
	r := t.repacked
	if r == nil {
		return t
	}
	n := product(t.Shape)
	whole := &Tensor{Type: t.Type, Shape: t.Shape, mem: kernels.AlignedBytes(4 * n)}
	w := view[float32](whole)
	r.filters(w)
	for k, v := range r.scale {
		row := w[k*(n/len(r.scale)):][:n/len(r.scale)]
		for i := range row {
			row[i] /= v
		}
	}
	if r.turned {
		kernels.NCHWToNHWC(w, slices.Clone(w), 1, t.Shape[1], 1, t.Shape[0])
	}
	return whole
}

// scaleFilters multiplies the filters of w by one number each.
func scaleFilters(w, scale []float32) {
	if len(scale) == 0 {
		return
	}
	each := len(w) / len(scale)
	for k, v := range scale {
		kernels.Scale(v, w[k*each:(k+1)*each])
	}
}

// A packKey identifies packed weights by the nodes that they come from and the
// form that a plan reads.
type packKey struct {
	nodes     string
	algorithm conv.Algorithm
	floats    int
}

// A packed is weights in the form that some plan reads, nil until they are packed.
type packed struct{ floats []float32 }

// A packing is what to pack for a plan of a session, once for all of them: the form
// does not depend on the batch.
type packing struct {
	key    packKey
	to     *packed
	plan   *conv.Plan
	filter *filter
}

// packed returns where the weights of o will be as plan wants them.
func (e *emitter) packed(plan *conv.Plan, o *fused) *packed {
	var nodes strings.Builder
	for _, n := range o.nodes {
		fmt.Fprintf(&nodes, "%d ", n.index)
	}
	algorithm, _, _ := plan.Algorithms()
	key := packKey{nodes.String(), algorithm, plan.PackedLen()}
	to, ok := e.s.packs[key]
	if !ok {
		to = &packed{}
	}
	*e.packs = append(*e.packs, packing{key, to, plan, &o.filter})
	return to
}

// packAll drops the packed weights that no plan reads, and packs what p reads: in that
// order, so that the memory of the ones is there for the others, as is that of
// weights that were computed and are packed now.
func (s *Session) packAll(p *plan) {
	used := map[packKey]bool{}
	for _, p := range s.plans {
		for i := range p.packs {
			used[p.packs[i].key] = true
		}
	}
	dropped := 0
	for key := range s.packs {
		if !used[key] {
			dropped += 4 * key.floats
			delete(s.packs, key)
		}
	}
	for i := range p.packs {
		if dropped >= collectedBytes {
			runtime.GC()
			dropped = 0
		}
		x := &p.packs[i]
		if x.to.floats == nil {
			from := x.filter.tensor.mem
			x.to.floats = s.pack(x.plan, x.filter)
			if !x.filter.model && unsafe.Pointer(unsafe.SliceData(from)) != unsafe.Pointer(unsafe.SliceData(x.to.floats)) {
				dropped += len(from)
			}
		}
		s.packs[x.key] = x.to
		x.plan, x.filter = nil, nil
	}
	s.scratch = nil
}

// collectedBytes is the size of dropped weights from which a collection is worth its
// time, which is less than that of packing as many.
const collectedBytes = 16 << 20

// pack brings weights into the form that plan reads.
func (s *Session) pack(plan *conv.Plan, f *filter) []float32 {
	t := f.tensor
	algorithm, _, _ := plan.Algorithms()
	if f.alone && (s.takes || !f.model) && t.repacked == nil && invertible(f.scale) && (algorithm == conv.Indirect || !f.turned) {
		s.take(plan, f)
	}
	if r := t.repacked; r != nil && r.plan != nil && algorithm == conv.Indirect && f.is(r) {
		return r.mem
	}
	packed := newFloats(plan.PackedLen())
	plan.Pack(packed, s.filters(f), make([]float32, plan.WorkspacePack()))
	return packed
}

func newFloats(n int) []float32 { return view[float32](&Tensor{mem: kernels.AlignedBytes(4 * n)}) }

// is reports whether what was made of the constant is the filter.
func (f *filter) is(r *repacked) bool { return f.turned == r.turned && slices.Equal(f.scale, r.scale) }

// take makes the memory of a constant the session's own, with its factors folded,
// and packed if that is an order of the same elements.
func (s *Session) take(plan *conv.Plan, f *filter) {
	t := f.tensor
	w := view[float32](t)
	r := &repacked{turned: f.turned, scale: f.scale, mem: w}
	algorithm, _, _ := plan.Algorithms()
	if f.turned {
		w = s.filters(f)
	} else {
		scaleFilters(w, f.scale)
	}
	switch {
	case algorithm != conv.Indirect:
	case !f.turned && plan.PacksInPlace():
		plan.PackInPlace(r.mem, s.room(plan.WorkspacePackInPlace()))
		r.plan = plan
	default:
		if !f.turned || plan.PackedLen() > len(r.mem) {
			r.mem = newFloats(plan.PackedLen())
		}
		plan.Pack(r.mem, w, make([]float32, plan.WorkspacePack()))
		r.plan = plan
	}
	t.repacked, t.mem = r, nil
}

// room returns scratch that lasts until the next call.
func (s *Session) room(n int) []float32 {
	if cap(s.scratch) < n {
		s.scratch = make([]float32, n)
	}
	return s.scratch[:n]
}

// filters returns weights in the order KCRS with their factors folded. They may be
// the constant itself, and last until the next call of room.
func (s *Session) filters(f *filter) []float32 {
	t := f.tensor
	if r := t.repacked; r != nil && f.is(r) {
		if r.plan == nil {
			return r.mem
		}
		w := s.room(product(t.Shape))
		r.filters(w)
		return w
	}
	from := view[float32](restored(t))
	if !f.turned && f.scale == nil {
		return from
	}
	w := s.room(len(from))
	if f.turned {
		kernels.NCHWToNHWC(w, from, 1, t.Shape[0], 1, t.Shape[1])
	} else {
		copy(w, from)
	}
	scaleFilters(w, f.scale)
	return w
}

// shared returns a tensor of the file format as one that shares its memory, where
// this machine can read it as it is, or a copy.
func shared(x *onnx.Tensor) (*Tensor, error) {
	size := x.Type.Size()
	n, err := elements(x.Shape, size)
	if err != nil || size == 0 || size > 8 || x.Type == onnx.Bool || n == 0 || len(x.Raw) != n*size ||
		uintptr(unsafe.Pointer(unsafe.SliceData(x.Raw)))%uintptr(size) != 0 || size > 1 && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return FromONNX(x)
	}
	return &Tensor{Type: x.Type, Shape: append([]int{}, x.Shape...), mem: x.Raw[: n*size : n*size]}, nil
}
