package train

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// mobileNetV2 adds the network of inverted residuals of Sandler et al., 2018. Its
// tensors have torchvision's names. Small images are halved three times in place
// of five.
func (b *builder) mobileNetV2(x Value) {
	stages := []struct{ expand, channels, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	}
	first := 2
	if b.small {
		first, stages[1].stride = 1, 1
	}
	x = b.conv("features.0.0", x, b.channels(32), 3, first, false)
	x = b.norm("features.0.1", kernels.ReLU6, x)
	index := 1
	for _, s := range stages {
		for i := range s.blocks {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			x = b.invertedResidual(index, x, s.expand, b.channels(s.channels), stride, i == s.blocks-1)
			index++
		}
		x = b.attendAt(fmt.Sprintf("features.%d.se", index-1), x, true, false)
	}
	last := 1280
	if b.spec.Width > 1 {
		last = b.channels(last)
	}
	name := fmt.Sprintf("features.%d", index)
	x = b.conv(name+".0", x, last, 1, 1, false)
	x = b.norm(name+".1", kernels.ReLU6, x)
	x = b.attendAt(name+".se", x, false, true)
	b.head("classifier.1", x)
}

// invertedResidual adds an expansion, a depthwise convolution and a projection,
// around a shortcut where the shape stays.
func (b *builder) invertedResidual(index int, x Value, expand, k, stride int, stageEnd bool) Value {
	name, part := fmt.Sprintf("features.%d.conv", index), 0
	in := b.Shape(x).C
	y, wide := x, in*expand
	if expand != 1 {
		y = b.conv(fmt.Sprintf("%s.%d.0", name, part), y, wide, 1, 1, false)
		y = b.norm(fmt.Sprintf("%s.%d.1", name, part), kernels.ReLU6, y)
		part++
	}
	y = b.groupConv(fmt.Sprintf("%s.%d.0", name, part), y, wide, 3, stride, wide, false)
	y = b.norm(fmt.Sprintf("%s.%d.1", name, part), kernels.ReLU6, y)
	y = b.inBlock(fmt.Sprintf("features.%d.se", index), y, stageEnd)
	y = b.conv(fmt.Sprintf("%s.%d", name, part+1), y, k, 1, 1, false)
	name = fmt.Sprintf("%s.%d", name, part+2)
	if stride == 1 && in == k {
		return b.norm(name, kernels.Identity, y, x)
	}
	return b.norm(name, kernels.Identity, y)
}
