package kernels

import "unsafe"

// A GatherGemm is one or several register tiles of an indirect matrix product: MR
// rows by Cols columns of C, where a row of A is gathered from Taps runs of TapLen
// consecutive floats that may lie anywhere. It is the inner kernel of
// convolution, whose rows are output pixels and whose taps are filter positions:
//
//	acc[i][j]  = Accumulate ? C[Rows[i]+j] : Bias != nil ? Bias[j] : 0
//	acc[i][j] += A[Table[t*MR+i]+k] * B[(t*TapLen+k)*NR+j]      t < Taps, k < TapLen
//	C[Rows[i]+j] = min(Hi, max(Lo, acc[i][j] + (Residual != nil ? Residual[Rows[i]+j] : 0)))
//
// for the first tile; each further one has the next MR entries of Rows and Taps*MR of
// Table. A negative entry of Table stands for TapLen zeros, which Zero must hold, and
// [GatherSkip] in a tap's first entry leaves out the tap.
// Products are added one after another in the order of t, then k, fused where
// the ISA has FMA, so that equal columns of B give equal columns of C in panels of
// any width. NaN passes through min and max, and zeros are not skipped.
// Rows may repeat (to fill a tile): all of a tile's C is read before it is written. C
// must not overlap the inputs, except that Residual may be C.
//
// With Streamed, stores pass the caches where the ISA can, C and Rows are multiples of
// a cache line and Cols is NR; [Store.Fence] must follow before another thread looks
// at C.
//
// The fields are exported so that a caller can change what differs from tile to
// tile in place. Table and Rows are trusted: [GatherGemm.Run] checks lengths,
// not every offset.
type GatherGemm struct {
	MR, NR       int // tile, from [GatherTiles]
	Taps, TapLen int
	Cols         int // 1..NR
	Accumulate   bool
	A            []float32
	Table        []int32
	Zero         []float32
	B            []float32 // packed panel: Taps*TapLen rows of NR
	C            []float32
	Rows         []int32
	Bias         []float32 // nil or at least Cols
	Residual     []float32 // nil or addressed as C
	Lo, Hi       float32   // -Inf, +Inf for no clamp
	Store        Store
	Tiles        int  // 0 means 1
	Fetch        bool // ask for the lines of C of the next tile meanwhile
}

// GatherSkip in Table leaves out a tap for all rows of a tile.
const GatherSkip = -2

// GatherTiles returns the tile sizes that [GatherGemm] has for the active ISA:
// row counts in descending order, the panel width, and the width of a narrow
// panel for the last columns. The counts are shared: they must not be changed.
func GatherTiles() (rows []int, nr, narrow int) { return gatherTiles() }

var (
	gatherRowsAVX512 = [...]int{12, 8, 7, 6, 5, 4}
	gatherRowsAVX2   = [...]int{6, 5, 4, 2}
	// gatherRowsGeneric suits the Go compiler: one row of accumulators in an array.
	gatherRowsGeneric = [...]int{4, 2, 1}
)

func gatherTilesGeneric() (rows []int, nr, narrow int) { return gatherRowsGeneric[:], 16, 8 }

// gatherWidest is the largest NR that the pure-Go twin accepts.
const gatherWidest = 32

func (g *GatherGemm) tiles() int { return max(1, g.Tiles) }

// Run computes the tiles.
func (g *GatherGemm) Run() {
	tiles := g.tiles()
	switch {
	case g.MR < 1 || g.NR < 1 || g.NR > gatherWidest || g.Cols < 1 || g.Cols > g.NR:
		panic("kernels.GatherGemm: tile")
	case g.Taps < 0 || g.TapLen < 1:
		panic("kernels.GatherGemm: negative size")
	case len(g.Table) < tiles*g.Taps*g.MR || len(g.Rows) < tiles*g.MR:
		panic("kernels.GatherGemm: short table")
	case len(g.B) < g.Taps*g.TapLen*g.NR || len(g.Zero) < g.TapLen:
		panic("kernels.GatherGemm: short B or Zero")
	case len(g.C) < g.Cols || (g.Bias != nil && len(g.Bias) < g.Cols):
		panic("kernels.GatherGemm: short C or Bias")
	}
	if g.Taps > 0 && len(g.A) > 0 && gathersTiles() {
		gatherGemm(g)
		return
	}
	one := *g
	for t := range tiles {
		one.Table, one.Rows = g.Table[t*g.Taps*g.MR:], g.Rows[t*g.MR:]
		if g.Taps == 0 || len(g.A) == 0 {
			gatherGemmGeneric(&one)
		} else {
			gatherGemm(&one)
		}
	}
}

func gatherGemmGeneric(g *GatherGemm) {
	var acc [16][gatherWidest]float32
	mr, nr, cols := g.MR, g.NR, g.Cols
	for i := range mr {
		switch {
		case g.Accumulate:
			copy(acc[i][:], g.C[g.Rows[i]:][:cols])
		case g.Bias != nil:
			copy(acc[i][:], g.Bias[:cols])
		}
	}
	for t := range g.Taps {
		if g.Table[t*mr] == GatherSkip {
			continue
		}
		b := g.B[t*g.TapLen*nr:][:g.TapLen*nr]
		for i := range mr {
			a := g.Zero
			if off := g.Table[t*mr+i]; off >= 0 {
				a = g.A[off:]
			}
			row := &acc[i]
			for k, v := range a[:g.TapLen] {
				for j, w := range b[k*nr : k*nr+cols] {
					row[j] += v * w
				}
			}
		}
	}
	if g.Residual != nil { // which may be C: before any of it is written
		for i := range mr {
			for j, v := range g.Residual[g.Rows[i]:][:cols] {
				acc[i][j] += v
			}
		}
	}
	for i := range mr {
		c := g.C[g.Rows[i]:][:cols]
		for j := range c {
			c[j] = clampNaN(acc[i][j], g.Lo, g.Hi)
		}
	}
}

// The bits of the flags that kernels take.
const (
	gatherAccumulate = 1 << iota
	gatherClamp
	gatherStream
	gatherFetch
)

func (g *GatherGemm) flags() int {
	flags := boolInt(g.Accumulate) * gatherAccumulate
	if g.Lo > negativeInf || g.Hi < positiveInf {
		flags |= gatherClamp
	}
	if g.Fetch {
		flags |= gatherFetch
	}
	if g.Store == Streamed && g.Cols == g.NR {
		at := uintptr(unsafe.Pointer(&g.C[0])) / 4
		for _, r := range g.Rows[:g.MR*g.tiles()] {
			at |= uintptr(r)
		}
		if at%(cacheLine/4) == 0 {
			flags |= gatherStream
		}
	}
	return flags
}

// cacheLine is the bytes that one store past the caches should fill.
const cacheLine = 64

// Fence makes what was streamed, by the calling thread, visible to others before what
// follows.
func (s Store) Fence() {
	if s == Streamed {
		streamFence()
	}
}

// PrefetchRows asks for floats [first, first+n) of the rows of x that start at the
// given offsets, of which a negative one is 0: a tile's rows of A, so many at a time
// that they arrive while other tiles are multiplied. It changes nothing, and does
// nothing where the ISA's kernels have no use for it.
func PrefetchRows(x []float32, rows []int32, first, n int) {
	if len(rows) > 0 && n > 0 && first >= 0 && first < len(x) {
		prefetchRows(x[first:], rows, (n+cacheLine/4-1)/(cacheLine/4))
	}
}

// boolInt is 1 for true, as assembly takes flags.
func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
