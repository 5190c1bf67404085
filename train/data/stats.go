package data

import (
	"math"
	"sync"
)

// statsChunk is the number of images that a worker takes at a time.
const statsChunk = 16

// Stats returns the mean and the standard deviation of each channel over all
// pixels of src, in units where the largest byte is 1. They come from a histogram
// of exact counts, so the order of the images does not matter. The deviation is
// at least one grey level, so that it can divide.
func Stats(src Source) (mean, std []float32, err error) {
	h, w, c := src.Shape()
	// Counts add up to the same in any order, so workers may take any image.
	histograms := make([][256]int64, c)
	var mu sync.Mutex
	first := src.Len() // of the images that cannot be read
	chunks := (src.Len() + statsChunk - 1) / statsChunk
	parallel(chunks, func(chunk int) {
		pixels, counts := make([]byte, h*w*c), make([][256]int64, c)
		last := min((chunk+1)*statsChunk, src.Len())
		for i := chunk * statsChunk; i < last; i++ {
			if e := src.Image(pixels, i); e != nil {
				mu.Lock()
				if i < first {
					first, err = i, e
				}
				mu.Unlock()
				return
			}
			for k := range c {
				for j := k; j < len(pixels); j += c {
					counts[k][pixels[j]]++
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for k := range c {
			for v, n := range counts[k] {
				histograms[k][v] += n
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	mean, std = make([]float32, c), make([]float32, c)
	for k := range histograms {
		mean[k], std[k] = moments(&histograms[k])
	}
	return mean, std, nil
}

func moments(histogram *[256]int64) (mean, std float32) {
	n, sum := 0.0, 0.0
	for v, count := range histogram {
		n += float64(count)
		sum += float64(v) / 255 * float64(count)
	}
	m := sum / max(n, 1)
	squares := 0.0
	for v, count := range histogram {
		d := float64(v)/255 - m
		squares += d * d * float64(count)
	}
	return float32(m), float32(max(math.Sqrt(squares/max(n, 1)), 1.0/255))
}
