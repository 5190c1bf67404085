package conv

import "github.com/golanes/lanes/kernels"

// The Depthwise algorithm, for Groups = C = K: direct sums with channels in the
// lanes. Output pixels whose window lies inside the image from left to right run
// through a kernel for whole rows, in which padding above and below is a row of
// zeros; the others, and what that kernel does not have (sizes but 3x3 and 5x5,
// dilation, the phases of a strided gradient), pixel by pixel over the taps that
// exist.

// A depthwise is the plan of one direction.
type depthwise struct {
	s          *Shape
	oh, ow     int
	taps       int
	wStride    int
	rowsKernel bool
	lo, hi     int // output columns with the whole window inside the image
	backward   bool
	taskRows   int // rows of the result, or of ddst, of one task
	tasks      int
	chunks     int // partial sums of backward-weights
	rowLen     int // scratch of a worker of forward: a row of dst
	clampLo    float32
	clampHi    float32
}

// depthwiseTaskFloats is how much of the result one task computes.
const depthwiseTaskFloats = 16 << 10

func newDepthwise(s *Shape, dir pass3) *depthwise {
	d := &depthwise{s: s, oh: s.OH(), ow: s.OW(), taps: s.R * s.S, wStride: (s.C + 15) / 16 * 16,
		backward: dir == passData, clampLo: noLo, clampHi: noHi}
	d.rowsKernel = s.R == s.S && kernels.HasDepthwiseRow(s.R, s.StrideW) &&
		s.DilationH == 1 && s.DilationW == 1 && (!d.backward || s.StrideH == 1 && s.StrideW == 1)
	rows, width := d.oh, d.ow
	padLeft, extent := s.PadLeft, s.W
	if d.backward {
		rows, width = s.H, s.W
		padLeft, extent = s.S-1-s.PadLeft, d.ow
	}
	if d.rowsKernel {
		for d.lo < width && d.lo*s.StrideW < padLeft {
			d.lo++
		}
		d.hi = d.lo
		for d.hi < width && d.hi*s.StrideW-padLeft+s.S <= extent {
			d.hi++
		}
	}
	d.taskRows = min(rows, max(1, depthwiseTaskFloats/(width*s.C)))
	d.tasks = s.N * ((rows + d.taskRows - 1) / d.taskRows)
	if dir == passForward {
		d.rowLen = d.ow * s.C
	}
	if dir == passWeights {
		d.chunks = max(1, min(outerTasks, d.tasks))
	}
	return d
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
	if !d.backward || !d.rowsKernel {
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

// forward computes task t of dst. With a residual, which may be dst, each row is
// made in scratch first, and clamping is left to the caller.
func (d *depthwise) forward(t int, o *operands, zero, scratch []float32) {
	s := d.s
	n, y0, y1 := d.rowsOf(t, d.oh)
	image := o.a[n*s.H*s.W*s.C:][:s.H*s.W*s.C]
	bias := o.bias
	if bias == nil {
		bias = zero
	}
	for y := y0; y < y1; y++ {
		first := (n*d.oh + y) * d.ow * s.C
		dst := o.c[first:][:d.ow*s.C]
		row, lo, hi := dst, d.clampLo, d.clampHi
		if o.residual != nil {
			row, lo, hi = scratch, noLo, noHi
		}
		if d.hi > d.lo {
			var rows [5]int
			d.tapRows(&rows, y*s.StrideH-s.PadTop, d.lo*s.StrideW-s.PadLeft, s.H, s.W)
			kernels.DepthwiseRow(s.R, s.StrideW, row[d.lo*s.C:], image, rows[:], zero, o.b, d.wStride, bias, lo, hi, s.C, d.hi-d.lo)
		}
		for x := range d.ow {
			if x >= d.lo && x < d.hi {
				continue
			}
			var taps [2 * kernels.DepthwiseMaxTaps]int
			k := d.windowTaps(&taps, y, x)
			kernels.DepthwisePixel(row[x*s.C:], image, o.b, taps[:k], bias, lo, hi, s.C)
		}
		if o.residual != nil {
			kernels.Add(dst, row, o.residual[first:][:len(dst)])
		}
	}
}

// tapRows fills in where the rows of a window start, -1 in the padding.
func (d *depthwise) tapRows(rows *[5]int, h, w, height, width int) {
	for r := range d.s.R {
		rows[r] = -1
		if h+r >= 0 && h+r < height {
			rows[r] = ((h+r)*width + w) * d.s.C
		}
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

// data computes task t of dsrc.
func (d *depthwise) data(t int, o *operands, zero []float32) {
	s := d.s
	n, y0, y1 := d.rowsOf(t, s.H)
	image := o.a[n*d.oh*d.ow*s.C:][:d.oh*d.ow*s.C]
	for y := y0; y < y1; y++ {
		row := o.c[(n*s.H+y)*s.W*s.C:][:s.W*s.C]
		if d.hi > d.lo {
			var rows [5]int
			d.tapRows(&rows, y-(s.R-1-s.PadTop), d.lo-(s.S-1-s.PadLeft), d.oh, d.ow)
			kernels.DepthwiseRow(s.R, 1, row[d.lo*s.C:], image, rows[:], zero, o.b, d.wStride, zero, noLo, noHi, s.C, d.hi-d.lo)
		}
		for x := range min(s.W, s.StrideW) {
			lo, hi := d.phase(row, image, o.b, y, x)
			for ; x < s.W; x += s.StrideW {
				if x >= lo && x < hi || x >= d.lo && x < d.hi {
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
	if d.rowsKernel {
		return 0, 0
	}
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
			if d.rowsKernel {
				at = d.taps - 1 - at
			}
			taps[k], taps[k+1] = (y/s.StrideH*d.ow+x/s.StrideW)*s.C, at*d.wStride
			k += 2
		}
	}
	return k
}

// weights adds up chunk t of the weight gradient in its partial sums, the last
// row of which are the bias's if it is asked for.
func (d *depthwise) weights(t int, bias bool, partial, src, ddst, zero []float32) {
	s := d.s
	partial = partial[t*d.partialLen():][:d.partialLen()]
	clear(partial)
	for task := t * d.tasks / d.chunks; task < (t+1)*d.tasks/d.chunks; task++ {
		n, y0, y1 := d.rowsOf(task, d.oh)
		image := src[n*s.H*s.W*s.C:][:s.H*s.W*s.C]
		for y := y0; y < y1; y++ {
			row := ddst[(n*d.oh+y)*d.ow*s.C:][:d.ow*s.C]
			if d.hi > d.lo {
				var rows [5]int
				d.tapRows(&rows, y*s.StrideH-s.PadTop, d.lo*s.StrideW-s.PadLeft, s.H, s.W)
				kernels.DepthwiseGradRow(s.R, s.StrideW, partial, d.wStride, image, rows[:], zero, row[d.lo*s.C:], s.C, d.hi-d.lo)
			}
			for x := range d.ow {
				pixel := row[x*s.C:][:s.C]
				if bias {
					sum := partial[d.taps*d.wStride:][:s.C]
					kernels.Add(sum, sum, pixel)
				}
				if x >= d.lo && x < d.hi {
					continue
				}
				var taps [2 * kernels.DepthwiseMaxTaps]int
				k := d.windowTaps(&taps, y, x)
				kernels.DepthwiseGradPixel(partial, image, taps[:k], pixel, s.C)
			}
		}
	}
}

// reduce adds the chunks, in order, to dw and db. Behind them partial has room for as
// much as one.
func (d *depthwise) reduce(dw, db, partial []float32) {
	n, c := d.partialLen(), d.s.C
	sum, turned := partial[:n], partial[d.chunks*n:][:c*d.taps]
	for k := 1; k < d.chunks; k++ {
		kernels.Add(sum, sum, partial[k*n:][:n])
	}
	kernels.Transpose(turned, d.taps, sum, d.wStride, d.taps, c)
	kernels.Add(dw, dw, turned)
	if db != nil {
		kernels.Add(db, db, sum[d.taps*d.wStride:][:c])
	}
}
