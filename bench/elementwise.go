package bench

import (
	"fmt"
	"runtime"

	"github.com/golanes/lanes/kernels"
	"gonum.org/v1/gonum/blas/gonum"
)

// The suite elementwise: functions of one, two or three vectors, rows and
// channels. bytes counts each operand once per read and once per write.

const (
	// residentFloats is what a case in the second-level cache touches per thread:
	// half of the smallest cache of current cores.
	residentFloats = 128 << 10
	// memoryFloats is what a case in memory touches: several times a last-level
	// cache.
	memoryFloats = 48 << 20
	// elementGrain is the elements worth a thread.
	elementGrain = 8192
)

// elementThreads is the number of threads of a run with these options.
func elementThreads(opt Options) int {
	if opt.Threads > 0 {
		return opt.Threads
	}
	return runtime.GOMAXPROCS(0)
}

func elementwiseCases(opt Options) []benchCase {
	var cases []benchCase
	threads := elementThreads(opt)
	for _, total := range []int{residentFloats * threads, memoryFloats} {
		for _, op := range elementOps() {
			n := total / op.slices / 4096 * 4096
			cases = append(cases, op.bench(n, threads))
		}
	}
	for _, s := range [][2]int{{128, 10}, {128, 1000}, {1024, 1000}} {
		cases = append(cases, softmaxCase(s[0], s[1]))
	}
	for _, s := range []mapShape{{128, 64, 32, 32}, {128, 128, 16, 16}, {128, 256, 8, 8}, {128, 512, 4, 4}, {32, 256, 56, 56}} {
		cases = append(cases, batchNormCases(s)...)
	}
	for _, s := range mapShapes {
		cases = append(cases, layoutCases(s)...)
	}
	return cases
}

// An elementOp is work on slices of one length, each read or written moves times
// in all.
type elementOp struct {
	name          string
	slices, moves int
	// run works on parts of the slices.
	run     func(how kernels.Store, s operands)
	traffic traffic
	// oneDNN tells whether its helper knows the name.
	oneDNN bool
	gonum  func(s operands)
	torch  *torchCase // with N for the length
}

// operands are the slices of an op, by value: a slice of them would be allocated for
// each part.
type operands [4][]float32

// unary is an op dst = f(x) that oneDNN has, too.
func unary(name string, run func(how kernels.Store, dst, x []float32)) elementOp {
	return elementOp{name: name, slices: 2, moves: 2, oneDNN: true,
		run: func(how kernels.Store, s operands) { run(how, s[0], s[1]) }}
}

func activationOp(act kernels.Activation) elementOp {
	return unary(act.String(), func(how kernels.Store, dst, x []float32) { how.Activate(act, dst, x) })
}

// elementOps lists those that memory bounds first.
func elementOps() []elementOp {
	adam := kernels.AdamParams{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 100}
	var g gonum.Implementation
	return []elementOp{
		{name: "add", slices: 3, moves: 3, traffic: triad, oneDNN: true,
			run: func(how kernels.Store, s operands) { how.Add(s[0], s[1], s[2]) }},
		{name: "mul", slices: 3, moves: 3, traffic: triad, oneDNN: true,
			run: func(how kernels.Store, s operands) { how.Mul(s[0], s[1], s[2]) }},
		{name: "axpy", slices: 2, moves: 3, traffic: triad,
			run:   func(_ kernels.Store, s operands) { kernels.Axpy(1e-3, s[0], s[1]) },
			gonum: func(s operands) { g.Saxpy(len(s[0]), 1e-3, s[0], 1, s[1], 1) }},
		{name: "scale", slices: 1, moves: 2,
			run:   func(_ kernels.Store, s operands) { kernels.Scale(-1, s[0]) },
			gonum: func(s operands) { g.Sscal(len(s[0]), -1, s[0], 1) }},
		activationOp(kernels.ReLU),
		unary("clamp", func(how kernels.Store, dst, x []float32) { how.Clamp(dst, x, -0.5, 0.5) }),
		{name: "sum", slices: 1, moves: 1, traffic: reading,
			run: func(_ kernels.Store, s operands) { kernels.Sum(s[0]) }},
		{name: "dot", slices: 2, moves: 2, traffic: reading,
			run:   func(_ kernels.Store, s operands) { kernels.Dot(s[0], s[1]) },
			gonum: func(s operands) { g.Sdot(len(s[0]), s[0], 1, s[1], 1) }},
		{name: "relu-bwd", slices: 3, moves: 3, traffic: triad,
			run: func(how kernels.Store, s operands) { how.ActivateGrad(kernels.ReLU, s[0], s[1], s[2]) }},
		{name: "sgd", slices: 3, moves: 5, traffic: triad,
			run:   func(_ kernels.Store, s operands) { kernels.SGDMomentum(s[0], s[1], s[2], 1e-9, 0.9, 0, 1e-4, false) },
			torch: optimizerCase("torch.optim.SGD([w], lr=1e-9, momentum=0.9, weight_decay=1e-4, foreach=%s)")},
		{name: "adam", slices: 4, moves: 7, traffic: triad,
			run:   func(_ kernels.Store, s operands) { kernels.Adam(s[0], s[1], s[2], s[3], adam) },
			torch: optimizerCase("torch.optim.Adam([w], foreach=%s)")},
		unary("exp", func(how kernels.Store, dst, x []float32) { how.Exp(dst, x) }),
		unary("log", func(how kernels.Store, dst, x []float32) { how.Log(dst, x) }),
		activationOp(kernels.Tanh),
		activationOp(kernels.Sigmoid),
		activationOp(kernels.SiLU),
		activationOp(kernels.HardSwish),
		activationOp(kernels.GELU),
	}
}

// optimizerCase is a step of an optimizer over one tensor.
func optimizerCase(constructor string) *torchCase {
	var setups []string
	for _, foreach := range []string{"False", "True"} {
		setups = append(setups, "w = torch.rand(N, requires_grad=True)\nw.grad = torch.rand(N)\no = "+fmt.Sprintf(constructor, foreach)+"\no.step()")
	}
	return &torchCase{setups, "o.step()"}
}

func (op elementOp) bench(n, threads int) benchCase {
	c := benchCase{
		name:       fmt.Sprintf("%s/n=%d", op.name, n),
		bytes:      4 * float64(op.moves) * float64(n),
		workingSet: 4 * op.slices * n,
		traffic:    op.traffic,
	}
	slices := func() (s operands) {
		for i := range op.slices {
			s[i] = filled(n)
			if op.name == "log" || op.name == "adam" { // not of negative numbers
				kernels.Mul(s[i], s[i], s[i])
			}
		}
		return s
	}
	c.setup = func() func() {
		s, how := slices(), kernels.StoreFor(n)
		if threads == 1 {
			return func() { op.run(how, s) }
		}
		part := func(lo, hi int) {
			var parts operands
			for i := range op.slices {
				parts[i] = s[i][lo:hi]
			}
			op.run(how, parts)
		}
		return func() { kernels.Parallel(n, elementGrain, part) }
	}
	if op.oneDNN {
		c.oneDNN = fmt.Sprintf("%s %d", op.name, n)
	}
	if op.gonum != nil && threads == 1 {
		c.gonum = func() func() {
			s := slices()
			return func() { op.gonum(s) }
		}
	}
	if op.torch != nil {
		c.torch = &torchCase{Run: op.torch.Run}
		for _, setup := range op.torch.Setups {
			c.torch.Setups = append(c.torch.Setups, fmt.Sprintf("N = %d\n%s", n, setup))
		}
	}
	return c
}

// softmaxCase divides the rows over threads, as the kernel does not.
func softmaxCase(rows, cols int) benchCase {
	torch := &torchCase{[]string{fmt.Sprintf("x = torch.rand(%d, %d)", rows, cols)}, "with torch.no_grad():\n    torch.softmax(x, 1)"}
	c := mapCase(fmt.Sprintf("softmax/%dx%d", rows, cols), 2*rows*cols, torch, func() func() {
		dst, x := kernels.AlignedFloats(rows*cols), filled(rows*cols)
		part := func(lo, hi int) { kernels.Softmax(dst[lo*cols:hi*cols], x[lo*cols:hi*cols], hi-lo, cols) }
		return func() { kernels.Parallel(rows, max(1, elementGrain/cols), part) }
	})
	c.oneDNN = fmt.Sprintf("softmax %d %d", rows, cols)
	return c
}

// batchNormCases are the two directions in training, NHWC. The forward pass reads
// its operand twice, the backward pass its two.
func batchNormCases(s mapShape) []benchCase {
	const eps, momentum = 1e-5, 0.1
	rows, c := s.n*s.h*s.w, s.c
	params := fmt.Sprintf("w, b = (torch.rand(%d, requires_grad=True) for _ in 'wb')\nm, v = torch.zeros(%d), torch.ones(%d)\n", c, c, c)
	norm := "F.batch_norm(x, m, v, w, b, True, 0.1, 1e-5)"
	forward := &torchCase{torchMaps(s, params), "with torch.no_grad():\n    " + norm}
	backward := &torchCase{torchMaps(s, params+"y = "+norm+"\ndy = torch.rand_like(y)"), "torch.autograd.grad(y, [x, w, b], dy, retain_graph=True)"}
	fwd := mapCase(fmt.Sprintf("bnorm-fwd/%v", s), 3*s.maps(), forward, func() func() {
		x, y := filled(s.maps()), kernels.AlignedFloats(s.maps())
		per := make([][]float32, 8)
		for i := range per {
			per[i] = filled(c)
		}
		return func() {
			kernels.BatchNormStats(per[0], per[1], x, rows, c)
			kernels.BatchNormUpdate(per[2], per[3], per[0], per[1], rows, momentum)
			kernels.BatchNormFold(per[4], per[5], per[6], per[7], per[0], per[1], eps)
			kernels.BatchNormApply(kernels.Identity, y, x, per[4], per[5], rows, c)
		}
	})
	bwd := mapCase(fmt.Sprintf("bnorm-bwd/%v", s), 5*s.maps(), backward, func() func() {
		g := &kernels.BatchNormGrad{
			DY: filled(s.maps()), X: filled(s.maps()), DX: kernels.AlignedFloats(s.maps()),
			Gamma: filled(c), Mean: make([]float32, c), Variance: make([]float32, c), Eps: eps,
			DGamma: make([]float32, c), DBeta: make([]float32, c),
		}
		kernels.BatchNormStats(g.Mean, g.Variance, g.X, rows, c)
		return func() { kernels.BatchNormBackward(g, rows, c) }
	})
	fwd.oneDNN = fmt.Sprintf("bnorm-fwd %d %d %d %d", s.n, s.c, s.h, s.w)
	bwd.oneDNN = fmt.Sprintf("bnorm-bwd %d %d %d %d", s.n, s.c, s.h, s.w)
	return []benchCase{fwd, bwd}
}

// layoutCases are the changes of layout.
func layoutCases(s mapShape) []benchCase {
	x := fmt.Sprintf("x = torch.rand(%d, %d, %d, %d)", s.n, s.c, s.h, s.w)
	last := ".contiguous(memory_format=torch.channels_last)"
	there := mapCase(fmt.Sprintf("to-nhwc/%v", s), 2*s.maps(), &torchCase{[]string{x}, "x" + last}, func() func() {
		dst, src := kernels.AlignedFloats(s.maps()), filled(s.maps())
		return func() { kernels.NCHWToNHWC(dst, src, s.n, s.c, s.h, s.w) }
	})
	back := mapCase(fmt.Sprintf("to-nchw/%v", s), 2*s.maps(), &torchCase{[]string{x + last}, "x.contiguous()"}, func() func() {
		dst, src := kernels.AlignedFloats(s.maps()), filled(s.maps())
		return func() { kernels.NHWCToNCHW(dst, src, s.n, s.c, s.h, s.w) }
	})
	there.oneDNN = fmt.Sprintf("to-nhwc %d %d %d %d", s.n, s.c, s.h, s.w)
	back.oneDNN = fmt.Sprintf("to-nchw %d %d %d %d", s.n, s.c, s.h, s.w)
	return []benchCase{there, back}
}
