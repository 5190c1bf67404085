package data

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	"image/png"
	"math"

	"github.com/golanes/lanes/kernels"
)

// glyphRunes are the classes of glyphs, in the order of their labels.
const glyphRunes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// glyphSheet holds every glyph of every font as a picture of one bit a pixel: a
// row for each font, in it a square canvas for each rune. It is rendered from the
// fonts of golang.org/x/image by TestGlyphSheet, which also fails where the two
// differ. The fonts themselves and what reads them would take twenty times as much
// of a program.
//
//go:embed glyphs.png
var glyphSheet []byte

// glyphFont is one font.
type glyphFont struct {
	name    string
	heldOut bool // appears in test images only
}

// glyphFonts returns the fonts in the order of the sheet.
func glyphFonts() []glyphFont {
	return []glyphFont{
		{name: "Go Regular"},
		{name: "Go Italic"},
		{name: "Go Medium"},
		{name: "Go Medium Italic", heldOut: true},
		{name: "Go Bold"},
		{name: "Go Bold Italic"},
		{name: "Go Mono"},
		{name: "Go Mono Italic"},
		{name: "Go Mono Bold", heldOut: true},
		{name: "Go Mono Bold Italic"},
		{name: "Inconsolata"},
		{name: "Inconsolata Bold", heldOut: true},
		{name: "Fixed 7x13"},
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

// canvas is the ink of one glyph.
type canvas [canvasSide][canvasSide]bool

// glyphFields returns the fields of every font and rune, font by font.
func glyphFields(fonts []glyphFont) ([]field, error) {
	sheet, err := readSheet(glyphSheet, len(fonts))
	if err != nil {
		return nil, err
	}
	fields := make([]field, len(fonts)*len(glyphRunes))
	kernels.Parallel(len(fields), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			measure(&fields[i], sheetCanvas(sheet, i))
		}
	})
	return fields, nil
}

// readSheet decodes a sheet of the given number of fonts.
func readSheet(b []byte, fonts int) (*image.Paletted, error) {
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	sheet, ok := img.(*image.Paletted)
	if size := image.Pt(len(glyphRunes)*canvasSide, fonts*canvasSide); !ok || sheet.Rect.Size() != size {
		return nil, fmt.Errorf("the sheet has not %d fonts of %d glyphs", fonts, len(glyphRunes))
	}
	return sheet, nil
}

// sheetCanvas returns canvas i of a sheet, counted along its rows.
func sheetCanvas(sheet *image.Paletted, i int) *canvas {
	var c canvas
	for y := range c {
		row := sheet.Pix[sheet.PixOffset(i%len(glyphRunes)*canvasSide, i/len(glyphRunes)*canvasSide+y):]
		for x := range c[y] {
			c[y][x] = row[x] != 0
		}
	}
	return &c
}

// measure computes the distance field: for each point the distance to the
// nearest pixel of the other kind, less the half pixel to the edge between. It
// first finds the nearest such pixel in each column, then over the columns in
// reach (Saito and Toriwaki 1994).
func measure(dst *field, canvas *canvas) {
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
