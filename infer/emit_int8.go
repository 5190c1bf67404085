package infer

import (
	"fmt"
	"strings"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// needBytes returns a slot that holds a value of bytes in the layout biased.
func (e *emitter) needBytes(id int) int {
	if at := e.has(id, biased); at >= 0 {
		return at
	}
	from := e.need(id, plain)
	to := e.result(id, biased)
	e.instrs = append(e.instrs, convertBytes(from, to, e.r.values[id], true))
	return to
}

// convertBytes is the instruction that changes bytes as the model has them into
// unsigned ones in NHWC, or back.
func convertBytes(from, to int, v *value, toBiased bool) instr {
	flip := uint8(0)
	if v.typ == onnx.Int8 {
		flip = 0x80
	}
	n, c, hw := 1, 1, product(v.shape)
	if len(v.shape) == 4 {
		n, c, hw = v.shape[0], v.shape[1], v.shape[2]*v.shape[3]
	}
	how := "bytes from NHWC"
	if toBiased {
		how = "bytes to NHWC"
	}
	return instr{how: how, in: []int{from}, out: []int{to}, reuse: -1, build: func() (runner, error) {
		return func(in, out []*Tensor, _ []float32) error {
			for b := range n {
				x, y := in[0].mem[b*c*hw:(b+1)*c*hw], out[0].mem[b*c*hw:(b+1)*c*hw]
				rows, cols := c, hw
				if !toBiased {
					rows, cols = hw, c
				}
				for i := range rows {
					for j, v := range x[i*cols : (i+1)*cols] {
						y[j*rows+i] = v ^ flip
					}
				}
			}
			return nil
		}, nil
	}}
}

// emitInt8 appends an operation on bytes.
func (e *emitter) emitInt8(o *fused) error {
	switch o.kind {
	case convInt8:
		return e.emitConvInt8(o)
	case poolInt8:
		return e.emitPoolInt8(o)
	}
	j := &byteChunks{kind: o.kind, op: *o.int8}
	i := instr{title: o.title(), how: "int8 add", reuse: -1}
	id := o.in[0]
	switch o.kind {
	case dequantise:
		// What the model has in its own order stays in it.
		i.how, j.op.x.signed = "dequantise", false
		l := plain
		if e.has(id, biased) >= 0 {
			i.in, l = []int{e.has(id, biased)}, e.layoutOf(o.out[0])
		} else {
			i.in = []int{e.need(id, plain)}
			if j.op.x.signed = o.int8.x.signed; j.op.x.signed {
				j.op.x.zero -= 128
			}
		}
		i.out = []int{e.result(o.out[0], l)}
	case quantise:
		i.how = "quantise"
		i.in, i.out = []int{e.need(id, pixels)}, []int{e.result(o.out[0], biased)}
	default:
		i.in, i.out = []int{e.needBytes(id), e.needBytes(o.in[1])}, []int{e.result(o.out[0], biased)}
		i.reuse = 0
	}
	if out := j.op.out; out != nil {
		j.add = kernels.ByteAdd{XScale: j.op.x.scale, YScale: j.op.y.scale, Scale: out.scale, XZero: j.op.x.zero, YZero: j.op.y.zero, Range: out.limits(j.op.lo, j.op.hi)}
	}
	i.build = func() (runner, error) {
		own := *j
		k := &own
		k.body = k.run
		return func(in, out []*Tensor, _ []float32) error {
			k.in, k.out, k.second = in[0], out[0], nil
			if len(in) > 1 {
				k.second = in[1].mem
			}
			kernels.Parallel(k.in.Len(), grain, k.body)
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, i)
	return nil
}

// byteChunks applies an elementwise operation on bytes in pieces, on all threads.
type byteChunks struct {
	kind    fusedKind
	op      int8Op
	add     kernels.ByteAdd
	in, out *Tensor
	second  []byte
	body    func(lo, hi int)
}

func (j *byteChunks) run(lo, hi int) {
	switch j.kind {
	case quantise:
		kernels.QuantizeBytes(j.out.mem[lo:hi], view[float32](j.in)[lo:hi], j.op.out.scale, j.add.Range)
	case dequantise:
		kernels.DequantizeBytes(view[float32](j.out)[lo:hi], j.in.mem[lo:hi], j.op.x.scale, j.op.x.zero, j.op.x.signed)
	default:
		j.add.Run(j.out.mem[lo:hi], j.in.mem[lo:hi], j.second[lo:hi])
	}
}

// packedInt8 is [Session.packed] for bytes.
func (s *Session) packedInt8(plan *conv.PlanInt8, o *fused) *conv.Int8Weights {
	var key strings.Builder
	for _, n := range o.nodes {
		fmt.Fprintf(&key, "%d ", n.index)
	}
	key.WriteString(plan.String())
	if w, ok := s.int8[key.String()]; ok {
		return w
	}
	w := plan.NewWeights(o.int8.w, o.int8.bias, uint8(o.int8.x.zero))
	s.int8[key.String()] = w
	return w
}

// emitConvInt8 appends a convolution or matrix product of bytes.
func (e *emitter) emitConvInt8(o *fused) error {
	op, shape := o.int8, o.conv
	output, l := conv.Int8Floats, e.layoutOf(o.out[0])
	scale := make([]float32, len(op.scale))
	for k, w := range op.scale {
		scale[k] = op.x.scale * w
		if op.out != nil {
			scale[k] /= op.out.scale
		}
	}
	result := conv.Int8Result{Scale: scale, Lo: op.lo, Hi: op.hi}
	switch {
	case op.sums:
		output = conv.Int8Sums
	case op.out != nil:
		output, l = conv.Int8Bytes, biased
		result.Range = op.out.limits(op.lo, op.hi)
	}
	first, err := conv.NewPlanInt8(shape, output)
	if err != nil {
		return err
	}
	weights := e.s.packedInt8(first, o)
	i := instr{title: o.title(), how: first.String(), in: []int{e.needBytes(o.in[0])}, reuse: -1, work: (first.WorkspaceLen() + 3) / 4, flops: shape.FLOPs()}
	i.out = []int{e.result(o.out[0], l)}
	i.build = func() (runner, error) {
		plan := first
		first = nil
		if plan == nil {
			var err error
			if plan, err = conv.NewPlanInt8(shape, output); err != nil {
				return nil, err
			}
		}
		r := result
		return func(in, out []*Tensor, work []float32) error {
			switch output {
			case conv.Int8Bytes:
				r.Bytes = out[0].mem
			case conv.Int8Floats:
				r.Floats = view[float32](out[0])
			default:
				r.Sums = view[int32](out[0])
			}
			plan.Forward(&r, in[0].mem, weights, bytesOf(work))
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, i)
	return nil
}

// emitPoolInt8 appends maximum pooling of bytes. Padding takes no part.
func (e *emitter) emitPoolInt8(o *fused) error {
	probe := *o.call
	probe.out = []*value{{}}
	g, err := probe.poolGeometry()
	if err != nil {
		return err
	}
	s := o.call.in[0].shape
	p := bytePool{n: s[0], c: s[1], h: s[2], w: s[3], g: g}
	i := instr{title: o.title(), how: "int8 pool", in: []int{e.needBytes(o.in[0])}, reuse: -1}
	i.out = []int{e.result(o.out[0], biased)}
	i.build = func() (runner, error) {
		own := p
		k := &own
		k.body = k.rows
		return func(in, out []*Tensor, _ []float32) error {
			k.src, k.dst = in[0].mem, out[0].mem
			kernels.Parallel(k.n*k.g.out[0], max(1, grain/max(1, k.g.out[1]*k.c)), k.body)
			return nil
		}, nil
	}
	e.instrs = append(e.instrs, i)
	return nil
}

type bytePool struct {
	n, c, h, w int
	g          spatial
	src, dst   []byte
	body       func(lo, hi int)
}

// rows computes rows lo to hi-1 of all images' outputs.
func (p *bytePool) rows(lo, hi int) {
	var taps [kernels.MaxByteTaps]int
	g, c := &p.g, p.c
	for row := lo; row < hi; row++ {
		n, y0 := row/g.out[0], row%g.out[0]*g.strides[0]-g.before[0]
		for j := range g.out[1] {
			count, x0 := 0, j*g.strides[1]-g.before[1]
			for r := range g.kernel[0] {
				for s := range g.kernel[1] {
					y, x := y0+r*g.dilations[0], x0+s*g.dilations[1]
					if y >= 0 && y < p.h && x >= 0 && x < p.w {
						taps[count] = ((n*p.h+y)*p.w + x) * c
						count++
					}
				}
			}
			dst := p.dst[(row*g.out[1]+j)*c:][:c]
			if count == 0 {
				clear(dst)
				continue
			}
			kernels.MaxBytes(dst, p.src, taps[:count])
		}
	}
}
