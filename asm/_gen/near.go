package gen

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// A nearForm is a function's form for arguments of which none is far from zero, shorter
// than the form for all and with the same results.
type nearForm struct {
	limit float32 // the largest |x|
	emit  func(c constants, x Vec) Vec
}

// A brancher is a Machine that can choose between two forms for some vectors.
type brancher interface {
	// IfNear runs near if all elements of x are within +-limit, else far.
	IfNear(x []Vec, limit float32, near, far func())
}

// orElse returns the function whose constants are worth registers: that of the near
// form if there is one, else f.
func (n nearForm) orElse(f function1) function1 {
	if n.emit == nil {
		return f
	}
	return function1{f.constants, n.emit}
}

// onStripNear is onStrip with the near form where a strip of several vectors allows it.
func onStripNear(c constants, s Strip, load func(u int) Vec, f function1, near nearForm, store func(u int, y Vec)) {
	branch, ok := c.Machine.(brancher)
	if !ok || near.emit == nil || s.U == 1 {
		onStrip(c, s, load, f.emit, store)
		return
	}
	x := make([]Vec, s.U)
	for u := range x {
		x[u] = load(u)
	}
	loaded := func(u int) Vec { return x[u] }
	branch.IfNear(x, near.limit,
		func() { onStrip(c, s, loaded, near.emit, store) },
		func() { onStrip(c, s, loaded, f.emit, store) })
}

// IfNear compares bit patterns without the sign, which rise with the number; those of
// NaN are above all others.
func (m *amd64) IfNear(x []Vec, limit float32, near, far func()) {
	magnitude := m.Operand(math.MaxInt32)
	most := m.And(x[0], magnitude)
	for _, v := range x[1:] {
		most = m.binary(m.VPMAXSD, m.And(v, magnitude), most)
	}
	beyond, done := m.label("far"), m.label("near")
	flags := m.GP32()
	if m.avx512() {
		k := m.K()
		m.VPCMPGTD(m.reg(m.Operand(math.Float32bits(limit))), vec(most), k)
		m.KORTESTW(k, k)
	} else {
		over := m.binary(m.VPCMPGTD, m.ConstBits(math.Float32bits(limit)), most)
		m.VMOVMSKPS(vec(over), flags)
		m.TESTL(flags, flags)
	}
	m.JNZ(operand.LabelRef(beyond))
	near()
	m.JMP(operand.LabelRef(done))
	m.Label(beyond)
	far()
	m.Label(done)
}
