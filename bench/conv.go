package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// A convLayer is a convolution of a network: square maps and filters, padded so
// that stride 1 keeps the size. A depthwise layer has groups = c = k.
type convLayer struct {
	c, k, size, filter, stride int
	depthwise                  bool
}

// A convModel is the distinct layers of a network and the batches to measure.
type convModel struct {
	name    string
	batches []int
	layers  []convLayer
}

// convModels lists the networks. Of MobileNetV2 it has the depthwise layers and
// the pointwise ones of each size once.
var convModels = []convModel{
	{"resnet18", []int{1, 16}, []convLayer{
		{3, 64, 224, 7, 2, false}, {64, 64, 56, 3, 1, false}, {64, 128, 56, 3, 2, false}, {64, 128, 56, 1, 2, false},
		{128, 128, 28, 3, 1, false}, {128, 256, 28, 3, 2, false}, {128, 256, 28, 1, 2, false}, {256, 256, 14, 3, 1, false},
		{256, 512, 14, 3, 2, false}, {256, 512, 14, 1, 2, false}, {512, 512, 7, 3, 1, false},
	}},
	{"vgg16", []int{1, 16}, []convLayer{
		{3, 64, 224, 3, 1, false}, {64, 64, 224, 3, 1, false}, {64, 128, 112, 3, 1, false}, {128, 128, 112, 3, 1, false},
		{128, 256, 56, 3, 1, false}, {256, 256, 56, 3, 1, false}, {256, 512, 28, 3, 1, false}, {512, 512, 28, 3, 1, false},
		{512, 512, 14, 3, 1, false},
	}},
	{"mobilenetv2", []int{1, 16}, []convLayer{
		{32, 32, 112, 3, 1, true}, {96, 96, 112, 3, 2, true}, {144, 144, 56, 3, 1, true}, {144, 144, 56, 3, 2, true},
		{192, 192, 28, 3, 1, true}, {192, 192, 28, 3, 2, true}, {384, 384, 14, 3, 1, true}, {576, 576, 14, 3, 1, true},
		{576, 576, 14, 3, 2, true}, {960, 960, 7, 3, 1, true},
		{32, 16, 112, 1, 1, false}, {16, 96, 112, 1, 1, false}, {96, 24, 56, 1, 1, false}, {24, 144, 56, 1, 1, false},
		{144, 32, 28, 1, 1, false}, {32, 192, 28, 1, 1, false}, {192, 64, 14, 1, 1, false}, {64, 384, 14, 1, 1, false},
		{384, 96, 14, 1, 1, false}, {576, 160, 7, 1, 1, false}, {160, 960, 7, 1, 1, false}, {320, 1280, 7, 1, 1, false},
	}},
	{"resnet18-cifar", []int{128}, []convLayer{
		{3, 64, 32, 3, 1, false}, {64, 64, 32, 3, 1, false}, {64, 128, 32, 3, 2, false}, {64, 128, 32, 1, 2, false},
		{128, 128, 16, 3, 1, false}, {128, 256, 16, 3, 2, false}, {128, 256, 16, 1, 2, false}, {256, 256, 8, 3, 1, false},
		{256, 512, 8, 3, 2, false}, {256, 512, 8, 1, 2, false}, {512, 512, 4, 3, 1, false},
	}},
	{"vgg16-cifar", []int{128}, []convLayer{
		{3, 64, 32, 3, 1, false}, {64, 64, 32, 3, 1, false}, {64, 128, 16, 3, 1, false}, {128, 128, 16, 3, 1, false},
		{128, 256, 8, 3, 1, false}, {256, 256, 8, 3, 1, false}, {256, 512, 4, 3, 1, false}, {512, 512, 4, 3, 1, false},
		{512, 512, 2, 3, 1, false},
	}},
}

// ConvModels returns the names of the networks of suite conv.
func ConvModels() []string {
	var names []string
	for _, m := range convModels {
		names = append(names, m.name)
	}
	return names
}

// ConvDirections are the passes of suite conv, the last ones the packing of weights
// for the first two.
var ConvDirections = []string{"fwd", "bwd-data", "bwd-weights", "pack", "pack-data"}

func (l convLayer) shape(n int) conv.Shape {
	p := l.filter / 2
	s := conv.Shape{N: n, C: l.c, H: l.size, W: l.size, K: l.k, R: l.filter, S: l.filter, StrideH: l.stride, StrideW: l.stride,
		PadTop: p, PadLeft: p, PadBottom: p, PadRight: p, DilationH: 1, DilationW: 1, Groups: 1}
	if l.depthwise {
		s.Groups = l.c
	}
	return s
}

func (l convLayer) String() string {
	name := fmt.Sprintf("%d-%d_%d_k%ds%d", l.c, l.k, l.size, l.filter, l.stride)
	if l.depthwise {
		name += "_dw"
	}
	return name
}

// chosenModels returns the networks that opt asks for, each with the batches it asks
// for.
func chosenModels(opt Options) ([]convModel, error) {
	var chosen []convModel
	for _, m := range convModels {
		if opt.Model != "" && m.name != opt.Model {
			continue
		}
		if opt.Batch > 0 {
			m.batches = []int{opt.Batch}
		}
		chosen = append(chosen, m)
	}
	if chosen == nil {
		return nil, fmt.Errorf("unknown model %q (one of %s)", opt.Model, strings.Join(ConvModels(), ", "))
	}
	return chosen, nil
}

// convCases returns, for each layer, direction and batch, the plan's choice
// with Exact and, where it differs, with Fast; or with opt.Algorithms the choice with
// Fast, and the others beside it. Weights are packed before, and their gradient is
// overwritten, as in oneDNN; packing is a direction of its own, which with
// opt.Algorithms is a pass that packs as it goes.
func convCases(opt Options) ([]benchCase, error) {
	models, err := chosenModels(opt)
	if err != nil {
		return nil, err
	}
	if opt.Dir != "" && !slices.Contains(ConvDirections, opt.Dir) {
		return nil, fmt.Errorf("unknown direction %q (one of %s)", opt.Dir, strings.Join(ConvDirections, ", "))
	}
	cases := layerCases
	if opt.Algorithms {
		cases = choiceCases
	}
	var list []benchCase
	for _, m := range models {
		for _, n := range m.batches {
			for i, dir := range ConvDirections {
				for _, l := range m.layers {
					// Nobody needs the gradient of the pictures, and packing alone
					// does not depend on the batch.
					skip := l.c == 3 && (dir == "bwd-data" || dir == "pack-data" && opt.Algorithms) ||
						packing(i) && (l.depthwise || n != m.batches[0] && !opt.Algorithms)
					if (opt.Dir == "" || opt.Dir == dir) && !skip {
						list = append(list, cases(m.name, l, n, i)...)
					}
				}
			}
		}
	}
	return list, nil
}

// packing says that a direction is the packing of weights.
func packing(dir int) bool { return dir > 2 }

// layerCases returns the choices with Exact and Fast.
func layerCases(model string, l convLayer, n, dir int) []benchCase {
	s := l.shape(n)
	var cases []benchCase
	var before conv.Algorithm
	for _, accuracy := range []conv.Accuracy{conv.Exact, conv.Fast} {
		opt := conv.Options{Accuracy: accuracy, Packed: true, Overwrite: true}
		chosen := directionAlgorithm(s, opt, dir)
		if chosen == before {
			continue
		}
		before = chosen
		c := benchCase{
			name:  caseName(model, l, n, ConvDirections[dir], chosen),
			setup: func() func() { return convRun(s, opt, dir) },
		}
		if packing(dir) {
			c.workingSet = 8 * s.WeightLen()
			c.bytes = float64(c.workingSet)
			cases = append(cases, c)
			continue
		}
		c.flops = s.FLOPs()
		if l.depthwise {
			c.workingSet, c.traffic = 4*(s.SrcLen()+s.DstLen()), layerTraffic(l.stride, dir)
			c.bytes = float64(c.workingSet)
		}
		c.conv = fmt.Sprintf("conv %s %d %d %d %d %d %d %d %d %d %d %d %d %d 1 1 %d", ConvDirections[dir], s.N, s.C, s.H, s.W, s.K,
			s.R, s.S, s.StrideH, s.StrideW, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, s.Groups)
		cases = append(cases, c)
	}
	return cases
}

// caseName names a pass over a layer and its algorithm.
func caseName(model string, l convLayer, n int, dir string, a conv.Algorithm) string {
	return fmt.Sprintf("%s/n=%d/%s/%v/%v", model, n, dir, l, a)
}

// directionAlgorithm returns what a plan chooses.
func directionAlgorithm(s conv.Shape, opt conv.Options, dir int) conv.Algorithm {
	forward, data, weights := mustPlan(s, opt).Algorithms()
	return [...]conv.Algorithm{forward, data, weights, forward, data}[dir]
}

// mustPlan returns a plan of a listed layer.
func mustPlan(s conv.Shape, opt conv.Options) *conv.Plan {
	plan, err := conv.NewPlan(s, opt)
	if err != nil {
		panic(err)
	}
	return plan
}

// layerTraffic returns what a layer of few multiply-adds does to memory, for the larger
// part of it.
func layerTraffic(stride, dir int) traffic {
	switch {
	case ConvDirections[dir] == "bwd-weights":
		return reading
	case stride == 1:
		return copying
	case ConvDirections[dir] == "fwd":
		return reading
	}
	return writing
}

// convRun returns one pass on packed weights, or their packing.
func convRun(s conv.Shape, opt conv.Options, dir int) func() {
	plan := mustPlan(s, opt)
	src, w, dst, work := filled(s.SrcLen()), filled(s.WeightLen()), filled(s.DstLen()), filled(plan.Workspace())
	packed, scratch := kernels.AlignedFloats(max(plan.PackedLen(), plan.PackedDataLen())), filled(plan.WorkspacePack())
	switch ConvDirections[dir] {
	case "pack":
		return func() { plan.Pack(packed, w, scratch) }
	case "pack-data":
		return func() { plan.PackData(packed, w, scratch) }
	case "fwd":
		plan.Pack(packed, w, scratch)
		return func() { plan.ForwardPacked(dst, src, packed, nil, nil, work) }
	case "bwd-data":
		plan.PackData(packed, w, scratch)
		return func() { plan.BackwardDataPacked(src, dst, packed, work) }
	}
	return func() { plan.BackwardWeights(w, nil, src, dst, work) }
}
