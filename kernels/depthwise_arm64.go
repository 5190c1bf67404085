//go:build !purego

package kernels

import (
	"unsafe"

	"github.com/golanes/lanes/asm/neon"
)

// The kernels of NEON for rows of a depthwise convolution take the pixels whose window
// is inside the row; those with padding beside them are computed one by one.

// forwardNEON computes n channels from c0 on of row j of Y, from the rows of a table
// that starts at channel c0.
func (d *DepthwiseRows) forwardNEON(o *DepthwiseOperands, rows []*float32, j, c0, n int) {
	y := o.Y[j*d.pixels*d.c+c0:]
	if pixels := d.end - d.first; pixels > 0 {
		inside := d.insideRows(rows, o.Zero)
		dst, w, bias := &y[d.first*d.c], &o.W[c0], &o.Bias[c0]
		switch {
		case d.size == 3 && d.stride == 1:
			neon.DepthwiseRow3s1(dst, &inside[0], w, o.WStride, bias, o.Lo, o.Hi, n, d.c, pixels)
		case d.size == 3 && d.stride == 2:
			neon.DepthwiseRow3s2(dst, &inside[0], w, o.WStride, bias, o.Lo, o.Hi, n, d.c, pixels)
		case d.size == 5 && d.stride == 1:
			neon.DepthwiseRow5s1(dst, &inside[0], w, o.WStride, bias, o.Lo, o.Hi, n, d.c, pixels)
		case d.size == 5 && d.stride == 2:
			neon.DepthwiseRow5s2(dst, &inside[0], w, o.WStride, bias, o.Lo, o.Hi, n, d.c, pixels)
		}
	}
	var taps depthwiseTaps
	for p := range d.pixels {
		if p < d.first || p >= d.end {
			count := d.edgeTaps(&taps, rows, p, &o.W[c0], o.WStride)
			neon.DepthwisePixel(&y[p*d.c], &taps[0], count, &o.Bias[c0], o.Lo, o.Hi, n)
		}
	}
}

func (d *DepthwiseRows) gradientNEON(o *DepthwiseOperands, rows []*float32, j, c0, n int) {
	y := o.Y[j*d.pixels*d.c+c0:]
	if pixels := d.end - d.first; pixels > 0 {
		inside := d.insideRows(rows, o.Zero)
		w, dy := &o.W[c0], &y[d.first*d.c]
		switch {
		case d.size == 3 && d.stride == 1:
			neon.DepthwiseGradRow3s1(w, o.WStride, &inside[0], dy, n, d.c, pixels)
		case d.size == 3 && d.stride == 2:
			neon.DepthwiseGradRow3s2(w, o.WStride, &inside[0], dy, n, d.c, pixels)
		case d.size == 5 && d.stride == 1:
			neon.DepthwiseGradRow5s1(w, o.WStride, &inside[0], dy, n, d.c, pixels)
		case d.size == 5 && d.stride == 2:
			neon.DepthwiseGradRow5s2(w, o.WStride, &inside[0], dy, n, d.c, pixels)
		}
	}
	var taps depthwiseTaps
	for p := range d.pixels {
		if p < d.first || p >= d.end {
			count := d.edgeTaps(&taps, rows, p, &o.W[c0], o.WStride)
			neon.DepthwiseGradPixel(&y[p*d.c], &taps[0], count, n)
		}
	}
}

// insideRows returns where the window of the first pixel without padding starts, in rows
// of zeros where there is none.
func (d *DepthwiseRows) insideRows(rows []*float32, zero []float32) (inside depthwiseTable) {
	for r, p := range rows[:d.size] {
		if p == nil {
			inside[r] = &zero[0]
		} else {
			inside[r] = pixelOf(p, (d.first*d.stride-d.left)*d.c)
		}
	}
	return inside
}

// edgeTaps lists the taps of pixel p inside the rows, and returns their number.
func (d *DepthwiseRows) edgeTaps(taps *depthwiseTaps, rows []*float32, p int, w *float32, wStride int) int {
	count := 0
	for r := range d.size {
		for s := range d.size {
			if x := p*d.stride - d.left + s; rows[r] != nil && x >= 0 && x < d.width {
				taps[2*count] = pixelOf(rows[r], x*d.c)
				taps[2*count+1] = pixelOf(w, (r*d.size+s)*wStride)
				count++
			}
		}
	}
	return count
}

// pixelOf returns the address of float at of the array at p.
func pixelOf(p *float32, at int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*at))
}
