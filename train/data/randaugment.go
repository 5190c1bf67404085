package data

import (
	"math"
	"math/rand/v2"
)

// randBins is the number of magnitudes of RandAugment.
const randBins = 31

// randOps is the number of its operations.
const randOps = 14

// randAugment applies ops random operations to the image in pixels, h x w x c.
// other is scratch of the same size. It returns which of the two holds the result,
// and the other one.
func randAugment(pixels, other []byte, h, w, c int, a Augment, r *rand.Rand) (result, scratch []byte) {
	strength := float64(a.RandMagnitude) / (randBins - 1)
	for range a.RandOps {
		op := r.IntN(randOps)
		sign := float64(1 - 2*r.IntN(2))
		if randOp(other, pixels, h, w, c, op, strength, sign) {
			pixels, other = other, pixels
		}
	}
	return pixels, other
}

// randOp applies one operation: to src in place, or into dst, and then it returns
// true. Strength is 0 to 1; sign, 1 or -1, gives those with a direction theirs.
func randOp(dst, src []byte, h, w, c, op int, strength, sign float64) bool {
	move := func(m affine) bool {
		warp(dst, h, w, c, raster{src, w, h, w * c, c}, m, false)
		return true
	}
	factor := 1 + sign*0.9*strength
	switch op {
	case 0: // identity
	case 1: // shear in x
		s := sign * 0.3 * strength
		return move(affine{xx: 1, xy: s, x0: -s * float64(h-1) / 2, yy: 1})
	case 2: // shear in y
		s := sign * 0.3 * strength
		return move(affine{xx: 1, yx: s, yy: 1, y0: -s * float64(w-1) / 2})
	case 3: // translate in x
		return move(affine{xx: 1, x0: sign * 150.0 / 331 * float64(w) * strength, yy: 1})
	case 4: // translate in y
		return move(affine{xx: 1, yy: 1, y0: sign * 150.0 / 331 * float64(h) * strength})
	case 5:
		return move(rotation(sign*30*strength, h, w))
	case 6: // brightness
		remap(src, func(v float64) float64 { return v * factor })
	case 7: // saturation
		saturate(src, c, factor)
	case 8: // contrast
		mean := meanLevel(src)
		remap(src, func(v float64) float64 { return mean + factor*(v-mean) })
	case 9:
		sharpen(dst, src, h, w, c, factor)
		return true
	case 10: // posterize: 8 to 4 bits are left
		drop := uint(math.Round(4 * strength))
		for i, v := range src {
			src[i] = v >> drop << drop
		}
	case 11: // solarize
		threshold := 255 * (1 - strength)
		for i, v := range src {
			if float64(v) >= threshold {
				src[i] = 255 - v
			}
		}
	case 12:
		autoContrast(src, c)
	case 13:
		equalize(src, c)
	}
	return false
}

// rotation turns an image about its centre.
func rotation(degrees float64, h, w int) affine {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	cx, cy := float64(w-1)/2, float64(h-1)/2
	return affine{xx: cos, xy: sin, x0: cx - cos*cx - sin*cy, yx: -sin, yy: cos, y0: cy + sin*cx - cos*cy}
}

func remap(pixels []byte, f func(v float64) float64) {
	var table [256]byte
	for v := range table {
		table[v] = clampByte(f(float64(v)))
	}
	for i, v := range pixels {
		pixels[i] = table[v]
	}
}

func meanLevel(pixels []byte) float64 {
	sum := 0
	for _, v := range pixels {
		sum += int(v)
	}
	return float64(sum) / float64(max(len(pixels), 1))
}

// saturate moves each pixel away from its grey level, the mean of its channels
// weighted for luma where they are three.
func saturate(pixels []byte, c int, factor float64) {
	if c != 3 {
		return
	}
	for i := 0; i+2 < len(pixels); i += 3 {
		p := pixels[i : i+3 : i+3]
		grey := 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
		for k, v := range p {
			p[k] = clampByte(grey + factor*(float64(v)-grey))
		}
	}
}

// sharpen moves each pixel away from the mean of its neighbourhood, 3 x 3 with the
// pixel itself weighing five times; the border stays.
func sharpen(dst, src []byte, h, w, c int, factor float64) {
	copy(dst, src)
	for y := 1; y < h-1; y++ {
		for i := (y*w + 1) * c; i < (y*w+w-1)*c; i++ {
			sum := 4 * int(src[i])
			for _, row := range [3]int{i - w*c, i, i + w*c} {
				sum += int(src[row-c]) + int(src[row]) + int(src[row+c])
			}
			smooth := float64(sum) / 13
			dst[i] = clampByte(smooth + factor*(float64(src[i])-smooth))
		}
	}
}

// autoContrast stretches each channel to the full range.
func autoContrast(pixels []byte, c int) {
	for k := range c {
		lo, hi := byte(255), byte(0)
		for i := k; i < len(pixels); i += c {
			lo, hi = min(lo, pixels[i]), max(hi, pixels[i])
		}
		if hi <= lo {
			continue
		}
		for i := k; i < len(pixels); i += c {
			pixels[i] = byte((int(pixels[i]-lo)*255 + int(hi-lo)/2) / int(hi-lo))
		}
	}
}

// equalize spreads the levels of each channel so that all are about as frequent.
func equalize(pixels []byte, c int) {
	for k := range c {
		var histogram [256]int
		last, n := 0, 0
		for i := k; i < len(pixels); i += c {
			histogram[pixels[i]]++
			n++
		}
		for _, count := range histogram {
			if count > 0 {
				last = count
			}
		}
		step := (n - last) / 255
		if step == 0 {
			continue
		}
		var table [256]byte
		below := step / 2
		for v, count := range histogram {
			table[v] = byte(min(below/step, 255))
			below += count
		}
		for i := k; i < len(pixels); i += c {
			pixels[i] = table[pixels[i]]
		}
	}
}
