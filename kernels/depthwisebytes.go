package kernels

// Depthwise convolution of bytes with a 3x3 filter, in rows. Assembly because the
// compiler neither interleaves nor multiplies bytes in vectors.

const (
	byteFilter = 3
	byteWindow = byteFilter * byteFilter
)

// A DepthwiseByteRow computes rows of a depthwise convolution of bytes, in the same
// integers on every instruction set. It is the geometry of such rows and can be used by
// several goroutines at once.
type DepthwiseByteRow struct {
	stride, c, width, left, pixels int
	blocks                         []byteBlock
	lanes                          int // channels of all blocks together
	layout                         byteLayout
}

// A byteBlock is count runs of width channels from c on.
type byteBlock struct{ c, width, count int }

// A byteLayout says how a kernel reads the weights, bias and scale of a block.
type byteLayout uint8

const (
	// byTap: channels in order, for each tap a weight of 16 bits.
	byTap byteLayout = iota
	// byColumn: channels as interleaving leaves them, and for each column of the filter
	// weights of 16 bits, those of rows 0 and 2 of a vector before those of row 1.
	byColumn
	// byColumnBytes: as byColumn, but bytes of rows 0, 1 and 2.
	byColumnBytes
)

// bytesOf is the size of a channel's weights.
func (l byteLayout) bytesOf() int { return [...]int{2 * byteWindow, 8 * byteFilter, 4 * byteFilter}[l] }

// place returns the channel of a block that lies at position j.
func (l byteLayout) place(width, j int) int {
	if l == byTap {
		return j
	}
	lanes := width / 4
	return j%lanes/4*16 + j/lanes*4 + j%4
}

// at returns where the weight of a tap and of the channel at position j is in a block, and
// whether it has 16 bits.
func (l byteLayout) at(width, r, s, j int) (at int, word bool) {
	lanes := width / 4
	switch l {
	case byColumn:
		return ((s*4+j/lanes)*2+r%2)*width + j%lanes*4 + r/2*2, true
	case byColumnBytes:
		return (s*width+j)*4 + r, false
	}
	return 2 * ((r*byteFilter+s)*width + j), true
}

// DepthwiseByteWeights are weights and bias in the form that the kernels of one
// instruction set read.
type DepthwiseByteWeights struct {
	w      []int8
	bias   []int32
	layout byteLayout
}

// NewDepthwiseByteRow returns the kernel of a 3x3 filter for rows of so many pixels of c
// channels, from rows of src of width pixels: the window of pixel p starts at pixel
// p*stride-left, and pixels outside are padding. It is nil where there is none: for a
// stride that is neither 1 nor 2, or fewer channels than a kernel takes at once.
func NewDepthwiseByteRow(stride, c, width, left, pixels int) *DepthwiseByteRow {
	if c < 1 || width < 1 || left < 0 || pixels < 1 {
		panic("kernels.NewDepthwiseByteRow: c, width, left or pixels")
	}
	wide, narrow, layout := depthwiseByteLayout(c)
	if stride != 1 && stride != 2 || c < narrow {
		return nil
	}
	d := &DepthwiseByteRow{stride: stride, c: c, width: width, left: left, pixels: pixels, layout: layout}
	add := func(c, width, count int) {
		if count > 0 {
			d.blocks = append(d.blocks, byteBlock{c, width, count})
			d.lanes += width * count
		}
	}
	whole := c / wide
	add(0, wide, whole)
	// In place of masks, the last blocks compute some channels again.
	switch rest := c - whole*wide; {
	case rest == 0:
	case rest <= narrow:
		add(c-narrow, narrow, 1)
	case whole > 0:
		add(c-wide, wide, 1)
	default:
		add(0, narrow, 1)
		add(c-narrow, narrow, 1)
	}
	return d
}

// eachLane calls f with every position of the blocks, in order: the block's width, the
// positions before the run of channels, the position in it and its channel.
func (d *DepthwiseByteRow) eachLane(f func(width, before, j, channel int)) {
	before := 0
	for _, b := range d.blocks {
		for i := range b.count {
			for j := range b.width {
				f(b.width, before, j, b.c+i*b.width+d.layout.place(b.width, j))
			}
			before += b.width
		}
	}
}

// Pack returns c filters of 3x3 weights, one after the other, and their bias in the form
// that d reads.
func (d *DepthwiseByteRow) Pack(w []int8, bias []int32) *DepthwiseByteWeights {
	if len(w) != byteWindow*d.c || len(bias) != d.c {
		panic("kernels.DepthwiseByteRow.Pack: lengths")
	}
	size := d.layout.bytesOf()
	p := &DepthwiseByteWeights{w: make([]int8, size*d.lanes), bias: make([]int32, d.lanes), layout: d.layout}
	d.eachLane(func(width, before, j, channel int) {
		p.bias[before+j] = bias[channel]
		block := p.w[size*before:][:size*width]
		for t, v := range w[byteWindow*channel:][:byteWindow] {
			at, word := d.layout.at(width, t/byteFilter, t%byteFilter, j)
			block[at] = v
			if word {
				block[at+1] = v >> 7
			}
		}
	})
	return p
}

// Lanes is the length of what [DepthwiseByteRow.PackScale] writes.
func (d *DepthwiseByteRow) Lanes() int { return d.lanes }

// PackScale writes c scales to dst in the form that d reads.
func (d *DepthwiseByteRow) PackScale(dst, scale []float32) {
	if len(dst) < d.lanes || len(scale) < d.c {
		panic("kernels.DepthwiseByteRow.PackScale: lengths")
	}
	d.eachLane(func(_, before, j, channel int) { dst[before+j] = scale[channel] })
}

// DepthwiseByteOperands is what a [DepthwiseByteRow] works on: the rows of Src that
// start at Rows, or Pad where that is negative.
type DepthwiseByteOperands struct {
	Dst   []uint8
	Src   []uint8
	Rows  [byteFilter]int
	Pad   []uint8 // a row of Zero
	Zero  uint8   // of Src: what padding is
	W     *DepthwiseByteWeights
	Scale []float32 // from [DepthwiseByteRow.PackScale]
	Range ByteRange // of an unsigned byte
}

// Run computes a row of dst:
//
//	v = bias[i] + sum over r, s of row(r)[(p*stride-left+s)*c+i] * w[i][r][s]
//	Dst[p*c+i] = round(v*scale[i]) + Range.Zero, kept within Range        p < pixels, i < c
//
// The sum wraps modulo 2^32 and is rounded to float32 first. Dst must not overlap Src.
func (d *DepthwiseByteRow) Run(o *DepthwiseByteOperands) {
	const name = "DepthwiseByteRow.Run"
	r := &o.Range
	switch r.limits(name); {
	case min(r.Zero, r.Min) < 0:
		panic("kernels." + name + ": range of a signed byte")
	case len(o.Dst) < d.pixels*d.c:
		panic("kernels." + name + ": short Dst")
	case o.W == nil || o.W.layout != d.layout || len(o.W.bias) != d.lanes || len(o.Scale) < d.lanes:
		panic("kernels." + name + ": W or Scale of another kernel")
	}
	var rows [byteFilter]*uint8
	for i, at := range o.Rows {
		row, from := o.Src, at
		if at < 0 {
			row, from = o.Pad, 0
		}
		if len(row)-from < d.width*d.c {
			panic("kernels." + name + ": row out of range")
		}
		rows[i] = &row[from]
	}
	before := 0
	for _, b := range d.blocks {
		at := rows
		for i, p := range at {
			at[i] = byteFrom(p, b.c)
		}
		depthwiseByteRow(d, o, &at, b, before)
		before += b.width * b.count
	}
}

// fourBytes holds one byte four times.
func fourBytes[T uint8 | int32](v T) uint32 { return uint32(uint8(v)) * 0x01010101 }

// depthwiseByteRowGeneric computes the channels of a block, whose weights are by tap.
func depthwiseByteRowGeneric(d *DepthwiseByteRow, o *DepthwiseByteOperands, rows *[byteFilter]*uint8, b byteBlock, before int) {
	lo, hi := o.Range.limits("DepthwiseByteRow.Run")
	w, bias, scale := o.W.w[d.layout.bytesOf()*before:], o.W.bias[before:], o.Scale[before:]
	for p := range d.pixels {
		for i := range b.width {
			v := bias[i]
			for t := range byteWindow {
				x := int32(o.Zero)
				if at := p*d.stride - d.left + t%byteFilter; at >= 0 && at < d.width {
					x = int32(byteAt(rows[t/byteFilter], at*d.c+i))
				}
				at, _ := byTap.at(b.width, t/byteFilter, t%byteFilter, i)
				v += x * int32(w[at])
			}
			o.Dst[p*d.c+b.c+i] = o.Range.quantise(float32(v)*scale[i], lo, hi)
		}
	}
}
