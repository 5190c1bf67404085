package gen

import "fmt"

// The NEON forms of the two tiles of convolution. Each function holds one body
// per height and takes the height as its first parameter.

// gatherRowsNEON and outerRowsNEON are the heights of the tiles.
var (
	gatherRowsNEON = []int{8, 4, 2}
	outerRowsNEON  = []int{8, 4, 3, 2, 1}
)

// chooseRows emits the jump to the body for the parameter mr.
func (m *arm64) chooseRows(heights []int) {
	mr := m.paramR("mr")
	for _, r := range heights[:len(heights)-1] {
		m.op(nil, []vreg{mr}, asmf(fmt.Sprintf("CMP $%d, R%%d", r)))
		m.branch("BEQ ", rowsLabel(r))
	}
	m.branch("B ", rowsLabel(heights[len(heights)-1]))
}

// tile returns rows x vecs zeroed accumulators.
func (m *arm64) tile(rows, vecs int) [][]Vec {
	acc := make([][]Vec, rows)
	for i := range acc {
		for range vecs {
			acc[i] = append(acc[i], m.Zero())
		}
	}
	return acc
}

// loadVecs loads consecutive vectors.
func (m *arm64) loadVecs(p Ptr, vecs int) []Vec {
	v := make([]Vec, vecs)
	for u := range v {
		v[u] = m.Load(p, 4*u)
	}
	return v
}

// mulAddElem is acc += b * a[lane].
func (m *arm64) mulAddElem(acc, b Vec, a vreg, lane int) {
	m.update(vr(acc.op), []vreg{vr(b.op), a}, func(r []int) string { return encFMLAElem(r[0], r[1], r[2], lane).String() })
}

// signed32 loads an int32 at p + off elements.
func (m *arm64) signed32(p Ptr, off int) vreg {
	d := m.newR()
	m.op([]vreg{d}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("MOVW %d(R%%[2]d), R%%[1]d", 4*off)))
	return d
}

// indexed returns p + i elements.
func (m *arm64) indexed(p Ptr, i vreg) Ptr {
	d := m.newR()
	m.op([]vreg{d}, []vreg{vr(p.op), i}, asmf("ADD R%[3]d<<2, R%[2]d, R%[1]d"))
	return Ptr{op: d}
}

// gatherNEON returns the op program of the gather tiles with vecs vectors.
func gatherNEON(vecs int) func(*arm64) {
	return func(m *arm64) {
		nr := 4 * vecs
		m.Func(fmt.Sprintf("GatherGemm8x%d", nr),
			"func(mr int, c *float32, rows *int32, a *float32, table *int32, zero, b, bias, residual *float32, taps, tapLen, accumulate int, lo, hi float32)",
			fmt.Sprintf("GatherGemm8x%d computes a tile of mr rows by %d columns, mr being 8, 4 or 2:", nr, nr),
			"",
			"\tacc[i][j] = accumulate != 0 ? c[rows[i]+j] : bias != nil ? bias[j] : 0",
			fmt.Sprintf("\tacc[i][j] += a[table[t*mr+i]+k] * b[(t*tapLen+k)*%d+j]   for t < taps, k < tapLen in this order", nr),
			"\tc[rows[i]+j] = min(hi, max(lo, acc[i][j] + (residual != nil ? residual[rows[i]+j] : 0)))",
			"",
			"with one fused multiply-add per product, in one chain.",
			"A negative table entry stands for zero, which must hold tapLen zeros.",
			"taps >= 0, tapLen > 0. Rows may repeat:",
			"all of c is read before it is written. NaN passes through min and max.",
		)
		m.chooseRows(gatherRowsNEON)
		for _, mr := range gatherRowsNEON {
			m.place(rowsLabel(mr))
			g := &gatherNEONBody{arm64: m, mr: mr, vecs: vecs}
			g.acc = m.tile(mr, vecs)
			g.start()
			g.taps()
			g.finish()
			m.Ret()
		}
	}
}

type gatherNEONBody struct {
	*arm64
	mr, vecs int
	acc      [][]Vec
}

func (g *gatherNEONBody) label(stem string) string {
	return fmt.Sprintf("%s_%d", g.arm64.label(stem), g.mr)
}

// eachRow calls f with a pointer to each row of the tile in the matrix at base.
func (g *gatherNEONBody) eachRow(base Ptr, f func(row Ptr, i int)) {
	rows := g.ParamPtr("rows")
	for i := range g.mr {
		f(g.indexed(base, g.signed32(rows, i)), i)
	}
}

func (g *gatherNEONBody) start() {
	fresh, done := g.label("fresh"), g.label("started")
	g.branch("CBZ R%d, ", fresh, g.paramR("accumulate"))
	g.eachRow(g.ParamPtr("c"), func(row Ptr, i int) {
		for u, v := range g.loadVecs(row, g.vecs) {
			g.Set(g.acc[i][u], v)
		}
	})
	g.branch("B ", done)
	g.place(fresh)
	bias := g.ParamPtr("bias")
	g.branch("CBZ R%d, ", done, vr(bias.op))
	for u, v := range g.loadVecs(bias, g.vecs) {
		for i := range g.acc {
			g.Set(g.acc[i][u], v)
		}
	}
	g.place(done)
}

// taps runs over the taps and, within a tap, over its floats: four at a time, so that
// a vector of A is used by element, and behind them two and one.
func (g *gatherNEONBody) taps() {
	a, zero, b := g.ParamPtr("a"), g.paramR("zero"), g.ParamPtr("b")
	table, taps := g.ParamPtr("table"), g.ParamInt("taps")
	g.Repeat(taps, func() {
		rows := make([]Ptr, g.mr)
		for i := range rows {
			off := g.signed32(table, i)
			rows[i] = g.indexed(a, off)
			g.op(nil, []vreg{off}, asmf("CMP $0, R%d"))
			g.update(vr(rows[i].op), []vreg{zero}, asmf("CSEL LT, R%[2]d, R%[1]d, R%[1]d"))
		}
		g.AddPtrConst(table, g.mr)
		k := g.ParamInt("tapLen")
		g.While(k, 4, func() {
			g.steps(rows, b, 4)
			g.SubInt(k, 4)
		})
		for _, steps := range []int{2, 1} {
			g.ifBit(k, steps, func() { g.steps(rows, b, steps) })
		}
	})
}

// steps multiplies the next steps of k, 4, 2 or 1.
func (g *gatherNEONBody) steps(rows []Ptr, b Ptr, steps int) {
	size := rowGroup(len(rows), len(rows)*g.vecs, g.vecs)
	for first := 0; first < len(rows); first += size {
		group := rows[first:min(first+size, len(rows))]
		var av []vreg
		for _, row := range group {
			av = append(av, g.loadLanes(row, 0, steps))
			g.AddPtrConst(row, steps)
		}
		for lane := range steps {
			for u := range g.vecs {
				bv := g.Load(b, 4*(lane*g.vecs+u))
				for i := range group {
					g.mulAddElem(g.acc[first+i][u], bv, av[i], lane)
				}
			}
		}
	}
	g.AddPtrConst(b, 4*steps*g.vecs)
}

func (g *gatherNEONBody) finish() {
	clamp := g.label("clamp")
	residual := g.ParamPtr("residual")
	g.branch("CBZ R%d, ", clamp, vr(residual.op))
	g.eachRow(residual, func(row Ptr, i int) {
		for u, v := range g.loadVecs(row, g.vecs) {
			g.Set(g.acc[i][u], g.Add(g.acc[i][u], v))
		}
	})
	g.place(clamp)
	lo, hi := g.ParamF32("lo"), g.ParamF32("hi")
	g.eachRow(g.ParamPtr("c"), func(row Ptr, i int) {
		for u, v := range g.acc[i] {
			g.accumulate(encBIT, v, lo, Vec(g.Less(v, lo)))
			g.accumulate(encBIT, v, hi, Vec(g.Less(hi, v)))
			g.Store(row, 4*u, v)
		}
	})
}

// outerNEON returns the op program of the outer-product tiles with vecs
// vectors.
func outerNEON(vecs int) func(*arm64) {
	return func(m *arm64) {
		nr := 4 * vecs
		m.Func(fmt.Sprintf("OuterGemm8x%d", nr),
			"func(mr int, c *float32, ldc int, a, b *float32, runs *int32, n, aPitch, aStep, bPitch, accumulate int)",
			fmt.Sprintf("OuterGemm8x%d computes a tile of mr rows by %d columns, mr being 8, 4, 3, 2 or 1:", nr, nr),
			"",
			"\tacc[i][j] += a[runs[3*r]*aPitch+p*aStep+i] * b[(runs[3*r+1]+p)*bPitch+j]   for r < n, p < runs[3*r+2] in this order",
			"\tc[i*ldc+j] = acc[i][j] + (accumulate != 0 ? c[i*ldc+j] : 0)",
			"",
			"with one fused multiply-add per product. n >= 0, run lengths > 0. Of tiles with less",
			"than 8 vectors the pixels of a run go to 2 or 4 sums in turn, added in halves.",
		)
		m.chooseRows(outerRowsNEON)
		for _, mr := range outerRowsNEON {
			m.place(rowsLabel(mr))
			m.outerBody(mr, vecs)
		}
	}
}

// outerChains returns the number of partial sums of each element, which take the
// pixels of a run in turn: a Neoverse N1 has eight multiply-adds under way, an Apple M1
// twelve, and small tiles have fewer elements.
func outerChains(mr, vecs int) int {
	if mr*vecs >= 8 {
		return 1
	}
	chains := 1
	for mr*vecs*chains < 12 && chains < 4 {
		chains *= 2
	}
	return chains
}

func (m *arm64) outerBody(mr, vecs int) {
	acc := m.tile(mr, vecs)
	sets := [][][]Vec{acc}
	for range outerChains(mr, vecs) - 1 {
		sets = append(sets, m.tile(mr, vecs))
	}
	runs := m.ParamPtr("runs")
	m.Repeat(m.ParamInt("n"), func() {
		start := func(base, pitch string, off int) Ptr {
			at := m.signed32(runs, off)
			m.update(at, []vreg{m.paramR(pitch)}, asmf("MUL R%[2]d, R%[1]d, R%[1]d"))
			return m.indexed(m.ParamPtr(base), at)
		}
		a, b := start("a", "aPitch", 0), start("b", "bPitch", 1)
		aStep, bPitch, count := m.ParamInt("aStep"), m.ParamInt("bPitch"), Int{m.signed32(runs, 2)}
		m.AddPtrConst(runs, 3)
		pixels := func(n int) {
			for _, acc := range sets[:n] {
				m.mulAddColumn(acc, m.loadVecs(b, vecs), a)
				m.AddPtr(a, aStep)
				m.AddPtr(b, bPitch)
			}
		}
		if len(sets) == 1 {
			m.Repeat(count, func() { pixels(1) })
			return
		}
		m.While(count, len(sets), func() {
			pixels(len(sets))
			m.SubInt(count, len(sets))
		})
		for n := len(sets) / 2; n > 0; n /= 2 {
			m.ifBit(count, n, func() { pixels(n) })
		}
	})
	m.addSets(sets)
	store := fmt.Sprintf("store%d", mr)
	ldc := m.ParamInt("ldc")
	m.branch("CBZ R%d, ", store, m.paramR("accumulate"))
	row := m.ParamPtr("c")
	for i := range acc {
		for u, v := range m.loadVecs(row, vecs) {
			m.Set(acc[i][u], m.Add(acc[i][u], v))
		}
		m.AddPtr(row, ldc)
	}
	m.place(store)
	row = m.ParamPtr("c")
	for i := range acc {
		for u, v := range acc[i] {
			m.Store(row, 4*u, v)
		}
		m.AddPtr(row, ldc)
	}
	m.Ret()
}
