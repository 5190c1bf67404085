package conv

import (
	"math"
	"math/bits"
)

// The order of a product's rows where the filter reaches into the padding. A tile
// leaves out the taps that are padding in all its rows, so rows with the same taps
// should stand together: in a 3x3 filter's map of 8x8, one product in six is with
// padding. A block has some rows of the maps of some images, ordered by what is
// padding; for small maps the images are so many that the pixels of one edge fill
// tiles.

// A band is the cut of a pass into blocks of images x rows of the map, and the order
// of the pixels inside: rows of the map with equal taps, columns with equal taps,
// image, row, column.
type band struct {
	images, rows int
	rowTaps      []uint64  // the taps inside A, for each row of the map
	columns      [][]int32 // of the map, for each set of taps
	columnTaps   []uint64
}

const (
	bandTaps = 64  // the most taps, for bit sets
	bandRows = 256 // the most rows of a block
	// bandBytes is what the part of A that a block reads should take in L2.
	bandBytes = 640 << 10
)

// newBand returns the order of a pass's rows, or nil if all have the same taps or a
// row of the map is too long.
func (d *product) newBand(ps *pass, workers int) *band {
	if ps.taps < 2 || ps.taps > bandTaps || ps.sliding || ps.images == 0 || ps.w > bandRows {
		return nil
	}
	b := &band{rowTaps: tapSets(ps.rowOff, ps.h, ps.taps)}
	columns := tapSets(ps.colOff, ps.w, ps.taps)
	same := true
	for i := range b.rowTaps {
		same = same && b.rowTaps[i] == b.rowTaps[0]
	}
	for j, set := range columns {
		q := 0
		for q < len(b.columnTaps) && b.columnTaps[q] != set {
			q++
		}
		if q == len(b.columnTaps) {
			b.columnTaps, b.columns = append(b.columnTaps, set), append(b.columns, nil)
		}
		b.columns[q] = append(b.columns[q], int32(j))
	}
	if same && len(b.columns) == 1 {
		return nil
	}
	// Enough blocks for all workers to have several.
	most := min(bandRows, ps.rows()*d.panels(ps.cols)/(4*workers))
	least := math.Inf(1)
	for images := 1; images <= min(ps.images, bandRows/ps.w, maxOffset/max(ps.aImage, ps.cImage)); images++ {
		for rows := 1; rows <= ps.h && (images*rows*ps.w <= most || images*rows == 1); rows++ {
			if c := d.bandCost(b, ps, images, rows); c < least {
				least, b.images, b.rows = c, images, rows
			}
		}
	}
	return b
}

// tapSets returns, for each of n positions, the set of taps that its offsets have.
func tapSets(offsets []int32, n, taps int) []uint64 {
	sets := make([]uint64, n)
	for i := range sets {
		for t, o := range offsets[i*taps:][:taps] {
			if o >= 0 {
				sets[i] |= 1 << t
			}
		}
	}
	return sets
}

// bandCost estimates the time for an image in blocks of so many images and rows of
// the map, in rows times taps.
func (d *product) bandCost(b *band, ps *pass, images, rows int) float64 {
	whole, rest := ps.images/images, ps.images%images
	cost := float64(whole) * d.bandTiles(b, ps, images, rows)
	if rest > 0 {
		cost += d.bandTiles(b, ps, rest, rows)
	}
	// A block reads the weights from a farther cache once.
	cost *= 1 + 6/float64(images*rows*ps.w)
	part := min(1, float64(rows+1)/float64(ps.h))
	if bytes := 4 * float64(images) * part * float64(ps.aImage); bytes > bandBytes {
		cost *= 1 + 0.05*(bytes/bandBytes-1)
	}
	return cost
}

// bandTiles is the cost of the tiles of the given number of images.
func (d *product) bandTiles(b *band, ps *pass, images, rows int) float64 {
	total := 0
	for i0 := 0; i0 < ps.h; i0 += rows {
		i1 := min(ps.h, i0+rows)
		left := images * (i1 - i0) * ps.w
		mr, room, set := 0, 0, uint64(0) // of the current tile
		for i := i0; i < i1; {
			end := b.runEnd(i, i1)
			for q, columns := range b.columns {
				for n := images * (end - i) * len(columns); n > 0; {
					if room == 0 {
						mr, set = tileHeight(&d.tileRows, left), 0
						room = min(mr, left)
					}
					set |= b.rowTaps[i] & b.columnTaps[q]
					step := min(n, room)
					n, left, room = n-step, left-step, room-step
					if room == 0 {
						total += (mr + 1) * bits.OnesCount64(set)
					}
				}
			}
			i = end
		}
	}
	return float64(total)
}

// runEnd returns the end of the rows of the map from i on with the same taps.
func (b *band) runEnd(i, end int) int {
	e := i + 1
	for e < end && b.rowTaps[e] == b.rowTaps[i] {
		e++
	}
	return e
}

// size returns the rows of a whole block, blocks their number.
func (b *band) size(ps *pass) int { return b.images * b.rows * ps.w }

func (b *band) blocks(ps *pass) int { return (ps.images + b.images - 1) / b.images * b.perImage(ps) }

func (b *band) perImage(ps *pass) int { return (ps.h + b.rows - 1) / b.rows }

// place is product.place for a block.
func (b *band) place(ps *pass, wk *gatherWorker, block, mr int) (rows, aFirst, cFirst int) {
	n0, i0 := block/b.perImage(ps)*b.images, block%b.perImage(ps)*b.rows
	n1, i1 := min(ps.images, n0+b.images), min(ps.h, i0+b.rows)
	for i := i0; i < i1; {
		end := b.runEnd(i, i1)
		for _, columns := range b.columns {
			for n := range n1 - n0 {
				for y := i; y < end; y++ {
					px := pixel{image: int32(n * ps.aImage), row: int32(y * ps.taps)}
					at := n*ps.cImage + y*ps.cRow
					for _, j := range columns {
						px.col = j * int32(ps.taps)
						wk.pixel[rows], wk.rows[rows] = px, int32(at+int(j)*ps.cCol)
						rows++
					}
				}
			}
		}
		i = end
	}
	wk.fillUp(rows, mr)
	return rows, n0 * ps.aImage, n0 * ps.cImage
}
