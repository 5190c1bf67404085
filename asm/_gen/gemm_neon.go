package gen

import "fmt"

// gemmNEON returns the op program of a NEON tile family with the contract of
// [gemm]. Exactly one of rsa and csa is 1 wherever kernels calls it, and each
// case has its own loop over k:
//
//   - csa = 1, rows of A contiguous: a vector of A holds four steps of k of one
//     row. Four rows at a time, for each of the four steps, a row of B is
//     loaded and multiplied by one lane of each row's vector.
//   - rsa = 1, columns of A contiguous (packed A, or op(A) = A'): a vector of A
//     holds one step of k for four rows.
//
// Both multiply by element, so no lane is ever broadcast by an instruction of
// its own.
func gemmNEON(t gemmTile) func(*arm64) {
	return func(m *arm64) {
		g := &gemmNEONProgram{arm64: m, gemmTile: t}
		g.begin()
		for r := t.maxRows; r > 0; r-- {
			g.body(r)
		}
		g.place("done")
		g.Ret()
	}
}

// gemmNEONProgram is the state of one function being emitted. Strides are in
// bytes.
type gemmNEONProgram struct {
	*arm64
	gemmTile
	tiles, less, a, c vreg // as in gemmProgram
	rsa, csa, ldb     vreg
	// scalar is true while the body for single columns is emitted: vectors
	// hold one column in lane 0.
	scalar bool
}

func (g *gemmNEONProgram) begin() {
	columns := 4 * g.vecs
	name := fmt.Sprintf("Gemm%dx%d", g.maxRows, columns)
	signature, doc := gemmContract(name, g.gemmTile, columns)
	g.Func(name, signature, doc...)
	rows := g.paramR("rows")
	g.tiles, g.less = g.paramR("tiles"), g.paramR("less")
	g.a, g.c = g.paramR("a"), g.paramR("c")
	g.rsa, g.csa, g.ldb = g.bytesParam("rsa"), g.bytesParam("csa"), g.bytesParam("ldb")
	for r := g.maxRows; r > 1; r-- {
		g.compare(rows, r)
		g.branch("BEQ ", rowsLabel(r))
	}
	g.branch("B ", rowsLabel(1))
}

// bytesParam loads an element count and returns it in bytes.
func (g *gemmNEONProgram) bytesParam(name string) vreg {
	r := g.paramR(name)
	g.update(r, nil, asmf("LSL $2, R%[1]d, R%[1]d"))
	return r
}

func (g *gemmNEONProgram) compare(r vreg, c int) {
	g.op(nil, []vreg{r}, asmf(fmt.Sprintf("CMP $%d, R%%d", c)))
}

func (g *gemmNEONProgram) add(r, by vreg) {
	g.update(r, []vreg{by}, asmf("ADD R%[2]d, R%[1]d, R%[1]d"))
}

// body emits the loop over the tiles of r rows.
func (g *gemmNEONProgram) body(r int) {
	g.place(rowsLabel(r))
	next := "done"
	if r > 1 {
		next = fmt.Sprintf("next%d", r)
	}
	g.branch("CBZ R%d, ", next, g.tiles)
	tile := fmt.Sprintf("tile%d", r)
	g.place(tile)
	if !g.masked {
		g.tile(r, 0, nil)
	} else {
		g.columns(r)
	}
	step, count := g.newR(), g.newR()
	g.op([]vreg{count}, nil, asmf(fmt.Sprintf("MOVD $%d, R%%d", r)))
	g.op([]vreg{step}, []vreg{count, g.rsa}, asmf("MUL R%[2]d, R%[3]d, R%[1]d"))
	pitch, follow := g.bytesParam("pitch"), fmt.Sprintf("follow%d", r)
	g.branch("CBZ R%d, ", follow, pitch)
	g.update(step, []vreg{pitch}, asmf("MOVD R%[2]d, R%[1]d"))
	g.place(follow)
	g.add(g.a, step)
	g.op([]vreg{step}, []vreg{count, g.bytesParam("ldc")}, asmf("MUL R%[2]d, R%[3]d, R%[1]d"))
	g.add(g.c, step)
	g.update(g.tiles, nil, asmf("SUBS $1, R%[1]d, R%[1]d"))
	g.branch("BNE ", tile)
	if r > 1 {
		g.place(next)
		g.move(g.tiles, g.less)
		g.op([]vreg{g.less}, nil, asmf("MOVD $0, R%d"))
	}
}

// columns emits a masked tile: four columns at once, or n < 4 one by one.
func (g *gemmNEONProgram) columns(r int) {
	single, done := fmt.Sprintf("single%d", r), fmt.Sprintf("columns%d", r)
	n := g.paramR("n")
	g.compare(n, 4)
	g.branch("BLT ", single)
	g.tile(r, 0, nil)
	g.branch("B ", done)
	g.place(single)
	g.scalar = true
	column, loop := g.newR(), fmt.Sprintf("column%d", r)
	g.op([]vreg{column}, nil, asmf("MOVD $0, R%d"))
	g.place(loop)
	g.tile(r, 1, &column)
	g.addConst(column, 4)
	left := g.paramR("n")
	g.op(nil, []vreg{column, left}, asmf("CMP R%[2]d<<2, R%[1]d"))
	g.branch("BLT ", loop)
	g.scalar = false
	g.place(done)
}

// tile emits the product and the epilogue of one tile. column, if not nil, is
// the byte offset of the only column; tag keeps the labels of the two forms
// apart.
func (g *gemmNEONProgram) tile(r, tag int, column *vreg) {
	suffix := fmt.Sprintf("%d_%d", r, tag)
	sets := [][][]Vec{g.arm64.tile(r, g.vecs)}
	if g.chains > 1 {
		sets = append(sets, g.arm64.tile(r, g.vecs))
	}
	acc := sets[0]
	at := func(p vreg) vreg {
		if column != nil {
			g.add(p, *column)
		}
		return p
	}
	pb, k := at(g.paramR("b")), g.paramR("k")
	byColumn, multiplied := "bycolumn"+suffix, "multiplied"+suffix
	g.compare(g.csa, 4)
	g.branch("BNE ", byColumn)
	g.accumulateRows(suffix, sets, pb, k)
	g.branch("B ", multiplied)
	g.place(byColumn)
	g.accumulateColumns(suffix, sets, pb, k)
	g.place(multiplied)
	g.addSets(sets)
	g.epilogue(suffix, acc, at)
}

// load and store move vector u of a row, or its only column.
func (g *gemmNEONProgram) load(p vreg, u int) Vec {
	if g.scalar {
		return Vec{g.loadLane(Ptr{op: p}, 0)}
	}
	return g.Load(Ptr{op: p}, 4*u)
}

func (g *gemmNEONProgram) store(p vreg, u int, v Vec) {
	if g.scalar {
		g.StoreF32(Ptr{op: p}, 0, v)
		return
	}
	g.Store(Ptr{op: p}, 4*u, v)
}

func (g *gemmNEONProgram) loadRow(pb vreg) []Vec {
	b := make([]Vec, g.vecs)
	for u := range b {
		b[u] = g.load(pb, u)
	}
	return b
}

// rowGroup is the number of rows whose vectors of A are held at once: all of them,
// so that B is loaded once, if there are registers enough, else four.
func rowGroup(rows, accumulators, vecs int) int {
	if rows+accumulators+vecs <= len(allocatable[classV]) {
		return rows
	}
	return 4
}

// accumulateRows is the loop over k for csa = 1: four steps a round. The one to three
// behind them are no loop: two at once and one.
func (g *gemmNEONProgram) accumulateRows(suffix string, sets [][][]Vec, pb, k vreg) {
	rows := make([]vreg, len(sets[0]))
	for i := range rows {
		if i == 0 {
			rows[i] = g.copyR(g.a)
			continue
		}
		rows[i] = g.newR()
		g.op([]vreg{rows[i]}, []vreg{rows[i-1], g.rsa}, asmf("ADD R%[2]d, R%[3]d, R%[1]d"))
	}
	four, less := "four"+suffix, "less"+suffix
	g.compare(k, 4)
	g.branch("BLT ", less)
	g.place(four)
	g.rowSteps(rows, sets, pb, 4)
	g.SubInt(Int{k}, 4)
	g.compare(k, 4)
	g.branch("BGE ", four)
	g.place(less)
	for _, steps := range []int{2, 1} {
		g.ifBit(Int{k}, steps, func() { g.rowSteps(rows, sets, pb, steps) })
	}
}

// rowSteps multiplies the next steps of k, 4, 2 or 1, in one vector of each row.
func (g *gemmNEONProgram) rowSteps(rows []vreg, sets [][][]Vec, pb vreg, steps int) {
	var p vreg
	group := rowGroup(len(rows), len(rows)*g.vecs*len(sets), g.vecs)
	for first := 0; first < len(rows); first += group {
		last := min(first+group, len(rows))
		av := make([]vreg, 0, group)
		for _, row := range rows[first:last] {
			av = append(av, g.loadLanes(Ptr{op: row}, 0, steps))
			g.addConst(row, 4*steps)
		}
		p = g.copyR(pb)
		for lane := range steps {
			b := g.loadRow(p)
			g.add(p, g.ldb)
			for i, a := range av {
				for u := range b {
					g.mulAddElem(sets[lane%len(sets)][first+i][u], b[u], a, lane)
				}
			}
		}
	}
	g.move(pb, p)
}

// loadLanes loads 4, 2 or 1 elements into the low lanes of a vector.
func (m *arm64) loadLanes(p Ptr, off, n int) vreg {
	v := m.newV()
	move := map[int]string{4: "FMOVQ", 2: "FMOVD", 1: "FMOVS"}[n]
	m.op([]vreg{v}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("%s %d(R%%[2]d), F%%[1]d", move, 4*off)))
	return v
}

// accumulateColumns is the loop over k for rsa = 1, one step a round for each set.
func (g *gemmNEONProgram) accumulateColumns(suffix string, sets [][][]Vec, pb, k vreg) {
	pa, loop, less := g.copyR(g.a), "k"+suffix, "last"+suffix
	step := func(acc [][]Vec) {
		b := g.loadRow(pb)
		g.add(pb, g.ldb)
		g.mulAddColumn(acc, b, Ptr{op: pa})
		g.add(pa, g.csa)
	}
	if len(sets) == 1 {
		g.place(loop)
		step(sets[0])
		g.update(k, nil, asmf("SUBS $1, R%[1]d, R%[1]d"))
		g.branch("BNE ", loop)
		return
	}
	g.compare(k, len(sets))
	g.branch("BLT ", less)
	g.place(loop)
	for _, acc := range sets {
		step(acc)
	}
	g.SubInt(Int{k}, len(sets))
	g.compare(k, len(sets))
	g.branch("BGE ", loop)
	g.place(less)
	g.ifBit(Int{k}, 1, func() { step(sets[0]) })
}

// mulAddColumn adds the product of a column of A, whose rows are contiguous at p, and
// a row of B.
func (m *arm64) mulAddColumn(acc [][]Vec, b []Vec, p Ptr) {
	for first := 0; first < len(acc); {
		group := 4
		for first+group > len(acc) {
			group /= 2
		}
		a := m.loadLanes(p, first, group)
		for i := range group {
			for u := range b {
				m.mulAddElem(acc[first+i][u], b[u], a, i)
			}
		}
		first += group
	}
}

// addSets adds the sets of partial sums, a power of two of them, in halves to the
// first.
func (m *arm64) addSets(sets [][][]Vec) {
	for half := len(sets) / 2; half > 0; half /= 2 {
		for s := range half {
			for i, row := range sets[s] {
				for u := range row {
					m.Set(row[u], m.Add(row[u], sets[s+half][i][u]))
				}
			}
		}
	}
}

// bits loads the bits of a float32 parameter.
func (g *gemmNEONProgram) bits(name string) vreg {
	r := g.newR()
	g.op([]vreg{r}, nil, asmf("MOVWU "+g.symbol(name)+", R%d"))
	return r
}

// eachRow calls f with a pointer to each row of the tile in the matrix at p,
// whose leading dimension is ldc.
func (g *gemmNEONProgram) eachRow(p vreg, acc [][]Vec, f func(p vreg, i, u int)) {
	ldc := g.bytesParam("ldc")
	for i := range acc {
		for u := range acc[i] {
			f(p, i, u)
		}
		if i < len(acc)-1 {
			g.add(p, ldc)
		}
	}
}

func (g *gemmNEONProgram) epilogue(suffix string, acc [][]Vec, at func(vreg) vreg) {
	each := func(f func(v Vec)) {
		for i := range acc {
			for _, v := range acc[i] {
				f(v)
			}
		}
	}
	scaled, added, biased, clamped := "scaled"+suffix, "added"+suffix, "biased"+suffix, "clamped"+suffix

	g.compare(g.bits("alpha"), 0x3f800000)
	g.branch("BEQ ", scaled)
	alpha := g.ParamF32("alpha")
	each(func(v Vec) { g.Set(v, g.Mul(v, alpha)) })
	g.place(scaled)

	magnitude := g.bits("beta")
	g.update(magnitude, nil, asmf("AND $0x7fffffff, R%[1]d, R%[1]d"))
	g.branch("CBZ R%d, ", added, magnitude)
	beta := g.ParamF32("beta")
	d := at(g.paramR("d"))
	g.update(d, []vreg{g.paramR("c")}, asmf("SUB R%[2]d, R%[1]d, R%[1]d"))
	g.add(d, g.c)
	g.eachRow(d, acc, func(p vreg, i, u int) { g.AccMulAdd(acc[i][u], beta, g.load(p, u)) })
	g.place(added)

	bias := g.paramR("bias")
	g.branch("CBZ R%d, ", biased, bias)
	at(bias)
	for u := range g.vecs {
		v := g.load(bias, u)
		for i := range acc {
			g.Set(acc[i][u], g.Add(acc[i][u], v))
		}
	}
	g.place(biased)

	clamp := g.paramR("clamp")
	g.branch("CBZ R%d, ", clamped, clamp)
	lo, hi := g.LoadBroadcast(Ptr{op: clamp}, 0), g.LoadBroadcast(Ptr{op: clamp}, 1)
	each(func(v Vec) { g.accumulate(encBIT, v, lo, Vec(g.Less(v, lo))) })
	each(func(v Vec) { g.accumulate(encBIT, v, hi, Vec(g.Less(hi, v))) })
	g.place(clamped)

	c := at(g.copyR(g.c))
	g.eachRow(c, acc, func(p vreg, i, u int) { g.store(p, u, acc[i][u]) })
}
