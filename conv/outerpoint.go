package conv

import "github.com/golanes/lanes/kernels"

// Backward-weights of the Indirect algorithm for pointwise filters without padding and
// few pixels. dw is a matrix whose rows are channels of dst and whose columns are
// channels of src, and so is a tile of the outer products of ddst and src, which then
// goes straight to dw. With more pixels the tasks of an outer, which copy what they
// read or read more of it at once, wait less for memory.

// A pointOuter is the plan of such a weight gradient. A task has some strips of rows and
// some panels of columns.
type pointOuter struct {
	tiles                  []strip // rows: channels of ddst
	nr, panels             int     // columns: channels of src
	stripStep, stripBlocks int
	panelStep, panelBlocks int
	runsLen                int
	overwrite              bool // dw and db are overwritten, not added to
}

// newPointOuter returns nil if the shape or its channels are not fit for tiles in place.
func newPointOuter(s *Shape) *pointOuter {
	rows, nr, narrow := kernels.OuterTiles()
	if s.R*s.S > 1 || s.PadTop+s.PadLeft+s.PadBottom+s.PadRight > 0 || s.Groups > 1 ||
		s.C%narrow+s.K%narrow > 0 || s.W%s.StrideW > 0 || s.N*s.OH()*s.OW() > outerPixels || s.N > outerPixels {
		return nil
	}
	o := &pointOuter{tiles: strips(s.K, rows), nr: nr, panels: (s.C + nr - 1) / nr, runsLen: 3 * s.N * s.OH()}
	// The cut depends on the shape only.
	want := func(tasks int) int { return (outerTasks + tasks - 1) / tasks }
	o.stripBlocks = (s.K + stripRows - 1) / stripRows
	o.panelStep = (o.panels + want(o.stripBlocks) - 1) / want(o.stripBlocks)
	o.panelBlocks = (o.panels + o.panelStep - 1) / o.panelStep
	o.stripBlocks = max(o.stripBlocks, want(o.panelBlocks))
	o.stripStep = (len(o.tiles) + o.stripBlocks - 1) / o.stripBlocks
	o.stripBlocks = (len(o.tiles) + o.stripStep - 1) / o.stripStep
	return o
}

func (o *pointOuter) tasks() int { return o.stripBlocks * o.panelBlocks }

// run computes task t. db may be nil.
func (o *pointOuter) run(s *Shape, t int, wk *outerWorker, dw, db, src, ddst []float32) {
	strips, panels := t/o.panelBlocks*o.stripStep, t%o.panelBlocks*o.panelStep
	tiles := o.tiles[strips:min(len(o.tiles), strips+o.stripStep)]
	g := &wk.gemm
	g.Runs = wk.data[:0]
	// Rows of maps: the first pixel of ddst, that of src in strides, and the length.
	oh, ow, pitch := s.OH(), s.OW(), s.W/s.StrideW
	for n := range s.N {
		for y := range oh {
			g.Runs = addRun(g.Runs, (n*oh+y)*ow, (n*s.H+y*s.StrideH)*pitch, ow)
		}
	}
	g.Accumulate = !o.overwrite
	g.APitch, g.AStep, g.BPitch, g.LDC, g.AheadStep, g.AheadA = s.K, s.K, s.StrideW*s.C, s.C, s.StrideW*s.C, 0
	for j := panels; j < min(o.panels, panels+o.panelStep); j++ {
		col := j * o.nr
		g.NR, g.B = min(o.nr, s.C-col), src[col:]
		for i, tile := range tiles {
			g.MR, g.A, g.C = tile.height, ddst[tile.row:], dw[tile.row*s.C+col:]
			// The columns that come next, a line of each pixel.
			g.Ahead = nil
			if line := i * lineFloats; line < o.nr && col+o.nr+line < s.C {
				g.Ahead = src[col+o.nr+line:]
			}
			g.Run()
		}
	}
	if t > 0 || db == nil {
		return
	}
	g.BPitch = s.K
	for k := 0; k < s.K; k += o.nr {
		g.NR, g.B = min(o.nr, s.K-k), ddst[k:]
		wk.biasRow(s.N*s.OH()*s.OW(), db[k:])
	}
}
