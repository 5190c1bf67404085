package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// Kinds of channel attention.
const (
	NoAttention = "none"
	SEAttention = "se" // squeeze and excitation
)

// Spec says which model to build. Its zero fields stand for the defaults of the
// named model.
type Spec struct {
	// Name is one of ModelNames.
	Name string `json:"name"`
	// Image is the shape of the images, Classes the number of classes.
	Image   Shape `json:"image"`
	Classes int   `json:"classes"`
	// Width multiplies all channel counts; default 1. Counts are rounded to
	// multiples of 8.
	Width float64 `json:"width,omitempty"`
	// Attention is the kind of channel attention. The default is se for names
	// that begin with "se-", else none.
	Attention string `json:"attention,omitempty"`
	// EveryBlock puts attention into every residual block (Hu et al., 2018),
	// not only behind the last one. It needs rescaling.
	EveryBlock bool `json:"every_block,omitempty"`
	// NoRescale computes attention for the loss only: features are not
	// multiplied by it, and a deployed model does not compute it.
	NoRescale bool `json:"no_rescale,omitempty"`
	// Reduction divides the channels in the attention's hidden layer;
	// default 4 behind the last block, 16 in every block.
	Reduction int `json:"reduction,omitempty"`
	// CosineHead makes the class scores cosines, as arcface and cosface want.
	CosineHead bool `json:"cosine_head,omitempty"`
	// Dropout is the rate in front of the classifier.
	Dropout float64 `json:"dropout,omitempty"`
	// Exact keeps the convolutions to direct sums (conv.Exact).
	Exact bool `json:"exact,omitempty"`
}

// ModelNames lists the models that New builds.
func ModelNames() []string {
	return []string{"se-resnet8", "se-resnet20", "resnet8", "resnet20"}
}

// New builds the model that s describes, with weights drawn from seed.
func New(s Spec, seed uint64) (*Model, error) {
	if !slices.Contains(ModelNames(), s.Name) {
		return nil, fmt.Errorf("train: unknown model %q", s.Name)
	}
	full, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	g, image := NewGraph(s.Image)
	b := &builder{Graph: g, spec: full}
	switch s.Name {
	case "se-resnet8", "resnet8":
		b.resNet(image, cifarResNet(1))
	case "se-resnet20", "resnet20":
		b.resNet(image, cifarResNet(3))
	}
	m, err := NewModel(g, seed)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", s.Name, err)
	}
	m.Spec = s
	return m, nil
}

// SEResNet8 builds the smallest residual network for small images, with squeeze
// and excitation behind its last block.
func SEResNet8(image Shape, classes int, seed uint64) (*Model, error) {
	return New(Spec{Name: "se-resnet8", Image: image, Classes: classes}, seed)
}

// SEResNet20 is SEResNet8 with three blocks a stage in place of one.
func SEResNet20(image Shape, classes int, seed uint64) (*Model, error) {
	return New(Spec{Name: "se-resnet20", Image: image, Classes: classes}, seed)
}

func (s Spec) withDefaults() (Spec, error) {
	if s.Classes < 2 || s.Classes > 1<<20 {
		return s, fmt.Errorf("train: %d classes", s.Classes)
	}
	s.Width = orDefault(s.Width, 1)
	if !(s.Width > 0 && s.Width <= 64) {
		return s, fmt.Errorf("train: width %v, want more than 0 and at most 64", s.Width)
	}
	if s.Attention == "" {
		s.Attention = NoAttention
		if len(s.Name) > 3 && s.Name[:3] == "se-" {
			s.Attention = SEAttention
		}
	}
	if s.Attention != NoAttention && s.Attention != SEAttention {
		return s, fmt.Errorf("train: unknown attention %q", s.Attention)
	}
	if s.EveryBlock && s.NoRescale {
		return s, fmt.Errorf("train: attention in every block needs rescaling")
	}
	if s.Reduction == 0 {
		s.Reduction = 4
		if s.EveryBlock {
			s.Reduction = 16
		}
	}
	if s.Reduction < 1 {
		return s, fmt.Errorf("train: attention reduction %d", s.Reduction)
	}
	return s, nil
}

// builder adds the parts that the models share to a graph.
type builder struct {
	*Graph
	spec       Spec
	attentions []Value
}

// channels is c times the width, rounded to a multiple of 8, which is no less
// than 8 and no more than a tenth below (the rule of MobileNet).
func (b *builder) channels(c int) int {
	want := float64(c) * b.spec.Width
	n := max(8, int(math.Floor(want/8+0.5))*8)
	if float64(n) < 0.9*want {
		n += 8
	}
	return n
}

// conv adds a square convolution that keeps the size at stride 1.
func (b *builder) conv(name string, x Value, k, size, stride int, bias bool) Value {
	return b.groupConv(name, x, k, size, stride, 1, bias)
}

func (b *builder) groupConv(name string, x Value, k, size, stride, groups int, bias bool) Value {
	pad := size / 2
	l := NewConv2D(name, conv.Shape{C: b.Shape(x).C, K: k, R: size, S: size, StrideH: stride, StrideW: stride,
		PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad, Groups: groups}, bias)
	if b.spec.Exact {
		l.Accuracy = conv.Exact
	}
	return b.Add(l, x)
}

// norm adds a batch normalisation, with a residual input if one is given.
func (b *builder) norm(name string, act kernels.Activation, x Value, residual ...Value) Value {
	return b.Add(NewBatchNorm(name, b.Shape(x).C, act), append([]Value{x}, residual...)...)
}

// attend adds the spec's attention to x and returns the features behind it.
func (b *builder) attend(name string, x Value) Value {
	if b.spec.Attention == NoAttention || b.err != nil {
		return x
	}
	c := b.Shape(x).C
	l := NewSE(name+".fc1", name+".fc2", c, max(1, c/b.spec.Reduction), !b.spec.NoRescale)
	out := b.AddAll(l, x)
	if len(out) == 0 {
		return x
	}
	b.attentions = append(b.attentions, out[len(out)-1])
	if b.spec.NoRescale {
		return x
	}
	return out[0]
}

// head adds the classifier behind the feature maps x.
func (b *builder) head(name string, x Value) {
	features := b.Add(NewGlobalAvgPool("avgpool"), x)
	b.classify(name, features)
}

// classify adds the classifier behind the feature vector.
func (b *builder) classify(name string, features Value) {
	x := features
	if b.spec.Dropout > 0 {
		x = b.Add(NewDropout("dropout", b.spec.Dropout), x)
	}
	c := b.Shape(x).C
	if b.spec.CosineHead {
		x = b.Add(NewCosineLinear(name, c, b.spec.Classes), x)
	} else {
		x = b.Add(NewLinear(name, c, b.spec.Classes, true), x)
	}
	b.SetOutputs(x, features, b.attentions...)
}
