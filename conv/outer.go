package conv

import (
	"github.com/golanes/lanes/kernels"
)

// Backward-weights of the Indirect algorithm. For one filter position, the
// gradient is a sum over output pixels of the outer product of a pixel of src
// (its channels are rows of dw) with a pixel of ddst (columns). Blocks of pixels
// that fit L2 are packed into strips as high or wide as the kernel's tile, and
// each filter position then sums over shifted runs of the same strips.
//
// With images innermost in a strip, a run covers a whole row of a small map in
// all images of the block, so that 4x4 maps run as long as 32x32 ones. Where the
// channels are few, a row of the filter is merged into one position with S*C
// rows, which costs S/StrideW copies of src and leaves no edges.

// An outer is the plan of one convolution's weight gradient.
type outer struct {
	merged, direct bool
	directB        bool // B is read in place
	taps, tapRows  int  // separate filter positions, and rows of dw in each
	nr, narrow     int
	panels, kPad   int
	tiles          []strip
	images, rows   int // pixels of a block: images and output rows
	pixels         int // or, if direct, consecutive pixels
	blocks         int
	packRows       int // rows of src that a block packs, at most

	// A task is a chunk of blocks, a range of strips and a range of panels. The
	// chunks' partial sums are added in order.
	chunks, stripBlocks, panelBlocks, groups int
	firstStrip                               []int // of each strip block, and the end
	partial                                  int   // floats of a chunk's partial sums
	xLen, yLen                               int   // scratch of a worker
	runsLen                                  int
}

// A strip is a tile's rows of dw within a filter position.
type strip struct{ row, height int }

const (
	outerPixels = 512 // of a block: 64 KiB of a 32-wide panel
	stripRows   = 72  // of a task at most, so that a block of src is 144 KiB
	mergedC     = 8   // most channels for which filter rows are merged
	outerTasks  = 16  // tasks to aim at: enough for 8 even workers
	// partialFloats bounds the memory of partial sums.
	partialFloats = 4 << 20
)

func newOuter(s *Shape) *outer {
	cg, kg := s.groupC(), s.groupK()
	rows, nr, narrow := kernels.OuterTiles()
	o := &outer{nr: nr, narrow: narrow, taps: s.R * s.S, tapRows: cg, groups: s.Groups}
	pointwise := s.R == 1 && s.S == 1
	o.direct = pointwise && s.StrideH == 1 && s.StrideW == 1 && s.PadTop+s.PadLeft+s.PadBottom+s.PadRight == 0
	o.directB = o.direct && kg%narrow == 0
	if !o.direct && (cg < mergedC || s.S == 1 && s.R == 1) {
		o.merged, o.taps, o.tapRows = true, s.R, s.S*cg
	}
	o.panels = (kg + nr - 1) / nr
	o.kPad = (kg + narrow - 1) / narrow * narrow
	o.tiles = strips(o.tapRows, rows)
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
	width := s.W
	if o.merged {
		width = ow
	}
	if !o.direct {
		o.xLen = o.packRows * width * o.images
	}
	if !o.directB {
		o.yLen = o.images * o.rows * ow * o.nr
		if o.direct {
			o.yLen = o.pixels * o.nr
		}
	}
	runs := o.rows
	if s.StrideW > 1 && o.images > 1 && !o.merged {
		runs *= ow
	}
	o.runsLen = 3 * runs
}

// cutTasks chooses how the work is divided. It depends on the shape only.
func (o *outer) cutTasks(s *Shape) {
	o.firstStrip = []int{0}
	high := 0
	for i, t := range o.tiles {
		if high > 0 && high+t.height > stripRows {
			o.firstStrip = append(o.firstStrip, i)
			high = 0
		}
		high += t.height
	}
	o.stripBlocks = len(o.firstStrip)
	o.firstStrip = append(o.firstStrip, len(o.tiles))
	highest := 0
	for i := range o.stripBlocks {
		rows := 0
		for _, t := range o.tiles[o.firstStrip[i]:o.firstStrip[i+1]] {
			rows += t.height
		}
		highest = max(highest, rows)
	}
	o.xLen *= highest
	o.partial = o.groups * (o.taps*o.tapRows + 1) * o.kPad
	base := o.groups * o.stripBlocks
	o.chunks = max(1, min(o.blocks, (outerTasks+base-1)/base, partialFloats/o.partial))
	base *= o.chunks
	o.panelBlocks = max(1, min(o.panels, (outerTasks+base-1)/base))
}

func (o *outer) tasks() int { return o.chunks * o.groups * o.stripBlocks * o.panelBlocks }

// An outerWorker is the scratch of one worker beside its part of the workspace.
type outerWorker struct {
	gemm kernels.OuterGemm
	runs [][]int32 // of each filter position in the current block
	data []int32
	one  [1]float32
	all  [3]int32 // the run of all pixels of the block
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

// run computes task t into its chunk's partial sums.
func (o *outer) run(s *Shape, t int, wk *outerWorker, partial, scratch, src, ddst []float32) {
	panelBlock, t := t%o.panelBlocks, t/o.panelBlocks
	stripBlock, t := t%o.stripBlocks, t/o.stripBlocks
	group, chunk := t%o.groups, t/o.groups
	partial = partial[chunk*o.partial+group*(o.taps*o.tapRows+1)*o.kPad:][:(o.taps*o.tapRows+1)*o.kPad]
	bias := partial[o.taps*o.tapRows*o.kPad:]
	x, y := scratch[:o.xLen], scratch[o.xLen:]
	tiles := o.tiles[o.firstStrip[stripBlock]:o.firstStrip[stripBlock+1]]
	per := (o.panels + o.panelBlocks - 1) / o.panelBlocks
	g := &wk.gemm
	g.LDC = o.kPad
	first, end := chunk*o.blocks/o.chunks, (chunk+1)*o.blocks/o.chunks
	for b := first; b < end; b++ {
		k := o.block(s, b)
		o.findRuns(s, k, wk)
		if !o.direct {
			o.packX(s, k, tiles, group, x, src)
		}
		g.Accumulate = b > first
		for j := panelBlock * per; j < min(o.panels, (panelBlock+1)*per); j++ {
			g.NR = min(o.nr, o.kPad-j*o.nr)
			o.rightOperand(s, k, g, group, j, y, ddst)
			if stripBlock == 0 {
				o.biasRow(k, wk, bias[j*o.nr:], s.OW())
			}
			o.panel(s, k, wk, tiles, group, partial[j*o.nr:], x, src)
		}
	}
}

// rightOperand makes panel j of ddst the kernel's B.
func (o *outer) rightOperand(s *Shape, k outerBlock, g *kernels.OuterGemm, group, j int, y, ddst []float32) {
	col := group*s.groupK() + j*o.nr
	if o.directB {
		g.B, g.BPitch = ddst[k.p0*s.K+col:], s.K
		return
	}
	width := g.NR
	g.B, g.BPitch = y, width
	cols := min(width, s.groupK()-j*o.nr)
	if cols < width {
		clear(y[:o.yLen/o.nr*width])
	}
	if o.direct {
		packStrip(y, width, ddst[k.p0*s.K+col:], s.K, cols, k.p1-k.p0)
		return
	}
	oh, ow := s.OH(), s.OW()
	images := k.n1 - k.n0
	for n := k.n0; n < k.n1; n++ {
		from := ddst[(n*oh+k.y0)*ow*s.K+col:]
		packStrip(y[(n-k.n0)*width:], width*images, from, s.K, cols, (k.y1-k.y0)*ow)
	}
}

// biasRow sums the columns of the kernel's B: the product with a row of ones.
func (o *outer) biasRow(k outerBlock, wk *outerWorker, bias []float32, ow int) {
	g := &wk.gemm
	count := k.p1 - k.p0
	if !o.direct {
		count = (k.n1 - k.n0) * (k.y1 - k.y0) * ow
	}
	wk.all = [3]int32{0, 0, int32(count)}
	g.MR, g.A, g.APitch, g.AStep = 1, wk.one[:], 0, 0
	g.C, g.Runs = bias, wk.all[:]
	g.Run()
}

// panel computes all tiles of a strip block against the kernel's B.
func (o *outer) panel(s *Shape, k outerBlock, wk *outerWorker, tiles []strip, group int, partial, x, src []float32) {
	g := &wk.gemm
	pixels := (k.h1 - k.h0) * s.W * (k.n1 - k.n0)
	if o.merged {
		pixels = (k.h1 - k.h0) * s.OW() * (k.n1 - k.n0)
	}
	for tap := range o.taps {
		g.Runs = wk.runs[tap]
		at := 0
		for _, t := range tiles {
			g.MR = t.height
			if o.direct {
				g.A, g.APitch, g.AStep = src[k.p0*s.C+group*s.groupC()+t.row:], s.C, s.C
			} else {
				g.A, g.APitch, g.AStep = x[at:], t.height, t.height
				if !o.merged && k.n1-k.n0 == 1 {
					g.AStep *= s.StrideW
				}
				at += pixels * t.height
			}
			g.C = partial[(tap*o.tapRows+t.row)*o.kPad:]
			g.Run()
		}
	}
}

// findRuns lists, for every filter position, the runs of pixels that its
// products cover: first pixel in the packed src, first in ddst, length.
func (o *outer) findRuns(s *Shape, k outerBlock, wk *outerWorker) {
	if o.direct {
		wk.runs[0] = append(wk.data[:0], 0, 0, int32(k.p1-k.p0))
		return
	}
	ow, images := s.OW(), k.n1-k.n0
	for tap := range o.taps {
		r, q := tap/s.S, tap%s.S
		if o.merged {
			r = tap
		}
		runs := wk.data[tap*o.runsLen:][:0:o.runsLen]
		lo, hi := 0, ow
		if !o.merged {
			lo, hi = insideRange(ow, s.StrideW, q*s.DilationW-s.PadLeft, s.W)
		}
		for y := k.y0; y < k.y1; y++ {
			h := y*s.StrideH - s.PadTop + r*s.DilationH
			if h < 0 || h >= s.H || lo >= hi {
				continue
			}
			row := h - k.h0
			if s.R == 1 {
				row = y - k.h0
			}
			b := (y-k.y0)*ow + lo
			switch first := lo*s.StrideW - s.PadLeft + q*s.DilationW; {
			case o.merged:
				runs = addRun(runs, row*ow*images, b*images, ow*images)
			case s.StrideW == 1:
				runs = addRun(runs, (row*s.W+first)*images, b*images, (hi-lo)*images)
			case images == 1:
				runs = append(runs, int32(row*s.W+first), int32(b), int32(hi-lo))
			default:
				for i := range hi - lo {
					runs = append(runs, int32((row*s.W+first+i*s.StrideW)*images), int32((b+i)*images), int32(images))
				}
			}
		}
		wk.runs[tap] = runs
	}
}

// addRun appends a run with unit steps or lengthens the last one.
func addRun(runs []int32, a, b, count int) []int32 {
	if n := len(runs); n > 0 && int(runs[n-3]+runs[n-1]) == a && int(runs[n-2]+runs[n-1]) == b {
		runs[n-1] += int32(count)
		return runs
	}
	return append(runs, int32(a), int32(b), int32(count))
}

// insideRange returns the x in [0, n) for which x*stride+shift is in [0, extent).
func insideRange(n, stride, shift, extent int) (lo, hi int) {
	if shift < 0 {
		lo = (-shift + stride - 1) / stride
	}
	hi = n
	if last := extent - 1 - shift; last < 0 {
		hi = 0
	} else {
		hi = min(hi, last/stride+1)
	}
	return min(lo, n), hi
}

// packX copies a block of src into strips.
func (o *outer) packX(s *Shape, k outerBlock, tiles []strip, group int, x, src []float32) {
	images, width := k.n1-k.n0, s.W
	if o.merged {
		width = s.OW()
	}
	at := 0
	for _, t := range tiles {
		for row := k.h0; row < k.h1; row++ {
			h := row
			if s.R == 1 {
				h = row*s.StrideH - s.PadTop
			}
			dst := x[at+(row-k.h0)*width*images*t.height:][:width*images*t.height]
			if h < 0 || h >= s.H {
				continue // no run reads it
			}
			for n := range images {
				line := src[((k.n0+n)*s.H+h)*s.W*s.C:][:s.W*s.C]
				if o.merged {
					o.mergeRow(s, dst[n*t.height:], images*t.height, line, t, group)
				} else {
					packStrip(dst[n*t.height:], images*t.height, line[group*s.groupC()+t.row:], s.C, t.height, s.W)
				}
			}
		}
		at += (k.h1 - k.h0) * width * images * t.height
	}
}

// mergeRow writes, for each output column, the rows of strip t: floats of
// consecutive filter columns, zero in the padding.
func (o *outer) mergeRow(s *Shape, dst []float32, pitch int, line []float32, t strip, group int) {
	cg := s.groupC()
	for x := range s.OW() {
		v := x*s.StrideW - s.PadLeft
		to := dst[x*pitch:][:t.height]
		if s.DilationW == 1 && s.Groups == 1 && v >= 0 && v+s.S <= s.W {
			copy(to, line[v*cg+t.row:])
			continue
		}
		for i := range to {
			q, c := (t.row+i)/cg, (t.row+i)%cg
			to[i] = 0
			if w := v + q*s.DilationW; w >= 0 && w < s.W {
				to[i] = line[w*s.C+group*cg+c]
			}
		}
	}
}

// packStrip copies n rows of cols floats from src, pitch from apart, to dst,
// pitch to apart.
func packStrip(dst []float32, to int, src []float32, from, cols, n int) {
	switch cols {
	case 32:
		for i := range n {
			*(*[32]float32)(dst[i*to:]) = *(*[32]float32)(src[i*from:])
		}
	case 16:
		for i := range n {
			*(*[16]float32)(dst[i*to:]) = *(*[16]float32)(src[i*from:])
		}
	case 12:
		for i := range n {
			*(*[12]float32)(dst[i*to:]) = *(*[12]float32)(src[i*from:])
		}
	case 8:
		for i := range n {
			*(*[8]float32)(dst[i*to:]) = *(*[8]float32)(src[i*from:])
		}
	case 6:
		for i := range n {
			*(*[6]float32)(dst[i*to:]) = *(*[6]float32)(src[i*from:])
		}
	case 4:
		for i := range n {
			*(*[4]float32)(dst[i*to:]) = *(*[4]float32)(src[i*from:])
		}
	default:
		for i := range n {
			copy(dst[i*to:][:cols], src[i*from:])
		}
	}
}

const (
	reduceColumns = 16 // columns of dw that one task adds up
	reduceRows    = 64 // rows of them at a time
)

func (o *outer) reduceTasks(s *Shape) int {
	return s.Groups * ((s.groupK() + reduceColumns - 1) / reduceColumns)
}

// reduce adds the chunks' partial sums, in order, to dw and db.
func (o *outer) reduce(s *Shape, t int, dw, db, partial []float32) {
	cg, kg, rs := s.groupC(), s.groupK(), s.R*s.S
	blocks := (kg + reduceColumns - 1) / reduceColumns
	group, k0 := t/blocks, t%blocks*reduceColumns
	cols := min(reduceColumns, kg-k0)
	base := group*(o.taps*o.tapRows+1)*o.kPad + k0
	dw = dw[(group*kg+k0)*cg*rs:]
	// Sums of the taps of a few channels, a row of columns each, then turned.
	var sum [reduceRows * reduceColumns]float32
	var turned [reduceColumns * reduceRows]float32
	channels := max(1, reduceRows/rs)
	for c0 := 0; c0 < cg; c0 += channels {
		n := min(channels, cg-c0)
		for first := 0; first < n*rs; first += reduceRows {
			rows := min(reduceRows, n*rs-first)
			for i := range rows {
				c, tap := c0+(first+i)/rs, (first+i)%rs
				o.addChunks((*[reduceColumns]float32)(sum[i*reduceColumns:]), partial[base+(tap*cg+c)*o.kPad:], cols)
			}
			kernels.Transpose(turned[:], rows, sum[:], reduceColumns, rows, cols)
			for j := range cols {
				to := dw[(j*cg+c0)*rs+first:][:rows]
				for i, v := range turned[j*rows:][:rows] {
					to[i] += v
				}
			}
		}
	}
	if db != nil {
		var sum [reduceColumns]float32
		o.addChunks(&sum, partial[base+cg*rs*o.kPad:], cols)
		for j, v := range sum[:cols] {
			db[group*kg+k0+j] += v
		}
	}
}

func (o *outer) addChunks(sum *[reduceColumns]float32, partial []float32, cols int) {
	clear(sum[:])
	for chunk := range o.chunks {
		for j, v := range partial[chunk*o.partial:][:cols] {
			sum[j] += v
		}
	}
}
