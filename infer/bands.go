package infer

import (
	"fmt"
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// A pointwise convolution that widens maps, in front of a depthwise one, makes a
// tensor several times as large as what goes in; the pointwise one behind narrows
// them again. Where what lies between does not fit a core's second-level cache, they
// run in turns on bands of rows: the bands between them stay in the cache. Rows that
// two bands share are kept. Every element is the same sum as without bands.

const (
	// bandedBytes is the size of the tensor in between from which bands pay.
	bandedBytes = 3 << 19
	// bandBytes is the size of a band of it.
	bandBytes = 384 << 10
)

// A stage is one of the convolutions.
type stage struct {
	shape conv.Shape
	opt   conv.Options
	// What belongs to the session.
	packed, bias []float32
}

// stages are what a chain has: widening and narrowing may be missing.
type stages struct{ wide, deep, narrow *stage }

// A band is one turn: keep rows, compute more, convolve, narrow. Offsets are in
// floats.
type band struct {
	from, keep         int // rows of the band before that are needed again
	src                int // first row to widen, or to convolve
	wide, deep, narrow *conv.Plan
	dst                int
}

// A banding is the chain for one image.
type banding struct {
	stages stages
	bands  []band
	buffer int // floats of the largest band of widened rows
	result int // floats of the largest band in front of the narrowing
	work   int // floats of scratch behind both
}

// pointwise reports whether an operation is a convolution of single pixels.
func (o *fused) pointwise() bool {
	s := &o.conv
	return o.kind == convolution && s.R*s.S == 1 && s.Groups == 1 && s.OH() == s.H && s.OW() == s.W && s.StrideH*s.StrideW == 1
}

// feeds reports whether a's result goes to b and nowhere else.
func (e *emitter) feeds(ops []*fused, a, b *fused) bool {
	if a.kind != convolution || b.kind != convolution || a.residual >= 0 || b.in[0] != a.out[0] || slices.Contains(e.g.out, a.out[0]) {
		return false
	}
	readers := 0
	for _, o := range ops {
		for _, id := range append(slices.Clone(o.in), o.residual) {
			if id == a.out[0] {
				readers++
			}
		}
	}
	return readers == 1
}

// chain returns the operations from ops[i] on, below hi, that run in bands, and which
// of them is the depthwise one; none if bands do not pay.
func (e *emitter) chain(ops []*fused, i, hi int) (list []*fused, deep int) {
	if ops[i].pointwise() {
		deep = 1
	}
	if i+deep >= hi || ops[i+deep].kind != convolution {
		return nil, 0
	}
	d := ops[i+deep]
	s := d.conv
	if d.residual >= 0 || s.N != 1 || s.Groups != s.C || s.K != s.C || s.Groups == 1 || s.DilationH != 1 || s.StrideH > s.R ||
		deep == 1 && (!e.feeds(ops, ops[i], d) || 4*s.C*s.H*s.W < bandedBytes) {
		return nil, 0
	}
	n := deep + 1
	if next := i + n; next < hi && ops[next].pointwise() && e.feeds(ops, d, ops[next]) {
		n++
	}
	if deep == 0 && (n == 1 || 4*s.K*s.OH()*s.OW() < bandedBytes) {
		return nil, 0
	}
	return ops[i : i+n], deep
}

// newBanding plans the bands, nil if some window lies in the padding entirely.
func newBanding(st stages) (*banding, error) {
	b := &banding{stages: st}
	d := st.deep.shape
	row := d.W * d.C
	rows := max(1, (bandBytes/4/row-d.R)/d.StrideH+1)
	have, end := 0, 0 // the rows in the buffer
	type key struct {
		st    *stage
		shape conv.Shape
	}
	plans := map[key]*conv.Plan{}
	plan := func(st *stage, s conv.Shape) (*conv.Plan, error) {
		k := key{st, s}
		if plans[k] == nil {
			p, err := conv.NewPlan(s, st.opt)
			if err != nil {
				return nil, err
			}
			plans[k] = p
			b.work = max(b.work, p.WorkspaceForwardPacked())
		}
		return plans[k], nil
	}
	for y0 := 0; y0 < d.OH(); y0 += rows {
		y1 := min(d.OH(), y0+rows)
		first, last := y0*d.StrideH-d.PadTop, (y1-1)*d.StrideH-d.PadTop+d.R
		lo, hi := max(0, first), min(d.H, last)
		if lo >= hi || lo > end && y0 > 0 {
			return nil, nil
		}
		t := band{src: lo * row, dst: y0 * d.OW() * d.K}
		part := d
		part.H, part.PadTop, part.PadBottom = hi-lo, lo-first, last-hi
		var err error
		if t.deep, err = plan(st.deep, part); err != nil {
			return nil, err
		}
		if st.wide != nil {
			s := st.wide.shape
			t.from, t.keep, t.src = (lo-have)*row, max(0, end-lo)*row, max(lo, end)*s.W*s.C
			if s.H = hi - max(lo, end); s.H > 0 {
				if t.wide, err = plan(st.wide, s); err != nil {
					return nil, err
				}
			}
			b.buffer = max(b.buffer, (hi-lo)*row)
		}
		if st.narrow != nil {
			s := st.narrow.shape
			t.dst = y0 * s.W * s.K
			s.H = y1 - y0
			if t.narrow, err = plan(st.narrow, s); err != nil {
				return nil, err
			}
			b.result = max(b.result, s.H*s.W*s.C)
		}
		have, end = lo, hi
		b.bands = append(b.bands, t)
	}
	return b, nil
}

// run computes dst from src, both of one image. residual may be nil.
func (b *banding) run(dst, src, residual, work []float32) {
	buffer, result, scratch := work[:b.buffer], work[b.buffer:][:b.result], work[b.buffer+b.result:]
	wide, deep, narrow := b.stages.wide, b.stages.deep, b.stages.narrow
	for i := range b.bands {
		t := &b.bands[i]
		from := src[t.src:]
		if wide != nil {
			copy(buffer[:t.keep], buffer[t.from:])
			if t.wide != nil {
				t.wide.ForwardPacked(buffer[t.keep:], from, wide.packed, wide.bias, nil, scratch)
			}
			from = buffer
		}
		if narrow == nil {
			t.deep.ForwardPacked(dst[t.dst:], from, deep.packed, deep.bias, nil, scratch)
			continue
		}
		t.deep.ForwardPacked(result, from, deep.packed, deep.bias, nil, scratch)
		var add []float32
		if residual != nil {
			add = residual[t.dst:]
		}
		t.narrow.ForwardPacked(dst[t.dst:], result, narrow.packed, narrow.bias, add, scratch)
	}
}

// emitBands appends a chain from ops[i] on, below hi, as one instruction, if that pays, and
// returns its length.
func (e *emitter) emitBands(ops []*fused, i, hi int) (int, error) {
	chain, deep := e.chain(ops, i, hi)
	if len(chain) == 0 {
		return 0, nil
	}
	last := chain[len(chain)-1]
	st := stages{deep: e.stage(chain[deep])}
	how := fmt.Sprintf("depthwise+%v", chain[deep].act)
	if deep == 1 {
		st.wide = e.stage(chain[0])
		how = fmt.Sprintf("indirect+%v, %s", chain[0].act, how)
	}
	if last != chain[deep] {
		st.narrow = e.stage(last)
		how += ", indirect"
		if last.act != kernels.Identity {
			how += "+" + last.act.String()
		}
	}
	first, err := newBanding(st)
	if first == nil || len(first.bands) < 2 {
		return 0, err
	}
	joined := &fused{}
	x := instr{in: []int{e.need(chain[0].in[0], pixels)}, reuse: -1, work: first.buffer + first.result + first.work}
	for _, o := range chain {
		joined.nodes = append(joined.nodes, o.nodes...)
		x.flops += o.conv.FLOPs()
	}
	if last.residual >= 0 {
		x.in = append(x.in, e.need(last.residual, pixels))
		how += "+residual"
	}
	t := &first.bands[0]
	st.deep.packed = e.packed(t.deep, chain[deep])
	if st.wide != nil {
		st.wide.packed = e.packed(t.wide, chain[0])
	}
	if st.narrow != nil {
		st.narrow.packed = e.packed(t.narrow, last)
	}
	x.title, x.how = joined.title(), fmt.Sprintf("%s in %d bands", how, len(first.bands))
	x.out = []int{e.result(last.out[0], pixels)}
	x.build = func() (runner, error) {
		b := first
		first = nil
		if b == nil {
			var err error
			if b, err = newBanding(st); err != nil {
				return nil, err
			}
		}
		return func(in, out []*Tensor, work []float32) error {
			var residual []float32
			if len(in) > 1 {
				residual = view[float32](in[1])
			}
			b.run(view[float32](out[0]), view[float32](in[0]), residual, work)
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, x)
	return len(chain), nil
}

// stage is the part of a chain that o does.
func (e *emitter) stage(o *fused) *stage {
	return &stage{shape: o.conv, opt: e.convOptions(o), bias: o.shift}
}

// emitOps appends the instructions of ops[lo:hi].
func (e *emitter) emitOps(ops []*fused, lo, hi int) error {
	for i := lo; i < hi; i++ {
		n, err := e.emitBands(ops, i, hi)
		if n == 0 && err == nil {
			err = e.emit(ops[i])
		}
		if err != nil {
			return ops[i].nodes[0].fail(e.g.opset, err)
		}
		i += max(0, n-1)
	}
	return nil
}
