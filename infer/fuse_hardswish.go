package infer

import (
	"slices"

	"github.com/golanes/lanes/kernels"
)

// mergeHardSwish recognises x*clip(x+3, 0, 6)/6, the form in which exporters
// without HardSwish write it, on top of an operation that makes x. s is the last
// of its nodes, a division by 6 or a product with 1/6.
func (f *fuser) mergeHardSwish(s *step) bool {
	sixth := s.call.constFloats(1)
	if len(sixth) != 1 || !(s.Op == "Div" && sixth[0] == 6 || s.Op == "Mul" && sixth[0] == float32(1)/6) ||
		!sameShape(s.call.in[0].shape, s.call.out[0].shape) {
		return false
	}
	product := f.sole(s.in[0])
	if product == nil || product.kind != general || product.call.op != "Mul" || product.residual >= 0 {
		return false
	}
	for k := range 2 {
		x, gate := product.in[k], f.sole(product.in[1-k])
		if gate == nil || gate.kind != channelAffine || gate.act != kernels.ReLU6 || gate.residual >= 0 || gate.in[0] != x || f.uses[x] != 2 ||
			slices.ContainsFunc(gate.scale, func(v float32) bool { return v != 1 }) || slices.ContainsFunc(gate.shift, func(v float32) bool { return v != 3 }) {
			continue
		}
		i, ok := f.producer[x]
		if !ok || f.ops[i] == nil || !f.ops[i].kind.floats() || f.ops[i].act != kernels.Identity {
			continue
		}
		o := f.ops[i]
		o.act, o.nodes = kernels.HardSwish, slices.Concat(o.nodes, gate.nodes, product.nodes)
		f.ops[f.producer[product.in[1-k]]], f.ops[f.producer[s.in[0]]] = nil, nil
		return f.extend(o, s)
	}
	return false
}
