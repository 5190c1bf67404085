package kernels

// A DenseGemm is a matrix product with one panel of B, the inner kernel of
// pointwise convolution, whose rows are pixels at a constant distance:
//
//	s = sum over k < Depth of A[i*LDA+k] * B[k*NR+j]        i < Rows, j < Cols
//	if Accumulate { s += C[i*LDC+j] }
//	if Residual != nil { s += Residual[i*LDC+j] }
//	if Bias != nil { s += Bias[j] }
//	C[i*LDC+j] = min(Hi, max(Lo, s))
//
// Products are added one after another in the order of k, fused where the ISA has
// FMA, so that an element depends neither on Rows nor on Cols. NaN passes through
// min and max, and zeros are not skipped. C must not overlap the inputs, except that
// Residual may be C; Accumulate and Residual exclude each other.
//
// The fields are exported so that a caller can change what differs from panel to
// panel in place.
type DenseGemm struct {
	Rows, Depth int
	NR, Cols    int // floats of a row of B; columns, 1..NR
	A           []float32
	LDA         int // at least Depth
	B           []float32
	C           []float32
	LDC         int // at least Cols
	Accumulate  bool
	Residual    []float32 // nil or addressed as C
	Bias        []float32 // nil or at least Cols
	Lo, Hi      float32   // -Inf, +Inf for no clamp

	limits [2]float32
}

// HasDenseGemm reports whether [DenseGemm] has machine code on the active ISA, for
// panels as wide as those of [GatherTiles]. On NEON it has not: the tile for the last
// columns adds in another order.
func HasDenseGemm() bool { return hasDenseGemm() }

// Run computes the product. The call is one piece of machine code for every 32
// columns or fewer, so that Rows*Depth should be below half a million.
func (g *DenseGemm) Run() {
	switch {
	case g.Rows < 1 || g.Depth < 1 || g.Cols < 1 || g.Cols > g.NR:
		panic("kernels.DenseGemm: size")
	case g.LDA < g.Depth || g.LDC < g.Cols || g.Accumulate && g.Residual != nil:
		panic("kernels.DenseGemm: strides or addends")
	case len(g.A) < (g.Rows-1)*g.LDA+g.Depth || len(g.B) < g.Depth*g.NR:
		panic("kernels.DenseGemm: short A or B")
	case len(g.C) < (g.Rows-1)*g.LDC+g.Cols || g.Residual != nil && len(g.Residual) < (g.Rows-1)*g.LDC+g.Cols:
		panic("kernels.DenseGemm: short C or Residual")
	case g.Bias != nil && len(g.Bias) < g.Cols:
		panic("kernels.DenseGemm: short Bias")
	}
	t := panelArgs{k: g.Depth, alpha: 1, rsa: g.LDA, csa: 1, ldb: g.NR, ldc: g.LDC, a: g.A}
	if g.Lo > negativeInf || g.Hi < positiveInf {
		g.limits = [2]float32{g.Lo, g.Hi}
		t.clamp = &g.limits
	}
	for j := 0; j < g.Cols; j += t.n {
		var mr int
		t.n, mr = denseTile(g.Cols - j)
		if g.LDA%1024 == 0 { // see [gemmStep.tileRows]
			mr = min(mr, 6)
		}
		t.rows, t.tiles, t.less = splitRows(g.Rows, mr)
		t.b, t.c, t.d = g.B[j:], g.C[j:], g.C[j:]
		switch {
		case g.Residual != nil:
			t.beta, t.d = 1, g.Residual[j:]
		case g.Accumulate:
			t.beta = 1
		}
		if g.Bias != nil {
			t.bias = g.Bias[j:]
		}
		densePanel(&t)
	}
}

// denseTileGeneric returns how many of the columns left are next, and the most rows
// of their tile.
func denseTileGeneric(cols int) (n, mr int) { return cols, gemmTileGeneric().mr }
