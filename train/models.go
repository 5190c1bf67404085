package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// Kinds of channel attention.
const (
	NoAttention   = "none"
	SEAttention   = "se"   // squeeze and excitation
	ECAAttention  = "eca"  // efficient channel attention
	CBAMAttention = "cbam" // the channel half of CBAM
)

// Placements of channel attention.
const (
	// AtHead puts one attention behind the last block.
	AtHead = "head"
	// AtStages puts one behind every stage: every change of resolution.
	AtStages = "stages"
	// AtBlocks puts one into every block, in front of its addition if it has
	// one (Hu et al., 2018). Its attention vectors are those of the last block
	// of each stage.
	AtBlocks = "blocks"
)

// Kinds of first layers.
const (
	StemCIFAR    = "cifar"
	StemImageNet = "imagenet"
)

// Spec says which model to build. Its zero fields stand for the defaults of the
// named model.
type Spec struct {
	// Name is one of ModelNames; "eca-" and "cbam-" may stand for "se-",
	// "mobilenetv2" and "mobilenet_v2" for "mobilenet-v2".
	Name string `json:"name"`
	// Image is the shape of the images, Classes the number of classes.
	Image   Shape `json:"image"`
	Classes int   `json:"classes"`
	// Width multiplies all channel counts; default 1. Counts are rounded to
	// multiples of 8.
	Width float64 `json:"width,omitempty"`
	// Attention is the kind of channel attention. The default is what the
	// name begins with, else none.
	Attention string `json:"attention,omitempty"`
	// Placement is where attention is; default AtBlocks for resnet18,
	// resnet34 and mobilenet-v2, AtHead for the others and with NoRescale.
	Placement string `json:"placement,omitempty"`
	// NoRescale computes attention for the loss only: features are not
	// multiplied by it, and a deployed model does not compute it.
	NoRescale bool `json:"no_rescale,omitempty"`
	// Reduction divides the channels in the attention's hidden layer; default
	// 16 in blocks, else 4.
	Reduction int `json:"reduction,omitempty"`
	// CosineHead makes the class scores cosines, as arcface and cosface want.
	CosineHead bool `json:"cosine_head,omitempty"`
	// Dropout is the rate in front of the classifier.
	Dropout float64 `json:"dropout,omitempty"`
	// Stem chooses the first layers of resnet18 and resnet34, vgg and
	// mobilenet-v2: StemCIFAR keeps the size of the images, StemImageNet is
	// torchvision's. The default is StemCIFAR for images of up to 64 x 64.
	Stem string `json:"stem,omitempty"`
	// Exact keeps the convolutions to direct sums (conv.Exact).
	Exact bool `json:"exact,omitempty"`
}

// ModelNames lists the models that New builds, each without attention and with
// squeeze and excitation: resnet8 to resnet32 for small images (He et al., 2015,
// section 4.2), the others in torchvision's layout.
func ModelNames() []string {
	names := Backbones()
	for _, n := range Backbones() {
		names = append(names, SEAttention+"-"+n)
	}
	return names
}

// Backbones lists the names of ModelNames that say nothing of attention.
func Backbones() []string {
	return []string{"resnet8", "resnet20", "resnet32", "resnet18", "resnet34", "vgg11-bn", "vgg16-bn", "vgg16", "mobilenet-v2"}
}

// Validate reports what cannot be in s, but for the shape of the images.
func (s Spec) Validate() error {
	_, _, err := s.withDefaults()
	return err
}

// Attends reports whether the model has channel attention, whose vectors a loss
// can look at.
func (s Spec) Attends() bool {
	full, _, err := s.withDefaults()
	return err == nil && full.Attention != NoAttention
}

// New builds the model that s describes, with weights drawn from seed.
func New(s Spec, seed uint64) (*Model, error) {
	g, err := s.graph()
	if err != nil {
		return nil, err
	}
	m, err := NewModel(g, seed)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", s.Name, err)
	}
	m.Spec = s
	return m, nil
}

// graph lays out the network without storage.
func (s Spec) graph() (*Graph, error) {
	full, base, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	g, image := NewGraph(s.Image)
	b := &builder{Graph: g, spec: full, small: full.Stem == StemCIFAR}
	switch base {
	case "resnet8":
		b.resNet(image, cifarResNet(1))
	case "resnet20":
		b.resNet(image, cifarResNet(3))
	case "resnet32":
		b.resNet(image, cifarResNet(5))
	case "resnet18":
		b.resNet(image, imageResNet(2, 2, 2, 2))
	case "resnet34":
		b.resNet(image, imageResNet(3, 4, 6, 3))
	case "vgg11-bn":
		b.vgg(image, []int{1, 1, 2, 2, 2}, true)
	case "vgg16-bn":
		b.vgg(image, []int{2, 2, 3, 3, 3}, true)
	case "vgg16":
		b.vgg(image, []int{2, 2, 3, 3, 3}, false)
	case "mobilenet-v2":
		b.mobileNetV2(image)
	}
	return g, nil
}

// withDefaults fills in what is zero, and returns the name without attention.
func (s Spec) withDefaults() (full Spec, base string, err error) {
	base, attention := s.Name, NoAttention
	for _, kind := range attentionKinds() {
		if rest, ok := strings.CutPrefix(s.Name, kind+"-"); ok {
			base, attention = rest, kind
		}
	}
	if s.Attention == "" {
		s.Attention = attention
	}
	if base == "mobilenetv2" || base == "mobilenet_v2" {
		base = "mobilenet-v2"
	}
	blocks := base == "resnet18" || base == "resnet34" || base == "mobilenet-v2"
	if s.Placement == "" {
		s.Placement = AtHead
		if blocks && !s.NoRescale {
			s.Placement = AtBlocks
		}
	}
	if s.Stem == "" {
		s.Stem = StemCIFAR
		if max(s.Image.H, s.Image.W) > 64 {
			s.Stem = StemImageNet
		}
	}
	s.Width = orDefault(s.Width, 1)
	if s.Reduction == 0 {
		s.Reduction = 4
		if s.Placement == AtBlocks {
			s.Reduction = 16
		}
	}
	switch {
	case !slices.Contains(Backbones(), base):
		err = fmt.Errorf("train: unknown model %q, want one of %s, by itself or after se-, eca- or cbam-", s.Name, strings.Join(Backbones(), ", "))
	case s.Classes < 2 || s.Classes > 1<<20:
		err = fmt.Errorf("train: %d classes, want 2 to %d", s.Classes, 1<<20)
	case !(s.Width > 0 && s.Width <= 64):
		err = fmt.Errorf("train: width %v, want more than 0 and at most 64", s.Width)
	case s.Attention != NoAttention && !slices.Contains(attentionKinds(), s.Attention):
		err = fmt.Errorf("train: unknown attention %q", s.Attention)
	case !slices.Contains([]string{AtHead, AtStages, AtBlocks}, s.Placement):
		err = fmt.Errorf("train: unknown placement %q of attention", s.Placement)
	case s.Placement == AtBlocks && s.NoRescale:
		err = errors.New("train: attention in every block must rescale; place it at stages")
	case s.Stem != StemCIFAR && s.Stem != StemImageNet:
		err = fmt.Errorf("train: unknown stem %q", s.Stem)
	case s.Reduction < 1:
		err = fmt.Errorf("train: attention reduction %d", s.Reduction)
	case !(s.Dropout >= 0 && s.Dropout < 1):
		err = fmt.Errorf("train: dropout rate %v, want 0 <= rate < 1", s.Dropout)
	}
	return s, base, err
}

func attentionKinds() []string { return []string{SEAttention, ECAAttention, CBAMAttention} }

// builder adds the parts that the models share to a graph.
type builder struct {
	*Graph
	spec       Spec
	small      bool // the first layer keeps the image's size
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

// attendAt adds attention to x if the spec places one here. stageEnd marks the
// last of a stage, last that of the network.
func (b *builder) attendAt(name string, x Value, stageEnd, last bool) Value {
	switch b.spec.Placement {
	case AtHead:
		stageEnd = last
	case AtBlocks:
		return x // done in the block
	}
	if !stageEnd {
		return x
	}
	return b.attend(name, x, true)
}

// inBlock adds attention to the branch x of a block if the spec wants one there.
func (b *builder) inBlock(name string, x Value, stageEnd bool) Value {
	if b.spec.Placement != AtBlocks {
		return x
	}
	return b.attend(name, x, stageEnd)
}

// attend adds the spec's attention to x and returns the features behind it. tap
// shows its vector to the losses.
func (b *builder) attend(name string, x Value, tap bool) Value {
	if b.spec.Attention == NoAttention || b.err != nil {
		return x
	}
	c := b.Shape(x).C
	var l *Attention
	hidden, rescale := max(1, c/b.spec.Reduction), !b.spec.NoRescale
	switch b.spec.Attention {
	case SEAttention:
		l = NewSE(name+".fc1", name+".fc2", c, hidden, rescale)
	case CBAMAttention:
		l = NewCBAM(name+".fc1", name+".fc2", c, hidden, rescale)
	default:
		l = NewECA(name+".conv", c, rescale)
	}
	out := b.AddAll(l, x)
	if len(out) == 0 {
		return x
	}
	if tap {
		b.attentions = append(b.attentions, out[len(out)-1])
	}
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
