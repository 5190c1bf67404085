package gen

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// amd64 is the Machine of AVX2 (8 lanes) and AVX-512 (16 lanes). Programs that
// need more than the Machine offers use its avo context.
type amd64 struct {
	*build.Context
	lanes  int
	labels int // labels used in the current function
	consts map[uint32]operand.Mem
	tables map[[16]uint32]operand.Mem
	// tail selects the lanes of the partial vector: a K register on AVX-512, a
	// vector of all-ones and all-zeros lanes on AVX2.
	tail reg.Register
	// tailLen holds the number of lanes that tail selects.
	tailLen reg.GPVirtual
	// tailTable is 8 x -1 followed by 8 x 0, from which AVX2 loads tail.
	tailTable *operand.Mem
	functions []*ir.Function
	// loaded are the constants that went to registers, in order.
	loaded []uint32
}

// A broadcast is a constant in memory that an AVX-512 instruction reads into every lane.
type broadcast struct {
	operand.Mem
	bits uint32
}

func newAMD64(lanes int) *amd64 {
	c := build.NewContext()
	c.ConstraintExpr("!purego")
	return &amd64{Context: c, lanes: lanes, consts: map[uint32]operand.Mem{}, tables: map[[16]uint32]operand.Mem{}}
}

func (m *amd64) asm() ([]byte, error) {
	f, err := m.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, err
	}
	m.functions = f.Functions()
	text, err := printer.NewGoAsm(printer.Config{Name: "asm/_gen"}).Print(f)
	if err != nil {
		return nil, err
	}
	return shareLines(text), nil
}

func (m *amd64) stubs() []stub {
	var s []stub
	for _, f := range m.functions {
		s = append(s, stub{f.Doc, f.Stub()})
	}
	return s
}

func (m *amd64) avx512() bool { return m.lanes == 16 }

func (m *amd64) Lanes() int { return m.lanes }

func (m *amd64) Registers() int { return 2 * m.lanes }

func (m *amd64) Func(name, signature string, doc ...string) {
	m.labels = 0
	m.Function(name)
	m.SignatureExpr(signature)
	m.Context.Doc(doc...)
	m.Pragma("noescape")
	m.Attributes(attr.NOSPLIT)
}

func (m *amd64) Ret() {
	m.VZEROUPPER()
	m.RET()
}

func (m *amd64) ReturnF32(v Vec) {
	m.VMOVSS(vec(v).AsX(), m.addr(m.ReturnIndex(0)))
	m.Ret()
}

func (m *amd64) Comment(format string, args ...any) { m.Commentf(format, args...) }

// addr returns the stack address of a parameter or result. Loading through it
// keeps to VEX instructions, which avo's own Load does not.
func (m *amd64) addr(c gotypes.Component) operand.Mem {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func vec(v Vec) reg.VecVirtual { return v.op.(reg.VecVirtual) }
func gp(op any) reg.GPVirtual  { return op.(reg.GPVirtual) }

// reg returns v in a register.
func (m *amd64) reg(v Vec) reg.VecVirtual {
	if b, ok := v.op.(broadcast); ok {
		v = m.ConstBits(b.bits)
	}
	return vec(v)
}

// vec allocates a vector register of the machine's width.
func (m *amd64) vec() reg.VecVirtual {
	if m.avx512() {
		return m.ZMM()
	}
	return m.YMM()
}

func (m *amd64) mem(p Ptr, off int) operand.Mem {
	a := operand.Mem{Base: gp(p.op), Disp: 4 * off}
	if p.index != nil {
		a.Index, a.Scale = gp(p.index), 4
	}
	return a
}

// label returns a label name that is new in the function.
func (m *amd64) label(stem string) string {
	m.labels++
	return fmt.Sprintf("%s%d", stem, m.labels)
}

func (m *amd64) ParamF32(name string) Vec {
	v := m.vec()
	m.VBROADCASTSS(m.addr(m.Param(name)), v)
	return Vec{v}
}

func (m *amd64) paramGP(name string) reg.GPVirtual {
	r := m.GP64()
	m.MOVQ(m.addr(m.Param(name)), r)
	return r
}

func (m *amd64) ParamPtr(name string) Ptr { return Ptr{op: m.paramGP(name)} }
func (m *amd64) ParamInt(name string) Int { return Int{m.paramGP(name)} }

func (m *amd64) copyGP(op any) reg.GPVirtual {
	r := m.GP64()
	m.MOVQ(gp(op), r)
	return r
}

func (m *amd64) CopyPtr(p Ptr) Ptr { return Ptr{op: m.copyGP(p.op), bytes: p.bytes} }
func (m *amd64) CopyInt(n Int) Int { return Int{m.copyGP(n.op)} }

func (m *amd64) LoadPtr(p Ptr, offBytes int) Ptr {
	r := m.GP64()
	m.MOVQ(operand.Mem{Base: gp(p.op), Disp: offBytes}, r)
	return Ptr{op: r}
}

func (m *amd64) LoadInt(p Ptr, offBytes int) Int { return Int{m.LoadPtr(p, offBytes).op} }

func (m *amd64) AddPtr(p Ptr, n Int) {
	m.LEAQ(operand.Mem{Base: gp(p.op), Index: gp(n.op), Scale: p.size()}, gp(p.op))
}
func (m *amd64) SubPtr(p Ptr, n Int) {
	back := m.copyGP(n.op)
	m.NEGQ(back)
	m.AddPtr(p, Int{back})
}
func (m *amd64) AddPtrConst(p Ptr, n int) { m.ADDQ(operand.I32(n*int(p.size())), gp(p.op)) }

func (m *amd64) AddInt(n Int, c int) { m.ADDQ(operand.I32(c), gp(n.op)) }
func (m *amd64) SubInt(n Int, c int) { m.SUBQ(operand.I32(c), gp(n.op)) }
func (m *amd64) MulInt(n Int, c int) { m.IMUL3Q(operand.I32(c), gp(n.op), gp(n.op)) }

func (m *amd64) SubIntVar(n, v Int) { m.SUBQ(gp(v.op), gp(n.op)) }

func (m *amd64) Prefetch(p Ptr, off int) {
	m.PREFETCHT1(operand.Mem{Base: gp(p.op), Disp: off * int(p.size())})
}

func (m *amd64) Repeat(n Int, body func()) {
	loop, done := m.label("repeat"), m.label("done")
	left := m.copyGP(n.op)
	m.TESTQ(left, left)
	m.JLE(operand.LabelRef(done))
	m.Label(loop)
	body()
	m.DECQ(left)
	m.JNZ(operand.LabelRef(loop))
	m.Label(done)
}

func (m *amd64) While(n Int, c int, body func()) {
	loop, done := m.label("while"), m.label("done")
	m.Label(loop)
	m.CMPQ(gp(n.op), operand.I32(c))
	m.JLT(operand.LabelRef(done))
	body()
	m.JMP(operand.LabelRef(loop))
	m.Label(done)
}

func (m *amd64) IfZero(n Int, body func()) {
	done := m.label("nonzero")
	m.TESTQ(gp(n.op), gp(n.op))
	m.JNZ(operand.LabelRef(done))
	body()
	m.Label(done)
}

func (m *amd64) IfNotZero(n Int, body func()) {
	done := m.label("zero")
	m.TESTQ(gp(n.op), gp(n.op))
	m.JZ(operand.LabelRef(done))
	body()
	m.Label(done)
}

func (m *amd64) Strips(n Int, ptrs []Ptr, unroll int, body func(s Strip)) {
	full := func(u int) {
		m.While(n, u*m.lanes, func() {
			body(Strip{U: u, m: m})
			for _, p := range ptrs {
				m.AddPtrConst(p, u*m.lanes)
			}
			m.SubInt(n, u*m.lanes)
		})
	}
	if unroll > 1 {
		full(unroll)
	}
	full(1)
	m.IfNotZero(n, func() {
		m.setTail(n)
		body(Strip{U: 1, m: m, partial: true})
		for _, p := range ptrs {
			m.AddPtr(p, n)
		}
		m.XORQ(gp(n.op), gp(n.op))
	})
}

// setTail makes tail select the first n lanes, 0 < n < Lanes().
func (m *amd64) setTail(n Int) {
	m.tailLen = gp(n.op)
	if m.avx512() {
		ones, k := m.GP64(), m.K()
		m.MOVQ(operand.I64(-1), ones)
		m.BZHIQ(gp(n.op), ones, ones)
		m.KMOVW(ones.As32(), k)
		m.tail = k
		return
	}
	if m.tailTable == nil {
		t := m.StaticGlobal("tail")
		m.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 16 {
			bits := uint32(0)
			if i < 8 {
				bits = math.MaxUint32
			}
			m.AddDatum(4*i, operand.U32(bits))
		}
		m.tailTable = &t
	}
	base, back, mask := m.GP64(), m.copyGP(n.op), m.YMM()
	m.LEAQ(m.tailTable.Offset(32), base)
	m.NEGQ(back)
	m.VMOVUPS(operand.Mem{Base: base, Index: back, Scale: 4}, mask)
	m.tail = mask
}

func (m *amd64) stripLoad(s Strip, p Ptr, u int) Vec {
	mem, v := m.mem(p, u*m.lanes), m.vec()
	switch {
	case !s.partial:
		m.VMOVUPS(mem, v)
	case m.avx512():
		m.VMOVUPS_Z(mem, m.tail, v)
	default:
		m.VMASKMOVPS(mem, m.tail, v)
	}
	return Vec{v}
}

func (m *amd64) stripStore(s Strip, p Ptr, u int, v Vec) {
	mem := m.mem(p, u*m.lanes)
	switch {
	case !s.partial:
		m.VMOVUPS(vec(v), mem)
	case m.avx512():
		m.VMOVUPS(vec(v), m.tail, mem)
	default:
		m.VMASKMOVPS(vec(v), m.tail, mem)
	}
}

func (m *amd64) stripKeep(s Strip, v, other Vec) Vec {
	if !s.partial {
		return v
	}
	return m.Select(Mask{m.tail}, v, other)
}

func (m *amd64) Load(p Ptr, off int) Vec {
	v := m.vec()
	m.VMOVUPS(m.mem(p, off), v)
	return Vec{v}
}

func (m *amd64) Store(p Ptr, off int, v Vec) { m.VMOVUPS(vec(v), m.mem(p, off)) }

func (m *amd64) LoadBroadcast(p Ptr, off int) Vec { return m.broadcast(m.mem(p, off)) }

func (m *amd64) broadcast(mem operand.Mem) Vec {
	v := m.vec()
	if m.lanes == 16 {
		m.VPBROADCASTD(mem, v) // the loads alone do it; on Zen 4 VBROADCASTSS of 512 bits takes an adder as well
	} else {
		m.VBROADCASTSS(mem, v)
	}
	return Vec{v}
}

func (m *amd64) StoreF32(p Ptr, off int, v Vec) { m.VMOVSS(vec(v).AsX(), m.mem(p, off)) }

func (m *amd64) Const(v float32) Vec { return m.ConstBits(math.Float32bits(v)) }

func (m *amd64) ConstBits(bits uint32) Vec {
	v := m.broadcast(m.constMem(bits))
	m.loaded = append(m.loaded, bits)
	return v
}

func (m *amd64) Operand(bits uint32) Vec {
	if !m.avx512() {
		return m.ConstBits(bits)
	}
	return Vec{broadcast{m.constMem(bits), bits}}
}

// constMem returns a constant in memory, the same for the same.
func (m *amd64) constMem(bits uint32) operand.Mem {
	mem, ok := m.consts[bits]
	if !ok {
		mem = m.ConstData(fmt.Sprintf("c%08x", bits), operand.U32(bits))
		m.consts[bits] = mem
	}
	return mem
}

func (m *amd64) Zero() Vec {
	v := m.vec()
	m.VXORPS(v, v, v)
	return Vec{v}
}

func (m *amd64) Copy(a Vec) Vec {
	v := m.vec()
	m.VMOVAPS(m.reg(a), v)
	return Vec{v}
}

func (m *amd64) Set(dst, src Vec) { m.VMOVAPS(m.reg(src), vec(dst)) }
