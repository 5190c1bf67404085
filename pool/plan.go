package pool

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// grid is what the plans have in common: the two axes and the grouping of their
// positions into runs.
type grid struct {
	n, c       int
	rows, cols *axis
	// Runs along the columns. The rows are taken one at a time.
	forward, backward []run
}

func newGrid(s Shape, count Count) (*grid, error) {
	s = s.normalized()
	if err := s.check(); err != nil {
		return nil, err
	}
	rows, err := newAxis(s.H, s.R, s.StrideH, s.DilationH, s.PadTop, s.PadBottom, s.OH(), count)
	if err != nil {
		return nil, err
	}
	cols, err := newAxis(s.W, s.S, s.StrideW, s.DilationW, s.PadLeft, s.PadRight, s.OW(), count)
	if err != nil {
		return nil, err
	}
	return &grid{
		n: s.N, c: s.C, rows: rows, cols: cols,
		forward: cols.forwardRuns(), backward: cols.backwardRuns(s.StrideW),
	}, nil
}

// SrcLen returns the number of elements of the input.
func (g *grid) SrcLen() int { return g.n * g.rows.in * g.cols.in * g.c }

// DstLen returns the number of elements of the output.
func (g *grid) DstLen() int { return g.n * g.rows.out * g.cols.out * g.c }

func (g *grid) check(name string, dst, src []float32) {
	if len(dst) < g.DstLen() {
		panic(fmt.Sprintf("pool.%s: output of %d elements, want %d", name, len(dst), g.DstLen()))
	}
	if len(src) < g.SrcLen() {
		panic(fmt.Sprintf("pool.%s: input of %d elements, want %d", name, len(src), g.SrcLen()))
	}
}

// A line is a row of maps for which the kernel is called run by run.
type line struct {
	w kernels.Window
	// Where the row starts in the map that is written and in the one that is
	// read, and the number of its first tap.
	dst, src, tap int
}

// forwardLine prepares l for output row o of maps with c channels. s is the width
// of the window by which taps are numbered.
func (g *grid) forwardLine(l *line, o, c, s int) {
	row := &g.rows.windows[o]
	l.w.C, l.w.Rows = c, row.taps
	l.w.RowStride, l.w.ColStride = g.rows.dilation*g.cols.in*c, g.cols.dilation*c
	l.w.TapRow, l.w.TapCol = s, 1
	l.dst, l.src, l.tap = o*g.cols.out*c, row.start*g.cols.in*c, row.tap*s
}

// backwardLine prepares l for input row h.
func (g *grid) backwardLine(l *line, h, c, s int) {
	row, col := &g.rows.covers[h], &g.cols.covers[0]
	l.w.C, l.w.Rows = c, row.n
	l.w.RowStride, l.w.ColStride = row.step*g.cols.out*c, col.step*c
	l.w.TapRow, l.w.TapCol = -row.tapStep*s, -col.tapStep
	l.dst, l.src, l.tap = h*g.cols.in*c, row.start*g.cols.out*c, row.tap*s
}

// at completes l.w for a run of columns and returns where its dst and src start
// in their maps.
func (l *line) at(r *run) (dst, src int) {
	w := &l.w
	w.Pixels, w.Cols, w.Tap = r.n, r.taps, l.tap+r.tap
	w.DstStep, w.SrcStep = r.step*w.C, r.srcStep*w.C
	return l.dst + r.at*w.C, l.src + r.start*w.C
}

// grainBytes is the least traffic that is worth a second goroutine.
const grainBytes = 64 << 10

// grain returns the number of items of so many float32 that make grainBytes.
func grain(item int) int { return max(1, grainBytes/4/max(item, 1)) }
