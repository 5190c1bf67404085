package gen

// A transform1D is a matrix with the way to multiply by it.
type transform1D struct {
	matrix1D
	consts []float64
	row    func(x *terms, i int) Vec // row i of T times x
	groups [][]int                   // rows that are kept in registers together
}

// reads returns the first and last element that the rows of a group read.
func (t *transform1D) reads(group []int) (first, last int) {
	first = t.inputs()
	for _, i := range group {
		for k, c := range t.matrix1D[i] {
			if c != 0 {
				first, last = min(first, k), max(last, k)
			}
		}
	}
	return first, last
}

// winogradTransforms returns B', G and A' of F(m, 3) for winogradPoints. The rows of
// m = 4 share sums and differences.
func winogradTransforms(m int) (data, filter, output *transform1D) {
	d, f, o := toomCook(m, winogradPoints(m)...)
	if m == 2 {
		return plain(d), plain(f), plain(o)
	}
	data = &transform1D{d, []float64{0.5, 1.5, 2}, data4, nil}
	filter = &transform1D{f, []float64{1. / 3, 2, 4, -4. / 15, 1. / 15}, filter4, nil}
	output = &transform1D{o, []float64{0.25, 0.5, 2, 4}, output4, [][]int{{0, 2}, {1, 3}}}
	return data, filter, output
}

// back returns the transposed transform, that of the gradient.
func (t *transform1D) back() *transform1D {
	u := t.transposed()
	switch {
	case len(t.matrix1D) == 4 && t.inputs() == 6:
		return &transform1D{u, []float64{0.25, 0.5, 2, 4}, grad4, [][]int{{0, 1, 2}, {3, 4, 5}}}
	case len(t.matrix1D) == 6:
		return &transform1D{u, []float64{1. / 3, 4. / 15, 1. / 15, 2, 4}, filterGrad4, nil}
	}
	return plain(u)
}

// plain returns the transform that multiplies term by term.
func plain(t matrix1D) *transform1D {
	u := &transform1D{matrix1D: t, groups: [][]int{nil}}
	for i, row := range t {
		u.groups[0] = append(u.groups[0], i)
		for _, c := range row {
			if c = max(c, -c); c != 0 && c != 1 {
				u.consts = append(u.consts, c)
			}
		}
	}
	u.row = func(x *terms, i int) Vec { return x.times(t[i]) }
	return u
}

// terms is the vector that a matrix is multiplied by, with sums and differences of
// its elements that rows share.
type terms struct {
	*winogradEmitter
	x    []Vec
	memo map[[3]int]Vec
}

func (x *terms) once(key [3]int, make func() Vec) Vec {
	v, ok := x.memo[key]
	if !ok {
		if x.memo == nil {
			x.memo = map[[3]int]Vec{}
		}
		v = make()
		x.memo[key] = v
	}
	return v
}

// sum returns x[i] + x[j], diff x[i] - x[j].
func (x *terms) sum(i, j int) Vec {
	return x.once([3]int{0, i, j}, func() Vec { return x.Add(x.x[i], x.x[j]) })
}

func (x *terms) diff(i, j int) Vec {
	return x.once([3]int{1, i, j}, func() Vec { return x.Sub(x.x[i], x.x[j]) })
}

// scaled returns c*x[i].
func (x *terms) scaled(c float64, i int) Vec {
	return x.once([3]int{2, i}, func() Vec { return x.Mul(x.consts[c], x.x[i]) })
}

// into is acc += c*a, and returns acc.
func (x *terms) into(acc Vec, c float64, a Vec) Vec {
	if c < 0 {
		x.AccMulSub(acc, x.consts[-c], a)
	} else {
		x.AccMulAdd(acc, x.consts[c], a)
	}
	return acc
}

// plus returns acc + c*a.
func (x *terms) plus(acc Vec, c float64, a Vec) Vec { return x.into(x.Copy(acc), c, a) }

func data4(x *terms, i int) Vec {
	a, b := x.diff(4, 2), x.diff(3, 1)
	// Rows 1 and 2 are the sum and the difference of these.
	u := func() Vec { return x.once([3]int{3, 0}, func() Vec { return x.plus(a, 1.5, x.x[3]) }) }
	v := func() Vec { return x.once([3]int{3, 1}, func() Vec { return x.plus(b, 1.5, x.x[2]) }) }
	switch i {
	case 0:
		return x.into(x.into(x.Add(x.x[0], x.x[4]), -2, x.x[2]), 1.5, b)
	case 1:
		return x.Add(u(), v())
	case 2:
		return x.Sub(u(), v())
	case 3:
		return x.plus(a, 2, b)
	case 4:
		return x.plus(a, -0.5, b)
	}
	return x.into(x.Sub(x.diff(5, 3), b), 1.5, a)
}

func output4(x *terms, i int) Vec {
	p, q := x.scaled(0.25, 3), x.scaled(4, 4)
	switch i {
	case 0:
		return x.Add(x.Add(x.x[0], x.sum(1, 2)), x.sum(3, 4))
	case 1:
		return x.into(x.plus(x.diff(1, 2), 2, p), -0.5, q)
	case 2:
		return x.Add(x.Add(x.sum(1, 2), p), q)
	}
	return x.into(x.into(x.Add(x.diff(1, 2), x.x[5]), 0.5, p), -2, q)
}

func grad4(x *terms, i int) Vec {
	switch i {
	case 0:
		return x.x[0]
	case 1:
		return x.Add(x.sum(0, 2), x.sum(1, 3))
	case 2:
		return x.Sub(x.sum(0, 2), x.sum(1, 3))
	case 3:
		return x.into(x.plus(x.x[0], 0.25, x.x[2]), 0.5, x.plus(x.x[1], 0.25, x.x[3]))
	case 4:
		return x.into(x.plus(x.x[0], 4, x.x[2]), -2, x.plus(x.x[1], 4, x.x[3]))
	}
	return x.x[3]
}

func filter4(x *terms, i int) Vec {
	switch i {
	case 0:
		return x.x[0]
	case 1:
		return x.Mul(x.consts[1./3], x.Add(x.sum(0, 2), x.x[1]))
	case 2:
		return x.Mul(x.consts[1./3], x.Sub(x.x[1], x.sum(0, 2)))
	case 3:
		return x.Mul(x.consts[-4./15], x.into(x.plus(x.x[2], 2, x.x[1]), 4, x.x[0]))
	case 4:
		return x.Mul(x.consts[1./15], x.into(x.plus(x.x[0], -2, x.x[1]), 4, x.x[2]))
	}
	return x.x[2]
}

func filterGrad4(x *terms, i int) Vec {
	p, q := x.scaled(4./15, 3), x.scaled(1./15, 4)
	switch i {
	case 0:
		return x.into(x.into(x.Add(x.x[0], q), 1./3, x.diff(1, 2)), -4, p)
	case 1:
		return x.into(x.into(x.Mul(x.consts[1./3], x.sum(1, 2)), -2, p), -2, q)
	}
	return x.into(x.into(x.Sub(x.x[5], p), 1./3, x.diff(1, 2)), 4, q)
}

// times returns row . x. A term with coefficient 1 starts the sum if there is
// one, so that the others can be fused.
func (x *terms) times(row []float64) Vec {
	start := -1
	for i, c := range row {
		if c == 1 {
			start = i
			break
		}
	}
	var sum Vec
	begun := start >= 0
	if begun {
		sum = x.x[start]
	}
	owned := false
	for i, c := range row {
		if c == 0 || i == start {
			continue
		}
		switch {
		case !begun && c == -1:
			sum, owned = x.Sub(x.Zero(), x.x[i]), true
		case !begun:
			sum, owned = x.Mul(x.consts[max(c, -c)], x.x[i]), true
			if c < 0 {
				sum = x.Sub(x.Zero(), sum)
			}
		case c == 1:
			sum, owned = x.Add(sum, x.x[i]), true
		case c == -1:
			sum, owned = x.Sub(sum, x.x[i]), true
		case owned:
			x.into(sum, c, x.x[i])
		default:
			sum, owned = x.plus(sum, c, x.x[i]), true
		}
		begun = true
	}
	return sum
}
