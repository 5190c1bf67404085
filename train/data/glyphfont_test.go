package data

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"testing"

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
)

var rewrite = flag.Bool("generate", false, "rewrite the sheet of glyphs instead of comparing it")

// fontSource is where a font of the sheet comes from: an outline, or a bitmap face
// that is enlarged with its pixels visible.
type fontSource struct {
	name    string
	outline []byte
	bitmap  font.Face
}

func fontSources() []fontSource {
	return []fontSource{
		{name: "Go Regular", outline: goregular.TTF},
		{name: "Go Italic", outline: goitalic.TTF},
		{name: "Go Medium", outline: gomedium.TTF},
		{name: "Go Medium Italic", outline: gomediumitalic.TTF},
		{name: "Go Bold", outline: gobold.TTF},
		{name: "Go Bold Italic", outline: gobolditalic.TTF},
		{name: "Go Mono", outline: gomono.TTF},
		{name: "Go Mono Italic", outline: gomonoitalic.TTF},
		{name: "Go Mono Bold", outline: gomonobold.TTF},
		{name: "Go Mono Bold Italic", outline: gomonobolditalic.TTF},
		{name: "Inconsolata", bitmap: inconsolata.Regular8x16},
		{name: "Inconsolata Bold", bitmap: inconsolata.Bold8x16},
		{name: "Fixed 7x13", bitmap: basicfont.Face7x13},
	}
}

// TestGlyphSheet renders the fonts and compares them with the sheet; with
// -generate it writes the sheet.
func TestGlyphSheet(t *testing.T) {
	sources, fonts := fontSources(), glyphFonts()
	drawn := image.NewPaletted(image.Rect(0, 0, len(glyphRunes)*canvasSide, len(sources)*canvasSide), color.Palette{color.White, color.Black})
	for i, s := range sources {
		if s.name != fonts[i].name {
			t.Fatalf("font %d is %s, the sheet's is %s", i, s.name, fonts[i].name)
		}
		if err := s.draw(drawn, i); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	if *rewrite {
		var b bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&b, drawn); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("glyphs.png", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	sheet, err := readSheet(glyphSheet, len(fonts))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(fonts) * len(glyphRunes) {
		if *sheetCanvas(sheet, i) != *sheetCanvas(drawn, i) {
			t.Errorf("%s: %q differs from the font; rewrite the sheet with -generate", fonts[i/len(glyphRunes)].name, glyphRunes[i%len(glyphRunes)])
		}
	}
}

func TestSheetRejects(t *testing.T) {
	for name, b := range map[string][]byte{"empty": nil, "cut": glyphSheet[:len(glyphSheet)/2]} {
		if _, err := readSheet(b, len(glyphFonts())); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := readSheet(glyphSheet, 2); err == nil {
		t.Error("a sheet of more fonts: no error")
	}
}

// draw renders the font's glyphs into a row of the sheet.
func (f fontSource) draw(sheet *image.Paletted, row int) error {
	face, enlarge, err := f.face()
	if err != nil {
		return err
	}
	defer face.Close()
	for i, r := range glyphRunes {
		box, mask, at, _, ok := face.Glyph(fixed.Point26_6{}, r)
		if !ok {
			return fmt.Errorf("no glyph for %q", r)
		}
		c := rasterize(mask, ink(mask, at, box.Size()), enlarge)
		for y := range c {
			for x, inked := range c[y] {
				if inked {
					sheet.SetColorIndex(i*canvasSide+x, row*canvasSide+y, 1)
				}
			}
		}
	}
	return nil
}

// face returns the font at a size where capital letters are capHeight high after
// enlarging its pixels.
func (f fontSource) face() (face font.Face, enlarge int, err error) {
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
func rasterize(mask image.Image, box image.Rectangle, enlarge int) *canvas {
	var c canvas
	left := (canvasSide - box.Dx()*enlarge) / 2
	top := (canvasSide - box.Dy()*enlarge) / 2
	for y := range box.Dy() * enlarge {
		for x := range box.Dx() * enlarge {
			cy, cx := top+y, left+x
			if cy >= 0 && cy < canvasSide && cx >= 0 && cx < canvasSide {
				c[cy][cx] = inked(mask, box.Min.X+x/enlarge, box.Min.Y+y/enlarge)
			}
		}
	}
	return &c
}
