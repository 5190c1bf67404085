package gen

import "fmt"

// Kernels over tiles of sample pairs. Both sides of a tile are packed panels of
// pairPanel samples, channel by channel, so a vector holds one channel of
// consecutive samples.

const pairPanel = 48

// pairSquares makes tiles of squared distances of rows x vecs vectors.
func pairSquares(m Machine) {
	switch m.Lanes() {
	case 16:
		pairSquaresTile(m, 8, 3)
		pairSquaresTile(m, 8, 2)
		pairSquaresTile(m, 8, 1)
	case 8:
		pairSquaresTile(m, 6, 2)
	default:
		pairSquaresTile(m, 8, 2)
	}
}

func pairSquaresTile(m Machine, rows, vecs int) {
	m.Func(fmt.Sprintf("PairSquares%dx%d", rows, vecs*m.Lanes()),
		"func(t, pi, pj *float32, c, accumulate int)",
		fmt.Sprintf("PairSquares%dx%d computes, for r < %d and s < %d,", rows, vecs*m.Lanes(), rows, vecs*m.Lanes()),
		"",
		fmt.Sprintf("\tsum = sum over k < c, in order, of (pj[k*%d+s]-pi[k*%d+r])²", pairPanel, pairPanel),
		fmt.Sprintf("\tt[r*%d+s] = accumulate != 0 ? t[r*%d+s]+sum : sum", pairPanel, pairPanel),
		"",
		"with one subtraction and one fused multiply-add per channel.")
	t, pi, pj := m.ParamPtr("t"), m.ParamPtr("pi"), m.ParamPtr("pj")
	c, accumulate := m.ParamInt("c"), m.ParamInt("accumulate")
	acc := make([][]Vec, rows)
	for r := range acc {
		acc[r] = make([]Vec, vecs)
		for v := range acc[r] {
			acc[r][v] = m.Zero()
		}
	}
	channel := func(k int) {
		b := make([]Vec, vecs)
		for v := range b {
			b[v] = m.Load(pj, k*pairPanel+v*m.Lanes())
		}
		for r := range acc {
			x := m.LoadBroadcast(pi, k*pairPanel+r)
			for v := range b {
				d := m.Sub(b[v], x)
				m.AccMulAdd(acc[r][v], d, d)
			}
		}
	}
	for _, unroll := range []int{2, 1} {
		m.While(c, unroll, func() {
			for k := range unroll {
				channel(k)
			}
			m.AddPtrConst(pi, unroll*pairPanel)
			m.AddPtrConst(pj, unroll*pairPanel)
			m.SubInt(c, unroll)
		})
	}
	m.IfNotZero(accumulate, func() {
		for r := range acc {
			for v := range acc[r] {
				m.Set(acc[r][v], m.Add(acc[r][v], m.Load(t, r*pairPanel+v*m.Lanes())))
			}
		}
	})
	for r := range acc {
		for v := range acc[r] {
			m.Store(t, r*pairPanel+v*m.Lanes(), acc[r][v])
		}
	}
	m.Ret()
}

// sameLabel is true where the labels are equal: the exclusive or of two
// integers converts to 0 only if it is 0.
func sameLabel(m Machine, label Vec, labels Ptr, off int, zero Vec) Mask {
	return m.Equal(m.FromI32(m.Xor(label, m.Load(labels, off))), zero)
}

// pairSums adds up the distances of some rows of a tile.
func pairSums(m Machine) {
	m.Func("PairSums", "func(sums, t *float32, li, lj *int32, column *float32, rows int, margin, after, step, end float32)",
		"PairSums computes, for the pairs of rows r < rows and columns s < 48 with",
		"after+r*step < column[s] < end, d = sqrt(t[r*48+s]) and",
		"",
		"\tsums[0] = sum of d where li[r] == lj[s]",
		"\tsums[1] = sum of d where li[r] != lj[s]",
		"\tsums[2] = sum of max(0, margin-d)² where li[r] != lj[s]",
		"",
		"column[s] is s. rows > 0. Lanes add over rows, then SumLanes' order. NaN in t",
		"gives NaN in its sum.")
	pairSumsBody(m, true)
}

// pairSumsAll is pairSums without the condition on columns.
func pairSumsAll(m Machine) {
	m.Func("PairSumsAll", "func(sums, t *float32, li, lj *int32, rows int, margin float32)",
		"PairSumsAll is PairSums over all 48 columns.")
	pairSumsBody(m, false)
}

func pairSumsBody(m Machine, masked bool) {
	sums, t, li, lj := m.ParamPtr("sums"), m.ParamPtr("t"), m.ParamPtr("li"), m.ParamPtr("lj")
	rows, margin := m.ParamInt("rows"), m.ParamF32("margin")
	zero, same, diff, hinge := m.Zero(), m.Zero(), m.Zero(), m.Zero()
	var column Ptr
	var after, step, end Vec
	if masked {
		column = m.ParamPtr("column")
		after, step, end = m.ParamF32("after"), m.ParamF32("step"), m.ParamF32("end")
	}
	m.Repeat(rows, func() {
		label := m.LoadBroadcast(li, 0)
		for off := 0; off < pairPanel; off += m.Lanes() {
			d := m.Sqrt(m.Load(t, off))
			h := m.Max(zero, m.Sub(margin, d)) // a NaN in the second operand stays
			if masked {
				x := m.Load(column, off)
				in := m.Less(after, x)
				d, h = m.Select(in, d, zero), m.Select(in, h, zero)
				in = m.Less(x, end)
				d, h = m.Select(in, d, zero), m.Select(in, h, zero)
			}
			k := sameLabel(m, label, lj, off, zero)
			m.Set(same, m.Add(same, m.Select(k, d, zero)))
			m.Set(diff, m.Add(diff, m.Select(k, zero, d)))
			h = m.Select(k, zero, h)
			m.AccMulAdd(hinge, h, h)
		}
		m.AddPtrConst(li, 1)
		m.AddPtrConst(t, pairPanel)
		if masked {
			m.Set(after, m.Add(after, step))
		}
	})
	for i, s := range []Vec{same, diff, hinge} {
		m.StoreF32(sums, i, m.SumLanes(s))
	}
	m.Ret()
}

// pairWeights turns squared distances into the weights of the gradient.
func pairWeights(m Machine) {
	m.Func("PairWeights", "func(t *float32, li, lj *int32, rows int, same, diff float32)",
		"PairWeights replaces t[r*48+s], r < rows, s < 48, by f/d with d = sqrt(t[r*48+s])",
		"and f = li[r] == lj[s] ? same : diff; by 0 where d is 0. NaN stays NaN.")
	pairWeightsBody(m, false)
}

func pairWeightsHinge(m Machine) {
	m.Func("PairWeightsHinge", "func(t *float32, li, lj *int32, rows int, same, diff, margin float32)",
		"PairWeightsHinge is PairWeights with diff*max(0, margin-d) for diff.")
	pairWeightsBody(m, true)
}

func pairWeightsBody(m Machine, hinge bool) {
	t, li, lj := m.ParamPtr("t"), m.ParamPtr("li"), m.ParamPtr("lj")
	rows, same, diff := m.ParamInt("rows"), m.ParamF32("same"), m.ParamF32("diff")
	zero := m.Zero()
	var margin Vec
	if hinge {
		margin = m.ParamF32("margin")
	}
	m.Repeat(rows, func() {
		label := m.LoadBroadcast(li, 0)
		for off := 0; off < pairPanel; off += m.Lanes() {
			square := m.Load(t, off)
			d := m.Sqrt(square)
			f := diff
			if hinge {
				f = m.Mul(diff, m.Max(zero, m.Sub(margin, d)))
			}
			f = m.Select(sameLabel(m, label, lj, off, zero), same, f)
			m.Store(t, off, m.Select(m.Equal(square, zero), zero, m.Div(f, d)))
		}
		m.AddPtrConst(li, 1)
		m.AddPtrConst(t, pairPanel)
	})
	m.Ret()
}

// pairApply adds weighted differences. The register tile is some channels of
// some vectors of samples of panel i: their values stay in registers, a weight
// serves all channels and a broadcast channel of panel j all vectors.
func pairApply(m Machine) {
	channels, vecs := 2, 16/m.Lanes()
	if m.Lanes() == 16 {
		channels, vecs = 4, 3
	}
	pairApplyTile(m, channels, vecs)
	pairApplyTile(m, 1, vecs)
}

func pairApplyTile(m Machine, channels, vecs int) {
	name, width := fmt.Sprintf("PairApply%dx%d", channels, vecs*m.Lanes()), vecs*m.Lanes()
	m.Func(name, "func(grad, t, pi, pj *float32, cols, groups int)",
		fmt.Sprintf("%s computes, for k < %d*groups and r < %d,", name, channels, width),
		"",
		fmt.Sprintf("\tgrad[k*%d+r] += sum over s < cols, in order, of t[s*%d+r]*(pi[k*%d+r]-pj[k*%d+s])", pairPanel, pairPanel, pairPanel, pairPanel),
		"",
		"with one subtraction and one fused multiply-add per term. cols > 0.")
	g, t, pi, pj := m.ParamPtr("grad"), m.ParamPtr("t"), m.ParamPtr("pi"), m.ParamPtr("pj")
	cols, groups := m.ParamInt("cols"), m.ParamInt("groups")
	m.Repeat(groups, func() {
		x, acc := make([][]Vec, channels), make([][]Vec, channels)
		for k := range x {
			x[k], acc[k] = make([]Vec, vecs), make([]Vec, vecs)
			for v := range x[k] {
				x[k][v], acc[k][v] = m.Load(pi, k*pairPanel+v*m.Lanes()), m.Zero()
			}
		}
		weights, other := m.CopyPtr(t), m.CopyPtr(pj)
		m.Repeat(cols, func() {
			w := make([]Vec, vecs)
			for v := range w {
				w[v] = m.Load(weights, v*m.Lanes())
			}
			for k := range x {
				y := m.LoadBroadcast(other, k*pairPanel)
				for v := range w {
					m.AccMulAdd(acc[k][v], w[v], m.Sub(x[k][v], y))
				}
			}
			m.AddPtrConst(weights, pairPanel)
			m.AddPtrConst(other, 1)
		})
		for k := range acc {
			for v := range acc[k] {
				at := k*pairPanel + v*m.Lanes()
				m.Store(g, at, m.Add(m.Load(g, at), acc[k][v]))
			}
		}
		for _, p := range []Ptr{g, pi, pj} {
			m.AddPtrConst(p, channels*pairPanel)
		}
	})
	m.Ret()
}
