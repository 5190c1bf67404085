package data

import (
	"image"
	"image/color"
)

// halve draws the rectangle of img that starts at from, twice as wide and high as
// dst, into dst: each pixel is the mean of 2 x 2 in 16 bits, premultiplied by
// alpha, of which the upper eight are kept.
func halve(dst *image.RGBA, img image.Image, from image.Point) {
	switch src := img.(type) {
	case *image.YCbCr:
		halveYCbCr(dst, src, from)
	case *image.RGBA:
		halveBytes(dst, src.Pix, src.PixOffset(from.X, from.Y), src.Stride, false)
	case *image.NRGBA:
		halveBytes(dst, src.Pix, src.PixOffset(from.X, from.Y), src.Stride, true)
	case *image.Gray:
		halveGray(dst, src.Pix, src.PixOffset(from.X, from.Y), src.Stride)
	case image.RGBA64Image:
		halveAny(dst, src.RGBA64At, from)
	default:
		halveAny(dst, func(x, y int) color.RGBA64 {
			r, g, b, a := img.At(x, y).RGBA()
			return color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
		}, from)
	}
}

// halveBytes takes red, green, blue and alpha bytes from pix[offset:].
func halveBytes(dst *image.RGBA, pix []byte, offset, stride int, premultiply bool) {
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := range h {
		upper := pix[offset+2*y*stride:][:8*w]
		lower := pix[offset+(2*y+1)*stride:][:8*w]
		out := dst.Pix[y*dst.Stride:][:4*w]
		for x := range w {
			a, b := upper[8*x:8*x+8], lower[8*x:8*x+8]
			q := out[4*x : 4*x+4]
			alphas := [4]uint32{uint32(a[3]), uint32(a[7]), uint32(b[3]), uint32(b[7])}
			for k := range 3 {
				v := [4]uint32{uint32(a[k]), uint32(a[4+k]), uint32(b[k]), uint32(b[4+k])}
				sum := uint32(0)
				for i := range v {
					wide := v[i] * 0x101
					if premultiply {
						wide = wide * alphas[i] / 0xff
					}
					sum += wide
				}
				q[k] = uint8(sum >> 10)
			}
			q[3] = uint8((alphas[0] + alphas[1] + alphas[2] + alphas[3]) * 0x101 >> 10)
		}
	}
}

// halveGray takes bytes of luma from pix[offset:].
func halveGray(dst *image.RGBA, pix []byte, offset, stride int) {
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := range h {
		upper := pix[offset+2*y*stride:][:2*w]
		lower := pix[offset+(2*y+1)*stride:][:2*w]
		out := dst.Pix[y*dst.Stride:][:4*w]
		for x := range w {
			sum := uint32(upper[2*x]) + uint32(upper[2*x+1]) + uint32(lower[2*x]) + uint32(lower[2*x+1])
			v := uint8(sum * 0x101 >> 10)
			q := out[4*x : 4*x+4]
			q[0], q[1], q[2], q[3] = v, v, v, 0xff
		}
	}
}

// halveYCbCr takes chroma of any subsampling.
func halveYCbCr(dst *image.RGBA, src *image.YCbCr, from image.Point) {
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := range h {
		out := dst.Pix[y*dst.Stride:][:4*w]
		for x := range w {
			var red, green, blue int32
			for dy := range 2 {
				for dx := range 2 {
					px, py := from.X+2*x+dx, from.Y+2*y+dy
					c := src.COffset(px, py)
					// The conversion of color.YCbCrToRGB (JFIF 1.02) in 16.16 fixed point.
					luma := int32(src.Y[src.YOffset(px, py)]) * 0x10101
					cb, cr := int32(src.Cb[c])-128, int32(src.Cr[c])-128
					red += clamp16((luma + 91881*cr) >> 8)
					green += clamp16((luma - 22554*cb - 46802*cr) >> 8)
					blue += clamp16((luma + 116130*cb) >> 8)
				}
			}
			q := out[4*x : 4*x+4]
			q[0], q[1], q[2], q[3] = uint8(red>>10), uint8(green>>10), uint8(blue>>10), 0xff
		}
	}
}

func clamp16(v int32) int32 { return max(0, min(v, 0xffff)) }

// halveAny asks for every pixel.
func halveAny(dst *image.RGBA, at func(x, y int) color.RGBA64, from image.Point) {
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := range h {
		out := dst.Pix[y*dst.Stride:][:4*w]
		for x := range w {
			var sum [4]uint32
			for dy := range 2 {
				for dx := range 2 {
					c := at(from.X+2*x+dx, from.Y+2*y+dy)
					sum[0] += uint32(c.R)
					sum[1] += uint32(c.G)
					sum[2] += uint32(c.B)
					sum[3] += uint32(c.A)
				}
			}
			for k, s := range sum {
				out[4*x+k] = uint8(s >> 10)
			}
		}
	}
}
