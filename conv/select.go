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
)

func (d pass3) String() string {
	return [...]string{"forward", "backward-data", "backward-weights"}[d]
}

// choose fills in the algorithm of a direction and the reason.
func choose(s *Shape, opt Options, dir pass3, d *direction) error {
	if opt.Algorithm != Auto {
		if why := refuses(opt.Algorithm, s); why != "" {
			return fmt.Errorf("conv: %v does not take %v: %s", opt.Algorithm, *s, why)
		}
		d.algorithm, d.why = opt.Algorithm, "forced by Options.Algorithm"
		return nil
	}
	if opt.Accuracy == Fast && s.C >= 16 && s.K >= 16 && refuses(Winograd4, s) == "" && s.OH() > 2 {
		d.algorithm, d.why = Winograd4, "3x3 stride 1"
		return nil
	}
	if refuses(Depthwise, s) == "" {
		d.algorithm, d.why = Depthwise, "one channel per group"
		return nil
	}
	d.algorithm, d.why = Indirect, "any shape"
	return nil
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
