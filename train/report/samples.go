package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"

	"github.com/golanes/lanes/train/data"
)

// sample is a test image with its prediction.
type sample struct {
	URL              markup
	Class, Predicted string
	Confidence       float32
	Right            bool
}

// samplesShown is the number of images in each of the two groups.
const samplesShown = 40

// samples returns the mistakes that the model was surest of, and a random pick of
// all test images.
func samples(r *Run) (mistakes, picked []sample, err error) {
	test := r.Test
	var wrong []int
	for i := range test.Labels {
		if test.Predicted[i] != test.Labels[i] {
			wrong = append(wrong, i)
		}
	}
	slices.SortStableFunc(wrong, func(a, b int) int {
		switch {
		case test.Confidence[a] > test.Confidence[b]:
			return -1
		case test.Confidence[a] < test.Confidence[b]:
			return 1
		}
		return 0
	})
	if mistakes, err = r.samplesOf(wrong[:min(samplesShown, len(wrong))]); err != nil {
		return nil, nil, err
	}
	picked, err = r.samplesOf(pick(len(test.Labels), samplesShown))
	return mistakes, picked, err
}

// pick returns at most m of n numbers, ascending: always the same ones, and at
// random, for a regular pick could meet one class of an orderly source only.
func pick(n, m int) []int {
	chosen := rand.New(rand.NewPCG(uint64(n), 1)).Perm(n)[:min(m, n)]
	slices.Sort(chosen)
	return chosen
}

func (r *Run) samplesOf(index []int) ([]sample, error) {
	classes := r.Images.Classes()
	name := func(label int32) string {
		if int(label) < len(classes) {
			return classes[label]
		}
		return fmt.Sprintf("class %d", label)
	}
	var list []sample
	for _, i := range index {
		url, err := dataURL(r.Images, i)
		if err != nil {
			return nil, err
		}
		y, p := r.Test.Labels[i], r.Test.Predicted[i]
		list = append(list, sample{url, name(y), name(p), r.Test.Confidence[i], y == p})
	}
	return list, nil
}

// dataURL encodes image i as a PNG inside a URL. One or two channels are grey,
// more are the first three as red, green and blue.
func dataURL(src data.Source, i int) (markup, error) {
	h, w, c := src.Shape()
	pixels := make([]byte, h*w*c)
	if err := src.Image(pixels, i); err != nil {
		return "", err
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for p := range h * w {
		v := pixels[p*c:]
		shown := color.RGBA{v[0], v[0], v[0], 255}
		if c >= 3 {
			shown = color.RGBA{v[0], v[1], v[2], 255}
		}
		img.SetRGBA(p%w, p/w, shown)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return markup("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
