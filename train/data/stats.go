package data

import "math"

// Stats returns the mean and the standard deviation of each channel over all
// pixels of src, in units where the largest byte is 1. They come from a histogram
// of exact counts, so the order of the images does not matter. The deviation is
// at least one grey level, so that it can divide.
func Stats(src Source) (mean, std []float32, err error) {
	h, w, c := src.Shape()
	histograms := make([][256]int64, c)
	pixels := make([]byte, h*w*c)
	for i := range src.Len() {
		if err := src.Image(pixels, i); err != nil {
			return nil, nil, err
		}
		for k := range c {
			histogram := &histograms[k]
			for j := k; j < len(pixels); j += c {
				histogram[pixels[j]]++
			}
		}
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
