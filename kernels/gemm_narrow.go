package kernels

// Products with one short side: a tile would leave most of its lanes idle, walk down
// columns, or need a copy of the long operand that few rows share. The operand of
// the long side is read along its rows as they lie.

const (
	// narrowMost is the longest short side on any instruction set.
	narrowMost = 48
	// narrowDepth is the least k of sums that run along k: below it adding up
	// lanes costs too much. Above fewShort, tiles are good enough that it takes
	// fewDepth to beat them.
	narrowDepth, fewShort, fewDepth = 64, 16, 256
	// narrowLong is the least long side of sums that run along the long side.
	narrowLong = 64
	// dotsRows is how many rows of the long operand are read side by side.
	dotsRows = 4
	// axpysRows is how many rows of the long operand stay in the second-level cache
	// while all rows of the short one meet them, also where their distance is a
	// multiple of a page.
	axpysRows = 128
)

// narrowLimits are the longest short sides for which a product is faster without
// tiles, as measured (go run ./cmd/lanes bench --suite gemm): where it is the rows or
// the columns of C, and the sums run along k or along the long side.
type narrowLimits struct {
	rowsAlongK, rows, columnsAlongK, columns int
	// rest tells whether that holds for [gemmCall.restColumns] along the long
	// side, too.
	rest bool
}

var (
	limitsAVX512  = narrowLimits{rowsAlongK: 48, rows: 16, columnsAlongK: 27, columns: 48, rest: true}
	limitsAVX2    = narrowLimits{rowsAlongK: 32, rows: 16, columnsAlongK: 31, columns: 24}
	limitsGeneric = narrowLimits{rowsAlongK: 16, rows: 16, columnsAlongK: 16, columns: 16}
)

func (l *narrowLimits) most(p *narrowProduct) int {
	switch {
	case p.columns && p.alongK:
		return l.columnsAlongK
	case p.columns:
		return l.columns
	case p.alongK:
		return l.rowsAlongK
	default:
		return l.rows
	}
}

// A narrowProduct is a product seen from its short side: element (s, j) of the
// result, s < short, j < long, is the sum over p of a[s*rsa+p*csa]*b[j*rsb+p*csb].
type narrowProduct struct {
	short, long int
	columns     bool // the short side is C's columns
	alongK      bool // csb is 1, and the sums run along k
	a, b        []float32
	rsa, csa    int
	rsb, csb    int
}

// narrowForm returns the product seen from its short side, and whether that is how
// to compute it. It looks at the whole product, never at a part of it.
func (g *gemmCall) narrowForm() (p narrowProduct, ok bool) {
	if g.packed != nil || min(g.m, g.n) > narrowMost || max(g.m, g.n) < narrowLong && g.k < narrowDepth {
		return p, false
	}
	p = narrowProduct{short: g.m, long: g.n, a: g.a, rsa: g.rsa, csa: g.csa, b: g.b, rsb: g.csb, csb: g.rsb}
	if g.n < g.m {
		p = narrowProduct{short: g.n, long: g.m, columns: true, a: g.b, rsa: g.csb, csa: g.rsb, b: g.a, rsb: g.rsa, csb: g.csa}
	}
	p.alongK = p.csb == 1 && (p.rsb != 1 || g.k >= p.long)
	switch {
	case p.short > g.tile.limits.most(&p):
		return p, false
	case p.alongK:
		return p, p.long >= dotsRows && g.k >= narrowDepth && (p.short <= fewShort || g.k >= fewDepth)
	default:
		return p, p.long >= narrowLong && p.rsb == 1 && g.k >= dotsRows
	}
}

// restColumns returns how many columns at the right edge, which do not fill a
// panel, are better computed as a product by themselves: where a panel for them
// would cost far more, and is not lost among many.
func (g *gemmCall) restColumns() int {
	const lost = 256
	t := g.tile
	if g.k < fewDepth || g.packed != nil || g.n < t.nr || g.n > lost || g.m < narrowLong {
		return 0
	}
	rest := g.n % t.nr
	if idle := (t.narrow - rest%t.narrow) % t.narrow; idle < t.narrow/4 {
		return 0
	}
	if _, narrow := g.narrowForm(); narrow {
		return 0
	}
	alone := *g
	alone.onlyColumns(g.n-rest, g.n)
	if p, narrow := alone.narrowForm(); !narrow || !p.alongK && !t.limits.rest {
		return 0
	}
	return rest
}

// blockNarrow computes what lies between lo and hi on the long side.
func (g *gemmCall) blockNarrow(lo, hi int) {
	p, _ := g.narrowForm()
	buf := takeGemmBuffers()
	defer buf.release()
	if p.alongK {
		g.narrowDots(&p, buf, lo, hi)
	} else {
		g.narrowAxpys(&p, buf, lo, hi)
	}
}

// narrowAxpys adds multiples of the rows of the long operand, as they lie, to the
// rows of the result, a part of each that stays in the first-level cache.
func (g *gemmCall) narrowAxpys(p *narrowProduct, buf *gemmBuffers, lo, hi int) {
	const inCache, line = 4096, 64 / 4
	width := max(narrowLong, inCache/p.short/narrowLong*narrowLong)
	for j0 := lo; j0 < hi; j0 += width {
		j1 := min(j0+width, hi)
		n := j1 - j0
		ld := (n + line - 1) / line * line
		size := p.short * ld
		buf.a = grow(buf.a, 2*size+narrowMost*ld)
		sums, part := buf.a[:size], buf.a[size:2*size]
		for k0 := 0; k0 < g.k; k0 += gemmKC {
			y := part
			if k0 == 0 {
				y = sums
			}
			clear(y)
			end := min(k0+gemmKC, g.k)
			for kk := k0; kk < end; kk += axpysRows {
				p.addProducts(kk, min(kk+axpysRows, end), j0, j1, y, ld)
			}
			if k0 > 0 {
				add(sums, sums, part)
			}
		}
		if !p.columns {
			for i := range g.m {
				g.finishSums(i, i+1, j0, j1, sums[i*ld:], nil)
			}
			continue
		}
		// From right to left: what a row has too much of, the next strip or row overwrites.
		turned, strip := buf.a[2*size:], g.tile.narrow
		for s := (p.short - 1) / strip * strip; s >= 0; s -= strip {
			transposeBlock(min(strip, p.short-s), n, turned[s:], p.short, sums[s*ld:], ld)
		}
		g.finishSums(j0, j1, 0, g.n, turned, sums)
	}
	g.activateNarrow(p, lo, hi)
}

// addProducts adds the terms k0 to k1-1 of columns j0 to j1-1 of the result to y.
func (p *narrowProduct) addProducts(k0, k1, j0, j1 int, y []float32, ld int) {
	most := axpysMost()
	for s, left := 0, p.short; left > 0; {
		rows := (left + (left+most-1)/most - 1) / ((left + most - 1) / most)
		axpys(rows, k1-k0, j1-j0, p.a[s*p.rsa+k0*p.csa:], p.rsa, p.csa, p.b[k0*p.csb+j0:], p.csb, y[s*ld:], ld)
		s, left = s+rows, left-rows
	}
}

// narrowDots multiplies the rows of the long operand, which run along k, with the
// short one.
func (g *gemmCall) narrowDots(p *narrowProduct, buf *gemmBuffers, lo, hi int) {
	const (
		inCache = 4096     // elements of the short operand beside those of four rows
		block   = 64 << 10 // elements of the long operand, read once for all groups
	)
	most := dotsMost()
	groups := (p.short + most - 1) / most
	cols := (p.short + groups - 1) / groups
	// A block of the result is out[group of columns][group of rows][4 x 4 or 4 x 8].
	depth := min(g.k, inCache*2/cols/narrowDepth*narrowDepth)
	height := max(dotsRows, min(256, block/depth)/dotsRows*dotsRows)
	cell := 16 * ((cols + 3) / 4)
	size := height / dotsRows * cell
	buf.a = grow(buf.a, groups*size+height*narrowMost)
	out, rows := buf.a[:groups*size], buf.a[groups*size:]
	chunk := g.tile.narrow
	padded := (g.k + chunk - 1) / chunk * chunk
	short := p.a
	if p.short > 1 || p.csa != 1 {
		buf.b = grow(buf.b, p.short*padded+chunk)
		g.packShort(p, buf.b, cols)
		short = buf.b
	}
	for j0 := lo; j0 < hi; j0 += height {
		j1 := min(j0+height, hi)
		quads := (j1 - j0 + dotsRows - 1) / dotsRows
		clear(out)
		for k0 := 0; k0 < g.k; k0 += depth {
			k := min(depth, g.k-k0)
			for c := range groups {
				// Groups are packed one after another, each as deep as k.
				first := c * cols
				n := min(cols, p.short-first)
				b := short[first*padded+k0*n:]
				dst := out[c*size:]
				whole := (j1 - j0) / dotsRows
				if whole > 0 {
					dots(whole, k, p.b[j0*p.rsb+k0:], p.rsb, b, n, dst)
				}
				if whole < quads {
					// The last rows, with some before them.
					at := lastRows(j1)
					dots(1, k, p.b[at*p.rsb+k0:], p.rsb, b, n, dst[whole*16*((n+3)/4):])
				}
			}
		}
		g.gatherDots(p, out, size, cols, rows, j0, j1)
	}
	g.activateNarrow(p, lo, hi)
}

// lastRows is the first of the rows read together that end in front of row end, or
// behind it where there are too few.
func lastRows(end int) int { return max(0, end-dotsRows) }

// gatherDots brings the sums of [gemmCall.narrowDots] into rows and finishes them.
func (g *gemmCall) gatherDots(p *narrowProduct, out []float32, size, cols int, rows []float32, j0, j1 int) {
	n := j1 - j0
	ld := p.short
	if !p.columns {
		ld = n
	}
	for s := range p.short {
		c, q := s/cols, s%cols
		wide := min(cols, p.short-c*cols)
		cell := 16 * ((wide + 3) / 4)
		from := out[c*size+q/4*16+q%4:]
		for j := range n {
			quad, i := j/dotsRows, j%dotsRows
			if quad*dotsRows+dotsRows > n {
				i = j0 + j - lastRows(j1)
			}
			v := from[quad*cell+4*i]
			if p.columns {
				rows[j*ld+s] = v
			} else {
				rows[s*ld+j] = v
			}
		}
	}
	if p.columns {
		g.finishSums(j0, j1, 0, g.n, rows, out)
		return
	}
	for i := range g.m {
		g.finishSums(i, i+1, j0, j1, rows[i*ld:], nil)
	}
}

// packShort copies the short operand in groups of cols vectors, each group in
// chunks of as many terms as the narrow tile is wide: chunk after chunk of the
// first vector, of the second and so on.
func (g *gemmCall) packShort(p *narrowProduct, dst []float32, cols int) {
	chunk := g.tile.narrow
	padded := (g.k + chunk - 1) / chunk * chunk
	for first := 0; first < p.short; first += cols {
		n := min(cols, p.short-first)
		group := dst[first*padded:]
		src := p.a[first*p.rsa:]
		if p.csa == 1 {
			for j := range n {
				row := src[j*p.rsa:]
				if whole := g.k / chunk; whole > 0 {
					copyBlock(whole, chunk, group[j*chunk:], n*chunk, row, chunk)
				}
				if rest := g.k % chunk; rest > 0 {
					copy(group[g.k/chunk*chunk*n+j*chunk:], row[g.k-rest:g.k])
				}
			}
			continue
		}
		for k0 := 0; k0 < g.k; k0 += chunk {
			transposeBlock(min(chunk, g.k-k0), n, group[k0*n:], chunk, src[k0*p.csa:], p.csa)
		}
	}
}

// finishSums stores C[i0:i1, j0:j1], whose sums over k lie in rows without gaps and may
// be changed. So may addends, which is as long, and not needed for one row.
func (g *gemmCall) finishSums(i0, i1, j0, j1 int, sums, addends []float32) {
	rows, cols := i1-i0, j1-j0
	n := rows * cols
	sums = sums[:n]
	if g.alpha != 1 {
		scale(g.alpha, sums)
	}
	if beta, d := g.addend(i0, i1, j0, j1); beta != 0 {
		axpy(beta, together(rows, cols, d[j0:], g.ldc, addends), sums)
	}
	if g.bias != nil {
		add(sums, sums, together(rows, cols, g.bias[j0:], 0, addends))
	}
	if g.clamp != nil {
		clamp(sums, sums, g.clamp[0], g.clamp[1])
	}
	ldc := g.ldc
	if ldc == cols {
		rows, cols, ldc = 1, n, n
	}
	copyBlock(rows, cols, g.c[i0*g.ldc+j0:], ldc, sums, cols)
}

// together returns rows that are ld apart without gaps, copied to room where there are any.
func together(rows, cols int, x []float32, ld int, room []float32) []float32 {
	if rows > 1 && ld != cols {
		copyBlock(rows, cols, room, cols, x, ld)
		x = room
	}
	return x[:rows*cols]
}

// activateNarrow is activateBlock for a part of the long side.
func (g *gemmCall) activateNarrow(p *narrowProduct, lo, hi int) {
	if p.columns {
		g.activateBlock(lo, hi, 0, g.n)
	} else {
		g.activateBlock(0, g.m, lo, hi)
	}
}

// dotsGeneric computes, for each group g of four rows i of a and each of cols
// columns j, out[cell*g+16*(j/4)+4*i+j%4] += a[4*g+i] . b[j], where b is packed as
// [gemmCall.packShort] says and cell is 16 for each four columns.
func dotsGeneric(groups, k int, a []float32, lda int, b []float32, cols int, out []float32) {
	chunk := gemmTileGeneric().narrow
	cell := 16 * ((cols + 3) / 4)
	for r := range groups * dotsRows {
		row := a[r*lda : r*lda+k]
		for j := range cols {
			var sum float32
			for p := 0; p < k; p += chunk {
				n := min(chunk, k-p)
				sum += dotGeneric(row[p:p+n], b[p*cols+j*chunk:][:n])
			}
			out[r/dotsRows*cell+16*(j/4)+4*(r%dotsRows)+j%4] += sum
		}
	}
}

// axpysGeneric computes y[i*ldy+j] += sum over p < k of a[i*rsa+p*csa]*b[p*ldb+j]
// for i < rows, j < n.
func axpysGeneric(rows, k, n int, a []float32, rsa, csa int, b []float32, ldb int, y []float32, ldy int) {
	for p := range k {
		for i := range rows {
			axpyGeneric(a[i*rsa+p*csa], b[p*ldb:p*ldb+n], y[i*ldy:i*ldy+n])
		}
	}
}
