package gen

import "fmt"

// Kernels over the rows of a matrix of rows x c elements without gaps, with
// vectors of c elements for parameters or column sums. rows and c are positive.

// eachRow runs body over the strips of every row. Maps move on from row to row,
// vectors start again.
func eachRow(m Machine, rows, c Int, maps, vectors []Ptr, unroll int, body func(s Strip)) {
	m.Repeat(rows, func() {
		m.Strips(m.CopyInt(c), append(append([]Ptr{}, maps...), vectors...), unroll, body)
		for _, v := range vectors {
			m.SubPtr(v, c)
		}
	})
}

// A rowsProgram describes an elementwise kernel over rows.
type rowsProgram struct {
	name, doc     string
	dst, src, vec []string // pointers: results, maps, vectors
	bounds        bool     // has parameters lo and hi
}

// signature returns the Go signature; ints are the parameters between the pointers and
// the bounds.
func (p rowsProgram) signature(ints string) string {
	list := ""
	for _, group := range [][]string{p.dst, p.src, p.vec} {
		for _, name := range group {
			list += name + ", "
		}
	}
	if p.bounds {
		return fmt.Sprintf("func(%s *float32, %s int, lo, hi float32)", list[:len(list)-2], ints)
	}
	return fmt.Sprintf("func(%s *float32, %s int)", list[:len(list)-2], ints)
}

// rowsMap makes the program; compute returns the results of one vector from
// loaders of the maps and vectors.
//
// Where results are streamed, it works on two rows that are far apart in turns: memory
// moves faster then. What stays in caches does not gain.
func rowsMap(p rowsProgram, compute func(m Machine, src, vec []Vec, lo, hi Vec) []Vec) func(Machine, storeKind) {
	return func(m Machine, k storeKind) {
		name, ints, unroll := p.name+k.suffix(), "rows, c", 4
		doc := k.doc(fmt.Sprintf("%s computes %s over rows of c columns.", name, p.doc),
			"Maps that are written may be ones that are read.")
		if k.streamed {
			ints, unroll = "rows, c, next", 2
			doc = append(doc, "It does so again next elements behind all maps.")
		}
		m.Func(name, p.signature(ints), doc...)
		dst, src, vec := paramPtrs(m, p.dst), paramPtrs(m, p.src), paramPtrs(m, p.vec)
		rows, c := m.ParamInt("rows"), m.ParamInt("c")
		maps := append(append([]Ptr{}, dst...), src...)
		places := [][]Ptr{maps}
		if k.streamed {
			next := m.ParamInt("next")
			var behind []Ptr
			for _, q := range maps {
				behind = append(behind, Ptr{op: q.op, index: next.op})
			}
			places = append(places, behind)
		}
		var lo, hi Vec
		if p.bounds {
			lo, hi = m.ParamF32("lo"), m.ParamF32("hi")
		}
		eachRow(m, rows, c, maps, vec, unroll, func(s Strip) {
			for _, at := range places {
				for u := range s.U {
					var in, vectors []Vec
					for _, q := range at[len(dst):] {
						in = append(in, s.Load(q, u))
					}
					for _, q := range vec {
						vectors = append(vectors, s.Load(q, u))
					}
					for i, v := range compute(m, in, vectors, lo, hi) {
						k.store(s)(at[i], u, v)
					}
				}
			}
		})
		k.ret(m)
	}
}

func clampNaN(m Machine, v, lo, hi Vec) Vec { return m.Min(hi, m.Max(lo, v)) }

// gated is g with 0 where y <= lo or y >= hi.
func gated(m Machine, g, y, lo, hi Vec) Vec {
	zero := m.Zero()
	return m.Select(m.LessEq(y, lo), zero, m.Select(m.LessEq(hi, y), zero, g))
}

// normGradient returns f0*g + (f1*(x-mean) + f2).
func normGradient(m Machine, g, x Vec, v []Vec) Vec {
	d := m.Sub(x, v[0])
	m.Horner(d, v[2], v[3])
	m.AccMulAdd(d, g, v[1])
	return d
}

var rowsMaps = []func(Machine, storeKind){
	rowsMap(rowsProgram{"RowsShift", "dst = min(max(x + shift, lo), hi), keeping NaN,",
		[]string{"dst"}, []string{"x"}, []string{"shift"}, true},
		func(m Machine, src, vec []Vec, lo, hi Vec) []Vec {
			return []Vec{clampNaN(m, m.Add(src[0], vec[0]), lo, hi)}
		}),
	rowsMap(rowsProgram{"RowsScaleShift", "dst = min(max(x*scale + shift, lo), hi), keeping NaN,",
		[]string{"dst"}, []string{"x"}, []string{"scale", "shift"}, true},
		func(m Machine, src, vec []Vec, lo, hi Vec) []Vec {
			m.AccMulAdd(vec[1], src[0], vec[0])
			return []Vec{clampNaN(m, vec[1], lo, hi)}
		}),
	rowsMap(rowsProgram{"RowsScaleShiftAdd", "dst = min(max(x*scale + shift + y, lo), hi), keeping NaN,",
		[]string{"dst"}, []string{"x", "y"}, []string{"scale", "shift"}, true},
		func(m Machine, src, vec []Vec, lo, hi Vec) []Vec {
			m.AccMulAdd(vec[1], src[0], vec[0])
			return []Vec{clampNaN(m, m.Add(vec[1], src[1]), lo, hi)}
		}),
	rowsMap(rowsProgram{"RowsGrad", "dx = f0*dy + (f1*(x-mean) + f2)",
		[]string{"dx"}, []string{"dy", "x"}, []string{"mean", "f0", "f1", "f2"}, false},
		func(m Machine, src, vec []Vec, _, _ Vec) []Vec {
			return []Vec{normGradient(m, src[0], src[1], vec)}
		}),
	rowsMap(rowsProgram{"RowsGradGated", "dx = f0*g + (f1*(x-mean) + f2), where g = y <= lo || y >= hi ? 0 : dy,",
		[]string{"dx"}, []string{"dy", "x", "y"}, []string{"mean", "f0", "f1", "f2"}, true},
		func(m Machine, src, vec []Vec, lo, hi Vec) []Vec {
			return []Vec{normGradient(m, gated(m, src[0], src[2], lo, hi), src[1], vec)}
		}),
	rowsMap(rowsProgram{"RowsGradRes", "dx = f0*g + (f1*(x-mean) + f2) and dres = g, where g = y <= lo || y >= hi ? 0 : dy,",
		[]string{"dx", "dres"}, []string{"dy", "x", "y"}, []string{"mean", "f0", "f1", "f2"}, true},
		func(m Machine, src, vec []Vec, lo, hi Vec) []Vec {
			g := gated(m, src[0], src[2], lo, hi)
			return []Vec{normGradient(m, g, src[1], vec), g}
		}),
}

// lineFloats is what a prefetch brings.
const lineFloats = 16

// A rowsSums describes a kernel of column sums over rows.
type rowsSums struct {
	name          string
	doc           []string
	dst, src, vec []string // pointers: sums, maps, vectors
	bounds        bool     // has parameters lo and hi
}

// sumProgram makes the program; term adds one vector to the sums acc.
//
// It works on rows that are far apart in turns: a prefetcher keeps more of memory on
// its way for several streams of addresses than for one. Their sum of a strip is
// added to that in memory, which then costs little.
func sumProgram(p rowsSums, term func(m Machine, acc, src, vec []Vec, lo, hi Vec)) func(Machine) {
	return func(m Machine) {
		program := rowsProgram{name: p.name, dst: p.dst, src: p.src, vec: p.vec, bounds: p.bounds}
		m.Func(p.name, program.signature("rows, c, streams, next"), append(append([]string{}, p.doc...),
			"Of each map, row i of stream s begins s*next + i*c elements behind the pointer,",
			"s < streams, i < rows. Rows i of all streams are added from 0 and in order, then",
			"their sum to what is there.")...)
		dst, src, vec := paramPtrs(m, p.dst), paramPtrs(m, p.src), paramPtrs(m, p.vec)
		var lo, hi Vec
		if p.bounds {
			lo, hi = m.ParamF32("lo"), m.ParamF32("hi")
		}
		vectors := append(append([]Ptr{}, dst...), vec...)
		m.Repeat(m.ParamInt("rows"), func() {
			m.Strips(m.ParamInt("c"), append(append([]Ptr{}, src...), vectors...), 4, func(s Strip) {
				acc := make([][]Vec, s.U)
				for u := range acc {
					for range dst {
						acc[u] = append(acc[u], m.Zero())
					}
				}
				hold := holdVectors(m, s, vec)
				var at []Ptr
				for _, q := range src {
					at = append(at, m.CopyPtr(q))
				}
				m.Repeat(m.ParamInt("streams"), func() {
					for u := range s.U {
						var in []Vec
						for _, q := range at {
							in = append(in, s.Load(q, u))
						}
						term(m, acc[u], in, hold(u), lo, hi)
					}
					step := m.ParamInt("next")
					for _, q := range at {
						m.AddPtr(q, step)
					}
				})
				for u := range s.U {
					for i, q := range dst {
						s.Store(q, u, m.Add(s.Load(q, u), acc[u][i]))
					}
				}
			})
			c := m.ParamInt("c")
			for _, v := range vectors {
				m.SubPtr(v, c)
			}
		})
		m.Ret()
	}
}

// paramPtrs returns the pointer parameters of these names.
func paramPtrs(m Machine, names []string) []Ptr {
	var list []Ptr
	for _, name := range names {
		list = append(list, m.ParamPtr(name))
	}
	return list
}

// holdVectors returns the loader of the vectors of a strip: from registers filled
// here, or from memory where there are few.
func holdVectors(m Machine, s Strip, ptrs []Ptr) func(u int) []Vec {
	load := func(u int) []Vec {
		var v []Vec
		for _, p := range ptrs {
			v = append(v, s.Load(p, u))
		}
		return v
	}
	if m.Registers() < 32 {
		return load
	}
	held := make([][]Vec, s.U)
	for u := range held {
		held[u] = load(u)
	}
	return func(u int) []Vec { return held[u] }
}

var rowsSumPrograms = []func(Machine){
	sumProgram(rowsSums{"RowsSum", []string{"RowsSum computes dst += the column sums of x."},
		[]string{"dst"}, []string{"x"}, nil, false},
		func(m Machine, acc, src, _ []Vec, _, _ Vec) { m.Set(acc[0], m.Add(acc[0], src[0])) }),
	sumProgram(rowsSums{"RowsMoment", []string{"RowsMoment computes sum += the column sums of x-k and sq += those of (x-k)^2."},
		[]string{"sum", "sq"}, []string{"x"}, []string{"k"}, false},
		func(m Machine, acc, src, vec []Vec, _, _ Vec) {
			d := m.Sub(src[0], vec[0])
			m.Set(acc[0], m.Add(acc[0], d))
			m.AccMulAdd(acc[1], d, d)
		}),
	sumProgram(rowsSums{"RowsGradSum", []string{"RowsGradSum computes sum += the column sums of dy and dot += those of", "dy*(x-mean)."},
		[]string{"sum", "dot"}, []string{"dy", "x"}, []string{"mean"}, false},
		func(m Machine, acc, src, vec []Vec, _, _ Vec) {
			m.Set(acc[0], m.Add(acc[0], src[0]))
			m.AccMulAdd(acc[1], src[0], m.Sub(src[1], vec[0]))
		}),
	sumProgram(rowsSums{"RowsGradSumGated", []string{"RowsGradSumGated is RowsGradSum with 0 for dy where y <= lo or y >= hi."},
		[]string{"sum", "dot"}, []string{"dy", "x", "y"}, []string{"mean"}, true},
		func(m Machine, acc, src, vec []Vec, lo, hi Vec) {
			g := gated(m, src[0], src[2], lo, hi)
			m.Set(acc[0], m.Add(acc[0], g))
			m.AccMulAdd(acc[1], g, m.Sub(src[1], vec[0]))
		}),
}
