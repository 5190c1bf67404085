package bench

import (
	"fmt"
	"strings"

	"github.com/golanes/lanes/attention"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/pool"
)

// The suites pool and attention: work on feature maps that memory bounds. bytes
// counts each map once per direction, as if caches kept what is used twice.

// mapShape is the shape of feature maps.
type mapShape struct{ n, c, h, w int }

func (s mapShape) String() string { return fmt.Sprintf("%dx%dx%dx%d", s.n, s.c, s.h, s.w) }

func (s mapShape) maps() int    { return s.n * s.c * s.h * s.w }
func (s mapShape) vectors() int { return s.n * s.c }

// mapShapes are an early and a late layer of a CIFAR network at batch 128 and an
// early one of an ImageNet network.
var mapShapes = []mapShape{{128, 64, 32, 32}, {128, 512, 4, 4}, {32, 256, 56, 56}}

// residentShape has a map of 256 KiB for each thread, in its second-level cache also
// with a second map.
func residentShape(opt Options) mapShape { return mapShape{elementThreads(opt), 64, 32, 32} }

// with returns the case with other traffic.
func (c benchCase) with(t traffic) benchCase {
	c.traffic = t
	return c
}

// layouts names the layouts; true is NCHW.
var layouts = map[bool]string{false: "nhwc", true: "nchw"}

// torchMaps returns a setup for each layout PyTorch knows.
func torchMaps(s mapShape, rest string) []string {
	x := fmt.Sprintf("x = torch.rand(%d, %d, %d, %d)", s.n, s.c, s.h, s.w)
	return []string{
		x + ".requires_grad_()\n" + rest,
		x + ".contiguous(memory_format=torch.channels_last).requires_grad_()\n" + rest,
	}
}

// mapCase is a case that reads and writes so many floats.
func mapCase(name string, floats int, torch *torchCase, setup func() func()) benchCase {
	return benchCase{name: name, bytes: 4 * float64(floats), workingSet: 4 * floats, torch: torch, setup: setup}
}

// poolCases are the windows of common networks, and global pooling.
func poolCases(opt Options) []benchCase {
	var cases []benchCase
	for _, v := range []struct {
		maps              mapShape
		size, stride, pad int
	}{
		{mapShape{128, 64, 32, 32}, 2, 2, 0},
		{mapShape{128, 64, 32, 32}, 3, 2, 1},
		{mapShape{32, 256, 28, 28}, 3, 1, 1},
		{mapShape{16, 64, 112, 112}, 3, 2, 1},
	} {
		s := pool.Shape{
			N: v.maps.n, C: v.maps.c, H: v.maps.h, W: v.maps.w, R: v.size, S: v.size, StrideH: v.stride, StrideW: v.stride,
			PadTop: v.pad, PadLeft: v.pad, PadBottom: v.pad, PadRight: v.pad,
		}
		for _, nchw := range []bool{false, true} {
			cases = append(cases, windowCases(v.maps, s, nchw)...)
		}
	}
	for _, s := range append([]mapShape{residentShape(opt)}, mapShapes...) {
		for _, nchw := range []bool{false, true} {
			cases = append(cases, globalCases(s, nchw)...)
		}
	}
	return cases
}

// must panics if a fixed shape of a suite is wrong.
func must[T any](plan T, err error) T {
	if err != nil {
		panic("bench: " + err.Error())
	}
	return plan
}

func windowCases(m mapShape, s pool.Shape, nchw bool) []benchCase {
	suffix := fmt.Sprintf("/%s/%v/k=%d/s=%d/p=%d", layouts[nchw], m, s.R, s.StrideH, s.PadTop)
	in, out := m.maps(), s.N*s.C*s.OH()*s.OW()
	forward := func(function string) *torchCase {
		return &torchCase{torchMaps(m, ""), fmt.Sprintf("with torch.no_grad():\n    %s(x, %d, %d, %d)", function, s.R, s.StrideH, s.PadTop)}
	}
	backward := func(function string) *torchCase {
		rest := fmt.Sprintf("y = %s(x, %d, %d, %d)\ndy = torch.rand_like(y)", function, s.R, s.StrideH, s.PadTop)
		return &torchCase{torchMaps(m, rest), "torch.autograd.grad(y, x, dy, retain_graph=True)"}
	}
	// The byte of an index is a quarter of a float.
	return []benchCase{
		mapCase("max/fwd"+suffix, in+out+out/4, forward("F.max_pool2d"), func() func() {
			p := must(pool.NewMax(s))
			src, dst, arg := filled(in), kernels.AlignedFloats(out), p.NewArgmax()
			if nchw {
				return func() { p.ForwardNCHW(dst, arg, src) }
			}
			return func() { p.Forward(dst, arg, src) }
		}),
		mapCase("max/bwd"+suffix, in+out+out/4, backward("F.max_pool2d"), func() func() {
			p := must(pool.NewMax(s))
			src, dst, arg := filled(in), filled(out), p.NewArgmax()
			if nchw {
				p.ForwardNCHW(dst, arg, src)
				return func() { p.BackwardNCHW(src, dst, arg) }
			}
			p.Forward(dst, arg, src)
			return func() { p.Backward(src, dst, arg) }
		}),
		mapCase("avg/fwd"+suffix, in+out, forward("F.avg_pool2d"), func() func() {
			p := must(pool.NewAvg(s, pool.CountPadding))
			src, dst := filled(in), kernels.AlignedFloats(out)
			if nchw {
				return func() { p.ForwardNCHW(dst, src) }
			}
			return func() { p.Forward(dst, src) }
		}),
		mapCase("avg/bwd"+suffix, in+out, backward("F.avg_pool2d"), func() func() {
			p := must(pool.NewAvg(s, pool.CountPadding))
			dx, dy := kernels.AlignedFloats(in), filled(out)
			if nchw {
				return func() { p.BackwardNCHW(dx, dy) }
			}
			return func() { p.Backward(dx, dy) }
		}),
	}
}

func globalCases(s mapShape, nchw bool) []benchCase {
	suffix := fmt.Sprintf("/%s/%v", layouts[nchw], s)
	hw := s.h * s.w
	grad := func(function string) *torchCase {
		return &torchCase{torchMaps(s, "y = "+function+"\ndy = torch.rand_like(y)"), "torch.autograd.grad(y, x, dy, retain_graph=True)"}
	}
	value := func(function string) *torchCase {
		return &torchCase{torchMaps(s, ""), "with torch.no_grad():\n    " + function}
	}
	return []benchCase{
		mapCase("gavg/fwd"+suffix, s.maps(), value("x.mean((2, 3))"), func() func() {
			src, dst := filled(s.maps()), make([]float32, s.vectors())
			if nchw {
				return func() { pool.GlobalAvgNCHW(dst, src, s.n, s.c, hw) }
			}
			return func() { pool.GlobalAvg(dst, src, s.n, hw, s.c) }
		}).with(reading),
		mapCase("gavg/bwd"+suffix, s.maps(), grad("x.mean((2, 3))"), func() func() {
			dx, dy := kernels.AlignedFloats(s.maps()), filled(s.vectors())
			if nchw {
				return func() { pool.GlobalAvgBackwardNCHW(dx, dy, s.n, s.c, hw) }
			}
			return func() { pool.GlobalAvgBackward(dx, dy, s.n, hw, s.c) }
		}).with(writing),
		mapCase("gmax/fwd"+suffix, s.maps(), value("F.adaptive_max_pool2d(x, 1)"), func() func() {
			src, dst, arg := filled(s.maps()), make([]float32, s.vectors()), make([]int32, s.vectors())
			if nchw {
				return func() { pool.GlobalMaxNCHW(dst, arg, src, s.n, s.c, hw) }
			}
			return func() { pool.GlobalMax(dst, arg, src, s.n, hw, s.c) }
		}).with(reading),
		mapCase("gmax/bwd"+suffix, s.maps(), grad("F.adaptive_max_pool2d(x, 1)"), func() func() {
			dx, dy, arg := kernels.AlignedFloats(s.maps()), filled(s.vectors()), make([]int32, s.vectors())
			for i := range arg {
				arg[i] = int32(i * 7 % hw)
			}
			if nchw {
				return func() { pool.GlobalMaxBackwardNCHW(dx, dy, arg, s.n, s.c, hw) }
			}
			return func() { pool.GlobalMaxBackward(dx, dy, arg, s.n, hw, s.c) }
		}).with(writing),
	}
}

// attentionCases are squeeze-and-excitation with a reduction of 16, its scaling
// alone, and the two other modules.
func attentionCases(opt Options) []benchCase {
	resident := residentShape(opt)
	cases := []benchCase{scaleCase(resident, false), scaleCase(resident, true)}
	for _, s := range mapShapes {
		for _, nchw := range []bool{false, true} {
			cases = append(cases, scaleCase(s, nchw))
			for _, module := range []string{"se", "eca", "cbam"} {
				cases = append(cases, moduleCases(module, s, nchw)...)
			}
		}
	}
	return cases
}

func scaleCase(s mapShape, nchw bool) benchCase {
	torch := &torchCase{torchMaps(s, fmt.Sprintf("a = torch.rand(%d, %d, 1, 1)", s.n, s.c)), "with torch.no_grad():\n    x * a"}
	return mapCase(fmt.Sprintf("scale/%s/%v", layouts[nchw], s), 2*s.maps(), torch, func() func() {
		src, dst, a := filled(s.maps()), kernels.AlignedFloats(s.maps()), filled(s.vectors())
		hw, how := s.h*s.w, kernels.StoreFor(s.maps())
		one := func(lo, hi int) {
			for i := lo; i < hi; i++ {
				d, x := dst[i*s.c*hw:(i+1)*s.c*hw], src[i*s.c*hw:(i+1)*s.c*hw]
				if nchw {
					kernels.PlaneScale(d, x, a[i*s.c:], s.c, hw, 0, how)
				} else {
					kernels.ChannelScale(d, x, a[i*s.c:], hw, s.c, 0, how)
				}
			}
		}
		return func() { kernels.Parallel(s.n, 1, one) }
	})
}

// attentionPlan is one of the modules with its weights.
type attentionPlan struct {
	forward  func(dst, a, src []float32)
	backward func(dx, dy, da, src, a []float32)
}

func newAttentionPlan(module string, s mapShape, nchw bool) attentionPlan {
	shape, opt, cr := attention.Shape{N: s.n, C: s.c, H: s.h, W: s.w}, attention.Options{NCHW: nchw}, s.c/16
	w := attention.MLP{W1: filled(cr * s.c), B1: filled(cr), W2: filled(s.c * cr), B2: filled(s.c)}
	dw := attention.MLP{W1: filled(cr * s.c), B1: filled(cr), W2: filled(s.c * cr), B2: filled(s.c)}
	switch module {
	case "se":
		p := must(attention.NewSE(shape, cr, opt))
		st := p.NewState()
		return attentionPlan{
			func(dst, a, src []float32) { p.Forward(dst, a, src, w, st) },
			func(dx, dy, da, src, a []float32) { p.Backward(dx, dw, dy, da, src, a, w, st) },
		}
	case "cbam":
		p := must(attention.NewCBAM(shape, cr, opt))
		st := p.NewState()
		return attentionPlan{
			func(dst, a, src []float32) { p.Forward(dst, a, src, w, st) },
			func(dx, dy, da, src, a []float32) { p.Backward(dx, dw, dy, da, src, a, w, st) },
		}
	default:
		p := must(attention.NewECA(shape, attention.ECASize(s.c), opt))
		st := p.NewState()
		return attentionPlan{
			func(dst, a, src []float32) { p.Forward(dst, a, src, w.W1, st) },
			func(dx, dy, da, src, a []float32) { p.Backward(dx, dw.W1, dy, da, src, a, w.W1, st) },
		}
	}
}

// torchModules are the forward passes in Python, from x to y and the attention a.
var torchModules = map[string]string{
	"se": `
w1, w2 = torch.nn.Linear(C, R), torch.nn.Linear(R, C)
params = list(w1.parameters()) + list(w2.parameters())
def module():
    a = torch.sigmoid(w2(F.relu(w1(x.mean((2, 3))))))
    return x * a[:, :, None, None], a
`,
	"cbam": `
w1, w2 = torch.nn.Linear(C, R), torch.nn.Linear(R, C)
params = list(w1.parameters()) + list(w2.parameters())
def module():
    mlp = lambda z: w2(F.relu(w1(z)))
    a = torch.sigmoid(mlp(x.mean((2, 3))) + mlp(F.adaptive_max_pool2d(x, 1).flatten(1)))
    return x * a[:, :, None, None], a
`,
	"eca": `
conv = torch.nn.Conv1d(1, 1, K, padding=K // 2, bias=False)
params = list(conv.parameters())
def module():
    a = torch.sigmoid(conv(x.mean((2, 3))[:, None, :])[:, 0, :])
    return x * a[:, :, None, None], a
`,
}

func moduleCases(module string, s mapShape, nchw bool) []benchCase {
	suffix := fmt.Sprintf("/%s/%v", layouts[nchw], s)
	setup := fmt.Sprintf("C, R, K = %d, %d, %d\n%s\nwith torch.no_grad():\n    dy, da = [torch.rand_like(t) for t in module()]\n",
		s.c, s.c/16, attention.ECASize(s.c), strings.TrimSpace(torchModules[module]))
	forward := &torchCase{torchMaps(s, setup), "with torch.no_grad():\n    module()"}
	both := &torchCase{torchMaps(s, setup), "torch.autograd.grad(module(), [x] + params, [dy, da])"}
	return []benchCase{
		mapCase(module+"/fwd"+suffix, 2*s.maps(), forward, func() func() {
			p := newAttentionPlan(module, s, nchw)
			src, dst, a := filled(s.maps()), kernels.AlignedFloats(s.maps()), make([]float32, s.vectors())
			return func() { p.forward(dst, a, src) }
		}),
		mapCase(module+"/fwd+bwd"+suffix, 5*s.maps(), both, func() func() {
			p := newAttentionPlan(module, s, nchw)
			src, dst, a := filled(s.maps()), kernels.AlignedFloats(s.maps()), make([]float32, s.vectors())
			dx, dy, da := kernels.AlignedFloats(s.maps()), filled(s.maps()), filled(s.vectors())
			return func() {
				p.forward(dst, a, src)
				p.backward(dx, dy, da, src, a)
			}
		}),
	}
}
