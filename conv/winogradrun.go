package conv

import "github.com/golanes/lanes/kernels"

// Running the plans of winograd.go and winogradweights.go: which tasks a step
// has and where its arrays lie in the workspace.

// A winogradJob is the state of a running method.
type winogradJob struct {
	w          *winograd
	weights    *winogradWeights
	u, v, m    []float32 // m holds Z when weights are computed
	bias       []float32 // sums of Z's point (1, 1)
	own        []float32 // what each worker has by itself, perWorker floats
	perWorker  int
	firstTile  int
	rows       int
	accumulate bool
	inline     bool
	perTask    int // panels of a task of a staged product
}

// transformTiles is how many tiles one task of a staged step transforms.
const transformTiles = 8

func (j *winogradJob) ownOf(worker int) []float32 {
	return j.own[worker*j.perWorker:][:j.perWorker]
}

// transformTasks returns the number of tasks for the current rows.
func (j *winogradJob) transformTasks() int { return (j.rows + transformTiles - 1) / transformTiles }

// rowsOf returns the rows of the block that transform task t covers.
func (j *winogradJob) rowsOf(t int) (lo, hi int) {
	return t * transformTiles, min(j.rows, (t+1)*transformTiles)
}

// winogradTask runs task t of one of the job kinds below.
func (p *Plan) winogradTask(kind jobKind, worker, t int) {
	wj := &p.job.wino
	w, own := wj.w, wj.ownOf(worker)
	switch kind {
	case jobWinogradFilters:
		w.filterTask(t, wj.u, p.job.c, own)
	case jobWinogradFused:
		v, part := own[:w.vLen()], p.winogradPart(worker, own[w.vLen():])
		first := t * w.block
		rows := min(w.block, w.tiles-first)
		for r := range rows {
			w.input(first+r, r, v, p.job.a, p.zero, part.scratch)
		}
		for j := 0; j < w.panels; j += w.chunk {
			w.products(part, first, 0, rows, j, min(w.panels, j+w.chunk), false, &p.job.operands, v, p.zero)
		}
	case jobWinogradInput:
		lo, hi := wj.rowsOf(t)
		for r := lo; r < hi; r++ {
			w.input(wj.firstTile+r, r, wj.v, p.job.a, p.zero, own)
		}
	case jobWinogradProduct:
		parts := (w.panels + wj.perTask - 1) / wj.perTask
		i, j := t/parts, t%parts*wj.perTask
		w.product(&p.gather[worker].gemm, i, wj.firstTile, 0, wj.rows, j, min(w.panels, j+wj.perTask), 0, w.c,
			p.job.b[i*w.c*w.kPad+j*w.nr*w.c:], wj.v, wj.m[j*w.nr:], p.zero)
	case jobWinogradOutput:
		lo, hi := wj.rowsOf(t)
		w.outputs(wj.firstTile, lo, hi, 0, w.k, &p.job.operands, wj.m, p.zero, own)
	case jobWinogradProducts:
		r0, j := t/w.chunks*w.rows, t%w.chunks*w.chunk
		w.products(p.winogradPart(worker, own), wj.firstTile+r0, r0, min(w.rows, wj.rows-r0), j, min(w.panels, j+w.chunk),
			wj.inline, &p.job.operands, wj.v, p.zero)
	case jobWinogradGrad:
		lo, hi := wj.rowsOf(t)
		wj.weights.transform(wj.firstTile, lo, hi, wj.v, wj.m, &p.job.operands, p.zero, own)
	case jobWinogradOuter:
		p.winogradOuter(worker, t)
	case jobWinogradChunk:
		p.winogradChunk(worker, t)
	case jobWinogradFilterGrad:
		ww := wj.weights
		ww.filterGrad(t%ww.ranges, t/ww.ranges, p.job.dw, wj.u[t*ww.duLen():], own, ww.overwrite)
	case jobWinogradSum:
		ww := wj.weights
		lo, hi := t*winogradSum, min(ww.dwLen(), (t+1)*winogradSum)
		sum := wj.u[lo:hi]
		for c := 1; c < ww.chunks; c++ {
			kernels.Add(sum, sum, wj.u[c*ww.sumsLen()+lo:][:hi-lo])
		}
		put(p.job.dw[lo:hi], sum, ww.overwrite)
	}
}

// winogradOuter runs task t of the products of a weight gradient: a range of
// channels and a panel, or a point.
func (p *Plan) winogradOuter(worker, t int) {
	wj := &p.job.wino
	w, wk, own := wj.weights, &p.outer[worker], wj.ownOf(worker)
	if w.local {
		du, scratch := own[:w.duLen()], own[w.duLen():]
		r, j := t%w.ranges, t/w.ranges
		for i := range w.points {
			wk.ahead = winogradAhead{}
			if i+1 < w.points {
				wk.ahead.v = w.vStride
				wk.ahead.lines[0] = wj.m[j*w.zSlice+(i+1)*w.zStride:][:wj.rows*w.zPitch]
			}
			w.outer(wk, i, r, j, wj.firstTile, wj.rows, false, du, wj.v, wj.m, wj.bias)
		}
		w.filterGrad(r, j, p.job.dw, du, scratch, w.overwrite)
		return
	}
	// The next point of this worker, if they are even.
	wk.ahead = winogradAhead{v: p.workers * w.vStride, sums: true}
	w.point(wk, t, wj.firstTile, wj.rows, wj.accumulate, wj.u, wj.v, wj.m, wj.bias)
}

// winogradChunk takes the blocks of chunk t of a weight gradient to dw of its own.
func (p *Plan) winogradChunk(worker, t int) {
	wj := &p.job.wino
	w, wk, own := wj.weights, &p.outer[worker], wj.ownOf(worker)
	v, own := own[:w.vLen()], own[w.vLen():]
	z, own := own[:w.zLen()], own[w.zLen():]
	du, own := own[:w.tasks()*w.duLen()], own[w.tasks()*w.duLen():]
	var bias []float32
	if wj.bias != nil {
		bias = wj.bias[t*w.sumsLen():][:w.kPad]
	}
	first, end := t*w.blocks/w.chunks, (t+1)*w.blocks/w.chunks
	for b := first; b < end; b++ {
		tile := b * w.block
		rows := min(w.block, w.tiles-tile)
		w.transform(tile, 0, rows, v, z, &p.job.operands, p.zero, own)
		// The next block's pixels, as late as the products have steps for them.
		var next winogradAhead
		if b+1 < end {
			next.lines[0], next.lines[1] = w.pixels(tile+rows, min(w.block, w.tiles-tile-rows), &p.job.operands)
		}
		steps := rows * w.panels * (len(w.strips[0])*(w.ranges-1) + len(w.strips[1]))
		late := max(0, w.points-1-(len(next.lines[0])+len(next.lines[1]))/(lineFloats*steps))
		wk.ahead = winogradAhead{sums: true}
		for i := range w.points {
			if i == late {
				wk.ahead = next
			}
			w.point(wk, i, tile, rows, b > first, du, v, z, bias)
		}
	}
	for q := range w.tasks() {
		w.filterGrad(q%w.ranges, q/w.ranges, wj.u[t*w.sumsLen():], du[q*w.duLen():], own, true)
	}
}

// winogradPart cuts what a worker has by itself.
func (p *Plan) winogradPart(worker int, own []float32) winogradPart {
	w := p.job.wino.w
	part := winogradPart{gemm: &p.gather[worker].gemm, m: own[:w.mLen()]}
	own = own[w.mLen():]
	if p.job.wino.inline {
		part.part, own = own[:w.partLen()], own[w.partLen():]
	}
	part.scratch = own
	return part
}

// packWinograd transforms the filters to u.
func (p *Plan) packWinograd(w *winograd, u, weights, work []float32) {
	p.job = job{operands: operands{c: weights}, wino: winogradJob{w: w, u: u, own: work, perWorker: w.scratchLen()}}
	p.parallel(jobWinogradFilters, w.filterTasks())
}

// runWinograd computes forward or backward-data from transformed filters or, if
// inline, from the filters.
func (p *Plan) runWinograd(w *winograd, inline bool, o operands, work []float32) {
	p.job = job{operands: o, wino: winogradJob{w: w, inline: inline}}
	wj := &p.job.wino
	if w.shared || w.staged {
		wj.v, work = work[:w.vLen()], work[w.vLen():]
	}
	if w.staged {
		wj.m, work = work[:w.mLen()], work[w.mLen():]
		// Enough tasks to keep the workers even.
		wj.perTask = min(w.panels, max(1, w.panels*w.points/(16*p.workers)))
	}
	wj.own, wj.perWorker = work, len(work)/p.workers
	if !w.shared && !w.staged {
		p.parallel(jobWinogradFused, w.blocks)
		return
	}
	for b := range w.blocks {
		wj.firstTile = b * w.block
		wj.rows = min(w.block, w.tiles-wj.firstTile)
		p.parallel(jobWinogradInput, wj.transformTasks())
		if w.staged {
			p.parallel(jobWinogradProduct, w.points*((w.panels+wj.perTask-1)/wj.perTask))
			p.parallel(jobWinogradOutput, wj.transformTasks())
		} else {
			p.parallel(jobWinogradProducts, (wj.rows+w.rows-1)/w.rows*w.chunks)
		}
	}
}

// runWinogradWeights computes backward-weights.
func (p *Plan) runWinogradWeights(w *winogradWeights, dw, db, src, ddst, work []float32) {
	p.job = job{operands: operands{a: src, b: ddst}, dw: dw, wino: winogradJob{w: &w.winograd, weights: w, perWorker: w.perWorker()}}
	wj := &p.job.wino
	if w.chunks > 1 {
		wj.own, work = work[:p.workers*wj.perWorker], work[p.workers*wj.perWorker:]
		wj.u = work[w.kPad:]
		if db != nil {
			wj.bias = work
		}
		p.parallel(jobWinogradChunk, w.chunks)
		p.parallel(jobWinogradSum, (w.dwLen()+winogradSum-1)/winogradSum)
		for c := range w.chunks {
			if db != nil {
				put(db, wj.bias[c*w.sumsLen():][:w.k], w.overwrite && c == 0)
			}
		}
		return
	}
	if db != nil {
		wj.bias = work[:w.kPad]
	}
	work = work[w.kPad:]
	wj.v, work = work[:w.vLen()], work[w.vLen():]
	wj.m, work = work[:w.zLen()], work[w.zLen():]
	wj.own, wj.u = work[:p.workers*wj.perWorker], work[p.workers*wj.perWorker:]
	for b := range w.blocks {
		wj.firstTile = b * w.block
		wj.rows = min(w.block, w.tiles-wj.firstTile)
		wj.accumulate = b > 0
		p.parallel(jobWinogradGrad, wj.transformTasks())
		if w.local {
			p.parallel(jobWinogradOuter, w.tasks())
		} else {
			p.parallel(jobWinogradOuter, w.points)
		}
	}
	if !w.local {
		p.parallel(jobWinogradFilterGrad, w.tasks())
	}
	if db != nil {
		put(db, wj.bias[:w.k], w.overwrite)
	}
}
