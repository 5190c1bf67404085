package train

import (
	"cmp"
	"slices"
)

// alignFloats is the alignment of every buffer: one cache line, so that no
// vector load of a buffer's start crosses one.
const alignFloats = 16

func roundUp(n int) int { return (n + alignFloats - 1) &^ (alignFloats - 1) }

// region is a buffer of an arena: size elements, in use from time first to time
// last, both included.
type region struct {
	size, first, last int
	offset            int
}

// extend makes r live at time t too.
func (r *region) extend(t int) {
	r.first, r.last = min(r.first, t), max(r.last, t)
}

// layOut chooses the offsets of the regions so that no two that live at the
// same time overlap, and returns the size of the arena. Largest first, each at
// the lowest offset that is free over its life: the greedy-by-size rule of
// Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
// Inference", 2020.
func layOut(regions []*region) int {
	order := slices.Clone(regions)
	slices.SortStableFunc(order, func(a, b *region) int { return cmp.Compare(b.size, a.size) })
	total := 0
	var placed []*region // by offset
	for _, r := range order {
		size := roundUp(r.size)
		at := 0
		for _, p := range placed {
			if p.first > r.last || p.last < r.first {
				continue
			}
			if at+size <= p.offset {
				break
			}
			at = max(at, p.offset+roundUp(p.size))
		}
		r.offset = at
		total = max(total, at+size)
		i, _ := slices.BinarySearchFunc(placed, at, func(p *region, at int) int { return cmp.Compare(p.offset, at) })
		placed = slices.Insert(placed, i, r)
	}
	return total
}
