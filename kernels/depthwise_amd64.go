//go:build !purego

package kernels

import (
	"unsafe"

	"github.com/golanes/lanes/kernels/internal/isa"
)

// What the kernels of amd64 for rows of a depthwise convolution are told.

// The bits of the flags that they take.
const (
	depthwiseClamp = 1 << iota
	depthwiseFetch
	depthwiseFetchY
	depthwiseStream
	depthwiseSet
)

func (d *DepthwiseRows) flags(o *DepthwiseOperands) int {
	return boolInt(o.Lo > negativeInf || o.Hi < positiveInf)*depthwiseClamp |
		boolInt(len(o.Ahead) > 0)*depthwiseFetch | boolInt(len(o.AheadY) > 0)*depthwiseFetchY | boolInt(o.Set)*depthwiseSet | boolInt(streamsPixels(o.Store, o.Y[o.From:], d.c))*depthwiseStream
}

// streamsPixels reports whether stores to pixels of c channels at y can pass the caches:
// a vector has to be a line.
func streamsPixels(how Store, y []float32, c int) bool {
	return how == Streamed && isa.Active == isa.AVX512 && (uintptr(unsafe.Pointer(&y[0]))|uintptr(4*c))%cacheLine == 0
}

// cut divides a row into pixels that are computed alone, tiles, and such pixels again.
func (d *DepthwiseRows) cut(tile int) (first, tiles, last int) {
	if tiles = (d.end - d.first) / tile; tiles == 0 {
		return d.pixels, 0, 0
	}
	return d.first, tiles, d.pixels - d.first - tiles*tile
}

// ahead returns what the kernels ask for: their own operands, if the caller names
// nothing.
func (d *DepthwiseRows) ahead(o *DepthwiseOperands, table *depthwiseTable) (src, y *float32) {
	src, y = table[0], &o.Y[0]
	if len(o.Ahead) > 0 {
		src = &o.Ahead[0]
	}
	if len(o.AheadY) > 0 {
		y = &o.AheadY[0]
	}
	return src, y
}

// ahead returns what the kernel asks for, and its flags, which have no limits.
func (d *DepthwiseSpread) ahead(dst0, dst1, u, aheadDst, aheadSrc []float32) (dst, src *float32, flags int) {
	dst, src = &dst0[0], &u[0]
	if len(aheadDst) > 0 {
		dst, flags = &aheadDst[0], depthwiseFetchY
	}
	if len(aheadSrc) > 0 {
		src, flags = &aheadSrc[0], flags|depthwiseFetch
	}
	if streamsPixels(d.Store, dst0, d.C) && streamsPixels(d.Store, dst1, d.C) {
		flags |= depthwiseStream
	}
	return dst, src, flags
}
