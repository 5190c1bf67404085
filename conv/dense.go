package conv

import "github.com/golanes/lanes/kernels"

// Pointwise convolution without stride and padding: the pixels are the rows of a
// matrix, so that nothing is gathered, and one call multiplies many rows. Results that
// are streamed are left to the gathered form.

const (
	// matrixRows bounds the rows of a task: a multiple of every tile's height that
	// also divides the maps of 56, 28 and 14 pixels a side.
	matrixRows = 196
	// matrixBytes bounds the pixels of a task, which stay in the second-level cache
	// while the panels of weights go by.
	matrixBytes = 384 << 10
	// matrixTile is about the height of a tile.
	matrixTile = 14
)

// cutMatrix cuts a pass on matrices into ranges of rows and of panels. A further
// range of rows reads all weights again, one of panels all pixels: the smaller of
// the two is read more often.
func (d *product) cutMatrix(ps *pass, workers int) {
	rows, panels, want := max(1, ps.rows()), d.panels(ps.cols), 1
	if workers > 1 {
		want = 4 * workers
	}
	most := min(matrixRows, max(matrixTile, matrixBytes/4/ps.depth/matrixTile*matrixTile))
	ps.blocks, ps.splits = (rows+most-1)/most, 1
	tiles := (rows + matrixTile - 1) / matrixTile
	if ps.cols > rows {
		ps.splits = min(panels, (want+ps.blocks-1)/ps.blocks)
	}
	ps.blocks = min(tiles, max(ps.blocks, (want+ps.splits-1)/ps.splits))
	if ps.blocks*ps.splits < want {
		ps.splits = min(panels, (want+ps.blocks-1)/ps.blocks)
	}
	ps.blockRows = (rows + ps.blocks - 1) / ps.blocks
	ps.blocks = (rows + ps.blockRows - 1) / ps.blockRows
	ps.panelStep = (panels + ps.splits - 1) / ps.splits
	ps.splits = (panels + ps.panelStep - 1) / ps.panelStep
}

// runMatrix multiplies a block of rows with a range of panels.
func (d *product) runMatrix(ps *pass, block, split int, g *kernels.DenseGemm, o *operands) {
	row0 := block * ps.blockRows
	first := ps.cBase + row0*ps.cCol
	g.Rows, g.LDA, g.LDC = min(ps.blockRows, ps.rows()-row0), d.pitch, ps.cCol
	a := o.a[ps.aBase+row0*d.pitch:]
	kc := panelBytes / 4 / d.nr
	for j := split * ps.panelStep; j < min(d.panels(ps.cols), (split+1)*ps.panelStep); j++ {
		g.NR = d.panelWidth(ps.cols, j)
		g.Cols = min(g.NR, ps.cols-j*d.nr)
		g.C = o.c[first+j*d.nr:]
		panel := o.b[ps.bOff+j*d.nr*ps.depth:]
		for k0 := 0; k0 < ps.depth; k0 += kc {
			g.Depth = min(kc, ps.depth-k0)
			g.A, g.B = a[k0:], panel[k0*g.NR:]
			g.Accumulate, g.Residual, g.Bias, g.Lo, g.Hi = k0 > 0, nil, nil, noLo, noHi
			if k0 == 0 && o.residual != nil {
				g.Residual = o.residual[first+j*d.nr:]
			}
			if k0+kc >= ps.depth {
				g.Lo, g.Hi = d.clampLo, d.clampHi
				if o.bias != nil {
					g.Bias = o.bias[ps.biasOff+j*d.nr:]
				}
			}
			g.Run()
		}
	}
}
