package infer

import (
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif"  // formats that DecodeImage reads
	_ "image/jpeg" // formats that DecodeImage reads
	_ "image/png"  // formats that DecodeImage reads
	"io"

	_ "golang.org/x/image/webp" // formats that DecodeImage reads

	"github.com/golanes/lanes/infer/onnx"
)

// MaxImageSide bounds width and height of a picture: resizing needs memory for
// one side of the picture times the other side of the result.
const MaxImageSide = 1 << 14

// An ImageSizeError is a picture with more pixels than allowed.
type ImageSizeError struct{ Width, Height, MaxPixels int }

// Error gives the size and the bound.
func (e *ImageSizeError) Error() string {
	return fmt.Sprintf("a picture of %dx%d pixels is too large: at most %d a side and %d in all", e.Width, e.Height, MaxImageSide, e.MaxPixels)
}

// DecodeImage reads a JPEG, PNG, GIF (its first frame) or WebP picture. One whose
// header declares more than maxPixels pixels, or a side above [MaxImageSide], is
// an [ImageSizeError] before any of it is decoded; bytes in another format are
// [image.ErrFormat]. A decoder that panics is an error, too.
func DecodeImage(r io.ReadSeeker, maxPixels int) (img image.Image, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("its decoder failed: %v", v)
		}
	}()
	head, _, err := image.DecodeConfig(r)
	if err != nil {
		return nil, err
	}
	w, h := head.Width, head.Height
	if w < 1 || h < 1 {
		return nil, fmt.Errorf("a picture of %dx%d pixels", w, h)
	}
	if w > MaxImageSide || h > MaxImageSide || w > maxPixels/h {
		return nil, &ImageSizeError{w, h, maxPixels}
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err = image.Decode(r)
	return img, err
}

// FromMetadata sets the fields of opt that are empty from the metadata of a model
// that lanes exported: "mean", "std" and "classes", each a JSON array.
func (opt *ImageOptions) FromMetadata(m *onnx.Model) error {
	for _, kv := range m.Metadata {
		var err error
		switch {
		case kv.Key == "mean" && len(opt.Mean) == 0:
			err = json.Unmarshal([]byte(kv.Value), &opt.Mean)
		case kv.Key == "std" && len(opt.Std) == 0:
			err = json.Unmarshal([]byte(kv.Value), &opt.Std)
		case kv.Key == "classes" && len(opt.Labels) == 0:
			err = json.Unmarshal([]byte(kv.Value), &opt.Labels)
		}
		if err != nil {
			return fmt.Errorf("infer: metadata %q: %w", kv.Key, err)
		}
	}
	return nil
}
