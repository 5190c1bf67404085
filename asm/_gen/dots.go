package gen

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
)

// The tiles of products in which one side is short, whose cost is reading the
// other operand once. Both hold the short side in registers and read four rows of
// the long operand or more side by side: dots where these run along k, axpys where they
// run along the result.

// dots multiplies groups of four rows of A with cols vectors, all along k, each
// sum spread over the lanes of one accumulator.
func dots(cols int) func(Machine) {
	const rows = 4
	return func(m Machine) {
		l, blocks := m.Lanes(), (cols+rows-1)/rows
		name := fmt.Sprintf("Dots%dx%d", rows, cols)
		m.Func(name, "func(groups, k int, a *float32, lda int, b, out *float32)",
			fmt.Sprintf("%s computes out[%d*g+16*(j/4)+4*i+j%%4] += sum over p < k of", name, 16*blocks),
			fmt.Sprintf("a[(4*g+i)*lda+p] * b[p/%d*%d+j*%d+p%%%d] for i < 4, j < %d and g < groups,", l, l*cols, l, l, cols),
			"k > 0; other elements of out may change. Lane l of an accumulator adds the",
			"products of p = l, l+lanes, ... in ascending order, each with one fused",
			"multiply-add; then the lanes are added in halves.")
		groups, a, out := m.ParamInt("groups"), m.ParamPtr("a"), m.ParamPtr("out")
		if l == 4 && cols == 1 { // four sums do not keep the multiply-add units busy
			m.While(groups, 2, func() {
				dotsGroups(m, 2, cols, a, out)
				m.SubInt(groups, 2)
			})
		}
		m.Repeat(groups, func() { dotsGroups(m, 1, cols, a, out) })
		m.Ret()
	}
}

// dotsGroups emits the sums of count groups of four rows from a on and moves a and out
// behind them.
func dotsGroups(m Machine, count, cols int, a, out Ptr) {
	const rows = 4
	l, blocks := m.Lanes(), (cols+rows-1)/rows
	k, b, lda := m.ParamInt("k"), m.ParamPtr("b"), m.ParamInt("lda")
	var row []Ptr
	for range count * rows {
		row = append(row, m.CopyPtr(a))
		m.AddPtr(a, lda)
	}
	acc := make([][]Vec, count*rows)
	for i := range acc {
		for range cols {
			acc[i] = append(acc[i], m.Zero())
		}
	}
	m.Strips(k, row, count, func(s Strip) {
		if s.partial {
			// AVX2 needs a register for the mask.
			for j := range cols {
				bv := s.Load(b, j)
				for i, p := range row {
					m.AccMulAdd(acc[i][j], s.Load(p, 0), bv)
				}
			}
			m.AddPtrConst(b, 1)
			return
		}
		var bv []Vec
		for j := range s.U * cols {
			bv = append(bv, s.Load(b, j))
		}
		m.AddPtrConst(b, s.U*l*cols)
		for u := range s.U {
			for i, p := range row {
				av := s.Load(p, u)
				for j := range cols {
					m.AccMulAdd(acc[i][j], av, bv[u*cols+j])
				}
			}
		}
	})
	for g := range count {
		for j := 0; j < cols; j += rows {
			var block [rows][]Vec
			for i := range block {
				block[i] = acc[g*rows+i][j:min(j+rows, cols)]
			}
			m.AddSums(out, 4*rows*(j/rows), block)
		}
		m.AddPtrConst(out, 4*rows*blocks)
	}
}

// addSums implements [Machine.AddSums] one sum after another.
func addSums(m Machine, p Ptr, off int, v [4][]Vec) {
	for i := range v {
		for j := range v[i] {
			at := off + 4*i + j
			m.StoreF32(p, at, m.Add(m.SumLanes(v[i][j]), m.LoadBroadcast(p, at)))
		}
	}
}

// AddSums on AVX-512 halves two accumulators at a time into one, so that sixteen
// of them need fifteen additions.
func (m *amd64) AddSums(p Ptr, off int, v [4][]Vec) {
	if !m.avx512() {
		addSums(m, p, off, v)
		return
	}
	merge := func(shuffle func(...operand.Op), low, high uint64, a, b Vec) Vec {
		x, y := m.vec(), m.vec()
		shuffle(operand.Imm(low), vec(b), vec(a), x)
		shuffle(operand.Imm(high), vec(b), vec(a), y)
		return m.Add(Vec{x}, Vec{y})
	}
	// One vector per column, with a row in each quarter.
	var columns [4]Vec
	for j := range columns {
		if j >= len(v[0]) {
			columns[j] = columns[j-1]
			continue
		}
		r01 := merge(m.VSHUFF32X4, 0x44, 0xee, v[0][j], v[1][j])
		r23 := merge(m.VSHUFF32X4, 0x44, 0xee, v[2][j], v[3][j])
		columns[j] = merge(m.VSHUFF32X4, 0x88, 0xdd, r01, r23)
	}
	c01 := merge(m.VSHUFPS, 0x44, 0xee, columns[0], columns[1])
	c23 := merge(m.VSHUFPS, 0x44, 0xee, columns[2], columns[3])
	sums := merge(m.VSHUFPS, 0x88, 0xdd, c01, c23)
	m.Store(p, off, m.Add(sums, m.Load(p, off)))
}

// axpysSteps returns the rows of B that axpys adds at once, most first, and the vectors
// of each. Of NEON's registers these leave few: fewer steps would spend more time on
// loading and storing Y, fewer vectors more on waiting for the sums before.
func axpysSteps(m Machine, rows int) (steps []int, vecs int) {
	if m.Lanes() != 4 {
		return []int{4, 1}, 1
	}
	most := map[int]struct{ steps, vecs int }{1: {12, 8}, 2: {8, 4}, 3: {6, 3}, 4: {6, 1}}[rows]
	return []int{most.steps, 4, 2, 1}, most.vecs
}

// axpys adds multiples of the rows of B, several at a time, to rows of Y.
func axpys(rows int) func(Machine) {
	return func(m Machine) {
		name := fmt.Sprintf("Axpys4x%d", rows)
		m.Func(name, "func(k, n int, a *float32, rsa, csa int, b *float32, ldb int, y *float32, ldy int)",
			fmt.Sprintf("%s computes y[i*ldy+j] += sum over p < k of a[i*rsa+p*csa] * b[p*ldb+j]", name),
			fmt.Sprintf("for i < %d, j < n. The sum is one chain of fused multiply-adds in ascending", rows),
			"p that begins with y. y must not overlap a or b.")
		k, a, b := m.ParamInt("k"), m.ParamPtr("a"), m.ParamPtr("b")
		steps, vecs := axpysSteps(m, rows)
		for _, depth := range steps {
			m.While(k, depth, func() {
				var factor [][]Vec
				rsa, csa := m.ParamInt("rsa"), m.ParamInt("csa")
				for range depth {
					var column []Vec
					q := m.CopyPtr(a)
					for i := range rows {
						column = append(column, m.LoadBroadcast(q, 0))
						if i < rows-1 {
							m.AddPtr(q, rsa)
						}
					}
					m.AddPtr(a, csa)
					factor = append(factor, column)
				}
				ldb, ldy, y := m.ParamInt("ldb"), m.ParamInt("ldy"), m.ParamPtr("y")
				var bp, yp []Ptr
				for range depth {
					bp = append(bp, m.CopyPtr(b))
					m.AddPtr(b, ldb)
				}
				for i := range rows {
					yp = append(yp, m.CopyPtr(y))
					if i < rows-1 {
						m.AddPtr(y, ldy)
					}
				}
				axpysRows(m, factor, bp, yp, vecs)
				m.SubInt(k, depth)
			})
		}
		m.Ret()
	}
}

// axpysRows adds factor[d][i] times the row at bp[d] to the row at yp[i], n elements
// long, vecs vectors at once.
func axpysRows(m Machine, factor [][]Vec, bp, yp []Ptr, vecs int) {
	n := m.ParamInt("n")
	neon, ok := m.(*arm64)
	all := append(append([]Ptr{}, bp...), yp...)
	to := yp
	if ok { // stores move their pointers, once they have the sums, which loads need not wait for
		to = nil
		for _, p := range yp {
			to = append(to, m.CopyPtr(p))
		}
	}
	m.Strips(n, all, vecs, func(s Strip) {
		if s.partial {
			// AVX2 needs a register for the mask.
			for i, p := range yp {
				sum := s.Load(p, 0)
				for d, p := range bp {
					m.AccMulAdd(sum, s.Load(p, 0), factor[d][i])
				}
				if ok {
					neon.storeNext(s, to[i], sum)
				} else {
					s.Store(p, 0, sum)
				}
			}
			return
		}
		sum := make([][]Vec, s.U)
		for u := range sum {
			for _, p := range yp {
				sum[u] = append(sum[u], s.Load(p, u))
			}
		}
		for d, p := range bp {
			for u := range sum {
				v := s.Load(p, u)
				for i := range yp {
					m.AccMulAdd(sum[u][i], v, factor[d][i])
				}
			}
		}
		for u := range sum {
			for i, p := range to {
				if ok {
					neon.storeNext(s, p, sum[u][i])
				} else {
					s.Store(p, u, sum[u][i])
				}
			}
		}
	})
}
