package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // formats of image folders
	_ "image/jpeg" // formats of image folders
	_ "image/png"  // formats of image folders
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // formats of image folders
)

// Bounds of image files, checked before anything is decoded.
const (
	maxFileBytes = 64 << 20
	// maxPicturePixels is a photo of 33 megapixels. A decoder takes up to 16 bytes
	// for a pixel (progressive JPEG: coefficients and planes).
	maxPicturePixels = 1 << 25
	// smallPixels is the size up to which pictures are decoded without waiting for
	// others; the larger ones under way have at most maxPicturePixels together.
	smallPixels = 1 << 20
	// minPictureSide is the smallest side with anything to see.
	minPictureSide = 8
	// maxAspect is the longest side to the shortest that is kept: more is cut off
	// at both ends.
	maxAspect = 4
	// maxPictureSide is the largest side that images can be asked in, and
	// minSide the smallest.
	maxPictureSide = maxSide
	minSide        = 8
)

// budget lets through decoders of large pictures while they have at most
// maxPicturePixels pixels together.
type budget struct {
	cond *sync.Cond
	used int
}

var decoding = budget{cond: sync.NewCond(&sync.Mutex{})}

func (b *budget) acquire(pixels int) {
	b.cond.L.Lock()
	for b.used+pixels > maxPicturePixels {
		b.cond.Wait()
	}
	b.used += pixels
	b.cond.L.Unlock()
}

func (b *budget) release(pixels int) {
	b.cond.L.Lock()
	b.used -= pixels
	b.cond.L.Unlock()
	b.cond.Broadcast()
}

// picture is a decoded image file, upright, with the shorter side at most twice
// the side that is wanted.
type picture struct {
	img    image.RGBA
	cached bool
}

func (p *picture) raster() raster {
	b := p.img.Rect
	return raster{p.img.Pix, b.Dx(), b.Dy(), p.img.Stride, 4}
}

// reset makes p a picture of w x h of unknown content.
func (p *picture) reset(w, h int) *image.RGBA {
	if n := 4 * w * h; cap(p.img.Pix) < n {
		p.img.Pix = make([]byte, n)
	} else {
		p.img.Pix = p.img.Pix[:n]
	}
	p.img.Stride, p.img.Rect = 4*w, image.Rect(0, 0, w, h)
	return &p.img
}

// checkPicture reads the header of an image file, as far as the size of the picture
// in pixels, and reports one that an image folder cannot take. It names the file.
func checkPicture(path string) (image.Point, error) {
	f, err := openPicture(path)
	if err != nil {
		return image.Point{}, err
	}
	defer f.Close()
	size, err := pictureHeader(bufio.NewReader(f))
	if err != nil {
		return size, fmt.Errorf("%s: %w", path, err)
	}
	return size, nil
}

// openPicture opens a regular file of sensible size.
func openPicture(path string) (*os.File, error) {
	info, err := os.Stat(path) // before Open, which waits for the writer of a pipe
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: a folder, not an image file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", path)
	case info.Size() == 0:
		return nil, fmt.Errorf("%s: empty", path)
	case info.Size() > maxFileBytes:
		return nil, fmt.Errorf("%s: %d bytes, more than the limit of %d", path, info.Size(), maxFileBytes)
	}
	return os.Open(path)
}

func pictureHeader(r io.Reader) (size image.Point, err error) {
	defer recovered(&err)
	head, _, err := image.DecodeConfig(r)
	if err != nil {
		return size, plain(err)
	}
	w, h := head.Width, head.Height
	switch {
	case w < minPictureSide || h < minPictureSide:
		return size, fmt.Errorf("an image of %d x %d pixels, smaller than %d on a side", w, h, minPictureSide)
	case w > maxPicturePixels/h:
		return size, fmt.Errorf("an image of %d x %d pixels, more than the limit of %d", w, h, maxPicturePixels)
	}
	return image.Pt(w, h), nil
}

// plain says in the user's terms what a decoder reports.
func plain(err error) error {
	switch {
	case errors.Is(err, image.ErrFormat):
		return errors.New("not a JPEG, PNG, WebP or GIF image")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("truncated image")
	}
	return fmt.Errorf("damaged image: %w", err)
}

// recovered turns a panic of a decoder into an error: they are other people's code
// before hostile bytes.
func recovered(err *error) {
	if v := recover(); v != nil {
		if e, ok := v.(runtime.Error); ok {
			v = e.Error()
		}
		*err = fmt.Errorf("damaged image: its decoder failed: %v", v)
	}
}

// readPicture reads the image file at path into p, for a side of size.
func readPicture(p *picture, path string, size int) error {
	f, err := openPicture(path)
	if err != nil {
		return err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil {
		err = decodePicture(p, file, size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// decodePicture decodes the bytes of an image file. It holds the picture that the
// file describes once, and keeps only what size needs.
func decodePicture(p *picture, file []byte, size int) (err error) {
	bounds, err := pictureHeader(bytes.NewReader(file))
	if err != nil {
		return err
	}
	if n := bounds.X * bounds.Y; n > smallPixels {
		decoding.acquire(n)
		defer decoding.release(n)
	}
	defer recovered(&err)
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return plain(err)
	}
	if b := img.Bounds(); b.Dx() < minPictureSide || b.Dy() < minPictureSide {
		return fmt.Errorf("an image of %d x %d pixels, smaller than %d on a side", b.Dx(), b.Dy(), minPictureSide)
	}
	shrink(p, img, size)
	upright(p, Orientation(file))
	return nil
}

// shrink draws img into p, halved as often as its shorter side stays at least
// size. Each step takes the mean of 2 x 2 pixels and leaves out an odd last row or
// column. Transparent pixels become black.
func shrink(p *picture, img image.Image, size int) {
	b := centre(img.Bounds(), maxAspect)
	w, h := b.Dx(), b.Dy()
	if min(w, h)/2 < size {
		draw.Draw(p.reset(w, h), image.Rect(0, 0, w, h), img, b.Min, draw.Src)
		return
	}
	var other picture
	for first := true; min(w, h)/2 >= size; first = false {
		w, h = w/2, h/2
		if !first {
			p.img, other.img = other.img, p.img
			img, b = &other.img, other.img.Rect
		}
		halve(p.reset(w, h), img, b.Min)
	}
}

// centre is the middle of b whose sides have at most the ratio aspect.
func centre(b image.Rectangle, aspect int) image.Rectangle {
	if extra := b.Dx() - aspect*b.Dy(); extra > 0 {
		b.Min.X += extra / 2
		b.Max.X = b.Min.X + aspect*b.Dy()
	}
	if extra := b.Dy() - aspect*b.Dx(); extra > 0 {
		b.Min.Y += extra / 2
		b.Max.Y = b.Min.Y + aspect*b.Dx()
	}
	return b
}

// upright turns p by its EXIF orientation.
func upright(p *picture, orientation int) {
	if orientation == 1 {
		return
	}
	var stored picture
	stored.img, p.img = p.img, stored.img
	w, h := stored.img.Rect.Dx(), stored.img.Rect.Dy()
	dw, dh := w, h
	if orientation >= 5 {
		dw, dh = h, w
	}
	dst := p.reset(dw, dh)
	for y := range dh {
		for x := range dw {
			sx, sy := storedAt(x, y, dw, dh, orientation)
			copy(dst.Pix[y*dst.Stride+4*x:][:4], stored.img.Pix[sy*stored.img.Stride+4*sx:][:4])
		}
	}
}

// storedAt returns where the pixel (x, y) of the upright image, w x h, is stored.
func storedAt(x, y, w, h, orientation int) (sx, sy int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, w - 1 - x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return h - 1 - y, x
	}
	return x, y
}

// square resizes the middle square of p to dst, size x size x 3.
func square(dst []byte, p *picture, size int, scratch *picture) {
	b := centre(p.img.Rect, 1)
	img := &p.img
	if b.Dx() != size {
		img = scratch.reset(size, size)
		draw.BiLinear.Scale(img, img.Rect, &p.img, b, draw.Src, nil)
		b = img.Rect
	}
	for y := range size {
		row := img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):]
		out := dst[3*size*y : 3*size*(y+1)]
		for x := range size {
			out[3*x], out[3*x+1], out[3*x+2] = row[4*x], row[4*x+1], row[4*x+2]
		}
	}
}

// DecodePicture decodes the bytes of a JPEG, PNG, WebP or GIF file (of the last its
// first frame) as image folders do: upright by its EXIF orientation, the middle
// square resized to size x size x 3 bytes, transparent pixels black. Pictures that
// are damaged, tiny, or larger than 33 megapixels are an error.
func DecodePicture(file []byte, size int) ([]byte, error) {
	if size < minSide || size > maxPictureSide {
		return nil, fmt.Errorf("data: images of side %d, want %d to %d", size, minSide, maxPictureSide)
	}
	if len(file) > maxFileBytes {
		return nil, fmt.Errorf("data: %d bytes, more than the limit of %d", len(file), maxFileBytes)
	}
	var p, scratch picture
	if err := decodePicture(&p, file, size); err != nil {
		return nil, err
	}
	dst := make([]byte, 3*size*size)
	square(dst, &p, size, &scratch)
	return dst, nil
}
