package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golanes/lanes/train/data"
)

// A sample is one input to calibrate with: a picture, a record of a file of
// pictures, or a folder with tensors.
type sample struct {
	path   string
	set    bool // a test_data_set folder
	pixels []byte
	side   [2]int // height and width of pixels
	planes int    // of pixels, one after another: 1 or 3
}

// maxSamples bounds what a folder is searched for.
const maxSamples = 1 << 20

// findSamples lists the samples in a file or folder in the order of their paths.
func findSamples(root string) ([]sample, error) {
	var list []sample
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(list) > maxSamples {
			return fmt.Errorf("%s: more than %d samples", root, maxSamples)
		}
		name := strings.ToLower(filepath.Base(path))
		if d.IsDir() {
			if strings.HasPrefix(name, "test_data_set_") {
				list = append(list, sample{path: path, set: true})
				return filepath.SkipDir
			}
			return nil
		}
		plain := strings.TrimSuffix(name, ".gz")
		switch {
		case slices.Contains([]string{".jpg", ".jpeg", ".png", ".gif", ".webp"}, filepath.Ext(name)):
			list = append(list, sample{path: path})
			return nil
		case strings.HasSuffix(plain, ".bin") || strings.HasSuffix(plain, "idx3-ubyte"):
			records, err := readRecords(path, strings.HasSuffix(plain, ".bin"))
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			list = append(list, records...)
		}
		return nil
	})
	return list, err
}

// spread returns n of the samples, evenly spaced, or all if there are fewer.
func spread(list []sample, n int) []sample {
	total := len(list)
	if total <= n {
		return list
	}
	for i := range n {
		list[i] = list[i*total/n]
	}
	return list[:n]
}

// maxRecords bounds the bytes of a file of pictures.
const maxRecords = 1 << 28

// readRecords reads a CIFAR or IDX file, gzipped or not.
func readRecords(path string, cifar bool) ([]sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if head, err := r.(*bufio.Reader).Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	}
	if !cifar {
		shape, pixels, err := data.ReadIDX(r, 3)
		if err != nil {
			return nil, err
		}
		return cutRecords(path, pixels, 0, [2]int{shape[1], shape[2]}, 1)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxRecords+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxRecords {
		return nil, fmt.Errorf("more than %d bytes", maxRecords)
	}
	const side, pixels = 32, 3 * 32 * 32
	for labels := 1; labels <= 2; labels++ {
		if len(b)%(labels+pixels) == 0 {
			return cutRecords(path, b, labels, [2]int{side, side}, 3)
		}
	}
	return nil, fmt.Errorf("%d bytes, no multiple of a CIFAR record's", len(b))
}

// cutRecords makes samples of records with some bytes of labels before the pixels.
func cutRecords(path string, b []byte, labels int, side [2]int, planes int) ([]sample, error) {
	size := labels + side[0]*side[1]*planes
	if size == labels {
		return nil, fmt.Errorf("pictures of %dx%d pixels", side[0], side[1])
	}
	var list []sample
	for ; len(b) >= size; b = b[size:] {
		list = append(list, sample{path: path, pixels: b[labels:size], side: side, planes: planes})
	}
	return list, nil
}

// picture decodes the sample.
func (s *sample) picture() (image.Image, error) {
	if s.pixels == nil {
		return readImage(s.path)
	}
	bounds, plane := image.Rect(0, 0, s.side[1], s.side[0]), s.side[0]*s.side[1]
	if s.planes == 1 {
		return &image.Gray{Pix: bytes.Clone(s.pixels), Stride: s.side[1], Rect: bounds}, nil
	}
	img := image.NewRGBA(bounds)
	for i := range plane {
		img.Pix[4*i], img.Pix[4*i+1], img.Pix[4*i+2], img.Pix[4*i+3] = s.pixels[i], s.pixels[plane+i], s.pixels[2*plane+i], 255
	}
	return img, nil
}
