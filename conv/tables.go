package conv

// Blocks of rows whose tables are the same everywhere. Filling in tables for every
// block and looking for padding in every tile takes as long as a third of the
// products where a tile has few of them. Where the tables of one block are those of
// another, up to where they start, they are made once:
//
//   - A pointwise convolution without stride and padding: A and C are matrices. The
//     last block, if it is short, goes the general way.
//   - The data gradient of a pointwise convolution with a stride: a block is some whole
//     rows of a map of dst, if that can be cut into equal ones.
//   - The product of few channels, which reads a copy of src with its padding left
//     and right: a block is some whole rows of dst. Blocks with padding above or
//     below, and those of two images, go the general way.

// maxLineTiles bounds the tiles of a block of whole rows.
const maxLineTiles = 64

// linesOf returns the rows of dst that a block of whole rows has, and its tiles;
// 0 if such blocks are too large or fewer than tasks.
func (ps *pass) linesOf(mr, tasks int) (lines, tiles int) {
	lines = mr / gcd(mr, ps.w)
	tiles = lines * ps.w / mr
	if tiles > maxLineTiles || ps.images*(ps.h/lines) < tasks {
		return 0, 0
	}
	if more := 16 / tiles; more > 1 && ps.images*(ps.h/(lines*more)) >= tasks {
		return lines * more, tiles * more
	}
	return lines, tiles
}

// evenLines returns how many rows of the map blocks of at most so many pixels have if
// each image is cut into equal ones, and those into whole tiles; 0 if blocks would be
// small.
func (d *product) evenLines(ps *pass, most int) int {
	for lines := min(ps.h, most/ps.w); lines*ps.w > most/2; lines-- {
		rest := lines * ps.w % d.tileRows[0]
		if ps.h%lines == 0 && (rest == 0 || tileHeight(d.tileRows, rest) == rest) {
			return lines
		}
	}
	return 0
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// makeTables makes the tables of a whole block, for pixels of A a pitch apart.
func (ps *pass) makeTables(mr, pitch int) {
	if ps.dense {
		ps.denseA, ps.denseC = make([]int32, ps.blockRows), make([]int32, ps.blockRows)
		for r := range ps.blockRows {
			ps.denseA[r], ps.denseC[r] = int32(r*pitch), int32(r*ps.cCol)
		}
		return
	}
	i0 := 0
	for ; i0+ps.lines <= ps.h && !ps.inside(i0); i0++ {
	}
	if i0+ps.lines > ps.h {
		return
	}
	ps.denseA, ps.denseC = make([]int32, ps.blockRows*ps.taps), make([]int32, ps.blockRows)
	for r := range ps.blockRows {
		i, j := r/ps.w, r%ps.w
		ps.denseC[r] = int32(i*ps.cRow + j*ps.cCol)
		for t := range ps.taps {
			at := ps.rowOff[(i0+i)*ps.taps+t] - ps.rowOff[i0*ps.taps] + ps.colOff[j*ps.taps+t]
			ps.denseA[(r/mr*ps.taps+t)*mr+r%mr] = at
		}
	}
}

// inside reports whether no tap of a block that starts at row i of dst is padding
// above or below.
func (ps *pass) inside(i int) bool {
	return ps.rowOff[i*ps.taps] >= 0 && ps.rowOff[(i+ps.lines)*ps.taps-1] >= 0
}

// placeDense returns where A and C start for a whole block, if its tables are the
// common ones.
func (ps *pass) placeDense(row0, pitch int) (aFirst, cFirst int, ok bool) {
	if ps.dense {
		return row0 * pitch, row0 * ps.cCol, true
	}
	n, i := row0/ps.w/ps.h, row0/ps.w%ps.h
	if i+ps.lines > ps.h || !ps.inside(i) {
		return 0, 0, false
	}
	return n*ps.aImage + int(ps.rowOff[i*ps.taps]), n*ps.cImage + i*ps.cRow, true
}
