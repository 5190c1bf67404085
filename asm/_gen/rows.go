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

func (p rowsProgram) signature() string {
	list := ""
	for _, group := range [][]string{p.dst, p.src, p.vec} {
		for _, name := range group {
			list += name + ", "
		}
	}
	if p.bounds {
		return fmt.Sprintf("func(%s *float32, rows, c int, lo, hi float32)", list[:len(list)-2])
	}
	return fmt.Sprintf("func(%s *float32, rows, c int)", list[:len(list)-2])
}

// rowsMap makes the program; compute returns the results of one vector from
// loaders of the maps and vectors.
func rowsMap(p rowsProgram, compute func(m Machine, src, vec []Vec, lo, hi Vec) []Vec) func(Machine) {
	return func(m Machine) {
		m.Func(p.name, p.signature(), fmt.Sprintf("%s computes %s over rows of c columns.", p.name, p.doc),
			"Maps that are written may be ones that are read.")
		pointers := func(names []string) []Ptr {
			var list []Ptr
			for _, name := range names {
				list = append(list, m.ParamPtr(name))
			}
			return list
		}
		dst, src, vec := pointers(p.dst), pointers(p.src), pointers(p.vec)
		rows, c := m.ParamInt("rows"), m.ParamInt("c")
		var lo, hi Vec
		if p.bounds {
			lo, hi = m.ParamF32("lo"), m.ParamF32("hi")
		}
		eachRow(m, rows, c, append(append([]Ptr{}, dst...), src...), vec, 4, func(s Strip) {
			for u := range s.U {
				var maps, vectors []Vec
				for _, q := range src {
					maps = append(maps, s.Load(q, u))
				}
				for _, q := range vec {
					vectors = append(vectors, s.Load(q, u))
				}
				for i, v := range compute(m, maps, vectors, lo, hi) {
					s.Store(dst[i], u, v)
				}
			}
		})
		m.Ret()
	}
}

func clampNaN(m Machine, v, lo, hi Vec) Vec { return m.Min(hi, m.Max(lo, v)) }

// gated is g with 0 where y <= lo or y >= hi.
func gated(m Machine, g, y, lo, hi Vec) Vec {
	zero := m.ConstBits(0)
	return m.Select(m.LessEq(y, lo), zero, m.Select(m.LessEq(hi, y), zero, g))
}

// normGradient returns f0*g + (f1*(x-mean) + f2).
func normGradient(m Machine, g, x Vec, v []Vec) Vec {
	d := m.Sub(x, v[0])
	m.Horner(d, v[2], v[3])
	m.AccMulAdd(d, g, v[1])
	return d
}

var rowsMaps = []func(Machine){
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

// rowGroups runs body on groups of the given number of rows, then on single
// rows. body gets a pointer per row and map: at[i][k] is row k of map i.
func rowGroups(m Machine, rows, c Int, maps, vectors []Ptr, group int, body func(s Strip, at [][]Ptr)) {
	for _, size := range []int{group, 1} {
		m.While(rows, size, func() {
			at := make([][]Ptr, len(maps))
			moving := append([]Ptr{}, vectors...)
			for i, p := range maps {
				at[i] = []Ptr{p}
				for k := 1; k < size; k++ {
					next := m.CopyPtr(at[i][k-1])
					m.AddPtr(next, c)
					at[i] = append(at[i], next)
				}
				moving = append(moving, at[i]...)
			}
			m.Strips(m.CopyInt(c), moving, 2, func(s Strip) { body(s, at) })
			for _, v := range vectors {
				m.SubPtr(v, c)
			}
			for _, p := range maps {
				for range size - 1 {
					m.AddPtr(p, c)
				}
			}
			m.SubInt(rows, size)
		})
	}
}

// addUp adds the vectors in pairs.
func addUp(m Machine, v []Vec) Vec {
	for len(v) > 1 {
		var next []Vec
		for i := 0; i+1 < len(v); i += 2 {
			next = append(next, m.Add(v[i], v[i+1]))
		}
		v = append(next, v[len(next)*2:]...)
	}
	return v[0]
}

func rowsSum(m Machine) {
	m.Func("RowsSum", "func(dst, x *float32, rows, c int)",
		"RowsSum adds the column sums of x to dst, the rows in groups of 4 by pairs.")
	dst, x := m.ParamPtr("dst"), m.ParamPtr("x")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	rowGroups(m, rows, c, []Ptr{x}, []Ptr{dst}, 4, func(s Strip, at [][]Ptr) {
		for u := range s.U {
			var v []Vec
			for _, p := range at[0] {
				v = append(v, s.Load(p, u))
			}
			s.Store(dst, u, m.Add(s.Load(dst, u), addUp(m, v)))
		}
	})
	m.Ret()
}

func rowsMoment(m Machine) {
	m.Func("RowsMoment", "func(sum, sq, x, k *float32, rows, c int)",
		"RowsMoment adds the column sums of x-k to sum and those of (x-k)^2 to sq, the",
		"rows in groups of 4.")
	sum, sq, x, k := m.ParamPtr("sum"), m.ParamPtr("sq"), m.ParamPtr("x"), m.ParamPtr("k")
	rows, c := m.ParamInt("rows"), m.ParamInt("c")
	rowGroups(m, rows, c, []Ptr{x}, []Ptr{sum, sq, k}, 4, func(s Strip, at [][]Ptr) {
		for u := range s.U {
			shift, q := s.Load(k, u), s.Load(sq, u)
			var v []Vec
			for _, p := range at[0] {
				d := m.Sub(s.Load(p, u), shift)
				m.AccMulAdd(q, d, d)
				v = append(v, d)
			}
			s.Store(sum, u, m.Add(s.Load(sum, u), addUp(m, v)))
			s.Store(sq, u, q)
		}
	})
	m.Ret()
}

// rowsGradSum makes the sums of the first pass of batch norm's backward.
func rowsGradSum(gate bool) func(Machine) {
	return func(m Machine) {
		names := []string{"dy", "x"}
		if gate {
			m.Func("RowsGradSumGated", "func(sum, dot, dy, x, y, mean *float32, rows, c int, lo, hi float32)",
				"RowsGradSumGated is RowsGradSum with 0 for dy where y <= lo or y >= hi.")
			names = append(names, "y")
		} else {
			m.Func("RowsGradSum", "func(sum, dot, dy, x, mean *float32, rows, c int)",
				"RowsGradSum adds the column sums of dy to sum and those of dy*(x-mean) to dot,",
				"the rows in pairs.")
		}
		sum, dot := m.ParamPtr("sum"), m.ParamPtr("dot")
		var maps []Ptr
		for _, name := range names {
			maps = append(maps, m.ParamPtr(name))
		}
		mean := m.ParamPtr("mean")
		rows, c := m.ParamInt("rows"), m.ParamInt("c")
		var lo, hi Vec
		if gate {
			lo, hi = m.ParamF32("lo"), m.ParamF32("hi")
		}
		rowGroups(m, rows, c, maps, []Ptr{sum, dot, mean}, 2, func(s Strip, at [][]Ptr) {
			for u := range s.U {
				center, q := s.Load(mean, u), s.Load(dot, u)
				var v []Vec
				for k := range at[0] {
					g := s.Load(at[0][k], u)
					if gate {
						g = gated(m, g, s.Load(at[2][k], u), lo, hi)
					}
					m.AccMulAdd(q, g, m.Sub(s.Load(at[1][k], u), center))
					v = append(v, g)
				}
				s.Store(sum, u, m.Add(s.Load(sum, u), addUp(m, v)))
				s.Store(dot, u, q)
			}
		})
		m.Ret()
	}
}
