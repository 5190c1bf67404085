package fuzz

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/golanes/lanes/train/data"
)

// FuzzOrientation feeds the EXIF reader any bytes behind each container's first:
// it must return one of the eight orientations.
func FuzzOrientation(f *testing.F) {
	tiff := "II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
	f.Add([]byte("\xff\xe1\x00\x1eExif\x00\x00" + tiff))
	f.Add([]byte("\x00\x00\x00\x16eXIf" + tiff))
	f.Add([]byte("EXIF\x16\x00\x00\x00" + tiff))
	f.Add([]byte("\xff\xe1\x00\x20Exif\x00\x00MM\x00*\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("EXIF\xff\xff\xff\xffMM\x00*\x00\x00\x00\x08\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, head := range []string{"", "\xff\xd8", "\x89PNG\r\n\x1a\n", "RIFF\x00\x00\x00\x00WEBP"} {
			if o := data.Orientation(append([]byte(head), b...)); o < 1 || o > 8 {
				t.Errorf("behind %q: orientation %d", head, o)
			}
		}
	})
}

// FuzzPicture feeds the reader of image files any bytes: a picture of the size
// asked for, or an error of one line.
func FuzzPicture(f *testing.F) {
	img := image.NewPaletted(image.Rect(0, 0, 20, 9), color.Palette{color.Black, color.White, color.RGBA{200, 3, 4, 255}})
	for i := range img.Pix {
		img.Pix[i] = byte(i % 3)
	}
	for _, encode := range []func(b *bytes.Buffer) error{
		func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) },
		func(b *bytes.Buffer) error { return png.Encode(b, img) },
		func(b *bytes.Buffer) error { return gif.Encode(b, img, nil) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), 8)
	}
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x07\xc0\x01\x00\x28\x05\x05\x05\x05\x05\x05\x05\x05\x05"), 9)
	f.Fuzz(func(t *testing.T, file []byte, size int) {
		pixels, err := data.DecodePicture(file, size)
		switch {
		case err != nil && (err.Error() == "" || strings.Contains(err.Error(), "\n")):
			t.Errorf("error %q", err)
		case err == nil && (len(pixels) != 3*size*size || size < 8):
			t.Errorf("%d bytes for side %d", len(pixels), size)
		}
	})
}
