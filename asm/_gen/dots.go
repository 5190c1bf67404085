package gen

import "fmt"

// dots is the tile of products with few columns, whose cost is reading the rows
// of A: four rows times cols columns, both along k, each sum spread over the
// lanes of one accumulator.
func dots(cols int) func(Machine) {
	const rows = 4
	return func(m Machine) {
		columns := map[int]string{1: "b0", 2: "b0, b1"}[cols]
		name := fmt.Sprintf("Dots%dx%d", rows, cols)
		m.Func(name, "func(k int, a0, a1, a2, a3, "+columns+", out *float32)",
			fmt.Sprintf("%s computes out[%d*i+j] = sum over p < k of ai[p]*bj[p], k > 0, for i < %d, j < %d.", name, cols, rows, cols),
			"Lane l of an accumulator adds the products of p = l, l+lanes, ... in ascending",
			"order, each with one fused multiply-add; then the lanes are added in halves.",
			"Rows may repeat.")
		k := m.ParamInt("k")
		var a, b []Ptr
		for i := range rows {
			a = append(a, m.ParamPtr(fmt.Sprintf("a%d", i)))
		}
		for j := range cols {
			b = append(b, m.ParamPtr(fmt.Sprintf("b%d", j)))
		}
		var acc [rows][]Vec
		for i := range acc {
			for range cols {
				acc[i] = append(acc[i], m.Zero())
			}
		}
		m.Strips(k, append(append([]Ptr{}, a...), b...), 1, func(s Strip) {
			var bv []Vec
			for _, p := range b {
				bv = append(bv, s.Load(p, 0))
			}
			for i, p := range a {
				av := s.Load(p, 0)
				for j := range bv {
					m.AccMulAdd(acc[i][j], av, bv[j])
				}
			}
		})
		out := m.ParamPtr("out")
		for i := range acc {
			for j, v := range acc[i] {
				m.StoreF32(out, cols*i+j, m.SumLanes(v))
			}
		}
		m.Ret()
	}
}
