package kernels

import "math"

// Pairwise kernels work on tiles of PairPanel x PairPanel pairs. Samples are
// packed into panels (see PairPack) so that one vector holds a channel of
// consecutive samples: a tile is then summed without horizontal additions.
//
// Assembly because a subtract and a multiply-add per channel and pair is all
// there is to do, and the compiler emits neither vectors nor register tiles.

// PairPanel is the number of samples in a packed panel and the side of a
// PairTile. It is a multiple of every ISA's tile: 8x48 and 6x16.
const PairPanel = 48

// pairBlock is the number of channels summed in one float32 accumulator before
// the partial sum is added to the tile, which bounds the relative error of a
// squared distance by (pairBlock + c/pairBlock)*2^-24.
const pairBlock = 256

// A PairTile holds one float32 per pair of a sample of panel i (row) and a
// sample of panel j (column), row-major.
type PairTile [PairPanel * PairPanel]float32

// PairPackLen returns the length of the packed copy of n samples of c channels.
func PairPackLen(n, c int) int {
	return (n + PairPanel - 1) / PairPanel * PairPanel * c
}

// PairPack copies a (n x c, row-major) into panels of PairPanel samples:
// panel p is c x PairPanel, element [ch][s] being sample p*PairPanel+s's
// channel ch. Samples past n are zero. dst must not overlap a. It runs in
// parallel.
func PairPack(dst, a []float32, n, c int) {
	if n < 0 || c < 0 || len(a) < n*c || len(dst) < PairPackLen(n, c) {
		panic("kernels.PairPack: dst or a is too short")
	}
	panels := (n + PairPanel - 1) / PairPanel
	Parallel(panels, 1+(1<<14)/(PairPanel*(c+1)), func(lo, hi int) {
		for p := lo; p < hi; p++ {
			PairPackPanel(dst[p*PairPanel*c:(p+1)*PairPanel*c], a[p*PairPanel*c:min(n, (p+1)*PairPanel)*c], c)
		}
	})
}

// PairPackPanel packs one panel: len(a)/c samples, at most PairPanel.
func PairPackPanel(dst, a []float32, c int) {
	if c == 0 {
		return
	}
	n := len(a) / c
	if n > PairPanel || len(dst) != PairPanel*c {
		panic("kernels.PairPackPanel: not one panel")
	}
	width := activeGemmTile().narrow // of transposeBlock
	for s := 0; s < n; s += width {
		transposeBlock(min(width, n-s), c, dst[s:], PairPanel, a[s*c:], c)
	}
	if n == PairPanel {
		return
	}
	for ch := range c {
		clear(dst[ch*PairPanel+n : (ch+1)*PairPanel])
	}
}

// PairSquares sets t[r][s] to the sum over c channels of (pi[r]-pj[s])², for the
// first rows samples of panel pi and the first cols of panel pj, both packed;
// what else becomes of t is not specified. pi and pj may be the same panel.
// Differences are taken first and are exact for near vectors; no square root.
// Each block of 256 channels is summed in order in one accumulator per pair.
func PairSquares(t *PairTile, pi, pj []float32, rows, cols, c int) {
	if len(pi) != PairPanel*c || len(pj) != PairPanel*c || rows < 0 || rows > PairPanel || cols < 0 || cols > PairPanel {
		panic("kernels.PairSquares: not two panels of c channels")
	}
	pairSquaresOf(t, pi, pj, rows, cols, c, false)
}

// PairSquaresAbove is [PairSquares] for the pairs r < s < n of one panel: t[r][s]
// for s <= r is not specified.
func PairSquaresAbove(t *PairTile, p []float32, n, c int) {
	if len(p) != PairPanel*c || n < 0 || n > PairPanel {
		panic("kernels.PairSquaresAbove: not a panel of c channels")
	}
	pairSquaresOf(t, p, p, n, n, c, true)
}

func pairSquaresOf(t *PairTile, pi, pj []float32, rows, cols, c int, above bool) {
	if c == 0 || rows == 0 || cols == 0 {
		*t = PairTile{}
		return
	}
	for lo := 0; lo < c; lo += pairBlock {
		pairSquares(t, pi[lo*PairPanel:], pj[lo*PairPanel:], rows, cols, min(pairBlock, c-lo), lo, above)
	}
}

// firstColumn returns the column where the strip that begins with row r has its
// first tile of the given width: 0, or with above that of the diagonal.
func firstColumn(r, width int, above bool) int {
	if above {
		return r / width * width
	}
	return 0
}

// pairSquaresGeneric sums c channels into t, adding if accumulate is not 0.
func pairSquaresGeneric(t *PairTile, pi, pj []float32, rows, cols, c, accumulate int, above bool) {
	for r := range rows {
		var acc [PairPanel]float32
		first := firstColumn(r, 1, above)
		for ch := range c {
			x := pi[ch*PairPanel+r]
			for s, y := range pj[ch*PairPanel+first : ch*PairPanel+cols] {
				d := y - x
				acc[first+s] += d * d
			}
		}
		row := t[r*PairPanel : (r+1)*PairPanel]
		if accumulate == 0 {
			clear(row)
		}
		for s, v := range acc {
			row[s] += v
		}
	}
}

// A PairSum is what PairSums adds up over the pairs of a tile.
type PairSum struct {
	Same  float64 // distances of pairs with equal labels
	Diff  float64 // distances of the other pairs
	Hinge float64 // max(0, margin-distance)² of the other pairs
}

// pairRows is the number of rows of a tile whose sums are float32; strips of
// this many rows are added in float64.
const pairRows = 8

// pairColumns are the column numbers of a tile.
var pairColumns = func() (x [PairPanel]float32) {
	for s := range x {
		x[s] = float32(s)
	}
	return x
}()

// A pairWindow says which columns s of a strip's row r count:
// after+r*step < s < end.
type pairWindow struct {
	labels           [PairPanel]int32
	after, step, end float32
}

func (w *pairWindow) all() bool { return w.after < 0 && w.step == 0 && w.end == PairPanel }

// PairSums adds to sum the distances, square roots of t, of the pairs of rows
// li and columns lj; the labels' lengths say how much of t counts. With diag,
// the tile lies on the diagonal and only columns s > r count. NaN in t gives NaN
// in the sums. Distances and hinges are float32; they are added in float32 over
// strips of 8 rows, strips in float64.
func PairSums(sum *PairSum, t *PairTile, li, lj []int32, margin float32, diag bool) {
	if len(li) > PairPanel || len(lj) > PairPanel {
		panic("kernels.PairSums: more labels than a panel has samples")
	}
	w := pairWindow{after: -1, end: float32(len(lj))}
	copy(w.labels[:], lj)
	for lo := 0; lo < len(li); lo += pairRows {
		if diag {
			w.after, w.step = float32(lo), 1
		}
		var s [3]float32
		pairSums(&s, t[lo*PairPanel:], li[lo:min(len(li), lo+pairRows)], &w, margin)
		sum.Same += float64(s[0])
		sum.Diff += float64(s[1])
		sum.Hinge += float64(s[2])
	}
}

func pairSumsGeneric(sums *[3]float32, t []float32, li []int32, w *pairWindow, margin float32) {
	*sums = [3]float32{}
	for r, label := range li {
		first := int(w.after+float32(r)*w.step) + 1
		if w.after < 0 {
			first = 0
		}
		for s := first; s < int(w.end); s++ {
			d := float32(math.Sqrt(float64(t[r*PairPanel+s])))
			if label == w.labels[s] {
				sums[0] += d
				continue
			}
			sums[1] += d
			if h := margin - d; !(h <= 0) {
				sums[2] += h * h
			}
		}
	}
}

// A PairRule says what PairWeights makes of a squared distance.
type PairRule struct {
	Same   float32 // numerator for equal labels
	Diff   float32 // numerator for different labels
	Margin float32 // with Hinge, Diff is multiplied by max(0, Margin-d)
	Hinge  bool
}

// PairWeights replaces the squared distances of t by the factor of (a_i-a_j) in
// the gradient: numerator/d with d = sqrt(t), and 0 where d is 0. Rows li,
// columns lj as in PairSums; what becomes of columns past len(lj) is not
// specified. NaN stays NaN.
func PairWeights(t *PairTile, li, lj []int32, rule PairRule) {
	if len(li) > PairPanel || len(lj) > PairPanel {
		panic("kernels.PairWeights: more labels than a panel has samples")
	}
	if len(li) == 0 {
		return
	}
	var columns [PairPanel]int32
	copy(columns[:], lj)
	pairWeights(t, li, &columns, rule)
}

func pairWeightsGeneric(t *PairTile, li []int32, lj *[PairPanel]int32, rule PairRule) {
	for r, label := range li {
		row := t[r*PairPanel : (r+1)*PairPanel]
		for s, other := range lj {
			if row[s] == 0 {
				continue
			}
			d := float32(math.Sqrt(float64(row[s])))
			switch {
			case label == other:
				row[s] = rule.Same / d
			case rule.Hinge:
				row[s] = rule.Diff * max(0, rule.Margin-d) / d
			default:
				row[s] = rule.Diff / d
			}
		}
	}
}

// pairChannels is the number of channels of one call of an assembly kernel,
// which bounds the time it cannot be preempted to some 100 us.
const pairChannels = 2048

// PairApply adds to g (c x PairPanel, packed like pi) the weighted differences
// of the samples of panel pi to the first cols samples of panel pj:
//
//	g[k*PairPanel+r] += sum over s < cols of t[s*PairPanel+r]*(pi[r]-pj[s]) in channel k
//
// The rows of t belong to pj, its columns to pi. The terms of one call are one
// float32 sum per element, added to g at the end. pi and pj may be the same
// panel; g must not overlap them.
func PairApply(g []float32, t *PairTile, pi, pj []float32, cols, c int) {
	if cols < 0 || cols > PairPanel || len(g) != PairPanel*c || len(pi) != PairPanel*c || len(pj) != PairPanel*c {
		panic("kernels.PairApply: not panels of c channels")
	}
	if cols == 0 {
		return
	}
	for lo := 0; lo < c; lo += pairChannels {
		at := lo * PairPanel
		pairApply(g[at:], t, pi[at:], pj[at:], cols, min(pairChannels, c-lo))
	}
}

func pairApplyGeneric(g []float32, t *PairTile, pi, pj []float32, cols, c int) {
	for k := range c {
		var acc [PairPanel]float32
		x := pi[k*PairPanel : (k+1)*PairPanel]
		for s, y := range pj[k*PairPanel : k*PairPanel+cols] {
			w := t[s*PairPanel : (s+1)*PairPanel]
			for r := range acc {
				acc[r] += w[r] * (x[r] - y)
			}
		}
		row := g[k*PairPanel : (k+1)*PairPanel]
		for r, v := range acc {
			row[r] += v
		}
	}
}

// PairTranspose sets dst[s][r] to src[r][s]. They must be different tiles.
func PairTranspose(dst, src *PairTile) {
	width := activeGemmTile().narrow
	for r := 0; r < PairPanel; r += width {
		transposeBlock(width, PairPanel, dst[r:], PairPanel, src[r*PairPanel:], PairPanel)
	}
}

// PairUnpackAdd adds a packed panel g (c x PairPanel) to dst, which holds
// len(dst)/c samples of c channels, row-major.
func PairUnpackAdd(dst, g []float32, c int) {
	if c == 0 {
		return
	}
	n := len(dst) / c
	if n*c != len(dst) || n > PairPanel || len(g) != PairPanel*c {
		panic("kernels.PairUnpackAdd: not one panel")
	}
	width := activeGemmTile().narrow
	var block [PairPanel * 16]float32
	for k := 0; k < c && n > 0; k += width {
		w := min(width, c-k)
		transposeBlock(w, n, block[:], width, g[k*PairPanel:], PairPanel)
		for s := range n {
			row := dst[s*c+k : s*c+k+w]
			for i, v := range block[s*width : s*width+w] {
				row[i] += v
			}
		}
	}
}
