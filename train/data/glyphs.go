package data

import (
	"fmt"
	"math/rand/v2"

	"github.com/golanes/lanes/kernels"
)

// GlyphOptions configure [Glyphs]. The zero value is the data set that `lanes
// train` uses.
type GlyphOptions struct {
	// Seed decides everything that is drawn.
	Seed uint64
	// Train and Test are the numbers of images; 0 stands for 20,000 and 4,000.
	Train, Test int
}

// glyphSide is the side of an image in pixels.
const glyphSide = 32

// maxGlyphs bounds the images of one set: 1.5 GiB of pixels, which a 32-bit int counts.
const maxGlyphs = 1 << 19

// Glyphs draws the digits 0-9 and the letters A-Z as 32 x 32 RGB images: a
// random font, size, slant, rotation, place, stroke, outline or solid, colours,
// background texture and noise for each. The test images come from random
// streams of their own and from more fonts than the training images: three of
// the thirteen are held out. The bytes depend on the options alone, on every
// architecture, for all the arithmetic on pixels is on integers.
func Glyphs(opt GlyphOptions) (train, test *Images, err error) {
	if opt.Train == 0 {
		opt.Train = 20000
	}
	if opt.Test == 0 {
		opt.Test = 4000
	}
	if opt.Train < 0 || opt.Test < 0 || opt.Train > maxGlyphs || opt.Test > maxGlyphs {
		return nil, nil, fmt.Errorf("glyphs: %d training and %d test images, want at most %d", opt.Train, opt.Test, maxGlyphs)
	}
	fonts := glyphFonts()
	fields, err := glyphFields(fonts)
	if err != nil {
		return nil, nil, fmt.Errorf("glyphs: %w", err)
	}
	var training, all []int
	for i, f := range fonts {
		all = append(all, i)
		if !f.heldOut {
			training = append(training, i)
		}
	}
	if train, err = drawGlyphs(fields, training, opt.Train, mix(opt.Seed, saltGlyphs, 0)); err != nil {
		return nil, nil, err
	}
	test, err = drawGlyphs(fields, all, opt.Test, mix(opt.Seed, saltGlyphs, 1))
	return train, test, err
}

// GlyphClasses returns the classes of glyphs.
func GlyphClasses() []string {
	classes := make([]string, len(glyphRunes))
	for i, r := range glyphRunes {
		classes[i] = string(r)
	}
	return classes
}

// drawGlyphs draws n images with the given fonts. Image i has the random stream
// (seed, i). The classes come in rounds of all 36, each in an order of its own, so
// that any part of the set has them all alike.
func drawGlyphs(fields []field, fonts []int, n int, seed uint64) (*Images, error) {
	const size = glyphSide * glyphSide * 3
	pixels, labels := make([]byte, n*size), make([]int32, n)
	kernels.Parallel(n, 64, func(lo, hi int) {
		var pcg rand.PCG
		pen := pen{random: rand.New(&pcg)}
		for i := lo; i < hi; i++ {
			round, place := i/len(glyphRunes), i%len(glyphRunes)
			pcg.Seed(mix(seed, saltShuffle), uint64(round))
			label := pen.random.Perm(len(glyphRunes))[place]
			pcg.Seed(seed, uint64(i))
			font := fonts[pen.random.IntN(len(fonts))]
			labels[i] = int32(label)
			pen.draw((*[size]byte)(pixels[i*size:]), &fields[font*len(glyphRunes)+label])
		}
	})
	return NewImages(glyphSide, glyphSide, 3, GlyphClasses(), pixels, labels)
}

// pen draws one image after another. Places are in 1/65536 of a field's step,
// colours and weights are 0..256.
type pen struct {
	random     *rand.Rand
	background texture
	foreground texture
}

// draw fills dst, rows of RGB pixels, with one glyph.
func (p *pen) draw(dst *[glyphSide * glyphSide * 3]byte, glyph *field) {
	p.colour()
	view := p.view()
	stroke := p.stroke(view.pixel)
	noise := p.random.IntN(16) // standard deviation in grey levels
	for y := range glyphSide {
		for x := range glyphSide {
			cover := stroke.cover(view.sample(glyph, x, y))
			ground, ink := p.background.at(x, y), p.foreground.at(x, y)
			var grain uint64
			if noise > 0 {
				grain = p.random.Uint64()
			}
			for k := range 3 {
				v := (ground[k]*(256-cover) + ink[k]*cover) >> 8
				v += grainOf(grain>>(20*k)) * noise >> grainShift
				dst[(y*glyphSide+x)*3+k] = byte(max(0, min(255, v)))
			}
		}
	}
}

// grainOf turns 20 random bits into noise: the sum of four 5-bit numbers, centred.
// Its standard deviation is sqrt(4*(32*32-1)/12) = 18.5; grainShift divides by 16.
func grainOf(bits uint64) int {
	return int(bits&31+bits>>5&31+bits>>10&31+bits>>15&31) - 62
}

const grainShift = 4

// between returns a number from lo to hi.
func (p *pen) between(lo, hi float64) float64 {
	// The conversions forbid a fused multiply-add, which would round differently.
	return lo + float64((hi-lo)*float64(p.random.Uint32()))/(1<<32)
}

// view maps a pixel of the image to a place in a field.
type view struct {
	u0, ux, uy int // u = u0 + ux*x + uy*y
	v0, vx, vy int
	pixel      int // size of an image pixel in units of a field's values
}

// view draws an affine map: rotation, slant, width and height, place.
func (p *pen) view() view {
	half := p.between(-0.1, 0.1) // tangent of half the angle: up to 11 degrees
	norm := 1 + float64(half*half)
	cos, sin := (1-float64(half*half))/norm, 2*half/norm
	slant := p.between(-0.2, 0.2)
	height := p.between(0.85, 1.25)
	width := float64(height * p.between(0.85, 1.15))
	dx, dy := p.between(-2.5, 2.5), p.between(-2.5, 2.5)

	// At height 1 a capital takes 20 of the 32 pixels, 40 steps of the field.
	const step = 2
	ux := float64((cos+float64(slant*sin))*step) / width
	uy := float64((float64(slant*cos)-sin)*step) / width
	vx := float64(sin*step) / height
	vy := float64(cos*step) / height
	cx, cy := (glyphSide-1)/2.0+dx, (glyphSide-1)/2.0+dy
	const half64 = fieldSide / 2
	fix := func(v float64) int { return int(v * 65536) }
	return view{
		ux: fix(ux), uy: fix(uy), u0: fix(half64 - float64(ux*cx) - float64(uy*cy)),
		vx: fix(vx), vy: fix(vy), v0: fix(half64 - float64(vx*cx) - float64(vy*cy)),
		pixel: int(2 * step * fieldUnit / height),
	}
}

// sample interpolates the field at pixel (x, y) of the image. Outside is far from
// any ink.
func (w *view) sample(f *field, x, y int) int {
	u := w.u0 + w.ux*x + w.uy*y
	v := w.v0 + w.vx*x + w.vy*y
	iu, iv := u>>16, v>>16
	if iu < 0 || iv < 0 || iu >= fieldSide-1 || iv >= fieldSide-1 {
		return -fieldReach * fieldUnit
	}
	fu, fv := u>>8&255, v>>8&255
	row := f[iv*fieldSide+iu:][:fieldSide+2]
	top := int(row[0])*(256-fu) + int(row[1])*fu
	bottom := int(row[fieldSide])*(256-fu) + int(row[fieldSide+1])*fu
	return (top*(256-fv) + bottom*fv) >> 16
}

// stroke turns a distance to a glyph's edge into the part of a pixel that ink
// covers.
type stroke struct {
	grow    int // added to the distance: a bolder letter
	outline int // if positive, half the width of a line along the edge instead
	pixel   int
}

func (p *pen) stroke(pixel int) stroke {
	s := stroke{pixel: pixel, grow: p.random.IntN(pixel) - pixel/4}
	if p.random.IntN(8) == 0 {
		s.outline = pixel/2 + p.random.IntN(pixel/4+1)
	}
	return s
}

func (s *stroke) cover(distance int) int {
	distance += s.grow
	if s.outline > 0 {
		distance = s.outline - max(distance, -distance)
	}
	return max(0, min(256, 128+distance*256/s.pixel))
}
