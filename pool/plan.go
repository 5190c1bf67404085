package pool

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// grid is what the plans have in common: the two axes, and the columns of their rows
// for each number of channels that is met.
type grid struct {
	n, c       int
	rows, cols *axis
	layouts    []layout
	blocks     blocks
}

// A layout holds the columns for maps with c channels: forward in parts, one for
// each span.
type layout struct {
	c        int
	spans    []span
	forward  []*kernels.WindowColumns
	backward *kernels.WindowColumns
}

// init prepares the layouts for spans of output columns.
func (g *grid) init(spans []span) {
	g.blocks.init(g)
	for _, c := range []int{g.c, g.blocks.width, g.c % g.blocks.width} {
		if c == 0 || len(g.layouts) > 0 && g.layout(c).c == c {
			continue
		}
		l := layout{c: c, spans: spans, backward: g.cols.backwardColumns(c)}
		for _, s := range spans {
			l.forward = append(l.forward, g.cols.forwardColumns(s.from, s.to, c))
		}
		g.layouts = append(g.layouts, l)
	}
}

// layout returns that of maps with c channels, or the last one if there is none.
func (g *grid) layout(c int) *layout {
	for i := range g.layouts {
		if g.layouts[i].c == c {
			return &g.layouts[i]
		}
	}
	return &g.layouts[len(g.layouts)-1]
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
	return &grid{n: s.N, c: s.C, rows: rows, cols: cols}, nil
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

// forwardWindow returns the window of output row o of maps with c channels, without
// columns, and where dst and src start in their maps. s is the width of the pooling
// window, by which taps are numbered.
func (g *grid) forwardWindow(o, c, s int) (w kernels.Window, dst, src int) {
	row := &g.rows.windows[o]
	w = kernels.Window{C: c, DstStep: c, Rows: row.taps, RowStride: g.rows.dilation * g.cols.in * c, Tap: row.tap * s, TapRow: s}
	return w, o * g.cols.out * c, row.start * g.cols.in * c
}

// backwardWindow returns that of input row h.
func (g *grid) backwardWindow(h, c, s int, how kernels.Store) (w kernels.Window, dst, src int) {
	row := &g.rows.covers[h]
	w = kernels.Window{
		Columns: g.layout(c).backward, C: c, DstStep: c, Store: how,
		Rows: row.n, RowStride: row.step * g.cols.out * c, Tap: row.tap * s, TapRow: -row.tapStep * s,
	}
	return w, h * g.cols.in * c, row.start * g.cols.out * c
}

// grainBytes is the least traffic that is worth a second goroutine.
const grainBytes = 64 << 10

// grain returns the number of items of so many float32 that make grainBytes.
func grain(item int) int { return max(1, grainBytes/4/max(item, 1)) }
