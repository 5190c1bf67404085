package gen

import (
	"math"
	"slices"
)

// Elementary functions as straight-line code over vectors.
//
// e^x is 2^n * (1+q) with n = x/ln2 rounded and q = e^r - 1 a polynomial in r =
// x - n*ln2, |r| <= 0.3466. ln2 is split in two so that r keeps its bits. Adding
// and subtracting 1.5*2^23 rounds to an integer, which then also stands in the
// low bits of the sum: shifted left by 23 they are the exponent of 2^n. The
// polynomials are minimax fits, relative to the function, with the error given
// beside them; coefficients are in ascending order.
//
// Where a vector looks up sixteen elements in another, as on AVX-512, n is a multiple of
// 1/16 and r = x - n*ln2, |r| <= 0.0217, takes a polynomial of half the length. 2^n is
// 2^floor(n) times one of sixteen powers, which are rounded; what that leaves out is
// looked up as well and added to q. The integer of the bits is then 16*n: shifted left by
// 19, floor(n) is in the exponent's place and the number of the power below it, which the
// powers in the table lack.

// A function1 is an elementary function: the constants that are worth registers
// and what it emits.
type function1 struct {
	constants []uint32
	emit      func(c constants, x Vec) Vec
}

// constants provides a function's constants: from registers as far as those reach,
// else from memory.
type constants struct {
	Machine
	held map[uint32]Vec
	// powers holds the bits of 2^(i/16) less i<<19 in lane i, rests what a power is to be
	// multiplied by and added to it for its last bits. They are nil where there are no lookups and in functions
	// without an exponential.
	powers, rests any
	// wide is set where instructions read constants from memory and multiply-adds
	// should too.
	wide bool
}

// A lookup is a Machine with vectors of sixteen that finds elements of one by number.
type lookup interface {
	// Table returns a vector of these elements.
	Table(bits [16]uint32) Vec
	// Lookup is table[index mod 16].
	Lookup(table, index Vec) Vec
}

// tableShift is how far 16*n is below the exponent.
const tableShift = 23 - 4

// powerTables returns the tables of powers and rests, for any library's rounding.
func powerTables() (powers, rests [16]uint32) {
	for i := range powers {
		exact := math.Exp2(float64(i) / 16)
		power := float32(exact)
		rest := math.Round((exact/float64(power)-1)*0x1p40) * 0x1p-40
		powers[i], rests[i] = math.Float32bits(power)-uint32(i<<tableShift), math.Float32bits(float32(rest))
	}
	return powers, rests
}

// hold loads those of a function's constants for which registers are left when so many
// vectors are worked on together: on AVX-512 those that cannot be operands in memory,
// elsewhere the first of the function's list.
func hold(m Machine, f function1, vectors int) constants {
	const each = 6 // registers of a vector, with its constants from memory
	c, left, list := constants{Machine: m, held: map[uint32]Vec{}}, m.Registers()-each*vectors, f.constants
	if f.tabled(m) {
		left -= 2 + vectors // the tables, and a sum of the linear term
	}
	if a, ok := m.(*amd64); ok && a.avx512() {
		// What a trial has to load.
		trial := newAMD64(a.lanes)
		trial.Func("trial", "func()")
		f.emit(constants{Machine: trial}.operands(f), Vec{trial.vec()})
		c, list = c.operands(f), trial.loaded
	}
	for _, bits := range list {
		if len(c.held) >= left || m.Registers() < 32 {
			break
		}
		if _, ok := c.held[bits]; !ok {
			c.held[bits] = m.ConstBits(bits)
		}
	}
	return c
}

// tabled reports whether f takes tables. Functions of e^x - 1, which have magic+bias, do
// not: with a longer polynomial they would gain nothing.
func (f function1) tabled(m Machine) bool {
	a, ok := m.(*amd64)
	return ok && a.avx512() && slices.Contains(f.constants, math.Float32bits(log2e)) &&
		!slices.Contains(f.constants, math.Float32bits(magic+bias))
}

// vectors returns how many of at most so many vectors f works on together.
func (f function1) vectors(m Machine, most int) int {
	if f.tabled(m) {
		return min(most, 3) // tables take registers
	}
	return min(most, m.Registers()/8)
}

// operands makes constants operands from memory and loads f's tables.
func (c constants) operands(f function1) constants {
	c.wide = true
	if f.tabled(c.Machine) {
		powers, rests := powerTables()
		table := c.Machine.(lookup)
		c.powers, c.rests = table.Table(powers).op, table.Table(rests).op
	}
	return c
}

// tableMagic is the constant that rounds to a sixteenth in place of magic+offset. The
// powers have the exponent's bias.
func tableMagic(offset float32) float32 { return magic/16 + offset - bias }

// bits returns a constant that must not be changed.
func (c constants) bits(bits uint32) Vec {
	if v, ok := c.held[bits]; ok {
		return v
	}
	return c.Operand(bits)
}

func (c constants) of(v float32) Vec { return c.bits(math.Float32bits(v)) }

// fresh returns a constant in a register of its own.
func (c constants) fresh(v float32) Vec {
	if r, ok := c.held[math.Float32bits(v)]; ok {
		return c.Copy(r)
	}
	return c.Const(v)
}

// polynomial returns p[0] + p[1]*x + ..., by Horner's rule.
func (c constants) polynomial(x Vec, p []float32) Vec {
	last := len(p) - 1
	sum := c.mulAdd(x, p[last], p[last-1])
	for _, a := range slices.Backward(p[:last-1]) {
		c.Horner(sum, x, c.of(a))
	}
	return sum
}

// mulAdd returns x*a + b, fused.
func (c constants) mulAdd(x Vec, a, b float32) Vec {
	if c.wide {
		y := c.Copy(x)
		c.Horner(y, c.of(a), c.of(b))
		return y
	}
	y := c.fresh(b)
	c.AccMulAdd(y, x, c.of(a))
	return y
}

// clampKeepingNaN returns x within lo and hi.
func (c constants) clampKeepingNaN(x Vec, lo, hi float32) Vec {
	return c.Min(c.of(hi), c.Max(c.of(lo), x))
}

func floats(v ...float32) []uint32 {
	var list []uint32
	for _, f := range v {
		list = append(list, math.Float32bits(f))
	}
	return list
}

const (
	magic    = 12582912 // 1.5*2^23
	log2e    = 1.44269504
	ln2Hi    = 0.693145751953125 // 16 bits of ln 2
	ln2Lo    = 1.42860682030941723e-6
	signBit  = 1 << 31
	bias     = 127
	tiny64   = 0x1p-64
	half64   = 0x1p-32
	expAbove = 89   // e^x overflows from 88.73
	expBelow = -105 // e^x rounds to zero from -103.98
)

// mulExp2 implements [Machine.MulExp2] with two factors 2^(n/2), so that each is
// a normal number and only the second product is rounded.
func mulExp2(m Machine, p, n Vec) Vec {
	whole := m.ToI32(n)
	half := m.SarI32(whole, 1)
	one := m.ConstBits(bias << 23)
	factor := func(e Vec) Vec { return m.AddI32(m.ShlI32(e, 23), one) }
	return m.Mul(m.Mul(p, factor(half)), factor(m.SubI32(whole, half)))
}

// expm1Poly is (e^r - 1 - r)/r^2, error 2^-28.3.
var expm1Poly = []float32{0.49999994, 0.1666652, 0.0416684, 0.0083688516, 0.001381432}

var expConstants = append(floats(magic, log2e, ln2Hi, ln2Lo), floats(expm1Poly...)...)

// expm1Short is that up to 0.0217, error 2^-29.2 relative to e^r.
var expm1Short = []float32{0.50001627, 0.16667135}

// A reduced is e^x, or e^-x if minus is set, in parts.
type reduced struct {
	t, n  Vec // low bits and value of n
	r     Vec // x - n*ln2, or its negative for e^-x
	minus bool
}

// reduce splits x; t has n above offset.
func (c constants) reduce(x Vec, offset float32, minus bool) reduced {
	k, scale := float32(magic+offset), float32(log2e)
	if c.powers != nil {
		k = tableMagic(offset)
	}
	step := c.AccMulSub
	if minus {
		scale, step = -log2e, c.AccMulAdd
	}
	t := c.mulAdd(x, scale, k)
	n := c.Sub(t, c.of(k))
	r := c.Copy(x)
	step(r, n, c.of(ln2Hi))
	step(r, n, c.of(ln2Lo))
	return reduced{t, n, r, minus}
}

// power returns 2^n, whose exponent with its bias stands in t.
func (c constants) power(e reduced) Vec {
	if c.powers == nil {
		return c.ShlI32(e.t, 23)
	}
	return c.AddI32(c.ShlI32(e.t, tableShift), c.lookup(c.powers, e.t))
}

func (c constants) lookup(table any, index Vec) Vec {
	return c.Machine.(lookup).Lookup(Vec{table}, index)
}

// expm1Reduced returns e^r - 1.
func (c constants) expm1Reduced(e reduced) Vec {
	r := e.r
	if c.powers == nil {
		if e.minus {
			r = c.Xor(r, c.bits(signBit))
		}
		q := c.Mul(c.polynomial(r, expm1Poly), r)
		c.Horner(q, r, r)
		return q
	}
	if e.minus {
		q := c.Mul(c.polynomial(r, []float32{expm1Short[0], -expm1Short[1]}), r)
		c.Horner(q, r, c.Sub(c.lookup(c.rests, e.t), r))
		return q
	}
	q := c.Mul(c.polynomial(r, expm1Short), r)
	c.Horner(q, r, c.Add(r, c.lookup(c.rests, e.t)))
	return q
}

// expFunction is e^x.
var expFunction = function1{
	append(floats(expAbove, expBelow, 1), expConstants...),
	func(c constants, x Vec) Vec { return c.exp(c.clampKeepingNaN(x, expBelow, expAbove)) },
}

// nearEnd bounds |x| for forms that need no clamp: e^x and e^-x are normal numbers.
const nearEnd = 87

var expNear = nearForm{nearEnd, func(c constants, x Vec) Vec { return c.expNormal(c.reduce(x, bias, false)) }}

// expNormal is expReduced of what is reduced with the offset bias, where the result is
// a normal number: the same one.
func (c constants) expNormal(e reduced) Vec {
	s := c.power(e)
	q := c.expm1Reduced(e)
	c.Horner(q, s, s)
	return q
}

// exp returns e^x for expBelow <= x <= expAbove and for NaN.
func (c constants) exp(x Vec) Vec { return c.expReduced(c.reduce(x, 0, false)) }

func (c constants) expReduced(e reduced) Vec {
	q := c.expm1Reduced(e)
	if c.powers == nil {
		return c.MulExp2(c.Add(q, c.of(1)), e.n)
	}
	number := c.ShrU32(c.ShlI32(e.t, 32-4), 32-4-tableShift)
	power := c.AddI32(number, c.lookup(c.powers, e.t))
	c.Horner(q, power, power)
	return c.MulExp2(q, e.n)
}

// logPoly is (ln(1+f) - f + f^2/2)/f^3, error 2^-30.4.
var logPoly = []float32{0.3333331, -0.24999987, 0.20002227, -0.1666925, 0.14218655, -0.12384368, 0.11873021, -0.11789712, 0.06915156}

const (
	sqrtHalfBits = 0x3f3504f3
	mantissaBits = 0x007fffff
	minNormal    = 0x1p-126
	infBits      = 0x7f800000
	nanBits      = 0x7fc00000
	negInfBits   = 0xff800000
)

// logFunction is ln x = e*ln2 + ln(1+f), 1+f from sqrt(1/2) to sqrt(2). A
// denormal is first multiplied by 2^23.
var logFunction = function1{
	append(floats(append([]float32{0, minNormal, 0x1p23, 23, 1, -0.5, ln2Hi, ln2Lo}, logPoly...)...), sqrtHalfBits, mantissaBits),
	func(c constants, x Vec) Vec {
		denormal := c.Less(x, c.of(minNormal))
		scaled := c.Select(denormal, c.Mul(x, c.of(0x1p23)), x)
		lower := c.Select(denormal, c.of(23), c.of(0))
		bits := c.SubI32(scaled, c.bits(sqrtHalfBits))
		e := c.Sub(c.FromI32(c.SarI32(bits, 23)), lower)
		f := c.Sub(c.AddI32(c.And(bits, c.bits(mantissaBits)), c.bits(sqrtHalfBits)), c.of(1))
		f2 := c.Mul(f, f)
		y := c.Mul(c.Mul(c.polynomial(f, logPoly), f), f2)
		c.AccMulAdd(y, e, c.of(ln2Lo))
		c.AccMulAdd(y, f2, c.of(-0.5))
		y = c.Add(y, f)
		c.AccMulAdd(y, e, c.of(ln2Hi))
		// NaN and +Inf are returned, negative numbers give NaN, zeros -Inf.
		y = c.Select(c.Less(x, c.bits(infBits)), y, x)
		y = c.Select(c.Less(x, c.of(0)), c.bits(nanBits), y)
		return c.Select(c.Equal(x, c.of(0)), c.bits(negInfBits), y)
	},
}

// The logistic function is 1/(1+e^-x). Scaled by 2^-64 the denominator cannot
// overflow; 2^-64 goes back in a last multiplication, which rounds denormals
// once.
const (
	logisticAbove = 40   // 1 from 17.3
	logisticBelow = -130 // rounds to zero from -103.98
)

var logisticConstants = append(floats(-log2e, magic+bias-64, logisticAbove, logisticBelow, tiny64, 1), expConstants...)

// logistic64 returns 2^64/(1+e^-x) and x within the range in which that is not
// constant in float32.
func (c constants) logistic64(x Vec) (y, clamped Vec) {
	x = c.clampKeepingNaN(x, logisticBelow, logisticAbove)
	return c.logistic(x, bias-64, tiny64), x
}

// logistic returns 1/(one*(1+e^-x)), where one is the power of two to which bias is
// lowered in offset.
func (c constants) logistic(x Vec, offset, one float32) Vec {
	p := c.reduce(x, offset, true)
	s := c.power(p)
	rest := c.Mul(s, c.expm1Reduced(p))
	most := c.Add(s, c.of(one))
	// The reciprocal of most + rest, by Newton's method from an estimate, without
	// the rounding of that sum.
	y := c.Estimate(c.Add(most, rest))
	e := c.fresh(1)
	c.AccMulSub(e, most, y)
	c.AccMulSub(e, rest, y)
	c.Horner(e, y, y)
	return e
}

var sigmoidFunction = function1{append([]uint32{signBit}, logisticConstants...), func(c constants, x Vec) Vec {
	y, _ := c.logistic64(x)
	return c.Mul(y, c.of(tiny64))
}}

var sigmoidNear = nearForm{nearEnd, func(c constants, x Vec) Vec { return c.logistic(x, bias, 1) }}

// siluFunction multiplies by x before the last bits of a denormal are lost, but
// after the factor has become zero for -Inf. A large x, whose product would
// overflow, is the result itself.
var siluFunction = function1{append(floats(half64, -nearEnd), sigmoidFunction.constants...), func(c constants, x Vec) Vec {
	y, _ := c.logistic64(x)
	far := c.Mul(c.Mul(x, c.Mul(y, c.of(half64))), c.of(half64))
	near := c.Mul(x, c.Mul(y, c.of(tiny64)))
	y = c.Select(c.Less(x, c.of(-nearEnd)), far, near)
	return c.Select(c.Less(c.of(logisticAbove), x), x, y)
}}

// siluNear rounds once where x is denormal, too.
var siluNear = nearForm{nearEnd, func(c constants, x Vec) Vec { return c.Mul(x, c.logistic(x, bias, 1)) }}

const tanhOne = 20 // tanh is 1 from 9.01

var tanhFunction = function1{
	append(append(floats(tanhOne, 1, 2, magic+bias), signBit), expConstants...),
	func(c constants, x Vec) Vec { return c.tanh(x) },
}

// tanh is e/(e+2) with the sign of x, where e = e^2|x| - 1. Below 0.17 no multiple
// of ln2 is taken off, and e has no addition to lose bits in.
func (c constants) tanh(x Vec) Vec {
	sign := c.And(x, c.bits(signBit))
	twice := c.Min(c.of(tanhOne), c.Xor(x, sign))
	twice = c.Add(twice, twice)
	p := c.reduce(twice, bias, false)
	q := c.expm1Reduced(p)
	s := c.power(p)
	e := c.Sub(s, c.of(1))
	c.AccMulAdd(e, s, q)
	d := c.Add(e, c.of(2))
	lost := c.Sub(e, c.Sub(d, c.of(2)))
	// The quotient, corrected by what it leaves of e.
	w := c.Estimate(d)
	y := c.Mul(e, w)
	c.AccMulSub(e, d, y)
	c.AccMulSub(e, lost, y)
	c.AccMulAdd(y, e, w)
	return c.Or(y, sign)
}

// log1pPoly is (atanh(s)/s - 1)/s^2 in s^2, error 2^-33 up to s = 1/3.
var log1pPoly = []float32{0.33333337, 0.19999437, 0.14308518, 0.10712925, 0.12154163}

// softplusFunction is max(x, 0) + ln(1+e), e = e^-|x|, and ln(1+e) =
// 2*atanh(e/(2+e)).
var softplusFunction = function1{
	append(append(floats(expBelow, 0, 1, 2, 0.25), signBit), append(floats(log1pPoly...), expConstants...)...),
	func(c constants, x Vec) Vec {
		e := c.exp(c.Max(c.of(expBelow), c.Or(x, c.bits(signBit))))
		s := c.Mul(c.Add(e, e), c.Reciprocal(c.Add(e, c.of(2)))) // twice the s above
		w := c.Mul(c.Mul(s, s), c.of(0.25))
		y := c.Mul(c.polynomial(w, log1pPoly), w)
		c.Horner(y, s, s)
		return c.Add(y, c.Max(c.of(0), x))
	},
}

// expm1Below is where e^x - 1 has become -1.
const expm1Below = -40

var expm1Constants = append(floats(expm1Below, magic+bias, 1), expConstants...)

// expm1 returns e^x - 1 for x <= 0.
func (c constants) expm1(x Vec) Vec {
	p := c.reduce(c.Max(c.of(expm1Below), x), bias, false)
	q := c.expm1Reduced(p)
	s := c.power(p)
	y := c.Sub(s, c.of(1))
	c.AccMulAdd(y, s, q)
	return y
}

// normalPoly is Phi(-a)*e^(a^2/2)/t in t = 1/(1+a/4); its error times
// e^(-a^2/2) is below 2^-25 of Phi(-a) + 2^-8.
var normalPoly = []float32{0.09865516, 0.11397001, 0.017588995, 0.29582658, -0.28299898, 0.35061434, -0.09365612}

const (
	normalEnd   = 15 // Phi(-15) rounds to zero
	inverseRoot = 0.3989422804
)

var normalConstants = append(append(floats(0, normalEnd, -normalEnd, -0.5, 0.25, 1, inverseRoot), signBit), append(floats(normalPoly...), expConstants...)...)

// normal returns Phi(x), e^(-x^2/2), and x within +-normalEnd.
func (c constants) normal(x Vec) (phi, e, clamped Vec) {
	x = c.clampKeepingNaN(x, -normalEnd, normalEnd)
	tail, e := c.normalTail(x, 0, constants.expReduced)
	return c.Select(c.Less(x, c.of(0)), tail, c.Sub(c.of(1), tail)), e, x
}

// normalTail returns Phi(-|x|) and e^(-x^2/2), with exp for what is reduced with the
// offset.
func (c constants) normalTail(x Vec, offset float32, exp func(constants, reduced) Vec) (tail, e Vec) {
	// -x^2/2 in two parts: the exponential would magnify its rounding.
	half := c.Mul(x, c.of(-0.5))
	hi := c.Mul(half, x)
	lo := c.Xor(hi, c.bits(signBit))
	c.AccMulAdd(lo, half, x)
	p := c.reduce(hi, offset, false)
	p.r = c.Add(p.r, lo)
	e = exp(c, p)
	t := c.AndNot(c.bits(signBit), x)
	c.Horner(t, c.of(0.25), c.of(1))
	t = c.Reciprocal(t)
	return c.Mul(c.Mul(c.polynomial(t, normalPoly), t), e), e
}

// geluFunction is x*Phi(x).
var geluFunction = function1{normalConstants, func(c constants, x Vec) Vec {
	end := c.clampKeepingNaN(x, -normalEnd, normalEnd)
	tail, _ := c.normalTail(end, 0, constants.expReduced)
	// +Inf is kept from the product with zero.
	return c.timesNormal(x, c.Min(c.of(normalEnd), x), tail)
}}

// timesNormal returns x*Phi(x) as max(x, -0) - |bounded|*Phi(-|x|), bounded being x.
func (c constants) timesNormal(x, bounded, tail Vec) Vec {
	y := c.AndNot(c.ShrU32(c.SarI32(x, 31), 1), x)
	c.AccMulSub(y, c.AndNot(c.bits(signBit), bounded), tail)
	return y
}

// geluNear holds as long as e^(-x^2/2) is a normal number.
var geluNear = nearForm{13, func(c constants, x Vec) Vec {
	tail, _ := c.normalTail(x, bias, constants.expNormal)
	return c.timesNormal(x, x, tail)
}}

const sixth = 1. / 6

// hardSwishFunction is x*clamp(x/6 + 1/2, 0, 1).
var hardSwishFunction = function1{floats(sixth, 0.5, 0, 1), func(c constants, x Vec) Vec {
	g := c.mulAdd(x, sixth, 0.5)
	return c.Mul(x, c.clampKeepingNaN(g, 0, 1))
}}

// The derivatives, as functions of what the activation was applied to.

var siluDerivative = function1{append(floats(1), sigmoidFunction.constants...), func(c constants, x Vec) Vec {
	y, clamped := c.logistic64(x)
	s := c.Mul(y, c.of(tiny64))
	d := c.Sub(c.of(1), s)
	c.Horner(d, clamped, c.of(1))
	return c.Mul(d, s)
}}

var sigmoidDerivative = function1{append(floats(1), sigmoidFunction.constants...), func(c constants, x Vec) Vec {
	s := sigmoidFunction.emit(c, x)
	return c.Mul(s, c.Sub(c.of(1), s))
}}

var tanhDerivative = function1{append(floats(1), tanhFunction.constants...), func(c constants, x Vec) Vec {
	t := c.tanh(x)
	return c.Mul(c.Sub(c.of(1), t), c.Add(c.of(1), t))
}}

var geluDerivative = function1{normalConstants, func(c constants, x Vec) Vec {
	phi, e, clamped := c.normal(x)
	c.AccMulAdd(phi, clamped, c.Mul(e, c.of(inverseRoot)))
	return phi
}}

var hardSwishDerivative = function1{floats(-3, 3, 0, 1, 0.5, 1./3), func(c constants, x Vec) Vec {
	g := c.mulAdd(x, 1./3, 0.5)
	g = c.Select(c.LessEq(x, c.of(-3)), c.of(0), g)
	return c.Select(c.LessEq(c.of(3), x), c.of(1), g)
}}

var hardSigmoidDerivative = function1{floats(-3, 3, sixth), func(c constants, x Vec) Vec {
	g := c.Select(c.LessEq(x, c.of(-3)), c.of(0), c.of(sixth))
	return c.Select(c.LessEq(c.of(3), x), c.of(0), g)
}}

// eluDerivative is e^x below zero and 1 above.
var eluDerivative = function1{append(floats(0), expFunction.constants...), func(c constants, x Vec) Vec {
	return c.exp(c.Min(c.of(0), c.Max(c.of(expBelow), x)))
}}
