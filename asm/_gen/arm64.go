package gen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"math"
	"strings"
)

// arm64 is the Machine of NEON (4 lanes). The partial vector of a strip is done
// one element at a time in lane 0, with zeros in the other lanes.
type arm64 struct {
	functions []*function
	f         *function // the one being emitted
	next      int       // virtual registers used
}

func newARM64() *arm64 { return &arm64{} }

// A param is a parameter or result on the stack.
type param struct {
	offset int
	float  bool
}

// layout parses a signature of float32, float64, int and pointer parameters and at most
// one result, and returns each one's offset and the size of them all. The
// result is called ret unless it has a name.
func layout(signature string) (params map[string]param, size int, err error) {
	e, err := parser.ParseExpr(signature)
	if err != nil {
		return nil, 0, err
	}
	params = map[string]param{}
	add := func(name string, t ast.Expr) {
		id, ok := t.(*ast.Ident)
		float := ok && id.Name == "float32"
		bytes := 8
		if float || ok && (id.Name == "int32" || id.Name == "uint32") {
			bytes = 4
		}
		size = (size + bytes - 1) / bytes * bytes
		params[name] = param{size, float}
		size += bytes
	}
	ft := e.(*ast.FuncType)
	for _, field := range ft.Params.List {
		for _, n := range field.Names {
			add(n.Name, field.Type)
		}
	}
	if ft.Results != nil {
		size = (size + 7) / 8 * 8
		name := "ret"
		if names := ft.Results.List[0].Names; len(names) > 0 {
			name = names[0].Name
		}
		add(name, ft.Results.List[0].Type)
		params["ret"] = params[name]
	}
	return params, size, nil
}

func (m *arm64) Lanes() int { return 4 }

func (m *arm64) Registers() int { return 32 }

func (m *arm64) Func(name, signature string, doc ...string) {
	params, size, err := layout(signature)
	if err != nil {
		panic(err)
	}
	m.f = &function{
		name: name, signature: strings.TrimPrefix(signature, "func"), doc: doc,
		params: params, frame: fmt.Sprintf("$0-%d", size),
	}
	m.functions = append(m.functions, m.f)
}

func (m *arm64) emit(in inst) { m.f.insts = append(m.f.insts, in) }

// op emits an instruction that writes dst and reads src. format has one verb
// per register, dst first unless it is an assembler line, whose order is free
// through explicit argument indexes.
func (m *arm64) op(dst []vreg, src []vreg, print func(r []int) string) {
	in := inst{print: print}
	for _, r := range dst {
		in.args, in.reads, in.writes = append(in.args, r), append(in.reads, false), append(in.writes, true)
	}
	for _, r := range src {
		in.args, in.reads, in.writes = append(in.args, r), append(in.reads, true), append(in.writes, false)
	}
	m.emit(in)
}

// move emits a copy between registers of one class.
func (m *arm64) move(dst, src vreg) {
	format := "MOVD R%[2]d, R%[1]d"
	if dst.class == classV {
		format = "VMOV V%[2]d.B16, V%[1]d.B16"
	}
	m.op([]vreg{dst}, []vreg{src}, asmf(format))
	m.f.insts[len(m.f.insts)-1].move = true
}

// update is op for an instruction that reads and writes acc.
func (m *arm64) update(acc vreg, src []vreg, print func(r []int) string) {
	m.op([]vreg{acc}, append(append([]vreg{}, src...), acc), print)
}

func asmf(format string) func(r []int) string {
	return func(r []int) string {
		args := make([]any, len(r))
		for i, n := range r {
			args[i] = n
		}
		line := fmt.Sprintf(format, args...)
		if i := strings.Index(line, "%!(EXTRA"); i >= 0 {
			line = line[:i]
		}
		return line
	}
}

func (w word) String() string { return fmt.Sprintf("WORD $0x%08X // %s", w.bits, w.text) }

func (m *arm64) newV() vreg { m.next++; return vreg{classV, m.next} }
func (m *arm64) newR() vreg { m.next++; return vreg{classR, m.next} }

func vr(op any) vreg { return op.(vreg) }

func (m *arm64) Comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.emit(inst{print: func([]int) string { return "// " + text }})
}

func (m *arm64) Ret() {
	m.emit(inst{print: func([]int) string { return "RET" }, jump: true})
}

// symbol returns the assembler's name of a parameter.
func (m *arm64) symbol(name string) string {
	p, ok := m.f.params[name]
	if !ok {
		panic(m.f.name + ": no parameter " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, p.offset)
}

func (m *arm64) ReturnF32(v Vec) {
	m.op(nil, []vreg{vr(v.op)}, asmf("FMOVS F%d, "+m.symbol("ret")))
	m.Ret()
}

func (m *arm64) ParamF32(name string) Vec {
	v := m.newV()
	m.op([]vreg{v}, nil, asmf("FMOVS "+m.symbol(name)+", F%d"))
	return m.broadcast(v)
}

// broadcast copies lane 0 to every lane.
func (m *arm64) broadcast(v vreg) Vec {
	d := m.newV()
	m.op([]vreg{d}, []vreg{v}, func(r []int) string { return encDUPElem(r[0], r[1], 0).String() })
	return Vec{d}
}

func (m *arm64) paramR(name string) vreg {
	r := m.newR()
	m.op([]vreg{r}, nil, asmf("MOVD "+m.symbol(name)+", R%d"))
	return r
}

func (m *arm64) ParamPtr(name string) Ptr { return Ptr{op: m.paramR(name)} }
func (m *arm64) ParamInt(name string) Int { return Int{m.paramR(name)} }

func (m *arm64) copyR(r vreg) vreg {
	d := m.newR()
	m.move(d, r)
	return d
}

func (m *arm64) CopyPtr(p Ptr) Ptr { return Ptr{op: m.copyR(vr(p.op)), bytes: p.bytes} }
func (m *arm64) CopyInt(n Int) Int { return Int{m.copyR(vr(n.op))} }

func (m *arm64) LoadPtr(p Ptr, offBytes int) Ptr {
	d := m.newR()
	m.op([]vreg{d}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("MOVD %d(R%%[2]d), R%%[1]d", offBytes)))
	return Ptr{op: d}
}

func (m *arm64) LoadInt(p Ptr, offBytes int) Int { return Int{m.LoadPtr(p, offBytes).op} }

func (m *arm64) AddPtr(p Ptr, n Int) { m.movePtr("ADD", p, n) }
func (m *arm64) SubPtr(p Ptr, n Int) { m.movePtr("SUB", p, n) }

func (m *arm64) movePtr(op string, p Ptr, n Int) {
	shift := 2
	if p.bytes {
		shift = 0
	}
	m.update(vr(p.op), []vreg{vr(n.op)}, asmf(fmt.Sprintf("%s R%%[2]d<<%d, R%%[1]d, R%%[1]d", op, shift)))
}

func (m *arm64) addConst(r vreg, c int) {
	m.update(r, nil, asmf(fmt.Sprintf("ADD $%d, R%%[1]d, R%%[1]d", c)))
}

func (m *arm64) AddPtrConst(p Ptr, n int) { m.addConst(vr(p.op), n*int(p.size())) }
func (m *arm64) AddInt(n Int, c int)      { m.addConst(vr(n.op), c) }
func (m *arm64) SubInt(n Int, c int) {
	m.update(vr(n.op), nil, asmf(fmt.Sprintf("SUB $%d, R%%[1]d, R%%[1]d", c)))
}

func (m *arm64) SubIntVar(n, v Int) {
	m.update(vr(n.op), []vreg{vr(v.op)}, asmf("SUB R%[2]d, R%[1]d, R%[1]d"))
}

func (m *arm64) MulInt(n Int, c int) {
	t := m.newR()
	m.op([]vreg{t}, nil, asmf(fmt.Sprintf("MOVD $%d, R%%d", c)))
	m.update(vr(n.op), []vreg{t}, asmf("MUL R%[2]d, R%[1]d, R%[1]d"))
}

func (m *arm64) label(stem string) string {
	m.f.labels++
	return fmt.Sprintf("%s%d", stem, m.f.labels)
}

func (m *arm64) place(label string) { m.emit(inst{label: label}) }

// branch emits a branch to label that reads src.
func (m *arm64) branch(format, label string, src ...vreg) {
	in := inst{target: label, args: src, print: asmf(format + label)}
	in.reads, in.writes = make([]bool, len(src)), make([]bool, len(src))
	for i := range src {
		in.reads[i] = true
	}
	in.jump = format == "B "
	m.emit(in)
}

func (m *arm64) Repeat(n Int, body func()) {
	loop, done := m.label("repeat"), m.label("done")
	left := m.copyR(vr(n.op))
	m.op(nil, []vreg{left}, asmf("CMP $0, R%d"))
	m.branch("BLE ", done)
	m.place(loop)
	body()
	m.update(left, nil, asmf("SUBS $1, R%[1]d, R%[1]d"))
	m.branch("BNE ", loop)
	m.place(done)
}

func (m *arm64) While(n Int, c int, body func()) {
	loop, done := m.label("while"), m.label("done")
	compare := func() { m.op(nil, []vreg{vr(n.op)}, asmf(fmt.Sprintf("CMP $%d, R%%d", c))) }
	compare()
	m.branch("BLT ", done)
	m.place(loop)
	body()
	compare()
	m.branch("BGE ", loop)
	m.place(done)
}

func (m *arm64) IfZero(n Int, body func()) {
	done := m.label("nonzero")
	m.branch("CBNZ R%d, ", done, vr(n.op))
	body()
	m.place(done)
}

func (m *arm64) IfNotZero(n Int, body func()) {
	done := m.label("zero")
	m.branch("CBZ R%d, ", done, vr(n.op))
	body()
	m.place(done)
}

func (m *arm64) Strips(n Int, ptrs []Ptr, unroll int, body func(s Strip)) {
	strip := func(s Strip, elements int) {
		m.While(n, elements, func() {
			body(s)
			for _, p := range ptrs {
				m.AddPtrConst(p, elements)
			}
			m.SubInt(n, elements)
		})
	}
	if unroll > 1 {
		strip(Strip{U: unroll, m: m}, 4*unroll)
	}
	strip(Strip{U: 1, m: m}, 4)
	strip(Strip{U: 1, m: m, partial: true}, 1)
}

func (m *arm64) stripLoad(s Strip, p Ptr, u int) Vec {
	if !s.partial {
		return m.Load(p, 4*u)
	}
	return Vec{m.loadLane(p, 4*u)}
}

func (m *arm64) stripStore(s Strip, p Ptr, u int, v Vec) {
	if s.partial {
		m.StoreF32(p, 0, v)
		return
	}
	m.Store(p, 4*u, v)
}

func (m *arm64) stripKeep(s Strip, v, other Vec) Vec {
	if !s.partial {
		return v
	}
	return m.Select(Mask{m.lane0()}, v, other)
}

// lane0 returns ones in lane 0 and zeros in the others.
func (m *arm64) lane0() vreg {
	ones, v := m.newR(), m.newV()
	m.op([]vreg{ones}, nil, asmf("MOVW $-1, R%d"))
	m.op([]vreg{v}, []vreg{ones}, asmf("FMOVS R%[2]d, F%[1]d"))
	return v
}

func (m *arm64) Load(p Ptr, off int) Vec {
	v := m.newV()
	m.op([]vreg{v}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("FMOVQ %d(R%%[2]d), F%%[1]d", 4*off)))
	return Vec{v}
}

func (m *arm64) Store(p Ptr, off int, v Vec) {
	m.op(nil, []vreg{vr(v.op), vr(p.op)}, asmf(fmt.Sprintf("FMOVQ F%%[1]d, %d(R%%[2]d)", 4*off)))
}

// loadLane loads one element into lane 0 and zeroes the others.
func (m *arm64) loadLane(p Ptr, off int) vreg {
	v := m.newV()
	m.op([]vreg{v}, []vreg{vr(p.op)}, asmf(fmt.Sprintf("FMOVS %d(R%%[2]d), F%%[1]d", 4*off)))
	return v
}

func (m *arm64) LoadBroadcast(p Ptr, off int) Vec { return m.broadcast(m.loadLane(p, off)) }

func (m *arm64) StoreF32(p Ptr, off int, v Vec) {
	m.op(nil, []vreg{vr(v.op), vr(p.op)}, asmf(fmt.Sprintf("FMOVS F%%[1]d, %d(R%%[2]d)", 4*off)))
}

func (m *arm64) Const(v float32) Vec { return m.ConstBits(math.Float32bits(v)) }

func (m *arm64) Operand(bits uint32) Vec { return m.ConstBits(bits) }

func (m *arm64) ConstBits(bits uint32) Vec {
	if bits == 0 {
		return m.Zero()
	}
	r, v := m.newR(), m.newV()
	m.op([]vreg{r}, nil, asmf(fmt.Sprintf("MOVD $0x%08x, R%%d", bits)))
	m.op([]vreg{v}, []vreg{r}, asmf("VDUP R%[2]d, V%[1]d.S4"))
	return Vec{v}
}

// stubs returns the functions' Go declarations.
func (m *arm64) stubs() []stub {
	var s []stub
	for _, f := range m.functions {
		s = append(s, stub{f.doc, "func " + f.name + f.signature})
	}
	return s
}

func (m *arm64) asm() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// %s\n\n//go:build !purego\n\n#include \"textflag.h\"\n", warning)
	for _, f := range m.functions {
		if err := f.print(&b); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
