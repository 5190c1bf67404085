package train

import (
	"slices"

	"github.com/golanes/lanes/kernels"
)

// fused returns g with every batch norm that squeeze and excitation, an addition
// and an activation follow made one GatedNorm, if nothing else reads what lies
// between: neither another layer nor kept, the values that the caller looks at.
// Activations keep their numbers.
func (g *Graph) fused(kept []Value) *Graph {
	uses := make([]int, len(g.values))
	for _, n := range g.nodes {
		for _, v := range n.in {
			uses[v]++
		}
	}
	for _, v := range kept {
		uses[v]++
	}
	// What is fused is put where its last layer was.
	last, dropped := map[int]node{}, map[int]bool{}
	for i := range g.nodes {
		if fused, parts, ok := g.gatedNorm(i, uses, kept); ok {
			for _, p := range parts {
				dropped[p] = true
			}
			last[parts[len(parts)-1]] = fused
		}
	}
	out := &Graph{values: slices.Clone(g.values), logits: g.logits, features: g.features, attentions: g.attentions}
	for i, n := range g.nodes {
		if dropped[i] {
			var ok bool
			if n, ok = last[i]; !ok {
				continue
			}
		}
		for _, v := range n.out {
			out.values[v].node = len(out.nodes)
		}
		out.nodes = append(out.nodes, n)
	}
	return out
}

// gatedNorm returns the node that stands for those in parts, of which i is the
// first; false if there is none.
func (g *Graph) gatedNorm(i int, uses []int, kept []Value) (fused node, parts []int, ok bool) {
	n := g.nodes[i]
	norm, ok := n.layer.(*BatchNorm)
	if !ok || norm.Act != kernels.Identity || len(n.in) != 1 || n.in[0] == 0 {
		return fused, nil, false
	}
	next := func(v Value) int {
		if uses[v] != 1 {
			return -1
		}
		return slices.IndexFunc(g.nodes, func(n node) bool { return slices.Contains(n.in, v) })
	}
	at := next(n.out[0])
	if at < 0 {
		return fused, nil, false
	}
	gate, ok := g.nodes[at].layer.(*Attention)
	if !ok || gate.Kind != SEAttention || !gate.Rescale {
		return fused, nil, false
	}
	vector := g.nodes[at].out[1]
	// The vector is computed later than before: no layer may read it.
	if outputs := count(kept, vector); uses[vector] != outputs {
		return fused, nil, false
	}
	sum := next(g.nodes[at].out[0])
	if sum < 0 {
		return fused, nil, false
	}
	if _, ok := g.nodes[sum].layer.(*Add); !ok {
		return fused, nil, false
	}
	residual := g.nodes[sum].in[0]
	if residual == g.nodes[at].out[0] {
		residual = g.nodes[sum].in[1]
	}
	end := next(g.nodes[sum].out[0])
	if end < 0 {
		return fused, nil, false
	}
	act, ok := g.nodes[end].layer.(*Activate)
	if !ok || act.Act != kernels.ReLU && act.Act != kernels.ReLU6 {
		return fused, nil, false
	}
	fused = node{layer: &GatedNorm{norm, gate, act.Act}, in: []Value{n.in[0], residual}, out: []Value{g.nodes[end].out[0], vector}}
	return fused, []int{i, at, sum, end}, true
}

func count(values []Value, v Value) (n int) {
	for _, u := range values {
		if u == v {
			n++
		}
	}
	return n
}
