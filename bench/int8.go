package bench

import (
	"fmt"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// int8Cases are the forward passes of suite conv on bytes, with packed weights,
// as inference runs them. Operations are counted as of float32, so that a
// fraction of the FMA peak above 1 is what bytes gain over the best that float32
// could do without Winograd's algorithm.
func int8Cases(opt Options) ([]benchCase, error) {
	models, err := chosenModels(opt)
	if err != nil {
		return nil, err
	}
	var cases []benchCase
	for _, m := range models {
		for _, n := range m.batches {
			for _, l := range m.layers {
				s := l.shape(n)
				if _, err := conv.NewPlanInt8(s, conv.Int8Bytes); err != nil {
					return nil, err
				}
				cases = append(cases, benchCase{
					name:  fmt.Sprintf("%s/n=%d/fwd/%v/int8", m.name, n, l),
					flops: s.FLOPs(),
					setup: func() func() { return int8Run(s) },
				})
			}
		}
	}
	return cases, nil
}

func int8Run(s conv.Shape) func() {
	plan, err := conv.NewPlanInt8(s, conv.Int8Bytes)
	if err != nil {
		panic(err) // int8Cases has made the same plan
	}
	w, scale := make([]int8, s.WeightLen()), make([]float32, s.K)
	for i := range w {
		w[i] = int8(i * 37)
	}
	for k := range scale {
		scale[k] = 0x1p-10
	}
	src, work := make([]uint8, s.SrcLen()), make([]uint8, plan.WorkspaceLen())
	for i := range src {
		src[i] = uint8(i * 101)
	}
	weights := plan.NewWeights(w, nil, 128)
	out := &conv.Int8Result{Bytes: make([]uint8, s.DstLen()), Scale: scale, Range: kernels.ByteRange{Zero: 128, Max: 255}}
	return func() { plan.Forward(out, src, weights, work) }
}
