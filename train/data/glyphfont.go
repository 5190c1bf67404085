package data

import (
	"fmt"
	"image"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonobolditalic"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/golanes/lanes/kernels"
)

// glyphRunes are the classes of glyphs, in the order of their labels.
const glyphRunes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// glyphFont is one font: an outline, or a bitmap face that is enlarged with its
// pixels visible.
type glyphFont struct {
	name    string
	outline []byte
	bitmap  font.Face
	heldOut bool // appears in test images only
}

func glyphFonts() []glyphFont {
	return []glyphFont{
		{name: "Go Regular", outline: goregular.TTF},
		{name: "Go Italic", outline: goitalic.TTF},
		{name: "Go Medium", outline: gomedium.TTF},
		{name: "Go Medium Italic", outline: gomediumitalic.TTF, heldOut: true},
		{name: "Go Bold", outline: gobold.TTF},
		{name: "Go Bold Italic", outline: gobolditalic.TTF},
		{name: "Go Mono", outline: gomono.TTF},
		{name: "Go Mono Italic", outline: gomonoitalic.TTF},
		{name: "Go Mono Bold", outline: gomonobold.TTF, heldOut: true},
		{name: "Go Mono Bold Italic", outline: gomonobolditalic.TTF},
		{name: "Inconsolata", bitmap: inconsolata.Regular8x16},
		{name: "Inconsolata Bold", bitmap: inconsolata.Bold8x16, heldOut: true},
		{name: "Fixed 7x13", bitmap: basicfont.Face7x13},
	}
}

// A glyph is rasterised on a canvas with a capital height of capHeight pixels,
// and its distance field keeps every second point of it.
const (
	canvasSide = 128
	capHeight  = 80
	fieldSide  = canvasSide / 2
	// fieldUnit is one canvas pixel in a field's values.
	fieldUnit = 16
	// fieldReach is the largest distance a field tells apart, in canvas pixels:
	// more than the widest stroke adds.
	fieldReach = 20
)

// field holds the signed distance to a glyph's edge, positive inside, in
// 1/fieldUnit of a canvas pixel.
type field [fieldSide * fieldSide]int16

// glyphFields returns the fields of every font and rune, font by font.
func glyphFields(fonts []glyphFont) ([]field, error) {
	fields := make([]field, len(fonts)*len(glyphRunes))
	errs := make([]error, len(fonts))
	kernels.Parallel(len(fonts), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			errs[i] = fonts[i].fields(fields[i*len(glyphRunes) : (i+1)*len(glyphRunes)])
		}
	})
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("font %s: %w", fonts[i].name, err)
		}
	}
	return fields, nil
}

// fields fills dst with one field per rune.
func (f glyphFont) fields(dst []field) error {
	face, enlarge, err := f.face()
	if err != nil {
		return err
	}
	defer face.Close()
	for i, r := range glyphRunes {
		box, mask, at, _, ok := face.Glyph(fixed.Point26_6{}, r)
		if !ok {
			return fmt.Errorf("no glyph for %s", strconv.QuoteRune(r))
		}
		canvas := rasterize(mask, ink(mask, at, box.Size()), enlarge)
		measure(&dst[i], canvas)
	}
	return nil
}

// face returns the font at a size where capital letters are capHeight high after
// enlarging its pixels.
func (f glyphFont) face() (face font.Face, enlarge int, err error) {
	if f.bitmap != nil {
		box, mask, at, _, ok := f.bitmap.Glyph(fixed.Point26_6{}, 'H')
		if !ok {
			return nil, 0, fmt.Errorf("no glyph for 'H'")
		}
		return f.bitmap, capHeight / ink(mask, at, box.Size()).Dy(), nil
	}
	parsed, err := opentype.Parse(f.outline)
	if err != nil {
		return nil, 0, err
	}
	// At 72 dots an inch a size in points is a size in pixels; a first face tells
	// the height of capitals.
	options := opentype.FaceOptions{Size: canvasSide, DPI: 72, Hinting: font.HintingNone}
	probe, err := opentype.NewFace(parsed, &options)
	if err != nil {
		return nil, 0, err
	}
	height := probe.Metrics().CapHeight
	if height <= 0 {
		return nil, 0, fmt.Errorf("capital height %v", height)
	}
	options.Size = canvasSide * capHeight * 64 / float64(height)
	face, err = opentype.NewFace(parsed, &options)
	return face, 1, err
}

// ink returns the part of a mask, of the given size from at, that is not empty.
func ink(mask image.Image, at, size image.Point) image.Rectangle {
	var r image.Rectangle
	for y := at.Y; y < at.Y+size.Y; y++ {
		for x := at.X; x < at.X+size.X; x++ {
			if inked(mask, x, y) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r
}

func inked(mask image.Image, x, y int) bool {
	_, _, _, a := mask.At(x, y).RGBA()
	return a >= 0x8000
}

// rasterize returns the pixels of a canvas that the mask's ink covers, enlarged
// and centred.
func rasterize(mask image.Image, box image.Rectangle, enlarge int) *[canvasSide][canvasSide]bool {
	var canvas [canvasSide][canvasSide]bool
	left := (canvasSide - box.Dx()*enlarge) / 2
	top := (canvasSide - box.Dy()*enlarge) / 2
	for y := range box.Dy() * enlarge {
		for x := range box.Dx() * enlarge {
			cy, cx := top+y, left+x
			if cy >= 0 && cy < canvasSide && cx >= 0 && cx < canvasSide {
				canvas[cy][cx] = inked(mask, box.Min.X+x/enlarge, box.Min.Y+y/enlarge)
			}
		}
	}
	return &canvas
}

// measure computes the distance field: for each point the distance to the
// nearest pixel of the other kind, less the half pixel to the edge between. It
// first finds the nearest such pixel in each column, then over the columns in
// reach (Saito and Toriwaki 1994).
func measure(dst *field, canvas *[canvasSide][canvasSide]bool) {
	const far = canvasSide
	var toInk, toPaper [canvasSide][canvasSide]int // within the column
	for x := range canvasSide {
		ink, paper := far, far
		for y := range canvasSide {
			ink, paper = step(canvas[y][x], ink, paper)
			toInk[y][x], toPaper[y][x] = ink, paper
		}
		ink, paper = far, far
		for y := canvasSide - 1; y >= 0; y-- {
			ink, paper = step(canvas[y][x], ink, paper)
			toInk[y][x] = min(toInk[y][x], ink)
			toPaper[y][x] = min(toPaper[y][x], paper)
		}
	}
	for fy := range fieldSide {
		for fx := range fieldSide {
			y, x := 2*fy, 2*fx
			inside := canvas[y][x]
			row := &toInk[y]
			if inside {
				row = &toPaper[y]
			}
			nearest := fieldReach * fieldReach
			for i := max(0, x-fieldReach); i < min(canvasSide, x+fieldReach+1); i++ {
				nearest = min(nearest, (i-x)*(i-x)+row[i]*row[i])
			}
			d := int16(math.Sqrt(float64(nearest))*fieldUnit) - fieldUnit/2
			if !inside {
				d = -d
			}
			dst[fy*fieldSide+fx] = d
		}
	}
}

// step moves the distances to the last inked and the last empty pixel of a
// column on by one pixel.
func step(inked bool, ink, paper int) (int, int) {
	if inked {
		return 0, min(paper+1, canvasSide)
	}
	return min(ink+1, canvasSide), 0
}
