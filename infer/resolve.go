package infer

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// maxFolded bounds the bytes of constants that are computed when a model is
// loaded, and maxFoldedWork the multiplications for one of them.
const (
	maxFolded     = 1 << 30
	maxFoldedWork = 1 << 30
)

// A step is a node whose inputs have known types and shapes.
type step struct {
	*node
	call *call
	run  kernel
}

// A resolution is a graph for inputs of known shapes: the values by number, and
// the nodes that are left to run.
type resolution struct {
	values []*value
	steps  []step
	folded int
}

// resolve infers the type and shape of every value, and computes those that
// depend on constants only. With evaluate it computes every node: the inputs
// must have data then, and values are dropped after their last use.
//
// The error is errUnknown, wrapped, if shapes depend on what the inputs hold.
func (g *graph) resolve(inputs []*value, evaluate bool) (*resolution, error) {
	r := &resolution{values: make([]*value, len(g.names))}
	for id, t := range g.consts {
		if evaluate {
			t = restored(t)
		}
		r.values[id] = &value{t.Type, t.Shape, t}
	}
	for i, id := range g.in {
		r.values[id] = inputs[i]
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if err := r.node(g, n, evaluate); err != nil {
			return nil, n.fail(g.opset, err)
		}
		if evaluate {
			for _, id := range n.last {
				r.values[id] = nil
			}
		}
	}
	return r, nil
}

func (r *resolution) node(g *graph, n *node, evaluate bool) error {
	c := &call{op: n.Op, node: n.Node, opset: g.opset, in: make([]*value, len(n.in)), out: make([]*value, len(n.out))}
	constant := true
	for i, id := range n.in {
		if id >= 0 {
			c.in[i] = r.values[id]
			constant = constant && c.in[i].data != nil
		}
	}
	for i, id := range n.out {
		if id >= 0 {
			c.out[i] = &value{}
			r.values[id] = c.out[i]
		}
	}
	run, err := c.prepare()
	if err != nil {
		return err
	}
	made := true // its outputs are known already
	bytes := 0
	for i, v := range c.out {
		if v != nil && v.typ == onnx.Undefined {
			return fmt.Errorf("output %d: the operator has no such output", i)
		}
		if v != nil && v.data == nil {
			made = false
			bytes += product(v.shape) * v.typ.Size()
		}
	}
	if made {
		return nil
	}
	if !evaluate && (!constant || c.work() > maxFoldedWork) {
		r.steps = append(r.steps, step{n, c, run})
		return nil
	}
	if r.folded += bytes; !evaluate && r.folded > maxFolded {
		return errors.New("the model computes more than 1 GiB of constants")
	}
	return c.compute(run)
}

// compute runs a call whose inputs all have data, and keeps its outputs.
func (c *call) compute(run kernel) error {
	in, out := make([]*Tensor, len(c.in)), make([]*Tensor, len(c.out))
	for i, v := range c.in {
		if v != nil {
			in[i] = v.data
		}
	}
	for i, v := range c.out {
		if v != nil {
			out[i] = &Tensor{Type: v.typ, Shape: v.shape, mem: kernels.AlignedBytes(product(v.shape) * v.typ.Size())}
		}
	}
	if err := run(in, out); err != nil {
		return err
	}
	for i, v := range c.out {
		if v != nil {
			v.data = out[i]
		}
	}
	return nil
}

// work bounds the multiplications of a node that does more than a few for each
// element of its inputs and outputs.
func (c *call) work() float64 {
	switch c.op {
	case "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MatMul", "Gemm", "MatMulInteger", "QLinearMatMul",
		"MaxPool", "AveragePool", "LRN":
	default:
		return 0
	}
	n := 1.0
	for _, v := range c.in[:min(2, len(c.in))] {
		n *= max(1, float64(product(v.shape)))
	}
	for _, k := range c.ints("kernel_shape") {
		n *= max(1, float64(k))
	}
	return n
}
