package gen

import (
	"fmt"
	"math"
)

// Loads and stores that move their pointer, of the arm64 Machine. Distances are in
// bytes.

// paramIntBytes returns a parameter that counts float32, in bytes.
func (m *arm64) paramIntBytes(name string) Int {
	r := m.paramR(name)
	m.update(r, nil, asmf("LSL $2, R%[1]d, R%[1]d"))
	return Int{r}
}

func (m *arm64) addPtrBytes(p Ptr, n Int) { m.AddPtr(Ptr{op: p.op, bytes: true}, n) }

// loadStep loads the vector of a strip at p, then moves p.
func (m *arm64) loadStep(s Strip, p Ptr, n Int) Vec {
	if s.partial {
		v := s.Load(p, 0)
		m.addPtrBytes(p, n)
		return v
	}
	v, r := m.newV(), vr(p.op)
	m.emit(inst{
		print: asmf("VLD1.P (R%[2]d)(R%[3]d), [V%[1]d.S4]"), args: []vreg{v, r, vr(n.op)},
		reads: []bool{false, true, true}, writes: []bool{true, true, false},
	})
	return Vec{v}
}

// storeStep stores the vector of a strip at p, then moves p.
func (m *arm64) storeStep(s Strip, p Ptr, n Int, v Vec) {
	if s.partial {
		s.Store(p, 0, v)
		m.addPtrBytes(p, n)
		return
	}
	m.update(vr(p.op), []vreg{vr(n.op), vr(v.op)}, asmf("VST1.P [V%[3]d.S4], (R%[1]d)(R%[2]d)"))
}

// storeNext stores vector after vector of a strip at p and moves p behind them. Unlike
// the other forms this one takes a Neoverse N1's multiply-add unit once, not twice.
func (m *arm64) storeNext(s Strip, p Ptr, v Vec) {
	if s.partial {
		s.Store(p, 0, v)
		m.AddPtrConst(p, 1)
		return
	}
	m.update(vr(p.op), []vreg{vr(v.op)}, asmf("VST1.P [V%[2]d.S4], 16(R%[1]d)"))
}

// differs returns zero if the float32 parameters a and b have the bits of x and y.
func (m *arm64) differs(a string, x float32, b string, y float32) Int {
	var diff []vreg
	for _, p := range []struct {
		name string
		v    float32
	}{{a, x}, {b, y}} {
		r, bits := m.newR(), m.newR()
		m.op([]vreg{r}, nil, asmf("MOVWU "+m.symbol(p.name)+", R%d"))
		m.op([]vreg{bits}, nil, asmf(fmt.Sprintf("MOVD $0x%08x, R%%d", math.Float32bits(p.v))))
		m.update(r, []vreg{bits}, asmf("EOR R%[2]d, R%[1]d, R%[1]d"))
		diff = append(diff, r)
	}
	m.update(diff[0], []vreg{diff[1]}, asmf("ORR R%[2]d, R%[1]d, R%[1]d"))
	return Int{diff[0]}
}
