package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

// int8Cases are the forward passes of suite conv on bytes, with packed weights,
// as inference runs them. Operations are counted as of float32, so that a
// fraction of the FMA peak above 1 is what bytes gain over the best that float32
// could do without Winograd's algorithm.
func int8Cases(opt Options) ([]benchCase, error) {
	if opt.Model != "" && !slices.Contains(ConvModels(), opt.Model) {
		return nil, fmt.Errorf("unknown model %q (one of %s)", opt.Model, strings.Join(ConvModels(), ", "))
	}
	if opt.Batch < 0 {
		return nil, fmt.Errorf("batch %d", opt.Batch)
	}
	var cases []benchCase
	for _, m := range convModels {
		if opt.Model != "" && m.name != opt.Model {
			continue
		}
		batches := m.batches
		if opt.Batch > 0 {
			batches = []int{opt.Batch}
		}
		for _, n := range batches {
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
