package conv

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

// A job is one parallel step of a running method. The plan holds it, so that
// starting workers allocates nothing.
type job struct {
	kind jobKind
	d    *direction
	operands
	dw, db, partial, scratch []float32
	wino                     winogradJob
}

type jobKind uint8

const (
	jobPack jobKind = iota
	jobPackInPlace
	jobSpread
	jobProduct
	jobProductInline
	jobActivate
	jobOuter
	jobPoint
	jobReduce
	jobDepthwise
	jobDepthwiseData
	jobDepthwiseWeights
	jobWinogradFilters
	jobWinogradFused
	jobWinogradInput
	jobWinogradProduct
	jobWinogradOutput
	jobWinogradProducts
	jobWinogradGrad
	jobWinogradOuter
	jobWinogradChunk
	jobWinogradFilterGrad
	jobWinogradSum
)

// parallel runs a job's tasks on the plan's workers, each task once.
func (p *Plan) parallel(kind jobKind, tasks int) {
	p.job.kind = kind
	workers := min(p.workers, tasks)
	p.shares.Deal(tasks, workers)
	kernels.Parallel(workers, 1, p.body)
}

// work is the body of workers lo to hi-1.
func (p *Plan) work(lo, hi int) {
	for worker := lo; worker < hi; worker++ {
		for t := p.shares.Take(worker); t >= 0; t = p.shares.Take(worker) {
			p.task(worker, t)
		}
	}
	switch p.job.kind {
	case jobProduct, jobProductInline:
		p.job.d.product.store.Fence()
	case jobDepthwise:
		p.forward.depthwise.store.Fence()
	case jobDepthwiseData:
		p.data.depthwise.store.Fence()
	}
}

func (p *Plan) task(worker, t int) {
	j := &p.job
	switch j.kind {
	case jobPack:
		j.d.product.pack(j.b, j.c, &p.shape, j.d == &p.data, t)
	case jobPackInPlace:
		n := j.d.product.panelLen()
		j.d.product.packInPlace(j.c, &p.shape, t, j.scratch[worker*n:][:n])
	case jobSpread:
		pr := j.d.product
		for i := t * spreadChunk; i < min(pr.pieces, (t+1)*spreadChunk); i++ {
			if j.planes {
				pr.copyPlanes(j.c, j.a, &p.shape, i)
			} else {
				pr.copyApart(j.c, j.a, &p.shape, i)
			}
		}
	case jobProduct:
		j.d.product.run(t, &p.gather[worker], p.zero, &j.operands)
	case jobProductInline:
		d := j.d.product
		n := d.panelLen()
		d.runInline(t, &p.gather[worker], p.zero, &j.operands, &p.shape, j.d == &p.data, j.scratch[worker*n:][:n])
	case jobOuter:
		o := p.weights.outer
		size, partial := o.scratchLen(), j.partial
		if o.fused {
			partial = partial[worker*o.partial:][:o.partial]
		}
		o.run(&p.shape, t, &p.outer[worker], j.dw, j.db, partial, j.scratch[worker*size:][:size], j.a, j.b)
	case jobPoint:
		p.weights.point.run(&p.shape, t, &p.outer[worker], j.dw, j.db, j.a, j.b)
	case jobReduce:
		o := p.weights.outer
		o.reduce(&p.shape, t, j.dw, j.db, j.partial, j.scratch[worker*o.scratchLen():][:reduceLen])
	case jobActivate:
		lo := t * activateChunk
		row := j.c[lo:min(len(j.c), lo+activateChunk)]
		kernels.Activate(p.opt.Activation, row, row)
	case jobDepthwise:
		d := p.forward.depthwise
		d.forward(t, &j.operands, p.zero, j.scratch[worker*d.rowLen:][:d.rowLen])
	case jobDepthwiseData:
		d := p.data.depthwise
		d.data(t, &j.operands, p.zero, j.scratch[worker*d.rowLen:][:d.rowLen])
	case jobDepthwiseWeights:
		p.weights.depthwise.weights(t, j.db != nil, j.partial, j.a, j.b, p.zero)
	default:
		p.winogradTask(j.kind, worker, t)
	}
}

// spreadChunk is the pieces of one task that copies them.
const spreadChunk = 64

// activateChunk is the floats of one task of an activation that is not fused.
const activateChunk = 16 << 10

// The bounds of no clamp.
var noLo, noHi = float32(math.Inf(-1)), float32(math.Inf(1))

// clamp returns the bounds that an activation clamps to, or ok = false if it
// is not a clamp.
func clamp(act kernels.Activation) (lo, hi float32, ok bool) {
	switch act {
	case kernels.Identity:
		return noLo, noHi, true
	case kernels.ReLU:
		return 0, noHi, true
	case kernels.ReLU6:
		return 0, 6, true
	}
	return noLo, noHi, false
}

// packedLen returns the floats of a direction's packed weights, and workLen what
// it needs beside them.
func (d *direction) packedLen() int {
	switch {
	case d.product != nil:
		return d.product.packed
	case d.winograd != nil:
		return d.winograd.uLen()
	case d.depthwise != nil:
		return d.depthwise.packedLen()
	}
	return 0
}

// inline says that a run which packs the weights itself does so a part at a time.
func (d *direction) inline() bool {
	return d.winograd != nil && d.winograd.inline || d.product != nil && d.product.inline
}

// packingLen is the workspace of a run that packs the weights itself.
func (p *Plan) packingLen(d *direction) int {
	switch {
	case d.inline() && d.product != nil:
		return p.workLen(d) + p.workers*d.product.panelLen()
	case d.inline():
		return d.winograd.workLen(p.workers, true)
	}
	return d.packedLen() + p.workLen(d)
}

func (p *Plan) workLen(d *direction) int {
	switch {
	case d.product != nil:
		return d.product.pieces * d.product.pitch
	case d.winograd != nil:
		return d.winograd.workLen(p.workers, false)
	case d.winogradWeights != nil:
		return d.winogradWeights.workLen(p.workers)
	case d.depthwise != nil:
		return d.depthwise.workLen(p.workers)
	case d.outer != nil:
		return d.outer.partialLen(len(p.outer)) + len(p.outer)*d.outer.scratchLen()
	}
	return 0
}

func need(method, what string, x []float32, n int) []float32 {
	if len(x) < n {
		panic("conv.Plan." + method + ": short " + what)
	}
	return x[:n:n]
}

// optional is need for an argument that may be nil.
func optional(method, what string, x []float32, n int) []float32 {
	if x == nil {
		return nil
	}
	return need(method, what, x, n)
}

// Pack packs weights for [Plan.ForwardPacked]: packed has [Plan.PackedLen]
// floats, work [Plan.WorkspacePack] floats of any content. Inference packs once
// per model, training leaves it to Forward.
func (p *Plan) Pack(packed, w, work []float32) {
	p.packFor("Pack", &p.forward, packed, w, work)
}

// PackData packs weights for [Plan.BackwardDataPacked]: packed has
// [Plan.PackedDataLen] floats, work [Plan.WorkspacePack] floats of any content. It
// is for weights that serve several gradients; else BackwardData packs them as it
// goes.
func (p *Plan) PackData(packed, w, work []float32) {
	p.needGradients("PackData")
	p.packFor("PackData", &p.data, packed, w, work)
}

func (p *Plan) packFor(name string, d *direction, packed, w, work []float32) {
	packed = need(name, "packed", packed, p.packedWeights(d))
	w = need(name, "w", w, p.shape.WeightLen())
	p.pack(d, packed, w, need(name, "work", work, p.WorkspacePack()))
	p.job = job{}
}

// pack brings weights into the form that direction d reads.
func (p *Plan) pack(d *direction, packed, w, work []float32) {
	switch {
	case d.product != nil:
		p.job = job{d: d, operands: operands{b: packed, c: w}}
		p.parallel(jobPack, d.product.packTasks(&p.shape))
	case d.winograd != nil:
		p.packWinograd(d.winograd, packed, w, work)
	case d.depthwise != nil:
		d.depthwise.pack(packed, w)
	default:
		copy(packed, w)
	}
}

// Forward computes dst = act(src * w + bias + residual). bias has K elements,
// residual is shaped as dst and may be dst itself; both may be nil. work has
// [Plan.WorkspaceForward] floats of any content.
func (p *Plan) Forward(dst, src, w, bias, residual, work []float32) {
	const name = "Forward"
	work = need(name, "work", work, p.WorkspaceForward())
	w = need(name, "w", w, p.shape.WeightLen())
	inline := p.forward.inline()
	if n := p.forward.packedLen(); n > 0 && !inline {
		packed := work[:n]
		work = work[n:]
		p.pack(&p.forward, packed, w, work)
		w = packed
	}
	p.runForward(name, inline, false, dst, src, w, bias, residual, work)
}

// ForwardPacked is [Plan.Forward] with weights from [Plan.Pack] and
// [Plan.WorkspaceForwardPacked] floats of work.
func (p *Plan) ForwardPacked(dst, src, packed, bias, residual, work []float32) {
	const name = "ForwardPacked"
	packed = need(name, "packed", packed, p.PackedLen())
	p.runForward(name, false, false, dst, src, packed, bias, residual, need(name, "work", work, p.WorkspaceForwardPacked()))
}

// ReadsPlanes reports whether [Plan.ForwardPlanes] can be used: the algorithm copies
// src before it reads it, as that for few channels does.
func (p *Plan) ReadsPlanes() bool { return p.forward.product != nil && p.forward.product.lineCols > 0 }

// ForwardPlanes is [Plan.ForwardPacked] with src in NCHW, with the same bits. It
// panics unless [Plan.ReadsPlanes].
func (p *Plan) ForwardPlanes(dst, src, packed, bias, residual, work []float32) {
	const name = "ForwardPlanes"
	if !p.ReadsPlanes() {
		panic("conv.Plan.ForwardPlanes: the algorithm reads NHWC")
	}
	packed = need(name, "packed", packed, p.PackedLen())
	p.runForward(name, false, true, dst, src, packed, bias, residual, need(name, "work", work, p.WorkspaceForwardPacked()))
}

// runForward computes Forward from packed weights, unless raw says they are not, and
// from src in NHWC, unless planes says it is not.
func (p *Plan) runForward(name string, raw, planes bool, dst, src, w, bias, residual, work []float32) {
	dst = need(name, "dst", dst, p.dstExtent())
	src = need(name, "src", src, p.shape.SrcLen())
	bias = optional(name, "bias", bias, p.shape.K)
	residual = optional(name, "residual", residual, len(dst))
	if p.shape.N == 0 {
		return
	}
	o := operands{a: src, b: w, c: dst, bias: bias, residual: residual, planes: planes}
	fused := p.runProduct(&p.forward, raw, o, work)
	if !fused {
		p.directForward(dst, src, w, bias, residual)
	} else if p.forward.depthwise == nil || residual == nil {
		_, _, fused = clamp(p.opt.Activation)
	} else {
		fused = false
	}
	if !fused && p.opt.Activation != kernels.Identity {
		p.job = job{operands: operands{c: dst}}
		p.parallel(jobActivate, (len(dst)+activateChunk-1)/activateChunk)
	}
	p.job = job{}
}

// runProduct runs forward or backward-data on packed weights or, if raw, on
// weights as they are; false if the algorithm is Direct.
func (p *Plan) runProduct(d *direction, raw bool, o operands, work []float32) bool {
	switch {
	case d.product != nil:
		if pr := d.product; pr.pieces > 0 {
			p.job = job{d: d, operands: operands{a: o.a, c: work, planes: o.planes}}
			p.parallel(jobSpread, (pr.pieces+spreadChunk-1)/spreadChunk)
			o.a = work[:pr.pieces*pr.pitch]
			work = work[len(o.a):]
		}
		kind := jobProduct
		if raw {
			kind = jobProductInline
		}
		p.job = job{d: d, operands: o, scratch: work}
		p.parallel(kind, d.product.tasks)
	case d.winograd != nil:
		p.runWinograd(d.winograd, raw, o, work)
	case d.depthwise != nil:
		p.job = job{operands: o, scratch: work}
		kind := jobDepthwise
		if d == &p.data {
			kind = jobDepthwiseData
		}
		p.parallel(kind, d.depthwise.tasks*d.depthwise.blocks)
	default:
		return false
	}
	return true
}

// BackwardData computes dsrc, the gradient with respect to src, from ddst, the
// gradient with respect to the convolution's output before residual and
// activation. dsrc is overwritten. work has [Plan.WorkspaceBackwardData] floats
// of any content.
func (p *Plan) BackwardData(dsrc, ddst, w, work []float32) {
	const name = "BackwardData"
	p.needGradients(name)
	dsrc = need(name, "dsrc", dsrc, p.shape.SrcLen())
	ddst = need(name, "ddst", ddst, p.shape.DstLen())
	w = need(name, "w", w, p.shape.WeightLen())
	work = need(name, "work", work, p.WorkspaceBackwardData())
	if p.shape.N == 0 {
		return
	}
	inline := p.data.inline()
	if n := p.data.packedLen(); n > 0 && !inline {
		packed := work[:n]
		work = work[n:]
		p.pack(&p.data, packed, w, work)
		w = packed
	}
	p.runData(inline, dsrc, ddst, w, work)
}

// BackwardDataPacked is [Plan.BackwardData] with weights from [Plan.PackData] and
// [Plan.WorkspaceBackwardDataPacked] floats of work, with the same bits.
func (p *Plan) BackwardDataPacked(dsrc, ddst, packed, work []float32) {
	const name = "BackwardDataPacked"
	p.needGradients(name)
	dsrc = need(name, "dsrc", dsrc, p.shape.SrcLen())
	ddst = need(name, "ddst", ddst, p.shape.DstLen())
	packed = need(name, "packed", packed, p.PackedDataLen())
	work = need(name, "work", work, p.WorkspaceBackwardDataPacked())
	if p.shape.N > 0 {
		p.runData(false, dsrc, ddst, packed, work)
	}
}

// runData computes BackwardData from packed weights, unless raw says they are not.
func (p *Plan) runData(raw bool, dsrc, ddst, w, work []float32) {
	if !p.runProduct(&p.data, raw, operands{a: ddst, b: w, c: dsrc}, work) {
		p.directBackwardData(dsrc, ddst, w)
	}
	p.job = job{}
}

// BackwardWeights adds to dw (as w, KCRS) the gradient with respect to the
// weights, and to db (K, may be nil) that with respect to the bias, given src
// and ddst as in [Plan.BackwardData]; with [Options.Overwrite] they are overwritten.
// work has [Plan.WorkspaceBackwardWeights] floats of any content.
func (p *Plan) BackwardWeights(dw, db, src, ddst, work []float32) {
	const name = "BackwardWeights"
	p.needGradients(name)
	dw = need(name, "dw", dw, p.shape.WeightLen())
	db = optional(name, "db", db, p.shape.K)
	src = need(name, "src", src, p.shape.SrcLen())
	ddst = need(name, "ddst", ddst, p.shape.DstLen())
	work = need(name, "work", work, p.WorkspaceBackwardWeights())
	d := &p.weights
	if p.opt.Overwrite && (p.shape.N == 0 || d.algorithm == Direct) {
		clear(dw)
		clear(db)
	}
	if p.shape.N == 0 {
		return
	}
	switch {
	case d.winogradWeights != nil:
		p.runWinogradWeights(d.winogradWeights, dw, db, src, ddst, work)
	case d.depthwise != nil:
		p.job = job{operands: operands{a: src, b: ddst}, db: db, partial: work}
		p.parallel(jobDepthwiseWeights, d.depthwise.chunks*d.depthwise.blocks)
		d.depthwise.reduce(dw, db, work, p.opt.Overwrite)
	case d.point != nil:
		p.job = job{operands: operands{a: src, b: ddst}, dw: dw, db: db}
		p.parallel(jobPoint, d.point.tasks())
	case d.outer != nil:
		o := d.outer
		partial := work[:o.partialLen(len(p.outer))]
		p.job = job{operands: operands{a: src, b: ddst}, dw: dw, db: db, partial: partial, scratch: work[len(partial):]}
		p.parallel(jobOuter, o.tasks())
		if !o.fused {
			p.parallel(jobReduce, o.reduceTasks(&p.shape))
		}
	default:
		p.directBackwardWeights(dw, db, src, ddst)
	}
	p.job = job{}
}

// put adds x to a gradient, or overwrites it.
func put(to, x []float32, overwrite bool) {
	if overwrite {
		copy(to, x)
	} else {
		kernels.Add(to, to, x)
	}
}
