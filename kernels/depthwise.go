package kernels

// Kernels of depthwise convolution: every channel has its own filter, so that
// channels go into the lanes. Pixels are c consecutive floats; a filter's taps
// are rows of w, wStride floats apart.

const (
	// DepthwiseMostRows is the most rows of src that a [DepthwiseRows] reads at once.
	DepthwiseMostRows = 37
	// DepthwiseMaxTaps is the most taps that the kernels for single pixels take.
	DepthwiseMaxTaps = 64
)

type (
	depthwiseTable [DepthwiseMostRows]*float32
	depthwiseTaps  [2 * DepthwiseMaxTaps]*float32
)

// HasDepthwiseRow reports whether there is a [DepthwiseRows] for a filter of size x
// size at a stride.
func HasDepthwiseRow(size, stride int) bool {
	return (size == 3 || size == 5) && (stride == 1 || stride == 2)
}

// A DepthwiseRows computes consecutive rows of dst or their part of the weight gradient.
// It is the geometry of such rows and can be used by several goroutines at once.
type DepthwiseRows struct {
	size, stride, c, width, left, pixels int
	first, end                           int      // of the pixels whose window is inside the row
	columns                              []uint32 // bit s: column s of a pixel's window is inside
}

// NewDepthwiseRows returns the kernel for rows of so many pixels of c channels, from
// rows of src of width pixels: the window of pixel p starts at pixel p*stride-left, and
// pixels outside are padding. size and stride must be as [HasDepthwiseRow] says.
func NewDepthwiseRows(size, stride, c, width, left, pixels int) *DepthwiseRows {
	if !HasDepthwiseRow(size, stride) || c < 1 || width < 1 || pixels < 1 {
		panic("kernels.NewDepthwiseRows: size, stride, c, width or pixels")
	}
	d := &DepthwiseRows{size: size, stride: stride, c: c, width: width, left: left, pixels: pixels}
	for d.first < pixels && d.first*stride < left {
		d.first++
	}
	for d.end = d.first; d.end < pixels && d.end*stride-left+size <= width; {
		d.end++
	}
	d.columns = make([]uint32, pixels)
	for p := range d.columns {
		for s := range size {
			if x := p*stride - left + s; x >= 0 && x < width {
				d.columns[p] |= 1 << s
			}
		}
	}
	return d
}

// Most is the most rows of dst that d takes at once.
func (d *DepthwiseRows) Most() int { return (DepthwiseMostRows-d.size)/d.stride + 1 }

// Tile is the rows of dst that share what they read of src.
func (d *DepthwiseRows) Tile() int {
	if d.size == 3 {
		return 2
	}
	return 1
}

// WholeLines says that a vector of channels is a cache line, so that nothing is left of a
// line that is read channel by channel.
func (d *DepthwiseRows) WholeLines() bool { return depthwiseWholeLines() }

// A DepthwiseOperands is what a [DepthwiseRows] works on: Count rows of Y, one behind
// the other, with the rows of Src that start at Rows, or are Zero where that is
// negative; those of the next row of Y start stride entries later.
//
// Ahead and AheadY are where what comes next starts, in Src and Y, for kernels that can
// ask for it: worth it where the maps are larger than the second-level cache, else nil.
type DepthwiseOperands struct {
	Count         int // 1 to [DepthwiseRows.Most]
	Y             []float32
	Src           []float32
	Rows          [DepthwiseMostRows]int
	Zero          []float32
	W             []float32
	WStride       int
	Bias          []float32 // of Forward, as are the limits and where Y is stored
	Lo, Hi        float32
	Store         Store
	Ahead, AheadY []float32
	From, To      int  // channels
	Set           bool // Gradient does not add to W
}

// Forward computes rows of dst:
//
//	y = Bias[i] + sum over r, s of row(j*stride+r)[(p*stride-left+s)*c+i] * W[(r*size+s)*WStride+i]
//	Y[(j*pixels+p)*c+i] = min(Hi, max(Lo, y))        j < Count, p < pixels, From <= i < To
//
// The sum starts with the bias and adds products in the order of r, then s, fused where
// the ISA has FMA. Padding is zeros or left out, which differs where a weight is not
// finite. NaN passes through min and max; Lo and Hi are not NaN. Where a
// limit and y are zeros of different sign, either may be the result. Y must not overlap
// the other operands. With Streamed, stores pass the caches where the ISA can and Y and
// its pixels are multiples of a cache line; [Store.Fence] must follow, and AheadY be nil.
func (d *DepthwiseRows) Forward(o *DepthwiseOperands) {
	d.check("Forward", o)
	if len(o.Bias) < d.c {
		panic("kernels.DepthwiseRows.Forward: short Bias")
	}
	var table depthwiseTable
	step := d.channelStep(o.Count)
	for c0 := o.From; c0 < o.To; c0 += step {
		d.fill(&table, o, c0)
		depthwiseForward(d, o, &table, c0, min(step, o.To-c0))
	}
}

// Gradient adds the weight gradient of rows of dst to W, or sets W to it, in an order that
// is fixed for the ISA:
//
//	W[(r*size+s)*WStride+i] += row(j*stride+r)[(p*stride-left+s)*c+i] * Y[(j*pixels+p)*c+i]    j < Count, p < pixels, From <= i < To
//
// Products with padding are left out or with zeros.
func (d *DepthwiseRows) Gradient(o *DepthwiseOperands) {
	d.check("Gradient", o)
	var table depthwiseTable
	step := d.channelStep(o.Count)
	for c0 := o.From; c0 < o.To; c0 += step {
		d.fill(&table, o, c0)
		depthwiseGradient(d, o, &table, c0, min(step, o.To-c0))
	}
}

func (d *DepthwiseRows) check(name string, o *DepthwiseOperands) {
	switch {
	case o.Count < 1 || o.Count > d.Most():
		panic("kernels.DepthwiseRows." + name + ": Count")
	case o.From < 0 || o.To > d.c:
		panic("kernels.DepthwiseRows." + name + ": From or To")
	case len(o.Y) < o.Count*d.pixels*d.c:
		panic("kernels.DepthwiseRows." + name + ": short Y")
	case o.WStride < d.c || len(o.W) < (d.size*d.size-1)*o.WStride+d.c:
		panic("kernels.DepthwiseRows." + name + ": short W")
	}
	for _, at := range o.Rows[:d.rows(o.Count)] {
		if at >= 0 && len(o.Src)-at < d.width*d.c || at < 0 && len(o.Zero) < d.width*d.c {
			panic("kernels.DepthwiseRows." + name + ": row out of range")
		}
	}
}

// rows returns the rows of src that so many rows of dst need.
func (d *DepthwiseRows) rows(count int) int { return (count-1)*d.stride + d.size }

// depthwiseCallFloats bounds the floats of Y of one call of the machine code.
const depthwiseCallFloats = 512 << 10

// channelStep returns the channels of a call, whole cache lines.
func (d *DepthwiseRows) channelStep(count int) int {
	return min(d.c, max(1, depthwiseCallFloats/(count*d.pixels*lineFloats))*lineFloats)
}

// fill points the table at channel c0 of the rows of src, in the padding at nothing.
func (d *DepthwiseRows) fill(table *depthwiseTable, o *DepthwiseOperands, c0 int) {
	for r, at := range o.Rows[:d.rows(o.Count)] {
		if table[r] = nil; at >= 0 {
			table[r] = &o.Src[at+c0]
		}
	}
}

// fill points the table at pairs of a pixel and its weights.
func (d *depthwiseTaps) fill(name string, src, w []float32, taps []int, c int) {
	if c < 1 || len(taps)%2 != 0 || len(taps) > len(d) {
		panic("kernels." + name + ": c or taps")
	}
	for t := 0; t < len(taps); t += 2 {
		if taps[t]+c > len(src) || taps[t+1]+c > len(w) {
			panic("kernels." + name + ": tap out of range")
		}
		d[t], d[t+1] = &src[taps[t]], &w[taps[t+1]]
	}
}

// DepthwisePixel computes one pixel from any taps, which are pairs of an offset
// in src and one in w:
//
//	y = bias[i] + sum over t of src[taps[2*t]+i] * w[taps[2*t+1]+i]
//	dst[i] = min(hi, max(lo, y))        i < c
//
// in the manner of [DepthwiseRow].
func DepthwisePixel(dst, src, w []float32, taps []int, bias []float32, lo, hi float32, c int) {
	var table depthwiseTaps
	table.fill("DepthwisePixel", src, w, taps, c)
	if len(dst) < c || len(bias) < c {
		panic("kernels.DepthwisePixel: short dst or bias")
	}
	depthwisePixel(dst, &table, len(taps)/2, bias, lo, hi, c)
}

// HasDepthwiseSteps reports whether [DepthwiseSteps] takes so many taps.
func HasDepthwiseSteps(taps int) bool { return taps == 1 || taps == 2 || taps == 4 }

// DepthwiseSteps computes pixels that are dstStep floats apart from any taps as
// [DepthwisePixel] takes them, each of which moves on by srcStep floats from pixel to
// pixel: the pixels of one phase of a strided convolution's gradient.
//
//	dst[p*dstStep+i] = sum over t of src[taps[2*t]+p*srcStep+i] * w[taps[2*t+1]+i]        p < pixels, i < c
//
// The number of taps must be as [HasDepthwiseSteps] says.
func DepthwiseSteps(dst []float32, dstStep int, src, w []float32, taps []int, srcStep, c, pixels int) {
	var table depthwiseTaps
	if pixels < 1 || dstStep < c || srcStep < 0 || !HasDepthwiseSteps(len(taps)/2) {
		panic("kernels.DepthwiseSteps: pixels, steps or taps")
	}
	last := (pixels - 1) * srcStep
	if len(src) < last || len(dst) < (pixels-1)*dstStep+c {
		panic("kernels.DepthwiseSteps: short src or dst")
	}
	table.fill("DepthwiseSteps", src[:len(src)-last], w, taps, c)
	depthwiseSteps(dst, dstStep, &table, len(taps)/2, srcStep, c, pixels)
}

// A DepthwiseSpread computes two rows of the gradient with respect to src of a 3x3
// convolution with stride 2, in blocks of two pixels. With u and v the rows m and m-1 of
// the gradient of dst, and w[r][s] the rows of W, block k is
//
//	dst0[2*k] = u[k]*w[0][0] + u[k-1]*w[0][2] + v[k]*w[2][0] + v[k-1]*w[2][2]
//	dst0[2*k+1] = u[k]*w[0][1] + v[k]*w[2][1]
//	dst1[2*k] = u[k]*w[1][0] + u[k-1]*w[1][2]
//	dst1[2*k+1] = u[k]*w[1][1]
//
// with c floats for each element. If First, the second pixel of the block before is
// computed too, if Last, the first pixel of the one behind. Where the u and v that these
// need do not exist, as Before and After say, they count as 0. Products are added in this
// order, fused where the ISA has FMA.
type DepthwiseSpread struct {
	C, Blocks     int
	First, Last   bool
	Before, After bool
	WStride       int
	Store         Store
}

// Run computes the rows. Slices start at the first element that is written or read; dst0
// and dst1 must not overlap each other or the other arguments. From aheadDst and aheadSrc
// on, what comes next is asked for, if they are not nil, where the ISA can. For Streamed
// see [DepthwiseRows.Forward].
func (d *DepthwiseSpread) Run(dst0, dst1, u, v, w, aheadDst, aheadSrc []float32) {
	pixels, from := 2*d.Blocks+boolInt(d.First)+boolInt(d.Last), d.Blocks+boolInt(d.Before)+boolInt(d.After && d.Last)
	switch {
	case d.C < 1 || d.Blocks < 0 || pixels < 1 || d.WStride < d.C:
		panic("kernels.DepthwiseSpread: C, Blocks or WStride")
	case min(len(dst0), len(dst1)) < pixels*d.C || min(len(u), len(v)) < max(1, from)*d.C || len(w) < 8*d.WStride+d.C:
		panic("kernels.DepthwiseSpread: short dst0, dst1, u, v or w")
	}
	depthwiseSpread(d, dst0, dst1, u, v, w, aheadDst, aheadSrc)
}

func depthwiseSpreadGeneric(d *DepthwiseSpread, dst0, dst1, u, v, w []float32) {
	c, first, end := d.C, -boolInt(d.Before), d.Blocks+boolInt(d.After)
	at := func(x []float32, k, i int) float32 {
		if k < first || k >= end {
			return 0
		}
		return x[(k-first)*c+i]
	}
	x := 0
	for p := -boolInt(d.First); p < 2*d.Blocks+boolInt(d.Last); p++ {
		k := (p+2)/2 - 1
		for i := range c {
			weight := func(tap int) float32 { return w[tap*d.WStride+i] }
			if p%2 == 0 {
				dst0[x+i] = at(u, k, i)*weight(0) + at(u, k-1, i)*weight(2) + at(v, k, i)*weight(6) + at(v, k-1, i)*weight(8)
				dst1[x+i] = at(u, k, i)*weight(3) + at(u, k-1, i)*weight(5)
			} else {
				dst0[x+i] = at(u, k, i)*weight(1) + at(v, k, i)*weight(7)
				dst1[x+i] = at(u, k, i) * weight(4)
			}
		}
		x += c
	}
}

// DepthwiseGradPixel adds the weight gradient of one pixel:
//
//	dw[taps[2*t+1]+i] += src[taps[2*t]+i] * dy[i]
func DepthwiseGradPixel(dw, src []float32, taps []int, dy []float32, c int) {
	var table depthwiseTaps
	table.fill("DepthwiseGradPixel", src, dw, taps, c)
	if len(dy) < c {
		panic("kernels.DepthwiseGradPixel: short dy")
	}
	depthwiseGradPixel(&table, len(taps)/2, dy, c)
}

// depthwiseForwardGeneric computes n channels from c0 on.
func depthwiseForwardGeneric(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	for j := range o.Count {
		for p := range d.pixels {
			y := o.Y[(j*d.pixels+p)*d.c+c0:]
			for i := range n {
				v := o.Bias[c0+i]
				for r := range d.size {
					for s := 0; s < d.size && table[j*d.stride+r] != nil; s++ {
						if x := p*d.stride - d.left + s; x >= 0 && x < d.width {
							v += channel(table[j*d.stride+r], x*d.c+i) * o.W[(r*d.size+s)*o.WStride+c0+i]
						}
					}
				}
				y[i] = clampNaN(v, o.Lo, o.Hi)
			}
		}
	}
}

func depthwiseGradientGeneric(d *DepthwiseRows, o *DepthwiseOperands, table *depthwiseTable, c0, n int) {
	for j := range o.Count {
		for r := range d.size {
			for s := range d.size {
				sum := o.W[(r*d.size+s)*o.WStride+c0:][:n]
				if o.Set && j == 0 {
					clear(sum)
				}
				if table[j*d.stride+r] == nil {
					continue
				}
				for p := range d.pixels {
					x, y := p*d.stride-d.left+s, o.Y[(j*d.pixels+p)*d.c+c0:]
					if x < 0 || x >= d.width {
						continue
					}
					for i := range n {
						sum[i] += channel(table[j*d.stride+r], x*d.c+i) * y[i]
					}
				}
			}
		}
	}
}

func depthwisePixelGeneric(dst []float32, taps *depthwiseTaps, count int, bias []float32, lo, hi float32, c int) {
	for i := range c {
		y := bias[i]
		for t := range count {
			y += channel(taps[2*t], i) * channel(taps[2*t+1], i)
		}
		dst[i] = clampNaN(y, lo, hi)
	}
}

func depthwiseStepsGeneric(dst []float32, dstStep int, taps *depthwiseTaps, count, srcStep, c, pixels int) {
	for p := range pixels {
		for i := range c {
			var y float32
			for t := range count {
				y += channel(taps[2*t], p*srcStep+i) * channel(taps[2*t+1], i)
			}
			dst[p*dstStep+i] = y
		}
	}
}

func depthwiseGradPixelGeneric(taps *depthwiseTaps, count int, dy []float32, c int) {
	for t := range count {
		for i := range c {
			setChannel(taps[2*t+1], i, channel(taps[2*t+1], i)+channel(taps[2*t], i)*dy[i])
		}
	}
}
