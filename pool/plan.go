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

// forwardWindow returns the kernel call for output row o and a run of columns
// of maps with c channels, and where its dst and src start in their maps.
func (g *grid) forwardWindow(o int, r run, c, s int) (w kernels.Window, dst, src int) {
	row, col := g.rows.windows[o], g.cols.windows[r.at]
	w = kernels.Window{
		Pixels: r.n, C: c, DstStep: c, SrcStep: r.srcStep * c,
		Rows: row.taps, Cols: col.taps,
		RowStride: g.rows.dilation * g.cols.in * c, ColStride: g.cols.dilation * c,
		Tap: row.tap*s + col.tap, TapRow: s, TapCol: 1,
	}
	return w, (o*g.cols.out + r.at) * c, (row.start*g.cols.in + col.start) * c
}

// backwardWindow returns the kernel call for input row h and a run of columns,
// and where its dx and dy start in their maps.
func (g *grid) backwardWindow(h int, r run, c, s int) (w kernels.Window, dx, dy int) {
	row, col := g.rows.covers[h], g.cols.covers[r.at]
	w = kernels.Window{
		Pixels: r.n, C: c, DstStep: r.step * c, SrcStep: r.srcStep * c,
		Rows: row.n, Cols: col.n,
		RowStride: row.step * g.cols.out * c, ColStride: col.step * c,
		Tap: row.tap*s + col.tap, TapRow: -row.tapStep * s, TapCol: -col.tapStep,
	}
	return w, (h*g.cols.in + r.at) * c, (row.start*g.cols.out + col.start) * c
}

// grainBytes is the least traffic that is worth a second goroutine.
const grainBytes = 64 << 10

// grain returns the number of items of so many float32 that make grainBytes.
func grain(item int) int { return max(1, grainBytes/4/max(item, 1)) }
