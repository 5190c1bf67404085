package conv

import "github.com/golanes/lanes/kernels"

// How the tasks of the Indirect algorithm run: tables for a block of rows, then tile
// after tile.

// A gatherWorker is what one worker needs to run tasks of a product.
type gatherWorker struct {
	gemm  kernels.GatherGemm
	dense kernels.DenseGemm
	table []int32 // [tile][tap][row of the tile]
	rows  []int32 // offsets in C
	pixel []pixel // of the block's rows
}

// A pixel is one row of the product: the offset of its image in A from the
// block's first, and where its entries in rowOff and colOff start.
type pixel struct{ image, row, col int32 }

func newGatherWorker(tables, rows int) gatherWorker {
	return gatherWorker{table: make([]int32, tables), rows: make([]int32, rows), pixel: make([]pixel, rows)}
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
	row0 := block * ps.blockRows
	rows := min(ps.blockRows, ps.rows()-row0)
	table, cRows, aFirst, cFirst, dense := wk.table, wk.rows, 0, 0, false
	if ps.denseA != nil && rows == ps.blockRows {
		aFirst, cFirst, dense = ps.placeDense(row0, d.pitch)
	}
	switch {
	case dense:
		table, cRows = ps.denseA, ps.denseC
	case ps.band != nil:
		rows, aFirst, cFirst = ps.band.place(ps, wk, block, d.tileRows[0])
	default:
		aFirst, cFirst = d.place(ps, wk, row0, rows)
	}
	g := &wk.gemm
	g.Zero = zero
	g.C = o.c[cFirst+ps.cBase:]
	a := o.a[aFirst+ps.aBase:]
	if ps.taps == 0 {
		// Backward-data: the stride steps over these pixels.
		lo, hi := split*ps.panelStep*d.nr, min(ps.cols, (split+1)*ps.panelStep*d.nr)
		for _, r := range wk.rows[:rows] {
			clear(g.C[int(r)+lo : int(r)+hi])
		}
		return
	}
	kc := d.depthBlock()
	step := max(1, kc/ps.depth)
	for t0 := 0; t0 < ps.taps; t0 += step {
		t1 := min(ps.taps, t0+step)
		if !dense {
			d.buildTable(ps, wk, rows, t0, t1)
		}
		for k0 := 0; k0 < ps.depth; k0 += kc {
			kb := kBlock{t0: t0, t1: t1, k0: k0, k1: min(ps.depth, k0+kc), dense: dense}
			if step > 1 {
				kb.k1 = ps.depth
			}
			kb.first = t0 == 0 && k0 == 0
			kb.last = t1 == ps.taps && kb.k1 == ps.depth
			g.A = a[k0:]
			d.panelRange(ps, g, o, table, cRows, split, rows, kb, cFirst)
			if kb.k1 == ps.depth {
				break
			}
		}
	}
}

// A kBlock is a range of the inner dimension: taps [t0, t1), floats [k0, k1) of
// each; k0, k1 is less than a whole tap only if there is one tap.
type kBlock struct {
	t0, t1, k0, k1 int
	first, last    bool
	dense          bool
}

// tileHeight returns the height of the tile for the next of left rows.
func tileHeight(heights *[3]int, left int) int {
	mr := heights[0]
	for _, h := range heights[1:] {
		if h >= left {
			mr = h
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

// buildTable fills in the offsets of taps [t0, t1) tile by tile.
func (d *product) buildTable(ps *pass, wk *gatherWorker, rows, t0, t1 int) {
	taps := t1 - t0
	for r0 := 0; r0 < rows; {
		mr := tileHeight(&d.tileRows, rows-r0)
		table := wk.table[r0*taps:][:mr*taps]
		for m, px := range wk.pixel[r0 : r0+mr] {
			ro := ps.rowOff[int(px.row)+t0:][:taps]
			co := ps.colOff[int(px.col)+t0:][:taps]
			at := m
			for q, o := range ro {
				o += co[q]
				if o >= 0 {
					o += px.image
				}
				table[at] = o
				at += mr
			}
		}
		r0 += mr
	}
}

// rowsFirstBytes is the most bytes of packed weights with which a tile's rows meet
// all panels one after another. A tile's rows are then read once and its lines
// written whole, and the panels come from the second-level cache; larger panels
// stay there, one at a time, while all rows pass.
const rowsFirstBytes = 144 << 10

// panelRange multiplies the block's rows with the panels of a task.
func (d *product) panelRange(ps *pass, g *kernels.GatherGemm, o *operands, table, cRows []int32, split, rows int, kb kBlock, cFirst int) {
	first, end := split*ps.panelStep, min(d.panels(ps.cols), (split+1)*ps.panelStep)
	b := panelBlock{ps: ps, g: g, o: o, c: g.C, cFirst: cFirst, kBlock: kb, depth: ps.taps * ps.depth}
	g.TapLen = max(1, kb.k1-kb.k0)
	if taps := kb.t1 - kb.t0; 4*taps*g.TapLen*d.nr*(end-first) <= rowsFirstBytes {
		for r0 := 0; r0 < rows; r0 += g.MR {
			g.MR = tileHeight(&d.tileRows, rows-r0)
			for j := first; j < end; j++ {
				if next := r0 + g.MR; taps == 1 && next < rows {
					share := (g.TapLen + end - first - 1) / (end - first)
					kernels.PrefetchRows(g.A, table[next:min(rows, next+g.MR)], (j-first)*share, share)
				}
				d.panelTile(&b, table[r0*taps:], cRows[r0:r0+g.MR], min(g.MR, rows-r0), j)
			}
		}
	} else {
		for j := first; j < end; j++ {
			for r0 := 0; r0 < rows; r0 += g.MR {
				g.MR = tileHeight(&d.tileRows, rows-r0)
				d.panelTile(&b, table[r0*taps:], cRows[r0:r0+g.MR], min(g.MR, rows-r0), j)
			}
		}
	}
	g.C = b.c
}

// A panelBlock is what the tiles of a block of rows and a range of the inner
// dimension have in common.
type panelBlock struct {
	ps     *pass
	g      *kernels.GatherGemm
	o      *operands
	c      []float32
	cFirst int
	depth  int // of a whole panel
	kBlock
}

// panelTile multiplies a tile, so many of whose rows are no repetition, with panel j.
func (d *product) panelTile(b *panelBlock, table, cRows []int32, rows, j int) {
	ps, g := b.ps, b.g
	g.NR = d.panelWidth(ps.cols, j)
	g.Cols = min(g.NR, ps.cols-j*d.nr)
	g.C, g.Rows = b.c[j*d.nr:], cRows
	g.Bias = nil
	if b.first && b.o.bias != nil {
		g.Bias = b.o.bias[ps.biasOff+j*d.nr:]
	}
	panel := b.o.b[ps.bOff+j*d.nr*b.depth+(b.t0*ps.depth+b.k0)*g.NR:]
	var residual []float32
	if b.o.residual != nil {
		residual = b.o.residual[b.cFirst+ps.cBase+j*d.nr:]
	}
	if b.dense {
		d.denseTile(g, table, panel, residual, b.kBlock)
	} else {
		d.tile(g, table, panel, residual, b.kBlock)
	}
	if b.last && len(ps.stepped) > 0 {
		d.clearStepped(ps, g.C, cRows[:rows], g.Cols)
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

// tile runs the kernel once per run of taps that are not padding in all rows,
// at least once.
func (d *product) tile(g *kernels.GatherGemm, table []int32, panel, residual []float32, kb kBlock) {
	accumulate := !kb.first
	g.Lo, g.Hi, g.Store = noLo, noHi, kernels.Cached
	taps := kb.t1 - kb.t0
	t := nextTap(table, g.MR, 0, taps)
	for {
		end := t
		for end < taps && !allPadding(table[end*g.MR:][:g.MR]) {
			end++
		}
		next := nextTap(table, g.MR, end, taps)
		g.Table, g.Taps = table[t*g.MR:], end-t
		g.B = panel[t*g.TapLen*g.NR:]
		g.Accumulate = accumulate
		if kb.last && next == taps {
			g.Lo, g.Hi = d.clampLo, d.clampHi
			if !accumulate {
				g.Store = d.store
			}
		}
		// Before C is written, since the residual may be C.
		g.Residual = nil
		if !accumulate {
			g.Residual = residual
		}
		g.Run()
		if next == taps {
			return
		}
		t, accumulate = next, true
	}
}

// nextTap returns the first tap from t on that is not padding in all rows.
func nextTap(table []int32, mr, t, taps int) int {
	for t < taps && allPadding(table[t*mr:][:mr]) {
		t++
	}
	return t
}

func allPadding(offsets []int32) bool {
	for _, o := range offsets {
		if o >= 0 {
			return false
		}
	}
	return true
}
