package conv

import "github.com/golanes/lanes/kernels"

// pack writes panel q of every pass of a group, counted over the groups, in the
// order in which the product reads it. transposed swaps the roles of C and K: the
// columns are in-channels.
func (d *product) pack(dst, w []float32, s *Shape, transposed bool, q int) {
	panels := d.panels(d.passes[0].cols)
	group, q := q/panels, q%panels
	cg, kg, rs := s.groupC(), s.groupK(), s.R*s.S
	colStep, depthStep := cg*rs, rs
	if transposed {
		colStep, depthStep = rs, cg*rs
	}
	w = w[group*kg*cg*rs:][:kg*cg*rs]
	d.packPanels(dst, 0, w[q*d.nr*colStep:], group, s.Groups, q, rs, colStep, depthStep)
}

// packPanel is pack for a product with one pass, to panel.
func (d *product) packPanel(panel, w []float32, s *Shape, transposed bool, q int) {
	rs := s.R * s.S
	colStep, depthStep := s.C*rs, rs
	if transposed {
		colStep, depthStep = depthStep, colStep
	}
	d.packPanels(panel, q*d.panelLen(), w[q*d.nr*colStep:], 0, 1, q, rs, colStep, depthStep)
}

// packPanels writes panel q of every step-th pass from first on: the phases of a
// stride share out the filter positions. dst lacks the first skip packed floats; w
// starts at the panel's first column, and colStep and depthStep are its steps.
func (d *product) packPanels(dst []float32, skip int, w []float32, first, step, q, rs, colStep, depthStep int) {
	cols := d.passes[first].cols
	width := d.panelWidth(cols, q)
	cols = min(width, cols-q*d.nr)
	// Where the rows of a filter position go, or -1.
	var rows [maxPackTaps]int
	for at := range rows {
		rows[at] = -1
	}
	depth := 0 // of a filter position
	for i := first; i < len(d.passes); i += step {
		ps := &d.passes[i]
		if ps.taps == 0 {
			continue
		}
		depth = ps.taps * ps.depth / len(ps.tapAt)
		to := ps.bOff + q*d.nr*ps.taps*ps.depth - skip
		panel := dst[to:][:width*ps.taps*ps.depth]
		if cols < width {
			clear(panel)
		}
		switch {
		case rs == 1 && colStep == 1:
			kernels.CopyBlock(panel, width, w, depthStep, depth, cols)
		case rs == 1 && depthStep == 1:
			kernels.Transpose(panel, width, w, colStep, cols, depth)
		case rs > maxPackTaps:
			ps.packLoop(panel, w, width, cols, colStep, depthStep)
		default:
			for t, at := range ps.tapAt {
				rows[at] = to + t*depth*width
			}
		}
	}
	if rs > 1 && rs <= maxPackTaps {
		packRows(dst, w, &rows, width, cols, depth, rs, colStep, depthStep)
	}
}

// packLoop writes the columns of a panel one element after another.
func (ps *pass) packLoop(panel, w []float32, width, cols, colStep, depthStep int) {
	depth := ps.taps * ps.depth / len(ps.tapAt)
	for t, at := range ps.tapAt {
		for k := range depth {
			row := panel[(t*depth+k)*width:][:cols]
			from := w[k*depthStep+at:]
			for j := range row {
				row[j] = from[j*colStep]
			}
		}
	}
}

// packRows writes the columns of a panel by way of scratch, which has a row for each
// filter position of a few steps along the depth (of one, if the weights of the next
// are elsewhere).
func packRows(dst, w []float32, rows *[maxPackTaps]int, width, cols, depth, rs, colStep, depthStep int) {
	var scratch [maxPackTaps * panelLanes]float32
	steps := 1
	if colStep > depthStep {
		steps = maxPackTaps / rs
	}
	var start [1]int32
	apart := evenlyApart(rows[:rs])
	for j := 0; j < cols; j += panelLanes {
		n := min(panelLanes, cols-j)
		for k0 := 0; k0 < depth; k0 += steps {
			steps := min(steps, depth-k0)
			if colStep < depthStep {
				kernels.PrefetchRows(w, start[:], j*colStep+(k0+packAhead)*depthStep, n*rs)
			}
			if steps == 1 && apart >= n {
				kernels.Transpose(dst[rows[0]+k0*width+j:], apart, w[j*colStep+k0*depthStep:], colStep, n, rs)
				continue
			}
			kernels.Transpose(scratch[:], panelLanes, w[j*colStep+k0*depthStep:], colStep, n, steps*rs)
			for at, to := range rows[:rs] {
				if to < 0 {
					continue
				}
				for k := range steps {
					copyPanelRow(dst[to+(k0+k)*width+j:], scratch[(k*rs+at)*panelLanes:], n)
				}
			}
		}
	}
}

// evenlyApart returns the distance between consecutive rows if it is the same for all,
// else 0.
func evenlyApart(rows []int) int {
	apart := rows[1] - rows[0]
	for i, at := range rows[1:] {
		if rows[i] < 0 || at-rows[i] != apart {
			return 0
		}
	}
	return apart
}

const (
	// panelLanes is how many columns of a panel are transposed together, packLanes
	// how many out-channels for Winograd's algorithm.
	panelLanes = 32
	packLanes  = 16
	// maxPackTaps bounds the rows of such a transposition.
	maxPackTaps = 64
	// packAhead is how many steps along the depth are on their way from memory, where
	// each is elsewhere.
	packAhead = 6
)

func copyPanelRow(dst, src []float32, n int) {
	if n == panelLanes {
		*(*[panelLanes]float32)(dst) = *(*[panelLanes]float32)(src)
		return
	}
	copy(dst[:n], src)
}

func copyLanes(dst, src []float32, n int) {
	if n == packLanes {
		*(*[packLanes]float32)(dst) = *(*[packLanes]float32)(src)
		return
	}
	copy(dst[:n], src)
}

// packTasks returns the number of panels to pack, those of a group's passes counted
// once.
func (d *product) packTasks(s *Shape) int { return s.Groups * d.panels(d.passes[0].cols) }

// Weights in the form of the Indirect algorithm are the weights in another order,
// panel by panel of out-channels, and where no panel is filled up a panel has the
// place of its channels. A model can then be in memory once.

// PacksInPlace reports whether [Plan.PackInPlace] can be used: the algorithm is
// Indirect, without groups, and the panels hold no more than the weights.
func (p *Plan) PacksInPlace() bool {
	return p.forward.product != nil && p.shape.normalized().Groups == 1 && p.PackedLen() == p.shape.WeightLen()
}

// WorkspacePack is the floats of work for [Plan.Pack] and [Plan.PackData],
// WorkspacePackInPlace those for [Plan.PackInPlace].
func (p *Plan) WorkspacePack() int {
	n := 0
	for _, w := range []*winograd{p.forward.winograd, p.data.winograd} {
		if w != nil {
			n = max(n, p.workers*w.scratchLen())
		}
	}
	return n
}

// WorkspacePackInPlace is documented with [Plan.WorkspacePack].
func (p *Plan) WorkspacePackInPlace() int {
	if !p.PacksInPlace() {
		return 0
	}
	return p.workers * p.forward.product.panelLen()
}

// panelLen is the floats of the widest panel of a product with one pass.
func (d *product) panelLen() int { return d.nr * d.passes[0].taps * d.passes[0].depth }

// PackInPlace is [Plan.Pack] with the result in the memory of the weights. work has
// [Plan.WorkspacePackInPlace] floats of any content. It panics unless
// [Plan.PacksInPlace].
func (p *Plan) PackInPlace(w, work []float32) {
	const name = "PackInPlace"
	if !p.PacksInPlace() {
		panic("conv.Plan.PackInPlace: the packed form is larger than the weights")
	}
	w = need(name, "w", w, p.shape.WeightLen())
	p.job = job{d: &p.forward, operands: operands{c: w}, scratch: need(name, "work", work, p.WorkspacePackInPlace())}
	p.parallel(jobPackInPlace, p.forward.product.packTasks(&p.shape))
	p.job = job{}
}

// packInPlace packs panel q, which it copies to scratch.
func (d *product) packInPlace(w []float32, s *Shape, q int, scratch []float32) {
	ps := &d.passes[0]
	rs := s.R * s.S
	panel := w[q*d.panelLen():][:d.panelWidth(ps.cols, q)*ps.taps*ps.depth]
	scratch = scratch[:len(panel)]
	copy(scratch, panel)
	d.packPanels(w, 0, scratch, 0, 1, q, rs, s.C*rs, rs)
}

// Unpack writes the weights that [Plan.Pack] or [Plan.PackInPlace] packed to w,
// exactly. It panics if the algorithm is not Indirect. Other than the rest of p's
// methods, it may run while others do.
func (p *Plan) Unpack(w, packed []float32) {
	const name = "Unpack"
	d := p.forward.product
	if d == nil {
		panic("conv.Plan.Unpack: the packed form is not the weights in another order")
	}
	w = need(name, "w", w, p.shape.WeightLen())
	packed = need(name, "packed", packed, p.PackedLen())
	for i := range d.passes {
		for q := range d.panels(d.passes[i].cols) {
			d.unpackPanel(&d.passes[i], w, packed, &p.shape, q)
		}
	}
}

// unpackPanel writes panel q of a pass back. It is the inverse of packPanels.
func (d *product) unpackPanel(ps *pass, w, packed []float32, s *Shape, q int) {
	cg, rs := s.groupC(), s.R*s.S
	depth := ps.taps * ps.depth / len(ps.tapAt)
	width := d.panelWidth(ps.cols, q)
	panel := packed[ps.bOff+q*d.nr*ps.taps*ps.depth:]
	w = w[(ps.group*s.groupK()+q*d.nr)*cg*rs:]
	for j := range min(width, ps.cols-q*d.nr) {
		row := w[j*cg*rs:][:cg*rs]
		for t, at := range ps.tapAt {
			from := panel[t*depth*width+j:]
			for k := range depth {
				row[k*rs+at] = from[k*width]
			}
		}
	}
}
