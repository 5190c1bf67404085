package bench

import (
	"time"

	"github.com/golanes/lanes/conv"
)

// The algorithms that a plan did not choose, as rivals of the one it did.

// choosable are the algorithms that a plan with Fast chooses from.
var choosable = []conv.Algorithm{conv.Indirect, conv.Depthwise, conv.Winograd2, conv.Winograd4}

// choiceCases returns the choice with Fast, with every other algorithm that takes the
// layer beside it; nothing where there is none.
func choiceCases(model string, l convLayer, n, dir int) []benchCase {
	s := l.shape(n)
	opt := conv.Options{Packed: !packing(dir), Overwrite: true}
	chosen, name := directionAlgorithm(s, opt, dir), ConvDirections[dir]
	if packing(dir) {
		name += "+" + ConvDirections[dir-3]
	}
	c := benchCase{
		name:   caseName(model, l, n, name, chosen),
		setup:  func() func() { return passRun(s, opt, dir) },
		flops:  s.FLOPs(),
		others: map[conv.Algorithm]func() func(){},
	}
	for _, a := range choosable {
		other := opt
		other.Algorithm = a
		if _, err := conv.NewPlan(s, other); err == nil && a != chosen {
			c.others[a] = func() func() { return passRun(s, other, dir) }
		}
	}
	if len(c.others) == 0 {
		return nil
	}
	return []benchCase{c}
}

// passRun returns one pass: on packed weights, or, for the directions of packing, one
// that packs them as it goes.
func passRun(s conv.Shape, opt conv.Options, dir int) func() {
	if !packing(dir) {
		return convRun(s, opt, dir)
	}
	plan := mustPlan(s, opt)
	src, w, dst, work := filled(s.SrcLen()), filled(s.WeightLen()), filled(s.DstLen()), filled(plan.Workspace())
	if ConvDirections[dir] == "pack" {
		return func() { plan.Forward(dst, src, w, nil, nil, work) }
	}
	return func() { plan.BackwardData(src, dst, w, work) }
}

// algorithmRival is another algorithm of ours.
type algorithmRival struct {
	algorithm conv.Algorithm
	run       func()
}

// algorithmRivals returns the algorithms as rivals of the chosen ones.
func algorithmRivals() []rival {
	var rivals []rival
	for _, a := range choosable {
		rivals = append(rivals, &algorithmRival{algorithm: a})
	}
	return rivals
}

func (r *algorithmRival) name() string { return r.algorithm.String() }

func (r *algorithmRival) prepare(c benchCase) (bool, error) {
	r.run = nil
	setup := c.others[r.algorithm]
	if setup == nil {
		return false, nil
	}
	r.run = setup()
	r.run()
	return true, nil
}

func (r *algorithmRival) sample(least time.Duration) (float64, error) {
	return sample(r.run, least), nil
}

func (*algorithmRival) pid() int { return 0 }

func (*algorithmRival) close() {}
