package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Depthwise convolution of whole rows on amd64, one vector of channels after the other.
// A 3x3 filter, whose multiply-adds are no more than the second-level cache delivers, takes
// two rows of dst at once, which read four rows of src where one and one read six. The
// weights of a vector of channels, or the sums of their gradient, stay in registers; those
// of a 5x5 filter on AVX2, which has 16, a row of the filter at a time. A call takes any
// number of rows, and on AVX-512 two lines of each pixel in turns: where rows are
// longer than a page, lines one by one come from the second-level cache a sixth slower. A pixel whose window reaches into the padding is computed alone, and
// jumps over the columns of the window that are padding: a load with an empty mask takes
// some 20 cycles on Zen 4.

// The bits of a kernel's flags: the last is the gradient's, the first and the stores past
// the caches are the forward kernel's.
const (
	depthwiseClamp = 1 << iota
	depthwiseFetch
	depthwiseFetchY
	depthwiseStream
	depthwiseSet
)

func depthwiseRows(m *amd64) {
	for _, size := range []int{3, 5} {
		for _, stride := range []int{1, 2} {
			for _, grad := range []bool{false, true} {
				e := depthwiseEmitter{amd64: m, size: size, stride: stride, grad: grad, high: size, rows: 1, most: 4, together: 1}
				if size == 3 {
					e.rows, e.most = 2, m.lanes/4
				}
				if size == 3 && m.avx512() {
					e.together = 2
				}
				if size == 3 && grad && m.avx512() {
					e.most = 3
				}
				if e.spills() && grad {
					e.high = 1
				}
				e.emit()
			}
		}
	}
}

// A depthwiseEmitter emits one kernel.
type depthwiseEmitter struct {
	*amd64
	size, stride int
	grad         bool
	high         int // rows of the filter whose weights or sums are used at a time
	rows, most   int // rows and pixels of a tile
	together     int // vectors of channels in turns

	bytes             [10]reg.GPVirtual // of an odd number of pixels of src
	table, x, y, mask reg.GPVirtual
	ahead, aheadY     reg.GPVirtual
	start, filter     operand.Mem // where x starts, and the weights
	singles, tiles    operand.Mem // pixels and tiles that are left of a row
	rowsLeft          operand.Mem // of a call, of which the next ones have y and pointers here
	rowY, rowTable    operand.Mem
	weights           [2][][]reg.VecVirtual // of each vector
	vectors, vector   int                   // those that are worked on, and the current one
	partial           bool                  // the last vector of channels
	filterRow         [2]reg.GPVirtual
	filterStep        reg.GPVirtual
}

// spills says that the weights do not fit the registers.
func (e *depthwiseEmitter) spills() bool { return e.size*e.size+6 > e.Registers() }

func (e *depthwiseEmitter) emit() {
	e.describe()
	columns := (e.most-1)*e.stride + e.size
	one := e.paramGP("c")
	e.SHLQ(operand.Imm(2), one)
	e.bytes[1] = one
	for _, k := range []int{3, 5, 7, 9} {
		if columns > k {
			e.bytes[k] = e.GP64()
			base := one
			if k > 5 {
				base = e.bytes[k-4]
			}
			e.LEAQ(operand.Mem{Base: base, Index: one, Scale: uint8(min(4, k-1))}, e.bytes[k])
		}
	}
	e.start, e.filter, e.singles, e.tiles = e.AllocLocal(8), e.AllocLocal(8), e.AllocLocal(8), e.AllocLocal(8)
	left := e.paramGP("left")
	e.IMULQ(one, left)
	e.NEGQ(left)
	e.MOVQ(left, e.start)
	e.rowsLeft, e.rowY, e.rowTable = e.AllocLocal(8), e.AllocLocal(8), e.AllocLocal(8)
	e.table, e.ahead, e.aheadY = e.paramGP("rows"), e.paramGP("ahead"), e.paramGP("aheadY")
	e.x, e.y, e.mask = e.GP64(), e.GP64(), e.GP64()
	done := e.label("end")
	n := e.addr(e.Param("n"))
	for e.vectors = e.together; e.vectors > 0; e.vectors-- {
		whole, rest := e.label("whole"), e.label("rest")
		lanes := e.vectors * e.lanes
		e.Label(whole)
		e.CMPQ(n, operand.I32(lanes))
		e.JLT(operand.LabelRef(rest))
		e.channels()
		for _, p := range []operand.Mem{e.start, e.addr(e.Param("w")), e.addr(e.Param("y"))} {
			e.ADDQ(operand.I32(4*lanes), p)
		}
		if !e.grad {
			e.ADDQ(operand.I32(4*lanes), e.addr(e.Param("bias")))
		}
		e.SUBQ(operand.I32(lanes), n)
		e.JMP(operand.LabelRef(whole))
		e.Label(rest)
	}
	e.vectors = 1
	e.CMPQ(n, operand.Imm(0))
	e.JE(operand.LabelRef(done))
	e.partial = true
	e.setTail(Int{e.paramGP("n")})
	e.channels()
	e.Label(done)
	e.Ret()
}

func (e *depthwiseEmitter) describe() {
	window := fmt.Sprintf("rows[j*%d+r][((p*%d-left)+s)*c+i]", e.stride, e.stride)
	shared := []string{
		"for j < count, i < n and all pixels p of a row: first of them, then",
		fmt.Sprintf("tiles of %d, then last. Bit s of columns[p] is 0 where that column of the window is", e.most),
		"padding, which is not read; of the pixels of tiles none is. Rows of nil are padding,",
		"too. Products are fused.",
		"With flags&2 it asks for the lines from ahead on, with flags&4 for those from aheadY on,",
		"as many as the next rows take, which never faults.",
	}
	if e.grad {
		e.Func(fmt.Sprintf("DepthwiseGradRow%ds%d", e.size, e.stride),
			"func(w *float32, wStride int, rows **float32, count int, y *float32, yStep int, columns *uint32, first, tiles, last, left, n, c, flags int, ahead, aheadY *float32)",
			append([]string{
				fmt.Sprintf("DepthwiseGradRow%ds%d adds up the weight gradient over rows of output pixels:", e.size, e.stride),
				"",
				fmt.Sprintf("\tw[(r*%d+s)*wStride+i] += %s * y[j*yStep+p*c+i]", e.size, window),
				"",
			}, append(shared,
				"If flags&16 != 0, w is set and not added to.")...)...)
		return
	}
	e.Func(fmt.Sprintf("DepthwiseRow%ds%d", e.size, e.stride),
		"func(y *float32, yStep int, rows **float32, count int, w *float32, wStride int, bias *float32, columns *uint32, first, tiles, last, left, n, c, flags int, lo, hi float32, ahead, aheadY *float32)",
		append([]string{
			fmt.Sprintf("DepthwiseRow%ds%d computes rows of output pixels:", e.size, e.stride),
			"",
			fmt.Sprintf("\tv = bias[i] + sum over r, s in this order of %s * w[(r*%d+s)*wStride+i]", window, e.size),
			"\ty[j*yStep+p*c+i] = min(hi, max(lo, v))",
			"",
		}, append(shared,
			"NaN passes through min and max, which are left out unless flags&1 != 0. On AVX-512,",
			"if flags&8 != 0, whole vectors are stored past the caches: y and its steps must be",
			"aligned to them, and StreamFence must follow.")...)...)
}

// channels emits the work on e.vectors vectors of channels.
func (e *depthwiseEmitter) channels() {
	w, left := e.paramGP("w"), e.AllocLocal(8)
	e.MOVQ(w, e.filter)
	again := e.label("again")
	if e.high < e.size {
		e.MOVQ(operand.I32(e.size), left)
		e.Label(again)
	}
	e.weights = [2][][]reg.VecVirtual{}
	switch {
	case e.grad:
		e.loadSums()
		e.eachRows()
		e.eachWeight(func(mem operand.Mem, k, r, s int) { e.store(e.weights[k][r][s], mem) })
	case !e.spills():
		e.eachWeight(func(mem operand.Mem, k, r, s int) { e.addWeight(k, r, e.load(mem)) })
		fallthrough
	default:
		e.eachRows()
	}
	if e.high < e.size {
		step := e.paramGP("wStride")
		e.IMUL3Q(operand.I32(4*e.size), step, step)
		e.ADDQ(step, e.filter)
		e.ADDQ(operand.Imm(8), e.table)
		e.DECQ(left)
		e.JNZ(operand.LabelRef(again))
		e.SUBQ(operand.I32(8*e.size), e.table)
	}
}

func (e *depthwiseEmitter) addWeight(k, r int, v reg.VecVirtual) {
	for len(e.weights[k]) <= r {
		e.weights[k] = append(e.weights[k], nil)
	}
	e.weights[k][r] = append(e.weights[k][r], v)
}

// loadSums emits the start of the sums, at zero if a flag asks for it.
func (e *depthwiseEmitter) loadSums() {
	for k := range e.vectors {
		for t := range e.high * e.size {
			e.addWeight(k, t/e.size, vec(e.Zero()))
		}
	}
	zero := e.label("zero")
	e.TESTQ(operand.I32(depthwiseSet), e.addr(e.Param("flags")))
	e.JNZ(operand.LabelRef(zero))
	e.eachWeight(func(mem operand.Mem, k, r, s int) { e.loadTo(mem, e.weights[k][r][s]) })
	e.Label(zero)
}

// eachRows emits the work on rows, e.rows at a time, and on what is left of them.
func (e *depthwiseEmitter) eachRows() {
	e.MOVQ(e.paramGP("count"), e.rowsLeft)
	e.MOVQ(e.paramGP("y"), e.rowY)
	e.MOVQ(e.table, e.rowTable)
	next, single, done := e.label("rows"), e.label("single"), e.label("rowsdone")
	e.Label(next)
	if e.rows == 2 {
		e.CMPQ(e.rowsLeft, operand.Imm(2))
		e.JLT(operand.LabelRef(single))
		e.pixels(2)
		e.nextRows(2)
		e.JMP(operand.LabelRef(next))
		e.Label(single)
	}
	e.CMPQ(e.rowsLeft, operand.Imm(0))
	e.JE(operand.LabelRef(done))
	e.pixels(1)
	e.nextRows(1)
	e.JMP(operand.LabelRef(next))
	e.Label(done)
	e.MOVQ(e.rowTable, e.table)
}

func (e *depthwiseEmitter) nextRows(count int) {
	step := e.paramGP("yStep")
	e.SHLQ(operand.Imm(uint64(1+count)), step)
	e.ADDQ(step, e.rowY)
	e.ADDQ(operand.I32(8*count*e.stride), e.table)
	e.SUBQ(operand.Imm(uint64(count)), e.rowsLeft)
}

// eachWeight calls f with where the weights of the current rows of the filter are.
func (e *depthwiseEmitter) eachWeight(f func(mem operand.Mem, k, r, s int)) {
	p, step := e.GP64(), e.paramGP("wStride")
	e.MOVQ(e.filter, p)
	for t := range e.high * e.size {
		for k := range e.vectors {
			f(operand.Mem{Base: p, Disp: 4 * e.lanes * k}, k, t/e.size, t%e.size)
		}
		if t < e.high*e.size-1 {
			e.LEAQ(operand.Mem{Base: p, Index: step, Scale: 4}, p)
		}
	}
}

// pixels emits the work on so many rows: pixels alone, tiles, and pixels alone again,
// by the same code. There are no tiles of fewer rows, and none of a partial vector.
func (e *depthwiseEmitter) pixels(rows int) {
	e.MOVQ(e.start, e.x)
	e.MOVQ(e.rowY, e.y)
	e.MOVQ(e.addr(e.Param("columns")), e.mask)
	first, tiles := e.paramGP("first"), e.paramGP("tiles")
	untiled := e.partial || rows < e.rows
	if untiled {
		e.IMUL3Q(operand.I32(e.most), tiles, tiles)
		e.ADDQ(tiles, first)
		e.ADDQ(e.addr(e.Param("last")), first)
	} else {
		e.MOVQ(tiles, e.tiles)
	}
	e.MOVQ(first, e.singles)
	alone, tile, inner, done := e.label("alone"), e.label("tile"), e.label("inner"), e.label("pixelsdone")
	e.TESTQ(first, first)
	e.JZ(operand.LabelRef(tile))
	e.Label(alone)
	e.turn(rows, 1, true)
	e.DECQ(e.singles)
	e.JNZ(operand.LabelRef(alone))
	e.Label(tile)
	if untiled {
		return
	}
	e.CMPQ(e.tiles, operand.Imm(0))
	e.JE(operand.LabelRef(done))
	e.Label(inner)
	e.turn(rows, e.most, false)
	e.DECQ(e.tiles)
	e.JNZ(operand.LabelRef(inner))
	last := e.paramGP("last")
	e.MOVQ(last, e.singles)
	e.TESTQ(last, last)
	e.JNZ(operand.LabelRef(alone))
	e.Label(done)
}

// tile emits so many pixels of rows for the current vector.
func (e *depthwiseEmitter) tile(rows, pixels int, masked bool) {
	values := e.values(rows, pixels)
	inside := e.GP64()
	if masked {
		e.MOVL(operand.Mem{Base: e.mask}, inside.As32())
	}
	second := e.stride // input rows that the second row of dst is behind the first
	if !e.grad && e.weights[0] == nil {
		e.filterStep = e.paramGP("wStride")
		for row := range rows {
			e.filterRow[row] = e.GP64()
			e.MOVQ(e.filter, e.filterRow[row])
		}
	}
	for i := range (rows-1)*second + e.high {
		var filter [2][]reg.VecVirtual // for each row of dst
		for row := range rows {
			if r := i - row*second; r >= 0 && r < e.high {
				filter[row] = e.filterOf(row, r)
			}
		}
		if filter[0] == nil && filter[1] == nil {
			continue
		}
		p := e.GP64()
		e.MOVQ(operand.Mem{Base: e.table, Disp: 8 * i}, p)
		missing := e.label("missing")
		e.TESTQ(p, p)
		e.JZ(operand.LabelRef(missing))
		e.ADDQ(e.x, p)
		for column := range (pixels-1)*e.stride + e.size {
			skip := e.label("skip")
			if masked {
				e.BTL(operand.Imm(uint64(column)), inside.As32())
				e.JCC(operand.LabelRef(skip))
			}
			v := e.load(e.at(p, column))
			for row := range rows {
				for pixel := range pixels {
					s := column - pixel*e.stride
					if s < 0 || s >= e.size || filter[row] == nil {
						continue
					}
					if e.grad {
						e.VFMADD231PS(v, values[row][pixel], filter[row][s])
					} else {
						e.VFMADD231PS(v, filter[row][s], values[row][pixel])
					}
				}
			}
			if masked {
				e.Label(skip)
			}
		}
		e.Label(missing)
	}
	if !e.grad {
		e.finish(values)
	}
}

// turn emits so many pixels of rows for one vector after the other, and moves x, y and
// mask behind them.
func (e *depthwiseEmitter) turn(rows, pixels int, masked bool) {
	for k := range e.vectors {
		e.vector = k
		e.tile(rows, pixels, masked)
		if e.high == e.size {
			e.fetch(e.ahead, rows*pixels*e.stride*e.stride, depthwiseFetch)
			e.fetch(e.aheadY, rows*pixels, depthwiseFetchY)
		}
	}
	e.vector = 0
	e.move(e.x, pixels*e.stride)
	e.move(e.y, pixels)
	e.ADDQ(operand.I32(4*pixels), e.mask)
}

// values returns, for each pixel of each row, its gradient or the sum that begins with
// the bias.
func (e *depthwiseEmitter) values(rows, pixels int) [][]reg.VecVirtual {
	values := make([][]reg.VecVirtual, rows)
	if e.grad {
		p := e.copyGP(e.y)
		for row := range rows {
			if row > 0 {
				step := e.paramGP("yStep")
				e.LEAQ(operand.Mem{Base: p, Index: step, Scale: 4}, p)
			}
			for pixel := range pixels {
				values[row] = append(values[row], e.load(e.at(p, pixel)))
			}
		}
		return values
	}
	bias := e.load(operand.Mem{Base: e.paramGP("bias"), Disp: 4 * e.lanes * e.vector})
	for row := range rows {
		for pixel := range pixels {
			v := bias
			if row+1 < rows || pixel+1 < pixels {
				v = e.vec()
				e.VMOVAPS(bias, v)
			}
			values[row] = append(values[row], v)
		}
	}
	return values
}

// filterOf returns row r of the filter for a row of dst.
func (e *depthwiseEmitter) filterOf(row, r int) []reg.VecVirtual {
	if e.weights[e.vector] != nil {
		return e.weights[e.vector][r]
	}
	list, p := make([]reg.VecVirtual, e.size), e.filterRow[row]
	for s := range list {
		list[s] = e.load(operand.Mem{Base: p})
		e.LEAQ(operand.Mem{Base: p, Index: e.filterStep, Scale: 4}, p)
	}
	return list
}

// load loads the current vector of channels.
func (e *depthwiseEmitter) load(mem operand.Mem) reg.VecVirtual {
	v := e.vec()
	e.loadTo(mem, v)
	return v
}

func (e *depthwiseEmitter) loadTo(mem operand.Mem, v reg.VecVirtual) {
	switch {
	case !e.partial:
		e.VMOVUPS(mem, v)
	case e.avx512():
		e.VMOVUPS_Z(mem, e.tail, v)
	default:
		e.VMASKMOVPS(mem, e.tail, v)
	}
}

func (e *depthwiseEmitter) store(v reg.VecVirtual, mem operand.Mem) {
	switch {
	case !e.partial:
		e.VMOVUPS(v, mem)
	case e.avx512():
		e.VMOVUPS(v, e.tail, mem)
	default:
		e.VMASKMOVPS(v, e.tail, mem)
	}
}

// at returns the address of the current vector of a pixel from p on.
func (e *depthwiseEmitter) at(p reg.GPVirtual, pixel int) operand.Mem {
	mem := operand.Mem{Base: p, Disp: 4 * e.lanes * e.vector}
	switch pixel {
	case 0:
	case 1, 2, 4, 8:
		mem.Index, mem.Scale = e.bytes[1], uint8(pixel)
	case 6, 10:
		mem.Index, mem.Scale = e.bytes[pixel/2], 2
	default:
		mem.Index, mem.Scale = e.bytes[pixel], 1
	}
	return mem
}

// move adds pixels to p.
func (e *depthwiseEmitter) move(p reg.GPVirtual, pixels int) { e.LEAQ(e.at(p, pixels), p) }

// fetch asks for the lines of so many vectors from p on, and moves p behind them, if a
// flag is set.
func (e *depthwiseEmitter) fetch(p reg.GPVirtual, vectors, flag int) {
	near := e.label("near")
	e.TESTQ(operand.I32(flag), e.addr(e.Param("flags")))
	e.JZ(operand.LabelRef(near))
	for at := 0; at < vectors*e.lanes; at += lineFloats {
		e.PREFETCHT1(operand.Mem{Base: p, Disp: 4 * at})
	}
	e.ADDQ(operand.I32(4*vectors*e.lanes), p)
	e.Label(near)
}

// finish clamps and stores the results.
func (e *depthwiseEmitter) finish(values [][]reg.VecVirtual) {
	free := e.label("free")
	e.TESTQ(operand.I32(depthwiseClamp), e.addr(e.Param("flags")))
	e.JZ(operand.LabelRef(free))
	lo, hi := vec(e.ParamF32("lo")), vec(e.ParamF32("hi"))
	for _, row := range values {
		for _, v := range row {
			e.VMAXPS(v, lo, v)
			e.VMINPS(v, hi, v)
		}
	}
	e.Label(free)
	if e.partial || !e.avx512() { // a vector of AVX2 is half a line
		e.storeAll(values, e.store)
		return
	}
	cached, done := e.label("cached"), e.label("stored")
	e.TESTQ(operand.I32(depthwiseStream), e.addr(e.Param("flags")))
	e.JZ(operand.LabelRef(cached))
	e.storeAll(values, func(v reg.VecVirtual, mem operand.Mem) { e.VMOVNTPS(v, mem) })
	e.JMP(operand.LabelRef(done))
	e.Label(cached)
	e.storeAll(values, e.store)
	e.Label(done)
}

func (e *depthwiseEmitter) storeAll(values [][]reg.VecVirtual, store func(v reg.VecVirtual, mem operand.Mem)) {
	p := e.y
	for row := range values {
		if row > 0 {
			p = e.copyGP(e.y)
			step := e.paramGP("yStep")
			e.LEAQ(operand.Mem{Base: p, Index: step, Scale: 4}, p)
		}
		for pixel, v := range values[row] {
			store(v, e.at(p, pixel))
		}
	}
}
