package pool

import (
	"math"
	"sync"

	"github.com/golanes/lanes/kernels"
)

// Common windows in NCHW need no turn to NHWC: those of stride 2 that [kernels.Halves]
// knows, and those of stride 1 whose output has the size of the input. There a plane is
// one vector, of which tap (r, s) is a shift by r rows and s elements. A shift takes
// elements from row to row where a tap lies outside the map: going back, no maximum is
// there, and the sums of an average are computed anew at the ends of rows; forward, the
// rows of a copy have gaps.

// minSamePlane is the smallest plane whose average is worth calls of its own.
const minSamePlane = 128

// planes says whether a plan computes planes directly, and how.
type planes struct {
	shape        Shape
	halved, same bool
	// forward are the taps of a row with stride 1, row those of its gradient, and
	// column those of a column. The outputs of an input begin before elements in front
	// of it and end behind elements after it.
	forward        *kernels.WindowColumns
	row, column    *kernels.WindowColumns
	gap            int // between the rows of a copy
	before, behind int
	mu             sync.Mutex
	free           []*planeBuffer
}

// planeBuffer holds one plane of gradients with zeros around it, one of them divided by
// counts, and their index; and a plane with gaps of -Inf, its maxima and their index.
type planeBuffer struct {
	sums, scaled []float32
	index        []uint8
	wide, best   []float32
	from         []uint8
}

// init finds out whether a normalized shape has a direct form.
func (p *planes) init(s Shape) {
	if s.DilationH != 1 || s.DilationW != 1 || s.StrideH != s.StrideW || s.H != s.StrideH*s.OH() || s.W != s.StrideW*s.OW() {
		return
	}
	p.shape = s
	switch s.StrideH {
	case 2:
		p.halved = s.R == s.S && s.PadTop == s.R-2 && s.PadLeft == s.R-2 && kernels.Halves(s.OH(), s.OW(), s.R)
	case 1:
		p.same = s.R <= s.H && s.S <= s.W && s.R*s.S <= 256
		p.forward = kernels.NewWindowColumns([]kernels.WindowColumn{{Taps: s.S}}, 1, 1)
		p.row = kernels.NewWindowColumns([]kernels.WindowColumn{{Taps: s.S}}, 1, -1)
		p.column = kernels.NewWindowColumns([]kernels.WindowColumn{{Taps: 1}}, 1, 0)
		p.gap = max(s.PadLeft, s.S-1-s.PadLeft)
		p.behind = s.PadTop*s.W + s.PadLeft
		p.before = (s.R-1)*s.W + s.S - 1 - p.behind
	}
}

// take returns a buffer that nobody uses, until put.
func (p *planes) take() *planeBuffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		buf := p.free[last]
		p.free = p.free[:last]
		return buf
	}
	n := p.shape.OH() * p.shape.OW()
	room := p.before + n + p.behind
	// rowSums stores from element before on, a vector at a time.
	const line = 64 / 4
	skip := (line - p.before%line) % line
	return &planeBuffer{
		sums: kernels.AlignedFloats(skip + room)[skip:], scaled: make([]float32, n), index: make([]uint8, room),
	}
}

func (p *planes) put(buf *planeBuffer) {
	p.mu.Lock()
	p.free = append(p.free, buf)
	p.mu.Unlock()
}

// max computes one plane.
func (p *planes) max(dst, src []float32, index []uint8, buf *planeBuffer) {
	s := &p.shape
	if p.halved {
		kernels.HalveMax(dst, src, index, 1, s.OH(), s.OW(), s.R)
		return
	}
	width := s.W + p.gap
	lines := (s.H-1)*width + s.W // with the gaps between
	if buf.wide == nil {
		buf.wide = make([]float32, lines+(s.R-1)*width+s.S-1)
		for i := range buf.wide {
			buf.wide[i] = float32(math.Inf(-1))
		}
		buf.best, buf.from = make([]float32, lines), make([]uint8, lines)
	}
	kernels.CopyBlock(buf.wide[s.PadTop*width+s.PadLeft:], width, src, s.W, s.H, s.W)
	kernels.WindowMax(buf.best, buf.from, buf.wide, &kernels.Window{
		Columns: p.forward, C: lines, DstStep: lines, Rows: s.R, RowStride: width, TapRow: s.S,
	})
	kernels.CopyBlock(dst, s.W, buf.best, width, s.H, s.W)
	for y := range s.H {
		copy(index[y*s.W:(y+1)*s.W], buf.from[y*width:])
		// Windows further right that begin outside have all that the first one has.
		if y < s.PadTop || dst[y*s.W] < -math.MaxFloat32 {
			p.firstInside(index[y*s.W:(y+1)*s.W], dst[y*s.W:(y+1)*s.W], y)
		}
	}
}

// firstInside corrects the index of row y where all is -Inf, in the gaps, too: the first
// tap is then the first of those inside the map.
func (p *planes) firstInside(index []uint8, row []float32, y int) {
	s := &p.shape
	above, n := max(0, s.PadTop-y), len(row)
	if above == 0 {
		n = s.PadLeft
	}
	for x, v := range row[:n] {
		if v < -math.MaxFloat32 {
			index[x] = uint8(above*s.S + max(0, s.PadLeft-x))
		}
	}
}

// maxBackward computes the gradient of planes lo to hi.
func (p *planes) maxBackward(j *maxJob, lo, hi int, how kernels.Store) {
	s := &p.shape
	in, out := s.H*s.W, s.OH()*s.OW()
	if p.halved {
		kernels.HalveMaxBackward(j.src[lo*in:hi*in], j.dst[lo*out:hi*out], j.arg.narrow[lo*out:hi*out], hi-lo, s.OH(), s.OW(), s.R, how)
		return
	}
	w := kernels.Window{
		Columns: p.row, C: in, DstStep: in, Rows: s.R, RowStride: s.W, Tap: s.R*s.S - 1, TapRow: -s.S, Store: how,
	}
	// The first and the last plane have nothing in front of them or behind.
	all := s.N * s.C
	edge := func(i int) {
		buf := p.take()
		copy(buf.sums[p.before:], j.dst[i*in:(i+1)*in])
		copy(buf.index[p.before:], j.arg.narrow[i*in:(i+1)*in])
		kernels.WindowMaxBackward(j.src[i*in:(i+1)*in], buf.sums, buf.index, &w)
		p.put(buf)
	}
	if lo == 0 {
		edge(0)
		lo++
	}
	if hi == all && lo < hi {
		hi--
		edge(hi)
	}
	if lo < hi {
		from, to := lo*in-p.before, hi*in+p.behind
		w.C, w.DstStep = (hi-lo)*in, (hi-lo)*in
		kernels.WindowMaxBackward(j.src[lo*in:hi*in], j.dst[from:to], j.arg.narrow[from:to], &w)
	}
}

// avgBackward computes the gradient of planes lo to hi; scale is 1/count of each
// output, or of all if uniform.
func (p *planes) avgBackward(dx, dy, scale []float32, uniform bool, lo, hi int, how kernels.Store) {
	s := &p.shape
	in, out := s.H*s.W, s.OH()*s.OW()
	if p.halved && uniform {
		kernels.HalveAvgBackward(dx[lo*in:hi*in], dy[lo*out:hi*out], scale[0], hi-lo, s.OH(), s.OW(), s.R, how)
		return
	}
	buf := p.take()
	for i := lo; i < hi; i++ {
		dx, dy, factor := dx[i*in:(i+1)*in], dy[i*out:(i+1)*out], scale[0]
		if !uniform {
			kernels.Mul(buf.scaled, dy, scale)
			dy, factor = buf.scaled, 1
		}
		if p.halved {
			kernels.HalveAvgBackward(dx, dy, factor, 1, s.OH(), s.OW(), s.R, how)
			continue
		}
		above := (s.R - 1 - s.PadTop) * s.W
		p.rowSums(buf.sums[above:above+in], dy)
		kernels.WindowAvg(dx, buf.sums, factor, &kernels.Window{Columns: p.column, C: in, DstStep: in, Rows: s.R, RowStride: s.W, Store: how})
	}
	p.put(buf)
}

// rowSums sets each element of dst to the sum of the outputs dy of its row over whose
// windows it lies.
func (p *planes) rowSums(dst, dy []float32) {
	s := &p.shape
	left := s.S - 1 - s.PadLeft
	kernels.WindowAvg(dst[left:len(dst)-s.PadLeft], dy, 1, &kernels.Window{Columns: p.row, C: len(dst) - s.S + 1, Rows: 1})
	for y := 0; y < len(dst); y += s.W {
		row, dy := dst[y:y+s.W], dy[y:y+s.W]
		if last := s.W - 1; s.S == 3 && left == 1 { // the usual one, in a few cycles
			row[0], row[last] = dy[0]+dy[1], dy[last-1]+dy[last]
			continue
		}
		for x := range left {
			row[x] = sum(dy[:min(x+s.PadLeft+1, s.W)])
		}
		for x := s.W - s.PadLeft; x < s.W; x++ {
			row[x] = sum(dy[max(x-left, 0):])
		}
	}
}

func sum(x []float32) (sum float32) {
	for _, v := range x {
		sum += v
	}
	return sum
}
