package gen

import (
	"fmt"
	"math/bits"
	"slices"
)

// The window kernels with an index for NEON. The numbers of taps are bytes, so a
// comparison of indices handles sixteen channels, and everything that stays the
// same during a call is kept in registers.

// A windowNEON is one of the kernels being emitted. index moves with src or dst.
// The pointers that run over the taps go on by colStride behind a tap and by
// rowGap behind the last one of a row, the number of the tap by tapCol and tapGap. What
// a pixel has of its own is set from its column.
type windowNEON struct {
	*arm64
	dst, src, index     Ptr
	columns             Ptr
	rows, cols          Int
	colStride, rowGap   Int
	tap, tapCol, tapGap Vec // bytes

	source, sourceIndex, rowStride vreg // of the whole row
	firstTap, tapStep, tapRow      vreg
}

func newWindowNEON(m *arm64, name string, doc ...string) *windowNEON {
	m.Func(name, "func(dst, src *float32, index *uint8, "+windowParams+", tap, tapRow, tapCol int32)",
		slices.Concat(doc, windowDoc, []string{"pixels, rows > 0."})...)
	w := &windowNEON{
		arm64: m, dst: m.ParamPtr("dst"), src: Ptr{op: m.newR()}, index: m.ParamBytes("index"), columns: m.ParamPtr("columns"),
		rows: m.ParamInt("rows"), cols: Int{m.newR()}, colStride: m.ParamInt("colStride"), rowGap: Int{m.newR()},
		tap: Vec{m.newV()}, tapGap: Vec{m.newV()},
		source: m.paramR("src"), sourceIndex: m.paramR("index"), rowStride: m.paramR("rowStride"),
		firstTap: m.paramI32("tap"), tapStep: m.paramI32("tapCol"), tapRow: m.paramI32("tapRow"),
	}
	w.tapCol = m.bytes(w.tapStep)
	return w
}

// enter sets what belongs to the column of the next pixel; index is set too if it
// moves with src.
func (w *windowNEON) enter(indexOfSource bool) {
	start := vr(w.LoadInt(w.columns, columnStart).op)
	w.op([]vreg{vr(w.src.op)}, []vreg{start, w.source}, asmf("ADD R%[2]d<<2, R%[3]d, R%[1]d"))
	if indexOfSource {
		w.op([]vreg{vr(w.index.op)}, []vreg{start, w.sourceIndex}, asmf("ADD R%[2]d, R%[3]d, R%[1]d"))
	}
	w.op([]vreg{vr(w.cols.op)}, []vreg{vr(w.columns.op)}, asmf(fmt.Sprintf("MOVD %d(R%%[2]d), R%%[1]d", columnTaps)))
	// setGap sets dst = by - cols*step.
	setGap := func(dst, by, step vreg) {
		w.op([]vreg{dst}, []vreg{vr(w.cols.op), by, step}, asmf("MSUB R%[2]d, R%[3]d, R%[4]d, R%[1]d"))
	}
	setGap(vr(w.rowGap.op), w.rowStride, vr(w.colStride.op))
	gap, first := w.newR(), vr(w.LoadInt(w.columns, columnTap).op)
	setGap(gap, w.tapRow, w.tapStep)
	w.setBytes(w.tapGap, gap)
	w.update(first, []vreg{w.firstTap}, asmf("ADD R%[2]d, R%[1]d, R%[1]d"))
	w.setBytes(w.tap, first)
	w.AddPtrConst(w.columns, columnBytes/4)
}

// paramI32 loads an int32 parameter.
func (m *arm64) paramI32(name string) vreg {
	r := m.newR()
	m.op([]vreg{r}, nil, asmf("MOVW "+m.symbol(name)+", R%d"))
	return r
}

// bytes returns the low byte of r in every byte.
func (m *arm64) bytes(r vreg) Vec {
	v := Vec{m.newV()}
	m.setBytes(v, r)
	return v
}

func (m *arm64) setBytes(v Vec, r vreg) {
	m.op([]vreg{vr(v.op)}, []vreg{r}, asmf("VDUP R%[2]d, V%[1]d.B16"))
}

// repeat is Repeat for n > 0.
func (m *arm64) repeat(n Int, body func()) {
	loop, left := m.label("repeat"), m.copyR(vr(n.op))
	m.place(loop)
	body()
	m.update(left, nil, asmf("SUBS $1, R%[1]d, R%[1]d"))
	m.branch("BNE ", loop)
}

// pixels runs body over the pixels and, within a pixel, over strips of so many
// channels: 32, 24, 16, 8, 4 and 1. body moves dst on. index moves with src or with
// dst.
func (w *windowNEON) pixels(indexOfSource bool, body func(channels int)) {
	gap := w.ParamInt("dstGap")
	strip := func(channels int) {
		body(channels)
		w.AddPtrConst(w.src, channels)
		w.AddPtrConst(w.index, channels)
	}
	c := w.ParamInt("c")
	w.repeat(w.ParamInt("pixels"), func() {
		w.enter(indexOfSource)
		w.strips(c, strip)
		w.AddPtr(w.dst, gap)
		if !indexOfSource {
			w.AddPtr(w.index, gap)
		}
	})
}

// strips runs body over n channels in strips of 32, 24, 16, 8, 4 and 1, all but the
// first and the last at most once.
func (m *arm64) strips(n Int, body func(channels int)) {
	left := m.CopyInt(n)
	m.While(left, 32, func() {
		body(32)
		m.SubInt(left, 32)
	})
	eights, fours := m.label("eights"), m.label("fours")
	m.op([]vreg{vr(left.op)}, []vreg{vr(n.op)}, asmf("AND $24, R%[2]d, R%[1]d"))
	m.op(nil, []vreg{vr(left.op)}, asmf("CMP $24, R%d"))
	m.branch("BNE ", eights)
	body(24)
	m.branch("B ", fours)
	m.place(eights)
	m.ifBit(n, 16, func() { body(16) })
	m.ifBit(n, 8, func() { body(8) })
	m.place(fours)
	m.ifBit(n, 4, func() { body(4) })
	m.op([]vreg{vr(left.op)}, []vreg{vr(n.op)}, asmf("AND $3, R%[2]d, R%[1]d"))
	m.IfNotZero(left, func() { m.repeat(left, func() { body(1) }) })
}

// ifBit runs body if n has the bit of value bit.
func (m *arm64) ifBit(n Int, bit int, body func()) {
	skip := m.label("skip")
	m.branch(fmt.Sprintf("TBZ $%d, R%%d, ", bits.TrailingZeros(uint(bit))), skip, vr(n.op))
	body()
	m.place(skip)
}

// taps runs body for every tap, in row-major order, with ptrs at the tap and its
// number in every byte of tap.
func (w *windowNEON) taps(ptrs []Ptr, body func(at []Ptr, tap Vec)) {
	var at []Ptr
	for _, p := range ptrs {
		at = append(at, w.CopyPtr(p))
	}
	tap := w.Copy(w.tap)
	move := func(by Int, tapBy Vec) {
		for _, p := range at {
			w.AddPtr(p, by)
		}
		w.Set(tap, w.three(encADDByte, tap, tapBy))
	}
	w.IfNotZero(w.cols, func() {
		w.repeat(w.rows, func() {
			w.repeat(w.cols, func() {
				body(at, tap)
				move(w.colStride, w.tapCol)
			})
			move(w.rowGap, w.tapGap)
		})
	})
}

// loadStrip loads channels of float32: vectors, or lane 0 of one.
func (m *arm64) loadStrip(p Ptr, channels int) []Vec {
	var v []Vec
	for at := 0; at < channels; at += 8 {
		v = append(v, m.loadPart(p, at, min(channels, 8))...)
	}
	return v
}

// loadPart loads 1, 4 or 8 channels at p + off.
func (m *arm64) loadPart(p Ptr, off, channels int) []Vec {
	switch channels {
	case 1:
		return []Vec{{m.loadLane(p, off)}}
	case 4:
		return []Vec{m.Load(p, off)}
	default:
		low, high := m.loadPair(p, off)
		return []Vec{low, high}
	}
}

// storeStrip is the reverse of loadStrip and moves p on.
func (m *arm64) storeStrip(p Ptr, v []Vec, channels int) {
	switch channels {
	case 1:
		m.update(vr(p.op), []vreg{vr(v[0].op)}, asmf("FMOVS.P F%[2]d, 4(R%[1]d)"))
	case 4:
		m.update(vr(p.op), []vreg{vr(v[0].op)}, asmf("FMOVQ.P F%[2]d, 16(R%[1]d)"))
	default:
		for u := 0; u < len(v); u += 2 {
			m.update(vr(p.op), []vreg{vr(v[u].op), vr(v[u+1].op)}, asmf("FSTPQ.P (F%[2]d, F%[3]d), 32(R%[1]d)"))
		}
	}
}

// loadPair loads two vectors at p + off elements.
func (m *arm64) loadPair(p Ptr, off int) (low, high Vec) {
	a, b := m.newV(), m.newV()
	m.op([]vreg{a, b}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("FLDPQ %d(R%%[3]d), (F%%[1]d, F%%[2]d)", 4*off)))
	return Vec{a}, Vec{b}
}

// byteMove is the instruction that moves so many channels of bytes between
// memory and the low end of a vector.
func byteMove(channels int) string {
	return map[int]string{16: "FMOVQ", 8: "FMOVD", 4: "FMOVS"}[channels]
}

// loadIndex loads bytes at p + off.
func (w *windowNEON) loadIndex(p Ptr, off, channels int) Vec {
	v := w.newV()
	if channels == 1 {
		r := w.newR()
		w.op([]vreg{r}, []vreg{vr(p.op)}, asmf("MOVBU (R%[2]d), R%[1]d"))
		w.op([]vreg{v}, []vreg{r}, asmf("FMOVS R%[2]d, F%[1]d"))
		return Vec{v}
	}
	w.op([]vreg{v}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("%s %d(R%%[2]d), F%%[1]d", byteMove(channels), off)))
	return Vec{v}
}

// storeIndex stores the low bytes of the lanes of v, up to sixteen channels, at p + off.
func (w *windowNEON) storeIndex(p Ptr, off int, v []Vec) {
	var bytes Vec
	switch len(v) {
	case 4:
		bytes = w.three(encUZP1Byte, w.three(encUZP1Half, v[0], v[1]), w.three(encUZP1Half, v[2], v[3]))
	case 2:
		half := w.three(encUZP1Half, v[0], v[1])
		bytes = w.three(encUZP1Byte, half, half)
	default:
		half := w.three(encUZP1Half, v[0], v[0])
		bytes = w.three(encUZP1Byte, half, half)
	}
	w.op(nil, []vreg{vr(bytes.op), vr(p.op)}, asmf(fmt.Sprintf("%s F%%[1]d, %d(R%%[2]d)", byteMove(4*len(v)), off)))
}

// windowMaxIndexNEON has the contract of [windowMaxIndex]. The number of the
// best tap is the low byte of a lane, so that one mask serves it and the value.
func windowMaxIndexNEON(m *arm64) {
	w := newWindowNEON(m, "WindowMaxIndex", windowMaxIndexDoc...)
	w.pixels(false, func(channels int) {
		best := w.loadStrip(w.src, channels)
		from := make([]Vec, len(best))
		for u := range best {
			from[u] = w.Copy(w.tap)
		}
		w.taps([]Ptr{w.src}, func(at []Ptr, tap Vec) {
			for u, v := range w.loadStrip(at[0], channels) {
				better := w.three(encORN, Vec(w.Less(best[u], v)), w.three(encFCMEQ, v, v))
				w.accumulate(encBIT, best[u], v, better)
				w.accumulate(encBIT, from[u], tap, better)
			}
		})
		w.storeStrip(w.dst, best, channels)
		if channels == 1 {
			r := w.newR()
			w.op([]vreg{r}, []vreg{vr(from[0].op)}, asmf("FMOVS F%[2]d, R%[1]d"))
			w.op(nil, []vreg{r, vr(w.index.op)}, asmf("MOVB R%[1]d, (R%[2]d)"))
			return
		}
		for u := 0; u < len(from); u += 4 {
			w.storeIndex(w.index, 4*u, from[u:min(u+4, len(from))])
		}
	})
	m.Ret()
}

// windowMaxBackwardNEON has the contract of [windowMaxBackward].
func windowMaxBackwardNEON(m *arm64) {
	w := newWindowNEON(m, "WindowMaxBackward", windowMaxBackwardDoc("")...)
	spread := w.spreads()
	w.pixels(true, func(channels int) {
		sum := make([]Vec, max(1, channels/4))
		for u := range sum {
			sum[u] = w.Zero()
		}
		w.taps([]Ptr{w.src, w.index}, func(at []Ptr, tap Vec) {
			var hit Vec
			for u, v := range w.loadStrip(at[0], channels) {
				if u%4 == 0 {
					hit = w.three(encCMEQByte, w.loadIndex(at[1], 4*u, min(channels-4*u, 16)), tap)
				}
				w.Set(sum[u], w.Add(sum[u], w.And(v, w.three(encTBL, hit, spread[u%4]))))
			}
		})
		w.storeStrip(w.dst, sum, channels)
	})
	m.Ret()
}

// spreads returns the tables that repeat each of bytes 4*i to 4*i+3 four times.
func (m *arm64) spreads() (spread [4]Vec) {
	low, high, first := m.newR(), m.newR(), m.newV()
	m.op([]vreg{low}, nil, asmf("MOVD $0x0101010100000000, R%d"))
	m.op([]vreg{high}, nil, asmf("MOVD $0x0303030302020202, R%d"))
	m.op([]vreg{first}, []vreg{low}, asmf("FMOVD R%[2]d, F%[1]d"))
	m.update(first, []vreg{high}, asmf("VMOV R%[2]d, V%[1]d.D[1]"))
	four := m.newV()
	m.op([]vreg{four}, nil, asmf("VMOVI $4, V%d.B16"))
	spread[0] = Vec{first}
	for i := range 3 {
		spread[i+1] = m.three(encADDByte, spread[i], Vec{four})
	}
	return spread
}
