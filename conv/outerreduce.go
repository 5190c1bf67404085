package conv

import "github.com/golanes/lanes/kernels"

// The last step of the Indirect algorithm's weight gradient: the chunks' partial
// sums, with the columns of a channel of dst, become rows of dw. A panel's sums are one
// row for each weight of an out-channel, in the order of dw or position by position.

const (
	reduceColumns = 32                             // the widest panel
	reduceRows    = 128                            // rows that are added up at a time
	reduceLen     = 2 * reduceRows * reduceColumns // scratch of a worker
	// turnColumns are turned at a time: rows of dw are often a multiple of 2 KiB apart,
	// so that lines of more of them are too many for their sets of the first-level cache.
	turnColumns = 16
)

func (o *outer) reduceTasks(s *Shape) int { return s.Groups * o.panels }

// reduce adds the chunks' partial sums of a panel, in order, to dw and db, or
// overwrites them. It needs reduceLen floats of scratch.
func (o *outer) reduce(s *Shape, t int, dw, db, partial, scratch []float32) {
	group, j := t/o.panels, t%o.panels
	r := reducer{o: o, s: s, group: group, col: j * o.nr, channels: s.groupC(), chunks: o.chunks}
	r.sums, r.width = o.sums(partial, group, j)
	r.toWeights(dw, scratch)
	r.toBias(db)
}

// A reducer adds the sums of some channels of src in a panel to dw, or overwrites it.
type reducer struct {
	o                 *outer
	s                 *Shape
	group, col, width int // the panel's first column in the group
	c0, channels      int
	sums              []float32
	chunks            int // o.partial floats apart; 0 is 1
}

// cols returns the columns that are out-channels.
func (r *reducer) cols() int { return min(r.width, r.s.groupK()-r.col) }

// weights returns the rows of dw from the panel's first weight on, a pitch apart, and
// how many floats of each the panel has.
func (r *reducer) weights(dw []float32) (rows []float32, pitch, floats int) {
	cg, rs := r.s.groupC(), r.s.R*r.s.S
	return dw[((r.group*r.s.groupK()+r.col)*cg+r.c0)*rs:], cg * rs, r.channels * rs
}

// toWeights adds up the rows and turns them, some at a time, into dw if that is
// overwritten.
func (r *reducer) toWeights(dw, scratch []float32) {
	sum, turned := scratch[:reduceLen/2], scratch[reduceLen/2:][:reduceLen/2]
	var start [1]int32
	cg, rs, cols := r.s.groupC(), r.s.R*r.s.S, r.cols()
	dw, pitch, all := r.weights(dw)
	if r.o.overwrite && r.chunks <= 1 && r.o.byChannel(r.s) {
		r.turn(dw, pitch, r.sums, all)
		return
	}
	for first := 0; first < all; first += reduceRows {
		rows := min(reduceRows, all-first)
		from := sum[:rows*r.width]
		switch {
		case !r.o.byChannel(r.s):
			for i := range rows {
				c, tap := (first+i)/rs, (first+i)%rs
				r.addChunks(from[i*r.width:][:r.width], (tap*cg+c)*r.width)
			}
		case r.chunks > 1:
			r.addChunks(from, first*r.width)
		default:
			from = r.sums[first*r.width:][:rows*r.width]
		}
		if r.o.overwrite {
			r.turn(dw[first:], pitch, from, rows)
			continue
		}
		kernels.Transpose(turned, rows, from, r.width, rows, cols)
		for j := range cols {
			to := dw[j*pitch+first:]
			kernels.PrefetchRows(to, start[:], rows, min(reduceRows, all-first-rows))
			kernels.Add(to[:rows], to[:rows], turned[j*rows:][:rows])
		}
	}
}

// turn overwrites dw with rows of sums.
func (r *reducer) turn(dw []float32, pitch int, sums []float32, rows int) {
	cols := r.cols()
	for j := 0; j < cols; j += turnColumns {
		kernels.Transpose(dw[j*pitch:], pitch, sums[j:], r.width, rows, min(turnColumns, cols-j))
	}
}

// toBias adds the last row to db, which may be nil, or overwrites it.
func (r *reducer) toBias(db []float32) {
	if db == nil {
		return
	}
	var sum [reduceColumns]float32
	r.addChunks(sum[:r.width], r.channels*r.s.R*r.s.S*r.width)
	to := db[r.group*r.s.groupK()+r.col:][:r.cols()]
	put(to, sum[:len(to)], r.o.overwrite)
}

// addChunks adds up, in order, the floats of all chunks from at on.
func (r *reducer) addChunks(sum []float32, at int) {
	copy(sum, r.sums[at:])
	for chunk := 1; chunk < r.chunks; chunk++ {
		kernels.Add(sum, sum, r.sums[chunk*r.o.partial+at:][:len(sum)])
	}
}
