package conv

// How Winograd's algorithm covers a map. Along an axis, tiles have m results or, as
// many as make the tiles end with the map, m-1: 14 is 4+4+3+3. A short tile needs one
// point less. Without the point at infinity, the last of each axis, and its row of the
// matrices, F(m, 3) is an F(m-1, 3) for the same filters: A' has only that point's
// product in the result that is missing, and in the other rows of B' the input that
// only this result reads is left out. So all transforms are those of whole tiles;
// products with a missing point are neither computed nor, but for results that are
// dropped, read.
//
// Tiles are numbered by kind: those that are short in a row, whole ones, those that are
// short in a column, those that are short in both. So the tiles that have a point are
// consecutive.

// A winogradAxis is a cut of an axis: whole tiles, then short ones.
type winogradAxis struct{ m, whole, short int }

func newWinogradAxis(n, m int) winogradAxis {
	tiles := (n + m - 1) / m
	short := min(tiles, tiles*m-n)
	return winogradAxis{m, tiles - short, short}
}

// tile returns the first result of tile i, and how many it has.
func (a *winogradAxis) tile(i int) (at, size int) {
	if i < a.whole {
		return i * a.m, a.m
	}
	return a.whole*a.m + (i-a.whole)*(a.m-1), a.m - 1
}

// points is the number of points of all tiles.
func (a *winogradAxis) points() int { return a.whole*(a.m+2) + a.short*(a.m+1) }

// A winogradTiles is a cut of n maps.
type winogradTiles struct {
	rows, cols winogradAxis
	ends       [4]int // of each kind's numbers
}

func newWinogradTiles(n, h, w, m int) winogradTiles {
	t := winogradTiles{rows: newWinogradAxis(h, m), cols: newWinogradAxis(w, m)}
	end := 0
	for kind := range t.ends {
		rows, cols, _, _ := t.kind(kind)
		end += n * rows * cols
		t.ends[kind] = end
	}
	return t
}

// kind returns how many tiles of a kind a map has in each direction, and where in the
// axes they begin.
func (t *winogradTiles) kind(kind int) (rows, cols, row0, col0 int) {
	rows, cols = t.rows.whole, t.cols.whole
	if kind >= 2 {
		rows, row0 = t.rows.short, t.rows.whole
	}
	if kind == 0 || kind == 3 {
		cols, col0 = t.cols.short, t.cols.whole
	}
	return rows, cols, row0, col0
}

// A winogradTile is where a tile lies: its image, first result and size.
type winogradTile struct{ n, y, x, h, w int }

func (t *winogradTiles) at(tile int) (at winogradTile) {
	kind, first := 0, 0
	for tile >= t.ends[kind] {
		first = t.ends[kind]
		kind++
	}
	rows, cols, row0, col0 := t.kind(kind)
	q := tile - first
	at.n = q / (rows * cols)
	q %= rows * cols
	at.y, at.h = t.rows.tile(row0 + q/cols)
	at.x, at.w = t.cols.tile(col0 + q%cols)
	return at
}

// span returns which of the rows tiles from first on have point i, as a range of rows.
func (t *winogradTiles) span(i, first, rows int) (lo, hi int) {
	size := t.rows.m + 2
	from, to := 0, t.ends[3]
	if i/size == size-1 {
		to = t.ends[1]
	}
	if i%size == size-1 {
		from, to = t.ends[0], min(to, t.ends[2])
	}
	lo, hi = max(0, from-first), min(rows, to-first)
	return min(lo, rows), max(hi, min(lo, rows))
}

// windowOffsets fills in where the pixels of a window of rows x cols of size x size
// start in an image of h x w pixels with c channels; -1 outside of either.
func windowOffsets(offsets []int32, size, y, x, rows, cols, h, w, c int) {
	for i := range size {
		row := offsets[i*size:][:size]
		if i >= rows || y+i < 0 || y+i >= h {
			for j := range row {
				row[j] = -1
			}
			continue
		}
		at := ((y+i)*w + x) * c
		for j := range row {
			if j >= cols || x+j < 0 || x+j >= w {
				row[j] = -1
			} else {
				row[j] = int32(at)
			}
			at += c
		}
	}
}
