package conv

import (
	"fmt"

	"github.com/golanes/lanes/kernels"
)

// A pass3 is one of the three directions.
type pass3 int

const (
	passForward pass3 = iota
	passData
	passWeights
	passPacked // forward or backward-data with packed weights, in costTable
)

func (d pass3) String() string {
	return [...]string{"forward", "backward-data", "backward-weights"}[d]
}

// How a plan chooses. Depthwise takes what it can. Between the indirect product
// and Winograd's two sizes the least cost wins, where a cost is counted in
// multiply-adds for each pair of an in-channel and an out-channel:
//
//	products * factor + perPair * min(1, C*K/bigWeights)
//
// products are the multiply-adds proper: for Indirect the taps that are not
// padding, for Winograd the points of all tiles. factor is what the transforms of src
// and dst add. perPair is what preparing the weights, or bringing their gradient
// back, costs more than Indirect's packing; it is memory traffic, so that it
// weighs less where the weights fit the cache. With packed weights it is what
// reading them from memory costs. The numbers are fitted to the algorithms' times
// on 163 layers from 16 to 512 channels, maps from 2x2 to 56x56 and batches of 1
// to 128, one thread of a Zen 4 core with AVX-512. There the choice takes about
// 1 % longer than the best of the three in geometric mean, and more than 10 %
// longer on 3 % of them, with small maps and batches; `lanes bench --suite conv
// --algorithms` times each choice beside the others.
type costs struct{ factor, perPair float64 }

var costTable = [...]map[Algorithm]costs{
	passForward: {Indirect: {1, 0}, Winograd2: {1.4, 50}, Winograd4: {0.8, 200}},
	passData:    {Indirect: {1, 300}, Winograd2: {1.1, 0}, Winograd4: {0.8, 300}},
	passWeights: {Indirect: {1, 300}, Winograd2: {1.1, 0}, Winograd4: {0.7, 400}},
	passPacked:  {Indirect: {1, 0}, Winograd2: {1, 100}, Winograd4: {0.8, 400}},
}

const (
	// bigWeights is the number of pairs from which their memory counts in full.
	bigWeights = 128 * 128
	// winogradLeast is the fewest channels on either side for Winograd: with
	// fewer the lanes of its transforms stay empty.
	winogradLeast = 8
)

// choose fills in the algorithm of a direction and the reason.
func choose(s *Shape, opt Options, dir pass3, d *direction) error {
	if opt.Algorithm != Auto {
		if why := refuses(opt.Algorithm, s); why != "" {
			return fmt.Errorf("conv: %v does not take %v: %s", opt.Algorithm, *s, why)
		}
		d.algorithm, d.why = opt.Algorithm, "forced by Options.Algorithm"
		return nil
	}
	if refuses(Depthwise, s) == "" {
		d.algorithm, d.why = Depthwise, "one channel per group"
		return nil
	}
	d.algorithm, d.why = Indirect, "the only one for this filter, stride or grouping"
	if why := refuses(Winograd4, s); why != "" {
		d.why = "Winograd does not take it: " + why
		return nil
	}
	if opt.Accuracy == Exact {
		d.why = "Exact rules Winograd out"
		return nil
	}
	if min(s.C, s.K) < winogradLeast {
		d.why = "too few channels for Winograd"
		return nil
	}
	h, w, table := s.OH(), s.OW(), dir
	if dir == passData {
		h, w = s.H, s.W
	}
	if opt.Packed && dir != passWeights {
		table = passPacked
	}
	least := cost(s, h, w, costTable[table], Indirect)
	d.why = fmt.Sprintf("cost %.0f", least)
	for _, a := range []Algorithm{Winograd2, Winograd4} {
		c := cost(s, h, w, costTable[table], a)
		d.why += fmt.Sprintf(", %v %.0f", a, c)
		if c < least {
			least, d.algorithm = c, a
		}
	}
	d.why = "least of " + d.why + " multiply-adds a channel pair"
	return nil
}

// cost returns the estimated cost of a 3x3 convolution with stride 1 and results of h x w.
func cost(s *Shape, h, w int, table map[Algorithm]costs, a Algorithm) float64 {
	var products float64
	if a == Indirect {
		products = float64(s.N) * float64(realTaps(s.H, s.PadTop, s.OH())) * float64(realTaps(s.W, s.PadLeft, s.OW()))
	} else {
		rows, cols := newWinogradAxis(h, a.tile()), newWinogradAxis(w, a.tile())
		products = float64(s.N) * float64(rows.points()) * float64(cols.points())
	}
	pairs := min(1, float64(s.C)*float64(s.K)/bigWeights)
	return products*table[a].factor + table[a].perPair*pairs
}

// realTaps counts, along one axis, the taps of all outputs that are not padding.
func realTaps(extent, pad, outputs int) int {
	n := 0
	for r := range 3 {
		lo, hi := insideRange(outputs, 1, r-pad, extent)
		n += max(0, hi-lo)
	}
	return n
}

// refuses returns why an algorithm does not take a shape, or "".
func refuses(a Algorithm, s *Shape) string {
	switch a {
	case Direct, Indirect:
		return ""
	case Depthwise:
		if s.Groups == 1 || s.Groups != s.C || s.K != s.C {
			return "its groups do not map one channel to one"
		}
		if s.R*s.S > kernels.DepthwiseMaxTaps {
			return "the filter is too large"
		}
		return ""
	case Winograd2, Winograd4:
		switch {
		case s.R != 3 || s.S != 3:
			return "the filter is not 3x3"
		case s.StrideH != 1 || s.StrideW != 1 || s.DilationH != 1 || s.DilationW != 1:
			return "stride or dilation is not 1"
		case s.Groups != 1:
			return "it has groups"
		}
		return ""
	}
	return "unknown algorithm"
}
