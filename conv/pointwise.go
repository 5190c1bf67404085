package conv

import "github.com/golanes/lanes/kernels"

// The Indirect algorithm of a pointwise convolution without stride and padding: A
// and C are matrices, so that the tables of a whole block of rows are the same
// everywhere, and no tap is padding. With few channels, filling in tables for
// every block and looking for padding in every tile takes as long as a third of
// the products. The last block, if it is short, goes the general way.

// makeTables makes the tables of a whole block, for pixels of A a pitch apart.
func (ps *pass) makeTables(pitch int) {
	ps.denseA, ps.denseC = make([]int32, ps.blockRows), make([]int32, ps.blockRows)
	for r := range ps.blockRows {
		ps.denseA[r], ps.denseC[r] = int32(r*pitch), int32(r*ps.cCol)
	}
}

// denseTile runs the kernel on a tile of a whole block.
func (d *product) denseTile(g *kernels.GatherGemm, table []int32, panel, residual []float32, kb kBlock) {
	g.Table, g.Taps, g.B, g.Accumulate = table, 1, panel, !kb.first
	g.Lo, g.Hi = noLo, noHi
	if kb.last {
		g.Lo, g.Hi = d.clampLo, d.clampHi
	}
	g.Residual = nil
	if kb.first {
		g.Residual = residual
	}
	g.Run()
}
