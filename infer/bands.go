package infer

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// A pointwise convolution that widens maps, a depthwise one and a pointwise one that
// narrows them make tensors in between that are several times as large as what goes
// in and what comes out. Where those do not fit a core's second-level cache, the
// three run in turns on bands of rows: what lies between stays in the cache. A
// thread takes consecutive bands and keeps the rows that two of them share; rows at
// which two threads meet are computed by both. Every element is the same sum as
// without bands.

const (
	// bandedBytes is the size of a tensor in between from which bands pay.
	bandedBytes = 1 << 20
	// bandBytes is the size of a band of it.
	bandBytes = 384 << 10
	// bandRows is the fewest rows of the result that a thread should have: with fewer,
	// the rows that two threads compute count for too much.
	bandRows = 8
)

// A chain is the convolutions that run in turns. The first or the last may be nil.
type chain struct{ wide, deep, narrow *fused }

func (c *chain) ops() []*fused {
	return slices.DeleteFunc([]*fused{c.wide, c.deep, c.narrow}, func(o *fused) bool { return o == nil })
}

// chainAt returns the chain that begins with ops[i] and ends before ops[hi], if there
// is one and bands pay.
func (e *emitter) chainAt(ops []*fused, i, hi int) (chain, bool) {
	var c chain
	between := 0
	if o := ops[i]; pointwise(o) && o.residual < 0 && i+1 < hi && e.feeds(ops, o, ops[i+1]) {
		c.wide = o
		between = o.conv.DstLen()
		i++
	}
	c.deep = ops[i]
	if c.deep.kind != convolution || c.deep.residual >= 0 {
		return c, false
	}
	d := &c.deep.conv
	if d.N != 1 || d.Groups != d.C || d.K != d.C || d.DilationH != 1 || d.StrideH > d.R || d.OH()/runtime.GOMAXPROCS(0) < bandRows {
		return c, false
	}
	if i+1 < hi && pointwise(ops[i+1]) && e.feeds(ops, c.deep, ops[i+1]) {
		c.narrow = ops[i+1]
		between = max(between, d.DstLen())
	}
	return c, (c.wide != nil || c.narrow != nil) && 4*between > bandedBytes
}

// pointwise reports whether o is a product of every pixel with one matrix.
func pointwise(o *fused) bool {
	s := &o.conv
	return o.kind == convolution && !o.rows && s.R*s.S == 1 && s.Groups == 1 && s.OH() == s.H && s.OW() == s.W && s.StrideH*s.StrideW == 1
}

// feeds reports whether o's result goes into the convolution next and nowhere else.
func (e *emitter) feeds(ops []*fused, o, next *fused) bool {
	if next.kind != convolution || next.in[0] != o.out[0] || slices.Contains(e.g.out, o.out[0]) {
		return false
	}
	readers := 0
	for _, other := range ops {
		for _, id := range append(slices.Clone(other.in), other.residual) {
			if id == o.out[0] {
				readers++
			}
		}
	}
	return readers == 1
}

// A band is rows y0 to y1-1 of the result, for which the depthwise convolution reads
// rows lo to hi-1.
type band struct{ y0, y1, lo, hi int }

// A layer is a convolution of a chain with its weights.
type layer struct {
	shape  conv.Shape
	opt    conv.Options
	packed *packed
	bias   []float32
}

// A banding is a chain of one image. The layers are those of the chain; the first or
// the last may lack.
type banding struct {
	wide, deep, narrow *layer

	bands   []band
	rowIn   int // floats of a row that the depthwise convolution reads
	rowOut  int // and writes
	buffer  int // floats of the rows of a band that it reads, if there is a wide layer
	deepLen int // and writes, if there is a narrow one
	work    int // floats of scratch
	workers []bandWorker
	shares  kernels.Shares
	body    func(lo, hi int)

	dst, src, residual, scratch []float32 // while it runs
}

// A bandWorker is what one thread has.
type bandWorker struct {
	next  int // the band after the last one, -1 if there was none
	turns []bandTurn
	plans map[conv.Shape]*conv.Plan
}

// A bandTurn is the plans for one band: all is for all rows that are read, more for
// those that the band before has not left.
type bandTurn struct{ all, more, deep, narrow *conv.Plan }

// cut makes the bands; false if a window lies in the padding entirely, or if one band
// is all.
func (b *banding) cut(workers int) bool {
	d := &b.deep.shape
	b.rowIn, b.rowOut = d.W*d.C, d.OW()*d.C
	rows := max(1, bandBytes/4/b.rowOut)
	if b.wide != nil {
		rows = max(1, (bandBytes/4/b.rowIn-d.R)/d.StrideH+1)
	}
	if workers > 1 {
		rows = min(rows, max(1, d.OH()/(4*workers)))
	}
	for y0 := 0; y0 < d.OH(); y0 += rows {
		y1 := min(d.OH(), y0+rows)
		t := band{y0, y1, max(0, y0*d.StrideH-d.PadTop), min(d.H, (y1-1)*d.StrideH-d.PadTop+d.R)}
		if t.lo >= t.hi {
			return false
		}
		b.bands = append(b.bands, t)
		if b.wide != nil {
			b.buffer = max(b.buffer, (t.hi-t.lo)*b.rowIn)
		}
		if b.narrow != nil {
			b.deepLen = max(b.deepLen, (y1-y0)*b.rowOut)
		}
	}
	return len(b.bands) > 1
}

// newBanding plans the bands; nil if they do not pay.
func newBanding(wide, deep, narrow *layer) (*banding, error) {
	b := &banding{wide: wide, deep: deep, narrow: narrow}
	workers := runtime.GOMAXPROCS(0)
	if !b.cut(workers) {
		return nil, nil
	}
	b.workers = make([]bandWorker, min(workers, len(b.bands)))
	b.shares = kernels.NewShares(len(b.workers))
	b.body = b.run
	for i := range b.workers {
		b.workers[i].plans = map[conv.Shape]*conv.Plan{}
		for t := range b.bands {
			if err := b.planTurn(&b.workers[i], t); err != nil {
				return nil, err
			}
		}
		b.workers[i].plans = nil
	}
	return b, nil
}

// planTurn appends the plans for band t to those of a worker.
func (b *banding) planTurn(w *bandWorker, t int) error {
	x := b.bands[t]
	var turn bandTurn
	var err error
	plan := func(l *layer, h, padTop, padBottom int) *conv.Plan {
		if l == nil || h == 0 || err != nil {
			return nil
		}
		s := l.shape
		s.H, s.PadTop, s.PadBottom = h, padTop, padBottom
		if w.plans[s] == nil {
			var p *conv.Plan
			if p, err = conv.NewPlan(s, l.opt); err != nil {
				return nil
			}
			w.plans[s] = p
			b.work = max(b.work, p.WorkspaceForwardPacked())
		}
		return w.plans[s]
	}
	d := &b.deep.shape
	turn.all = plan(b.wide, x.hi-x.lo, 0, 0)
	if t > 0 {
		turn.more = plan(b.wide, x.hi-max(x.lo, b.bands[t-1].hi), 0, 0)
	}
	turn.deep = plan(b.deep, x.hi-x.lo, x.lo-(x.y0*d.StrideH-d.PadTop), (x.y1-1)*d.StrideH-d.PadTop+d.R-x.hi)
	turn.narrow = plan(b.narrow, x.y1-x.y0, 0, 0)
	w.turns = append(w.turns, turn)
	return err
}

// scratchLen is the floats of scratch of one worker.
func (b *banding) scratchLen() int { return b.buffer + b.deepLen + b.work }

// forward computes dst from src and, if the chain adds one, residual, all of one image.
func (b *banding) forward(dst, src, residual, work []float32) {
	b.dst, b.src, b.residual, b.scratch = dst, src, residual, work
	b.shares.Deal(len(b.bands), len(b.workers))
	kernels.Parallel(len(b.workers), 1, b.body)
	b.dst, b.src, b.residual, b.scratch = nil, nil, nil, nil
}

// run is the body of workers lo to hi-1.
func (b *banding) run(lo, hi int) {
	for i := lo; i < hi; i++ {
		w := &b.workers[i]
		w.next = -1
		for t := b.shares.Take(i); t >= 0; t = b.shares.Take(i) {
			b.turn(w, t, b.scratch[i*b.scratchLen():][:b.scratchLen()])
			w.next = t + 1
		}
	}
}

// turn computes band t.
func (b *banding) turn(w *bandWorker, t int, work []float32) {
	x, plans := &b.bands[t], &w.turns[t]
	in := b.src
	if b.wide == nil {
		in = in[x.lo*b.rowIn:]
	} else {
		in = work[:b.buffer]
		kept, wide := 0, plans.all
		if w.next == t {
			before := &b.bands[t-1]
			kept, wide = max(0, before.hi-x.lo), plans.more
			copy(in[:kept*b.rowIn], in[(x.lo-before.lo)*b.rowIn:])
		}
		if wide != nil {
			s := &b.wide.shape
			wide.ForwardPacked(in[kept*b.rowIn:], b.src[(x.lo+kept)*s.W*s.C:], b.wide.packed.floats, b.wide.bias, nil, work[b.buffer+b.deepLen:])
		}
	}
	if b.narrow == nil {
		plans.deep.ForwardPacked(b.dst[x.y0*b.rowOut:], in, b.deep.packed.floats, b.deep.bias, nil, work[b.buffer:])
		return
	}
	rows := work[b.buffer:][:b.deepLen]
	plans.deep.ForwardPacked(rows, in, b.deep.packed.floats, b.deep.bias, nil, work[b.buffer+b.deepLen:])
	s := &b.narrow.shape
	first := x.y0 * s.W * s.K
	var residual []float32
	if b.residual != nil {
		residual = b.residual[first:]
	}
	plans.narrow.ForwardPacked(b.dst[first:], rows, b.narrow.packed.floats, b.narrow.bias, residual, work[b.buffer+b.deepLen:])
}

// emitBands appends the chain that begins with ops[i], if bands pay, as one
// instruction, and returns how many operations that were.
func (e *emitter) emitBands(ops []*fused, i, hi int) (int, error) {
	c, ok := e.chainAt(ops, i, hi)
	if !ok {
		return 0, nil
	}
	layerOf := func(o *fused) *layer {
		if o == nil {
			return nil
		}
		opt := e.convOptions(o)
		opt.Serial = true
		return &layer{shape: o.conv, opt: opt, bias: o.shift}
	}
	wide, deep, narrow := layerOf(c.wide), layerOf(c.deep), layerOf(c.narrow)
	first, err := newBanding(wide, deep, narrow)
	if first == nil || err != nil {
		return 0, err
	}
	turn := &first.workers[0].turns[0]
	all := c.ops()
	joined := &fused{}
	x := instr{reuse: -1, work: len(first.workers) * first.scratchLen(), in: []int{e.need(all[0].in[0], pixels)}}
	for k, o := range all {
		joined.nodes = append(joined.nodes, o.nodes...)
		x.flops += o.conv.FLOPs()
		if k > 0 {
			x.how += ", "
		}
		switch o {
		case c.wide:
			wide.packed = e.packed(turn.all, o)
			x.how += "indirect"
		case c.deep:
			deep.packed = e.packed(turn.deep, o)
			x.how += "depthwise"
		default:
			narrow.packed = e.packed(turn.narrow, o)
			x.how += "indirect"
		}
		if o.act != kernels.Identity {
			x.how += "+" + o.act.String()
		}
	}
	if c.narrow != nil && c.narrow.residual >= 0 {
		x.in = append(x.in, e.need(c.narrow.residual, pixels))
		x.how += "+residual"
	}
	x.title, x.how = joined.title(), x.how+fmt.Sprintf(" in %d bands", len(first.bands))
	x.out = []int{e.result(all[len(all)-1].out[0], pixels)}
	x.build = func() (runner, error) {
		b := first
		first = nil
		if b == nil {
			var err error
			if b, err = newBanding(wide, deep, narrow); err != nil {
				return nil, err
			}
		}
		return func(in, out []*Tensor, work []float32) error {
			var residual []float32
			if len(in) > 1 {
				residual = view[float32](in[1])
			}
			b.forward(view[float32](out[0]), view[float32](in[0]), residual, work)
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, x)
	return len(all), nil
}

// emitOps appends the instructions of ops[lo:hi].
func (e *emitter) emitOps(ops []*fused, lo, hi int) error {
	e.findParts(ops, lo, hi)
	for i := lo; i < hi; {
		n, err := e.emitBands(ops, i, hi)
		if err == nil && n == 0 {
			n, err = 1, e.emit(ops[i])
		}
		if err != nil {
			return ops[i].nodes[0].fail(e.g.opset, err)
		}
		i += n
	}
	return nil
}
