package infer

import (
	"fmt"
	"slices"

	"github.com/golanes/lanes/conv"
)

// A pointwise convolution that widens maps, in front of a depthwise one, makes a
// tensor several times as large as what goes in and what comes out. Where that
// does not fit a core's second-level cache, the two run in turns on bands of rows:
// the band between them stays in the cache. Rows that two bands share are kept.
// Every element is the same sum as without bands.

const (
	// bandedBytes is the size of the tensor in between from which bands pay.
	bandedBytes = 2 << 20
	// bandBytes is the size of a band.
	bandBytes = 384 << 10
)

// A band is one turn: keep rows, compute more, convolve. Offsets are in floats.
type band struct {
	from, keep int // rows of the band before that are needed again
	src        int // first row to widen
	wide       *conv.Plan
	deep       *conv.Plan
	dst        int
}

// A banding is the pair of convolutions of one image.
type banding struct {
	bands  []band
	buffer int // floats of the largest band
	work   int // floats of scratch behind it
}

// bandable reports whether ops[i] and its successor are such a pair.
func (e *emitter) bandable(ops []*fused, i int) bool {
	if i+1 >= len(ops) {
		return false
	}
	a, b := ops[i], ops[i+1]
	if a.kind != convolution || b.kind != convolution || a.residual >= 0 || b.residual >= 0 || b.in[0] != a.out[0] || a.conv.N != 1 {
		return false
	}
	s, d := a.conv, b.conv
	if s.R*s.S != 1 || s.Groups != 1 || s.OH() != s.H || s.OW() != s.W || s.StrideH*s.StrideW != 1 ||
		d.Groups != d.C || d.K != d.C || d.DilationH != 1 || d.StrideH > d.R || 4*s.K*s.H*s.W <= bandedBytes {
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
	return readers == 1 && !slices.Contains(e.g.out, a.out[0])
}

// newBanding plans the bands, nil if some window lies in the padding entirely.
func newBanding(s, d conv.Shape, wide, deep conv.Options) (*banding, error) {
	b := &banding{}
	row := d.W * d.C
	rows := max(1, (bandBytes/4/row-d.R)/d.StrideH+1)
	have, end := 0, 0 // the rows in the buffer
	plans := map[conv.Shape]*conv.Plan{}
	plan := func(s conv.Shape, opt conv.Options) (*conv.Plan, error) {
		if plans[s] == nil {
			p, err := conv.NewPlan(s, opt)
			if err != nil {
				return nil, err
			}
			plans[s] = p
			b.work = max(b.work, p.WorkspaceForwardPacked())
		}
		return plans[s], nil
	}
	for y0 := 0; y0 < d.OH(); y0 += rows {
		y1 := min(d.OH(), y0+rows)
		first, last := y0*d.StrideH-d.PadTop, (y1-1)*d.StrideH-d.PadTop+d.R
		lo, hi := max(0, first), min(d.H, last)
		if lo >= hi || lo > end && y0 > 0 {
			return nil, nil
		}
		t := band{from: (lo - have) * row, keep: max(0, end-lo) * row, src: max(lo, end) * s.W * s.C, dst: y0 * d.OW() * d.K}
		part := d
		part.H, part.PadTop, part.PadBottom = hi-lo, lo-first, last-hi
		var err error
		if t.deep, err = plan(part, deep); err != nil {
			return nil, err
		}
		if fresh := hi - max(lo, end); fresh > 0 {
			more := s
			more.H = fresh
			if t.wide, err = plan(more, wide); err != nil {
				return nil, err
			}
		}
		have, end = lo, hi
		b.bands = append(b.bands, t)
		b.buffer = max(b.buffer, (hi-lo)*row)
	}
	return b, nil
}

// run computes dst from src, both of one image.
func (b *banding) run(dst, src, wide, wideBias, deep, deepBias, work []float32) {
	buffer, scratch := work[:b.buffer], work[b.buffer:]
	for i := range b.bands {
		t := &b.bands[i]
		copy(buffer[:t.keep], buffer[t.from:])
		if t.wide != nil {
			t.wide.ForwardPacked(buffer[t.keep:], src[t.src:], wide, wideBias, nil, scratch)
		}
		t.deep.ForwardPacked(dst[t.dst:], buffer, deep, deepBias, nil, scratch)
	}
}

// emitBands appends ops[i] and its successor as one instruction, if that pays.
func (e *emitter) emitBands(ops []*fused, i int) (bool, error) {
	if !e.bandable(ops, i) {
		return false, nil
	}
	a, d := ops[i], ops[i+1]
	wideOpt, deepOpt := e.convOptions(a), e.convOptions(d)
	first, err := newBanding(a.conv, d.conv, wideOpt, deepOpt)
	if first == nil || len(first.bands) < 2 {
		return false, err
	}
	wide, deep := e.packed(first.bands[0].wide, a), e.packed(first.bands[0].deep, d)
	joined := &fused{nodes: slices.Concat(a.nodes, d.nodes)}
	x := instr{
		title: joined.title(), how: fmt.Sprintf("indirect+%v, depthwise+%v in %d bands", a.act, d.act, len(first.bands)),
		in: []int{e.need(a.in[0], pixels)}, reuse: -1, work: first.buffer + first.work, flops: a.conv.FLOPs() + d.conv.FLOPs(),
	}
	x.out = []int{e.result(d.out[0], pixels)}
	s, ds, wideBias, deepBias := a.conv, d.conv, a.shift, d.shift
	x.build = func() (runner, error) {
		b := first
		first = nil
		if b == nil {
			var err error
			if b, err = newBanding(s, ds, wideOpt, deepOpt); err != nil {
				return nil, err
			}
		}
		return func(in, out []*Tensor, work []float32) error {
			b.run(view[float32](out[0]), view[float32](in[0]), wide, wideBias, deep, deepBias, work)
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, x)
	return true, nil
}

// emitOps appends the instructions of ops[lo:hi].
func (e *emitter) emitOps(ops []*fused, lo, hi int) error {
	for i := lo; i < hi; i++ {
		if i+1 < hi {
			done, err := e.emitBands(ops, i)
			if err != nil {
				return ops[i].nodes[0].fail(e.g.opset, err)
			}
			if done {
				i++
				continue
			}
		}
		if err := e.emit(ops[i]); err != nil {
			return ops[i].nodes[0].fail(e.g.opset, err)
		}
	}
	return nil
}
