package train

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// resNetPlan is the layout of a residual network of basic blocks.
type resNetPlan struct {
	widths []int // channels by stage
	blocks []int // blocks by stage
	large  bool  // may begin with a 7 x 7 convolution and a pooling
}

// cifarResNet is the network for 32 x 32 images of He et al., 2015, section 4.2,
// with n blocks a stage: 6n+2 layers. Where a stage changes the shape the
// shortcut is a 1 x 1 convolution.
func cifarResNet(n int) resNetPlan {
	return resNetPlan{widths: []int{16, 32, 64}, blocks: []int{n, n, n}}
}

// imageResNet is the network for large images of the same paper.
func imageResNet(blocks ...int) resNetPlan {
	return resNetPlan{widths: []int{64, 128, 256, 512}, blocks: blocks, large: true}
}

// resNet adds a residual network. Its tensors have torchvision's names.
func (b *builder) resNet(x Value, p resNetPlan) {
	if stem := b.channels(p.widths[0]); p.large && !b.small {
		x = b.conv("conv1", x, stem, 7, 2, false)
		x = b.norm("bn1", kernels.ReLU, x)
		x = b.Add(NewMaxPool("maxpool", 3, 2, 1), x)
	} else {
		x = b.conv("conv1", x, stem, 3, 1, false)
		x = b.norm("bn1", kernels.ReLU, x)
	}
	for s, n := range p.blocks {
		k := b.channels(p.widths[s])
		for i := range n {
			stride := 1
			if i == 0 && s > 0 {
				stride = 2
			}
			x = b.basicBlock(fmt.Sprintf("layer%d.%d", s+1, i), x, k, stride, i == n-1)
		}
		x = b.attendAt(fmt.Sprintf("layer%d.se", s+1), x, true, s == len(p.blocks)-1)
	}
	b.head("fc", x)
}

// basicBlock adds two 3 x 3 convolutions around a shortcut.
func (b *builder) basicBlock(name string, x Value, k, stride int, stageEnd bool) Value {
	y := b.conv(name+".conv1", x, k, 3, stride, false)
	y = b.norm(name+".bn1", kernels.ReLU, y)
	y = b.conv(name+".conv2", y, k, 3, 1, false)
	shortcut := x
	if stride != 1 || b.Shape(x).C != k {
		shortcut = b.conv(name+".downsample.0", x, k, 1, stride, false)
		shortcut = b.norm(name+".downsample.1", kernels.Identity, shortcut)
	}
	if b.spec.Placement != AtBlocks || b.spec.Attention == NoAttention {
		return b.norm(name+".bn2", kernels.ReLU, y, shortcut)
	}
	y = b.norm(name+".bn2", kernels.Identity, y)
	y = b.inBlock(name+".se", y, stageEnd)
	y = b.Add(NewAdd(name+".add"), y, shortcut)
	return b.Add(NewActivate(name+".relu", kernels.ReLU), y)
}
