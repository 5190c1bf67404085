package gen

// together is a Machine that does everything to several vectors, instruction by
// instruction: a chain of dependent instructions then waits for none of the others,
// although the core looks but a few dozen instructions ahead. A Vec or Mask of it
// holds one operand for each vector; one of the Machine below counts as the same
// operand for all, and is what constants are.
type together struct {
	Machine
	vectors int
}

// each makes a Vec of the results of f for every vector.
func (m together) each(f func(i int) Vec) Vec {
	list := make([]Vec, m.vectors)
	for i := range list {
		list[i] = f(i)
	}
	return Vec{list}
}

// of returns what v is for vector i.
func (m together) of(v Vec, i int) Vec {
	if list, ok := v.op.([]Vec); ok {
		return list[i]
	}
	return v
}

func (m together) one(f func(Vec) Vec, a Vec) Vec {
	return m.each(func(i int) Vec { return f(m.of(a, i)) })
}

func (m together) two(f func(a, b Vec) Vec, a, b Vec) Vec {
	return m.each(func(i int) Vec { return f(m.of(a, i), m.of(b, i)) })
}

// change is for instructions that change their first operand.
func (m together) change(f func(acc, a, b Vec), acc, a, b Vec) {
	for i := range m.vectors {
		f(m.of(acc, i), m.of(a, i), m.of(b, i))
	}
}

func (m together) Const(v float32) Vec { return m.each(func(int) Vec { return m.Machine.Const(v) }) }
func (m together) Copy(a Vec) Vec      { return m.one(m.Machine.Copy, a) }

func (m together) Add(a, b Vec) Vec { return m.two(m.Machine.Add, a, b) }
func (m together) Sub(a, b Vec) Vec { return m.two(m.Machine.Sub, a, b) }
func (m together) Mul(a, b Vec) Vec { return m.two(m.Machine.Mul, a, b) }
func (m together) Max(a, b Vec) Vec { return m.two(m.Machine.Max, a, b) }
func (m together) Min(a, b Vec) Vec { return m.two(m.Machine.Min, a, b) }

func (m together) AccMulAdd(acc, a, b Vec) { m.change(m.Machine.AccMulAdd, acc, a, b) }
func (m together) AccMulSub(acc, a, b Vec) { m.change(m.Machine.AccMulSub, acc, a, b) }
func (m together) Horner(p, x, c Vec)      { m.change(m.Machine.Horner, p, x, c) }

func (m together) And(a, b Vec) Vec    { return m.two(m.Machine.And, a, b) }
func (m together) Or(a, b Vec) Vec     { return m.two(m.Machine.Or, a, b) }
func (m together) Xor(a, b Vec) Vec    { return m.two(m.Machine.Xor, a, b) }
func (m together) AndNot(a, b Vec) Vec { return m.two(m.Machine.AndNot, a, b) }
func (m together) AddI32(a, b Vec) Vec { return m.two(m.Machine.AddI32, a, b) }
func (m together) SubI32(a, b Vec) Vec { return m.two(m.Machine.SubI32, a, b) }

func (m together) ShlI32(a Vec, bits int) Vec {
	return m.one(func(v Vec) Vec { return m.Machine.ShlI32(v, bits) }, a)
}

func (m together) ShrU32(a Vec, bits int) Vec {
	return m.one(func(v Vec) Vec { return m.Machine.ShrU32(v, bits) }, a)
}

func (m together) SarI32(a Vec, bits int) Vec {
	return m.one(func(v Vec) Vec { return m.Machine.SarI32(v, bits) }, a)
}

func (m together) FromI32(a Vec) Vec    { return m.one(m.Machine.FromI32, a) }
func (m together) MulExp2(p, n Vec) Vec { return m.two(m.Machine.MulExp2, p, n) }
func (m together) Reciprocal(a Vec) Vec { return m.one(m.Machine.Reciprocal, a) }
func (m together) Estimate(a Vec) Vec   { return m.one(m.Machine.Estimate, a) }
func (m together) Less(a, b Vec) Mask   { return m.compare(m.Machine.Less, a, b) }
func (m together) LessEq(a, b Vec) Mask { return m.compare(m.Machine.LessEq, a, b) }
func (m together) Equal(a, b Vec) Mask  { return m.compare(m.Machine.Equal, a, b) }
func (m together) Select(k Mask, a, b Vec) Vec {
	return m.each(func(i int) Vec { return m.Machine.Select(k.op.([]Mask)[i], m.of(a, i), m.of(b, i)) })
}

// Table is not for several vectors.
func (m together) Table(bits [16]uint32) Vec   { return m.Machine.(lookup).Table(bits) }
func (m together) Lookup(table, index Vec) Vec { return m.two(m.Machine.(lookup).Lookup, table, index) }

func (m together) compare(f func(a, b Vec) Mask, a, b Vec) Mask {
	list := make([]Mask, m.vectors)
	for i := range list {
		list[i] = f(m.of(a, i), m.of(b, i))
	}
	return Mask{list}
}

// onStrip applies f to the vectors of a strip, which load returns and store takes.
func onStrip(c constants, s Strip, load func(u int) Vec, f func(c constants, x Vec) Vec, store func(u int, y Vec)) {
	if s.U == 1 {
		store(0, f(c, load(0)))
		return
	}
	m := together{c.Machine, s.U}
	c.Machine = m
	y := f(c, m.each(load))
	for u := range s.U {
		store(u, m.of(y, u))
	}
}
