package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Depthwise convolution of bytes with a 3x3 filter on amd64, a row of pixels for a block
// of channels after the other. The bytes of three rows are interleaved, so that a lane
// holds a column of one channel's window, and multiplied as in gatherInt8. That leaves
// the channels of a block in four vectors, an eighth of the row's bytes in each 128 bits,
// and narrowing brings them back in order.

// depthwiseBytesRows returns the op program of all kernels of a kind.
func depthwiseBytesRows(kind dotKind, widths ...int) func(*amd64) {
	return func(m *amd64) {
		for _, stride := range []int{1, 2} {
			for _, width := range widths {
				e := depthwiseBytesEmitter{amd64: m, kind: kind, stride: stride, width: width}
				e.emit()
			}
		}
	}
}

// A depthwiseBytesEmitter emits one kernel.
type depthwiseBytesEmitter struct {
	*amd64
	kind          dotKind
	stride, width int // width is the channels of a block, and the bytes of a vector

	rows                 [3]reg.GPVirtual
	x, column, dst       reg.GPVirtual
	w, bias, scale       reg.GPVirtual
	weights              [3][4]operand.Op // by column of the filter
	bound                reg.VecVirtual   // nil on AVX2, where registers are short
	pad, zero, low, high operand.Op       // vectors
	boundMem, evenMem    operand.Mem
	apart                []func() // code behind the end of the function
}

func depthwiseBytesName(stride, width int) string {
	return fmt.Sprintf("DepthwiseBytes3s%dx%d", stride, width)
}

// depthwiseBytesDoc is the contract of the kernels, for all instruction sets.
func depthwiseBytesDoc(stride, width int, order ...string) []string {
	name := depthwiseBytesName(stride, width)
	doc := []string{
		fmt.Sprintf("%s computes a row of output pixels, of %d channels for each of blocks:", name, width),
		"",
		fmt.Sprintf("\ty = bias[i] + sum over r, s < 3 of rows[r][((p*%d-left)+s)*c+i] * w[r][s][i]", stride),
		"\tdst[p*c+i] = max(low, min(high, round(float32(y)*scale[i]) + zero))   for p < pixels",
		"",
		"ties to even; a product that is NaN or below all integers counts as the least. Pixels",
		"before the row and from width on are pad. pad, low and high hold one byte four times,",
		"zero a number of 16 bits twice. pixels > 0.",
	}
	return append(doc, order...)
}

const depthwiseBytesSignature = "func(dst *uint8, rows **uint8, w *int8, bias *int32, scale *float32, left, width, c, pixels, blocks int, pad, zero, low, high uint32)"

func (e *depthwiseBytesEmitter) vec() reg.VecVirtual {
	if e.width == 64 {
		return e.ZMM()
	}
	return e.YMM()
}

func (e *depthwiseBytesEmitter) emit() {
	order := []string{
		"w, bias and scale are in the order in which the channels leave the interleaving: those of",
		"a block in four vectors, of which number q has in its 128 bits number l the channels from",
		"16*l+4*q on. For each s and q, w holds in each lane the weights of r = 0, 1, 2 and a zero,",
	}
	if e.kind == vnni {
		order = append(order, "as bytes.")
	} else {
		order = append(order, "as numbers of 16 bits: those of r = 0 and 2 in one vector, of 1 and the zero in the next.")
	}
	e.Func(depthwiseBytesName(e.stride, e.width), depthwiseBytesSignature, depthwiseBytesDoc(e.stride, e.width, order...)...)
	e.constants()
	e.w, e.bias, e.scale = e.paramGP("w"), e.paramGP("bias"), e.paramGP("scale")
	shift, start := e.AllocLocal(8), e.AllocLocal(8)
	first, c := e.paramGP("left"), e.paramGP("c")
	e.NEGQ(first)
	e.MOVQ(first, start)
	e.IMULQ(c, first)
	e.MOVQ(first, shift)
	block := e.label("block")
	e.Label(block)
	table := e.paramGP("rows")
	for r := range e.rows {
		e.rows[r] = e.GP64()
		e.MOVQ(operand.Mem{Base: table, Disp: 8 * r}, e.rows[r])
	}
	e.x, e.column, e.dst = e.GP64(), e.GP64(), e.paramGP("dst")
	e.MOVQ(shift, e.x)
	e.MOVQ(start, e.column)
	e.loadWeights()
	e.pixels()
	e.ADDQ(operand.I32(e.width), shift)
	e.ADDQ(operand.I32(e.width), e.addr(e.Param("dst")))
	e.ADDQ(operand.I32(e.weightBytes()*12), e.w)
	e.ADDQ(operand.I32(4*e.width), e.bias)
	e.ADDQ(operand.I32(4*e.width), e.scale)
	e.DECQ(e.addr(e.Param("blocks")))
	e.JNZ(operand.LabelRef(block))
	e.Ret()
	for _, f := range e.apart {
		f()
	}
}

// weightBytes is the size of the weights of a column of the filter in one vector.
func (e *depthwiseBytesEmitter) weightBytes() int {
	if e.kind == vnni {
		return e.width
	}
	return 2 * e.width
}

// constants prepares the vectors that stay: in registers, or in memory on AVX2.
func (e *depthwiseBytesEmitter) constants() {
	for _, p := range []struct {
		name string
		to   *operand.Op
	}{{"pad", &e.pad}, {"zero", &e.zero}, {"low", &e.low}, {"high", &e.high}} {
		v := e.vec()
		e.VBROADCASTSS(e.addr(e.Param(p.name)), v)
		*p.to = v
		if e.kind == words {
			*p.to = e.spill(v)
		}
	}
	bound := e.vec()
	e.VBROADCASTSS(e.constMem(byteMost), bound)
	if e.kind == vnni {
		e.bound = bound
		return
	}
	e.boundMem = e.spill(bound)
	even := e.vec()
	e.VBROADCASTSS(e.constMem(0x00ff00ff), even)
	e.evenMem = e.spill(even)
}

// spill stores a vector on the stack.
func (e *depthwiseBytesEmitter) spill(v reg.VecVirtual) operand.Mem {
	mem := e.AllocLocal(e.width)
	e.VMOVUPS(v, mem)
	return mem
}

// loadWeights loads a block's weights into registers, where these suffice.
func (e *depthwiseBytesEmitter) loadWeights() {
	for s := range e.weights {
		for q := range e.weights[s] {
			mem := operand.Mem{Base: e.w, Disp: (4*s + q) * e.weightBytes()}
			if e.kind == words {
				e.weights[s][q] = mem
				continue
			}
			v := e.vec()
			e.VMOVUPS(mem, v)
			e.weights[s][q] = v
		}
	}
}

// pixels emits the loop over the pixels of a block. Sums of pixels whose window is not
// complete are carried: with stride 1 of two, else of one.
func (e *depthwiseBytesEmitter) pixels() {
	var x, sum, next [4]reg.VecVirtual
	for q := range x {
		x[q], sum[q], next[q] = e.vec(), e.vec(), e.vec()
	}
	start := func(sum reg.VecVirtual, q int, parts []reg.VecVirtual) {
		e.VMOVUPS(operand.Mem{Base: e.bias, Disp: 4 * q * e.width / 4}, sum)
		e.dot(sum, 0, q, parts)
	}
	e.nextColumn(x)
	for q := range x {
		start(sum[q], q, e.split(x[q]))
	}
	if e.stride == 1 {
		e.nextColumn(x)
		for q := range x {
			parts := e.split(x[q])
			e.dot(sum[q], 1, q, parts)
			start(next[q], q, parts)
		}
	}
	left := e.paramGP("pixels")
	loop := e.label("pixel")
	e.Label(loop)
	if e.stride == 2 {
		e.nextColumn(x)
		for q := range x {
			e.dot(sum[q], 1, q, e.split(x[q]))
		}
	}
	e.nextColumn(x)
	var out [4]reg.VecVirtual
	for q := range x {
		parts := e.split(x[q])
		e.dot(sum[q], 2, q, parts)
		out[q] = e.round(sum[q], q)
		if e.stride == 1 {
			e.VMOVUPS(next[q], sum[q])
			e.dot(sum[q], 1, q, parts)
			start(next[q], q, parts)
		} else {
			start(sum[q], q, parts)
		}
		if q%2 == 1 {
			e.VPACKSSDW(out[q], out[q-1], out[q-1])
			e.VPADDSW(e.zero, out[q-1], out[q-1])
		}
	}
	e.VPACKUSWB(out[2], out[0], out[0])
	e.VPMAXUB(e.low, out[0], out[0])
	e.VPMINUB(e.high, out[0], out[0])
	e.VMOVUPS(out[0], operand.Mem{Base: e.dst})
	e.ADDQ(e.addr(e.Param("c")), e.dst)
	e.DECQ(left)
	e.JNZ(operand.LabelRef(loop))
}

// nextColumn sets x to the next column of the rows, interleaved, or to padding.
func (e *depthwiseBytesEmitter) nextColumn(x [4]reg.VecVirtual) {
	outside, done := e.label("outside"), e.label("column")
	e.CMPQ(e.column, e.addr(e.Param("width")))
	e.JCC(operand.LabelRef(outside))
	var row [3]reg.VecVirtual
	for r := range row {
		row[r] = e.vec()
		e.VMOVUPS(operand.Mem{Base: e.rows[r], Index: e.x, Scale: 1}, row[r])
	}
	// A lane holds the bytes of rows 0, 1, 2 and 2.
	a, b := e.vec(), e.vec()
	e.VPUNPCKLBW(row[1], row[0], a)
	e.VPUNPCKHBW(row[1], row[0], row[0])
	e.VPUNPCKLBW(row[2], row[2], b)
	e.VPUNPCKHBW(row[2], row[2], row[2])
	e.VPUNPCKLWD(b, a, x[0])
	e.VPUNPCKHWD(b, a, x[1])
	e.VPUNPCKLWD(row[2], row[0], x[2])
	e.VPUNPCKHWD(row[2], row[0], x[3])
	e.Label(done)
	e.INCQ(e.column)
	e.ADDQ(e.addr(e.Param("c")), e.x)
	e.apart = append(e.apart, func() {
		e.Label(outside)
		for _, v := range x {
			e.VMOVUPS(e.pad, v)
		}
		e.JMP(operand.LabelRef(done))
	})
}

// split returns what is multiplied: the bytes, or the even and the odd ones as numbers
// of 16 bits.
func (e *depthwiseBytesEmitter) split(x reg.VecVirtual) []reg.VecVirtual {
	if e.kind == vnni {
		return []reg.VecVirtual{x}
	}
	even, odd := e.vec(), e.vec()
	e.VPAND(e.evenMem, x, even)
	e.VPSRLW(operand.Imm(8), x, odd)
	return []reg.VecVirtual{even, odd}
}

// dot adds the products with column s of the filter to vector q of the sums.
func (e *depthwiseBytesEmitter) dot(sum reg.VecVirtual, s, q int, parts []reg.VecVirtual) {
	if e.kind == vnni {
		e.dotBytes(e.weights[s][q].(reg.VecVirtual), parts[0], sum)
		return
	}
	mem := e.weights[s][q].(operand.Mem)
	for i, part := range parts {
		t := e.vec()
		e.VPMADDWD(mem.Offset(i*e.width), part, t)
		e.VPADDD(t, sum, sum)
	}
}

// round returns the scaled sums as integers.
func (e *depthwiseBytesEmitter) round(sum reg.VecVirtual, q int) reg.VecVirtual {
	v, bound := e.vec(), e.bound
	if bound == nil {
		bound = e.vec()
		e.VMOVUPS(e.boundMem, bound)
	}
	e.VCVTDQ2PS(sum, v)
	e.VMULPS(operand.Mem{Base: e.scale, Disp: 4 * q * e.width / 4}, v, v)
	e.VMINPS(v, bound, v) // v if that is NaN
	e.VCVTPS2DQ(v, v)
	return v
}
