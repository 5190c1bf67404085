package kernels

// A GatherInt8 is one register tile of an indirect product of bytes: MR rows by
// NR columns of 32-bit sums, where a row is gathered from len(Offsets) taps of
// 4*Quads consecutive bytes:
//
//	Acc[i*NR+j] = Bias[j] + sum over t, q, e < 4 of
//		A[Rows[i]+Offsets[t]+4*q+e] * B[4*((t*Quads+q)*NR+j)+e]
//
// A is unsigned, B signed. Sums wrap modulo 2^32 and nothing saturates on the
// way, so that every instruction set gives the same numbers. Taps whose length
// is no multiple of four end in weights of zero; A must reach to the last whole
// group of four all the same.
//
// It is the inner kernel of quantised convolution. Assembly because the
// compiler neither widens nor multiplies bytes in vectors.
//
// Rows and Offsets are trusted: Run checks lengths, not every offset.
type GatherInt8 struct {
	MR, NR  int // tile, from [GatherInt8Tiles]
	Quads   int
	A       []uint8
	Rows    []int32 // MR offsets in A
	Offsets []int32 // of the taps from a row's offset
	B       []int8  // packed panel: len(Offsets)*Quads rows of NR groups of four
	Bias    []int32 // NR
	Acc     []int32 // MR*NR
}

// GatherInt8Tiles returns the tile sizes that [GatherInt8] has for the active
// ISA: row counts in descending order, the panel width, and the width of a narrow
// panel for the last columns, which may be the same.
func GatherInt8Tiles() (rows [3]int, nr, narrow int) { return gatherInt8Tiles() }

func gatherInt8TilesGeneric() (rows [3]int, nr, narrow int) { return [3]int{4, 2, 1}, 16, 8 }

// Int8Dot names how the active ISA multiplies bytes: "vnni" with the dot
// products of AVX-512 VNNI, "words" after widening to 16 bits, or "generic".
func Int8Dot() string { return int8Dot() }

// Run computes the tile.
func (g *GatherInt8) Run() {
	g.check()
	gatherInt8(g)
}

// RunBytes computes the tile and stores rows x cols of it as [RequantizeRows] does. Acc
// may be overwritten.
func (g *GatherInt8) RunBytes(dst []uint8, ldc int, scale []float32, rows, cols int, r ByteRange) {
	g.check()
	lo, hi := r.limits("GatherInt8.RunBytes")
	checkSums("GatherInt8.RunBytes", len(dst), ldc, g.Acc, g.NR, scale, rows, cols)
	if rows < 1 || cols < 1 || rows > g.MR {
		panic("kernels.GatherInt8.RunBytes: rows or cols")
	}
	if min(r.Zero, r.Min) < 0 || cols < g.NR || !gatherBytes(g, dst, ldc, scale, rows, r) {
		gatherInt8(g)
		requantizeRows(dst, ldc, g.Acc, g.NR, scale, rows, cols, lo, hi, r)
	}
}

func (g *GatherInt8) check() {
	taps := len(g.Offsets)
	switch {
	case g.MR < 1 || g.NR < 1 || taps < 1 || g.Quads < 1:
		panic("kernels.GatherInt8: size")
	case len(g.Rows) < g.MR || len(g.Bias) < g.NR || len(g.Acc) < g.MR*g.NR:
		panic("kernels.GatherInt8: short Rows, Bias or Acc")
	case len(g.B) < 4*taps*g.Quads*g.NR || len(g.A) < 4*g.Quads:
		panic("kernels.GatherInt8: short A or B")
	}
}

func gatherInt8Generic(g *GatherInt8) {
	nr := g.NR
	for i := range g.MR {
		acc := g.Acc[i*nr : (i+1)*nr]
		copy(acc, g.Bias[:nr])
		for t, off := range g.Offsets {
			a := g.A[int(g.Rows[i])+int(off):][:4*g.Quads]
			b := g.B[4*t*g.Quads*nr:][:4*g.Quads*nr]
			for len(a) >= 4 {
				a0, a1, a2, a3 := int32(a[0]), int32(a[1]), int32(a[2]), int32(a[3])
				row := b[:4*nr]
				for j := range acc {
					w := row[4*j : 4*j+4]
					acc[j] += a0*int32(w[0]) + a1*int32(w[1]) + a2*int32(w[2]) + a3*int32(w[3])
				}
				a, b = a[4:], b[4*nr:]
			}
		}
	}
}
