package conv

import (
	"github.com/golanes/lanes/kernels"
)

// Backward-weights of the Indirect algorithm. For one filter position, the
// gradient is a sum over output pixels of the outer product of a pixel of src
// (its channels are rows of dw) with a pixel of ddst (columns). Blocks of pixels
// that fit L2 are packed into strips as high or wide as the kernel's tile, and
// each filter position then sums over shifted runs of the same strips, a row of an
// image each.
//
// Where the channels are few, a row of the filter is one position with S*C rows: these
// floats lie together in a row of src, so that the kernel slides over a copy of
// the row with its padding. A 1x1 filter with a stride slides over the pixels of src
// that it reads, or with padding over a copy of them.
//
// Where the rows of dst are long, neither is packed but read where it lies, a row in
// each run: packing takes as long as a tenth of the products of a 3x3 filter with a
// stride, which uses a quarter of src with each filter position.

// An outer is the plan of one convolution's weight gradient.
type outer struct {
	direct        bool // both operands are read in place
	sliding       bool // a position is a whole row of the filter
	stepping      bool // sliding over src in place
	inPlace       bool // src is read in place, a row of an image in each run
	directB       bool // B is read in place
	lineCols      int  // if sliding: pixels in a copied row of src
	taps, tapRows int  // separate filter positions, and rows of dw in each
	nr, narrow    int
	panels, kPad  int
	tiles         []strip
	images, rows  int // pixels of a block: images and output rows
	pixels        int // or, if direct, consecutive pixels
	blocks        int
	packRows      int // rows of src that a block packs, at most

	// A task is a chunk of blocks, a range of strips and a range of panels. The
	// chunks' partial sums are added in order. Where there is one block, a task adds a
	// panel's sums to dw at once, while they are near.
	chunks, stripBlocks, panelBlocks, groups int
	firstStrip                               []int // of each strip block, and the end
	partial                                  int   // floats of a chunk's partial sums, or
	fused                                    bool  // of a task's, which adds them to dw itself
	overwrite                                bool  // dw and db are overwritten instead
	xLen, yLen                               int   // scratch of a worker
	runsLen                                  int
}

// A strip is a tile's rows of dw within a filter position.
type strip struct{ row, height int }

// rowsOf returns the rows of consecutive strips.
func rowsOf(tiles []strip) int {
	last := tiles[len(tiles)-1]
	return last.row + last.height - tiles[0].row
}

const (
	outerPixels = 512 // of a block: 64 KiB of a 32-wide panel
	// stripRows is about the rows of a task: a block of src is then 128 KiB, and a row
	// of its part of dw is whole cache lines.
	stripRows     = 64
	inPlacePixels = 800 // of a block that is read in place, at most
	inPlaceCols   = 8   // fewer columns than these are packed
	stridedCols   = 6   // and of these, where a stride reads little of what is packed
	slidingC      = 8   // fewer channels than these are multiplied by filter rows
	outerTasks    = 16  // tasks to aim at: enough for 8 even workers
	// partialFloats bounds the memory of partial sums.
	partialFloats = 4 << 20
)

func newOuter(s *Shape) *outer {
	cg, kg := s.groupC(), s.groupK()
	_, nr, narrow := kernels.OuterTiles()
	o := &outer{nr: nr, narrow: narrow, taps: s.R * s.S, tapRows: cg, groups: s.Groups}
	pointwise := s.R == 1 && s.S == 1
	unpadded := s.PadTop+s.PadLeft+s.PadBottom+s.PadRight == 0
	o.direct = pointwise && s.StrideH == 1 && s.StrideW == 1 && unpadded
	o.sliding = !o.direct && s.DilationW == 1 && (cg < slidingC || pointwise)
	o.stepping = o.sliding && pointwise && unpadded && cg >= slidingC && outerPixels*s.H*s.W <= maxOffset
	o.inPlace = !o.direct && !o.sliding && min(s.N, outerPixels)*s.H*s.W <= maxOffset &&
		(s.OW() >= inPlaceCols || s.StrideW > 1 && s.OW() >= stridedCols)
	o.directB = (o.direct || o.sliding || o.inPlace) && kg%narrow == 0
	if o.sliding {
		o.taps, o.tapRows, o.lineCols = s.R, s.S*cg, s.OW()
		if s.S > 1 {
			o.lineCols = (s.OW()-1)*s.StrideW + s.S
		}
	}
	o.panels = (kg + nr - 1) / nr
	o.kPad = (kg + narrow - 1) / narrow * narrow
	o.cutPixels(s)
	o.cutTasks(s)
	return o
}

// strips cuts n rows into tiles of the given heights, at the least cost.
func strips(n int, heights []int) []strip {
	best, choice := make([]int, n+1), make([]int, n+1)
	for i := 1; i <= n; i++ {
		for _, h := range heights {
			if h > i {
				continue
			}
			// A low tile is bound by latency: its cost is that of 4 rows, and one
			// more for loads and the loop.
			if cost := best[i-h] + max(h, 4) + 1; choice[i] == 0 || cost < best[i] {
				best[i], choice[i] = cost, h
			}
		}
	}
	var tiles []strip
	for i := n; i > 0; i -= choice[i] {
		tiles = append(tiles, strip{row: n - i, height: choice[i]})
	}
	return tiles
}

// cutPixels chooses the blocks of pixels.
func (o *outer) cutPixels(s *Shape) {
	oh, ow := s.OH(), s.OW()
	if o.direct {
		total := s.N * oh * ow
		o.pixels = outerPixels
		o.blocks = (total + o.pixels - 1) / o.pixels
		o.images, o.rows = 1, oh
	} else if o.inPlace && oh*ow >= outerPixels {
		parts := (oh*ow + inPlacePixels - 1) / inPlacePixels
		o.images, o.rows = 1, (oh+parts-1)/parts
		o.blocks = s.N * ((oh + o.rows - 1) / o.rows)
	} else if oh*ow >= outerPixels {
		o.images, o.rows = 1, max(1, (outerPixels+ow/2)/ow)
		o.blocks = s.N * ((oh + o.rows - 1) / o.rows)
	} else {
		o.images, o.rows = min(max(1, s.N), (outerPixels+oh*ow/2)/(oh*ow)), oh
		o.blocks = (s.N + o.images - 1) / o.images
	}
	o.blocks = max(1, o.blocks)
	o.packRows = min(s.H, (o.rows-1)*s.StrideH+(s.R-1)*s.DilationH+1)
	if s.R == 1 {
		o.packRows = o.rows
	}
	switch {
	case o.direct || o.stepping || o.inPlace:
	case o.sliding:
		o.xLen = o.packRows * o.lineCols * o.images
	default:
		o.xLen = o.packRows * s.W * o.images
	}
	if !o.directB {
		o.yLen = o.images * o.rows * ow * o.nr
		if o.direct {
			o.yLen = o.pixels * o.nr
		}
	}
	o.runsLen = 3 * o.rows * o.images
}

// cutTasks chooses how the work is divided. It depends on the shape only.
func (o *outer) cutTasks(s *Shape) {
	o.cutStrips(stripRows)
	o.partial = o.groups * (o.taps*o.tapRows + 1) * o.kPad
	base := o.groups * o.stripBlocks
	o.chunks = max(1, min(o.blocks, (outerTasks+base-1)/base, partialFloats/o.partial))
	if base *= o.chunks; base < outerTasks && !o.direct && !o.sliding && (s.StrideH*s.StrideW > 1 && !o.inPlace || base*o.panels < outerTasks) {
		// Each range of panels packs src again, of which a stride uses little.
		o.cutStrips(stripRows / 2)
		base = o.groups * o.stripBlocks * o.chunks
	}
	highest := 0
	for i := range o.stripBlocks {
		highest = max(highest, rowsOf(o.tiles[o.firstStrip[i]:o.firstStrip[i+1]]))
	}
	if o.sliding && s.S > 1 {
		highest = s.groupC()
	}
	o.xLen *= highest
	o.panelBlocks = max(1, min(o.panels, (outerTasks+base-1)/base))
	if o.fused = o.blocks == 1 && o.byChannel(s); o.fused {
		o.partial = (o.taps*highest + 1) * o.nr
	}
}

// cutStrips cuts the rows of dw into blocks of about so many, a multiple of a cache
// line's floats, and those into strips.
func (o *outer) cutStrips(rows int) {
	blocks := max(1, (o.tapRows+rows/2)/rows)
	step := ((o.tapRows+blocks-1)/blocks + lineFloats - 1) / lineFloats * lineFloats
	heights, _, _ := kernels.OuterTiles()
	o.tiles, o.firstStrip = o.tiles[:0], []int{0}
	for first := 0; first < o.tapRows; first += step {
		for _, t := range strips(min(step, o.tapRows-first), heights) {
			o.tiles = append(o.tiles, strip{first + t.row, t.height})
		}
		o.firstStrip = append(o.firstStrip, len(o.tiles))
	}
	o.stripBlocks = len(o.firstStrip) - 1
}

// byChannel says that the rows of a panel's sums are in the order of dw, the positions of
// the filter of one channel after those of another, else the channels of one position
// after those of another.
func (o *outer) byChannel(s *Shape) bool { return !o.sliding || s.S == 1 }

// sums returns where panel j of a group's sums starts and how wide it is.
func (o *outer) sums(partial []float32, group, j int) (panel []float32, width int) {
	rows := o.taps*o.tapRows + 1
	return partial[group*rows*o.kPad+j*o.nr*rows:], min(o.nr, o.kPad-j*o.nr)
}

// partialLen is the floats of all partial sums.
func (o *outer) partialLen(workers int) int {
	if o.fused {
		return workers * o.partial
	}
	return o.chunks * o.partial
}

// scratchLen is the floats of a worker's scratch.
func (o *outer) scratchLen() int { return o.xLen + o.yLen + reduceLen }

func (o *outer) tasks() int { return o.chunks * o.groups * o.stripBlocks * o.panelBlocks }

// An outerWorker is the scratch of one worker beside its part of the workspace.
type outerWorker struct {
	gemm kernels.OuterGemm
	runs [][]int32 // of each filter position in the current block
	data []int32
	one  [1]float32
	all  [3]int32 // the run of all pixels of the block

	ahead winogradAhead
	next  outerAhead
}

// An outerAhead is what the tiles of a panel ask for: columns of ddst, a cache line of
// each pixel, and then rows of dw.
type outerAhead struct {
	ddst                   []float32
	cols, pitch            int
	dw                     []float32
	rows, rowPitch, floats int // of dw
}

func newOuterWorker(taps, runsLen int) outerWorker {
	wk := outerWorker{runs: make([][]int32, taps), data: make([]int32, taps*runsLen)}
	wk.one[0] = 1
	return wk
}

// An outerBlock is the geometry of a block of pixels.
type outerBlock struct {
	n0, n1, y0, y1 int // images and output rows, or
	p0, p1         int // pixels if direct
	h0, h1         int // rows of src, or rows of dst if R = 1
}

// pixels returns the number of output pixels in the block.
func (k *outerBlock) pixels(s *Shape) int {
	return k.p1 - k.p0 + (k.n1-k.n0)*(k.y1-k.y0)*s.OW()
}

func (o *outer) block(s *Shape, b int) outerBlock {
	if o.direct {
		return outerBlock{p0: b * o.pixels, p1: min(s.N*s.H*s.W, (b+1)*o.pixels)}
	}
	var k outerBlock
	oh := s.OH()
	if o.rows == oh {
		k = outerBlock{n0: b * o.images, n1: min(s.N, (b+1)*o.images), y1: oh}
	} else {
		per := (oh + o.rows - 1) / o.rows
		k = outerBlock{n0: b / per, n1: b/per + 1, y0: b % per * o.rows, y1: min(oh, (b%per+1)*o.rows)}
	}
	if s.R == 1 {
		k.h0, k.h1 = k.y0, k.y1
		return k
	}
	k.h0 = max(0, k.y0*s.StrideH-s.PadTop)
	k.h1 = min(s.H, (k.y1-1)*s.StrideH-s.PadTop+(s.R-1)*s.DilationH+1)
	return k
}

// run computes task t into its chunk's partial sums, those of the bias if db is not nil.
// If o is fused, partial is the worker's, and the sums are added to dw and db.
func (o *outer) run(s *Shape, t int, wk *outerWorker, dw, db, partial, scratch, src, ddst []float32) {
	panelBlock, t := t%o.panelBlocks, t/o.panelBlocks
	stripBlock, t := t%o.stripBlocks, t/o.stripBlocks
	group, chunk := t%o.groups, t/o.groups
	x, scratch := scratch[:o.xLen], scratch[o.xLen:]
	y, scratch := scratch[:o.yLen], scratch[o.yLen:]
	tiles := o.tiles[o.firstStrip[stripBlock]:o.firstStrip[stripBlock+1]]
	per := (o.panels + o.panelBlocks - 1) / o.panelBlocks
	g := &wk.gemm
	first, end := chunk*o.blocks/o.chunks, (chunk+1)*o.blocks/o.chunks
	j0, j1 := panelBlock*per, min(o.panels, (panelBlock+1)*per)
	for b := first; b < end; b++ {
		k := o.block(s, b)
		o.findRuns(s, k, wk)
		switch {
		case o.direct || o.stepping || o.inPlace:
		case o.sliding:
			o.copyLines(s, k, tiles, group, x, src)
		default:
			o.packX(s, k, tiles, group, x, src)
		}
		g.Accumulate = b > first
		for j := j0; j < j1; j++ {
			g.NR = min(o.nr, o.kPad-j*o.nr)
			o.rightOperand(s, k, g, group, j, y, ddst)
			g.AheadA = 0
			if b+1 < end && j == j0 && (o.direct || o.stepping || o.inPlace) {
				g.AheadA = o.firstFloat(s, o.block(s, b+1)) - o.firstFloat(s, k)
			}
			wk.next = outerAhead{}
			if j+1 < j1 {
				wk.next.setDdst(o, s, group, ddst[o.firstPixel(s, k)*s.K:], (j+1)*o.nr)
			} else if b+1 < end {
				wk.next.setDdst(o, s, group, ddst[o.firstPixel(s, o.block(s, b+1))*s.K:], j0*o.nr)
			}
			sums, rows := partial, rowsOf(tiles)
			if !o.fused {
				sums, _ = o.sums(partial[chunk*o.partial:], group, j)
				rows = o.tapRows
			}
			r := reducer{o: o, s: s, group: group, col: j * o.nr, width: g.NR, c0: tiles[0].row, channels: rows, sums: sums}
			if o.fused {
				wk.next.dw, wk.next.rowPitch, wk.next.floats = r.weights(dw)
				wk.next.rows = r.cols()
			}
			o.panel(s, k, wk, tiles, group, sums, x, src)
			// After the tiles, which bring ddst near: a single row waits for it.
			if db != nil && stripBlock == 0 {
				wk.biasRow(k.pixels(s), sums[o.taps*rows*g.NR:])
			}
			if o.fused {
				r.toWeights(dw, scratch)
				if stripBlock == 0 {
					r.toBias(db)
				}
			}
		}
	}
}

// firstPixel returns the first pixel of ddst in a block.
func (o *outer) firstPixel(s *Shape, k outerBlock) int {
	if o.direct {
		return k.p0
	}
	return (k.n0*s.OH() + k.y0) * s.OW()
}

// firstFloat returns where a block of src that is read in place starts.
func (o *outer) firstFloat(s *Shape, k outerBlock) int {
	if o.direct {
		return k.p0 * s.C
	}
	return (k.n0*s.H + o.firstRow(s, k)) * s.W * s.C
}

// firstRow returns the first row of src, in an image, of a block that is read in place.
func (o *outer) firstRow(s *Shape, k outerBlock) int {
	return max(0, min(s.H-1, k.y0*s.StrideH-s.PadTop))
}

// rightOperand makes panel j of ddst the kernel's B.
func (o *outer) rightOperand(s *Shape, k outerBlock, g *kernels.OuterGemm, group, j int, y, ddst []float32) {
	col := group*s.groupK() + j*o.nr
	first := o.firstPixel(s, k)
	if o.directB {
		g.B, g.BPitch = ddst[first*s.K+col:], s.K
		return
	}
	width := g.NR
	g.B, g.BPitch = y, width
	cols := min(width, s.groupK()-j*o.nr)
	if cols < width {
		clear(y[:o.yLen/o.nr*width])
	}
	kernels.CopyBlock(y, width, ddst[first*s.K+col:], s.K, k.pixels(s), cols)
}

// biasRow sums the columns of the kernel's B: the product with a row of ones.
func (wk *outerWorker) biasRow(pixels int, bias []float32) {
	g := &wk.gemm
	wk.all = [3]int32{0, 0, int32(pixels)}
	g.MR, g.A, g.APitch, g.AStep, g.Ahead, g.AheadA = 1, wk.one[:], 0, 0, nil, 0
	g.C, g.LDC, g.Runs = bias, g.NR, wk.all[:]
	g.Run()
}

// lineFloats is the floats of a cache line.
const lineFloats = 16

// panel computes all tiles of a strip block against the kernel's B.
func (o *outer) panel(s *Shape, k outerBlock, wk *outerWorker, tiles []strip, group int, sums, x, src []float32) {
	g := &wk.gemm
	packed := (k.h1 - k.h0) * s.W * (k.n1 - k.n0)
	first, at, pixels := tiles[0].row, 0, k.pixels(s)
	for _, t := range tiles {
		g.MR = t.height
		switch {
		case o.stepping || o.inPlace:
			g.A, g.APitch, g.AStep = src[o.firstFloat(s, k)+group*s.groupC()+t.row:], s.C, s.StrideW*s.C
		case o.direct:
			g.A, g.APitch, g.AStep = src[o.firstFloat(s, k)+group*s.groupC()+t.row:], s.C, s.C
		case o.sliding && s.S > 1:
			g.A, g.APitch, g.AStep = x[t.row:], s.groupC(), s.StrideW*s.groupC()
		case o.sliding:
			height := rowsOf(tiles)
			g.A, g.APitch, g.AStep = x[t.row-first:], height, height
		default:
			g.A, g.APitch, g.AStep = x[at:], t.height, s.StrideW*t.height
			at += packed * t.height
		}
		for tap := range o.taps {
			g.Runs = wk.runs[tap]
			switch {
			case o.fused:
				g.C, g.LDC = sums[((t.row-first)*o.taps+tap)*g.NR:], o.taps*g.NR
			case o.byChannel(s):
				g.C, g.LDC = sums[(t.row*o.taps+tap)*g.NR:], o.taps*g.NR
			default:
				g.C, g.LDC = sums[(tap*o.tapRows+t.row)*g.NR:], g.NR
			}
			wk.next.step(g, pixels)
			g.Run()
		}
	}
}

// setDdst has tiles ask for the panel from column col on, for the pixels from ddst on.
func (n *outerAhead) setDdst(o *outer, s *Shape, group int, ddst []float32, col int) {
	n.ddst, n.cols, n.pitch = ddst[group*s.groupK()+col:], min(s.groupK()-col, o.nr), s.K
}

// step has the next tile ask for a cache line with each of about so many pixels.
func (n *outerAhead) step(g *kernels.OuterGemm, pixels int) {
	g.Ahead = nil
	switch {
	case n.cols > 0:
		g.Ahead, g.AheadStep = n.ddst, n.pitch
		n.ddst = n.ddst[min(len(n.ddst), lineFloats):]
		n.cols -= lineFloats
	case n.rows > 0:
		g.Ahead, g.AheadStep = n.dw, min(lineFloats, n.floats/pixels+1)
		n.dw = n.dw[min(len(n.dw), n.rowPitch):]
		n.rows--
	}
}
