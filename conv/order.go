package conv

import (
	"math"
	"math/bits"
	"slices"
)

// The order of a product's rows, and their tables. A block has some rows of the maps
// of some images.
//
// A tile leaves out the taps that are padding in all its rows, so rows with the same
// taps should stand together: in a 3x3 filter's map of 8x8, one product in six is with
// padding. For small maps the images of a block are so many that the pixels of one
// edge fill tiles. Its pixels with the same taps fill tiles of their own, and what is
// left of them is put together at the least cost.
//
// The tables of one block are those of others, up to where A and C start. They are made
// with the plan: filling them in for every block takes as long as a third of the
// products where a tile has few of them.

// A band is the cut of a pass into blocks of images x rows of the map, and the order
// of the pixels inside.
type band struct {
	images, rows int
	heights      []int     // of tiles
	rowTaps      []uint64  // the taps inside A, for each row of the map
	columns      [][]int32 // of the map, for each set of taps
	columnTaps   []uint64
	cuts         [2][]*bandCut // of all its images or of the last ones, by range of rows
	bases        []int         // where A starts in an image, by range of rows
}

// A bandCut is the tiles of a block. A pixel that is there twice fills up its tile.
type bandCut struct {
	groups []tileGroup
	table  []int32 // for each range of taps, as of buildTable
	rows   []int32 // offsets in C
}

const (
	bandTaps = 64 // the most taps, for bit sets
	// bandRows is the most rows of a block, unless one of the map has more: so many times
	// as many as a row's products are fewer than bandDepth, up to four.
	bandRows  = 256
	bandDepth = 128
	// Where a row has up to shallowDepth products, tiles of up to shallowHeight rows are
	// faster: more of their beginning and end falls into the products of others.
	shallowDepth  = 256
	shallowHeight = 8
	// bandTable is the most entries of the table for a row of the map.
	bandTable = 16 << 10
	// bandBytes is what the part of A that a block reads should take in L2.
	bandBytes = 640 << 10
)

// newBand returns the order of a pass's rows, or nil if there are none to multiply or a
// row of the map is too long.
func (d *product) newBand(ps *pass, workers int) *band {
	if ps.taps < 1 || ps.taps > bandTaps || ps.images == 0 || ps.w*ps.taps > bandTable {
		return nil
	}
	b := &band{heights: d.tileRows, rowTaps: tapSets(ps.rowOff, ps.h, ps.taps)}
	for j, set := range tapSets(ps.colOff, ps.w, ps.taps) {
		q := slices.Index(b.columnTaps, set)
		if q < 0 {
			q = len(b.columns)
			b.columnTaps, b.columns = append(b.columnTaps, set), append(b.columns, nil)
		}
		b.columns[q] = append(b.columns[q], int32(j))
	}
	for ps.taps*ps.depth <= shallowDepth && b.heights[0] > shallowHeight {
		b.heights = b.heights[1:]
	}
	most := bandRows * min(4, max(1, bandDepth/(ps.taps*ps.depth)))
	most = min(most, ps.rows()*d.panels(ps.cols)/tasksFor(workers))
	least := math.Inf(1)
	var c bandCutter
	for i := range c.heights[:min(len(c.heights), b.heights[0]+1)] {
		c.heights[i] = tileHeight(b.heights, i)
	}
	// Few rows of many images, or the other way round.
	limit := min(ps.images, maxOffset/max(ps.aImage, ps.cImage))
	for rows := 1; rows <= ps.h && (rows*ps.w <= most || rows == 1); rows++ {
		images := max(1, min(limit, most/(rows*ps.w)))
		last := 0
		for _, n := range [...]int{images, images - images/8, images - images/4, (images + 1) / 2} {
			if n == last {
				continue
			}
			last = n
			if cost := b.cost(&c, ps, n, rows); cost < least {
				least, b.images, b.rows = cost, n, rows
			}
		}
	}
	d.cutBlocks(b, &c, ps)
	return b
}

// tasksFor returns the tasks of which workers should have as many at least.
func tasksFor(workers int) int {
	if workers == 1 {
		return 1
	}
	return 4 * workers
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

// cost estimates the time for an image in blocks of so many images and rows of the
// map, in rows times taps.
func (b *band) cost(c *bandCutter, ps *pass, images, rows int) float64 {
	cost := 0.0
	for _, n := range [2]int{images, ps.images % images} {
		total, last := 0, 0
		for i := 0; i < ps.h && n > 0; i += rows {
			if i == 0 || !b.sameTaps(i-rows, i, rows) {
				last = c.cut(b, n, i, min(ps.h, i+rows))
			}
			total += last
		}
		if n == images {
			total *= ps.images / images
		}
		cost += float64(total)
	}
	// A block reads the weights from a farther cache once.
	cost *= 1 + 6/float64(images*rows*ps.w)
	part := min(1, float64(rows+1)/float64(ps.h))
	if bytes := 4 * float64(images) * part * float64(ps.aImage); bytes > bandBytes {
		cost *= 1 + 0.05*(bytes/bandBytes-1)
	}
	return cost
}

// cutBlocks orders the pixels of all blocks and makes their tables, equal ones once.
func (d *product) cutBlocks(b *band, c *bandCutter, ps *pass) {
	for i := 0; i < ps.h; i += b.rows {
		b.bases = append(b.bases, ps.firstOfA(i, min(ps.h, i+b.rows)))
	}
	for part, n := range [2]int{b.images, ps.images % b.images} {
		for i := 0; i < ps.h && n > 0; i += b.rows {
			end := min(ps.h, i+b.rows)
			same := -1
			for q := range b.cuts[part] {
				if b.sameTaps(q*b.rows, i, b.rows) {
					same = q
					break
				}
			}
			if same >= 0 {
				b.cuts[part] = append(b.cuts[part], b.cuts[part][same])
				continue
			}
			c.cut(b, n, i, end)
			pixels, heights := c.order(b)
			b.cuts[part] = append(b.cuts[part], d.newCut(ps, pixels, heights, i, b.bases[i/b.rows]))
		}
	}
}

// sameTaps reports whether the ranges of so many rows, or up to the last one, from i and
// from j on have the same taps.
func (b *band) sameTaps(i, j, rows int) bool {
	h := len(b.rowTaps)
	return slices.Equal(b.rowTaps[i:min(h, i+rows)], b.rowTaps[j:min(h, j+rows)])
}

// firstOfA returns where A starts, in an image, for rows i0 to i1 of the map.
func (ps *pass) firstOfA(i0, i1 int) int {
	first := int32(math.MaxInt32)
	for _, o := range ps.rowOff[i0*ps.taps : i1*ps.taps] {
		if o >= 0 {
			first = min(first, o)
		}
	}
	if first == math.MaxInt32 {
		return 0
	}
	return int(first)
}

// newCut makes the tables of a block that starts at row i0 of the map and at base in A.
func (d *product) newCut(ps *pass, pixels []bandPixel, heights []int32, i0, base int) *bandCut {
	cut := &bandCut{groups: groupTiles(nil, heights), table: make([]int32, len(pixels)*ps.taps), rows: make([]int32, len(pixels))}
	at := make([]pixel, len(pixels))
	for r, px := range pixels {
		n, y, x := int(px.n), int(px.y), int(px.x)
		at[r] = pixel{image: int32(n*ps.aImage - base), row: int32(y * ps.taps), col: int32(x * ps.taps)}
		cut.rows[r] = int32(n*ps.cImage + (y-i0)*ps.cRow + x*ps.cCol)
	}
	step := d.tapStep(ps)
	for t0 := 0; t0 < ps.taps; t0 += step {
		ps.buildTable(cut.table[t0*len(pixels):], heights, at, t0, min(ps.taps, t0+step))
	}
	return cut
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

// at returns the cut of a block and where A and C start for it.
func (b *band) at(ps *pass, block int) (cut *bandCut, aFirst, cFirst int) {
	n0, q := block/b.perImage(ps)*b.images, block%b.perImage(ps)
	part := 0
	if n0+b.images > ps.images {
		part = 1
	}
	return b.cuts[part][q], n0*ps.aImage + b.bases[q], n0*ps.cImage + q*b.rows*ps.cRow
}

// A bandPixel is a pixel by image inside a block, row and column.
type bandPixel struct{ n, y, x int32 }

// A bandCutter cuts the pixels of a block into tiles.
type bandCutter struct {
	classes []bandClass
	heights [17]int // the least height of a tile that has room for so many rows
	rest    []int32 // classes of the pixels that fill no tile of their own, in order
	other   []int32
	steps   []int32 // of the tiles that end behind so many of rest, the last one's rows
	least   []int
}

// A bandClass is the pixels of a block with the same taps.
type bandClass struct {
	taps   uint64
	i0, i1 int // rows of the map
	column int // set of columns
	pixels int
	whole  int // tiles of the largest height
}

// cut finds tiles for rows i0 to i1 of the maps of some images and returns their cost.
func (c *bandCutter) cut(b *band, images, i0, i1 int) int {
	c.classes, c.rest = c.classes[:0], c.rest[:0]
	cost, mr := 0, b.heights[0]
	for i := i0; i < i1; {
		end := b.runEnd(i, i1)
		for q, columns := range b.columns {
			k := bandClass{b.rowTaps[i] & b.columnTaps[q], i, end, q, images * (end - i) * len(columns), 0}
			// A tile and a bit may be two smaller ones.
			k.whole = max(0, k.pixels/mr-1)
			cost += k.whole * (mr + 1) * bits.OnesCount64(k.taps)
			for range k.pixels - k.whole*mr {
				c.rest = append(c.rest, int32(len(c.classes)))
			}
			c.classes = append(c.classes, k)
		}
		i = end
	}
	// The rest by columns of the map or by rows.
	c.other = c.other[:0]
	for q := range b.columns {
		for _, i := range c.rest {
			if c.classes[i].column == q {
				c.other = append(c.other, i)
			}
		}
	}
	c.rest, c.other = c.other, c.rest
	byColumn := c.tiles(b)
	c.rest, c.other = c.other, c.rest
	rest := c.tiles(b)
	if byColumn < rest {
		c.rest, c.other = c.other, c.rest
		rest = c.tiles(b)
	}
	return cost + rest
}

// tiles cuts the rest into tiles at the least cost, which it returns.
func (c *bandCutter) tiles(b *band) int {
	c.steps, c.least = append(c.steps[:0], 0), append(c.least[:0], 0)
	for end := 1; end <= len(c.rest); end++ {
		least, step, taps := math.MaxInt, 0, uint64(0)
		for n := 1; n <= min(end, b.heights[0]); n++ {
			taps |= c.classes[c.rest[end-n]].taps
			if cost := c.least[end-n] + (c.heights[n]+1)*bits.OnesCount64(taps); cost <= least {
				least, step = cost, n
			}
		}
		c.steps, c.least = append(c.steps, int32(step)), append(c.least, least)
	}
	return c.least[len(c.rest)]
}

// order lists the pixels of the tiles that were found, and their heights.
func (c *bandCutter) order(b *band) (pixels []bandPixel, heights []int32) {
	add := func(k *bandClass, p int) {
		columns, rows := b.columns[k.column], k.i1-k.i0
		at := p / len(columns)
		pixels = append(pixels, bandPixel{int32(at / rows), int32(k.i0 + at%rows), columns[p%len(columns)]})
	}
	next := make([]int, len(c.classes))
	mr := b.heights[0]
	for i := range c.classes {
		k := &c.classes[i]
		for ; next[i] < k.whole*mr; next[i]++ {
			add(k, next[i])
		}
		for range k.whole {
			heights = append(heights, int32(mr))
		}
	}
	var steps []int32
	for end := int32(len(c.rest)); end > 0; end -= c.steps[end] {
		steps = append(steps, c.steps[end])
	}
	rest := c.rest
	for _, n := range slices.Backward(steps) {
		for _, i := range rest[:n] {
			add(&c.classes[i], next[i])
			next[i]++
		}
		rest = rest[n:]
		height := c.heights[n]
		for range height - int(n) {
			pixels = append(pixels, pixels[len(pixels)-1])
		}
		heights = append(heights, int32(height))
	}
	return pixels, heights
}
