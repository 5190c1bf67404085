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
// multiply-adds for each pair of an in-channel and an out-channel. For Indirect these
// are the taps that are not padding, for Winograd
//
//	points * (winogradFactor + transform*(1/C + 1/K)) + filter * min(1, C*K/winogradPairs)
//
// where points are those of all tiles, transform is what src or dst cost for each point
// and channel, and filter is what preparing the weights, or bringing their gradient
// back, costs more than with Indirect; it is memory traffic, so that it weighs less
// where the weights fit the cache. With packed weights it is what reading them from
// memory costs. The numbers are fitted to the algorithms' times on 142 layers from 16 to
// 512 channels, maps from 2x2 to 56x56 and batches of 1 to 128, one thread of a Zen 4
// core with AVX-512. There the choice takes 0.1 to 0.4 % longer than the best of the
// three in geometric mean, and more than 10 % longer, at most 12, on 4 of them with
// packed weights and none otherwise; `lanes bench --suite conv --algorithms` times each
// choice beside the others.
type costs struct{ transform, filter2, filter4 float64 }

var costTable = [...]costs{
	passForward: {18, 150, 250},
	passData:    {18, 200, 400},
	passWeights: {8, 200, 400},
	passPacked:  {18, 50, 300},
}

const (
	winogradFactor = 1.1
	winogradPairs  = 64 * 64
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
	h, w, table := s.OH(), s.OW(), &costTable[dir]
	if dir == passData {
		h, w = s.H, s.W
	}
	if opt.Packed && dir != passWeights {
		table = &costTable[passPacked]
	}
	least := float64(s.N) * float64(realTaps(s.H, s.PadTop, s.OH())) * float64(realTaps(s.W, s.PadLeft, s.OW()))
	d.why = fmt.Sprintf("cost %.0f", least)
	for _, a := range []Algorithm{Winograd2, Winograd4} {
		c := table.cost(s, h, w, a)
		d.why += fmt.Sprintf(", %v %.0f", a, c)
		if c < least {
			least, d.algorithm = c, a
		}
	}
	d.why = "least of " + d.why + " multiply-adds a channel pair"
	return nil
}

// cost returns the estimated cost of Winograd's algorithm a for results of h x w.
func (c *costs) cost(s *Shape, h, w int, a Algorithm) float64 {
	rows, cols := newWinogradAxis(h, a.tile()), newWinogradAxis(w, a.tile())
	points := float64(s.N) * float64(rows.points()) * float64(cols.points())
	filter := c.filter4
	if a == Winograd2 {
		filter = c.filter2
	}
	in, out := float64(s.C), float64(s.K)
	return points*(winogradFactor+c.transform*(1/in+1/out)) + filter*min(1, in*out/winogradPairs)
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
