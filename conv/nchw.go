package conv

import "github.com/golanes/lanes/kernels"

// Entry points for callers who hold NCHW: they convert at both ends. A network
// that keeps its activations NHWC between layers saves these passes.

// WorkspaceNCHW is the floats of work for the methods that end in NCHW.
func (p *Plan) WorkspaceNCHW() int {
	return p.Workspace() + p.shape.SrcLen() + 2*p.shape.DstLen()
}

// splitNCHW cuts work into NHWC copies of src, dst and the residual, and the
// rest.
func (p *Plan) splitNCHW(name string, work []float32) (src, dst, residual, rest []float32) {
	work = need(name, "work", work, p.WorkspaceNCHW())
	ns, nd := p.shape.SrcLen(), p.shape.DstLen()
	return work[:ns], work[ns : ns+nd], work[ns+nd : ns+2*nd], work[ns+2*nd:]
}

func (p *Plan) srcToNHWC(to, from []float32) {
	s := &p.shape
	kernels.NCHWToNHWC(to, from, s.N, s.C, s.H, s.W)
}

func (p *Plan) dstToNHWC(to, from []float32) {
	kernels.NCHWToNHWC(to, from, p.shape.N, p.shape.K, p.oh, p.ow)
}

// ForwardNCHW is [Plan.Forward] with dst, src and residual in NCHW. work has
// [Plan.WorkspaceNCHW] floats of any content. Options.DstPitch must not be set.
func (p *Plan) ForwardNCHW(dst, src, w, bias, residual, work []float32) {
	const name = "ForwardNCHW"
	if p.opt.DstPitch != p.shape.K {
		panic("conv.Plan.ForwardNCHW: dst has a pitch")
	}
	dst = need(name, "dst", dst, p.shape.DstLen())
	src = need(name, "src", src, p.shape.SrcLen())
	residual = optional(name, "residual", residual, len(dst))
	x, y, r, rest := p.splitNCHW(name, work)
	p.srcToNHWC(x, src)
	if residual != nil {
		p.dstToNHWC(r, residual)
		residual = r
	}
	p.Forward(y, x, w, bias, residual, rest)
	kernels.NHWCToNCHW(dst, y, p.shape.N, p.shape.K, p.oh, p.ow)
}

// BackwardDataNCHW is [Plan.BackwardData] with dsrc and ddst in NCHW. work has
// [Plan.WorkspaceNCHW] floats of any content.
func (p *Plan) BackwardDataNCHW(dsrc, ddst, w, work []float32) {
	const name = "BackwardDataNCHW"
	dsrc = need(name, "dsrc", dsrc, p.shape.SrcLen())
	ddst = need(name, "ddst", ddst, p.shape.DstLen())
	dx, dy, _, rest := p.splitNCHW(name, work)
	p.dstToNHWC(dy, ddst)
	p.BackwardData(dx, dy, w, rest)
	s := &p.shape
	kernels.NHWCToNCHW(dsrc, dx, s.N, s.C, s.H, s.W)
}

// BackwardWeightsNCHW is [Plan.BackwardWeights] with src and ddst in NCHW. work
// has [Plan.WorkspaceNCHW] floats of any content.
func (p *Plan) BackwardWeightsNCHW(dw, db, src, ddst, work []float32) {
	const name = "BackwardWeightsNCHW"
	src = need(name, "src", src, p.shape.SrcLen())
	ddst = need(name, "ddst", ddst, p.shape.DstLen())
	x, dy, _, rest := p.splitNCHW(name, work)
	p.srcToNHWC(x, src)
	p.dstToNHWC(dy, ddst)
	p.BackwardWeights(dw, db, x, dy, rest)
}
