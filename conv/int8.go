package conv

import (
	"fmt"
	"runtime"

	"github.com/golanes/lanes/kernels"
)

// An Int8Output says what a quantised convolution leaves of its 32-bit sums.
type Int8Output uint8

const (
	// Int8Bytes scales sums by channel and quantises them again.
	Int8Bytes Int8Output = iota
	// Int8Floats scales sums by channel.
	Int8Floats
	// Int8Sums keeps the sums.
	Int8Sums
)

const (
	// maxInt8Terms bounds the products in a sum: 255*128*65000 < 2^31.
	maxInt8Terms = 65000
	// maxInt8Image keeps the offsets of a tile's rows within 31 bits, even if each
	// row lies in another image.
	maxInt8Image = 1 << 26
	// int8BlockBytes of input stay in the second-level cache while the panels pass.
	int8BlockBytes = 256 << 10
	// maxInt8Packed bounds packed weights that are many times the weights' size:
	// those of many groups.
	maxInt8Packed = 64 << 20
	// int8TaskTerms is the number of products worth a task, about 5 us.
	int8TaskTerms = 1 << 20
	// int8RowTerms is the same for depthwise convolution by rows.
	int8RowTerms = 1 << 19
)

// A PlanInt8 runs a forward convolution of quantised tensors in NHWC: unsigned
// bytes, of which one value stands for zero, times signed weights. It is an
// indirect matrix product on the bytes, or one multiplication by lane where every
// channel has its own filter. Padding is copied around the input once; where there
// is none the input is read in place, as it is by depthwise convolutions of 3x3.
//
// Its integers are the same on every instruction set. Methods allocate nothing,
// panic with "conv.PlanInt8.Method: what" on misuse, and must not be called
// concurrently; weights may be shared between plans of the same shape but for N.
type PlanInt8 struct {
	shape     Shape
	output    Int8Output
	oh, ow    int
	depthwise bool
	rowKernel *kernels.DepthwiseByteRow // of a depthwise convolution, or nil
	scale     []float32                 // in its form

	spread         bool // the input is copied, with its padding
	ph, pw         int  // of the copy, else H and W
	offsets        []int32
	taps           []int // depthwise: offsets of the taps from a pixel
	quads          int
	heights        [3]int
	panels         []int8Panel
	blockRows      int
	blocks, splits int // tasks: blocks of rows times ranges of panels
	panelStep      int

	workers []int8Worker
	shares  kernels.Shares
	body    func(lo, hi int)
	padBody func(lo, hi int)
	rowBody func(lo, hi int)
	job     int8Job
}

// An int8Panel is a run of output channels of one group.
type int8Panel struct {
	width, cols int
	channel     int // the first one
	group       int
	b, bias     int // where weights and bias start in the packed form
}

type int8Worker struct {
	gemm kernels.GatherInt8
	rows []int32
	acc  []int32
	taps []int
}

type int8Job struct {
	a    []uint8
	zero uint8
	src  []uint8
	w    *Int8Weights
	out  *Int8Result
}

// Int8Weights are weights and bias in the form that a plan reads.
type Int8Weights struct {
	b     []int8
	bias  []int32 // less what the zero of the input adds
	taps  []float32
	rows  *kernels.DepthwiseByteWeights
	zero  uint8
	width int // of the panels, to detect another instruction set
}

// An Int8Result says where results go and how sums become results. Of the three
// slices the plan's output chooses one; it holds N*OH*OW*K elements.
type Int8Result struct {
	Bytes  []uint8
	Floats []float32
	Sums   []int32
	Scale  []float32         // K factors of the sums, not of Int8Sums
	Range  kernels.ByteRange // of Bytes, which are unsigned
	Lo, Hi float32           // clamp of Floats
}

// NewPlanInt8 returns the plan for a shape, or why there is none.
func NewPlanInt8(shape Shape, output Int8Output) (*PlanInt8, error) {
	s := shape.normalized()
	if err := s.check(); err != nil {
		return nil, err
	}
	p := &PlanInt8{shape: s, output: output, oh: s.OH(), ow: s.OW(), ph: s.H + s.PadTop + s.PadBottom, pw: s.W + s.PadLeft + s.PadRight}
	if terms := s.groupC() * s.R * s.S; terms > maxInt8Terms {
		return nil, fmt.Errorf("conv: %d products in a sum of 32 bits", terms)
	}
	if float64(p.ph)*float64(p.pw)*float64(s.C) > maxInt8Image {
		return nil, fmt.Errorf("conv: a padded image of %dx%dx%d bytes is too large", p.ph, p.pw, s.C)
	}
	p.depthwise = output == Int8Bytes && s.Groups == s.C && s.K == s.C && s.C > 1 && s.R*s.S <= kernels.MaxByteTaps
	tapLen := s.groupC()
	if s.DilationW == 1 && s.Groups == 1 {
		tapLen *= s.S
	}
	p.quads = (tapLen + 3) / 4
	if p.depthwise && s.R == 3 && s.S == 3 && s.DilationH == 1 && s.DilationW == 1 && s.StrideH == s.StrideW && p.rows() > 0 {
		if p.rowKernel = kernels.NewDepthwiseByteRow(s.StrideW, s.C, s.W, s.PadLeft, p.ow); p.rowKernel != nil {
			p.scale = make([]float32, p.rowKernel.Lanes())
		}
	}
	p.spread = p.rowKernel == nil && (p.ph != s.H || p.pw != s.W || !p.depthwise && tapLen%4 != 0)
	p.makeTaps(tapLen)
	p.makePanels()
	if n := p.packedLen(); !p.depthwise && n > maxInt8Packed && n/8 > s.WeightLen() {
		return nil, fmt.Errorf("conv: weights of %d groups need %d bytes", s.Groups, n)
	}
	p.divide()
	p.workers = make([]int8Worker, runtime.GOMAXPROCS(0))
	for i := range p.workers {
		p.workers[i] = int8Worker{rows: make([]int32, p.blockRows+p.heights[0]), acc: make([]int32, p.heights[0]*p.panels[0].width), taps: make([]int, len(p.taps))}
	}
	p.body, p.padBody, p.rowBody, p.shares = p.run, p.pad, p.depthwiseRows, kernels.NewShares(len(p.workers))
	return p, nil
}

func (p *PlanInt8) makeTaps(tapLen int) {
	s := &p.shape
	for r := range s.R {
		for c := 0; c < s.S; c++ {
			at := (r*s.DilationH*p.pw + c*s.DilationW) * s.C
			p.taps = append(p.taps, at)
			if c == 0 || tapLen == s.groupC() {
				p.offsets = append(p.offsets, int32(at))
			}
		}
	}
}

func (p *PlanInt8) makePanels() {
	heights, nr, narrow := kernels.GatherInt8Tiles()
	p.heights = heights
	s := &p.shape
	kg, depth, b, bias := s.groupK(), 4*p.quads*len(p.offsets), 0, 0
	for g := range s.Groups {
		for j := 0; j < kg; j += nr {
			width := nr
			if kg-j <= narrow {
				width = narrow
			}
			p.panels = append(p.panels, int8Panel{width: width, cols: min(width, kg-j), channel: g*kg + j, group: g, b: b, bias: bias})
			b, bias = b+depth*width, bias+width
		}
		if p.depthwise {
			break
		}
	}
}

// packedLen returns the bytes of packed weights.
func (p *PlanInt8) packedLen() int {
	last := p.panels[len(p.panels)-1]
	return last.b + last.width*4*p.quads*len(p.offsets)
}

// divide chooses the tasks. What is larger, weights or input, is cut first, so
// that each part of it is read by one task.
func (p *PlanInt8) divide() {
	s := &p.shape
	rows, mr := p.rows(), p.heights[0]
	panels := len(p.panels)
	weights := p.packedLen()
	tasks := max(1, int(min(s.FLOPs()/2/int8TaskTerms, 1<<20)))
	p.splits, p.blockRows = 1, max(mr, int8BlockBytes/(s.C*s.StrideH*s.StrideW))
	most := (rows + mr - 1) / mr
	if weights > s.H*s.W*s.C*max(1, s.N) {
		p.splits = min(tasks, panels)
	}
	blocks := min(most, max(1, (tasks+p.splits-1)/p.splits))
	p.blockRows = min(max(mr, p.blockRows/mr*mr), max(1, (most+blocks-1)/blocks)*mr)
	p.blocks = (rows + p.blockRows - 1) / p.blockRows
	p.splits = min(panels, max(p.splits, (tasks+max(1, p.blocks)-1)/max(1, p.blocks)))
	p.panelStep = (panels + p.splits - 1) / p.splits
	p.splits = (panels + p.panelStep - 1) / p.panelStep
	if p.depthwise {
		p.splits, p.panelStep = 1, panels
	}
}

// rows is the number of output pixels.
func (p *PlanInt8) rows() int { return p.shape.N * p.oh * p.ow }

// WorkspaceLen returns the bytes of work that [PlanInt8.Forward] needs.
func (p *PlanInt8) WorkspaceLen() int {
	switch {
	case p.rowKernel != nil:
		return p.shape.W * p.shape.C // a row of padding
	case !p.spread:
		return 0
	}
	const slack = 3 // behind the last group of four
	return p.shape.N*p.ph*p.pw*p.shape.C + slack
}

// String says how the convolution is computed.
func (p *PlanInt8) String() string {
	if p.rowKernel != nil {
		return "int8 depthwise rows"
	}
	if p.depthwise {
		return "int8 depthwise"
	}
	return fmt.Sprintf("int8 %s %dx%d", kernels.Int8Dot(), p.heights[0], p.panels[0].width)
}

// NewWeights packs weights (K, C/Groups, R, S) and a bias (nil or K sums) for an
// input whose zero is the given byte.
func (p *PlanInt8) NewWeights(w []int8, bias []int32, zero uint8) *Int8Weights {
	s := &p.shape
	if len(w) != s.WeightLen() || bias != nil && len(bias) != s.K {
		panic("conv.PlanInt8.NewWeights: lengths")
	}
	out := &Int8Weights{zero: zero, width: p.panels[0].width}
	filter := s.groupC() * s.R * s.S
	start := func(k int) int32 {
		sum := int32(0)
		for _, v := range w[k*filter : (k+1)*filter] {
			sum += int32(v)
		}
		sum *= -int32(zero)
		if bias != nil {
			sum += bias[k]
		}
		return sum
	}
	if p.depthwise {
		for k := range s.K {
			out.bias = append(out.bias, start(k))
		}
		if p.rowKernel != nil {
			out.rows = p.rowKernel.Pack(w, out.bias)
			return out
		}
		out.taps = make([]float32, len(w))
		for k := range s.K {
			for t := range filter {
				out.taps[t*s.K+k] = float32(w[k*filter+t])
			}
		}
		return out
	}
	last := p.panels[len(p.panels)-1]
	out.b, out.bias = make([]int8, p.packedLen()), make([]int32, last.bias+last.width)
	place := p.places()
	for _, panel := range p.panels {
		b := out.b[panel.b:]
		for j := range panel.cols {
			k := panel.channel + j
			out.bias[panel.bias+j] = start(k)
			for i, v := range w[k*filter : (k+1)*filter] {
				at := int(place[i])
				b[4*(at>>2*panel.width+j)+at&3] = v
			}
		}
	}
	return out
}

// places returns where the weights of a filter (C/Groups, R, S) go in a column of
// a panel: the number of the group of four, times four, plus the place in it.
func (p *PlanInt8) places() []int32 {
	s := &p.shape
	positions := s.R * s.S / len(p.offsets) // that a tap covers
	place := make([]int32, s.groupC()*s.R*s.S)
	for i := range place {
		c, position := i/(s.R*s.S), i%(s.R*s.S)
		at := position%positions*s.groupC() + c // in the tap
		place[i] = int32(4*(position/positions*p.quads) + at)
	}
	return place
}

// Forward convolves src, N*H*W*C bytes of which w's zero stands for zero. work is
// [PlanInt8.WorkspaceLen] bytes. Nothing may overlap.
func (p *PlanInt8) Forward(out *Int8Result, src []uint8, w *Int8Weights, work []uint8) {
	const name = "conv.PlanInt8.Forward: "
	n := p.shape.DstLen()
	switch {
	case len(src) < p.shape.SrcLen() || len(work) < p.WorkspaceLen():
		panic(name + "short src or work")
	case w == nil || w.width != p.panels[0].width || (w.taps != nil) != (p.depthwise && p.rowKernel == nil), (w.rows != nil) != (p.rowKernel != nil):
		panic(name + "weights of another plan")
	case p.output == Int8Bytes && len(out.Bytes) < n, p.output == Int8Floats && len(out.Floats) < n, p.output == Int8Sums && len(out.Sums) < n:
		panic(name + "short result")
	case p.output != Int8Sums && len(out.Scale) < p.shape.K:
		panic(name + "short scale")
	case p.output == Int8Bytes && min(out.Range.Zero, out.Range.Min) < 0:
		panic(name + "range of a signed byte")
	}
	if n == 0 {
		return
	}
	p.job = int8Job{a: src, zero: w.zero, src: src, w: w, out: out}
	if p.rowKernel != nil {
		p.forwardRows(work)
		p.job = int8Job{}
		return
	}
	if p.spread {
		p.job.a = work[:p.WorkspaceLen()]
		grain := max(1, (64<<10)/max(1, p.pw*p.shape.C))
		kernels.Parallel(p.shape.N*p.ph, grain, p.padBody)
	}
	tasks := p.blocks * p.splits
	workers := min(len(p.workers), tasks)
	p.shares.Deal(tasks, workers)
	kernels.Parallel(workers, 1, p.body)
	p.job = int8Job{}
}

// pad copies rows lo to hi-1 of the padded input.
func (p *PlanInt8) pad(lo, hi int) {
	s, zero := &p.shape, p.job.zero
	width, line := p.pw*s.C, s.W*s.C
	left := s.PadLeft * s.C
	for row := lo; row < hi; row++ {
		dst := p.job.a[row*width : (row+1)*width]
		n, y := row/p.ph, row%p.ph-s.PadTop
		if y < 0 || y >= s.H {
			fillBytes(dst, zero)
			continue
		}
		fillBytes(dst[:left], zero)
		copy(dst[left:], p.job.src[(n*s.H+y)*line:][:line])
		fillBytes(dst[left+line:], zero)
	}
}

// fillBytes sets all of b to v, in copies of growing length.
func fillBytes(b []uint8, v uint8) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// run is the body of workers lo to hi-1.
func (p *PlanInt8) run(lo, hi int) {
	for worker := lo; worker < hi; worker++ {
		for t := p.shares.Take(worker); t >= 0; t = p.shares.Take(worker) {
			if p.depthwise {
				p.depthwiseTask(&p.workers[worker], t)
			} else {
				p.task(&p.workers[worker], t/p.splits, t%p.splits)
			}
		}
	}
}

// pixelAt returns where the window of output pixel q of an image starts.
func (p *PlanInt8) pixelAt(n, i, j int) int {
	return ((n*p.ph+i*p.shape.StrideH)*p.pw + j*p.shape.StrideW) * p.shape.C
}

// task multiplies a block of rows with a range of panels.
func (p *PlanInt8) task(wk *int8Worker, block, split int) {
	s, g := &p.shape, &wk.gemm
	row0 := block * p.blockRows
	rows := min(p.blockRows, p.rows()-row0)
	grid := p.oh * p.ow
	n0 := row0 / grid
	n, i, j := 0, row0%grid/p.ow, row0%p.ow
	step := int32(s.StrideW * s.C)
	for left := wk.rows[:rows]; len(left) > 0; j = 0 {
		at := int32(p.pixelAt(n, i, j))
		count := min(p.ow-j, len(left))
		for r := range left[:count] {
			left[r] = at
			at += step
		}
		left = left[count:]
		if i++; i == p.oh {
			i = 0
			n++
		}
	}
	for r := rows; r < len(wk.rows); r++ {
		wk.rows[r] = wk.rows[rows-1]
	}
	a := p.job.a[n0*p.ph*p.pw*s.C:]
	w := p.job.w
	g.Quads, g.Offsets, g.Acc = p.quads, p.offsets, wk.acc
	for _, panel := range p.panels[split*p.panelStep : min(len(p.panels), (split+1)*p.panelStep)] {
		g.NR, g.A = panel.width, a[panel.group*s.groupC():]
		g.B, g.Bias = w.b[panel.b:], w.bias[panel.bias:]
		for r := 0; r < rows; r += g.MR {
			g.MR = tileHeight(p.heights[:], rows-r)
			g.Rows = wk.rows[r:]
			p.tile(g, &panel, row0+r, min(g.MR, rows-r))
		}
	}
	*g = kernels.GatherInt8{}
}

// tile computes a tile and turns its sums into results.
func (p *PlanInt8) tile(g *kernels.GatherInt8, panel *int8Panel, row, rows int) {
	k, out := p.shape.K, p.job.out
	at := row*k + panel.channel
	if p.output == Int8Bytes {
		g.RunBytes(out.Bytes[at:], k, out.Scale[panel.channel:], rows, panel.cols, out.Range)
		return
	}
	g.Run()
	if p.output == Int8Floats {
		kernels.DequantizeRows(out.Floats[at:], k, g.Acc, panel.width, out.Scale[panel.channel:], rows, panel.cols, out.Lo, out.Hi)
		return
	}
	for i := range rows {
		copy(out.Sums[at+i*k:][:panel.cols], g.Acc[i*panel.width:])
	}
}

// forwardRows runs a depthwise convolution by rows.
func (p *PlanInt8) forwardRows(work []uint8) {
	s := &p.shape
	p.job.a = work[:p.WorkspaceLen()]
	fillBytes(p.job.a, p.job.zero)
	p.rowKernel.PackScale(p.scale, p.job.out.Scale)
	kernels.Parallel(s.N*p.oh, max(1, int8RowTerms/(p.ow*s.C*s.R*s.S)), p.rowBody)
}

// depthwiseRows computes rows lo to hi-1 of all images.
func (p *PlanInt8) depthwiseRows(lo, hi int) {
	s, line := &p.shape, p.ow*p.shape.K
	o := kernels.DepthwiseByteOperands{Src: p.job.src, Pad: p.job.a, Zero: p.job.zero, W: p.job.w.rows, Scale: p.scale, Range: p.job.out.Range}
	for row := lo; row < hi; row++ {
		n, y := row/p.oh, row%p.oh*s.StrideH-s.PadTop
		for r := range o.Rows {
			o.Rows[r] = -1
			if y+r >= 0 && y+r < s.H {
				o.Rows[r] = (n*s.H + y + r) * s.W * s.C
			}
		}
		o.Dst = p.job.out.Bytes[row*line:][:line]
		p.rowKernel.Run(&o)
	}
}

// depthwiseTask computes a block of pixels, one by one.
func (p *PlanInt8) depthwiseTask(wk *int8Worker, block int) {
	s, w, out := &p.shape, p.job.w, p.job.out
	grid := p.oh * p.ow
	for row := block * p.blockRows; row < min(p.rows(), (block+1)*p.blockRows); row++ {
		at := p.pixelAt(row/grid, row%grid/p.ow, row%p.ow)
		for t, off := range p.taps {
			wk.taps[t] = at + off
		}
		kernels.DepthwiseBytes(out.Bytes[row*s.K:][:s.K], p.job.a, wk.taps, w.taps, s.K, w.bias, out.Scale, out.Range)
	}
}
