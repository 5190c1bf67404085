package conv

// Running the plans of winograd.go and winogradweights.go: which tasks a step
// has and where its arrays lie in the workspace.

// A winogradJob is the state of a running method.
type winogradJob struct {
	w             *winograd
	weights       *winogradWeights
	u, v, m       []float32 // m holds Z when weights are computed
	bias          []float32 // sums of Z's point (1, 1)
	scratch       []float32
	perWorker     int // floats of scratch
	perBlockV     int // floats of v and m of a worker, if not staged
	perBlockM     int
	firstTile     int
	rows          int
	accumulate    bool
	panelsPerTask int
}

// transformTiles is how many tiles one task of a staged step transforms.
const transformTiles = 8

func (j *winogradJob) scratchOf(worker int) []float32 {
	return j.scratch[worker*j.perWorker:][:j.perWorker]
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
	w, scratch := wj.w, wj.scratchOf(worker)
	switch kind {
	case jobWinogradFilters:
		w.filters(t, wj.u, p.job.c, scratch)
	case jobWinogradFused:
		v := wj.v[worker*wj.perBlockV:][:wj.perBlockV]
		m := wj.m[worker*wj.perBlockM:][:wj.perBlockM]
		w.fused(t, &p.gather[worker].gemm, &p.job.operands, v, m, p.zero, scratch)
	case jobWinogradInput:
		lo, hi := wj.rowsOf(t)
		for r := lo; r < hi; r++ {
			w.input(wj.firstTile+r, r, wj.v, p.job.a, p.zero, scratch)
		}
	case jobWinogradProduct:
		parts := (w.panels + wj.panelsPerTask - 1) / wj.panelsPerTask
		first := t % parts * wj.panelsPerTask
		w.product(&p.gather[worker].gemm, t/parts, first, min(w.panels, first+wj.panelsPerTask), wj.rows, p.job.b, wj.v, wj.m, p.zero)
	case jobWinogradOutput:
		lo, hi := wj.rowsOf(t)
		for r := lo; r < hi; r++ {
			w.output(wj.firstTile+r, r, &p.job.operands, wj.m, p.zero, scratch)
		}
	case jobWinogradGrad:
		lo, hi := wj.rowsOf(t)
		for r := lo; r < hi; r++ {
			wj.weights.input(wj.firstTile+r, r, wj.v, p.job.a, p.zero, scratch)
			wj.weights.grad(wj.firstTile+r, r, wj.m, p.job.b, p.zero, scratch)
		}
	case jobWinogradOuter:
		wk := &p.outer[worker]
		wj.weights.outer(wk, t, wj.rows, wj.accumulate, wj.u, wj.v, wj.m, wj.bias)
	case jobWinogradFilterGrad:
		wj.weights.filterGrad(t, p.job.dw, wj.u, scratch)
	}
}

// packWinograd transforms the filters to u.
func (p *Plan) packWinograd(w *winograd, u, weights, work []float32) {
	p.job = job{operands: operands{c: weights}, wino: winogradJob{w: w, u: u, scratch: work, perWorker: w.scratchLen()}}
	p.parallel(jobWinogradFilters, w.filterTasks())
}

// runWinograd computes forward or backward-data from transformed filters.
func (p *Plan) runWinograd(w *winograd, o operands, work []float32) {
	p.job = job{operands: o, wino: winogradJob{w: w, perWorker: w.scratchLen()}}
	wj := &p.job.wino
	if !w.staged {
		wj.perBlockV, wj.perBlockM = w.vLen(), w.mLen()
		wj.v = work[:p.workers*wj.perBlockV]
		work = work[len(wj.v):]
		wj.m = work[:p.workers*wj.perBlockM]
		wj.scratch = work[len(wj.m):]
		p.parallel(jobWinogradFused, w.blocks)
		return
	}
	wj.v, wj.m, wj.scratch = work[:w.vLen()], work[w.vLen():][:w.mLen()], work[w.vLen()+w.mLen():]
	// Enough tasks to keep the workers even.
	wj.panelsPerTask = max(1, w.panels*w.points/(16*p.workers))
	if wj.panelsPerTask > w.panels {
		wj.panelsPerTask = w.panels
	}
	for b := range w.blocks {
		wj.firstTile = b * w.block
		wj.rows = min(w.block, w.tiles-wj.firstTile)
		p.parallel(jobWinogradInput, wj.transformTasks())
		p.parallel(jobWinogradProduct, w.points*((w.panels+wj.panelsPerTask-1)/wj.panelsPerTask))
		p.parallel(jobWinogradOutput, wj.transformTasks())
	}
}

// runWinogradWeights computes backward-weights.
func (p *Plan) runWinogradWeights(w *winogradWeights, dw, db, src, ddst, work []float32) {
	p.job = job{operands: operands{a: src, b: ddst}, dw: dw, wino: winogradJob{w: &w.winograd, weights: w, perWorker: w.scratchLen()}}
	wj := &p.job.wino
	wj.u, work = work[:w.uLen()], work[w.uLen():]
	wj.bias, work = work[:w.kPad], work[w.kPad:]
	wj.v, work = work[:w.vLen()], work[w.vLen():]
	wj.m, wj.scratch = work[:w.zLen()], work[w.zLen():]
	for b := range w.blocks {
		wj.firstTile = b * w.block
		wj.rows = min(w.block, w.tiles-wj.firstTile)
		wj.accumulate = b > 0
		p.parallel(jobWinogradGrad, wj.transformTasks())
		p.parallel(jobWinogradOuter, w.points)
	}
	p.parallel(jobWinogradFilterGrad, w.gradTasks)
	for k := range db {
		db[k] += wj.bias[k]
	}
}
