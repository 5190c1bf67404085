package gen

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A gemmTile describes a family of matrix-multiply kernels: one function that
// holds a tile body for each row count from maxRows down to 1.
//
// The register tile of body r is r rows of vecs vectors, row i in acc[i]. Each
// step of k loads one row of B into bv, then broadcasts one element of A at a
// time into av:
//
//	          bv[0]      bv[1]
//	av  x   acc[0][0]  acc[0][1]
//	av  x   acc[1][0]  acc[1][1]
//	           ...
//
// maxRows*vecs accumulators, vecs of B and one of A must fit the register file.
type gemmTile struct {
	maxRows, vecs int
	// masked kernels take the number of columns n, 0 < n <= columns, and
	// touch no memory of B, C, D or bias beyond them.
	masked bool
	// chains is 2 if even and odd steps of k are summed apart. Zero means 1.
	chains int
}

// gemm returns the op program of a tile family, after the scheme of BLIS with
// rows and columns exchanged: an outer product per step of k, accumulators in
// registers throughout.
func gemm(t gemmTile) func(*amd64) {
	return func(m *amd64) {
		g := &gemmProgram{amd64: m, gemmTile: t}
		g.begin()
		for r := t.maxRows; r > 0; r-- {
			g.body(r)
		}
		g.Label("done")
		g.Ret()
	}
}

// gemmProgram is the state of one function being emitted. The strides are in
// bytes.
type gemmProgram struct {
	*amd64
	gemmTile
	tiles, less reg.GPVirtual // tiles left of this and of one row less
	a, c        reg.GPVirtual // current tile's first element
	rsa         [8]reg.GPVirtual
	csa, ldb    reg.GPVirtual
	// On the stack, since each is needed once in stepsPerRow steps of k: the next row
	// of C to prefetch and their distance, the next row of next, their distance and
	// how many are left, and how often there is time for a row in this tile.
	rowC, ldc, next, ldNext, leftNext, slots operand.Mem
}

func (g *gemmProgram) begin() {
	columns := g.vecs * g.lanes
	name := fmt.Sprintf("Gemm%dx%d", g.maxRows, columns)
	signature, doc := gemmContract(name, g.gemmTile, columns)
	g.Func(name, signature, doc...)
	rows := g.paramGP("rows")
	g.tiles, g.less = g.paramGP("tiles"), g.paramGP("less")
	g.a, g.c = g.paramGP("a"), g.paramGP("c")
	g.csa, g.ldb = g.bytes("csa"), g.bytes("ldb")
	g.rsa[1] = g.bytes("rsa")
	for _, f := range []int{3, 5} {
		if g.maxRows > f {
			g.rsa[f] = g.GP64()
			g.LEAQ(operand.Mem{Base: g.rsa[1], Index: g.rsa[1], Scale: uint8(f - 1)}, g.rsa[f])
		}
	}
	if g.maxRows > 7 {
		g.rsa[7] = g.GP64()
		g.LEAQ(operand.Mem{Base: g.rsa[3], Index: g.rsa[1], Scale: 4}, g.rsa[7])
	}
	if g.masked {
		g.setTail(g.ParamInt("n"))
	}
	for _, slot := range []*operand.Mem{&g.rowC, &g.ldc, &g.next, &g.ldNext, &g.leftNext, &g.slots} {
		*slot = g.AllocLocal(8)
	}
	g.MOVQ(g.bytes("ldc"), g.ldc)
	g.MOVQ(g.paramGP("next"), g.next)
	g.MOVQ(g.bytes("ldNext"), g.ldNext)
	g.MOVQ(g.paramGP("rowsNext"), g.leftNext)
	for r := g.maxRows; r > 1; r-- {
		g.CMPQ(rows, operand.Imm(uint64(r)))
		g.JEQ(operand.LabelRef(rowsLabel(r)))
	}
	g.JMP(operand.LabelRef(rowsLabel(1)))
}

// gemmContract returns the signature and the doc comment of a tile family, the
// same on every instruction set.
func gemmContract(name string, t gemmTile, columns int) (signature string, doc []string) {
	n, width := "", fmt.Sprintf("j < %d", columns)
	if t.masked {
		n, width = "n, ", "j < n"
	}
	doc = []string{
		name + " multiplies consecutive row tiles of A with one panel of B:",
		"tiles tiles of rows rows each, then less tiles of rows-1 rows.",
		fmt.Sprintf("For each row i of them and each column %s it computes", width),
		"",
		"\ts := sum over p < k of a[i*rsa+p*csa] * b[p*ldb+j]",
		"\ts = alpha*s",
		"\tif beta != 0 { s += beta*d[i*ldc+j] }",
		"\tif bias != nil { s += bias[j] }",
		"\tif clamp != nil { s = min(max(s, clamp[0]), clamp[1]) }",
		"\tc[i*ldc+j] = s",
		"",
		fmt.Sprintf("with 0 < rows <= %d, tiles >= 0, less >= 0 (0 if rows is 1), k > 0. The rows", t.maxRows),
		"of A follow each other, or if pitch is not 0, each tile's begin pitch elements behind",
		"those of the one before. Meanwhile rowsNext rows of as many columns, ldNext apart,",
		"may be fetched from next into a cache; they need not exist.",
	}
	if t.masked {
		doc = append(doc, fmt.Sprintf("0 < n <= %d; nothing of b, c, d or bias beyond column n is touched.", columns))
	}
	chains := []string{
		"The sum is one chain of fused multiply-adds in ascending p, so an element",
		"does not depend on the tile it falls in;",
	}
	if t.chains == 2 {
		chains = []string{
			"The sum is a chain of fused multiply-adds over even p plus one over odd p, so an",
			"element does not depend on the height of the tile it falls in;",
		}
	}
	chains[1] += " += beta*d is fused, too. NaN"
	doc = append(doc, "d may be c; otherwise c overlaps nothing. All strides are in elements.")
	doc = append(doc, chains...)
	doc = append(doc,
		"passes through clamp. The call cannot be preempted: the caller keeps",
		"(tiles*rows)*k small enough.")
	return "func(" + n + "rows, tiles, less, k int, alpha float32, a *float32, rsa, csa int, " +
		"b *float32, ldb int, beta float32, d, c *float32, ldc int, bias *float32, clamp *[2]float32, " +
		"pitch int, next *float32, ldNext, rowsNext int)", doc
}

// bytes loads an element count and returns it in bytes.
func (g *gemmProgram) bytes(param string) reg.GPVirtual {
	r := g.paramGP(param)
	g.SHLQ(operand.Imm(2), r)
	return r
}

func rowsLabel(r int) string { return fmt.Sprintf("rows%d", r) }

// body emits the loop over the tiles of r rows.
func (g *gemmProgram) body(r int) {
	g.Label(rowsLabel(r))
	g.Comment("Tiles of %d rows.", r)
	g.TESTQ(g.tiles, g.tiles)
	next := "done"
	if r > 1 {
		next = fmt.Sprintf("next%d", r)
	}
	g.JZ(operand.LabelRef(next))
	g.Label(fmt.Sprintf("tile%d", r))
	acc := make([][]reg.VecVirtual, r)
	for i := range acc {
		for range g.vecs {
			v := g.vec()
			g.VXORPS(v, v, v)
			acc[i] = append(acc[i], v)
		}
	}
	g.accumulate(r, acc)
	g.epilogue(r, acc)
	g.store(acc)
	step, pitch := g.GP64(), g.bytes("pitch")
	g.IMUL3Q(operand.I32(int32(r)), g.rsa[1], step)
	g.TESTQ(pitch, pitch)
	g.CMOVQNE(pitch, step)
	g.ADDQ(step, g.a)
	g.DECQ(g.tiles)
	g.JNZ(operand.LabelRef(fmt.Sprintf("tile%d", r)))
	if r > 1 {
		g.Label(next)
		g.MOVQ(g.less, g.tiles)
		g.XORQ(g.less, g.less)
	}
}

// stepsPerRow is how many steps of k go by for each row that is prefetched, so that
// the loads of the product do not queue behind those of a whole tile.
func (g *gemmProgram) stepsPerRow() int {
	if g.avx512() {
		return 4
	}
	return 8
}

// soonC is how many rows of steps before the end the prefetch of C is complete.
const soonC = 2

// prefetchRow asks for a row of a tile, which may start anywhere in a cache line, and
// moves row by ld.
func (g *gemmProgram) prefetchRow(f func(operand.Op), row reg.GPVirtual, ld operand.Mem) {
	size := g.vecs * g.lanes * 4
	for off := 0; off < size; off += 64 {
		f(operand.Mem{Base: row, Disp: off})
	}
	f(operand.Mem{Base: row, Disp: size - 1})
	g.ADDQ(ld, row)
}

// beginRows divides the k steps of a tile of r rows into a first part, whose length
// it leaves in k, and slots for rows to prefetch. Where there are too few for the
// tile of C, it asks for that at once.
func (g *gemmProgram) beginRows(r int, k reg.GPVirtual) {
	steps := g.stepsPerRow()
	row, slots := g.copyGP(g.c), g.copyGP(k)
	spread := operand.LabelRef(fmt.Sprintf("spread%d", r))
	g.DECQ(slots)
	g.SHRQ(operand.Imm(uint64(bits.TrailingZeros(uint(steps)))), slots)
	g.MOVQ(slots, g.slots)
	g.CMPQ(slots, operand.Imm(uint64(r+soonC)))
	g.JGE(spread)
	for range r {
		g.prefetchRow(g.PREFETCHT0, row, g.ldc)
	}
	g.Label(string(spread))
	g.MOVQ(row, g.rowC)
	g.SHLQ(operand.Imm(uint64(bits.TrailingZeros(uint(steps)))), slots)
	g.SUBQ(slots, k)
}

// nextRows prefetches a row of C for the last slots of a tile, and one of next while
// there are any, and jumps back to loop unless the slots are used up. Register k is
// free between the parts of the loop.
func (g *gemmProgram) nextRows(r int, k reg.GPVirtual, loop string) {
	label := func(stem string) operand.LabelRef { return operand.LabelRef(fmt.Sprintf("%s%d", stem, r)) }
	g.DECQ(g.slots)
	g.JLT(label("summed"))
	g.CMPQ(g.slots, operand.Imm(uint64(r+soonC)))
	g.JGE(label("early"))
	g.MOVQ(g.rowC, k)
	g.prefetchRow(g.PREFETCHT0, k, g.ldc)
	g.MOVQ(k, g.rowC)
	g.Label(string(label("early")))
	g.DECQ(g.leftNext)
	g.JLT(label("fetched"))
	g.MOVQ(g.next, k)
	g.prefetchRow(g.PREFETCHT1, k, g.ldNext)
	g.MOVQ(k, g.next)
	g.Label(string(label("fetched")))
	g.MOVQ(operand.I32(int32(g.stepsPerRow())), k)
	g.JMP(operand.LabelRef(loop))
	g.Label(string(label("summed")))
}

// accumulate emits the loop over k. Rows from 9 on are addressed from a second
// pointer, the others as multiples 1, 2, 4, 8 of rsa, 3*rsa, 5*rsa and 7*rsa.
func (g *gemmProgram) accumulate(r int, acc [][]reg.VecVirtual) {
	const second = 9
	k := g.paramGP("k")
	g.beginRows(r, k)
	pa, pb := g.copyGP(g.a), g.paramGP("b")
	var pa2 reg.GPVirtual
	if r > second {
		pa2 = g.GP64()
		g.LEAQ(operand.Mem{Base: pa, Index: g.rsa[1], Scale: 8}, pa2)
		g.ADDQ(g.rsa[1], pa2)
	}
	loop := fmt.Sprintf("k%d", r)
	g.Label(loop)
	bv := make([]reg.VecVirtual, g.vecs)
	for u := range bv {
		bv[u] = g.loadColumns(operand.Mem{Base: pb, Disp: u * g.lanes * 4}, u)
	}
	if !g.masked {
		g.Comment("From the second-level cache: rows of B in eight steps.")
		for off := 0; off < g.vecs*g.lanes*4; off += 64 {
			g.PREFETCHT0(operand.Mem{Base: pb, Index: g.ldb, Scale: 8, Disp: off})
		}
	}
	for i := range r {
		base, row := pa, i
		if i >= second {
			base, row = pa2, i-second
		}
		if g.vecs == 1 && g.avx512() {
			g.VFMADD231PS_BCST(g.rowMem(base, row), bv[0], acc[i][0])
			continue
		}
		av := g.vec()
		g.VBROADCASTSS(g.rowMem(base, row), av)
		for u := range bv {
			g.VFMADD231PS(bv[u], av, acc[i][u])
		}
	}
	g.ADDQ(g.csa, pa)
	if r > second {
		g.ADDQ(g.csa, pa2)
	}
	g.ADDQ(g.ldb, pb)
	g.DECQ(k)
	g.JNZ(operand.LabelRef(loop))
	g.nextRows(r, k, loop)
}

// rowMem returns the address base + row*rsa, row < 9.
func (g *gemmProgram) rowMem(base reg.GPVirtual, row int) operand.Mem {
	if row == 0 {
		return operand.Mem{Base: base}
	}
	for _, f := range []int{1, 3, 5, 7} {
		if row%f == 0 {
			switch s := row / f; s {
			case 1, 2, 4, 8:
				return operand.Mem{Base: base, Index: g.rsa[f], Scale: uint8(s)}
			}
		}
	}
	panic("gemm: no address for this row")
}

// partial tells whether vector u of a row may reach beyond column n.
func (g *gemmProgram) partial(u int) bool { return g.masked && u == g.vecs-1 }

// loadColumns loads vector u of a row, zeros beyond column n.
func (g *gemmProgram) loadColumns(mem operand.Mem, u int) reg.VecVirtual {
	v := g.vec()
	switch {
	case !g.partial(u):
		g.VMOVUPS(mem, v)
	case g.avx512():
		g.VMOVUPS_Z(mem, g.tail, v)
	default:
		g.VMASKMOVPS(mem, g.tail, v)
	}
	return v
}

// eachRow calls f with the address of each row of the tile in the matrix at
// pointer p, which has leading dimension ldc. It leaves p behind the last row.
func (g *gemmProgram) eachRow(p reg.GPVirtual, acc [][]reg.VecVirtual, f func(mem operand.Mem, i, u int)) {
	ldc := g.bytes("ldc")
	for i := range acc {
		for u := range acc[i] {
			f(operand.Mem{Base: p, Disp: u * g.lanes * 4}, i, u)
		}
		g.ADDQ(ldc, p)
	}
}

func (g *gemmProgram) epilogue(r int, acc [][]reg.VecVirtual) {
	skip := func(stem string) operand.LabelRef { return operand.LabelRef(fmt.Sprintf("%s%d", stem, r)) }

	g.CMPL(g.addr(g.Param("alpha")), operand.U32(0x3f800000))
	g.JEQ(skip("scaled"))
	alpha := vec(g.ParamF32("alpha"))
	g.each(acc, func(i, u int) { g.VMULPS(alpha, acc[i][u], acc[i][u]) })
	g.Label(string(skip("scaled")))

	bits := g.GP32()
	g.MOVL(g.addr(g.Param("beta")), bits)
	g.ADDL(bits, bits)
	g.JZ(skip("added"))
	beta := vec(g.ParamF32("beta"))
	d := g.paramGP("d")
	g.SUBQ(g.addr(g.Param("c")), d)
	g.ADDQ(g.c, d)
	g.eachRow(d, acc, func(mem operand.Mem, i, u int) {
		if g.partial(u) {
			g.VFMADD231PS(g.loadColumns(mem, u), beta, acc[i][u])
		} else {
			g.VFMADD231PS(mem, beta, acc[i][u])
		}
	})
	g.Label(string(skip("added")))

	bias := g.paramGP("bias")
	g.TESTQ(bias, bias)
	g.JZ(skip("biased"))
	for u := range g.vecs {
		v := g.loadColumns(operand.Mem{Base: bias, Disp: u * g.lanes * 4}, u)
		for i := range acc {
			g.VADDPS(v, acc[i][u], acc[i][u])
		}
	}
	g.Label(string(skip("biased")))

	clamp := g.paramGP("clamp")
	g.TESTQ(clamp, clamp)
	g.JZ(skip("clamped"))
	lo, hi := g.vec(), g.vec()
	g.VBROADCASTSS(operand.Mem{Base: clamp}, lo)
	g.VBROADCASTSS(operand.Mem{Base: clamp, Disp: 4}, hi)
	g.Comment("The value is the second source: VMAXPS and VMINPS return it if it is NaN.")
	g.each(acc, func(i, u int) { g.VMAXPS(acc[i][u], lo, acc[i][u]) })
	g.each(acc, func(i, u int) { g.VMINPS(acc[i][u], hi, acc[i][u]) })
	g.Label(string(skip("clamped")))
}

func (g *gemmProgram) each(acc [][]reg.VecVirtual, f func(i, u int)) {
	for i := range acc {
		for u := range acc[i] {
			f(i, u)
		}
	}
}

// store writes the tile and advances c behind its last row.
func (g *gemmProgram) store(acc [][]reg.VecVirtual) {
	g.eachRow(g.c, acc, func(mem operand.Mem, i, u int) {
		switch {
		case !g.partial(u):
			g.VMOVUPS(acc[i][u], mem)
		case g.avx512():
			g.VMOVUPS(acc[i][u], g.tail, mem)
		default:
			g.VMASKMOVPS(acc[i][u], g.tail, mem)
		}
	})
}
