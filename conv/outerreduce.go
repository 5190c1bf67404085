package conv

import "github.com/golanes/lanes/kernels"

// The last step of the Indirect algorithm's weight gradient: the chunks' partial
// sums, with the columns of a channel of dst, become rows of dw.

const (
	reduceColumns = 64 // columns of dw that one task adds up
	reduceRows    = 64 // rows of them at a time
)

func (o *outer) reduceTasks(s *Shape) int {
	return s.Groups * ((s.groupK() + reduceColumns - 1) / reduceColumns)
}

// reduce adds the chunks' partial sums, in order, to dw and db.
func (o *outer) reduce(s *Shape, t int, dw, db, partial []float32) {
	cg, kg, rs := s.groupC(), s.groupK(), s.R*s.S
	blocks := (kg + reduceColumns - 1) / reduceColumns
	group, k0 := t/blocks, t%blocks*reduceColumns
	cols := min(reduceColumns, kg-k0)
	base := group*(o.taps*o.tapRows+1)*o.kPad + k0
	dw = dw[(group*kg+k0)*cg*rs:]
	// Sums of the taps of a few channels, a row of columns each, then turned.
	var sum [reduceRows * reduceColumns]float32
	var turned [reduceColumns * reduceRows]float32
	channels := max(1, reduceRows/rs)
	for c0 := 0; c0 < cg; c0 += channels {
		n := min(channels, cg-c0)
		for first := 0; first < n*rs; first += reduceRows {
			rows := min(reduceRows, n*rs-first)
			for i := range rows {
				c, tap := c0+(first+i)/rs, (first+i)%rs
				o.addChunks((*[reduceColumns]float32)(sum[i*reduceColumns:]), partial[base+(tap*cg+c)*o.kPad:], cols)
			}
			kernels.Transpose(turned[:], rows, sum[:], reduceColumns, rows, cols)
			for j := range cols {
				to := dw[(j*cg+c0)*rs+first:][:rows]
				kernels.Add(to, to, turned[j*rows:][:rows])
			}
		}
	}
	if db != nil {
		var sum [reduceColumns]float32
		o.addChunks(&sum, partial[base+cg*rs*o.kPad:], cols)
		to := db[group*kg+k0:][:cols]
		kernels.Add(to, to, sum[:cols])
	}
}

// addChunks adds up cols columns of a row of all chunks' partial sums, in order.
func (o *outer) addChunks(sum *[reduceColumns]float32, partial []float32, cols int) {
	copy(sum[:cols], partial)
	for chunk := 1; chunk < o.chunks; chunk++ {
		kernels.Add(sum[:cols], sum[:cols], partial[chunk*o.partial:][:cols])
	}
}
