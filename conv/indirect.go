package conv

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

// The Indirect algorithm. A convolution is a matrix product whose rows are
// output pixels, whose columns are output channels and whose inner dimension
// runs over the taps of the filter and the channels of a tap. The rows of its
// left operand are never copied together: a table says where in the tensor
// each tap of each pixel starts, and padding reads a block of zeros. The right
// operand, the weights, is packed into panels.
//
// Backward-data is the same product: its rows are src pixels, its taps are read
// from ddst, and with a stride the src pixels fall into StrideH*StrideW phases,
// each with the subset of filter positions that reaches it.

// invalid marks a tap in the padding. The sum of two is still an int32, and the
// sum with any valid offset is negative.
const invalid = math.MinInt32 / 2

// maxOffset bounds the offsets inside a block of rows.
const maxOffset = 1 << 30

// A pass is one matrix product: a grid of pixels times one group's columns.
type pass struct {
	images, h, w int // rows: the pixels (i, j) of a grid, for each image
	taps         int // len(tapRow)
	depth, cols  int // floats in a tap; columns
	// Offsets of tap t at pixel (i, j): rowOff[i*taps+t] + colOff[j*taps+t].
	rowOff, colOff []int32
	aBase, aImage  int // first channel; elements of an image
	cBase, cImage  int // offset of pixel (0, 0) and first channel; image
	cRow, cCol     int // steps of the grid in C
	bOff           int // of the packed panels
	biasOff        int
	tapAt          []int // filter positions r*S+s in the order of packing
	group          int
	band           *band // the order of rows, nil for image, i, j
	dense          bool  // A and C are matrices: no stride, padding or filter
	matrix         bool  // see dense.go
	// Offsets from this pass's pixels of C to those of phases without taps, which it
	// clears, and to the rows of the map of all phases. If blank, no other phase has
	// taps and its tasks have all columns.
	stepped           []int
	steppedRows       []int
	blank             bool
	blockRows, blocks int // rows of a task, number of row ranges
	panelStep, splits int // panels of a task, number of panel ranges
}

func (ps *pass) rows() int { return ps.images * ps.h * ps.w }

// A product is all passes of one direction.
type product struct {
	passes     []pass
	tileRows   []int
	nr, narrow int
	tasks      int
	perPass    int  // tasks of the longest pass
	inTurn     bool // tasks take the passes in turn
	inline     bool // a task can pack its panels
	packed     int  // floats
	tableLen   int  // most table entries a task needs
	rowsLen    int  // most rows a task has, padded to tiles
	maxDepth   int
	// A may be copied before it is read: so many pieces (pixels, or rows if
	// lineCols > 0) to a pitch in floats.
	pieces, pitch int
	channels      int // floats of a pixel of A
	lineCols      int // pixels of a copied row
	clampLo       float32
	clampHi       float32
	store         kernels.Store // of C
	fetchC        bool          // C is written to memory through the caches
}

// panelBytes bounds a K block of a panel: it is read once per tile of rows and
// should leave most of L2 to the pixels.
const panelBytes = 192 << 10

// farFloats is the floats of a tensor that does not stay in the second-level cache.
const farFloats = 256 << 10

// newProduct returns a product without passes whose C has n floats.
func newProduct(n int) *product {
	d := &product{clampLo: noLo, clampHi: noHi, store: kernels.StoreFor(n)}
	d.fetchC = d.store == kernels.Cached && n >= farFloats
	d.tileRows, d.nr, d.narrow = kernels.GatherTiles()
	return d
}

// height returns the rows of the first pass's tallest tiles.
func (d *product) height() int {
	if b := d.passes[0].band; b != nil {
		return b.heights[0]
	}
	return d.tileRows[0]
}

func (d *product) panels(cols int) int { return (cols + d.nr - 1) / d.nr }

// panelWidth returns the packed width of panel j.
func (d *product) panelWidth(cols, j int) int {
	if cols-j*d.nr <= d.narrow {
		return d.narrow
	}
	return d.nr
}

func (d *product) packedCols(cols int) int {
	last := d.panels(cols) - 1
	return last*d.nr + d.panelWidth(cols, last)
}

// spread makes the product read a copy of A, whose pixels have the given
// channels, if their distance slows the kernel down by more than the copy costs.
func (d *product) spread(pixels, channels, columns, taps int) {
	d.channels, d.pitch = channels, channels
	if columns*taps >= spreadWork && rowPitch(channels) != channels {
		d.pieces, d.pitch = pixels, rowPitch(channels)
	}
}

// spreadWork is the multiply-adds per element of A from which a copy pays.
const spreadWork = 128

// copyApart copies piece i of A.
func (d *product) copyApart(dst, a []float32, s *Shape, i int) {
	dst = dst[i*d.pitch:][:d.pitch]
	if d.lineCols == 0 {
		copy(dst, a[i*d.channels:][:d.channels])
		return
	}
	if lo, hi := d.lineInside(dst, s); lo < hi {
		copy(dst[lo*s.C:hi*s.C], a[(i*s.W+lo-s.PadLeft)*s.C:])
	}
}

// lineInside returns which pixels of a copied row are pixels of A, and clears the
// others.
func (d *product) lineInside(dst []float32, s *Shape) (lo, hi int) {
	lo, hi = insideRange(d.lineCols, 1, -s.PadLeft, s.W)
	clear(dst[:lo*s.C])
	clear(dst[hi*s.C:])
	return lo, hi
}

// copyPlanes is copyApart of a row of A in NCHW.
func (d *product) copyPlanes(dst, a []float32, s *Shape, i int) {
	dst = dst[i*d.pitch:][:d.pitch]
	lo, hi := d.lineInside(dst, s)
	if lo >= hi {
		return
	}
	dst = dst[lo*s.C : hi*s.C]
	a = a[i/s.H*s.C*s.H*s.W+i%s.H*s.W+lo-s.PadLeft:]
	plane := s.H * s.W
	if s.C == 3 {
		red, green, blue := a[:hi-lo], a[plane:][:hi-lo], a[2*plane:][:hi-lo]
		for x, v := range red {
			pixel := dst[3*x:][:3]
			pixel[0], pixel[1], pixel[2] = v, green[x], blue[x]
		}
		return
	}
	for c := range s.C {
		for x, v := range a[c*plane:][:hi-lo] {
			dst[x*s.C+c] = v
		}
	}
}

// slidingProduct is the forward pass of few channels: a tap is a whole row of the
// filter, S*C floats that lie together in a copy of src whose rows have their
// padding, so that the work of a tap is worth its overhead.
func slidingProduct(s *Shape, pitch int) *product {
	d := newProduct(s.N * s.OH() * s.OW() * pitch)
	oh, ow := s.OH(), s.OW()
	d.lineCols = (ow-1)*s.StrideW + s.S
	d.pieces, d.pitch = s.N*s.H, d.lineCols*s.C
	taps, tapAt := make([]int, s.R), make([]int, s.R*s.S)
	for r := range taps {
		taps[r] = r
	}
	for t := range tapAt {
		tapAt[t] = t
	}
	rowOff := offsets(oh, taps, func(i, r int) int { return i*s.StrideH - s.PadTop + r*s.DilationH }, s.H, d.pitch)
	colOff := offsets(ow, taps, func(j, _ int) int { return j * s.StrideW }, d.lineCols, s.C)
	d.passes = []pass{{
		images: s.N, h: oh, w: ow, taps: s.R, depth: s.S * s.C, cols: s.K,
		rowOff: rowOff, colOff: colOff, tapAt: tapAt, aImage: s.H * d.pitch,
		cImage: oh * ow * pitch, cRow: ow * pitch, cCol: pitch,
	}}
	return d
}

// forwardProduct has one pass per group. The pixels of C are a pitch apart.
func forwardProduct(s *Shape, pitch int) *product {
	if s.C < slidingC && s.Groups == 1 && s.S > 1 && s.DilationW == 1 {
		return slidingProduct(s, pitch)
	}
	d := newProduct(s.N * s.OH() * s.OW() * pitch)
	d.spread(s.N*s.H*s.W, s.C, s.groupK(), s.R*s.S)
	oh, ow, cg, kg := s.OH(), s.OW(), s.groupC(), s.groupK()
	tapAt := make([]int, s.R*s.S)
	for t := range tapAt {
		tapAt[t] = t
	}
	rowOff := offsets(oh, tapAt, func(i, t int) int { return i*s.StrideH - s.PadTop + t/s.S*s.DilationH }, s.H, s.W*d.pitch)
	colOff := offsets(ow, tapAt, func(j, t int) int { return j*s.StrideW - s.PadLeft + t%s.S*s.DilationW }, s.W, d.pitch)
	for g := range s.Groups {
		d.passes = append(d.passes, pass{
			images: s.N, h: oh, w: ow, taps: len(tapAt), depth: cg, cols: kg,
			rowOff: rowOff, colOff: colOff, tapAt: tapAt, group: g,
			aBase: g * cg, aImage: s.H * s.W * d.pitch,
			cBase: g * kg, cImage: oh * ow * pitch, cRow: ow * pitch, cCol: pitch, biasOff: g * kg,
			dense: s.R*s.S == 1 && oh == s.H && ow == s.W && s.StrideH*s.StrideW == 1,
		})
	}
	return d
}

// offsets tabulates, for n positions and every tap, the coordinate at(i, t)
// times step, or invalid where it is outside [0, extent).
func offsets(n int, taps []int, at func(i, t int) int, extent, step int) []int32 {
	table := make([]int32, n*len(taps))
	for i := range n {
		for q, t := range taps {
			v := at(i, t)
			if v < 0 || v >= extent {
				table[i*len(taps)+q] = invalid
			} else {
				table[i*len(taps)+q] = int32(v * step)
			}
		}
	}
	return table
}

// backwardDataProduct has one pass per phase and group.
func backwardDataProduct(s *Shape) *product {
	d := newProduct(s.SrcLen())
	oh, ow, cg, kg := s.OH(), s.OW(), s.groupC(), s.groupK()
	d.spread(s.N*oh*ow, s.K, cg, s.R*s.S/min(s.R*s.S, s.StrideH*s.StrideW))
	for ph := range min(s.StrideH, s.H) {
		for pw := range min(s.StrideW, s.W) {
			var taps []int
			for t := range s.R * s.S {
				if (ph+s.PadTop-t/s.S*s.DilationH)%s.StrideH == 0 && (pw+s.PadLeft-t%s.S*s.DilationW)%s.StrideW == 0 {
					taps = append(taps, t)
				}
			}
			h, w := (s.H-ph+s.StrideH-1)/s.StrideH, (s.W-pw+s.StrideW-1)/s.StrideW
			if len(taps) == 0 && d.stepOver(s, ph, pw, h, w) {
				continue
			}
			// The numerators are multiples of the stride, so / is exact below 0 too.
			rowOff := offsets(h, taps, func(i, t int) int {
				return (ph + i*s.StrideH + s.PadTop - t/s.S*s.DilationH) / s.StrideH
			}, oh, ow*d.pitch)
			colOff := offsets(w, taps, func(j, t int) int {
				return (pw + j*s.StrideW + s.PadLeft - t%s.S*s.DilationW) / s.StrideW
			}, ow, d.pitch)
			for g := range s.Groups {
				d.passes = append(d.passes, pass{
					images: s.N, h: h, w: w, taps: len(taps), depth: kg, cols: cg,
					rowOff: rowOff, colOff: colOff, tapAt: taps, group: g,
					aBase: g * kg, aImage: oh * ow * d.pitch,
					cBase: (ph*s.W+pw)*s.C + g*cg, cImage: s.H * s.W * s.C,
					cRow: s.StrideH * s.W * s.C, cCol: s.StrideW * s.C,
					dense: s.R*s.S == 1 && oh == s.H && ow == s.W && s.StrideH*s.StrideW == 1,
				})
			}
		}
	}
	return d
}

// stepOver has the passes of the first phase clear the phase (ph, pw), which has no
// taps and h x w pixels, if the first has taps and as many pixels.
func (d *product) stepOver(s *Shape, ph, pw, h, w int) bool {
	if len(d.passes) < s.Groups || d.passes[0].taps == 0 || d.passes[0].h != h || d.passes[0].w != w {
		return false
	}
	for g := range s.Groups {
		d.passes[g].stepped = append(d.passes[g].stepped, (ph*s.W+pw)*s.C)
		if pw == s.StrideW-1 && s.W%s.StrideW == 0 {
			d.passes[g].steppedRows = append(d.passes[g].steppedRows, ph*s.W*s.C)
		}
	}
	return true
}

// rowPitch returns the floats between consecutive rows of n floats that one tile
// reads at once. Rows a multiple of 2 KiB apart fall into two sets of the L1
// cache and evict each other: a tile then runs at 70 % of its speed.
func rowPitch(n int) int {
	if n%512 == 0 {
		return n + 16
	}
	return n
}

// arrayPitch returns the floats between arrays of n floats that are accessed at
// the same index in turn: 5 cache lines more than a multiple of 4 KiB, so that
// 36 of them fall into different sets of L1.
func arrayPitch(n int) int { return (n+1023)/1024*1024 + 80 }

// inTurnBytes is the most bytes of all weights for which tasks take the passes in
// turn. The phases of a stride read the same rows of A and write between each
// other's pixels of C, which then come from memory once; but the weights of all
// phases must stay near.
const inTurnBytes = 5 << 18

// schedule cuts the passes into tasks for the given number of workers. The cut
// decides only who computes an element, never in which order its sum runs.
func (d *product) schedule(workers int) {
	for i := range d.passes {
		ps := &d.passes[i]
		ps.bOff = d.packed
		d.packed += ps.taps * ps.depth * d.packedCols(ps.cols)
		d.maxDepth = max(d.maxDepth, ps.depth)
		if ps.matrix = ps.dense && d.store == kernels.Cached && kernels.HasDenseGemm(); ps.matrix {
			d.cutMatrix(ps, workers)
			d.perPass = max(d.perPass, ps.blocks*ps.splits)
			continue
		}
		d.cutRows(i, workers)
		panels, tasks := d.panels(ps.cols), tasksFor(workers)
		ps.splits = 1
		if ps.blocks < tasks {
			ps.splits = min(panels, (tasks+ps.blocks-1)/max(1, ps.blocks))
		}
		ps.panelStep = (panels + ps.splits - 1) / ps.splits
		ps.splits = (panels + ps.panelStep - 1) / ps.panelStep
		ps.blank = d.store == kernels.Cached && len(d.passes) == 1 && len(ps.steppedRows) > 0 && ps.splits == 1
		d.perPass = max(d.perPass, ps.blocks*ps.splits)

		if ps.band == nil {
			padded := ps.blockRows + d.tileRows[0]
			d.tableLen = max(d.tableLen, min(ps.taps, d.tapStep(ps))*padded)
			d.rowsLen = max(d.rowsLen, padded)
		}
	}
	d.tasks = d.perPass * len(d.passes)
	d.inTurn = 4*d.packed <= inTurnBytes
	d.inline = d.tasks == d.passes[0].splits && !d.passes[0].matrix && 4*d.packed >= inlineBytes
}

// inlineBytes is the least bytes of packed weights that are read once only, by a
// product of few pixels, for which each panel is packed just before it is read.
const inlineBytes = 512 << 10

// depthBlock is the most floats of the inner dimension that are multiplied at once.
func (d *product) depthBlock() int { return panelBytes / 4 / d.nr }

// tapStep is the most taps of a pass that are multiplied at once.
func (d *product) tapStep(ps *pass) int { return max(1, d.depthBlock()/ps.depth) }

// cutRows cuts the rows of pass i into blocks.
func (d *product) cutRows(i, workers int) {
	ps, mr := &d.passes[i], d.tileRows[0]
	if ps.group > 0 {
		ps.band = d.passes[i-1].band // of the group before
	} else {
		ps.band = d.newBand(ps, workers)
	}
	if ps.band != nil {
		ps.blockRows, ps.blocks = ps.band.size(ps), ps.band.blocks(ps)
		return
	}
	// Rows of a task: 16 tiles of table, fewer if that leaves workers idle
	// or if the images they span would overflow an offset.
	tiles := (ps.rows() + mr - 1) / mr
	per := max(1, min(16, tiles/tasksFor(workers)))
	if grid := ps.h * ps.w; (per*mr/grid+2)*max(ps.aImage, ps.cImage) > maxOffset {
		per = 1
	}
	ps.blockRows = per * mr
	ps.blocks = (ps.rows() + ps.blockRows - 1) / ps.blockRows
}
