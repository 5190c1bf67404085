package kernels

import "unsafe"

// The transforms of Winograd's convolution F(m x m, 3 x 3) for m = 2 and 4,
// t = m+2: an m x m tile of outputs costs t*t products for each pair of
// channels instead of 9*m*m. In matrix form, with d a t x t tile of src, g a
// filter and e an m x m tile of ddst,
//
//	dst  = A' [ sum over c of (G g G') . (B' d B) ] A
//	dg   = G' [ sum over tiles of (B' d B) . (A e A') ] G
//
// where . is the product of elements. The points of interpolation are 0, 1, -1
// and infinity for m = 2, and 1/2 and -2 besides for m = 4.
//
// The functions transform all of n channels, which are consecutive floats.
// Offsets say where the channels of each pixel of a tile start. Transformed
// tiles are arrays of t*t (3*3 for filters) values that lie stride apart for a
// channel, in slices of channels for the transforms of tiles, which run one after
// another. scratch has [WinogradScratch] floats for the channels of a call or of a
// slice; it must not overlap the other arguments, nor they each other. Columns of a
// tile are multiplied first, then rows. The pure-Go twins sum up to t products in
// order and add the bias last; assembly shares sums and differences between the rows of
// a matrix and adds the bias first, so that the last bits differ.

// winogradMax is the largest t.
const winogradMax = 6

// WinogradScratch returns the floats of scratch for n channels: whole vectors,
// and on NEON one vector for each channel of the last, incomplete one.
func WinogradScratch(n int) int { return ((n+15)/16*16 + 16) * winogradMax * winogradMax }

// The matrices B' (t x t), G (t x 3) and A' (m x t).
var (
	winogradData2   = [][]float32{{-1, 0, 1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}}
	winogradFilter2 = [][]float32{{-1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}
	winogradOutput2 = [][]float32{{1, 1, 1, 0}, {0, 1, -1, 1}}

	winogradData4 = [][]float32{
		{1, -1.5, -2, 1.5, 1, 0},
		{0, -1, 0.5, 2.5, 1, 0},
		{0, 1, -2.5, 0.5, 1, 0},
		{0, -2, -1, 2, 1, 0},
		{0, 0.5, -1, -0.5, 1, 0},
		{0, 1, -1.5, -2, 1.5, 1},
	}
	winogradFilter4 = [][]float32{
		{1, 0, 0},
		{1. / 3, 1. / 3, 1. / 3},
		{-1. / 3, 1. / 3, -1. / 3},
		{-16. / 15, -8. / 15, -4. / 15},
		{1. / 15, -2. / 15, 4. / 15},
		{0, 0, 1},
	}
	winogradOutput4 = [][]float32{
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 0.5, -2, 0},
		{0, 1, 1, 0.25, 4, 0},
		{0, 1, -1, 0.125, -8, 1},
	}
)

func winogradMatrices(m int) (data, filter, output [][]float32) {
	switch m {
	case 2:
		return winogradData2, winogradFilter2, winogradOutput2
	case 4:
		return winogradData4, winogradFilter4, winogradOutput4
	}
	panic("kernels.Winograd: m must be 2 or 4")
}

// checkWinograd panics unless a strided array of count values and n channels
// fits x, and scratch is long enough.
func checkWinograd(name string, x []float32, stride, count, n int, scratch []float32) {
	if n < 1 || stride < n {
		panic("kernels." + name + ": n < 1 or stride < n")
	}
	if len(x) < (count-1)*stride+n {
		panic("kernels." + name + ": short array")
	}
	if len(scratch) < WinogradScratch(n) {
		panic("kernels." + name + ": short scratch")
	}
}

// A winogradTable holds the addresses of a tile's pixels.
type winogradTable [winogradMax * winogradMax]*float32

// channel and setChannel access float c of the pixel at p, which fill has
// checked to have n of them.
func channel(p *float32, c int) float32 {
	return *(*float32)(unsafe.Add(unsafe.Pointer(p), 4*c))
}

func setChannel(p *float32, c int, v float32) {
	*(*float32)(unsafe.Add(unsafe.Pointer(p), 4*c)) = v
}

// fill points the table at the pixels; a negative offset stands for spare,
// which like every pixel must have n floats.
func (w *winogradTable) fill(name string, count int, x []float32, offsets []int32, spare []float32, n int) {
	if len(offsets) < count || len(spare) < n {
		panic("kernels." + name + ": short offsets or spare pixel")
	}
	for i, o := range offsets[:count] {
		if int(o) > len(x)-n {
			panic("kernels." + name + ": offset out of range")
		}
		if o < 0 {
			w[i] = &spare[0]
		} else {
			w[i] = &x[o]
		}
	}
}

// aligned reports whether the first count pixels start on cache lines.
func (w *winogradTable) aligned(count int) bool {
	at := uintptr(0)
	for _, p := range w[:count] {
		at |= uintptr(unsafe.Pointer(p))
	}
	return at%cacheLine == 0
}

// advance moves the first count pixels by n floats.
func (w *winogradTable) advance(count, n int) {
	for i, p := range w[:count] {
		w[i] = (*float32)(unsafe.Add(unsafe.Pointer(p), 4*n))
	}
}

// A WinogradSlices is the layout of a transformed tile: value i of channel c is at
// c/Width*Step + i*Stride + c%Width.
type WinogradSlices struct{ Stride, Width, Step int }

// check panics unless n channels of count values fit x, and scratch is long enough
// for a slice.
func (s *WinogradSlices) check(name string, x []float32, count, n int, scratch []float32) {
	if s.Width < 1 || s.Step < 0 {
		panic("kernels." + name + ": slices")
	}
	checkWinograd(name, x, s.Stride, count, min(n, s.Width), scratch)
	if last := (n - 1) / s.Width * s.Width; last > 0 && len(x) < last/s.Width*s.Step+(count-1)*s.Stride+n-last {
		panic("kernels." + name + ": short array")
	}
}

// WinogradInput computes v = B'dB for the t x t tile of src whose pixels start
// at offsets, row by row. Where an offset is negative it reads zero, which holds
// n zeros.
func WinogradInput(m int, v []float32, at WinogradSlices, src []float32, offsets []int32, zero []float32, n int, scratch []float32) {
	count := (m + 2) * (m + 2)
	at.check("WinogradInput", v, count, n, scratch)
	var table winogradTable
	table.fill("WinogradInput", count, src, offsets, zero, n)
	for c := 0; ; v = v[at.Step:] {
		winogradInput(m, v, at.Stride, &table, min(at.Width, n-c), scratch)
		if c += at.Width; c >= n {
			return
		}
		table.advance(count, at.Width)
	}
}

// WinogradGrad computes v = AeA' (t x t) for the m x m tile of ddst whose pixels
// start at offsets; a negative offset reads zero.
func WinogradGrad(m int, v []float32, at WinogradSlices, ddst []float32, offsets []int32, zero []float32, n int, scratch []float32) {
	at.check("WinogradGrad", v, (m+2)*(m+2), n, scratch)
	var table winogradTable
	table.fill("WinogradGrad", m*m, ddst, offsets, zero, n)
	for c := 0; ; v = v[at.Step:] {
		winogradGrad(m, v, at.Stride, &table, min(at.Width, n-c), scratch)
		if c += at.Width; c >= n {
			return
		}
		table.advance(m*m, at.Width)
	}
}

// WinogradFilter computes u = GgG' (t x t) of 3x3 filters; n counts pairs of
// channels. With [Streamed] u passes the caches, if it and uStride are whole cache
// lines: [Store.Fence] must follow before another thread looks at it.
func WinogradFilter(m int, u []float32, uStride int, g []float32, gStride, n int, scratch []float32, store Store) {
	checkWinograd("WinogradFilter", u, uStride, (m+2)*(m+2), n, scratch)
	checkWinograd("WinogradFilter", g, gStride, 9, n, scratch)
	aligned := (uintptr(unsafe.Pointer(&u[0]))/4|uintptr(uStride))%lineFloats == 0
	winogradFilter(m, u, uStride, g, gStride, n, scratch, aligned && store == Streamed)
}

// WinogradFilterGrad computes dg = G'uG (3 x 3) of the gradients u of
// transformed filters.
func WinogradFilterGrad(m int, dg []float32, gStride int, u []float32, uStride, n int, scratch []float32) {
	checkWinograd("WinogradFilterGrad", u, uStride, (m+2)*(m+2), n, scratch)
	checkWinograd("WinogradFilterGrad", dg, gStride, 9, n, scratch)
	winogradFilterGrad(m, dg, gStride, u, uStride, n, scratch)
}

// WinogradOutput computes min(hi, max(lo, A'uA + bias + residual)) and stores it
// to the m x m tile of dst whose pixels start at offsets; a pixel with a negative
// offset is not stored. bias has n floats. residual is nil or has dst's layout;
// it may be dst. NaN passes through min and max. The values of pixels that are
// not stored go to trash, n floats. With [Streamed] whole cache lines pass the caches
// where a vector is one, if all pixels start on lines: [Store.Fence] must follow before
// another thread looks at dst.
func WinogradOutput(m int, dst []float32, offsets []int32, trash []float32, u []float32, stride int, bias, residual []float32, n int, lo, hi float32, scratch []float32, store Store) {
	checkWinograd("WinogradOutput", u, stride, (m+2)*(m+2), n, scratch)
	if len(bias) < n {
		panic("kernels.WinogradOutput: short bias")
	}
	var out, add winogradTable
	out.fill("WinogradOutput", m*m, dst, offsets, trash, n)
	if residual != nil {
		add.fill("WinogradOutput", m*m, residual, offsets, trash, n)
	}
	winogradOutput(m, &out, &add, u, stride, bias, residual != nil, n, lo, hi, scratch, store == Streamed && out.aligned(m*m))
}

// PrefetchPixels asks for x[i*rowStep+j*pixelStep:][:n], i < rows, j < pixels, in the
// second-level cache, on amd64. A caller that computes can so have near what it will
// read or write next. Rows that reach beyond x are left out.
func PrefetchPixels(x []float32, rowStep, rows, pixelStep, pixels, n int) {
	if rowStep < 0 || pixelStep < 0 || rows < 0 || pixels < 1 || n < 0 {
		panic("kernels.PrefetchPixels: negative size")
	}
	for rows > 0 && (rows-1)*rowStep+(pixels-1)*pixelStep+n > len(x) {
		rows--
	}
	if rows > 0 && n > 0 {
		prefetchPixels(x, rowStep, rows, pixelStep, pixels, n)
	}
}

// sandwich computes T X T' for one channel: columns first.
func sandwich(t [][]float32, y, x *[winogradMax][winogradMax]float32) {
	p := len(t[0])
	var half [winogradMax][winogradMax]float32
	for i, row := range t {
		for j := range p {
			sum := float32(0)
			for k, c := range row {
				if c != 0 {
					sum += c * x[k][j]
				}
			}
			half[i][j] = sum
		}
	}
	for i := range t {
		for j, row := range t {
			sum := float32(0)
			for k, c := range row {
				if c != 0 {
					sum += c * half[i][k]
				}
			}
			y[i][j] = sum
		}
	}
}

// Transposes that the pure-Go twins use, made once.
var (
	winogradFilter2T, winogradOutput2T = transposed(winogradFilter2), transposed(winogradOutput2)
	winogradFilter4T, winogradOutput4T = transposed(winogradFilter4), transposed(winogradOutput4)
)

// winogradTransposed returns G' and A.
func winogradTransposed(m int) (filter, output [][]float32) {
	if m == 2 {
		return winogradFilter2T, winogradOutput2T
	}
	return winogradFilter4T, winogradOutput4T
}

func transposed(t [][]float32) [][]float32 {
	u := make([][]float32, len(t[0]))
	for i := range u {
		for j := range t {
			u[i] = append(u[i], t[j][i])
		}
	}
	return u
}

// winogradPixelsGeneric is the twin of the transforms that read pixels.
func winogradPixelsGeneric(t [][]float32, v []float32, stride int, table *winogradTable, n int) {
	p := len(t[0])
	var x, y [winogradMax][winogradMax]float32
	for c := range n {
		for i := range p {
			for j := range p {
				x[i][j] = channel(table[i*p+j], c)
			}
		}
		sandwich(t, &y, &x)
		for i := range t {
			for j := range t {
				v[(i*len(t)+j)*stride+c] = y[i][j]
			}
		}
	}
}

func winogradInputGeneric(m int, v []float32, stride int, table *winogradTable, n int) {
	data, _, _ := winogradMatrices(m)
	winogradPixelsGeneric(data, v, stride, table, n)
}

func winogradGradGeneric(m int, v []float32, stride int, table *winogradTable, n int) {
	_, output := winogradTransposed(m)
	winogradPixelsGeneric(output, v, stride, table, n)
}

// winogradStridedGeneric is the twin of the transforms of filters.
func winogradStridedGeneric(t [][]float32, out []float32, outStride int, in []float32, inStride, n int) {
	p := len(t[0])
	var x, y [winogradMax][winogradMax]float32
	for c := range n {
		for i := range p {
			for j := range p {
				x[i][j] = in[(i*p+j)*inStride+c]
			}
		}
		sandwich(t, &y, &x)
		for i := range t {
			for j := range t {
				out[(i*len(t)+j)*outStride+c] = y[i][j]
			}
		}
	}
}

func winogradFilterGeneric(m int, u []float32, uStride int, g []float32, gStride, n int) {
	_, filter, _ := winogradMatrices(m)
	winogradStridedGeneric(filter, u, uStride, g, gStride, n)
}

func winogradFilterGradGeneric(m int, dg []float32, gStride int, u []float32, uStride, n int) {
	filter, _ := winogradTransposed(m)
	winogradStridedGeneric(filter, dg, gStride, u, uStride, n)
}

func winogradOutputGeneric(m int, out, residual *winogradTable, u []float32, stride int, bias []float32, addResidual bool, n int, lo, hi float32) {
	_, _, matrix := winogradMatrices(m)
	t := m + 2
	var x, y [winogradMax][winogradMax]float32
	for c := range n {
		for i := range t {
			for j := range t {
				x[i][j] = u[(i*t+j)*stride+c]
			}
		}
		sandwich(matrix, &y, &x)
		for i := range m {
			for j := range m {
				v := y[i][j] + bias[c]
				if addResidual {
					v += channel(residual[i*m+j], c)
				}
				setChannel(out[i*m+j], c, clampNaN(v, lo, hi))
			}
		}
	}
}

// clampNaN is min(hi, max(lo, v)), NaN if v is.
func clampNaN(v, lo, hi float32) float32 {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}
