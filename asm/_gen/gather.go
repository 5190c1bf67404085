package gen

import (
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Class statistics: float32 rows, named by an index list, widened to float64.

// A wide is the float64 side of the amd64 machine: its vectors hold half as
// many elements as the float32 ones.
type wide struct {
	*amd64
	part reg.Register // mask of the partial vector, nil in full ones
}

func (w wide) width() int { return w.lanes / 2 }

// narrow is the float32 register that holds one vector's elements.
func (w wide) narrow(r reg.VecVirtual) reg.Register {
	if w.avx512() {
		return r.AsY()
	}
	return r.AsX()
}

// loadF32 loads width() float32 and widens them; lanes past the end are zero.
func (w wide) loadF32(mem operand.Mem) reg.VecVirtual {
	v := w.vec()
	switch {
	case w.part == nil:
		w.VCVTPS2PD(mem, v)
		return v
	case w.avx512():
		w.VMOVUPS_Z(mem, w.part, w.narrow(v))
	default:
		w.VMASKMOVPS(mem, w.part.(reg.VecVirtual).AsX(), w.narrow(v))
	}
	out := w.vec()
	w.VCVTPS2PD(w.narrow(v), out)
	return out
}

// loadF64 and storeF64 move width() float64.
func (w wide) loadF64(mem operand.Mem) reg.VecVirtual {
	v := w.vec()
	switch {
	case w.part == nil:
		w.VMOVUPD(mem, v)
	case w.avx512():
		w.VMOVUPD_Z(mem, w.part, v)
	default:
		w.VMASKMOVPD(mem, w.wideMask(), v)
	}
	return v
}

func (w wide) storeF64(v reg.VecVirtual, mem operand.Mem) {
	switch {
	case w.part == nil:
		w.VMOVUPD(v, mem)
	case w.avx512():
		w.VMOVUPD(v, w.part, mem)
	default:
		w.VMASKMOVPD(v, w.wideMask(), mem)
	}
}

// storeF32 rounds v to float32 and stores it, full vectors streamed if k says so.
func (w wide) storeF32(k storeKind, v reg.VecVirtual, mem operand.Mem) {
	n := w.vec()
	if w.avx512() {
		w.VCVTPD2PS(v, w.narrow(n))
	} else {
		w.VCVTPD2PSY(v, w.narrow(n))
	}
	switch {
	case w.part == nil && k.streamed:
		w.VMOVNTPS(w.narrow(n), mem)
	case w.part == nil:
		w.VMOVUPS(w.narrow(n), mem)
	case w.avx512():
		w.VMOVUPS(w.narrow(n), w.part, mem)
	default:
		w.VMASKMOVPS(w.narrow(n), w.part.(reg.VecVirtual).AsX(), mem)
	}
}

// wideMask is the mask of the partial vector with 64-bit lanes.
func (w wide) wideMask() reg.VecVirtual {
	m := w.YMM()
	w.VPMOVSXDQ(w.part.(reg.VecVirtual).AsX(), m)
	return m
}

func (w wide) zero() reg.VecVirtual {
	v := w.vec()
	w.VXORPD(v, v, v)
	return v
}

func (w wide) broadcast(name string) reg.VecVirtual {
	v := w.vec()
	w.VBROADCASTSD(w.addr(w.Param(name)), v)
	return v
}

// channels runs body over n channels: strips of 4 vectors, of one, and the
// partial one. at is the address of vector u of a pointer to elements of size
// bytes.
func (w wide) channels(n reg.GPVirtual, advance map[reg.GPVirtual]int, body func(w wide, u int)) {
	w.strips([]int{4, 1}, n, advance, body)
}

// strips is channels with strips of so many vectors.
func (w wide) strips(vectors []int, n reg.GPVirtual, advance map[reg.GPVirtual]int, body func(w wide, u int)) {
	step := func(elements int) {
		for _, p := range sortedKeys(advance) {
			w.ADDQ(operand.I32(elements*advance[p]), p)
		}
		w.SUBQ(operand.I32(elements), n)
	}
	for _, u := range vectors {
		w.While(Int{n}, u*w.width(), func() {
			body(w, u)
			step(u * w.width())
		})
	}
	w.IfNotZero(Int{n}, func() {
		w.setTail(Int{n})
		partial := w
		partial.part = w.tail
		body(partial, 1)
	})
}

// sortedKeys keeps the generator's output independent of map order.
func sortedKeys(m map[reg.GPVirtual]int) []reg.GPVirtual {
	keys := make([]reg.GPVirtual, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := range i {
			if keys[i].ID() < keys[j].ID() {
				keys[i], keys[j] = keys[j], keys[i]
			}
		}
	}
	return keys
}

// rows runs body for every row of the index list, row being its first element
// seen from a.
func (w wide) rows(a, list, n, c reg.GPVirtual, body func(row reg.GPVirtual)) {
	at := w.copyGP(list)
	w.Repeat(Int{n}, func() {
		row := w.GP64()
		w.MOVLQSX(operand.Mem{Base: at}, row)
		w.IMULQ(c, row)
		w.LEAQ(operand.Mem{Base: a, Index: row, Scale: 4}, row)
		body(row)
		w.ADDQ(operand.I32(4), at)
	})
}

// gatherAhead is the number of rows that are on their way from memory.
const gatherAhead = 8

// rowsAhead is rows with elements of the rows to come prefetched.
func (w wide) rowsAhead(a, list, n, c reg.GPVirtual, elements int, body func(row reg.GPVirtual)) {
	at, left := w.copyGP(list), w.copyGP(n)
	one := func() {
		row := w.GP64()
		w.MOVLQSX(operand.Mem{Base: at}, row)
		w.IMULQ(c, row)
		w.LEAQ(operand.Mem{Base: a, Index: row, Scale: 4}, row)
		body(row)
		w.ADDQ(operand.I32(4), at)
	}
	w.While(Int{left}, gatherAhead+1, func() {
		next := w.GP64()
		w.MOVLQSX(operand.Mem{Base: at, Disp: 4 * gatherAhead}, next)
		w.IMULQ(c, next)
		for e := 0; e < elements; e += lineFloats {
			w.PREFETCHT0(operand.Mem{Base: a, Index: next, Scale: 4, Disp: 4 * e})
		}
		one()
		w.DECQ(left)
	})
	w.Repeat(Int{left}, one)
}

func gatherMean(m *amd64) {
	m.Func("GatherMean", "func(mean *float64, a *float32, rows *int32, n, c int, inv float64)",
		"GatherMean sets mean[k], k < c, to inv times the sum over i < n, in order, of",
		"a[rows[i]*c+k] in float64. n > 0.")
	w := wide{amd64: m}
	mean, a, list := m.paramGP("mean"), m.paramGP("a"), m.paramGP("rows")
	n, c, inv := m.paramGP("n"), m.paramGP("c"), w.broadcast("inv")
	w.strips([]int{w.lanes, w.lanes / 2, 4, 1}, m.copyGP(c), map[reg.GPVirtual]int{mean: 8, a: 4}, func(w wide, u int) {
		acc := make([]reg.VecVirtual, u)
		for i := range acc {
			acc[i] = w.zero()
		}
		w.rowsAhead(a, list, n, c, u*w.width(), func(row reg.GPVirtual) {
			for i := range acc {
				w.VADDPD(w.loadF32(operand.Mem{Base: row, Disp: 4 * i * w.width()}), acc[i], acc[i])
			}
		})
		for i := range acc {
			w.VMULPD(inv, acc[i], acc[i])
			w.storeF64(acc[i], operand.Mem{Base: mean, Disp: 8 * i * w.width()})
		}
	})
	m.Ret()
}

func gatherSquares(m *amd64) {
	m.Func("GatherSquares", "func(a *float32, mean *float64, rows *int32, n, c int) float64",
		"GatherSquares returns the sum over i < n and k < c of (a[rows[i]*c+k]-mean[k])² in",
		"float64. Vector j of the channels goes to accumulator j mod 4, the rest behind the",
		"last group of 4 to accumulator 0; accumulators and lanes are added in halves.")
	w := wide{amd64: m}
	a, mean, list := m.paramGP("a"), m.paramGP("mean"), m.paramGP("rows")
	n, c := m.paramGP("n"), m.paramGP("c")
	acc := [4]reg.VecVirtual{w.zero(), w.zero(), w.zero(), w.zero()}
	w.channels(m.copyGP(c), map[reg.GPVirtual]int{mean: 8, a: 4}, func(w wide, u int) {
		center := make([]reg.VecVirtual, u)
		for i := range center {
			center[i] = w.loadF64(operand.Mem{Base: mean, Disp: 8 * i * w.width()})
		}
		w.rows(a, list, n, c, func(row reg.GPVirtual) {
			for i := range center {
				d := w.loadF32(operand.Mem{Base: row, Disp: 4 * i * w.width()})
				w.VSUBPD(center[i], d, d)
				w.VFMADD231PD(d, d, acc[i])
			}
		})
	})
	w.returnSum(acc)
}

var combineDoc = []string{
	"CombineF64 computes dst[k] = p*x[k] + q*y[k] for k < n, the second product rounded and",
	"the first fused. Operands may be equal.",
}

const combineSignature = "func(dst, x, y *float64, n int, p, q float64)"

func combine(m *amd64) {
	m.Func("CombineF64", combineSignature, combineDoc...)
	w := wide{amd64: m}
	dst, x, y := m.paramGP("dst"), m.paramGP("x"), m.paramGP("y")
	n, p, q := m.paramGP("n"), w.broadcast("p"), w.broadcast("q")
	w.channels(n, map[reg.GPVirtual]int{dst: 8, x: 8, y: 8}, func(w wide, u int) {
		for i := range u {
			at := 8 * i * w.width()
			a, b := w.loadF64(operand.Mem{Base: x, Disp: at}), w.loadF64(operand.Mem{Base: y, Disp: at})
			w.VMULPD(q, b, b)
			w.VFMADD231PD(p, a, b)
			w.storeF64(b, operand.Mem{Base: dst, Disp: at})
		}
	})
	m.Ret()
}

func squaresF64(m *amd64) {
	m.Func("SquaresF64", "func(x, y *float64, n int) float64",
		"SquaresF64 returns the sum over k < n of (x[k]-y[k])². Vector j goes to accumulator j",
		"mod 4, the rest behind the last group of 4 to accumulator 0; accumulators and lanes",
		"are added in halves.")
	w := wide{amd64: m}
	x, y, n := m.paramGP("x"), m.paramGP("y"), m.paramGP("n")
	acc := [4]reg.VecVirtual{w.zero(), w.zero(), w.zero(), w.zero()}
	w.channels(n, map[reg.GPVirtual]int{x: 8, y: 8}, func(w wide, u int) {
		for i := range u {
			at := 8 * i * w.width()
			d, b := w.loadF64(operand.Mem{Base: x, Disp: at}), w.loadF64(operand.Mem{Base: y, Disp: at})
			w.VSUBPD(b, d, d)
			w.VFMADD231PD(d, d, acc[i])
		}
	})
	w.returnSum(acc)
}

// returnSum ends a function that returns the sum of its accumulators.
func (w wide) returnSum(acc [4]reg.VecVirtual) {
	w.VADDPD(acc[2], acc[0], acc[0])
	w.VADDPD(acc[3], acc[1], acc[1])
	w.VADDPD(acc[1], acc[0], acc[0])
	w.VMOVSD(w.sum(acc[0]), w.addr(w.ReturnIndex(0)))
	w.Ret()
}

// sum adds all lanes.
func (w wide) sum(v reg.VecVirtual) reg.VecVirtual {
	if w.avx512() {
		half := w.YMM()
		w.VEXTRACTF64X4(operand.Imm(1), v.AsZ(), half)
		w.VADDPD(half, v.AsY(), half)
		v = half
	}
	pair, one := w.XMM(), w.XMM()
	w.VEXTRACTF128(operand.Imm(1), v.AsY(), pair)
	w.VADDPD(pair, v.AsX(), pair)
	w.VPERMILPD(operand.Imm(1), pair, one)
	w.VADDSD(one, pair, one)
	return one
}

var scaleShiftDoc = []string{
	"ScaleShiftRows computes, for i < n, k < c and class[i] = l,",
	"",
	"\tdst[i*c+k] = float32(slope[l]*x[i*c+k] + shift[l*c+k])",
	"",
	"the inside in float64 with one rounding. dst and x may be equal.",
}

const scaleShiftSignature = "func(dst, x *float32, class *int32, slope, shift *float64, n, c int)"

func scaleShift(m *amd64) { scaleShiftRows(m, storeKind{}) }

func scaleShiftStream(m *amd64) { scaleShiftRows(m, storeKind{streamed: true}) }

func scaleShiftRows(m *amd64, k storeKind) {
	m.Func("ScaleShiftRows"+k.suffix(), scaleShiftSignature, k.doc(slices.Concat(
		[]string{strings.Replace(scaleShiftDoc[0], "Rows", "Rows"+k.suffix(), 1)}, scaleShiftDoc[1:])...)...)
	w := wide{amd64: m}
	dst, x, class := m.paramGP("dst"), m.paramGP("x"), m.paramGP("class")
	slopes, shifts, c := m.paramGP("slope"), m.paramGP("shift"), m.paramGP("c")
	m.Repeat(Int{m.paramGP("n")}, func() {
		label, slope, shift := m.GP64(), m.vec(), m.GP64()
		m.MOVLQSX(operand.Mem{Base: class}, label)
		m.ADDQ(operand.I32(4), class)
		m.VBROADCASTSD(operand.Mem{Base: slopes, Index: label, Scale: 8}, slope)
		m.IMULQ(c, label)
		m.LEAQ(operand.Mem{Base: shifts, Index: label, Scale: 8}, shift)
		to, from := m.copyGP(dst), m.copyGP(x)
		w.channels(m.copyGP(c), map[reg.GPVirtual]int{to: 4, from: 4, shift: 8}, func(w wide, u int) {
			for i := range u {
				v := w.loadF32(operand.Mem{Base: from, Disp: 4 * i * w.width()})
				w.VFMADD213PD(w.loadF64(operand.Mem{Base: shift, Disp: 8 * i * w.width()}), slope, v)
				w.storeF32(k, v, operand.Mem{Base: to, Disp: 4 * i * w.width()})
			}
		})
		m.LEAQ(operand.Mem{Base: dst, Index: c, Scale: 4}, dst)
		m.LEAQ(operand.Mem{Base: x, Index: c, Scale: 4}, x)
	})
	k.ret(m)
}
