package conv

import "github.com/golanes/lanes/kernels"

// The Depthwise algorithm, for Groups = C = K: direct sums with channels in the
// lanes. A kernel takes the rows of a task for some of the channels. What it does not
// have (sizes but 3x3 and 5x5, dilation, the phases of a strided gradient) is computed
// pixel by pixel over the taps that exist.

// A depthwise is the plan of one direction.
type depthwise struct {
	s        *Shape
	oh, ow   int
	taps     int
	wStride  int
	rows     *kernels.DepthwiseRows   // nil if there is none
	pair     int                      // rows that share what they read
	spread   *kernels.DepthwiseSpread // of backward-data with stride 2, or nil
	backward bool
	taskRows int // rows of the result, or of ddst, of one task
	tasks    int
	chunks   int // partial sums of backward-weights
	blocks   int // of channels, which rows or a chunk are cut into
	rowLen   int // scratch of a worker of forward: rows of dst
	clampLo  float32
	clampHi  float32
	far      bool          // the maps come from so far that it pays to ask for them
	store    kernels.Store // of forward and backward-data
}

// depthwiseTaskFloats is how much of the result one task computes.
const depthwiseTaskFloats = 16 << 10

// depthwiseChunk is the least floats of ddst of a chunk for each float of its partial
// sums, beyond two chunks: those are cleared, and added to the others'.
const depthwiseChunk = 4

func newDepthwise(s *Shape, dir pass3) *depthwise {
	d := &depthwise{s: s, oh: s.OH(), ow: s.OW(), taps: s.R * s.S, wStride: (s.C + 15) / 16 * 16,
		backward: dir == passData, clampLo: noLo, clampHi: noHi}
	rows, width := d.oh, d.ow
	if d.backward {
		rows, width = s.H, s.W
	}
	if s.R == s.S && kernels.HasDepthwiseRow(s.R, s.StrideW) && s.DilationH == 1 && s.DilationW == 1 {
		switch {
		case !d.backward:
			d.rows = kernels.NewDepthwiseRows(s.R, s.StrideW, s.C, s.W, s.PadLeft, width)
		case s.StrideH == 1 && s.StrideW == 1:
			d.rows = kernels.NewDepthwiseRows(s.R, 1, s.C, d.ow, s.S-1-s.PadLeft, width)
		case s.StrideH == 2 && s.StrideW == 2 && s.R == 3:
			d.spread = d.newSpread()
		}
	}
	if d.pair = 1; d.rows != nil && s.StrideH == s.StrideW {
		d.pair = d.rows.Tile()
	}
	if d.spread != nil {
		d.taskRows, d.rowLen = max(1, min(rows, max(1, depthwiseTaskFloats/(width*s.C)))/2), width*s.C
		d.tasks, d.blocks = s.N*((d.pairsOfRows()+d.taskRows-1)/d.taskRows), 1
		d.far = s.SrcLen()+s.DstLen() >= depthwiseMemoryFloats
	} else {
		d.cut(rows, width)
	}
	switch dir {
	case passForward:
		d.store, d.chunks = kernels.StoreFor(s.DstLen()), 0
		d.rowLen = d.pair * d.ow * s.C
	case passData:
		d.store, d.chunks = kernels.StoreFor(s.SrcLen()), 0
	case passWeights:
		d.chunks = max(1, min(d.chunks, d.tasks, max(2, s.DstLen()/(depthwiseChunk*d.partialLen()))))
	}
	return d
}

// How work is cut.
const (
	// depthwiseMemoryFloats is the floats of both maps that come from memory. Others are
	// in some cache: then what reads whole lines of them channel by channel needs no
	// help, and fetching only costs.
	depthwiseMemoryFloats = 3 << 20
	// depthwiseGroupFloats is how much of both maps from memory is read channel by
	// channel at a time. What comes next goes into the same cache meanwhile.
	depthwiseGroupFloats = 64 << 10
	depthwiseBlock       = 32 // the least channels of a block: two vectors
	depthwiseTasks       = 8  // to aim at
)

// cut cuts the rows of all images by images, one by channels first, so that rows share
// what they read of src, and the weight gradient has nothing to add up. Of maps from
// memory a task takes all channels of few rows.
func (d *depthwise) cut(rows, width int) {
	s, most, near := d.s, 1, farFloats
	images := max(1, s.N)
	switch {
	case d.rows == nil:
		most = rows
	case s.StrideH == s.StrideW:
		most = d.rows.Most() / d.pair * d.pair
	}
	if d.rows != nil && d.rows.WholeLines() {
		near = depthwiseMemoryFloats
	}
	d.blocks, d.chunks = 1, outerTasks
	if d.far = s.SrcLen()+s.DstLen() >= near; d.far || d.rows == nil {
		floats := max(1, (s.SrcLen()+s.DstLen())/(images*rows))
		d.taskRows = min(rows, most, max(1, depthwiseGroupFloats/floats/d.pair)*d.pair)
	} else {
		want := max(1, min(depthwiseTasks, images*rows*width*s.C/depthwiseTaskFloats))
		d.blocks = min(want/min(want, images), (s.C+depthwiseBlock-1)/depthwiseBlock)
		d.chunks = want / d.blocks
		each := (images*rows + d.chunks - 1) / d.chunks
		d.taskRows = min(rows, most, (each+d.pair-1)/d.pair*d.pair)
	}
	d.tasks = s.N * ((rows + d.taskRows - 1) / d.taskRows)
}

// channels returns the first and the end of a block of channels.
func (d *depthwise) channels(block int) (from, to int) {
	units := (d.s.C + depthwiseBlock - 1) / depthwiseBlock
	return block * units / d.blocks * depthwiseBlock, min(d.s.C, (block+1)*units/d.blocks*depthwiseBlock)
}

// zeroLen is the length of the row of zeros that stands for padding.
func (d *depthwise) zeroLen() int { return max(d.s.W, d.ow) * d.s.C }

func (d *depthwise) packedLen() int { return d.taps * d.wStride }

// workLen is the workspace of a run by so many workers.
func (d *depthwise) workLen(workers int) int {
	if d.chunks > 0 {
		return (d.chunks + 1) * d.partialLen()
	}
	return workers * d.rowLen
}

func (d *depthwise) partialLen() int { return (d.taps + 1) * d.wStride }

// pack writes w[c][tap] tap by tap, for backward-data turned by 180 degrees.
func (d *depthwise) pack(dst, w []float32) {
	c := d.s.C
	kernels.Transpose(dst, d.wStride, w, d.taps, c, d.taps)
	for t := range d.taps {
		clear(dst[t*d.wStride+c : (t+1)*d.wStride])
	}
	if !d.backward || d.rows == nil {
		return
	}
	for t := range d.taps / 2 {
		row, other := dst[t*d.wStride:][:c], dst[(d.taps-1-t)*d.wStride:][:c]
		for i, v := range row {
			row[i], other[i] = other[i], v
		}
	}
}

// rowsOf returns the image and rows of a task over maps with the given height.
func (d *depthwise) rowsOf(task, height int) (n, y0, y1 int) {
	per := (height + d.taskRows - 1) / d.taskRows
	y0 = task % per * d.taskRows
	return task / per, y0, min(height, y0+d.taskRows)
}

// forward computes task t of dst. With a residual, which may be dst, rows are made in
// scratch first, and clamping is left to the caller.
func (d *depthwise) forward(t int, o *operands, zero, scratch []float32) {
	s := d.s
	n, y0, y1 := d.rowsOf(t/d.blocks, d.oh)
	from, to := d.channels(t % d.blocks)
	op := kernels.DepthwiseOperands{
		Src: o.a, Zero: zero, W: o.b, WStride: d.wStride, Bias: o.bias, Lo: d.clampLo, Hi: d.clampHi, Store: d.store, From: from, To: to,
	}
	if o.bias == nil {
		op.Bias = zero
	}
	step := d.taskRows
	if o.residual != nil {
		op.Lo, op.Hi, op.Store, step = noLo, noHi, kernels.Cached, d.pair
	}
	for y := y0; y < y1; y += step {
		op.Count = min(step, y1-y)
		first, length := (n*d.oh+y)*d.ow*s.C, op.Count*d.ow*s.C
		dst := o.c[first:][:length]
		if op.Y = dst; o.residual != nil {
			op.Y = scratch[:length]
		}
		d.place(&op, n, y*s.StrideH-s.PadTop, s.H, s.W)
		d.lookAhead(&op, o.c, first+length)
		if d.rows != nil {
			d.rows.Forward(&op)
		} else {
			d.forwardPixels(&op, n, y)
		}
		for i := 0; o.residual != nil && i < length; i += s.C {
			kernels.Add(dst[i+from:i+to], op.Y[i+from:i+to], o.residual[first+i+from:first+i+to])
		}
	}
}

// forwardPixels computes the rows of dst from y on one pixel after another.
func (d *depthwise) forwardPixels(op *kernels.DepthwiseOperands, n, y int) {
	s := d.s
	image := op.Src[n*s.H*s.W*s.C:][:s.H*s.W*s.C]
	for i := range op.Count * d.ow {
		var taps [2 * kernels.DepthwiseMaxTaps]int
		k := d.windowTaps(&taps, y+i/d.ow, i%d.ow)
		kernels.DepthwisePixel(op.Y[i*s.C:], image, op.W, taps[:k], op.Bias, op.Lo, op.Hi, s.C)
	}
}

// place fills in where the rows of a window are that starts at row h of image n, -1 in
// the padding, and what comes behind them.
func (d *depthwise) place(op *kernels.DepthwiseOperands, n, h, height, width int) {
	row := width * d.s.C
	count := min(len(op.Rows), d.s.R+(op.Count-1)*d.s.StrideH)
	for r := range count {
		op.Rows[r] = -1
		if h+r >= 0 && h+r < height {
			op.Rows[r] = (n*height + h + r) * row
		}
	}
	stride := d.s.StrideH
	if d.backward {
		stride = 1
	}
	next := n*height + min(height, max(0, h+(op.Count-1)*stride+d.s.R))
	if op.Ahead = nil; d.far {
		op.Ahead = op.Src[min(len(op.Src), next*row):]
	}
}

// lookAhead names what comes next of the operand that op.Y is a part of, unless it is
// streamed.
func (d *depthwise) lookAhead(op *kernels.DepthwiseOperands, y []float32, next int) {
	op.AheadY = nil
	if d.far && next < len(y) && op.Store == kernels.Cached {
		op.AheadY = y[next:]
	}
}

// windowTaps lists the taps of output (y, x) inside the image, as pairs of
// offsets in the image and the weights, and returns the length of the list.
func (d *depthwise) windowTaps(taps *[2 * kernels.DepthwiseMaxTaps]int, y, x int) int {
	s, k := d.s, 0
	for r := range s.R {
		h := y*s.StrideH - s.PadTop + r*s.DilationH
		if h < 0 || h >= s.H {
			continue
		}
		for q := range s.S {
			if w := x*s.StrideW - s.PadLeft + q*s.DilationW; w >= 0 && w < s.W {
				taps[k], taps[k+1] = (h*s.W+w)*s.C, (r*s.S+q)*d.wStride
				k += 2
			}
		}
	}
	return k
}

// data computes task t of dsrc. scratch has a row.
func (d *depthwise) data(t int, o *operands, zero, scratch []float32) {
	s := d.s
	if d.spread != nil {
		d.dataSpread(t, o, zero, scratch)
		return
	}
	n, y, end := d.rowsOf(t/d.blocks, s.H)
	if d.rows == nil {
		d.dataPixels(o, zero, n, y, end)
		return
	}
	from, to := d.channels(t % d.blocks)
	op := kernels.DepthwiseOperands{
		Count: end - y, Src: o.a, Zero: zero, W: o.b, WStride: d.wStride, Bias: zero, Lo: noLo, Hi: noHi, Store: d.store, From: from, To: to,
	}
	first, length := (n*s.H+y)*s.W*s.C, op.Count*s.W*s.C
	op.Y = o.c[first:][:length]
	d.place(&op, n, y-(s.R-1-s.PadTop), d.oh, d.ow)
	d.lookAhead(&op, o.c, first+length)
	d.rows.Forward(&op)
}

// newSpread returns the kernel for stride 2, nil if some pixels are farther from all
// outputs than it takes.
func (d *depthwise) newSpread() *kernels.DepthwiseSpread {
	s := d.s
	first, end := (s.PadLeft+1)/2, (s.W+s.PadLeft)/2 // blocks
	if end > d.ow || end < first || s.PadLeft > 2 || s.PadTop > 2 {
		return nil
	}
	return &kernels.DepthwiseSpread{
		C: s.C, Blocks: end - first, WStride: d.wStride, First: s.PadLeft%2 == 1, Before: first > 0,
		Last: (s.W+s.PadLeft)%2 == 1, After: end < d.ow, Store: kernels.StoreFor(s.SrcLen()),
	}
}

// pairsOfRows returns how many pairs of rows of src, counted from the padding on, there
// are.
func (d *depthwise) pairsOfRows() int { return (d.s.H+d.s.PadTop+1)/2 - d.s.PadTop/2 }

// dataSpread computes task t of dsrc, some pairs of rows. A row that a pair lacks goes to
// scratch.
func (d *depthwise) dataSpread(t int, o *operands, zero, scratch []float32) {
	s := d.s
	n, m0, m1 := d.rowsOf(t, d.pairsOfRows())
	row, from := s.W*s.C, d.ow*s.C
	start := max(0, (s.PadLeft+1)/2-1) * s.C // the first element of a row of ddst that is read
	for m := m0 + s.PadTop/2; m < m1+s.PadTop/2; m++ {
		var dst, grad [2][]float32
		for i := range dst {
			dst[i], grad[i] = scratch, zero
			if y := 2*m - s.PadTop + i; y >= 0 && y < s.H {
				dst[i] = o.c[(n*s.H+y)*row:][:row]
			}
			if y := m - i; y >= 0 && y < d.oh {
				grad[i] = o.a[(n*d.oh+y)*from+start:][:from-start]
			}
		}
		var aheadDst, aheadSrc []float32
		if d.far && d.store == kernels.Cached {
			aheadDst = o.c[min(len(o.c), (n*s.H+max(0, 2*m+2-s.PadTop))*row):]
		}
		if d.far {
			aheadSrc = o.a[min(len(o.a), (n*d.oh+min(d.oh, m+1))*from):]
		}
		d.spread.Run(dst[0], dst[1], grad[0], grad[1], o.b, aheadDst, aheadSrc)
	}
}

// dataPixels computes rows y0 to y1 of dsrc phase by phase, and one pixel after another
// where there is no kernel for one.
func (d *depthwise) dataPixels(o *operands, zero []float32, n, y0, y1 int) {
	s := d.s
	image := o.a[n*d.oh*d.ow*s.C:][:d.oh*d.ow*s.C]
	for y := y0; y < y1; y++ {
		row := o.c[(n*s.H+y)*s.W*s.C:][:s.W*s.C]
		for x := range min(s.W, s.StrideW) {
			lo, hi := d.phase(row, image, o.b, y, x)
			for ; x < s.W; x += s.StrideW {
				if x >= lo && x < hi {
					continue
				}
				var taps [2 * kernels.DepthwiseMaxTaps]int
				k := d.gradientTaps(&taps, y, x)
				kernels.DepthwisePixel(row[x*s.C:], image, o.b, taps[:k], zero, noLo, noHi, s.C)
			}
		}
	}
}

// phase computes, of the pixels x, x+StrideW and so on of a row of src, those that
// went to all outputs, if there is a kernel for so many, and returns the first and the
// end.
func (d *depthwise) phase(row, image, w []float32, y, x int) (lo, hi int) {
	s := d.s
	first, end := 0, (s.W-x+s.StrideW-1)/s.StrideW
	for q := range s.S {
		if at := x + s.PadLeft - q*s.DilationW; at%s.StrideW == 0 {
			first, end = max(first, -(at/s.StrideW)), min(end, d.ow-at/s.StrideW)
		}
	}
	if first >= end {
		return 0, 0
	}
	lo = x + first*s.StrideW
	var taps [2 * kernels.DepthwiseMaxTaps]int
	k := d.gradientTaps(&taps, y, lo)
	if !kernels.HasDepthwiseSteps(k / 2) {
		return 0, 0
	}
	kernels.DepthwiseSteps(row[lo*s.C:], s.StrideW*s.C, image, w, taps[:k], s.C, s.C, end-first)
	return lo, lo + (end-first)*s.StrideW
}

// gradientTaps lists, for pixel (h, w) of src, the outputs it went to and the
// weights it met there.
func (d *depthwise) gradientTaps(taps *[2 * kernels.DepthwiseMaxTaps]int, h, w int) int {
	s, k := d.s, 0
	for r := range s.R {
		y := h + s.PadTop - r*s.DilationH
		if y < 0 || y%s.StrideH != 0 || y/s.StrideH >= d.oh {
			continue
		}
		for q := range s.S {
			x := w + s.PadLeft - q*s.DilationW
			if x < 0 || x%s.StrideW != 0 || x/s.StrideW >= d.ow {
				continue
			}
			at := r*s.S + q
			if d.rows != nil {
				at = d.taps - 1 - at
			}
			taps[k], taps[k+1] = (y/s.StrideH*d.ow+x/s.StrideW)*s.C, at*d.wStride
			k += 2
		}
	}
	return k
}

// weights computes task t of backward-weights: the sums of a chunk of the rows for a block
// of channels, the last of which are the bias's if it is asked for.
func (d *depthwise) weights(t int, bias bool, partial, src, ddst, zero []float32) {
	s, chunk := d.s, t/d.blocks
	from, to := d.channels(t % d.blocks)
	partial = partial[chunk*d.partialLen():][:d.partialLen()]
	op := kernels.DepthwiseOperands{Src: src, Zero: zero, W: partial, WStride: d.wStride, From: from, To: to, Set: true}
	sum := partial[d.taps*d.wStride:][from:to]
	if bias {
		clear(sum)
	}
	if d.rows == nil {
		clear(partial[:d.taps*d.wStride])
	}
	for task := chunk * d.tasks / d.chunks; task < (chunk+1)*d.tasks/d.chunks; task++ {
		n, y, end := d.rowsOf(task, d.oh)
		op.Count = end - y
		first, length := (n*d.oh+y)*d.ow*s.C, op.Count*d.ow*s.C
		op.Y = ddst[first:][:length]
		d.place(&op, n, y*s.StrideH-s.PadTop, s.H, s.W)
		d.lookAhead(&op, ddst, first+length)
		if d.rows != nil {
			d.rows.Gradient(&op)
			op.Set = false
		} else {
			d.gradientPixels(&op, n, y)
		}
		for i := 0; bias && i < length; i += s.C {
			kernels.Add(sum, sum, op.Y[i+from:i+to])
		}
	}
}

// gradientPixels adds up the rows of ddst from y on one pixel after another.
func (d *depthwise) gradientPixels(op *kernels.DepthwiseOperands, n, y int) {
	s := d.s
	image := op.Src[n*s.H*s.W*s.C:][:s.H*s.W*s.C]
	for i := range op.Count * d.ow {
		var taps [2 * kernels.DepthwiseMaxTaps]int
		k := d.windowTaps(&taps, y+i/d.ow, i%d.ow)
		kernels.DepthwiseGradPixel(op.W, image, taps[:k], op.Y[i*s.C:], s.C)
	}
}

// reduce adds up the chunks, in order, and adds them to dw and db, or overwrites those.
// Behind the chunks partial has room for as much as one.
func (d *depthwise) reduce(dw, db, partial []float32, overwrite bool) {
	n, c := d.partialLen(), d.s.C
	sum, turned := partial[:n], partial[d.chunks*n:][:c*d.taps]
	for k := 1; k < d.chunks; k++ {
		kernels.Add(sum, sum, partial[k*n:][:n])
	}
	if overwrite {
		kernels.Transpose(dw, d.taps, sum, d.wStride, d.taps, c)
	} else {
		kernels.Transpose(turned, d.taps, sum, d.wStride, d.taps, c)
		kernels.Add(dw, dw, turned)
	}
	if db != nil {
		put(db, sum[d.taps*d.wStride:][:c], overwrite)
	}
}
