package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Augment says how training images are varied. The zero value leaves them alone.
// What happens to an image depends on the seed, the epoch and the image alone (and
// with a sampler that repeats images, on the place in the epoch). The steps follow
// each other in this order: resized crop, RandAugment, jitter, crop, flip,
// normalisation, cutout, mixup.
type Augment struct {
	// Pad is how many black pixels surround an image before a window of the
	// original size is cut out at a random place.
	Pad int `json:"pad"`
	// Flip mirrors every other image, at random, left to right. It must stay off
	// where that changes the class, as with letters and digits.
	Flip bool `json:"flip"`
	// ResizedCrop, if positive, cuts out a random part with at least this share of
	// the area and sides in a ratio of 3:4 to 4:3, and resizes it to the whole.
	// Image folders take it from the picture as it was before it was made square.
	//
	// Source: Szegedy et al., "Going deeper with convolutions" (2015).
	ResizedCrop float64 `json:"resized_crop,omitempty"`
	// Jitter, if positive, multiplies brightness, contrast and saturation each by a
	// random factor in [1-Jitter, 1+Jitter] and turns the hue by up to Jitter/4 of
	// the colour circle. Images of other than three channels have no colour: only
	// brightness and contrast change.
	Jitter float64 `json:"jitter,omitempty"`
	// Cutout, if positive, hides a square with this share of the shorter side,
	// centred at a random pixel, under the mean colour.
	//
	// Source: DeVries, Taylor, "Improved regularization of convolutional neural
	// networks with cutout" (2017).
	Cutout float64 `json:"cutout,omitempty"`
	// Mixup, if positive, is alpha: an image becomes w times itself plus 1-w times
	// another of its batch, with w' from Beta(alpha, alpha) and w = max(w', 1-w').
	// [Batch.Other] and [Batch.Weight] have the second label and w. alpha is at
	// most 1.
	//
	// Source: Zhang et al., "mixup: beyond empirical risk minimization" (2018).
	Mixup float64 `json:"mixup,omitempty"`
	// RandOps, if positive, is the number of RandAugment's operations on each
	// image, drawn from 14; RandMagnitude, 0 to 30, is how strong they are.
	//
	// Source: Cubuk et al., "RandAugment" (2020); ranges as in torchvision.
	RandOps       int `json:"rand_ops,omitempty"`
	RandMagnitude int `json:"rand_magnitude,omitempty"`
}

// check reports the first parameter out of its range.
func (a Augment) check() error {
	share := func(v float64) bool { return v >= 0 && v <= 1 }
	switch {
	case a.Pad < 0 || a.Pad > maxSide:
		return fmt.Errorf("data: padding of %d pixels, want 0 to %d", a.Pad, maxSide)
	case !share(a.ResizedCrop):
		return fmt.Errorf("data: resized crop of at least %v of the area, want 0 to 1", a.ResizedCrop)
	case !share(a.Jitter):
		return fmt.Errorf("data: colour jitter %v, want 0 to 1", a.Jitter)
	case !share(a.Cutout):
		return fmt.Errorf("data: cutout of %v of the side, want 0 to 1", a.Cutout)
	case !share(a.Mixup):
		return fmt.Errorf("data: mixup with alpha %v, want 0 to 1", a.Mixup)
	case a.RandOps < 0 || a.RandOps > randOps || a.RandMagnitude < 0 || a.RandMagnitude > randBins-1:
		return fmt.Errorf("data: RandAugment with %d operations of magnitude %d, want 0 to %d of 0 to %d", a.RandOps, a.RandMagnitude, randOps, randBins-1)
	}
	return nil
}

// costly reports whether augmentation takes more than the copy of an image.
func (a Augment) costly() bool { return a.ResizedCrop > 0 || a.Jitter > 0 || a.RandOps > 0 }

// augmentation is one name that ParseAugment knows.
type augmentation struct {
	name     string
	strength float64 // without =value
	most     float64 // strengths are from 0 to this
	whole    bool    // and whole numbers
	set      func(a *Augment, strength float64)
}

var augmentations = []augmentation{
	{"crop", 4, maxSide, true, func(a *Augment, v float64) { a.Pad = int(v) }},
	{"flip", 1, 1, true, func(a *Augment, v float64) { a.Flip = v != 0 }},
	{"resized-crop", 0.25, 1, false, func(a *Augment, v float64) { a.ResizedCrop = v }},
	{"jitter", 0.4, 1, false, func(a *Augment, v float64) { a.Jitter = v }},
	{"cutout", 0.5, 1, false, func(a *Augment, v float64) { a.Cutout = v }},
	{"mixup", 0.2, 1, false, func(a *Augment, v float64) { a.Mixup = v }},
	{"randaugment", 9, randBins - 1, true, func(a *Augment, v float64) { a.RandOps, a.RandMagnitude = 2, int(v) }},
}

// AugmentNames lists what [ParseAugment] knows.
func AugmentNames() []string {
	names := make([]string, len(augmentations))
	for i, a := range augmentations {
		names[i] = a.name
	}
	return names
}

// ParseAugment reads a list such as "crop,flip,mixup=0.4": names with, after =, the
// strength if it is not the usual one: crop the padding in pixels, resized-crop the
// least share of the area, jitter and cutout as in [Augment], mixup alpha,
// randaugment the magnitude. 0 turns a step off, and 1 is all that flip takes beside
// it. "none" is no augmentation and "default" or "" what usual says.
func ParseAugment(list string, usual Augment) (Augment, error) {
	switch list {
	case "", "default":
		return usual, nil
	case "none":
		return Augment{}, nil
	}
	var a Augment
	var seen []string
	for item := range strings.SplitSeq(list, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(item), "=")
		at := slices.IndexFunc(augmentations, func(known augmentation) bool { return known.name == name })
		if at < 0 {
			return Augment{}, fmt.Errorf("unknown augmentation %q, want default, none or some of %s", name, strings.Join(AugmentNames(), ","))
		}
		if slices.Contains(seen, name) {
			return Augment{}, fmt.Errorf("augmentation %s is given twice", name)
		}
		seen = append(seen, name)
		known := &augmentations[at]
		strength := known.strength
		if given {
			var err error
			if strength, err = known.parse(value); err != nil {
				return Augment{}, err
			}
		}
		known.set(&a, strength)
	}
	return a, nil
}

// parse reads a strength.
func (known *augmentation) parse(value string) (float64, error) {
	v, err := strconv.ParseFloat(value, 64)
	if err == nil && v >= 0 && v <= known.most && !(known.whole && v != math.Trunc(v)) {
		return v, nil
	}
	want := "a number"
	if known.whole {
		want = "a whole number"
	}
	return 0, fmt.Errorf("augmentation %s=%s: want %s from 0 to %v", known.name, value, want, known.most)
}

// raster is an image of bytes: pixel (x, y) begins at pix[y*stride+x*step].
type raster struct {
	pix          []byte
	w, h         int
	stride, step int
}

// affine takes the pixel (x, y) of a result to the place
// (xx*x + xy*y + x0, yx*x + yy*y + y0) of the original, both in pixels from the
// centre of the first.
type affine struct{ xx, xy, x0, yx, yy, y0 float64 }

// warp fills dst, h x w x c, with what m finds in src, interpolated between the
// four nearest pixels. Outside, the nearest edge counts (clamp), or black.
func warp(dst []byte, h, w, c int, src raster, m affine, clamp bool) {
	const one = 256 // weights are in 1/256
	for y := range h {
		for x := range w {
			fx := m.xx*float64(x) + m.xy*float64(y) + m.x0
			fy := m.yx*float64(x) + m.yy*float64(y) + m.y0
			out := dst[(y*w+x)*c : (y*w+x+1)*c]
			if clamp {
				fx, fy = min(max(fx, 0), float64(src.w-1)), min(max(fy, 0), float64(src.h-1))
			} else if !(fx > -1 && fy > -1 && fx < float64(src.w) && fy < float64(src.h)) {
				clear(out)
				continue
			}
			x0, y0 := int(math.Floor(fx)), int(math.Floor(fy))
			wx, wy := int(one*(fx-float64(x0))), int(one*(fy-float64(y0)))
			corners := [4]int{(one - wx) * (one - wy), wx * (one - wy), (one - wx) * wy, wx * wy}
			at := y0*src.stride + x0*src.step
			offsets := [4]int{at, at + src.step, at + src.stride, at + src.stride + src.step}
			if x0 < 0 || y0 < 0 || x0+1 >= src.w || y0+1 >= src.h {
				edge(&corners, &offsets, x0, y0, src, clamp)
			}
			for k := range out {
				sum := one * one / 2
				for i, weight := range corners {
					sum += weight * int(src.pix[offsets[i]+k])
				}
				out[k] = byte(sum / (one * one))
			}
		}
	}
}

// edge moves the corners that lie outside src to its edge, or takes their weight.
func edge(corners, offsets *[4]int, x0, y0 int, src raster, clamp bool) {
	for i := range 4 {
		x, y := x0+i%2, y0+i/2
		if !clamp && (x < 0 || y < 0 || x >= src.w || y >= src.h) {
			corners[i] = 0
		}
		offsets[i] = min(max(y, 0), src.h-1)*src.stride + min(max(x, 0), src.w-1)*src.step
	}
}

// resizedCrop draws a part of src and resizes it to dst, h x w x c.
func resizedCrop(dst []byte, h, w, c int, src raster, least float64, r *rand.Rand) {
	sw, sh := float64(src.w), float64(src.h)
	cw, ch, found := sw, sh, false
	for range 10 {
		area := sw * sh * (least + (1-least)*r.Float64())
		ratio := math.Exp((2*r.Float64() - 1) * math.Log(4.0/3))
		cw, ch = math.Sqrt(area*ratio), math.Sqrt(area/ratio)
		if found = cw <= sw && ch <= sh; found {
			break
		}
	}
	if !found { // the largest part with an allowed ratio
		cw, ch = min(sw, sh*4/3), min(sh, sw*4/3)
	}
	left, top := (sw-cw)*r.Float64(), (sh-ch)*r.Float64()
	sx, sy := cw/float64(w), ch/float64(h)
	warp(dst, h, w, c, src, affine{xx: sx, x0: left + sx/2 - 0.5, yy: sy, y0: top + sy/2 - 0.5}, true)
}

// jitter changes the colours of an image of c channels in place: one affine map of
// the colour, composed of the four changes.
func jitter(pixels []byte, c int, strength float64, r *rand.Rand) {
	factor := func() float64 { return 1 + strength*(2*r.Float64()-1) }
	bright, contrast, saturation := factor(), factor(), factor()
	angle := 2 * math.Pi * strength / 4 * (2*r.Float64() - 1)
	sum := 0
	for _, v := range pixels {
		sum += int(v)
	}
	// Contrast keeps the mean over the image, after brightness.
	mean := bright * float64(sum) / float64(max(len(pixels), 1))
	scale, shift := bright*contrast, (1-contrast)*mean
	if c != 3 {
		var table [256]byte
		for v := range table {
			table[v] = clampByte(scale*float64(v) + shift)
		}
		for i, v := range pixels {
			pixels[i] = table[v]
		}
		return
	}
	m := hueSaturation(saturation, angle)
	for i := 0; i+2 < len(pixels); i += 3 {
		p := pixels[i : i+3 : i+3]
		red, green, blue := scale*float64(p[0])+shift, scale*float64(p[1])+shift, scale*float64(p[2])+shift
		p[0] = clampByte(m[0]*red + m[1]*green + m[2]*blue)
		p[1] = clampByte(m[3]*red + m[4]*green + m[5]*blue)
		p[2] = clampByte(m[6]*red + m[7]*green + m[8]*blue)
	}
}

// hueSaturation is the matrix that keeps the luma of a colour and scales and turns
// its chroma (I and Q of the television standard YIQ).
func hueSaturation(saturation, angle float64) [9]float64 {
	toYIQ := [9]float64{0.299, 0.587, 0.114, 0.5959, -0.2746, -0.3213, 0.2115, -0.5227, 0.3112}
	toRGB := [9]float64{1, 0.956, 0.619, 1, -0.272, -0.647, 1, -1.106, 1.703}
	sin, cos := math.Sincos(angle)
	turn := [9]float64{1, 0, 0, 0, saturation * cos, -saturation * sin, 0, saturation * sin, saturation * cos}
	return multiply(toRGB, multiply(turn, toYIQ))
}

func multiply(a, b [9]float64) (m [9]float64) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				m[3*i+j] += a[3*i+k] * b[3*k+j]
			}
		}
	}
	return m
}

func clampByte(v float64) byte { return byte(min(max(v+0.5, 0), 255)) }

// cutout sets a square of a normalised image to zero, the mean colour.
func cutout(x []float32, h, w, c int, share float64, r *rand.Rand) {
	side := int(math.Round(share * float64(min(h, w))))
	top, left := r.IntN(h)-side/2, r.IntN(w)-side/2
	x0, x1 := max(left, 0), min(left+side, w)
	for y := max(top, 0); y < min(top+side, h); y++ {
		clear(x[(y*w+x0)*c : (y*w+max(x0, x1))*c])
	}
}

// beta draws from Beta(alpha, alpha), 0 < alpha <= 1.
//
// Source: M. D. Joehnk, "Erzeugung von betaverteilten und gammaverteilten
// Zufallszahlen", Metrika 8 (1964); the powers as logarithms, since they underflow
// for small alpha.
func beta(alpha float64, r *rand.Rand) float64 {
	for {
		u, v := math.Log(1-r.Float64())/alpha, math.Log(1-r.Float64())/alpha
		top := max(u, v)
		// log(e^u + e^v), without leaving the range
		sum := top + math.Log(math.Exp(u-top)+math.Exp(v-top))
		if sum <= 0 {
			return math.Exp(u - sum)
		}
	}
}

// mixup mixes image i of the n of a batch with image n-1-i; in a batch in random
// order that is a random partner.
func mixup(b *Batch, size int, alpha float64, r *rand.Rand) {
	n := len(b.Labels)
	for i := range (n + 1) / 2 {
		j := n - 1 - i
		w := beta(alpha, r)
		w = max(w, 1-w)
		b.Other[i], b.Other[j] = b.Labels[j], b.Labels[i]
		b.Weight[i], b.Weight[j] = float32(w), float32(w)
		first, second := b.X[i*size:(i+1)*size], b.X[j*size:(j+1)*size]
		if i == j {
			continue
		}
		w1, w2 := float32(w), float32(1-w)
		for k, v := range first {
			u := second[k]
			first[k], second[k] = w1*v+w2*u, w1*u+w2*v
		}
	}
}
