package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The indirect GEMM tile. Rows of A are not a matrix: for each tap, a table
// gives where the tap's floats start for each row of the tile.

// The bits of a kernel's flags.
const (
	gatherAccumulate = 1 << iota
	gatherClamp
	gatherStream
	gatherFetch
)

// gatherSkip is the table entry of a tap that is left out.
const gatherSkip = -2

// A gatherTile is the geometry of one kernel: mr rows by nv vectors.
type gatherTile struct{ mr, nv int }

// gatherTiles are made so that the largest keeps 24 (AVX-512) or 12 (AVX2)
// accumulators, two vectors of B and a broadcast of A in registers; the others
// serve the last rows and the last columns, and pixels at the edges of a map, which
// leave out the same taps.
func gatherTiles(lanes int) []gatherTile {
	rows := []int{6, 5, 4, 2}
	if lanes == 16 {
		rows = []int{12, 8, 7, 6, 5, 4}
	}
	var tiles []gatherTile
	for _, mr := range rows {
		tiles = append(tiles, gatherTile{mr, 2}, gatherTile{mr, 1})
	}
	return tiles
}

func gatherGemm(m *amd64) {
	for _, tile := range gatherTiles(m.lanes) {
		g := gatherEmitter{amd64: m, gatherTile: tile}
		g.emit()
	}
}

type gatherEmitter struct {
	*amd64
	gatherTile
	acc [][]reg.VecVirtual // mr x nv
}

func (g *gatherEmitter) emit() {
	nr := g.nv * g.lanes
	name := fmt.Sprintf("GatherGemm%dx%d", g.mr, nr)
	g.Func(name, "func(c *float32, rows *int32, a *float32, table *int32, zero *float32, b *float32, bias, residual *float32, taps, tapLen, cols, tiles, flags int, lo, hi float32)",
		fmt.Sprintf("%s computes tiles of %d rows by cols <= %d columns, the first of them", name, g.mr, nr),
		"",
		"\tacc[i][j] = flags&1 != 0 ? c[rows[i]+j] : bias != nil ? bias[j] : 0",
		fmt.Sprintf("\tacc[i][j] += a[table[t*%d+i]+k] * b[(t*tapLen+k)*%d+j]   for t < taps, k < tapLen in this order", g.mr, nr),
		"\tc[rows[i]+j] = min(hi, max(lo, acc[i][j] + (residual != nil ? residual[rows[i]+j] : 0)))",
		"",
		fmt.Sprintf("the others with the next %d rows and %d*taps entries of table, tiles > 0, with one", g.mr, g.mr),
		"fused multiply-add per product. A negative table entry stands for",
		fmt.Sprintf("zero, which must hold tapLen zeros, and %d in a tap's first one leaves out the", gatherSkip),
		"tap. taps >= 0, tapLen > 0. b holds whole",
		"panel rows whatever cols is. Rows may repeat: all of c is read before it is",
		"written. NaN passes through min and max, which are left out unless flags&2 != 0.",
		fmt.Sprintf("If flags&4 != 0 and cols = %d, stores pass the caches: c must be aligned to a", nr),
		"vector, rows be whole vectors, and StreamFence must follow. With flags&8 it asks for",
		"the lines of c that the next tile writes.",
	)
	g.acc = make([][]reg.VecVirtual, g.mr)
	for i := range g.acc {
		for range g.nv {
			g.acc[i] = append(g.acc[i], g.vec())
		}
	}
	g.Comment("a, zero: pointers past the end of a tap")
	tapLen := g.paramGP("tapLen")
	g.SHLQ(operand.Imm(2), tapLen)
	g.ADDQ(tapLen, g.addr(g.Param("a")))
	g.ADDQ(tapLen, g.addr(g.Param("zero")))
	tile := g.label("tile")
	g.Label(tile)
	g.eitherWidth(nr, g.start)
	g.fetchNext(nr)
	g.loops(nr)
	g.eitherWidth(nr, g.finish)
	g.ADDQ(operand.I32(4*g.mr), g.addr(g.Param("rows")))
	g.DECQ(g.addr(g.Param("tiles")))
	g.JNZ(operand.LabelRef(tile))
	g.Ret()
}

// eitherWidth emits body twice: for cols = nr and, masked, for fewer.
func (g *gatherEmitter) eitherWidth(nr int, body func(w width)) {
	partial, done := g.label("partial"), g.label("done")
	cols := g.paramGP("cols")
	g.CMPQ(cols, operand.I32(nr))
	g.JL(operand.LabelRef(partial))
	body(width{m: g.amd64})
	g.JMP(operand.LabelRef(done))
	g.Label(partial)
	body(width{m: g.amd64, masked: true})
	g.Label(done)
}

// start sets the accumulators.
func (g *gatherEmitter) start(w width) {
	fresh, zero, done := g.label("fresh"), g.label("zero"), g.label("started")
	g.TESTQ(operand.I32(gatherAccumulate), g.paramGP("flags"))
	g.JZ(operand.LabelRef(fresh))
	c, rows := g.paramGP("c"), g.paramGP("rows")
	for j := range g.nv {
		w.column(j)
		for i := range g.mr {
			w.load(g.row(c, rows, i, j), g.acc[i][j])
		}
	}
	g.JMP(operand.LabelRef(done))
	g.Label(fresh)
	bias := g.paramGP("bias")
	g.TESTQ(bias, bias)
	g.JZ(operand.LabelRef(zero))
	for j := range g.nv {
		w.column(j)
		w.load(operand.Mem{Base: bias, Disp: 4 * j * g.lanes}, g.acc[0][j])
		for i := 1; i < g.mr; i++ {
			g.VMOVAPS(g.acc[0][j], g.acc[i][j])
		}
	}
	g.JMP(operand.LabelRef(done))
	g.Label(zero)
	for j := range g.nv {
		for i := range g.mr {
			g.VXORPS(g.acc[i][j].AsX(), g.acc[i][j].AsX(), g.acc[i][j].AsX())
		}
	}
	g.Label(done)
}

// row returns the address of vector j of row i of the matrix at base.
func (g *gatherEmitter) row(base, rows reg.GPVirtual, i, j int) operand.Mem {
	off := g.GP64()
	g.MOVLQSX(operand.Mem{Base: rows, Disp: 4 * i}, off)
	return operand.Mem{Base: base, Index: off, Scale: 4, Disp: 4 * j * g.lanes}
}

// loops runs over the taps and, within a tap, over its floats. The pointers of
// the rows and one index take nearly all general registers, so what changes
// only from tap to tap lives in the arguments' stack slots.
func (g *gatherEmitter) loops(nr int) {
	table, zero, taps := g.addr(g.Param("table")), g.addr(g.Param("zero")), g.addr(g.Param("taps"))
	tapLen := g.addr(g.Param("tapLen"))
	b := g.paramGP("b")
	tap, done, left, count := g.label("tap"), g.label("tapsdone"), g.AllocLocal(8), g.GP64()
	g.MOVQ(taps, count)
	g.TESTQ(count, count)
	g.JZ(operand.LabelRef(done))
	g.MOVQ(count, left)

	g.Label(tap)
	a, tab := g.paramGP("a"), g.paramGP("table")
	ptr := make([]reg.GPVirtual, g.mr)
	skip, next := g.label("skip"), g.label("next")
	for i := range ptr {
		ptr[i] = g.GP64()
		g.MOVLQSX(operand.Mem{Base: tab, Disp: 4 * i}, ptr[i])
		if i == 0 {
			g.CMPQ(ptr[i], operand.I32(gatherSkip))
			g.JE(operand.LabelRef(skip))
		}
		g.TESTQ(ptr[i], ptr[i])
		g.LEAQ(operand.Mem{Base: a, Index: ptr[i], Scale: 4}, ptr[i])
		g.CMOVQLT(zero, ptr[i])
	}
	k := g.GP64()
	g.XORQ(k, k)
	g.SUBQ(tapLen, k)
	loop := g.label("k")
	g.Label(loop)
	vb := make([]reg.VecVirtual, g.nv)
	for j := range vb {
		vb[j] = g.vec()
		g.VMOVUPS(operand.Mem{Base: b, Disp: 4 * j * g.lanes}, vb[j])
	}
	for i := range g.mr {
		mem := operand.Mem{Base: ptr[i], Index: k, Scale: 4}
		if g.nv == 1 && g.avx512() {
			g.VFMADD231PS_BCST(mem, vb[0], g.acc[i][0])
			continue
		}
		va := g.vec()
		g.VBROADCASTSS(mem, va)
		for j := range vb {
			g.VFMADD231PS(va, vb[j], g.acc[i][j])
		}
	}
	g.ADDQ(operand.I32(4*nr), b)
	g.INCQ(k)
	g.JNZ(operand.LabelRef(loop))
	g.Label(next)
	g.ADDQ(operand.Imm(uint64(4*g.mr)), table)
	g.DECQ(left)
	g.JNZ(operand.LabelRef(tap))
	g.JMP(operand.LabelRef(done))
	g.Label(skip)
	size := g.paramGP("tapLen")
	g.IMUL3Q(operand.I32(int32(4*nr)), size, size)
	g.ADDQ(size, b)
	g.JMP(operand.LabelRef(next))
	g.Label(done)
}

// fetchNext asks for the lines of C of the next tile.
func (g *gatherEmitter) fetchNext(nr int) {
	done := g.label("fetched")
	g.TESTQ(operand.I32(gatherFetch), g.paramGP("flags"))
	g.JZ(operand.LabelRef(done))
	g.CMPQ(g.addr(g.Param("tiles")), operand.Imm(1))
	g.JE(operand.LabelRef(done))
	c, rows := g.paramGP("c"), g.paramGP("rows")
	for i := range g.mr {
		mem := g.row(c, rows, g.mr+i, 0)
		for at := 0; at < nr; at += lineFloats {
			g.PREFETCHT0(mem.Offset(4 * at))
		}
	}
	g.Label(done)
}

// finish adds the residual, clamps and stores.
func (g *gatherEmitter) finish(w width) {
	store := g.label("store")
	residual, rows := g.paramGP("residual"), g.paramGP("rows")
	g.TESTQ(residual, residual)
	g.JZ(operand.LabelRef(store))
	for j := range g.nv {
		w.column(j)
		for i := range g.mr {
			v := g.vec()
			w.load(g.row(residual, rows, i, j), v)
			g.VADDPS(v, g.acc[i][j], g.acc[i][j])
		}
	}
	g.Label(store)
	plain, flags := g.label("plain"), g.paramGP("flags")
	g.TESTQ(operand.I32(gatherClamp), flags)
	g.JZ(operand.LabelRef(plain))
	lo, hi := vec(g.ParamF32("lo")), vec(g.ParamF32("hi"))
	for i := range g.mr {
		for j := range g.nv {
			g.VMAXPS(g.acc[i][j], lo, g.acc[i][j])
			g.VMINPS(g.acc[i][j], hi, g.acc[i][j])
		}
	}
	g.Label(plain)
	c := g.paramGP("c")
	if w.masked {
		for j := range g.nv {
			w.column(j)
			for i := range g.mr {
				w.store(g.acc[i][j], g.row(c, rows, i, j))
			}
		}
		return
	}
	stream, done := g.label("stream"), g.label("stored")
	g.TESTQ(operand.I32(gatherStream), flags)
	g.JNZ(operand.LabelRef(stream))
	g.storeRows(c, rows, func(v reg.VecVirtual, mem operand.Mem) { g.VMOVUPS(v, mem) })
	g.JMP(operand.LabelRef(done))
	g.Label(stream)
	g.storeRows(c, rows, func(v reg.VecVirtual, mem operand.Mem) { g.VMOVNTPS(v, mem) })
	g.Label(done)
}

// storeRows stores whole rows of the tile, line after line.
func (g *gatherEmitter) storeRows(c, rows reg.GPVirtual, store func(v reg.VecVirtual, mem operand.Mem)) {
	for i := range g.mr {
		mem := g.row(c, rows, i, 0)
		for j := range g.nv {
			store(g.acc[i][j], mem.Offset(4*j*g.lanes))
		}
	}
}

// A width loads and stores vectors of a panel row, whole or cut at the
// parameter cols.
type width struct {
	m      *amd64
	masked bool
	mask   reg.Register
}

// column prepares for vector j of a row.
func (w *width) column(j int) {
	if !w.masked {
		return
	}
	m := w.m
	n, limit := m.paramGP("cols"), m.GP64()
	if j > 0 {
		m.SUBQ(operand.I32(j*m.lanes), n)
	}
	m.XORQ(limit, limit)
	m.TESTQ(n, n)
	m.CMOVQLT(limit, n)
	m.MOVQ(operand.I32(m.lanes), limit)
	m.CMPQ(n, limit)
	m.CMOVQGT(limit, n)
	m.setTail(Int{n})
	w.mask = m.tail
}

func (w *width) load(mem operand.Mem, v reg.VecVirtual) {
	switch {
	case !w.masked:
		w.m.VMOVUPS(mem, v)
	case w.m.avx512():
		w.m.VMOVUPS_Z(mem, w.mask, v)
	default:
		w.m.VMASKMOVPS(mem, w.mask, v)
	}
}

func (w *width) store(v reg.VecVirtual, mem operand.Mem) {
	switch {
	case !w.masked:
		w.m.VMOVUPS(v, mem)
	case w.m.avx512():
		w.m.VMOVUPS(v, w.mask, mem)
	default:
		w.m.VMASKMOVPS(v, w.mask, mem)
	}
}

func prefetchRows(m *amd64) {
	m.Func("PrefetchRows", "func(x *float32, rows *int32, count, lines int)",
		"PrefetchRows asks for so many cache lines of 64 bytes, lines > 0, from x[rows[i]] on,",
		"for i < count. It never faults. A negative offset counts as 0.")
	x, rows, zero := m.paramGP("x"), m.paramGP("rows"), m.GP64()
	m.XORQ(zero, zero)
	lines := m.paramGP("lines")
	m.Repeat(Int{m.paramGP("count")}, func() {
		at := m.GP64()
		m.MOVLQSX(operand.Mem{Base: rows}, at)
		m.TESTQ(at, at)
		m.CMOVQLT(zero, at)
		m.LEAQ(operand.Mem{Base: x, Index: at, Scale: 4}, at)
		m.Repeat(Int{lines}, func() {
			m.PREFETCHT0(operand.Mem{Base: at})
			m.ADDQ(operand.Imm(4*lineFloats), at)
		})
		m.ADDQ(operand.Imm(4), rows)
	})
	m.Ret()
}
