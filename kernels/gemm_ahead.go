package kernels

// What the tiles fetch from memory while they multiply, beside the next panel of B: the
// next block of a transposed A, whose short rows far apart no prefetcher follows.

// A blockAhead is the source of the next block of A as strips of a panel's width:
// strips strips of rows rows, ld apart, of which strip number at is the next to fetch.
type blockAhead struct {
	a                []float32
	ld, rows         int
	step, at, strips int
}

// ahead returns A[i0:i1, p0:p1] as strips.
func (g *gemmCall) ahead(i0, i1, p0, p1 int) blockAhead {
	w := g.tile.nr
	b := blockAhead{a: g.a[i0*g.rsa+p0*g.csa:], step: w, ld: g.rsa, rows: i1 - i0, strips: (p1 - p0 + w - 1) / w}
	if g.csa != 1 {
		b.ld, b.rows, b.strips = g.csa, p1-p0, (i1-i0+w-1)/w
	}
	return b
}

// parts returns into how many calls the tiles of a panel are divided, so that each can
// fetch something else, and for how many of the n columns of the result: the last
// ones, since what is fetched early is lost again.
func (b *blockAhead) parts(t *gemmTile, n, tiles int) (parts, columns int) {
	if b.strips == 0 {
		return 1, 0
	}
	panels := (n + t.nr - 1) / t.nr
	parts = max(1, min(1+(b.strips+panels-1)/panels, tiles/2))
	if parts > 1 {
		columns = (b.strips + parts - 2) / (parts - 1) * t.nr
	}
	return parts, columns
}

// panelParts is gemmPanel in several calls: the first fetches what t says, the others
// strips of the next block of A.
func (s *gemmStep) panelParts(t *panelArgs, parts int) {
	u, row := *t, 0
	total := t.tiles + t.less
	for part := range parts {
		lo, hi := cut(total, parts, part), cut(total, parts, part+1)
		u.rows, u.tiles = t.rows, max(0, min(hi, t.tiles)-lo)
		u.less = hi - lo - u.tiles
		if u.tiles == 0 {
			u.rows, u.tiles, u.less = t.rows-1, u.less, 0
		}
		at := row * t.rsa
		if t.pitch != 0 {
			at = lo * t.pitch
		}
		u.a, u.d, u.c = t.a[at:], t.d[row*t.ldc:], t.c[row*t.ldc:]
		if part > 0 {
			u.next, u.ldNext, u.rowsNext = nil, 0, 0
			if b := &s.ahead; b.at < b.strips {
				u.next, u.ldNext, u.rowsNext = b.a[b.at*b.step:], b.ld, b.rows
				b.at++
			}
		}
		gemmPanel(&u)
		row += u.rows*u.tiles + max(0, u.rows-1)*u.less
	}
}
