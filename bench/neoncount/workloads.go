package main

import (
	"github.com/golanes/lanes/attention"
	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/pool"
)

// A workload is one kernel on operands small enough for an emulator that logs
// every instruction. setup allocates and returns what is counted.
type workload struct {
	name  string
	setup func() func()
}

const (
	elements = 4100 // of a vector; four beyond the last unrolled strip

	side, channels = 10, 24 // of the maps, one image
	mapLen         = side * side * channels

	vectors = 34 // for pair distances
)

var workloads = []workload{
	{"gemm 64x76x64", gemm(64, 76, 64)},
	{"gemm 61x43x37", gemm(61, 43, 37)},
	{"convolution 3x3 forward", convolution(conv.Exact, 1, forward)},
	{"convolution 3x3 backward data", convolution(conv.Exact, 1, backwardData)},
	{"convolution 3x3 backward weights", convolution(conv.Exact, 1, backwardWeights)},
	{"convolution 3x3 forward, Winograd", convolution(conv.Fast, 1, forward)},
	{"depthwise 3x3 forward", convolution(conv.Exact, channels, forward)},
	{"depthwise 3x3 backward data", convolution(conv.Exact, channels, backwardData)},
	{"depthwise 3x3 backward weights", convolution(conv.Exact, channels, backwardWeights)},
	{"exp", unary(kernels.Exp)},
	{"log", unary(kernels.Log)},
	{"sigmoid", activation(kernels.Sigmoid)},
	{"tanh", activation(kernels.Tanh)},
	{"relu", activation(kernels.ReLU)},
	{"add", func() func() {
		dst, x, y := make([]float32, elements), random(elements), random(elements)
		return func() { kernels.Add(dst, x, y) }
	}},
	{"dot", func() func() {
		x, y := random(elements), random(elements)
		return func() { kernels.Dot(x, y) }
	}},
	{"softmax 64x100", func() func() {
		dst, x := make([]float32, 6400), random(6400)
		return func() { kernels.Softmax(dst, x, 64, 100) }
	}},
	{"batch norm forward", batchNormForward},
	{"batch norm backward", batchNormBackward},
	{"max pooling 3x3/2 forward", maxPooling(forward)},
	{"max pooling 3x3/2 backward", maxPooling(backwardData)},
	{"average pooling 3x3/2 forward", averagePooling(forward)},
	{"average pooling 3x3/2 backward", averagePooling(backwardData)},
	{"global average pooling", func() func() {
		dst, src := make([]float32, channels), random(mapLen)
		return func() { pool.GlobalAvg(dst, src, 1, side*side, channels) }
	}},
	{"squeeze-and-excitation forward", squeeze},
	{"pair distances", func() func() {
		dst, a := make([]float32, vectors*vectors), random(vectors*channels)
		return func() { ccloss.Distances(dst, a, vectors, channels, ccloss.SquaredEuclidean) }
	}},
	{"CC-Loss by pairs, step", loss(ccloss.Euclidean)},
	{"CC-Loss by statistics, step", loss(ccloss.SquaredEuclidean)},
	{"SGD with momentum", func() func() {
		w, v, g := random(elements), random(elements), random(elements)
		return func() { kernels.SGDMomentum(w, v, g, 1e-3, 0.9, 0, 1e-4, false) }
	}},
	{"Adam", func() func() {
		w, m, v, g := random(elements), random(elements), positive(elements), random(elements)
		return func() {
			kernels.Adam(w, m, v, g, kernels.AdamParams{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 10})
		}
	}},
	{"NHWC to NCHW", func() func() {
		dst, src := make([]float32, mapLen), random(mapLen)
		return func() { kernels.NHWCToNCHW(dst, src, 1, channels, side, side) }
	}},
}

// A direction is a pass of a layer.
type direction int

const (
	forward direction = iota
	backwardData
	backwardWeights
)

func random(n int) []float32 { return kerneltest.Rand(1).Slice(n) }

func positive(n int) []float32 {
	x := random(n)
	kernels.Mul(x, x, x)
	return x
}

// must panics if a shape of the list is wrong.
func must[T any](plan T, err error) T {
	if err != nil {
		panic("neoncount: " + err.Error())
	}
	return plan
}

func gemm(m, n, k int) func() func() {
	return func() func() {
		a, b, c := random(m*k), random(k*n), make([]float32, m*n)
		return func() { kernels.Gemm(false, false, m, n, k, 1, a, k, b, n, 0, c, n) }
	}
}

func convolution(accuracy conv.Accuracy, groups int, d direction) func() func() {
	return func() func() {
		s := conv.Shape{N: 1, C: channels, H: side, W: side, K: channels, R: 3, S: 3, StrideH: 1, StrideW: 1,
			PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, DilationH: 1, DilationW: 1, Groups: groups}
		p := must(conv.NewPlan(s, conv.Options{Accuracy: accuracy}))
		src, dst, w, bias, work := random(s.SrcLen()), random(s.DstLen()), random(s.WeightLen()), random(channels), make([]float32, p.Workspace())
		switch d {
		case forward:
			return func() { p.Forward(dst, src, w, bias, nil, work) }
		case backwardData:
			return func() { p.BackwardData(src, dst, w, work) }
		default:
			return func() { p.BackwardWeights(w, bias, src, dst, work) }
		}
	}
}

func unary(f func(dst, x []float32)) func() func() {
	return func() func() {
		dst, x := make([]float32, elements), positive(elements)
		return func() { f(dst, x) }
	}
}

func activation(act kernels.Activation) func() func() {
	return unary(func(dst, x []float32) { kernels.Activate(act, dst, x) })
}

func batchNormForward() func() {
	x, y := random(mapLen), make([]float32, mapLen)
	mean, variance, scale, shift := make([]float32, channels), make([]float32, channels), make([]float32, channels), make([]float32, channels)
	gamma, beta := random(channels), random(channels)
	return func() {
		kernels.BatchNormStats(mean, variance, x, side*side, channels)
		kernels.BatchNormFold(scale, shift, gamma, beta, mean, variance, 1e-5)
		kernels.BatchNormApply(kernels.ReLU, y, x, scale, shift, side*side, channels)
	}
}

func batchNormBackward() func() {
	g := &kernels.BatchNormGrad{
		DY: random(mapLen), X: random(mapLen), DX: make([]float32, mapLen), Gamma: random(channels),
		Mean: random(channels), Variance: positive(channels), Eps: 1e-5, DGamma: make([]float32, channels), DBeta: make([]float32, channels),
	}
	return func() { kernels.BatchNormBackward(g, side*side, channels) }
}

var window = pool.Shape{N: 1, C: channels, H: side, W: side, R: 3, S: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}

func maxPooling(d direction) func() func() {
	return func() func() {
		p := must(pool.NewMax(window))
		src, dst, arg := random(p.SrcLen()), random(p.DstLen()), p.NewArgmax()
		p.Forward(dst, arg, src)
		if d == forward {
			return func() { p.Forward(dst, arg, src) }
		}
		return func() { p.Backward(src, dst, arg) }
	}
}

func averagePooling(d direction) func() func() {
	return func() func() {
		p := must(pool.NewAvg(window, pool.CountPadding))
		src, dst := random(p.SrcLen()), random(p.DstLen())
		if d == forward {
			return func() { p.Forward(dst, src) }
		}
		return func() { p.Backward(src, dst) }
	}
}

func squeeze() func() {
	const hidden = channels / 4
	p := must(attention.NewSE(attention.Shape{N: 1, C: channels, H: side, W: side}, hidden, attention.Options{}))
	w := attention.MLP{W1: random(hidden * channels), B1: random(hidden), W2: random(channels * hidden), B2: random(channels)}
	dst, a, src, state := make([]float32, mapLen), make([]float32, channels), random(mapLen), p.NewState()
	return func() { p.Forward(dst, a, src, w, state) }
}

func loss(metric ccloss.Metric) func() func() {
	return func() func() {
		a, da, labels := random(vectors*channels), make([]float32, vectors*channels), make([]int32, vectors)
		for i := range labels {
			labels[i] = int32(i % 3)
		}
		p := must(ccloss.New(ccloss.Options{Metric: metric}, vectors, channels))
		return func() {
			p.Forward(a, labels)
			p.Backward(da, 1)
		}
	}
}
