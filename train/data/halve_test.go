package data

import (
	"bytes"
	"image"
	"image/color"
	"image/color/palette"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"
)

// halved are images of every kind that decoders give, of w x h random pixels.
func halved(r *rand.Rand, w, h int) map[string]image.Image {
	noise := func(pix []byte) {
		for i := range pix {
			pix[i] = byte(r.Uint32())
		}
	}
	bounds := image.Rect(3, 5, 3+w, 5+h)
	rgba, nrgba, gray := image.NewRGBA(bounds), image.NewNRGBA(bounds), image.NewGray(bounds)
	gray16, nrgba64, cmyk := image.NewGray16(bounds), image.NewNRGBA64(bounds), image.NewCMYK(bounds)
	paletted := image.NewPaletted(bounds, palette.WebSafe)
	noise(nrgba.Pix)
	noise(gray.Pix)
	noise(gray16.Pix)
	noise(nrgba64.Pix)
	noise(cmyk.Pix)
	for i := range paletted.Pix {
		paletted.Pix[i] = byte(r.IntN(len(palette.WebSafe)))
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			rgba.Set(x, y, color.NRGBA{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		}
	}
	images := map[string]image.Image{"RGBA": rgba, "NRGBA": nrgba, "Gray": gray, "Gray16": gray16, "NRGBA64": nrgba64, "CMYK": cmyk, "Paletted": paletted,
		"none of these": struct{ image.Image }{nrgba}}
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410} {
		src := image.NewYCbCr(bounds, ratio)
		noise(src.Y)
		noise(src.Cb)
		noise(src.Cr)
		images[ratio.String()] = src
	}
	alpha := image.NewNYCbCrA(bounds, image.YCbCrSubsampleRatio420)
	noise(alpha.Y)
	noise(alpha.Cb)
	noise(alpha.Cr)
	noise(alpha.A)
	images["NYCbCrA"] = alpha
	return images
}

// TestHalve compares with the bilinear sampler of x/image, which at a factor of
// two looks midway between four pixels and keeps the same bits.
func TestHalve(t *testing.T) {
	const seed = 8
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, size := range []image.Point{{2, 2}, {34, 20}, {9, 7}} {
		for name, img := range halved(r, size.X, size.Y) {
			for _, inset := range []int{0, 1} {
				b := img.Bounds()
				b.Min = b.Min.Add(image.Pt(inset, inset))
				w, h := b.Dx()/2, b.Dy()/2
				b.Max = b.Min.Add(image.Pt(2*w, 2*h))
				got, want := image.NewRGBA(image.Rect(0, 0, w, h)), image.NewRGBA(image.Rect(0, 0, w, h))
				halve(got, img, b.Min)
				draw.ApproxBiLinear.Scale(want, want.Rect, img, b, draw.Src, nil)
				if !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("%s of %v from %v:\n%v, want\n%v", name, size, b.Min, got.Pix, want.Pix)
				}
			}
		}
	}
}

func BenchmarkHalve(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	images := halved(r, 1024, 768)
	dst := image.NewRGBA(image.Rect(0, 0, 512, 384))
	for _, name := range []string{"YCbCrSubsampleRatio420", "NRGBA", "RGBA", "Gray"} {
		img := images[name]
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				halve(dst, img, img.Bounds().Min)
			}
		})
		b.Run(name+"/ximage", func(b *testing.B) {
			for b.Loop() {
				draw.ApproxBiLinear.Scale(dst, dst.Rect, img, img.Bounds(), draw.Src, nil)
			}
		})
	}
}
