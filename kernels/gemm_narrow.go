package kernels

// Products with few columns: a tile would leave most of its lanes idle, and
// what counts is the speed at which the rows of A are read.

const (
	// narrowColumns is the most columns that run along k.
	narrowColumns = 8
	// narrowDepth is the least k: below it the sums over lanes cost too much.
	narrowDepth = 64
	// dotsDepth bounds the time of one call, which cannot be preempted.
	dotsDepth = 1 << 14
)

// isNarrow tells whether the product runs along k. It looks at the whole
// product, never at a part of it.
func (g *gemmCall) isNarrow() bool {
	return g.n <= narrowColumns && g.k >= narrowDepth && g.m >= 4 && g.csa == 1 && g.packed == nil
}

// blockNarrow computes C[i0:i1, 0:n].
func (g *gemmCall) blockNarrow(buf *gemmBuffers, i0, i1 int) {
	b, ldb := g.b, g.csb
	if g.rsb != 1 {
		b, ldb = g.packColumns(buf)
	}
	beta, d := g.addend(i0, i1, 0, g.n)
	t := panelArgs{alpha: g.alpha, beta: beta, d: d, c: g.c[i0*g.ldc:], ldc: g.ldc, bias: g.bias, clamp: g.clamp}
	for i := i0; i < i1; i += 4 {
		rows := min(4, i1-i)
		for j := 0; j < g.n; j += 2 {
			cols := min(2, g.n-j)
			sums := g.dots(i, rows, b[j*ldb:], ldb, cols)
			for r := range rows {
				for c := range cols {
					t.finishGeneric(i-i0+r, j+c, sums[r*cols+c])
				}
			}
		}
	}
	g.activateBlock(i0, i1, 0, g.n)
}

// packColumns copies B into columns that are contiguous.
func (g *gemmCall) packColumns(buf *gemmBuffers) (b []float32, ldb int) {
	step := g.tile.narrow
	ldb = g.k + step
	buf.b = grow(buf.b, g.n*ldb)
	for p := 0; p < g.k; p += step {
		transposeBlock(min(step, g.k-p), g.n, buf.b[p:], ldb, g.b[p*g.rsb:], g.rsb)
	}
	return buf.b, ldb
}

// dots returns the products of rows i to i+rows-1 of A, up to 4, with one or
// two columns of B: the sum for row r and column c at r*cols+c.
func (g *gemmCall) dots(i, rows int, b []float32, ldb, cols int) (sums [8]float32) {
	for p := 0; p < g.k; p += dotsDepth {
		k := min(dotsDepth, g.k-p)
		var a [4][]float32
		for r := range a {
			a[r] = g.a[(i+min(r, rows-1))*g.rsa+p:][:k]
		}
		b0, b1 := b[p:][:k], b[p:][:k]
		if cols == 2 {
			b1 = b[ldb+p:][:k]
		}
		part := [8]float32{}
		dots(k, &a, b0, b1, cols, &part)
		for e := range sums {
			sums[e] += part[e]
		}
	}
	return sums
}

// dotsGeneric computes out[r*cols+c] = a[r] . (b0 or b1).
func dotsGeneric(a *[4][]float32, b0, b1 []float32, cols int, out *[8]float32) {
	for r := range a {
		out[r*cols] = dotGeneric(a[r], b0)
		if cols == 2 {
			out[r*cols+1] = dotGeneric(a[r], b1)
		}
	}
}
