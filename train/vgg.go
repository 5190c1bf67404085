package train

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// vgg adds a network of plain 3 x 3 convolutions, with or without batch
// normalisation (Simonyan and Zisserman, 2014), with the given number in each of
// five stages, each followed by a halving of the resolution where there is one to
// halve. Its tensors have torchvision's names. Feature maps of 7 x 7, from images
// of 224 x 224, get torchvision's classifier of three layers; others are averaged
// for one, "classifier".
func (b *builder) vgg(x Value, stages []int, norm bool) {
	index := 0
	for s, n := range stages {
		k := b.channels(min(64<<s, 512))
		for i := range n {
			x = b.conv(fmt.Sprintf("features.%d", index), x, k, 3, 1, true)
			if norm {
				index++
				x = b.norm(fmt.Sprintf("features.%d", index), kernels.ReLU, x)
			} else {
				x = b.Add(NewActivate(fmt.Sprintf("features.%d", index+1), kernels.ReLU), x)
			}
			index += 2
			x = b.inBlock(fmt.Sprintf("stage%d.%d.se", s+1, i), x, i == n-1)
		}
		x = b.attendAt(fmt.Sprintf("stage%d.se", s+1), x, true, s == len(stages)-1)
		if shape := b.Shape(x); shape.H > 1 && shape.W > 1 {
			x = b.Add(NewMaxPool(fmt.Sprintf("features.%d", index), 2, 2, 0), x)
		}
		index++
	}
	if shape := b.Shape(x); b.small || shape.H != 7 || shape.W != 7 {
		b.head("classifier", x)
		return
	}
	x = b.Add(NewFlatten("flatten"), x)
	if b.spec.Dropout == 0 {
		b.spec.Dropout = 0.5
	}
	hidden := b.channels(4096)
	for i, name := range []string{"classifier.0", "classifier.3"} {
		if i > 0 {
			x = b.Add(NewDropout("dropout1", b.spec.Dropout), x)
		}
		x = b.Add(NewLinear(name, b.Shape(x).C, hidden, true), x)
		x = b.Add(NewActivate(name+".relu", kernels.ReLU), x)
	}
	b.classify("classifier.6", x)
}
