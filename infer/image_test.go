package infer

import (
	"bytes"
	"image"
	"io"
	"strings"
	"testing"
)

// TestDecoderPanics: a decoder that fails on a damaged file fails on that alone.
func TestDecoderPanics(t *testing.T) {
	image.RegisterFormat("panicking", "panicking", func(io.Reader) (image.Image, error) { panic("index out of range") },
		func(io.Reader) (image.Config, error) { return image.Config{Width: 8, Height: 8}, nil })
	img, err := DecodeImage(bytes.NewReader([]byte("panicking")), 64)
	if img != nil || err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("%v, %v", img, err)
	}
}
