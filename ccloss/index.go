package ccloss

// labelIndex numbers labels 0, 1, 2, ... in the order they are first seen. It
// is an open-addressing table that can be emptied in O(1) and allocates only to
// grow.
type labelIndex struct {
	slots  []labelSlot
	shift  uint // 32 - log2(len(slots))
	stamp  uint32
	labels []int32 // labels[k] is the label of class k
}

type labelSlot struct {
	stamp uint32 // the slot is in use if it equals the index's stamp
	label int32
	class int32
}

// reserve makes room for n labels at most half filling the table, so that
// probe sequences stay short.
func (x *labelIndex) reserve(n int) {
	size, shift := 8, uint(29)
	for size < 2*n && shift > 0 {
		size, shift = size*2, shift-1
	}
	if size <= len(x.slots) {
		return
	}
	labels := x.labels
	x.slots, x.shift, x.stamp = make([]labelSlot, size), shift, 0
	x.labels = make([]int32, 0, size/2)
	x.reset()
	for _, l := range labels {
		x.class(l)
	}
}

// reset empties the index and keeps its memory.
func (x *labelIndex) reset() {
	x.labels = x.labels[:0]
	x.stamp++
	if x.stamp == 0 {
		clear(x.slots)
		x.stamp = 1
	}
}

// class returns the number of label l, a new one if l has not been seen.
func (x *labelIndex) class(l int32) int32 {
	if 2*len(x.labels) >= len(x.slots) {
		x.reserve(len(x.labels) + 1)
	}
	mask := uint32(len(x.slots) - 1)
	for at := uint32(l) * 0x9E3779B1 >> x.shift; ; at++ {
		s := &x.slots[at&mask]
		if s.stamp == x.stamp && s.label == l {
			return s.class
		}
		if s.stamp != x.stamp {
			*s = labelSlot{stamp: x.stamp, label: l, class: int32(len(x.labels))}
			x.labels = append(x.labels, l)
			return s.class
		}
	}
}

// classes sets dst[i] to the number of labels[i]. Most searches end where they
// start, so that is tried first.
func (x *labelIndex) classes(dst, labels []int32) {
	dst = dst[:len(labels)]
	slots, shift, stamp := x.slots, x.shift&31, x.stamp
	for i, l := range labels {
		if s := &slots[uint32(l)*0x9E3779B1>>shift]; s.stamp == stamp && s.label == l {
			dst[i] = s.class
			continue
		}
		dst[i] = x.class(l)
		slots, shift, stamp = x.slots, x.shift&31, x.stamp // it may have grown
	}
}

// find returns the number of label l, or -1.
func (x *labelIndex) find(l int32) int32 {
	if len(x.slots) == 0 {
		return -1
	}
	mask := uint32(len(x.slots) - 1)
	for at := uint32(l) * 0x9E3779B1 >> x.shift; ; at++ {
		s := &x.slots[at&mask]
		if s.stamp != x.stamp {
			return -1
		}
		if s.label == l {
			return s.class
		}
	}
}
