package gen

// The operands of a [Machine]. They are virtual registers: the backend assigns
// the physical ones.
type (
	// A Vec holds Lanes() float32 or 32-bit integers.
	Vec struct{ op any }
	// A Mask holds one truth value per lane.
	Mask struct{ op any }
	// A Ptr holds an address, of float32 elements unless bytes is set. An index that
	// is not nil is an Int that loads and stores add to it (amd64).
	Ptr struct {
		op    any
		bytes bool
		index any
	}
	// An Int holds a 64-bit integer.
	Int struct{ op any }
)

// size returns the bytes of an element.
func (p Ptr) size() uint8 {
	if p.bytes {
		return 1
	}
	return 4
}

// A Machine emits the instructions of one kernel after another for one
// instruction set.
//
// Methods that return a Vec write it to a fresh register; methods whose comment
// has an assignment operator (a += b*c) change their first operand in place.
// Element counts and offsets are in float32, never in bytes.
type Machine interface {
	// Lanes is the number of float32 in a Vec.
	Lanes() int
	// Registers is the number of Vec the machine can hold at once.
	Registers() int

	// Func starts a function. signature is the Go signature without the name;
	// doc is the stub's comment and should start with the name.
	Func(name, signature string, doc ...string)
	// Ret ends the function. Code after it is unreachable unless labelled.
	Ret()
	// StreamEnd orders streamed stores before what follows.
	StreamEnd()
	// ReturnF32 stores lane 0 of v as the function's only result.
	ReturnF32(v Vec)
	// Comment emits a comment line.
	Comment(format string, args ...any)

	// ParamF32 returns a float32 parameter in every lane.
	ParamF32(name string) Vec
	// ParamPtr and ParamInt return a pointer or int parameter.
	ParamPtr(name string) Ptr
	ParamInt(name string) Int
	// ParamBytes returns a pointer to bytes: it moves by bytes where others
	// move by float32.
	ParamBytes(name string) Ptr
	// ParamI32 returns an int32 parameter in every lane.
	ParamI32(name string) Vec

	// CopyPtr and CopyInt return a copy that can be changed by itself.
	CopyPtr(p Ptr) Ptr
	CopyInt(n Int) Int
	// LoadPtr returns the pointer stored at p plus off bytes.
	LoadPtr(p Ptr, offBytes int) Ptr
	// LoadInt returns the 64-bit integer stored at p plus off bytes.
	LoadInt(p Ptr, offBytes int) Int
	// AddPtr advances p by n elements, SubPtr moves it back; AddPtrConst advances
	// it by a constant number.
	AddPtr(p Ptr, n Int)
	SubPtr(p Ptr, n Int)
	AddPtrConst(p Ptr, n int)
	// AddInt, SubInt and MulInt change n by a constant.
	AddInt(n Int, c int)
	SubInt(n Int, c int)
	MulInt(n Int, c int)
	// SubIntVar is n -= v.
	SubIntVar(n, v Int)

	// Repeat runs body n times, n >= 0. It counts in a copy of n.
	Repeat(n Int, body func())
	// While runs body as long as n >= c, testing first; body must lower n.
	While(n Int, c int, body func())
	// IfZero and IfNotZero run body depending on n.
	IfZero(n Int, body func())
	IfNotZero(n Int, body func())

	// Strips runs body over n elements, n >= 0: first in strips of unroll
	// vectors, then of one vector, then once for the partial vector that is
	// left. After each strip it advances ptrs and lowers n by the strip's
	// elements; within a strip, vector u of pointer p is s.Load(p, u).
	Strips(n Int, ptrs []Ptr, unroll int, body func(s Strip))

	// Load, Store: Lanes() elements at p + off elements, no alignment needed.
	Load(p Ptr, off int) Vec
	Store(p Ptr, off int, v Vec)
	// LoadBroadcast returns the element at p + off in every lane.
	LoadBroadcast(p Ptr, off int) Vec
	// StoreF32 stores lane 0.
	StoreF32(p Ptr, off int, v Vec)

	// Const and ConstBits return a constant in every lane.
	Const(v float32) Vec
	ConstBits(bits uint32) Vec
	// Operand is ConstBits, but may stand for memory that instructions read.
	Operand(bits uint32) Vec
	Zero() Vec
	Copy(a Vec) Vec
	// Set makes dst = src, for values carried around a loop.
	Set(dst, src Vec)

	Add(a, b Vec) Vec
	Sub(a, b Vec) Vec
	Mul(a, b Vec) Vec
	Div(a, b Vec) Vec
	Sqrt(a Vec) Vec
	// Max and Min are a > b ? a : b and a < b ? a : b: b if either is NaN or
	// both are zero. See MaxNaN for the propagating form.
	Max(a, b Vec) Vec
	Min(a, b Vec) Vec
	// AccMulAdd is acc += a*b, AccMulSub is acc -= a*b, fused.
	AccMulAdd(acc, a, b Vec)
	AccMulSub(acc, a, b Vec)
	// Horner is p = p*x + c, fused.
	Horner(p, x, c Vec)

	And(a, b Vec) Vec
	Or(a, b Vec) Vec
	Xor(a, b Vec) Vec
	// AndNot is b with the bits of a cleared: ^a & b.
	AndNot(a, b Vec) Vec
	AddI32(a, b Vec) Vec
	SubI32(a, b Vec) Vec
	ShlI32(a Vec, bits int) Vec
	ShrU32(a Vec, bits int) Vec
	SarI32(a Vec, bits int) Vec
	// ToI32 rounds to nearest even; out of range is the backend's own.
	ToI32(a Vec) Vec
	FromI32(a Vec) Vec
	// Round rounds to the nearest integer, ties to even.
	Round(a Vec) Vec

	// MulExp2 is p * 2^n, rounded once, for whole n from -150 to 128 and |p|
	// from 1/4 to 4.
	MulExp2(p, n Vec) Vec
	// Reciprocal is 1/a within 1 ulp for normal a and normal 1/a.
	Reciprocal(a Vec) Vec
	// Estimate is 1/a within 2^-14, relative, for normal a and normal 1/a.
	Estimate(a Vec) Vec

	// Less, LessEq, Equal: false where a lane is NaN. IsNaN: where a is NaN.
	Less(a, b Vec) Mask
	LessEq(a, b Vec) Mask
	Equal(a, b Vec) Mask
	IsNaN(a Vec) Mask
	// EqualI32 compares integers.
	EqualI32(a, b Vec) Mask
	OrMask(a, b Mask) Mask
	// Select is m ? a : b.
	Select(m Mask, a, b Vec) Vec
	// SetIf is dst = m ? src : dst.
	SetIf(dst Vec, m Mask, src Vec)

	// AddIf is acc += v where k is set. Keep is v there and zero elsewhere.
	AddIf(acc Vec, k Mask, v Vec)
	Keep(k Mask, v Vec) Vec
	// Zip returns the lanes of a and b in turns, in two vectors.
	Zip(a, b Vec) (lo, hi Vec)
	// Unzip undoes Zip: the even lanes of both, and the odd ones.
	Unzip(lo, hi Vec) (a, b Vec)
	// Next returns the lanes of a from lane 1 on and behind them lane 0 of b.
	Next(a, b Vec) Vec
	// Previous returns the last lane of a and behind it the lanes of b but the last.
	Previous(a, b Vec) Vec

	// SumLanes adds all lanes into lane 0: halves, then quarters, and so on.
	SumLanes(a Vec) Vec
	// AddSums is p[off+4*i+j] += the sum of the lanes of v[i][j], at most four of
	// each i. Other elements of the sixteen from off on may change.
	AddSums(p Ptr, off int, v [4][]Vec)
	// MaxLanes is the maximum of all lanes in lane 0, with Max's rule for NaN.
	MaxLanes(a Vec) Vec
}

// A prefetcher is a Machine that can ask for what it will need.
type prefetcher interface {
	// Prefetch asks for the line at p + off elements in the second-level cache. It
	// never faults.
	Prefetch(p Ptr, off int)
}

// A Strip is the group of vectors that one round of [Machine.Strips] handles.
type Strip struct {
	// U is the number of vectors.
	U int
	m stripMachine
	// partial is true in the round for the last, incomplete vector.
	partial bool
}

// stripMachine is what a backend offers to implement Strip.
type stripMachine interface {
	stripLoad(s Strip, p Ptr, u int) Vec
	stripStore(s Strip, p Ptr, u int, v Vec)
	stripKeep(s Strip, v, other Vec) Vec
	stripLoadBytes(s Strip, p Ptr, u int) Vec
	stripStoreBytes(s Strip, p Ptr, u int, v Vec)
	stripStream(s Strip, p Ptr, u int, v Vec)
}

// Load returns vector u of the strip at p. Lanes past the end are zero and
// their memory is not touched.
func (s Strip) Load(p Ptr, u int) Vec { return s.m.stripLoad(s, p, u) }

// Store stores vector u of the strip at p. Memory past the end is not touched.
func (s Strip) Store(p Ptr, u int, v Vec) { s.m.stripStore(s, p, u, v) }

// Keep returns v with the lanes past the end replaced by other's. In a full
// strip it is v itself.
func (s Strip) Keep(v, other Vec) Vec { return s.m.stripKeep(s, v, other) }

// LoadBytes returns the bytes of vector u of the strip at p, one zero-extended
// to each 32-bit lane. Lanes past the end are zero and their memory is not
// touched.
func (s Strip) LoadBytes(p Ptr, u int) Vec { return s.m.stripLoadBytes(s, p, u) }

// StoreBytes stores the low byte of each lane of vector u of the strip at p; the
// other bytes must be zero. Memory past the end is not touched.
func (s Strip) StoreBytes(p Ptr, u int, v Vec) { s.m.stripStoreBytes(s, p, u, v) }

// Stream is Store past the caches, if the ISA can; the strip must be full and
// aligned to its vectors. [Machine.StreamEnd] must follow before another thread may
// look at what was stored.
func (s Strip) Stream(p Ptr, u int, v Vec) { s.m.stripStream(s, p, u, v) }
