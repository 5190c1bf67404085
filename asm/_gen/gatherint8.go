package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The indirect matrix product of bytes: unsigned activations times signed
// weights, added up in 32 bits. Weights come in groups of four of one column, so
// that one 32-bit lane holds what a row contributes to a column in one step.

// A dotKind is a way to add the products of four pairs of bytes to a lane.
type dotKind uint8

const (
	// words multiplies the bytes widened to 16 bits: even ones, then odd ones.
	// VPMADDUBSW on the bytes themselves would saturate.
	words dotKind = iota
	// vnni is AVX-512 VNNI's VPDPBUSD.
	vnni
)

func (k dotKind) String() string { return [...]string{"Words", "VNNI"}[k] }

// gatherInt8 returns the op program of all tiles of a kind.
func gatherInt8(kind dotKind, bytes bool) func(*amd64) {
	return func(m *amd64) {
		rows := []int{4, 2, 1}
		if m.avx512() {
			rows = []int{12, 4, 1}
		}
		for _, mr := range rows {
			for _, nv := range []int{2, 1} {
				g := gatherInt8Emitter{amd64: m, gatherTile: gatherTile{mr, nv}, kind: kind, bytes: bytes}
				g.emit()
			}
		}
	}
}

type gatherInt8Emitter struct {
	*amd64
	gatherTile
	kind  dotKind
	bytes bool               // results are bytes
	acc   [][]reg.VecVirtual // mr x nv
}

// gatherInt8Doc is the contract of a tile, for all instruction sets.
func gatherInt8Doc(name, mr string, nr int) []string {
	return []string{
		fmt.Sprintf("%s computes a tile of %s rows by %d columns of 32-bit sums:", name, mr, nr),
		"",
		fmt.Sprintf("\tacc[i*%d+j] = bias[j] + sum over t < taps, q < quads, e < 4 of", nr),
		fmt.Sprintf("\t\ta[rows[i]+offsets[t]+4*q+e] * b[4*((t*quads+q)*%d+j)+e]", nr),
		"",
		"with a unsigned and b signed. Sums wrap; no product or partial sum saturates.",
		"taps > 0, quads > 0.",
	}
}

func (g *gatherInt8Emitter) emit() {
	nr := g.nv * g.lanes
	name := fmt.Sprintf("Gather%v%dx%d", g.kind, g.mr, nr)
	if g.bytes {
		name = fmt.Sprintf("Gather%vBytes%dx%d", g.kind, g.mr, nr)
		g.Func(name, "func(dst *uint8, ldc, count int, a *uint8, rows, offsets *int32, b *int8, bias *int32, scale *float32, taps, quads int, zero, low, high uint32)",
			fmt.Sprintf("%s is Gather%v%dx%d whose sums become bytes:", name, g.kind, g.mr, nr),
			"",
			fmt.Sprintf("\tdst[i*ldc+j] = max(low, min(high, round(float32(acc[i*%d+j])*scale[j]) + zero))   for i < count", nr),
			"",
			"ties to even; a product that is NaN or below all integers counts as the least. low and",
			fmt.Sprintf("high hold one byte four times, zero a number of 16 bits twice. count from 1 to %d.", g.mr))
	} else {
		g.Func(name, "func(acc *int32, a *uint8, rows, offsets *int32, b *int8, bias *int32, taps, quads int)",
			gatherInt8Doc(name, fmt.Sprint(g.mr), nr)...)
	}
	bias := g.paramGP("bias")
	g.acc = make([][]reg.VecVirtual, g.mr)
	for i := range g.acc {
		for j := range g.nv {
			v := g.vec()
			g.VMOVUPS(operand.Mem{Base: bias, Disp: 4 * j * g.lanes}, v)
			g.acc[i] = append(g.acc[i], v)
		}
	}
	g.loops(nr)
	if g.bytes {
		g.storeBytes()
		g.Ret()
		return
	}
	acc := g.paramGP("acc")
	for i := range g.mr {
		for j := range g.nv {
			g.VMOVUPS(g.acc[i][j], operand.Mem{Base: acc, Disp: 4 * (i*nr + j*g.lanes)})
		}
	}
	g.Ret()
}

// byteMost is 2^30 as float32: what is not below 2^31 converts to no integer.
const byteMost = 0x4e800000

// storeBytes scales the sums and stores them as bytes, on AVX-512, four vectors at a time: narrowed
// twice, they hold a fourth of each in 128 bits, and a permutation sorts them.
func (g *gatherInt8Emitter) storeBytes() {
	var order [16]uint32
	for i := range order {
		order[i] = uint32(i%4*4 + i/4)
	}
	index, bound := g.vec(), g.vec()
	g.VMOVUPS(g.constTable(order), index)
	g.VBROADCASTSS(g.constMem(byteMost), bound)
	zero, low, high := vec(g.ParamI32("zero")), vec(g.ParamI32("low")), vec(g.ParamI32("high"))
	scale, dst, ldc, left := g.paramGP("scale"), g.paramGP("dst"), g.paramGP("ldc"), g.paramGP("count")
	done := g.label("stored")
	most := g.mr * g.nv
	for first := 0; first < most; first += 4 {
		var list [4]reg.VecVirtual
		for k := range list {
			at := min(first+k, most-1)
			list[k] = g.acc[at/g.nv][at%g.nv]
			if at < first+k {
				continue // of the last one again
			}
			g.VCVTDQ2PS(list[k], list[k])
			g.VMULPS(operand.Mem{Base: scale, Disp: 4 * (at % g.nv) * g.lanes}, list[k], list[k])
			g.VMINPS(list[k], bound, list[k]) // NaN stays NaN
			g.VCVTPS2DQ(list[k], list[k])
		}
		a, b := g.vec(), g.vec()
		g.VPACKSSDW(list[1], list[0], a)
		g.VPACKSSDW(list[3], list[2], b)
		g.VPADDSW(zero, a, a)
		g.VPADDSW(zero, b, b)
		g.VPACKUSWB(b, a, a)
		g.VPMAXUB(low, a, a)
		g.VPMINUB(high, a, a)
		g.VPERMD(a, index, a)
		g.storeRows(a, first, dst, ldc, left, done)
	}
	g.Label(done)
}

// storeRows stores the bytes of the rows from vector first of the tile on.
func (g *gatherInt8Emitter) storeRows(v reg.VecVirtual, first int, dst, ldc, left reg.GPVirtual, done string) {
	for r := range min(4/g.nv, g.mr-first/g.nv) {
		if first+r > 0 {
			g.DECQ(left)
			g.JZ(operand.LabelRef(done))
		}
		mem := operand.Mem{Base: dst}
		switch {
		case r == 0 && g.nv == 2:
			g.VMOVUPS(v.AsY(), mem)
		case r == 0:
			g.VMOVUPS(v.AsX(), mem)
		case g.nv == 2:
			g.VEXTRACTF64X4(operand.Imm(1), v, mem)
		default:
			g.VEXTRACTF32X4(operand.Imm(uint64(r)), v, mem)
		}
		if first/g.nv+r < g.mr-1 {
			g.ADDQ(ldc, dst)
		}
	}
}

// loops runs over the taps and the groups of four bytes in a tap. As in
// gatherGemm, what changes from tap to tap lives in the arguments' stack slots.
func (g *gatherInt8Emitter) loops(nr int) {
	offsets, taps, quads := g.addr(g.Param("offsets")), g.addr(g.Param("taps")), g.addr(g.Param("quads"))
	b := g.paramGP("b")
	tap := g.label("tap")
	g.Label(tap)
	g.Comment("ptr[i]: past the end of the tap in row i")
	base, rows, off := g.GP64(), g.paramGP("rows"), g.GP64()
	g.MOVQ(quads, base)
	g.SHLQ(operand.Imm(2), base)
	g.ADDQ(g.addr(g.Param("a")), base)
	g.MOVQ(offsets, off)
	g.ADDQ(operand.Imm(4), offsets)
	g.MOVLQSX(operand.Mem{Base: off}, off)
	g.ADDQ(off, base)
	ptr := make([]reg.GPVirtual, g.mr)
	for i := range ptr {
		ptr[i] = g.GP64()
		g.MOVLQSX(operand.Mem{Base: rows, Disp: 4 * i}, ptr[i])
		g.ADDQ(base, ptr[i])
	}
	k := g.GP64()
	g.XORQ(k, k)
	g.SUBQ(quads, k)
	loop := g.label("k")
	g.Label(loop)
	g.step(b, k, ptr)
	g.ADDQ(operand.I32(4*nr), b)
	g.INCQ(k)
	g.JNZ(operand.LabelRef(loop))
	g.DECQ(taps)
	g.JNZ(operand.LabelRef(tap))
}

// step multiplies four bytes of each row with four rows of the panel.
func (g *gatherInt8Emitter) step(b, k reg.GPVirtual, ptr []reg.GPVirtual) {
	even, odd := make([]reg.VecVirtual, g.nv), make([]reg.VecVirtual, g.nv)
	for j := range g.nv {
		even[j] = g.vec()
		g.VMOVUPS(operand.Mem{Base: b, Disp: 4 * j * g.lanes}, even[j])
		if g.kind == words {
			odd[j] = g.vec()
			g.VPSRAW(operand.Imm(8), even[j], odd[j])
			g.VPSLLW(operand.Imm(8), even[j], even[j])
			g.VPSRAW(operand.Imm(8), even[j], even[j])
		}
	}
	for i := range g.mr {
		va := g.vec()
		g.VBROADCASTSS(operand.Mem{Base: ptr[i], Index: k, Scale: 4}, va)
		if g.kind == vnni {
			for j := range g.nv {
				g.dotBytes(even[j], va, g.acc[i][j])
			}
			continue
		}
		high, t := g.vec(), g.vec()
		g.VPSRLW(operand.Imm(8), va, high)
		g.VPSLLW(operand.Imm(8), va, va)
		g.VPSRLW(operand.Imm(8), va, va)
		for j := range g.nv {
			g.VPMADDWD(even[j], va, t)
			g.VPADDD(t, g.acc[i][j], g.acc[i][j])
			g.VPMADDWD(odd[j], high, t)
			g.VPADDD(t, g.acc[i][j], g.acc[i][j])
		}
	}
}

// dotBytes emits acc += a * b by lanes of four bytes, a unsigned and b signed:
// VPDPBUSD, which avo does not know.
func (m *amd64) dotBytes(b, a, acc reg.VecVirtual) {
	m.Instruction(&ir.Instruction{
		Opcode:   "VPDPBUSD",
		Operands: []operand.Op{b, a, acc},
		Inputs:   []operand.Op{b, a, acc},
		Outputs:  []operand.Op{acc},
		ISA:      []string{"AVX512_VNNI"},
	})
}
