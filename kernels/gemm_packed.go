package kernels

// A PackedB is the right operand of matrix products, copied once into the order
// in which the tiles read it: for weights that meet many inputs. It belongs to
// the ISA that was active when it was made.
type PackedB struct {
	k, n int
	tile *gemmTile
	data []float32
}

// PackB packs op(B), k x n, stored as [Gemm] expects it.
func PackB(transB bool, k, n int, b []float32, ldb int) *PackedB {
	p := &PackedB{k: k, n: n}
	p.Repack(transB, b, ldb)
	return p
}

// Repack replaces the contents by another matrix of the same dimensions, for
// the ISA active now. It allocates only if the ISA has changed.
func (p *PackedB) Repack(transB bool, b []float32, ldb int) {
	checkMatrix("PackB", "B", transB, p.k, p.n, b, ldb)
	if p.k == 0 || p.n == 0 {
		return
	}
	p.tile = activeGemmTile()
	p.data = grow(p.data, p.k*p.padded())
	rsb, csb := ldb, 1
	if transB {
		rsb, csb = 1, ldb
	}
	passes := gemmPasses(p.k)
	for pass := range passes {
		p0, p1 := cut(p.k, passes, pass), cut(p.k, passes, pass+1)
		packPanels(p.data[p0*p.padded():], p.tile, b[p0*rsb:], rsb, csb, p1-p0, p.n)
	}
}

// padded is the number of columns with those that fill up the last panel.
func (p *PackedB) padded() int {
	full := p.n / p.tile.nr * p.tile.nr
	return full + (p.n-full+p.tile.narrow-1)/p.tile.narrow*p.tile.narrow
}

// panels returns the panels of B[p0:p1] from column j on, which starts a panel.
// p0 and p1 bound a pass.
func (p *PackedB) panels(p0, p1, j int) []float32 {
	return p.data[p0*p.padded()+j*(p1-p0):]
}

// GemmPacked is [GemmEpilogue] with a right operand from [PackB]: op(A) is m x k
// and C is m x n for the k and n of b. ep may be nil. Packing changes no bit of
// the result where m is above 48 and n above 256.
func GemmPacked(transA bool, m int, alpha float32, a []float32, lda int, b *PackedB, beta float32, c []float32, ldc int, ep *Epilogue) {
	checkMatrix("GemmPacked", "A", transA, m, b.k, a, lda)
	checkMatrix("GemmPacked", "C", false, m, b.n, c, ldc)
	ep.check("GemmPacked", m, b.n)
	if m == 0 || b.n == 0 {
		return
	}
	if b.k > 0 && b.tile != activeGemmTile() {
		panic("kernels.GemmPacked: B was packed for another ISA")
	}
	var g gemmCall
	g.setProduct(m, b.n, b.k, alpha, beta)
	g.setA(transA, a, lda)
	g.packed = b
	g.c, g.ldc = c, ldc
	g.setEpilogue(ep)
	g.run()
}

// GemmBatched computes batch independent products of one shape, each as [Gemm]:
// operand i starts at a[i*strideA], b[i*strideB], c[i*strideC]. A stride of 0
// shares A or B; the C of different products must not overlap.
func GemmBatched(transA, transB bool, batch, m, n, k int, alpha float32, a []float32, lda, strideA int, b []float32, ldb, strideB int, beta float32, c []float32, ldc, strideC int) {
	checkBatch(batch, strideA, strideB, strideC)
	if batch == 0 || m == 0 || n == 0 {
		return
	}
	last := batch - 1
	checkMatrix("GemmBatched", "A", transA, m, k, tail(a, last, strideA), lda)
	checkMatrix("GemmBatched", "B", transB, k, n, tail(b, last, strideB), ldb)
	checkMatrix("GemmBatched", "C", false, m, n, tail(c, last, strideC), ldc)
	var g gemmCall
	g.setProduct(m, n, k, alpha, beta)
	g.setA(transA, a, lda)
	g.setB(transB, b, ldb)
	g.c, g.ldc = c, ldc
	g.batch, g.strideA, g.strideB, g.strideC = batch, strideA, strideB, strideC
	g.run()
}

func checkBatch(batch int, strides ...int) {
	if batch < 0 {
		panic("kernels.GemmBatched: negative batch")
	}
	for _, s := range strides {
		if s < 0 {
			panic("kernels.GemmBatched: negative stride")
		}
	}
}

// tail returns x from element i*stride on, or nothing if there is none.
func tail(x []float32, i, stride int) []float32 {
	if i > 0 && stride > len(x)/i {
		return nil
	}
	return x[i*stride:]
}
