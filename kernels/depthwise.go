package kernels

// Kernels of depthwise convolution: every channel has its own filter, so that
// channels go into the lanes. Pixels are c consecutive floats; a filter's taps
// are rows of w, wStride floats apart.

const (
	depthwiseMaxSize = 5
	// DepthwiseMaxTaps is the most taps that the kernels for single pixels take.
	DepthwiseMaxTaps = 64
)

type (
	depthwiseRows [depthwiseMaxSize]*float32
	depthwiseTaps [2 * DepthwiseMaxTaps]*float32
)

// HasDepthwiseRow reports whether [DepthwiseRow] and [DepthwiseGradRow] take a
// filter of size x size at a stride.
func HasDepthwiseRow(size, stride int) bool {
	return (size == 3 || size == 5) && (stride == 1 || stride == 2)
}

// fill points the table at the filter's rows; a negative offset stands for zero.
func (d *depthwiseRows) fill(name string, size, stride int, src []float32, rows []int, zero []float32, c, pixels int) {
	if !HasDepthwiseRow(size, stride) || c < 1 || pixels < 1 || len(rows) < size {
		panic("kernels." + name + ": size, stride, c, pixels or rows")
	}
	length := ((pixels-1)*stride + size) * c
	for r, o := range rows[:size] {
		x := zero
		if o >= 0 {
			x = src[min(o, len(src)):]
		}
		if len(x) < length {
			panic("kernels." + name + ": row out of range")
		}
		d[r] = &x[0]
	}
}

// DepthwiseRow computes consecutive pixels of one row of dst, all of whose taps
// lie inside src or in rows of padding:
//
//	y = bias[i] + sum over r, s of row(r)[(p*stride+s)*c+i] * w[(r*size+s)*wStride+i]
//	dst[p*c+i] = min(hi, max(lo, y))        p < pixels, i < c
//
// where row(r) is src from rows[r] on, or zero if rows[r] is negative. The sum
// starts with the bias and adds products in the order of r, then s, fused where
// the ISA has FMA. NaN passes through min and max; lo and hi are not NaN. Where a
// limit and y are zeros of different sign, either may be the result. dst must not
// overlap the other arguments. size and stride must be as [HasDepthwiseRow] says.
func DepthwiseRow(size, stride int, dst, src []float32, rows []int, zero, w []float32, wStride int, bias []float32, lo, hi float32, c, pixels int) {
	var table depthwiseRows
	table.fill("DepthwiseRow", size, stride, src, rows, zero, c, pixels)
	if len(dst) < pixels*c || len(w) < (size*size-1)*wStride+c || wStride < c || len(bias) < c {
		panic("kernels.DepthwiseRow: short dst, w or bias")
	}
	depthwiseRow(size, stride, dst, &table, w, wStride, bias, lo, hi, c, pixels)
}

// DepthwiseGradRow adds the weight gradient of consecutive pixels of one row of
// dst, with row as in [DepthwiseRow]:
//
//	dw[(r*size+s)*wStride+i] += row(r)[(p*stride+s)*c+i] * dy[p*c+i]    p < pixels in order
func DepthwiseGradRow(size, stride int, dw []float32, wStride int, src []float32, rows []int, zero, dy []float32, c, pixels int) {
	var table depthwiseRows
	table.fill("DepthwiseGradRow", size, stride, src, rows, zero, c, pixels)
	if len(dy) < pixels*c || len(dw) < (size*size-1)*wStride+c || wStride < c {
		panic("kernels.DepthwiseGradRow: short dy or dw")
	}
	depthwiseGradRow(size, stride, dw, wStride, &table, dy, c, pixels)
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

func depthwiseRowGeneric(size, stride int, dst []float32, rows *depthwiseRows, w []float32, wStride int, bias []float32, lo, hi float32, c, pixels int) {
	for p := range pixels {
		for i := range c {
			y := bias[i]
			for r := range size {
				for s := range size {
					y += channel(rows[r], (p*stride+s)*c+i) * w[(r*size+s)*wStride+i]
				}
			}
			dst[p*c+i] = clampNaN(y, lo, hi)
		}
	}
}

func depthwiseGradRowGeneric(size, stride int, dw []float32, wStride int, rows *depthwiseRows, dy []float32, c, pixels int) {
	for r := range size {
		for s := range size {
			for p := range pixels {
				for i := range c {
					dw[(r*size+s)*wStride+i] += channel(rows[r], (p*stride+s)*c+i) * dy[p*c+i]
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
