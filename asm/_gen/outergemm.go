package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The outer-product tile: the sum over pixels of a column of A times a row of B,
// over runs of pixels listed in a table.

// outerRows are the heights that cover the usual channel counts exactly: 9 and
// 3 are a 3-wide filter row of one or three channels.
func outerRows(lanes int) []int {
	if lanes == 16 {
		return []int{12, 9, 8, 4, 2, 1}
	}
	return []int{6, 4, 3, 2, 1}
}

func outerGemm(m *amd64) {
	for _, mr := range outerRows(m.lanes) {
		outerTile(m, mr, 2)
		outerTile(m, mr, 1)
	}
}

func outerTile(m *amd64, mr, nv int) {
	nr := nv * m.lanes
	name := fmt.Sprintf("OuterGemm%dx%d", mr, nr)
	m.Func(name, "func(c *float32, ldc int, a, b *float32, runs *int32, n, aPitch, aStep, bPitch, accumulate int, ahead *float32, aheadStep, aheadA int)",
		fmt.Sprintf("%s computes a tile of %d rows by %d columns:", name, mr, nr),
		"",
		"\tacc[i][j] += a[runs[3*r]*aPitch+p*aStep+i] * b[(runs[3*r+1]+p)*bPitch+j]   for r < n, p < runs[3*r+2] in this order",
		"\tc[i*ldc+j] = acc[i][j] + (accumulate != 0 ? c[i*ldc+j] : 0)",
		"",
		"with one fused multiply-add per product. n >= 0, run lengths > 0. With each p it asks",
		"for two cache lines, aheadA floats behind its element of a, and at ahead and every",
		"aheadStep floats behind it, which never faults.",
	)
	acc := make([][]reg.VecVirtual, mr)
	for i := range acc {
		for range nv {
			v := m.vec()
			acc[i] = append(acc[i], v)
			m.VXORPS(v.AsX(), v.AsX(), v.AsX())
		}
	}
	a0, b0, runs, n := m.paramGP("a"), m.paramGP("b"), m.paramGP("runs"), m.paramGP("n")
	aPitch, aStep, bPitch := m.paramGP("aPitch"), m.paramGP("aStep"), m.paramGP("bPitch")
	ahead, aheadStep, aheadA := m.paramGP("ahead"), m.paramGP("aheadStep"), m.paramGP("aheadA")
	for _, bytes := range []reg.GPVirtual{aPitch, aStep, bPitch, aheadStep} {
		m.SHLQ(operand.Imm(2), bytes)
	}
	m.Repeat(Int{n}, func() {
		a, b, count := m.GP64(), m.GP64(), m.GP64()
		m.MOVLQSX(operand.Mem{Base: runs}, a)
		m.IMULQ(aPitch, a)
		m.ADDQ(a0, a)
		m.MOVLQSX(operand.Mem{Base: runs, Disp: 4}, b)
		m.IMULQ(bPitch, b)
		m.ADDQ(b0, b)
		m.MOVLQSX(operand.Mem{Base: runs, Disp: 8}, count)
		m.ADDQ(operand.Imm(12), runs)
		pixel := m.label("pixel")
		m.Label(pixel)
		m.outerProduct(a, b, acc)
		m.PREFETCHT1(operand.Mem{Base: ahead})
		m.PREFETCHT1(operand.Mem{Base: a, Index: aheadA, Scale: 4})
		m.ADDQ(aheadStep, ahead)
		m.ADDQ(aStep, a)
		m.ADDQ(bPitch, b)
		m.DECQ(count)
		m.JNZ(operand.LabelRef(pixel))
	})
	c, ldc := m.paramGP("c"), m.paramGP("ldc")
	store := m.label("store")
	flag := m.paramGP("accumulate")
	m.TESTQ(flag, flag)
	m.JZ(operand.LabelRef(store))
	row := m.copyGP(c)
	for i := range mr {
		for j := range nv {
			m.VADDPS(operand.Mem{Base: row, Disp: 4 * j * m.lanes}, acc[i][j], acc[i][j])
		}
		m.LEAQ(operand.Mem{Base: row, Index: ldc, Scale: 4}, row)
	}
	m.Label(store)
	for i := range mr {
		for j := range nv {
			m.VMOVUPS(acc[i][j], operand.Mem{Base: c, Disp: 4 * j * m.lanes})
		}
		m.LEAQ(operand.Mem{Base: c, Index: ldc, Scale: 4}, c)
	}
	m.Ret()
}

// outerProduct adds the products of a column of A, its elements at a and behind,
// and a row of B to the tile acc.
func (m *amd64) outerProduct(a, b reg.Register, acc [][]reg.VecVirtual) {
	vb := make([]reg.VecVirtual, len(acc[0]))
	for j := range vb {
		vb[j] = m.vec()
		m.VMOVUPS(operand.Mem{Base: b, Disp: 4 * j * m.lanes}, vb[j])
	}
	for i := range acc {
		mem := operand.Mem{Base: a, Disp: 4 * i}
		if len(vb) == 1 && m.avx512() {
			m.VFMADD231PS_BCST(mem, vb[0], acc[i][0])
			continue
		}
		va := m.vec()
		m.VBROADCASTSS(mem, va)
		for j := range vb {
			m.VFMADD231PS(va, vb[j], acc[i][j])
		}
	}
}
