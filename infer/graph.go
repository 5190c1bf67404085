package infer

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
)

// maxOpset is the last version of the standard operators whose changes this
// package knows.
const maxOpset = 25

// A node is a node of the graph with its values numbered; -1 is an omitted one.
type node struct {
	*onnx.Node
	index   int // in the file, for messages
	in, out []int
	// last lists the values that no later node reads.
	last []int
}

// A graph is a model as it is in the file, checked, sorted and without nodes
// that no output needs.
type graph struct {
	opset   int
	nodes   []node
	names   []string        // of values
	consts  map[int]*Tensor // initializers
	readers []int           // how often nodes and outputs read a value
	inputs  []onnx.ValueInfo
	in, out []int // values that are inputs and outputs
	outputs []onnx.ValueInfo
}

// newGraph checks that every operator is supported, that every value has one
// source, and that nothing depends on itself.
func newGraph(m *onnx.Model) (*graph, error) {
	g := &graph{opset: m.Opset(), consts: map[int]*Tensor{}}
	if g.opset < 1 || g.opset > maxOpset {
		return nil, fmt.Errorf("opset %d is not supported (1 to %d)", g.opset, maxOpset)
	}
	ids := map[string]int{}
	define := func(name string) (int, error) {
		if name == "" {
			return -1, nil
		}
		if _, ok := ids[name]; ok {
			return 0, fmt.Errorf("value %q has two sources", name)
		}
		ids[name] = len(g.names)
		g.names = append(g.names, name)
		return ids[name], nil
	}
	for i := range m.Graph.Initializers {
		x := &m.Graph.Initializers[i]
		id, err := define(x.Name)
		if err != nil {
			return nil, err
		}
		if id < 0 {
			continue
		}
		if g.consts[id], err = shared(x); err != nil {
			return nil, err
		}
	}
	for _, v := range m.Graph.Inputs {
		if _, ok := ids[v.Name]; ok { // an initializer: its default
			continue
		}
		id, err := define(v.Name)
		if err != nil {
			return nil, err
		}
		if id < 0 {
			return nil, errors.New("an input without a name")
		}
		g.inputs, g.in = append(g.inputs, v), append(g.in, id)
	}
	if err := g.connect(m, ids, define); err != nil {
		return nil, err
	}
	for _, v := range m.Graph.Outputs {
		id, ok := ids[v.Name]
		if !ok {
			return nil, fmt.Errorf("output %q has no source", v.Name)
		}
		g.outputs, g.out = append(g.outputs, v), append(g.out, id)
	}
	if err := g.sort(); err != nil {
		return nil, err
	}
	g.removeDead()
	return g, nil
}

// connect numbers the values of every node.
func (g *graph) connect(m *onnx.Model, ids map[string]int, define func(string) (int, error)) error {
	g.nodes = make([]node, len(m.Graph.Nodes))
	for i := range m.Graph.Nodes {
		x := &m.Graph.Nodes[i]
		g.nodes[i] = node{Node: x, index: i}
		if _, ok := operators[x.Op]; !ok || x.Domain != "" && x.Domain != "ai.onnx" {
			return g.nodes[i].fail(g.opset, &UnsupportedError{Node: x.Name, Domain: x.Domain, Op: x.Op, Opset: g.opset})
		}
		for _, name := range x.Outputs {
			id, err := define(name)
			if err != nil {
				return g.nodes[i].fail(g.opset, err)
			}
			g.nodes[i].out = append(g.nodes[i].out, id)
		}
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		for _, name := range n.Inputs {
			id, ok := ids[name]
			switch {
			case name == "":
				id = -1
			case !ok:
				return n.fail(g.opset, fmt.Errorf("input %q has no source", name))
			}
			n.in = append(n.in, id)
		}
	}
	return nil
}

// An UnsupportedError says which operator of a model is not supported.
type UnsupportedError struct {
	Node, Domain, Op string
	Opset            int
}

// Error names the operator.
func (e *UnsupportedError) Error() string {
	if e.Domain != "" {
		return fmt.Sprintf("operator %s.%s is not supported", e.Domain, e.Op)
	}
	return fmt.Sprintf("operator %s is not supported", e.Op)
}

// fail says at which node an error happened.
func (n *node) fail(opset int, err error) error {
	name := ""
	if n.Name != "" {
		name = fmt.Sprintf(" %q", n.Name)
	}
	return fmt.Errorf("node %d%s, %s (opset %d): %w", n.index, name, n.Op, opset, err)
}

// sort orders the nodes such that each comes after those it depends on, and
// otherwise as in the file.
func (g *graph) sort() error {
	source := make([]int, len(g.names)) // the node that makes a value, plus 1
	for i := range g.nodes {
		for _, id := range g.nodes[i].out {
			if id >= 0 {
				source[id] = i + 1
			}
		}
	}
	waits := make([]int, len(g.nodes)) // for so many inputs
	users := make([][]int, len(g.nodes))
	var ready []int
	for i := range g.nodes {
		for _, id := range g.nodes[i].in {
			if id >= 0 && source[id] > 0 {
				waits[i]++
				users[source[id]-1] = append(users[source[id]-1], i)
			}
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	sorted := make([]node, 0, len(g.nodes))
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		sorted = append(sorted, g.nodes[i])
		for _, u := range users[i] {
			if waits[u]--; waits[u] == 0 {
				ready = append(ready, u)
			}
		}
	}
	if len(sorted) < len(g.nodes) {
		for i := range g.nodes {
			if waits[i] > 0 {
				return g.nodes[i].fail(g.opset, errors.New("it depends on its own output"))
			}
		}
	}
	g.nodes = sorted
	return nil
}

// removeDead drops the nodes and initializers that no output needs, and notes
// which node is the last to read a value.
func (g *graph) removeDead() {
	needed := make([]bool, len(g.names))
	output := make([]bool, len(g.names))
	for _, id := range g.out {
		needed[id], output[id] = true, true
	}
	keep := make([]bool, len(g.nodes))
	seen := make([]bool, len(g.names))
	for i := len(g.nodes) - 1; i >= 0; i-- {
		n := &g.nodes[i]
		for _, id := range n.out {
			keep[i] = keep[i] || id >= 0 && needed[id]
		}
		if !keep[i] {
			continue
		}
		for _, id := range n.in {
			if id < 0 {
				continue
			}
			needed[id] = true
			if !seen[id] && !output[id] {
				seen[id] = true
				n.last = append(n.last, id)
			}
		}
	}
	kept := g.nodes[:0]
	for i := range g.nodes {
		if keep[i] {
			kept = append(kept, g.nodes[i])
		}
	}
	g.nodes = kept
	g.readers = make([]int, len(g.names))
	for _, id := range g.out {
		g.readers[id]++
	}
	for i := range g.nodes {
		for _, id := range g.nodes[i].in {
			if id >= 0 {
				g.readers[id]++
			}
		}
	}
	for id := range g.consts {
		if !needed[id] {
			delete(g.consts, id)
		}
	}
}
