package kernels

// An OuterGemm is one register tile of a sum of outer products: MR rows by NR
// columns of C, summed over the pixels of the runs listed in Runs. It is the
// inner kernel of a convolution's weight gradient, whose rows are the channels
// of src at one filter position and whose columns are the channels of ddst:
//
//	acc[i][j] = sum over r, p < Runs[3*r+2] of A[Runs[3*r]*APitch+p*AStep+i] * B[(Runs[3*r+1]+p)*BPitch+j]
//	C[i*LDC+j] = acc[i][j] + (Accumulate ? C[i*LDC+j] : 0)
//
// Products are added in the order of r, then p, fused where the ISA has FMA; in
// NEON's small tiles the pixels of a run go to up to four sums in turn. Zeros are not skipped. C must not overlap A or B. The entries of
// Runs are trusted, and their lengths must be positive.
type OuterGemm struct {
	MR, NR         int // tile, from [OuterTiles]
	A, B           []float32
	Runs           []int32 // triples: first pixel in A, first pixel in B, number of pixels
	APitch, BPitch int     // floats of a pixel
	AStep          int     // from one pixel of a run to the next in A
	C              []float32
	LDC            int
	Accumulate     bool
	// What the next tiles read, for which kernels that can ask with each pixel, a cache
	// line of Ahead and one AheadA floats behind that in A. Ahead may be nil, and may be
	// shorter than pixels*AheadStep.
	Ahead     []float32
	AheadStep int
	AheadA    int
}

var (
	outerRowsAVX512  = [...]int{12, 9, 8, 4, 2, 1}
	outerRowsAVX2    = [...]int{6, 4, 3, 2, 1}
	outerRowsGeneric = [...]int{4, 2, 1}
)

// OuterTiles returns the tile sizes that [OuterGemm] has for the active ISA:
// row counts in descending order down to 1, the panel width, and the width of a
// narrow panel. The caller must not change the slice.
func OuterTiles() (rows []int, nr, narrow int) { return outerTiles() }

func outerTilesGeneric() (rows []int, nr, narrow int) { return outerRowsGeneric[:], 16, 8 }

// Run computes the tile.
func (o *OuterGemm) Run() {
	switch {
	case o.MR < 1 || o.MR > 16 || o.NR < 1 || o.NR > gatherWidest:
		panic("kernels.OuterGemm: tile")
	case o.LDC < o.NR || len(o.C) < (o.MR-1)*o.LDC+o.NR:
		panic("kernels.OuterGemm: short C")
	case o.APitch < 0 || o.AStep < 0 || o.BPitch < 0:
		panic("kernels.OuterGemm: negative step")
	}
	if len(o.Runs) < 3 {
		outerGemmGeneric(o)
		return
	}
	outerGemm(o)
}

// ahead returns what the kernel asks for: its own B, if the caller names nothing.
func (o *OuterGemm) ahead() (x *float32, step int) {
	if len(o.Ahead) == 0 {
		return &o.B[0], 0
	}
	return &o.Ahead[0], o.AheadStep
}

func outerGemmGeneric(o *OuterGemm) {
	var acc [16][gatherWidest]float32
	for r := 0; r+3 <= len(o.Runs); r += 3 {
		a, b := o.A[int(o.Runs[r])*o.APitch:], o.B[int(o.Runs[r+1])*o.BPitch:]
		for p := range int(o.Runs[r+2]) {
			row := b[p*o.BPitch:][:o.NR]
			for i, v := range a[p*o.AStep:][:o.MR] {
				sum := acc[i][:len(row)]
				for j, w := range row {
					sum[j] += v * w
				}
			}
		}
	}
	for i := range o.MR {
		c := o.C[i*o.LDC:][:o.NR]
		for j := range c {
			if o.Accumulate {
				c[j] += acc[i][j]
			} else {
				c[j] = acc[i][j]
			}
		}
	}
}
