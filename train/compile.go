package train

import "slices"

// compiler lays out a Plan. Time is counted in layers: layer i of T runs forward
// at time i, the loss at T, and layer i backward at 2T-i.
type compiler struct {
	plan    *Plan
	graph   *Graph
	needs   []Needs
	regions []*region

	lastUse    []int               // by Value: the last time its content is read
	valueUsers map[*region][]Value // activations in a region
	gradUsers  map[*region][]Value // gradients in a region
	hasGrad    []bool
}

func (c *compiler) shapes(values []Value) []Shape {
	s := make([]Shape, len(values))
	for i, v := range values {
		s[i] = c.graph.values[v].shape
	}
	return s
}

func (c *compiler) lossTime() int              { return len(c.graph.nodes) }
func (c *compiler) backwardTime(node int) int  { return 2*len(c.graph.nodes) - node }
func (c *compiler) gradReadTime(v Value) int   { return c.backwardTime(c.graph.values[v].node) }
func (c *compiler) size(v Value) int           { return c.plan.n * c.graph.values[v].shape.Size() }
func (c *compiler) isOutput(v Value) bool      { return slices.Contains(c.outputs(), v) }
func (c *compiler) newRegion(r region) *region { c.regions = append(c.regions, &r); return &r }

func (c *compiler) outputs() []Value {
	return c.graph.outputs()
}

// findGradients decides which activations get a gradient (those on a path from a
// trained tensor to an output in seeds) and which layers run backward.
func (c *compiler) findGradients(seeds []Value) {
	g := c.graph
	c.hasGrad = make([]bool, len(g.values))
	if !c.plan.train {
		return
	}
	upstream := make([]bool, len(g.values)) // a trained tensor influences it
	for _, n := range g.nodes {
		trained := slices.ContainsFunc(n.layer.Params(), func(p *Param) bool { return !p.Buffer })
		for _, v := range n.in {
			trained = trained || upstream[v]
		}
		for _, v := range n.out {
			upstream[v] = trained
		}
	}
	for _, v := range seeds {
		c.hasGrad[v] = upstream[v]
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		n := g.nodes[i]
		if !slices.ContainsFunc(n.out, func(v Value) bool { return c.hasGrad[v] }) {
			continue
		}
		c.plan.steps[i].backward = true
		for _, v := range n.in {
			c.hasGrad[v] = c.hasGrad[v] || upstream[v]
		}
	}
}

// findAside marks the layers that neither the class scores nor the features
// depend on.
func (c *compiler) findAside() {
	g := c.graph
	needed := make([]bool, len(g.values))
	needed[g.logits], needed[g.features] = true, true
	for i := len(g.nodes) - 1; i >= 0; i-- {
		n := g.nodes[i]
		c.plan.steps[i].aside = !slices.ContainsFunc(n.out, func(v Value) bool { return needed[v] })
		if c.plan.steps[i].aside {
			continue
		}
		for _, v := range n.in {
			needed[v] = true
		}
	}
}

func (c *compiler) findLastUses() {
	g := c.graph
	c.lastUse = make([]int, len(g.values))
	for i, n := range g.nodes {
		for _, v := range n.out {
			c.lastUse[v] = i
		}
		for _, v := range n.in {
			c.lastUse[v] = max(c.lastUse[v], i)
		}
	}
	for _, v := range c.outputs() {
		c.lastUse[v] = max(c.lastUse[v], c.lossTime())
	}
	for i, n := range g.nodes {
		if !c.plan.steps[i].backward {
			continue
		}
		if c.needs[i].Src {
			in := n.in
			if c.needs[i].OnlyFirst {
				in = in[:1]
			}
			for _, v := range in {
				c.lastUse[v] = max(c.lastUse[v], c.backwardTime(i))
			}
		}
		if c.needs[i].Dst {
			for _, v := range n.out {
				c.lastUse[v] = max(c.lastUse[v], c.backwardTime(i))
			}
		}
	}
}

// placeValues gives every activation a region, the one of its input where the
// layer works in place and nobody reads the input afterwards.
func (c *compiler) placeValues() {
	g, p := c.graph, c.plan
	p.values = make([]*region, len(g.values))
	c.valueUsers = map[*region][]Value{}
	for i, n := range g.nodes {
		p.steps[i].view = c.needs[i].View && n.in[0] != 0
		for j, v := range n.out {
			if j == 0 && (p.steps[i].view || c.mayOverwrite(i, n)) {
				p.values[v] = p.values[n.in[0]]
				p.values[v].extend(c.lastUse[v])
			} else {
				p.values[v] = c.newRegion(region{size: c.size(v), first: i, last: c.lastUse[v]})
			}
			c.valueUsers[p.values[v]] = append(c.valueUsers[p.values[v]], v)
		}
		if w := c.needs[i].Work; w > 0 {
			p.steps[i].work[0] = c.newRegion(region{size: w, first: i, last: i})
			if p.steps[i].backward {
				t := c.backwardTime(i)
				p.steps[i].work[1] = c.newRegion(region{size: w, first: t, last: t})
			}
		}
	}
}

func (c *compiler) mayOverwrite(i int, n node) bool {
	if !c.needs[i].InPlace || n.in[0] == 0 || c.size(n.in[0]) != c.size(n.out[0]) {
		return false
	}
	for _, v := range c.valueUsers[c.plan.values[n.in[0]]] {
		if c.lastUse[v] > i || c.isOutput(v) {
			return false
		}
	}
	return !slices.Contains(n.in[1:], n.in[0])
}

// placeGradients walks backward. The first layer that sends a gradient to an
// activation writes it, later ones add to it; where a layer can leave the
// gradient in the storage of its output's gradient, nothing is moved.
func (c *compiler) placeGradients(seeds []Value) {
	g, p := c.graph, c.plan
	p.grads = make([]*region, len(g.values))
	c.gradUsers = map[*region][]Value{}
	for _, v := range seeds {
		if c.hasGrad[v] && p.grads[v] == nil {
			c.newGrad(v, c.lossTime())
		}
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		s, n := &p.steps[i], g.nodes[i]
		s.dsrc = make([]*region, len(n.in))
		if !s.backward {
			continue
		}
		t := c.backwardTime(i)
		for _, v := range n.out {
			if p.grads[v] != nil {
				p.grads[v].extend(t)
			}
		}
		aliased := Value(-1)
		for j, v := range n.in {
			if !c.hasGrad[v] {
				continue
			}
			switch {
			case p.grads[v] == nil && c.mayAlias(i, j, aliased):
				p.grads[v] = p.grads[n.out[0]]
				c.gradUsers[p.grads[v]] = append(c.gradUsers[p.grads[v]], v)
				aliased = v
			case p.grads[v] == nil:
				c.newGrad(v, t)
			default:
				p.grads[v].extend(t)
				c.addGrad(i, j, t)
				continue
			}
			p.grads[v].extend(c.gradReadTime(v))
			s.dsrc[j] = p.grads[v]
			s.gradView = s.view && p.grads[v] == p.grads[n.out[0]]
		}
	}
}

func (c *compiler) newGrad(v Value, t int) {
	r := c.newRegion(region{size: c.size(v), first: t, last: t})
	c.plan.grads[v] = r
	c.gradUsers[r] = append(c.gradUsers[r], v)
}

// addGrad makes layer i add its gradient of input j to what is there.
func (c *compiler) addGrad(i, j, t int) {
	s, n := &c.plan.steps[i], c.graph.nodes[i]
	if j == 0 && c.needs[i].GradAdd {
		s.add, s.dsrc[j] = true, c.plan.grads[n.in[j]]
		return
	}
	s.dsrc[j] = c.newRegion(region{size: c.size(n.in[j]), first: t, last: t})
	s.adds = append(s.adds, newAdder(n.in[j], s.dsrc[j]))
}

// mayAlias reports whether the gradient of input j of layer i may take over the
// storage of the gradient of its output 0. Another gradient in that storage must
// have been read already, and with another input that shares it (aliased) neither
// may be added to before the other has been read.
func (c *compiler) mayAlias(i, j int, aliased Value) bool {
	n, needs := c.graph.nodes[i], c.needs[i]
	if !needs.View && (j >= len(needs.GradInPlace) || !needs.GradInPlace[j]) {
		return false
	}
	out, v := n.out[0], n.in[j]
	r := c.plan.grads[out]
	if r == nil || c.size(out) != c.size(v) {
		return false
	}
	for _, u := range c.gradUsers[r] {
		if u != out && u != aliased && c.gradReadTime(u) >= c.backwardTime(i) {
			return false
		}
	}
	if aliased < 0 {
		return true
	}
	return c.nextAdd(i, v) > c.gradReadTime(aliased) && c.nextAdd(i, aliased) > c.gradReadTime(v)
}

// nextAdd is the time at which a layer before i next adds to the gradient of v.
func (c *compiler) nextAdd(i int, v Value) int {
	for k := i - 1; k >= 0; k-- {
		if c.plan.steps[k].backward && slices.Contains(c.graph.nodes[k].in, v) {
			return c.backwardTime(k)
		}
	}
	return int(^uint(0) >> 1)
}
