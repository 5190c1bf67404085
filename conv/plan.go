package conv

import (
	"fmt"
	"math"
	"runtime"
	"strings"

	"github.com/golanes/lanes/kernels"
)

// Accuracy limits which algorithms a plan may choose.
type Accuracy uint8

const (
	// Fast allows Winograd's algorithm, whose rms error is at most 8 times that
	// of the direct sum.
	Fast Accuracy = iota
	// Exact allows only algorithms that add up the defining products.
	Exact
)

// An Algorithm is a way to compute a convolution.
type Algorithm uint8

const (
	// Auto lets the plan choose, by the rules in select.go.
	Auto Algorithm = iota
	// Direct is the definition as plain Go loops with float64 sums, as a
	// reference.
	Direct
	// Indirect is a matrix product on gathered rows; it takes every shape.
	Indirect
	// Depthwise is for Groups = C: one channel per lane.
	Depthwise
	// Winograd2 and Winograd4 are F(2x2, 3x3) and F(4x4, 3x3), for 3x3 filters
	// without stride, dilation or groups.
	Winograd2
	Winograd4
)

var algorithmNames = [...]string{"auto", "direct", "indirect", "depthwise", "winograd2", "winograd4"}

// String returns the algorithm's name in lower case.
func (a Algorithm) String() string {
	if int(a) >= len(algorithmNames) {
		return fmt.Sprintf("conv.Algorithm(%d)", int(a))
	}
	return algorithmNames[a]
}

// Options are what a caller decides about a plan. The zero value is the
// default: Fast, Auto, no activation.
type Options struct {
	Accuracy Accuracy
	// Algorithm forces one algorithm for all directions; NewPlan fails if it
	// does not take the shape.
	Algorithm Algorithm
	// Packed says that weights are packed once for many calls of ForwardPacked and
	// BackwardDataPacked, so that the choice is for those and leaves out what packing
	// costs.
	Packed bool
	// ForwardOnly leaves out the tables of the gradients, whose methods panic then.
	ForwardOnly bool
	// Serial makes a plan whose methods run on the calling goroutine alone, for
	// callers that have several plans at work at the same time.
	Serial bool
	// Overwrite makes BackwardWeights overwrite dw and db, to which it adds otherwise.
	Overwrite bool
	// Activation is applied by Forward after bias and residual.
	Activation kernels.Activation
	// DstPitch is the floats from one pixel of dst and of residual to the next in
	// Forward, ForwardPacked and ForwardPlanes, for a result that is some channels of
	// a wider map. Zero means K. What lies between the pixels is not touched. Indirect
	// and Winograd's algorithms can do so, with activations that are a clamp.
	DstPitch int
}

// A Plan runs one convolution. Its methods allocate nothing and must not be
// called concurrently; packed weights may be shared between plans of the same
// shape and options.
//
// All tensors must be disjoint except where a method says otherwise. Methods
// panic with "conv.Plan.Method: what" if a slice is too short or nil. Slices may
// be longer than needed; what lies behind is not touched.
type Plan struct {
	shape  Shape
	opt    Options
	oh, ow int

	forward, data, weights direction

	zero    []float32
	workers int
	gather  []gatherWorker
	outer   []outerWorker

	job    job
	shares kernels.Shares
	body   func(lo, hi int)
}

// A direction is the choice for one of the three passes.
type direction struct {
	algorithm Algorithm
	why       string
	product   *product // Indirect, forward and backward-data
	outer     *outer   // Indirect, backward-weights, or
	point     *pointOuter

	winograd        *winograd        // forward and backward-data
	winogradWeights *winogradWeights // backward-weights
	depthwise       *depthwise
}

// NewPlan returns the plan for a shape, or what is wrong with the shape or the
// options. It allocates tables that depend on the shape, not on N.
func NewPlan(shape Shape, opt Options) (*Plan, error) {
	s := shape.normalized()
	if err := s.check(); err != nil {
		return nil, err
	}
	if !opt.Activation.Known() {
		return nil, fmt.Errorf("conv: unknown activation %d", opt.Activation)
	}
	if opt.DstPitch == 0 {
		opt.DstPitch = s.K
	}
	p := &Plan{shape: s, opt: opt, oh: s.OH(), ow: s.OW(), workers: runtime.GOMAXPROCS(0)}
	if opt.Serial {
		p.workers = 1
	}
	for i, d := range p.directions() {
		if err := choose(&s, opt, pass3(i), d); err != nil {
			return nil, err
		}
	}
	if err := p.checkPitch(); err != nil {
		return nil, err
	}
	p.body, p.shares = p.work, kernels.NewShares(p.workers)
	p.prepare()
	return p, nil
}

// directions lists the passes that the plan is for.
func (p *Plan) directions() []*direction {
	if p.opt.ForwardOnly {
		return []*direction{&p.forward}
	}
	return []*direction{&p.forward, &p.data, &p.weights}
}

// needGradients panics in a plan without them.
func (p *Plan) needGradients(method string) {
	if p.opt.ForwardOnly {
		panic("conv.Plan." + method + ": the plan is for the forward pass only")
	}
}

// checkPitch returns what is wrong with the pitch of dst.
func (p *Plan) checkPitch() error {
	pitch := p.opt.DstPitch
	if pitch == p.shape.K {
		return nil
	}
	image := float64(p.oh) * float64(p.ow) * float64(pitch)
	if pitch < p.shape.K || image > maxImage || float64(p.shape.N)*image > min(maxTensor, math.MaxInt/8) {
		return fmt.Errorf("conv: DstPitch is %d for %d channels of a map of %dx%d", pitch, p.shape.K, p.oh, p.ow)
	}
	if a := p.forward.algorithm; a == Direct || a == Depthwise {
		return fmt.Errorf("conv: %v does not take DstPitch", a)
	}
	if _, _, ok := clamp(p.opt.Activation); !ok {
		return fmt.Errorf("conv: %v does not take DstPitch", p.opt.Activation)
	}
	return nil
}

// dstExtent is the floats from the first of dst to its last in Forward.
func (p *Plan) dstExtent() int {
	pixels := p.shape.N * p.oh * p.ow
	return max(0, (pixels-1)*p.opt.DstPitch+min(pixels, 1)*p.shape.K)
}

// prepare makes the tables of the chosen algorithms.
func (p *Plan) prepare() {
	s := &p.shape
	depth, tables, rows := max(s.C, s.K), 0, 0
	for _, d := range []*direction{&p.forward, &p.data} {
		switch d.algorithm {
		case Indirect:
			if d == &p.forward {
				d.product = forwardProduct(s, p.opt.DstPitch)
			} else {
				d.product = backwardDataProduct(s)
			}
			d.product.schedule(p.workers)
			tables, rows, depth = max(tables, d.product.tableLen), max(rows, d.product.rowsLen), max(depth, d.product.maxDepth)
		case Winograd2, Winograd4:
			d.winograd = newWinograd(s, d.algorithm.tile(), d == &p.data, p.workers)
		case Depthwise:
			dir := passForward
			if d == &p.data {
				dir = passData
			}
			d.depthwise = newDepthwise(s, dir)
			depth = max(depth, d.depthwise.zeroLen())
		}
	}
	lo, hi, _ := clamp(p.opt.Activation)
	if d := p.forward.product; d != nil {
		d.clampLo, d.clampHi = lo, hi
	}
	if w := p.forward.winograd; w != nil {
		w.clampLo, w.clampHi, w.pitch = lo, hi, p.opt.DstPitch
	}
	if w := p.forward.depthwise; w != nil {
		w.clampLo, w.clampHi = lo, hi
	}
	p.prepareWeights()
	if w := p.weights.depthwise; w != nil {
		depth = max(depth, w.zeroLen())
	}
	p.zero = make([]float32, depth)
	p.gather = make([]gatherWorker, p.workers)
	for i := range p.gather {
		p.gather[i] = newGatherWorker(tables, rows)
	}
}

func (p *Plan) prepareWeights() {
	if p.opt.ForwardOnly {
		return
	}
	d, runs, workers := &p.weights, 0, p.workers
	switch d.algorithm {
	case Indirect:
		if d.point = newPointOuter(&p.shape); d.point != nil {
			d.point.overwrite = p.opt.Overwrite
			runs = d.point.runsLen
			workers = min(workers, d.point.tasks())
			break
		}
		d.outer = newOuter(&p.shape)
		d.outer.overwrite = p.opt.Overwrite
		runs = d.outer.runsLen
		workers = min(workers, d.outer.tasks())
	case Winograd2, Winograd4:
		d.winogradWeights = newWinogradWeights(&p.shape, d.algorithm.tile())
		d.winogradWeights.overwrite = p.opt.Overwrite
	case Depthwise:
		d.depthwise = newDepthwise(&p.shape, passWeights)
	}
	p.outer = make([]outerWorker, workers)
	for i := range p.outer {
		p.outer[i] = newOuterWorker(p.shape.R*p.shape.S, runs)
	}
}

// tile returns m of Winograd's F(m x m, 3 x 3).
func (a Algorithm) tile() int {
	if a == Winograd2 {
		return 2
	}
	return 4
}

// Shape returns the plan's shape with defaults filled in.
func (p *Plan) Shape() Shape { return p.shape }

// Options returns the plan's options.
func (p *Plan) Options() Options { return p.opt }

// Algorithms returns the algorithm of each direction, Auto for those that the plan is
// not for.
func (p *Plan) Algorithms() (forward, backwardData, backwardWeights Algorithm) {
	return p.forward.algorithm, p.data.algorithm, p.weights.algorithm
}

// String describes the plan, one line for the shape and one for each direction:
// algorithm, tile, packing, workspace, and why.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "conv %v", p.shape)
	for i, d := range p.directions() {
		fmt.Fprintf(&b, "\n%s: %v", pass3(i), d.algorithm)
		if pr := d.product; pr != nil {
			fmt.Fprintf(&b, ", tile=%dx%d", pr.height(), pr.nr)
		}
		if w := d.winograd; w != nil {
			mode := "blocks"
			if w.shared {
				mode = "shared blocks"
			} else if w.staged {
				mode = "staged blocks"
			}
			fmt.Fprintf(&b, ", tile=%dx%d, %d %s of %d tiles", w.tileRows[0], w.nr, w.blocks, mode, w.block)
		}
		if o := d.point; o != nil {
			fmt.Fprintf(&b, ", tile=%dx%d in place", o.tiles[0].height, o.nr)
		}
		if o := d.outer; o != nil {
			fmt.Fprintf(&b, ", tile=%dx%d, %d chunks of %d blocks", o.tiles[0].height, o.nr, o.chunks, o.blocks)
		}
		if w := d.winogradWeights; w != nil {
			mode := "shared blocks"
			if w.chunks > 1 {
				mode = fmt.Sprintf("blocks in %d chunks", w.chunks)
			}
			fmt.Fprintf(&b, ", tile=%dx%d, %d %s of %d tiles", w.strips[0][0].height, w.nr, w.blocks, mode, w.block)
		}
		if w := d.depthwise; w != nil {
			fmt.Fprintf(&b, ", %d rows of a map at a time", w.taskRows)
		}
		if n := d.packedLen(); n > 0 {
			fmt.Fprintf(&b, ", %d packed floats", n)
		}
		fmt.Fprintf(&b, ", workspace %d floats: %s", p.packingLen(d), d.why)
	}
	return b.String()
}

// PackedLen is the length of packed weights for [Plan.ForwardPacked], PackedDataLen
// that for [Plan.BackwardDataPacked].
func (p *Plan) PackedLen() int { return p.packedWeights(&p.forward) }

// PackedDataLen is documented with [Plan.PackedLen].
func (p *Plan) PackedDataLen() int { return p.packedWeights(&p.data) }

// packedWeights is the length of weights in the form that d reads.
func (p *Plan) packedWeights(d *direction) int {
	if n := d.packedLen(); n > 0 {
		return n
	}
	return p.shape.WeightLen()
}

// WorkspaceForward, WorkspaceBackwardData and WorkspaceBackwardWeights are the
// floats that the work argument of the three methods must have; Workspace is
// the largest of them, and serves a training step that reuses one slice.
func (p *Plan) WorkspaceForward() int { return p.packingLen(&p.forward) }

// WorkspaceBackwardData is documented with [Plan.WorkspaceForward].
func (p *Plan) WorkspaceBackwardData() int { return p.packingLen(&p.data) }

// WorkspaceBackwardWeights is documented with [Plan.WorkspaceForward].
func (p *Plan) WorkspaceBackwardWeights() int { return p.workLen(&p.weights) }

// Workspace is documented with [Plan.WorkspaceForward].
func (p *Plan) Workspace() int {
	return max(p.WorkspaceForward(), p.WorkspaceBackwardData(), p.WorkspaceBackwardWeights())
}

// WorkspaceForwardPacked is the floats of work for [Plan.ForwardPacked],
// WorkspaceBackwardDataPacked that for [Plan.BackwardDataPacked].
func (p *Plan) WorkspaceForwardPacked() int { return p.workLen(&p.forward) }

// WorkspaceBackwardDataPacked is documented with [Plan.WorkspaceForwardPacked].
func (p *Plan) WorkspaceBackwardDataPacked() int { return p.workLen(&p.data) }
