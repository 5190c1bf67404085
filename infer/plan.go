package infer

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// maxPlanned is the most operations that are planned; larger graphs are
// evaluated node by node.
const maxPlanned = 20000

// maxArena bounds the memory of one run's intermediate results, which a file of
// some hundred bytes can ask for.
const maxArena = 1 << 33

// A plan is a model for inputs of fixed shapes: instructions over slots whose
// places in one arena are chosen from their lifetimes.
type plan struct {
	shapes [][]int // of the inputs
	types  []onnx.DataType
	// dynamic says that there is no plan: shapes depend on elements, a tensor is
	// empty, or the graph is too large.
	dynamic bool

	slots  []slot
	instrs []instr
	front  front
	packs  []packing // weights that it reads
	arena  int       // bytes
	work   int       // floats of scratch
	naive  int       // bytes without sharing, for comparison

	mu   sync.Mutex
	free []*state
}

// A state is what one run needs for itself.
type state struct {
	tensors []*Tensor // by slot
	steps   []boundInstr
	work    []float32
	caller  []int    // slots in the caller's memory
	whole   [][]byte // what the views of the front part are images of
}

type boundInstr struct {
	run     runner
	in, out []*Tensor
}

// compile makes the plan for inputs of the given types and shapes.
func (s *Session) compile(inputs []*value) (*plan, error) {
	p := &plan{}
	for _, v := range inputs {
		p.shapes, p.types = append(p.shapes, slices.Clone(v.shape)), append(p.types, v.typ)
	}
	r, err := s.graph.resolve(inputs, false)
	if err != nil {
		return p, err
	}
	if len(r.steps) > maxPlanned || r.empty() {
		p.dynamic = true
		return p, nil
	}
	e := &emitter{s: s, g: s.graph, r: r, packs: &p.packs, at: map[int]*[layouts]int{}}
	ops := s.graph.fuse(r)
	done, err := e.emitFront(p, ops)
	if err != nil {
		return p, err
	}
	for i, id := range s.graph.in {
		v := r.values[id]
		e.put(id, plain, e.newSlot(slot{kind: inputSlot, typ: v.typ, shape: v.shape, index: i}))
	}
	if err := e.emitOps(ops, done, len(ops)); err != nil {
		return p, err
	}
	for i, id := range s.graph.out {
		e.emitOutput(i, id)
	}
	p.slots, p.instrs = e.slots, e.instrs
	for i := range p.instrs {
		p.work = max(p.work, p.instrs[i].work)
	}
	if p.place(); max(int64(p.arena), 4*int64(p.work)) > maxArena {
		return p, fmt.Errorf("inputs of shapes %v need %d MiB for intermediate results, more than %d", p.shapes, max(int64(p.arena), 4*int64(p.work))>>20, int64(maxArena)>>20)
	}
	return p, nil
}

// empty reports whether a tensor without elements is left to compute with.
func (r *resolution) empty() bool {
	for _, s := range r.steps {
		for _, list := range [][]*value{s.call.in, s.call.out} {
			for _, v := range list {
				if v != nil && v.data == nil && product(v.shape) == 0 {
					return true
				}
			}
		}
	}
	return false
}

// emitOutput brings a value into the caller's tensor.
func (e *emitter) emitOutput(i, id int) {
	v := e.r.values[id]
	to := e.newSlot(slot{kind: outputSlot, typ: v.typ, shape: v.shape, index: i})
	if e.has(id, plain) < 0 && e.has(id, pixels) >= 0 && !oneOrder(v.shape) {
		e.instrs = append(e.instrs, convert("output", e.has(id, pixels), to, v.shape, plain))
		return
	}
	e.instrs = append(e.instrs, instr{title: "output", how: "copy", in: []int{e.need(id, plain)}, out: []int{to}, reuse: -1, build: func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error { return copyKernel(in, out) }, nil
	}})
}

// place finds the lifetimes of all memory in the arena, lets results take over
// their inputs' memory where an instruction allows it, and puts the rest where
// it overlaps nothing that lives at the same time: the largest first, each at
// the lowest free offset.
func (p *plan) place() {
	for k, in := range p.instrs {
		for _, list := range [][]int{in.in, in.out} {
			for _, at := range list {
				if at < 0 {
					continue
				}
				root := &p.slots[p.slots[at].root]
				if root.first < 0 {
					root.first = k
				}
				root.last = k
			}
		}
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.front {
			s.first = 0
		}
	}
	owner := p.takeOver()
	var items []int
	for i := range p.slots {
		s := &p.slots[i]
		if s.kind == arenaSlot && s.root == i {
			s.bytes = (product(s.shape)*s.typ.Size() + 63) &^ 63
			p.naive += s.bytes
			if owner[i] == i && s.first >= 0 {
				items = append(items, i)
			}
		}
	}
	slices.SortStableFunc(items, func(a, b int) int { return cmp.Compare(p.slots[b].bytes, p.slots[a].bytes) })
	var placed []int // by offset
	for _, i := range items {
		s := &p.slots[i]
		at := 0
		for _, j := range placed {
			o := &p.slots[j]
			if o.last < s.first || s.last < o.first {
				continue
			}
			if at+s.bytes <= o.offset {
				break
			}
			at = max(at, o.offset+o.bytes)
		}
		s.offset = at
		p.arena = max(p.arena, at+s.bytes)
		where, _ := slices.BinarySearchFunc(placed, at, func(j, at int) int { return cmp.Compare(p.slots[j].offset, at) })
		placed = slices.Insert(placed, where, i)
	}
	for i := range p.slots {
		if s := &p.slots[i]; s.kind == arenaSlot {
			s.offset = p.slots[owner[s.root]].offset + s.skip
		}
	}
}

// takeOver returns for every root the one whose memory it has.
func (p *plan) takeOver() []int {
	owner := make([]int, len(p.slots))
	for i := range owner {
		owner[i] = i
	}
	for k, in := range p.instrs {
		if in.reuse < 0 || in.in[in.reuse] < 0 {
			continue
		}
		from, to := p.slots[in.in[in.reuse]].root, p.slots[in.out[0]].root
		old := &p.slots[owner[from]]
		result := &p.slots[to]
		if p.slots[from].kind != arenaSlot || result.kind != arenaSlot || old.last != k || result.first != k ||
			product(p.slots[from].shape)*p.slots[from].typ.Size() != product(result.shape)*result.typ.Size() {
			continue
		}
		alone := true
		for i, at := range in.in {
			alone = alone && (i == in.reuse || at < 0 || owner[p.slots[at].root] != owner[from])
		}
		if alone {
			owner[to], old.last = owner[from], result.last
		}
	}
	return owner
}

// newState allocates the arena and builds the runners.
func (p *plan) newState() (*state, error) {
	st := &state{work: make([]float32, p.work)}
	arena := kernels.AlignedBytes(p.arena)
	for i := range p.slots {
		s := &p.slots[i]
		t := &Tensor{Type: s.typ, Shape: s.shape}
		switch s.kind {
		case arenaSlot:
			if p.slots[s.root].first >= 0 {
				n := s.span
				if n == 0 {
					n = product(s.shape) * s.typ.Size()
				}
				t.mem = arena[s.offset : s.offset+n : s.offset+n]
			}
		case constSlot:
			t.mem = s.data.mem
		default:
			st.caller = append(st.caller, i)
		}
		st.tensors = append(st.tensors, t)
	}
	for _, v := range p.front.views {
		var whole []byte
		if v.whole >= 0 {
			whole = st.tensors[v.whole].mem
		}
		st.whole = append(st.whole, whole)
	}
	pick := func(list []int) []*Tensor {
		out := make([]*Tensor, len(list))
		for i, at := range list {
			if at >= 0 {
				out[i] = st.tensors[at]
			}
		}
		return out
	}
	for i := range p.instrs {
		run, err := p.instrs[i].build()
		if err != nil {
			return nil, err
		}
		st.steps = append(st.steps, boundInstr{run, pick(p.instrs[i].in), pick(p.instrs[i].out)})
	}
	return st, nil
}

// take returns a state that nobody uses.
func (p *plan) take() (*state, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		st := p.free[n-1]
		p.free = p.free[:n-1]
		return st, nil
	}
	return p.newState()
}

func (p *plan) give(st *state) {
	for _, i := range st.caller {
		st.tensors[i].mem = nil
	}
	p.mu.Lock()
	p.free = append(p.free, st)
	p.mu.Unlock()
}

// bind points the slots of the caller at the caller's memory.
func (p *plan) bind(st *state, dst, src []*Tensor) {
	for _, i := range st.caller {
		s := &p.slots[i]
		if s.kind == inputSlot {
			st.tensors[i].mem = src[s.index].mem
			continue
		}
		dst[s.index] = dst[s.index].reuse(s.typ, s.shape)
		st.tensors[i].mem = dst[s.index].mem
	}
}
