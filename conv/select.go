package conv

import "fmt"

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
	d.algorithm, d.why = Indirect, "any shape"
	return nil
}

// refuses returns why an algorithm does not take a shape, or "".
func refuses(a Algorithm, s *Shape) string {
	switch a {
	case Direct, Indirect:
		return ""
	}
	return "unknown algorithm"
}
