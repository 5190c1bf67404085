package kernels

import "math"

// The kernels of this file are pooling with stride 2, and its gradients, over planes
// (NCHW) that the windows fill: of k x k elements, k = 2 or 3, over 2*oh x 2*ow, where
// those of 3 x 3 begin one row and one column outside. In assembly for the reason given
// in channels.go: a row of outputs goes with the even and the odd columns of two rows,
// each a vector of its own.

// minPlaneRow is the shortest row of outputs for which the kernels beat a turn to NHWC
// and back: the vector of AVX2.
const minPlaneRow = 8

// maxHalvePlane bounds the outputs of a plane in an assembly call: some 150 us. Larger
// ones take the twins.
const maxHalvePlane = windowWork / 4

// Halves tells whether [HalveMax], [HalveMaxBackward] and [HalveAvgBackward] are
// worth it for planes of oh x ow outputs and windows of k x k.
func Halves(oh, ow, k int) bool {
	return ow >= minPlaneRow && oh <= maxHalvePlane/ow && (k == 2 || k == 3)
}

// A halveCall is a call of the kernels of this file: planes of oh x ow outputs.
type halveCall struct {
	planes, oh, ow, k int
	how               Store
}

// check wants room for the outputs and for four times as many inputs.
func (p *halveCall) check(name string, outputs, inputs int) {
	if p.planes|p.oh|p.ow < 0 || p.k != 2 && p.k != 3 {
		panic("kernels." + name + ": negative size or unknown window")
	}
	if p.ow > 0 && p.oh > math.MaxInt/4/p.ow || p.oh*p.ow > 0 && p.planes > math.MaxInt/4/(p.oh*p.ow) {
		panic("kernels." + name + ": size overflows")
	}
	if n := p.planes * p.oh * p.ow; n > outputs || 4*n > inputs {
		panic("kernels." + name + ": dst or src is too short")
	}
}

// vectors returns how a row is taken in vectors of so many lanes, ow >= lanes: full
// ones, and one that ends with the row and lies back elements over the last of those;
// covered is 1 if that is half a vector or more.
func (p *halveCall) vectors(lanes int) (full, back, covered int) {
	full = (p.ow - 1) / lanes
	back = (full+1)*lanes - p.ow
	return full, back, back / (lanes / 2)
}

// between returns the same for rows that begin with a vector of their own: the full
// ones behind it, and in more whether there is another one.
func (p *halveCall) between(lanes int) (middle, back, more int) {
	full, back, _ := p.vectors(lanes)
	return max(0, full-1), back, min(full, 1)
}

// next returns the planes of a call.
func (p *halveCall) next() int { return min(p.planes, maxHalvePlane/(p.oh*p.ow)) }

// HalveMax sets dst to the maximum over windows and index to the number of the tap it
// was found at: the first in row-major order among equal values (-0 equals 0), the last
// NaN if there is one. src is planes x 2*oh x 2*ow, dst and index are planes x oh x ow;
// tap (r, s) of output (y, x) has number r*k+s and is element (2*y+r, 2*x+s), less one
// in both for k = 3. dst and src must not overlap.
func HalveMax(dst, src []float32, index []uint8, planes, oh, ow, k int) {
	p := halveCall{planes, oh, ow, k, Cached}
	p.check("HalveMax", min(len(dst), len(index)), len(src))
	if oh*ow > maxHalvePlane {
		halveMaxGeneric(dst, src, index, &p)
		return
	}
	for n := oh * ow; n > 0 && p.planes > 0; {
		all := p.planes
		p.planes = p.next()
		halveMax(dst, src, index, &p)
		dst, src, index = dst[p.planes*n:], src[p.planes*4*n:], index[p.planes*n:]
		p.planes = all - p.planes
	}
}

// HalveMaxBackward sets dst to the gradient of a maximum over windows: the sum of those
// src in whose window an element lies, and whose index is its number there, added in
// row-major order. src and index are planes x oh x ow, dst is planes x 2*oh x 2*ow, and
// taps are those of [HalveMax]. [Store.Fence] must follow before another thread looks at
// dst, which must not overlap src.
func HalveMaxBackward(dst, src []float32, index []uint8, planes, oh, ow, k int, how Store) {
	p := halveCall{planes, oh, ow, k, how}
	p.check("HalveMaxBackward", min(len(src), len(index)), len(dst))
	if oh*ow > maxHalvePlane {
		halveMaxBackwardGeneric(dst, src, index, &p)
		return
	}
	for n := oh * ow; n > 0 && p.planes > 0; {
		all := p.planes
		p.planes = p.next()
		halveMaxBackward(dst, src, index, &p)
		dst, src, index = dst[p.planes*4*n:], src[p.planes*n:], index[p.planes*n:]
		p.planes = all - p.planes
	}
}

// HalveAvgBackward sets dst to scale times the sum of those src in whose window an
// element lies, with sizes and windows as in [HalveMaxBackward], and stores like it. The two in a row are
// added first, so the error is at most 3*eps times scale times the sum of their
// magnitudes, eps = 2^-24.
func HalveAvgBackward(dst, src []float32, scale float32, planes, oh, ow, k int, how Store) {
	p := halveCall{planes, oh, ow, k, how}
	p.check("HalveAvgBackward", len(src), len(dst))
	if oh*ow > maxHalvePlane {
		halveAvgBackwardGeneric(dst, src, scale, &p)
		return
	}
	for n := oh * ow; n > 0 && p.planes > 0; {
		all := p.planes
		p.planes = p.next()
		halveAvgBackward(dst, src, scale, &p)
		dst, src = dst[p.planes*4*n:], src[p.planes*n:]
		p.planes = all - p.planes
	}
}

func halveMaxGeneric(dst, src []float32, index []uint8, p *halveCall) {
	n, width := p.oh*p.ow, 2*p.ow
	for i := range p.planes {
		dst, src, index := dst[i*n:(i+1)*n], src[i*4*n:(i+1)*4*n], index[i*n:(i+1)*n]
		for y := range p.oh {
			for x := range p.ow {
				row, col := 2*y-(p.k-2), 2*x-(p.k-2)
				r, s := max(0, -row), max(0, -col)
				best, from := src[(row+r)*width+col+s], r*p.k+s
				for r := r; r < p.k; r++ {
					for s := s; s < p.k; s++ {
						if v := src[(row+r)*width+col+s]; v > best || v != v {
							best, from = v, r*p.k+s
						}
					}
				}
				dst[y*p.ow+x], index[y*p.ow+x] = best, uint8(from)
			}
		}
	}
}

func halveMaxBackwardGeneric(dst, src []float32, index []uint8, p *halveCall) {
	n := p.oh * p.ow
	for i := range p.planes {
		dst, src, index := dst[i*4*n:(i+1)*4*n], src[i*n:(i+1)*n], index[i*n:(i+1)*n]
		clear(dst)
		for y := range p.oh {
			for x := range p.ow {
				tap := int(index[y*p.ow+x])
				row, col := 2*y+tap/p.k-(p.k-2), 2*x+tap%p.k-(p.k-2)
				if row >= 0 && col >= 0 && tap < p.k*p.k {
					dst[row*2*p.ow+col] += src[y*p.ow+x]
				}
			}
		}
	}
}

func halveAvgBackwardGeneric(dst, src []float32, scale float32, p *halveCall) {
	n := p.oh * p.ow
	for i := range p.planes {
		dst, src := dst[i*4*n:(i+1)*4*n], src[i*n:(i+1)*n]
		for row := range 2 * p.oh {
			for col := range 2 * p.ow {
				// An odd row or column of windows of three lies in the next one, too.
				rows, cols := 1, 1
				if p.k == 3 {
					rows, cols = min(1+row%2, p.oh-row/2), min(1+col%2, p.ow-col/2)
				}
				var sum float32
				for y := row / 2; y < row/2+rows; y++ {
					var part float32
					for _, v := range src[y*p.ow+col/2:][:cols] {
						part += v
					}
					sum += part
				}
				dst[row*2*p.ow+col] = scale * sum
			}
		}
	}
}
