package kernels

// An Epilogue is what happens to a matrix product before it is stored, while
// its block is in registers or in the cache:
//
//	C = act(alpha*op(A)*op(B) + beta*C + Residual + RowBias + Bias)
//
// where Bias is added to every row and RowBias to every column. The zero value
// does nothing.
type Epilogue struct {
	Bias       []float32 // n values, or nil
	RowBias    []float32 // m values, or nil
	Residual   []float32 // m x n, or nil; it may be C only if LDResidual is C's
	LDResidual int       // leading dimension of Residual
	Act        Activation
}

// GemmEpilogue is [Gemm] followed by an epilogue, which may be nil. beta*C,
// Residual and RowBias are added to the first block of the sum over k, Bias to
// the last. NaN passes through ReLU and ReLU6, which may keep the sign of zero.
func GemmEpilogue(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int, ep *Epilogue) {
	checkMatrix("GemmEpilogue", "A", transA, m, k, a, lda)
	checkMatrix("GemmEpilogue", "B", transB, k, n, b, ldb)
	checkMatrix("GemmEpilogue", "C", false, m, n, c, ldc)
	ep.check("GemmEpilogue", m, n)
	if m == 0 || n == 0 {
		return
	}
	var g gemmCall
	g.setProduct(m, n, k, alpha, beta)
	g.setA(transA, a, lda)
	g.setB(transB, b, ldb)
	g.c, g.ldc = c, ldc
	g.setEpilogue(ep)
	g.run()
}

// check panics unless the epilogue fits an m x n product.
func (ep *Epilogue) check(op string, m, n int) {
	switch {
	case ep == nil:
	case ep.Bias != nil && len(ep.Bias) != n:
		panic("kernels." + op + ": len(Bias) != n")
	case ep.RowBias != nil && len(ep.RowBias) != m:
		panic("kernels." + op + ": len(RowBias) != m")
	default:
		if ep.Residual != nil {
			checkMatrix(op, "Residual", false, m, n, ep.Residual, ep.LDResidual)
		}
		checkActivation(op, ep.Act)
	}
}

// The activations that the tiles apply themselves, as bounds.
var (
	clampReLU  = [2]float32{0, positiveInf}
	clampReLU6 = [2]float32{0, 6}
)

func (g *gemmCall) setEpilogue(ep *Epilogue) {
	if ep == nil {
		return
	}
	g.bias, g.rowBias = ep.Bias, ep.RowBias
	g.residual, g.ldr = ep.Residual, ep.LDResidual
	switch ep.Act {
	case ReLU:
		g.clamp = &clampReLU
	case ReLU6:
		g.clamp = &clampReLU6
	default:
		g.act = ep.Act
	}
}

// addend returns what the first pass adds to its sum over C[i0:i1, j0:j1]: the
// factor, and the matrix with C's leading dimension, starting at column 0 of row
// i0. Unless C or Residual can be added as they are, it first stores in C what
// is to be added.
func (g *gemmCall) addend(i0, i1, j0, j1 int) (beta float32, d []float32) {
	c := g.c[i0*g.ldc:]
	switch {
	case g.rowBias == nil && g.residual == nil:
		return g.beta, c
	case g.rowBias == nil && g.beta == 0 && g.ldr == g.ldc:
		return 1, g.residual[i0*g.ldr:]
	}
	for i := i0; i < i1; i++ {
		row := g.c[i*g.ldc+j0 : i*g.ldc+j1]
		scaleRow(g.beta, row)
		if g.residual != nil {
			add(row, row, g.residual[i*g.ldr+j0:i*g.ldr+j1])
		}
		if g.rowBias != nil {
			for j, v := range row {
				row[j] = v + g.rowBias[i]
			}
		}
	}
	return 1, c
}

// activateBlock applies an activation that the tiles cannot.
func (g *gemmCall) activateBlock(i0, i1, j0, j1 int) {
	if g.act == Identity {
		return
	}
	for i := i0; i < i1; i++ {
		row := g.c[i*g.ldc+j0 : i*g.ldc+j1]
		activate(g.act, row, row)
	}
}

// runEmpty is run for k = 0.
func (g *gemmCall) runEmpty() {
	for i := range g.m {
		beta, d := g.addend(i, i+1, 0, g.n)
		row := g.c[i*g.ldc : i*g.ldc+g.n]
		if beta == 0 {
			clear(row)
		} else {
			for j, v := range d[:g.n] {
				row[j] = beta * v
			}
		}
		if g.bias != nil {
			add(row, row, g.bias)
		}
		if g.clamp != nil {
			clamp(row, row, g.clamp[0], g.clamp[1])
		}
	}
	g.activateBlock(0, g.m, 0, g.n)
}

// scaleRow computes x = beta*x; beta = 0 clears x without reading it.
func scaleRow(beta float32, x []float32) {
	switch beta {
	case 0:
		clear(x)
	case 1:
	default:
		scale(beta, x)
	}
}
