package main

import (
	"fmt"
	"image"
	"io"
	"os"
	"strings"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// imageFlags say how pictures become the input of a model; lanes infer and
// lanes serve have them in common.
type imageFlags struct {
	Labels string    `placeholder:"FILE" help:"Class names, one a line (default the model's own)."`
	Mean   []float32 `placeholder:"M,..." help:"Mean by channel of pixels in 0..1 (default the model's own, or 0)."`
	Std    []float32 `placeholder:"S,..." help:"Deviation by channel (default the model's own, or 1)."`
	Size   int       `placeholder:"N" help:"Side of the pictures, for models that leave it open."`
	Raw    bool      `help:"Do not scale pixels from 0..255 to 0..1."`
}

// options takes what the flags leave open from the metadata of the model at path.
func (f *imageFlags) options(path string, m *onnx.Model) (infer.ImageOptions, error) {
	opt := infer.ImageOptions{Width: f.Size, Height: f.Size, Mean: f.Mean, Std: f.Std, Raw: f.Raw}
	if f.Labels != "" {
		text, err := readLabels(f.Labels)
		if err != nil {
			return opt, err
		}
		names := strings.TrimRight(string(text), "\r\n")
		if names == "" {
			return opt, fmt.Errorf("%s: no class names", f.Labels)
		}
		for line := range strings.SplitSeq(names, "\n") {
			opt.Labels = append(opt.Labels, strings.TrimSuffix(line, "\r"))
		}
	}
	if err := opt.FromMetadata(m); err != nil {
		return opt, fmt.Errorf("%s: %w", path, err)
	}
	return opt, nil
}

// maxLabels bounds a file of class names.
const maxLabels = 1 << 24

func readLabels(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLabels+1))
	if err == nil && len(text) > maxLabels {
		err = fmt.Errorf("%s: more than %d bytes of class names", path, maxLabels)
	}
	return text, err
}

// maxPixels bounds pictures, whose headers may claim any size.
const maxPixels = 1 << 26

func readImage(path string) (image.Image, error) {
	info, err := os.Stat(path) // before Open, which waits for the writer of a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file with a picture", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := infer.DecodeImage(f, maxPixels)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return img, nil
}
