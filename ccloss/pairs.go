package ccloss

import "github.com/golanes/lanes/kernels"

// pairs computes sums over all pairs and their gradient, tile by tile.
type pairs struct {
	c      int
	margin float32
	index  labelIndex
	count  []int64

	packed []float32         // the batch in panels, see kernels.PairPack
	grad   []float32         // its gradient, packed alike
	sums   []kernels.PairSum // one per panel

	// The batch being worked on.
	a, da  []float32
	labels []int32
	rule   kernels.PairRule
	round  int
	// The methods of like names, kept so that calls do not allocate.
	packWork, sumWork, ownWork, roundWork, unpackWork func(lo, hi int)
}

func newPairs(opt Options, n, c int) *pairs {
	p := &pairs{c: c, margin: float32(opt.hingeAt(c))}
	p.index.reserve(min(n, reservedClasses))
	p.count = make([]int64, 0, min(n, reservedClasses))
	p.packed = make([]float32, kernels.PairPackLen(n, c))
	p.grad = make([]float32, kernels.PairPackLen(n, c))
	p.sums = make([]kernels.PairSum, panels(n))
	p.packWork, p.sumWork = p.packPanels, p.sumPanels
	p.ownWork, p.roundWork, p.unpackWork = p.ownPanels, p.roundPanels, p.unpackPanels
	return p
}

// panels is the number of panels of n samples.
func panels(n int) int { return (n + kernels.PairPanel - 1) / kernels.PairPanel }

// panel returns packed panel i, its rows of a and its labels.
func (p *pairs) panel(i int) (packed, rows []float32, labels []int32) {
	lo := i * kernels.PairPanel
	hi := min(len(p.labels), lo+kernels.PairPanel)
	return p.packed[lo*p.c : (lo+kernels.PairPanel)*p.c], p.a[lo*p.c : hi*p.c], p.labels[lo:hi]
}

// samePairs counts the pairs with equal labels.
func (p *pairs) samePairs(labels []int32) int64 {
	p.index.reset()
	p.count = p.count[:0]
	var same int64
	for _, l := range labels {
		k := int(p.index.class(l))
		if k == len(p.count) {
			p.count = append(p.count, 0)
		}
		same += p.count[k]
		p.count[k]++
	}
	return same
}

// forward returns the sums over all pairs i < j. Panels' sums are added in the
// order of the panels.
func (p *pairs) forward(a []float32, labels []int32) kernels.PairSum {
	p.a, p.labels = a, labels
	n := panels(len(labels))
	kernels.Parallel(n, p.grain(n, 1), p.packWork)
	// Panel j meets panels 0..j. The last panel, which has most to do, comes first,
	// so that what is left for the end is small.
	kernels.Parallel(n, p.grain(n, (n+1)/2), p.sumWork)
	var total kernels.PairSum
	for _, s := range p.sums[:n] {
		total.Same += s.Same
		total.Diff += s.Diff
		total.Hinge += s.Hinge
	}
	p.a, p.labels = nil, nil
	return total
}

// grain returns how many work items, of the given number of tiles each, are
// worth a goroutine of their own.
func (p *pairs) grain(items, tiles int) int { return pairGrain(items, tiles, p.c) }

func pairGrain(items, tiles, c int) int {
	const worth = 1 << 19 // pair-channels, some 20 us
	return min(items, 1+worth/(max(1, tiles)*max(1, c)*kernels.PairPanel*kernels.PairPanel))
}

func (p *pairs) packPanels(lo, hi int) {
	for i := lo; i < hi; i++ {
		packed, rows, _ := p.panel(i)
		kernels.PairPackPanel(packed, rows, p.c)
	}
}

func (p *pairs) sumPanels(lo, hi int) {
	last := panels(len(p.labels)) - 1
	for q := lo; q < hi; q++ {
		p.sumPanel(last - q)
	}
}

// sumPanel sums the pairs of panel j with the panels up to j.
func (p *pairs) sumPanel(j int) {
	var tile kernels.PairTile
	var sum kernels.PairSum
	pj, _, lj := p.panel(j)
	for i := 0; i <= j; i++ {
		pi, _, li := p.panel(i)
		if i == j {
			kernels.PairSquaresAbove(&tile, pj, len(lj), p.c)
		} else {
			kernels.PairSquares(&tile, pi, pj, len(li), len(lj), p.c)
		}
		kernels.PairSums(&sum, &tile, li, lj, p.margin, i == j)
	}
	p.sums[j] = sum
}

// backward adds to da the sum over j of w_ij*(a_i-a_j), w from rule. The
// distances are computed again, each tile once for both its panels.
//
// Panels meet like players of a round-robin tournament: in a round every panel
// is in at most one tile, so that the tiles of a round can run at the same time,
// and the order of the rounds is the order in which a panel's gradient grows.
func (p *pairs) backward(da, a []float32, labels []int32, rule kernels.PairRule) {
	p.a, p.da, p.labels, p.rule = a, da, labels, rule
	n := panels(len(labels))
	kernels.Parallel(n, p.grain(n, 2), p.ownWork)
	even := (n + 1) &^ 1
	for p.round = 0; p.round < even-1 && n > 1; p.round++ {
		kernels.Parallel(even/2, p.grain(even/2, 3), p.roundWork)
	}
	kernels.Parallel(n, p.grain(n, 1), p.unpackWork)
	p.a, p.da, p.labels = nil, nil, nil
}

// gradient returns the packed gradient of panel i.
func (p *pairs) gradient(i int) []float32 {
	size := kernels.PairPanel * p.c
	return p.grad[i*size : (i+1)*size]
}

// ownPanels starts the gradients of panels with the pairs inside each.
func (p *pairs) ownPanels(lo, hi int) {
	var tile kernels.PairTile
	for i := lo; i < hi; i++ {
		packed, _, labels := p.panel(i)
		g := p.gradient(i)
		clear(g)
		kernels.PairSquares(&tile, packed, packed, len(labels), len(labels), p.c)
		kernels.PairWeights(&tile, labels, labels, p.rule)
		kernels.PairApply(g, &tile, packed, packed, len(labels), p.c) // the tile is symmetric
	}
}

// roundPanels adds the tiles [lo, hi) of the current round: with an even number
// of players, the last one meets player round, and the others meet around it;
// with an odd number the last one does not exist.
func (p *pairs) roundPanels(lo, hi int) {
	var tile, flipped kernels.PairTile
	n := panels(len(p.labels))
	others := (n+1)&^1 - 1
	for q := lo; q < hi; q++ {
		i, j := (p.round+q)%others, (p.round-q+others)%others
		if q == 0 {
			j = others
		}
		if i >= n || j >= n {
			continue
		}
		pi, _, li := p.panel(i)
		pj, _, lj := p.panel(j)
		kernels.PairSquares(&tile, pi, pj, len(li), len(lj), p.c)
		kernels.PairWeights(&tile, li, lj, p.rule)
		kernels.PairApply(p.gradient(j), &tile, pj, pi, len(li), p.c)
		kernels.PairTranspose(&flipped, &tile)
		kernels.PairApply(p.gradient(i), &flipped, pi, pj, len(lj), p.c)
	}
}

// unpackPanels adds the packed gradients to da.
func (p *pairs) unpackPanels(lo, hi int) {
	for i := lo; i < hi; i++ {
		_, rows, _ := p.panel(i)
		at := i * kernels.PairPanel * p.c
		kernels.PairUnpackAdd(p.da[at:at+len(rows)], p.gradient(i), p.c)
	}
}
