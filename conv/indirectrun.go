package conv

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

// How the tasks of the Indirect algorithm run: tables for a block of rows, then tile
// after tile.

// A gatherWorker is what one worker needs to run tasks of a product.
type gatherWorker struct {
	gemm    kernels.GatherGemm
	dense   kernels.DenseGemm
	table   []int32 // [tile][tap][row of the tile]
	rows    []int32 // offsets in C
	pixel   []pixel // of the block's rows
	heights []int32 // of its tiles, which its rows fill up
	groups  []tileGroup
}

// A pixel is one row of the product: the offset of its image in A from the
// block's first, and where its entries in rowOff and colOff start.
type pixel struct{ image, row, col int32 }

func newGatherWorker(tables, rows int) gatherWorker {
	return gatherWorker{table: make([]int32, tables), rows: make([]int32, rows), pixel: make([]pixel, rows),
		heights: make([]int32, 0, rows), groups: make([]tileGroup, rows)}
}

// operands are the tensors of one run of a product.
type operands struct {
	a, b, c, bias, residual []float32
	planes                  bool // a is NCHW, and copied before it is read
}

// run computes task t. A pass with fewer tasks than the longest has empty ones.
func (d *product) run(t int, wk *gatherWorker, zero []float32, o *operands) {
	pass, i := t/d.perPass, t%d.perPass
	if d.inTurn {
		pass, i = t%len(d.passes), t/len(d.passes)
	}
	ps := &d.passes[pass]
	block, split := i/ps.splits, i%ps.splits
	if block >= ps.blocks {
		return
	}
	if ps.matrix {
		d.runMatrix(ps, block, split, &wk.dense, o)
		return
	}
	first, end := split*ps.panelStep, min(d.panels(ps.cols), (split+1)*ps.panelStep)
	d.runBlock(ps, block, first, end, wk, zero, o, o.b[ps.bOff+first*d.nr*ps.taps*ps.depth:])
}

// runInline is run with weights as they are: a task packs one panel after another in
// scratch, panelLen floats.
func (d *product) runInline(t int, wk *gatherWorker, zero []float32, o *operands, s *Shape, transposed bool, scratch []float32) {
	ps := &d.passes[0]
	for j := t * ps.panelStep; j < min(d.panels(ps.cols), (t+1)*ps.panelStep); j++ {
		d.packPanel(scratch, o.b, s, transposed, j)
		d.runBlock(ps, 0, j, j+1, wk, zero, o, scratch)
	}
}

// runBlock multiplies a block of rows with panels first to end, which start at b.
func (d *product) runBlock(ps *pass, block, first, end int, wk *gatherWorker, zero []float32, o *operands, weights []float32) {
	var rows, aFirst, cFirst int
	table, cRows, groups := wk.table, wk.rows, wk.groups
	if ps.band != nil {
		var cut *bandCut
		cut, aFirst, cFirst = ps.band.at(ps, block)
		table, cRows, groups, rows = cut.table, cut.rows, cut.groups, len(cut.rows)
	} else {
		row0 := block * ps.blockRows
		rows = min(ps.blockRows, ps.rows()-row0)
		aFirst, cFirst = d.place(ps, wk, row0, rows)
		wk.evenTiles(d, rows)
		groups = groupTiles(groups[:0], wk.heights)
	}
	g := &wk.gemm
	g.Zero = zero
	g.C = o.c[cFirst+ps.cBase:]
	a := o.a[aFirst+ps.aBase:]
	if ps.taps == 0 {
		// Backward-data: the stride steps over these pixels.
		lo, hi := first*d.nr, min(ps.cols, end*d.nr)
		for _, r := range cRows[:rows] {
			clear(g.C[int(r)+lo : int(r)+hi])
		}
		return
	}
	if ps.blank {
		d.clearRows(ps, g.C, cRows[:rows])
	}
	b := panelBlock{ps: ps, g: g, o: o, b: weights, c: g.C, cFirst: cFirst, first: first, end: end, rows: rows, groups: groups, depth: ps.taps * ps.depth}
	kc, step := d.depthBlock(), d.tapStep(ps)
	for t0 := 0; t0 < ps.taps; t0 += step {
		t1 := min(ps.taps, t0+step)
		part := table
		if ps.band != nil {
			part = table[t0*rows:]
		} else {
			ps.buildTable(table, wk.heights, wk.pixel, t0, t1)
		}
		for k0 := 0; k0 < ps.depth; k0 += kc {
			kb := &b.kBlock
			*kb = kBlock{t0: t0, t1: t1, k0: k0, k1: min(ps.depth, k0+kc)}
			if step > 1 {
				kb.k1 = ps.depth
			}
			kb.opens = t0 == 0 && k0 == 0
			kb.closes = t1 == ps.taps && kb.k1 == ps.depth
			g.A = a[k0:]
			d.panelRange(&b, part, cRows)
			if kb.k1 == ps.depth {
				break
			}
		}
	}
	// Winograd's products take the tile from here on.
	g.Tiles, g.Fetch, g.Store = 1, false, kernels.Cached
}

// A kBlock is a range of the inner dimension: taps [t0, t1), floats [k0, k1) of
// each; k0, k1 is less than a whole tap only if there is one tap.
type kBlock struct {
	t0, t1, k0, k1 int
	opens, closes  bool // is the first, is the last
}

// tileHeight returns the height of the tile for the next of left rows.
func tileHeight(heights []int, left int) int {
	mr := heights[0]
	for _, h := range heights[1:] {
		if h >= left {
			mr = h
		}
	}
	return mr
}

// evenTiles cuts rows into tiles of the largest height and a rest of one or two, as
// even as the heights allow.
func (wk *gatherWorker) evenTiles(d *product, rows int) {
	wk.heights = wk.heights[:0]
	for rows > 0 {
		mr := d.nextHeight(rows)
		wk.heights = append(wk.heights, int32(mr))
		rows -= mr
	}
}

// nextHeight returns the height of the tile for the next of left rows with which the
// last one has the fewest rows too many.
func (d *product) nextHeight(left int) int {
	mr := tileHeight(d.tileRows, left)
	if left >= 2*d.tileRows[0] || left == mr {
		return mr
	}
	least := math.MaxInt
	if mr > left {
		least = mr - left
	}
	for _, h := range d.tileRows {
		if h >= left {
			continue
		}
		if over := max(0, tileHeight(d.tileRows, left-h)-(left-h)); over < least {
			least, mr = over, h
		}
	}
	return mr
}

// place lists the pixels of rows [row0, row0+rows), fills in their offsets in C
// and returns where A and C start for the block.
func (d *product) place(ps *pass, wk *gatherWorker, row0, rows int) (aFirst, cFirst int) {
	grid := ps.h * ps.w
	n, q := row0/grid, row0%grid
	i, j := q/ps.w, q%ps.w
	n0 := n
	for r := range rows {
		wk.pixel[r] = pixel{image: int32((n - n0) * ps.aImage), row: int32(i * ps.taps), col: int32(j * ps.taps)}
		wk.rows[r] = int32((n-n0)*ps.cImage + i*ps.cRow + j*ps.cCol)
		if j++; j == ps.w {
			j = 0
			if i++; i == ps.h {
				i = 0
				n++
			}
		}
	}
	wk.fillUp(rows, d.tileRows[0])
	return n0 * ps.aImage, n0 * ps.cImage
}

// fillUp repeats the last row up to a whole tile.
func (wk *gatherWorker) fillUp(rows, mr int) {
	for r := rows; r%mr != 0; r++ {
		wk.pixel[r], wk.rows[r] = wk.pixel[rows-1], wk.rows[rows-1]
	}
}

// buildTable fills in, tile by tile, the offsets of taps [t0, t1) of pixels. Taps that
// are padding in all rows of a tile are left out.
func (ps *pass) buildTable(table []int32, heights []int32, pixels []pixel, t0, t1 int) {
	taps := t1 - t0
	for _, height := range heights {
		mr := int(height)
		tile := table[:mr*taps]
		padding := false
		for m, px := range pixels[:mr] {
			ro := ps.rowOff[int(px.row)+t0:][:taps]
			co := ps.colOff[int(px.col)+t0:][:taps]
			at := m
			for q, o := range ro {
				if o += co[q]; o >= 0 {
					o += px.image
				} else {
					o, padding = -1, true
				}
				tile[at] = o
				at += mr
			}
		}
		for ; padding && len(tile) > 0; tile = tile[mr:] {
			if allPadding(tile[:mr]) {
				tile[0] = kernels.GatherSkip
			}
		}
		table, pixels = table[mr*taps:], pixels[mr:]
	}
}

func allPadding(offsets []int32) bool {
	for _, o := range offsets {
		if o >= 0 {
			return false
		}
	}
	return true
}

// rowsFirstBytes is the most bytes of packed weights of a pointwise filter with which,
// where results are streamed, a tile's rows meet all panels one after another. A tile's
// rows are then read once and its lines written whole, and the panels come from the
// second-level cache; larger panels stay there, one at a time, while all rows pass.
const rowsFirstBytes = 144 << 10

// panelRange multiplies the block's rows with the panels.
func (d *product) panelRange(b *panelBlock, table, cRows []int32) {
	g, ps, taps := b.g, b.ps, b.t1-b.t0
	g.TapLen = max(1, b.k1-b.k0)
	g.Fetch = d.fetchC && b.opens && !ps.blank
	if ps.taps == 1 && d.store == kernels.Streamed && 4*g.TapLen*d.nr*(b.end-b.first) <= rowsFirstBytes {
		g.Tiles = 1
		r0 := 0
		for _, q := range b.groups {
			g.MR = int(q.height)
			for range q.tiles {
				for j := b.first; j < b.end; j++ {
					if next := r0 + g.MR; next < b.rows {
						d.prefetch(b, table, cRows, next, min(b.rows, next+g.MR), j)
					}
					d.panelTiles(b, table[r0:], cRows[r0:r0+g.MR], min(g.MR, b.rows-r0), j)
				}
				r0 += g.MR
			}
		}
	} else {
		for j := b.first; j < b.end; j++ {
			r0 := 0
			for _, q := range b.groups {
				g.MR, g.Tiles = int(q.height), int(q.tiles)
				n := g.MR * g.Tiles
				d.panelTiles(b, table[r0*taps:], cRows[r0:r0+n], min(n, b.rows-r0), j)
				r0 += n
			}
		}
	}
	g.C = b.c
}

// A tileGroup is consecutive tiles of one height.
type tileGroup struct{ height, tiles int32 }

// groupTiles appends the groups of the tiles of a block.
func groupTiles(groups []tileGroup, heights []int32) []tileGroup {
	for _, height := range heights {
		if n := len(groups) - 1; n >= 0 && groups[n].height == height {
			groups[n].tiles++
		} else {
			groups = append(groups, tileGroup{height, 1})
		}
	}
	return groups
}

// prefetch asks, while a tile meets panel j, for a share of what the next one needs,
// rows r0 to r1: of A, and of C if it is neither near nor streamed.
func (d *product) prefetch(b *panelBlock, table, cRows []int32, r0, r1, j int) {
	share := (b.g.TapLen + b.end - b.first - 1) / (b.end - b.first)
	kernels.PrefetchRows(b.g.A, table[r0:r1], (j-b.first)*share, share)
	if b.g.Fetch {
		kernels.PrefetchRows(b.c, cRows[r0:r1], j*d.nr, min(d.nr, b.ps.cols-j*d.nr))
	}
}

// A panelBlock is what the tiles of a block of rows, a range of panels and one of the
// inner dimension have in common.
type panelBlock struct {
	ps         *pass
	g          *kernels.GatherGemm
	o          *operands
	b, c       []float32 // from the first panel on; from the first pixel on
	cFirst     int
	first, end int // panels
	rows       int
	groups     []tileGroup
	depth      int // of a whole panel
	kBlock
}

// panelTiles multiplies a group of tiles, so many of whose rows are no repetition,
// with panel j.
func (d *product) panelTiles(b *panelBlock, table, cRows []int32, rows, j int) {
	ps, g := b.ps, b.g
	g.NR = d.panelWidth(ps.cols, j)
	g.Cols = min(g.NR, ps.cols-j*d.nr)
	g.C, g.Rows = b.c[j*d.nr:], cRows
	g.Bias = nil
	if b.opens && b.o.bias != nil {
		g.Bias = b.o.bias[ps.biasOff+j*d.nr:]
	}
	panel := b.b[(j-b.first)*d.nr*b.depth+(b.t0*ps.depth+b.k0)*g.NR:]
	var residual []float32
	if b.o.residual != nil {
		residual = b.o.residual[b.cFirst+ps.cBase+j*d.nr:]
	}
	d.runTiles(g, table, panel, residual, b.kBlock)
	if b.closes && j+1 == b.end && len(ps.stepped) > 0 && !ps.blank {
		d.clearStepped(ps, b.c[b.first*d.nr:], cRows[:rows], min(ps.cols, b.end*d.nr)-b.first*d.nr)
	}
}

// clearRows clears what the stride spans from the pixels of a block, its own
// included, where that is all of some rows: clear then writes whole lines without
// reading them, which the products find in the second-level cache.
func (d *product) clearRows(ps *pass, c []float32, rows []int32) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && int(rows[n]-rows[n-1]) == ps.cCol {
			n++
		}
		for _, at := range ps.steppedRows {
			clear(c[int(rows[0])+at:][:n*ps.cCol])
		}
		rows = rows[n:]
	}
}

// clearStepped clears, beside a tile's pixels, those that the stride steps over: with
// each tile, so that their way to memory takes no time from the products.
func (d *product) clearStepped(ps *pass, c []float32, rows []int32, cols int) {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && int(rows[n]-rows[n-1]) == ps.cCol {
			n++
		}
		for _, at := range ps.stepped {
			kernels.ClearBlock(c[int(rows[0])+at:], ps.cCol, n, cols, d.store)
		}
		rows = rows[n:]
	}
}

// runTiles runs the kernel.
func (d *product) runTiles(g *kernels.GatherGemm, table []int32, panel, residual []float32, kb kBlock) {
	g.Table, g.Taps, g.B, g.Accumulate = table, kb.t1-kb.t0, panel, !kb.opens
	g.Lo, g.Hi, g.Store = noLo, noHi, kernels.Cached
	if kb.closes {
		g.Lo, g.Hi = d.clampLo, d.clampHi
		if kb.opens {
			g.Store = d.store
		}
	}
	g.Residual = nil
	if kb.opens {
		g.Residual = residual
	}
	g.Run()
}
