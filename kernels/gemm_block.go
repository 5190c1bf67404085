package kernels

import (
	"sync"
	"unsafe"
)

// The blocked matrix product, after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008), with rows and columns
// exchanged: C is computed in panels of nr columns, whose slice of B is kc rows
// that stay in the caches while mc rows of A go by.

// gemmKC is the most terms of a sum that one pass over k adds up. A panel of B of
// this depth comes from the second-level cache, a row of it well before it is
// needed; the deeper it is, the less often C is read and written. It is a constant,
// not derived from the cache, because results depend on it.
const gemmKC = 640

// A gemmTile is the register tile of the active ISA.
type gemmTile struct {
	mr      int // most rows of a tile
	shallow int // the same where k is small, see [gemmStep.tileRows]
	nr      int // columns of a full panel
	narrow  int // most columns of a panel at the right edge
	limits  narrowLimits
	pack    packLimits
}

// A gemmCall is one matrix product, or a batch of them. Element (i, j) of A is
// a[i*rsa+j*csa]; one of the strides is 1; likewise B.
type gemmCall struct {
	m, n, k     int
	alpha, beta float32
	a           []float32
	rsa, csa    int
	b           []float32
	rsb, csb    int
	packed      *PackedB // instead of b
	c           []float32
	ldc         int

	batch                     int
	strideA, strideB, strideC int

	// The epilogue, see [Epilogue]. clamp and act exclude each other.
	bias, rowBias, residual []float32
	ldr                     int
	clamp                   *[2]float32
	act                     Activation

	tile         *gemmTile
	narrow       bool
	gridM, gridN int
}

func (g *gemmCall) setProduct(m, n, k int, alpha, beta float32) {
	g.m, g.n, g.k, g.alpha, g.beta, g.batch = m, n, k, alpha, beta, 1
}

func (g *gemmCall) setA(trans bool, a []float32, lda int) {
	g.a, g.rsa, g.csa = a, lda, 1
	if trans {
		g.rsa, g.csa = 1, lda
	}
}

func (g *gemmCall) setB(trans bool, b []float32, ldb int) {
	g.b, g.rsb, g.csb = b, ldb, 1
	if trans {
		g.rsb, g.csb = 1, ldb
	}
}

// A sharedCall is a product that several threads work on.
type sharedCall struct {
	gemmCall
	part func(lo, hi int) // runParts
}

// calls and buffers are kept for reuse, so that a product allocates nothing
// once as many products have run at a time.
var gemmFree struct {
	sync.Mutex
	calls   []*sharedCall
	buffers []*gemmBuffers
}

// share returns a copy of g that other threads may see. g itself stays on its caller's
// stack, which costs a small product least.
func (g *gemmCall) share() *sharedCall {
	gemmFree.Lock()
	var s *sharedCall
	if last := len(gemmFree.calls) - 1; last >= 0 {
		s, gemmFree.calls = gemmFree.calls[last], gemmFree.calls[:last]
	}
	gemmFree.Unlock()
	if s == nil {
		s = &sharedCall{}
		s.part = s.runParts
	}
	s.gemmCall = *g
	return s
}

// release makes s reusable and forgets its operands.
func (s *sharedCall) release() {
	s.gemmCall = gemmCall{}
	gemmFree.Lock()
	gemmFree.calls = append(gemmFree.calls, s)
	gemmFree.Unlock()
}

// gemmBuffers holds the packed blocks of one thread.
type gemmBuffers struct{ a, b []float32 }

func takeGemmBuffers() *gemmBuffers {
	gemmFree.Lock()
	defer gemmFree.Unlock()
	if last := len(gemmFree.buffers) - 1; last >= 0 {
		b := gemmFree.buffers[last]
		gemmFree.buffers = gemmFree.buffers[:last]
		return b
	}
	return &gemmBuffers{}
}

func (b *gemmBuffers) release() {
	gemmFree.Lock()
	gemmFree.buffers = append(gemmFree.buffers, b)
	gemmFree.Unlock()
}

// grow returns x with at least n elements, starting on a cache line.
func grow(x []float32, n int) []float32 {
	if len(x) >= n {
		return x
	}
	const line = 64 / 4
	x = make([]float32, n+line)
	off := int(-uintptr(unsafe.Pointer(&x[0])) % 64 / 4)
	return x[off : off+n]
}

// run computes the product.
func (g *gemmCall) run() {
	if g.k == 0 {
		for i := range g.batch {
			item := g.item(i)
			item.runEmpty()
		}
		return
	}
	g.tile = activeGemmTile()
	if rest := g.restColumns(); rest > 0 {
		last := *g
		last.onlyColumns(g.n-rest, g.n)
		last.runWhole()
		g.onlyColumns(0, g.n-rest)
	}
	g.runWhole()
}

// onlyColumns makes the product that of C[:, j0:j1].
func (g *gemmCall) onlyColumns(j0, j1 int) {
	g.n = j1 - j0
	g.b, g.c = g.b[j0*g.csb:], g.c[j0:]
	if g.bias != nil {
		g.bias = g.bias[j0:j1]
	}
	if g.residual != nil {
		g.residual = g.residual[j0:]
	}
}

// runWhole computes the product by one method.
func (g *gemmCall) runWhole() {
	_, g.narrow = g.narrowForm()
	threads := threadsFor(g.m, g.n, g.k*g.batch)
	if threads == 1 && g.batch == 1 && !g.narrow {
		g.block(0, g.m, 0, g.n)
		return
	}
	if threads == 1 {
		g.gridM, g.gridN = 1, 1
		g.runParts(0, g.batch)
		return
	}
	each := (threads + g.batch - 1) / g.batch
	if g.narrow {
		g.gridM, g.gridN = 1, min(each, max(g.m, g.n))
	} else {
		g.chooseGrid(each)
	}
	s := g.share()
	Parallel(s.batch*s.gridM*s.gridN, 1, s.part)
	s.release()
}

// item returns product i of the batch by itself.
func (g *gemmCall) item(i int) gemmCall {
	item := *g
	if i > 0 {
		item.a, item.b, item.c = g.a[i*g.strideA:], g.b[i*g.strideB:], g.c[i*g.strideC:]
	}
	return item
}

// runParts computes the cells lo to hi-1 of the grids over C.
func (g *gemmCall) runParts(lo, hi int) {
	for p := lo; p < hi; p++ {
		cell := p % (g.gridM * g.gridN)
		item := g
		if g.batch > 1 {
			one := g.item(p / (g.gridM * g.gridN))
			item = &one
		}
		pm, pn := cell/g.gridN, cell%g.gridN
		if g.narrow {
			long := max(g.m, g.n)
			item.blockNarrow(cut(long, g.gridN, pn), cut(long, g.gridN, pn+1))
			continue
		}
		item.block(cut(g.m, g.gridM, pm), cut(g.m, g.gridM, pm+1), g.cutColumns(pn), g.cutColumns(pn+1))
	}
}

// cut returns where part i of n begins. Small products notice a division.
func cut(n, parts, i int) int {
	if parts == 1 {
		return n * i
	}
	return n * i / parts
}

// cutColumns cuts between panels.
func (g *gemmCall) cutColumns(i int) int {
	panels := (g.n + g.tile.nr - 1) / g.tile.nr
	return min(g.n, cut(panels, g.gridN, i)*g.tile.nr)
}

// gemmPasses returns how many blocks k terms are cut into, of equal depth as far
// as possible.
func gemmPasses(k int) int { return (k + gemmKC - 1) / gemmKC }

// block computes C[i0:i1, j0:j1].
func (g *gemmCall) block(i0, i1, j0, j1 int) {
	if i0 == i1 || j0 == j1 {
		return
	}
	passes := gemmPasses(g.k)
	packA, packB := g.packs(i1-i0, j1-j0)
	var buf *gemmBuffers
	if packA || packB && g.packed == nil {
		buf = takeGemmBuffers()
		defer buf.release()
	}
	kc := cut(g.k+passes-1, passes, 1)
	mc, nc := i1-i0, j1-j0
	if packB {
		mc, nc = blockSizes(g.tile, kc, mc)
	} else if mc*kc > blockA() {
		mc, _ = blockSizes(g.tile, kc, mc)
	}
	for jc := j0; jc < j1; jc += nc {
		jn := min(jc+nc, j1)
		for pass := range passes {
			p0, p1 := cut(g.k, passes, pass), cut(g.k, passes, pass+1)
			s := gemmStep{g: g, p0: p0, p1: p1, last: pass == passes-1}
			switch {
			case g.packed != nil:
				s.b = g.packed.panels(p0, p1, jc)
			case packB:
				s.packB(buf, jc, jn)
			}
			for ic := i0; ic < i1; ic += mc {
				in := min(ic+mc, i1)
				if packA {
					g.packA(buf, &s, ic, in, jn-jc)
				} else {
					s.a, s.rsa, s.csa = g.a[ic*g.rsa+p0*g.csa:], g.rsa, g.csa
				}
				s.ahead = blockAhead{}
				switch {
				case g.csa == 1: // rows, which the hardware follows
				case packA && jn-jc <= g.tile.pack.turned && !g.tile.pack.ahead:
				case in < i1:
					s.ahead = g.ahead(in, min(in+mc, i1), p0, p1)
				case !s.last:
					s.ahead = g.ahead(i0, min(i0+mc, i1), p1, cut(g.k, passes, pass+2))
				}
				s.panels(ic, in, jc, jn)
				s.packing = false
			}
		}
	}
}

// packB makes room for the panels of columns j0 to j1-1. They are filled as they are
// needed, since what a panel is made of then comes from memory during the one before;
// but at once where the rows of a panel's width would evict each other until then.
func (s *gemmStep) packB(buf *gemmBuffers, j0, j1 int) {
	g, kc := s.g, s.p1-s.p0
	buf.b = grow(buf.b, kc*(j1-j0+g.tile.narrow))
	s.b = buf.b
	s.packing = g.csb != 1 || g.rsb%floatsPerPage != 0
	if !s.packing {
		packPanels(s.b, g.tile, g.b[s.p0*g.rsb+j0:], g.rsb, 1, kc, j1-j0)
	}
}

// packA copies A[i0:i1, p0:p1] for n columns of C: into panels, or for few columns in
// the order it has, which takes less time.
func (g *gemmCall) packA(buf *gemmBuffers, s *gemmStep, i0, i1, n int) {
	src, kc := g.a[i0*g.rsa+s.p0*g.csa:], s.p1-s.p0
	s.tilePitch = 0
	switch {
	case g.csa == 1 && n <= g.tile.pack.columns:
		s.rsa, s.csa = packedLD(kc), 1
		buf.a = grow(buf.a, (i1-i0)*s.rsa)
		copyBlock(i1-i0, kc, buf.a, s.rsa, src, g.rsa)
		s.a = buf.a
	case g.csa != 1 && n <= g.tile.pack.turned:
		s.rsa, s.csa = 1, packedLD(i1-i0)
		buf.a = grow(buf.a, kc*s.csa)
		copyBlock(kc, i1-i0, buf.a, s.csa, src, g.csa)
		s.a = buf.a
	default:
		g.packTiles(buf, s, i0, i1, src)
	}
}

// packTiles copies A[i0:i1, p0:p1], which begins at src, into a panel for each tile:
// p1-p0 rows of as many elements as the highest tile has rows, so that a tile reads
// what it needs and nothing else. Whole vectors are copied; what a row of the panel has
// too much of, the next one overwrites.
func (g *gemmCall) packTiles(buf *gemmBuffers, s *gemmStep, i0, i1 int, src []float32) {
	const few = 8 // rows of a transposed A at a time, for all tiles
	kc, step := s.p1-s.p0, g.tile.narrow
	rows, tiles, less := splitRows(i1-i0, g.tile.mr)
	ld := g.tile.mr
	pitch := ld*kc + step
	buf.a = grow(buf.a, (tiles+less)*pitch)
	s.a, s.rsa, s.csa, s.tilePitch = buf.a, 1, ld, pitch
	if g.csa == 1 {
		for t := range tiles + less {
			first, end := t*rows-max(0, t-tiles), (t+1)*rows-max(0, t+1-tiles)
			for i := first; i < end; i += step {
				transposeBlock(min(step, i1-i0-i), kc, buf.a[t*pitch+i-first:], ld, src[i*g.rsa:], g.rsa)
			}
		}
		return
	}
	wide := (ld + step - 1) / step * step
	for p := 0; p < kc; p += few {
		for t := range tiles + less {
			i := t*rows - max(0, t-tiles)
			copyBlock(min(few, kc-p), min(wide, i1-i0-i), buf.a[t*pitch+p*ld:], ld, src[p*g.csa+i:], g.csa)
		}
	}
}

// packedLD returns the leading dimension for packed rows of n: an odd number of
// cache lines, so that no two of the rows that a tile reads together fall into
// the same set of the cache.
func packedLD(n int) int {
	const line = 64 / 4
	return ((n+line-1)/line | 1) * line
}

// packPanels packs a kc x n matrix into panels: columns j to j+w-1 of a panel are kc
// rows of ld floats from j*kc, see [gemmTile.panel].
func packPanels(dst []float32, tile *gemmTile, b []float32, rsb, csb, kc, n int) {
	if csb == 1 {
		packRows(dst, tile, b, rsb, kc, n)
		return
	}
	for j := 0; j < n; {
		w, ld := tile.panel(n - j)
		panel := dst[j*kc:]
		for i := 0; i < w; i += tile.narrow {
			transposeBlock(min(tile.narrow, w-i), kc, panel[i:], ld, b[(j+i)*csb:], csb)
		}
		j += w
	}
}

// packRows packs a kc x n matrix of contiguous rows, a few rows of all panels at a
// time: row after row would read a whole panel in steps of a row, which no
// prefetcher follows.
func packRows(dst []float32, tile *gemmTile, b []float32, rsb, kc, n int) {
	const few = 8
	for p := 0; p < kc; p += few {
		for j := 0; j < n; {
			w, ld := tile.panel(n - j)
			copyBlock(min(few, kc-p), w, dst[j*kc+p*ld:], ld, b[p*rsb+j:], rsb)
			j += w
		}
	}
}

// panel returns the columns of the next panel when n are left, and the leading
// dimension of its packed rows.
func (t *gemmTile) panel(n int) (w, ld int) {
	if n >= t.nr {
		return t.nr, t.nr
	}
	return min(n, t.narrow), t.narrow
}

// A gemmStep is one pass over a block of k.
type gemmStep struct {
	g      *gemmCall
	p0, p1 int
	last   bool
	// Element (i, p) of the current rows is a[i*rsa+p*csa], where i counts from
	// the first row of the tile if tilePitch, the distance of tiles, is not 0.
	a         []float32
	rsa, csa  int
	tilePitch int
	b         []float32 // packed panels, or nil for B itself
	packing   bool      // b is yet to be filled, panel by panel
	ahead     blockAhead
}

// panels multiplies rows i0 to i1-1 with the panels of columns j0 to j1-1.
func (s *gemmStep) panels(i0, i1, j0, j1 int) {
	g, kc := s.g, s.p1-s.p0
	rows, tiles, less := splitRows(i1-i0, s.tileRows())
	c := g.c[i0*g.ldc:]
	beta, d := float32(1), c
	if s.p0 == 0 {
		beta, d = g.addend(i0, i1, j0, j1)
	}
	var t panelArgs // set field by field: a literal is made elsewhere, and copied
	t.rows, t.tiles, t.less, t.k = rows, tiles, less, kc
	t.alpha, t.beta = g.alpha, beta
	t.a, t.rsa, t.csa, t.pitch, t.ldc = s.a, s.rsa, s.csa, s.tilePitch, g.ldc
	if s.last {
		t.clamp = g.clamp
	}
	parts, late := s.ahead.parts(g.tile, j1-j0, tiles+less)
	for j := j0; j < j1; j += t.n {
		t.n, _ = g.tile.panel(j1 - j)
		if s.packing {
			packPanels(s.b[(j-j0)*kc:], g.tile, g.b[s.p0*g.rsb+j*g.csb:], g.rsb, g.csb, kc, t.n)
		}
		t.b, t.ldb = s.panel(j, j0, j1)
		after := j + t.n
		if after == j1 {
			after = j0
		}
		t.next, t.ldNext, t.rowsNext = s.source(after, j0, j1)
		t.c, t.d = c[j:], d[j:]
		if s.last && g.bias != nil {
			t.bias = g.bias[j:]
		}
		if parts == 1 || j1-j > late {
			gemmPanel(&t)
		} else {
			s.panelParts(&t, parts)
		}
	}
	if s.last {
		g.activateBlock(i0, i1, j0, j1)
	}
}

// panel returns the rows of B in the panel at column j of j0 to j1, and their
// leading dimension.
func (s *gemmStep) panel(j, j0, j1 int) (b []float32, ldb int) {
	if s.b == nil {
		return s.g.b[s.p0*s.g.rsb+j:], s.g.rsb
	}
	_, ldb = s.g.tile.panel(j1 - j)
	return s.b[(j-j0)*(s.p1-s.p0):], ldb
}

// source returns where the panel at column j will be read from.
func (s *gemmStep) source(j, j0, j1 int) (b []float32, ldb, rows int) {
	rows = s.p1 - s.p0
	switch {
	case !s.packing || j == j0:
		b, ldb = s.panel(j, j0, j1)
		return b, ldb, rows
	case s.g.csb == 1:
		return s.g.b[s.p0*s.g.rsb+j:], s.g.rsb, rows
	default:
		return nil, 0, 0 // long rows, which the hardware follows
	}
}

// shallow is the depth up to which a panel of B comes from the first-level cache, so
// that lower tiles cost nothing. What they save is the end of a tile, whose stores keep
// the multiply-adds of the next one waiting: on Zen 4 for 62 cycles after 13 rows of
// 32 columns, for 19 after seven.
const shallow = 128

// tileRows returns how many rows of A a tile reads together at most: where all
// rows of A start in the same set of a first-level cache of eight ways or more,
// no more than fit it beside B.
func (s *gemmStep) tileRows() int {
	switch {
	case s.csa == 1 && s.rsa%1024 == 0:
		return min(s.g.tile.mr, 6)
	case s.p1-s.p0 <= shallow && s.tilePitch == 0:
		return s.g.tile.shallow
	}
	return s.g.tile.mr
}

// splitRows divides m rows into tiles of at most mr rows and of equal height, as far as
// possible: tiles of rows rows and less of rows-1.
func splitRows(m, mr int) (rows, tiles, less int) {
	count := (m + mr - 1) / mr
	rows = (m + count - 1) / count
	less = rows*count - m
	return rows, count - less, less
}

// panelArgs are the arguments of a micro-kernel call: row tiles of A times one
// panel of B, n <= nr columns. It computes, for each row i and column j < n,
//
//	s := alpha * sum over p < k of a[i*rsa+p*csa]*b[p*ldb+j]
//	if beta != 0 { s += beta*d[i*ldc+j] }
//	if bias != nil { s += bias[j] }
//	if clamp != nil { s = min(max(s, clamp[0]), clamp[1]) }
//	c[i*ldc+j] = s
type panelArgs struct {
	n                 int
	rows, tiles, less int // tiles of rows rows, then less of rows-1
	k                 int
	alpha, beta       float32
	a                 []float32
	rsa, csa          int
	b                 []float32
	ldb               int
	d, c              []float32 // d may be c
	ldc               int
	bias              []float32
	clamp             *[2]float32
	pitch             int // between tiles in a, 0 if their rows follow each other
	// rowsNext rows of a panel's width, ldNext apart, that later calls need: worth
	// having in a cache by then.
	next             []float32
	ldNext, rowsNext int
}
