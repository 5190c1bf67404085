package infer

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"sync"

	"golang.org/x/image/draw"

	"github.com/golanes/lanes/infer/onnx"
)

// ImageOptions say how pictures become the input of a classifier. Pixels are
// scaled to 0..1, unless Raw, less Mean, divided by Std.
type ImageOptions struct {
	// Width and Height of the input; by default what the model declares.
	Width, Height int
	// Mean and Std by channel; by default 0 and 1.
	Mean, Std []float32
	// Raw keeps pixels as 0..255.
	Raw bool
	// Labels name the classes.
	Labels []string
}

// A Classifier runs a network from pictures to classes. It may be used from many
// goroutines at once.
type Classifier struct {
	session *Session
	opt     ImageOptions
	h, w, c int
	nhwc    bool
	free    sync.Pool // of *classification
}

type classification struct {
	canvas *image.RGBA
	in     []*Tensor
	out    []*Tensor
}

// A Class is a class with its probability.
type Class struct {
	Index       int     `json:"index"`
	Name        string  `json:"name"`
	Probability float64 `json:"probability"`
}

// NewClassifier checks that the session takes one image of 1 or 3 channels and
// gives one row of scores.
func NewClassifier(s *Session, opt ImageOptions) (*Classifier, error) {
	in := s.Inputs()
	if len(in) != 1 || len(s.Outputs()) != 1 || in[0].Type != onnx.Float32 || len(in[0].Shape) != 4 {
		return nil, errors.New("infer: a classifier has one input, an image of float32, and one output")
	}
	d := in[0].Shape
	c := &Classifier{session: s, opt: opt}
	size := func(i int) int { return int(min(max(d[i].Size, -1), 1<<16)) }
	c.c, c.h, c.w = size(1), size(2), size(3)
	if c.c != 1 && c.c != 3 && (size(3) == 1 || size(3) == 3) {
		c.nhwc, c.h, c.w, c.c = true, size(1), size(2), size(3)
	}
	if c.c < 0 {
		c.c = 3
	}
	for i, want := range []int{opt.Height, opt.Width} {
		have := []*int{&c.h, &c.w}[i]
		if want > 0 && *have < 0 {
			*have = want
		}
		if *have < 1 || *have > 1<<14 || want > 0 && want != *have {
			return nil, fmt.Errorf("infer: images of %dx%d for an input of shape %v", opt.Height, opt.Width, d)
		}
	}
	if c.c != 1 && c.c != 3 {
		return nil, fmt.Errorf("infer: images of %d channels", c.c)
	}
	if len(opt.Mean) != 0 && len(opt.Mean) != c.c || len(opt.Std) != 0 && len(opt.Std) != c.c {
		return nil, fmt.Errorf("infer: %d means and %d deviations for %d channels", len(opt.Mean), len(opt.Std), c.c)
	}
	if n := classes(s.Outputs()[0]); n > 0 && len(opt.Labels) > 0 && n != len(opt.Labels) {
		return nil, fmt.Errorf("infer: %d labels for %d classes", len(opt.Labels), n)
	}
	c.free.New = func() any {
		return &classification{
			canvas: image.NewRGBA(image.Rect(0, 0, c.w, c.h)),
			in:     []*Tensor{c.blank()},
			out:    make([]*Tensor, 1),
		}
	}
	return c, nil
}

// classes returns the number of classes that an output is declared to have, 0 if
// it is open.
func classes(out onnx.ValueInfo) int {
	if len(out.Shape) < 2 {
		return 0
	}
	n := int64(1)
	for _, d := range out.Shape[1:] {
		if d.Size < 1 || d.Size > 1<<20 || n > 1<<20 {
			return 0
		}
		n *= d.Size
	}
	return int(n)
}

// Size returns height, width and channels of the network's input.
func (c *Classifier) Size() (h, w, channels int) { return c.h, c.w, c.c }

// blank returns an input of zeros.
func (c *Classifier) blank() *Tensor {
	shape := []int{1, c.c, c.h, c.w}
	if c.nhwc {
		shape = []int{1, c.h, c.w, c.c}
	}
	return FromFloat32s(make([]float32, c.h*c.w*c.c), shape...)
}

// Classify returns the top classes of a picture, the most probable first: it is
// [Classifier.Input], a run of the session and [Classifier.Rank] in one.
func (c *Classifier) Classify(img image.Image, top int) ([]Class, error) {
	x := c.free.Get().(*classification)
	defer c.free.Put(x)
	if err := c.load(x.in[0], x.canvas, img); err != nil {
		return nil, err
	}
	if err := c.session.Run(x.out, x.in); err != nil {
		return nil, err
	}
	return c.Rank(x.out[0], top)
}

// Input returns the network's input for one picture, a batch of one. The picture
// is resized to the input, with its proportions given up.
func (c *Classifier) Input(img image.Image) (*Tensor, error) {
	x := c.free.Get().(*classification)
	defer c.free.Put(x)
	t := c.blank()
	return t, c.load(t, x.canvas, img)
}

// load resizes a picture and stores it as the network's input.
func (c *Classifier) load(dst *Tensor, canvas *image.RGBA, img image.Image) error {
	size := img.Bounds()
	if size.Empty() {
		return errors.New("infer: an empty image")
	}
	if size.Dx() > MaxImageSide || size.Dy() > MaxImageSide {
		return fmt.Errorf("infer: an image of %dx%d pixels, more than %d a side", size.Dx(), size.Dy(), MaxImageSide)
	}
	draw.CatmullRom.Scale(canvas, canvas.Bounds(), img, size, draw.Src, nil)
	c.fill(dst.Float32s(), canvas)
	return nil
}

// fill turns pixels into the network's input.
func (c *Classifier) fill(dst []float32, img *image.RGBA) {
	for i := range c.h * c.w {
		p := img.Pix[i/c.w*img.Stride+i%c.w*4:]
		for k := range c.c {
			v := float32(p[k])
			if c.c == 1 { // luma of Rec. 601
				v = 0.299*float32(p[0]) + 0.587*float32(p[1]) + 0.114*float32(p[2])
			}
			if !c.opt.Raw {
				v /= 255
			}
			if len(c.opt.Mean) > 0 {
				v -= c.opt.Mean[k]
			}
			if len(c.opt.Std) > 0 {
				v /= c.opt.Std[k]
			}
			if c.nhwc {
				dst[i*c.c+k] = v
			} else {
				dst[k*c.h*c.w+i] = v
			}
		}
	}
}

// Rank returns the top classes of the network's output for one picture, the most
// probable first. Scores that are not probabilities already go through softmax.
// Scores that are not numbers, and another number of scores than labels, are
// errors.
func (c *Classifier) Rank(scores *Tensor, top int) ([]Class, error) {
	p := scores.Float64s()
	if n := len(c.opt.Labels); n > 0 && n != len(p) {
		return nil, fmt.Errorf("infer: %d labels for %d classes", n, len(p))
	}
	sum, least, most := 0.0, math.Inf(1), math.Inf(-1)
	for _, v := range p {
		sum, least, most = sum+v, min(least, v), max(most, v)
	}
	if least < 0 || math.Abs(sum-1) > 1e-3 {
		sum = 0
		for i, v := range p {
			p[i] = math.Exp(v - most)
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
	}
	if !(sum < math.Inf(1)) {
		return nil, errors.New("infer: the scores of the classes are not finite numbers")
	}
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	list := make([]Class, min(max(top, 1), len(p)))
	for k := range list {
		i := order[k]
		list[k] = Class{Index: i, Probability: p[i], Name: fmt.Sprintf("class %d", i)}
		if len(c.opt.Labels) > 0 {
			list[k].Name = c.opt.Labels[i]
		}
	}
	return list, nil
}
