package conv_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// forEachCase runs f for every shape and every algorithm that takes it.
func forEachCase(t *testing.T, f func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand)) {
	for i, s := range shapes {
		t.Run(fmt.Sprintf("shape=%d", i), func(t *testing.T) {
			forEachAlgorithm(t, s, func(t *testing.T, a conv.Algorithm) {
				f(t, s, a, rand.New(rand.NewPCG(11, uint64(i))))
			})
		})
	}
}

// TestThreads requires bitwise equal results whatever GOMAXPROCS is.
func TestThreads(t *testing.T) {
	counts := []int{1, 2, 3, 7}
	if testing.Short() {
		counts = []int{1, 3}
	}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
			src, w, ddst, bias := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen()), random(rng, s.K)
			var want [4][]float32
			for _, procs := range counts {
				previous := runtime.GOMAXPROCS(procs)
				got := run(newPlan(t, s, conv.Options{Algorithm: a}), src, w, ddst, bias, nil)
				runtime.GOMAXPROCS(previous)
				for j, name := range resultNames {
					if procs == 1 {
						want[j] = got[j]
					} else if !slices.Equal(got[j], want[j]) {
						t.Errorf("%v: %s with GOMAXPROCS=%d differs from 1", s, name, procs)
					}
				}
			}
		})
	})
}

// TestWorkspace runs every method with tensors and workspace between fences, so
// that an access beyond a declared size ends the test, and a workspace full of
// NaN, whose content must not matter.
func TestWorkspace(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
			p := newPlan(t, s, conv.Options{Algorithm: a})
			fenced := func(x []float32) []float32 {
				g := kerneltest.Guarded(t, len(x))
				copy(g, x)
				return g
			}
			dirty := func(n int) []float32 {
				g := kerneltest.Guarded(t, n)
				for i := range g {
					g[i] = float32(math.NaN())
				}
				return g
			}
			src, w, ddst := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen())
			bias, residual := random(rng, s.K), random(rng, s.DstLen())
			want := run(p, src, w, ddst, bias, residual)
			src, w, ddst, bias, residual = fenced(src), fenced(w), fenced(ddst), fenced(bias), fenced(residual)
			var got [4][]float32
			for j := range got {
				got[j] = fenced(make([]float32, len(want[j])))
			}
			p.Forward(got[0], src, w, bias, residual, dirty(p.WorkspaceForward()))
			p.BackwardData(got[1], ddst, w, dirty(p.WorkspaceBackwardData()))
			p.BackwardWeights(got[2], got[3], src, ddst, dirty(p.WorkspaceBackwardWeights()))
			for j, name := range resultNames {
				if !slices.Equal(got[j], want[j]) {
					t.Errorf("%v: %s depends on the workspace's content", s, name)
				}
			}
			// Packed weights, and the residual in place.
			packed := dirty(p.PackedLen())
			p.Pack(packed, w, dirty(p.WorkspacePack()))
			if a, _, _ := p.Algorithms(); a == conv.Indirect {
				back := dirty(len(w))
				if p.Unpack(back, packed); !slices.Equal(back, w) {
					t.Errorf("%v: Unpack does not give the weights back", s)
				}
			}
			if p.PacksInPlace() {
				own := fenced(w)
				if p.PackInPlace(own, dirty(p.WorkspacePackInPlace())); !slices.Equal(own, packed) {
					t.Errorf("%v: PackInPlace differs from Pack", s)
				}
			}
			if p.ReadsPlanes() {
				planes, dst := fenced(kerneltest.ToNCHW(src, s.N, s.C, s.H, s.W)), dirty(s.DstLen())
				p.ForwardPlanes(dst, planes, packed, bias, residual, dirty(p.WorkspaceForwardPacked()))
				if !slices.Equal(dst, want[0]) {
					t.Errorf("%v: ForwardPlanes differs from Forward", s)
				}
			}
			p.ForwardPacked(residual, src, packed, bias, residual, dirty(p.WorkspaceForwardPacked()))
			if !slices.Equal(residual, want[0]) {
				t.Errorf("%v: ForwardPacked in place of the residual differs from Forward", s)
			}
			packed = dirty(p.PackedDataLen())
			p.PackData(packed, w, dirty(p.WorkspacePack()))
			clear(got[1])
			p.BackwardDataPacked(got[1], ddst, packed, dirty(p.WorkspaceBackwardDataPacked()))
			if !slices.Equal(got[1], want[1]) {
				t.Errorf("%v: BackwardDataPacked differs from BackwardData", s)
			}
			// A gradient that is overwritten is one that is added to zeros.
			over := newPlan(t, s, conv.Options{Algorithm: a, Overwrite: true})
			dw, db := dirty(len(w)), dirty(s.K)
			over.BackwardWeights(dw, db, src, ddst, dirty(over.WorkspaceBackwardWeights()))
			if !slices.Equal(dw, want[2]) || !slices.Equal(db, want[3]) {
				t.Errorf("%v: BackwardWeights with Overwrite differs", s)
			}
		})
	})
}

// TestNCHW compares the NCHW entry points with the native ones.
func TestNCHW(t *testing.T) {
	forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
		if a != conv.Auto {
			return // the conversion does not know the algorithm
		}
		src, w, ddst := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen())
		bias, residual := random(rng, s.K), random(rng, s.DstLen())
		p := newPlan(t, s, conv.Options{})
		want := run(p, src, w, ddst, bias, residual)
		oh, ow := s.OH(), s.OW()
		toSrc := func(x []float32) []float32 { return kerneltest.ToNCHW(x, s.N, s.C, s.H, s.W) }
		toDst := func(x []float32) []float32 { return kerneltest.ToNCHW(x, s.N, s.K, oh, ow) }
		work := make([]float32, p.WorkspaceNCHW())
		dst, dsrc, dw, db := make([]float32, len(ddst)), make([]float32, len(src)), make([]float32, len(w)), make([]float32, s.K)
		p.ForwardNCHW(dst, toSrc(src), w, bias, toDst(residual), work)
		p.BackwardDataNCHW(dsrc, toDst(ddst), w, work)
		p.BackwardWeightsNCHW(dw, db, toSrc(src), toDst(ddst), work)
		if !slices.Equal(dst, toDst(want[0])) || !slices.Equal(dsrc, toSrc(want[1])) || !slices.Equal(dw, want[2]) || !slices.Equal(db, want[3]) {
			t.Errorf("%v: NCHW differs from NHWC", s)
		}
	})
}

// TestActivations compares fused activations with separate ones, and requires
// NaN to come through. Under -short each case has every third activation, another
// third than the case before.
func TestActivations(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		first, step := kernels.ReLU, kernels.Activation(1)
		forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
			src, w, bias, residual := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.K), random(rng, s.DstLen())
			plain := newPlan(t, s, conv.Options{Algorithm: a})
			work := make([]float32, plain.Workspace())
			linear := make([]float32, s.DstLen())
			bias[0] = float32(math.NaN())
			plain.Forward(linear, src, w, bias, residual, work)
			if testing.Short() {
				first, step = kernels.ReLU+(first-kernels.ReLU+1)%3, 3
			}
			for act := first; act.Known(); act += step {
				got, want := make([]float32, len(linear)), make([]float32, len(linear))
				kernels.Activate(act, want, linear)
				newPlan(t, s, conv.Options{Algorithm: a, Activation: act}).Forward(got, src, w, bias, residual, work)
				// The same function of the same sums; NaN equals NaN.
				kerneltest.Close(t, fmt.Sprintf("%v activation=%v", s, act), got, want, 1e-7, 1e-6)
				if !math.IsNaN(float64(got[0])) {
					t.Errorf("%v activation=%v: NaN became %v", s, act, got[0])
				}
			}
		})
	})
}

// TestDstPitch requires the bits of a dense result in some channels of a wider map,
// that the others keep theirs, and that nothing behind the last pixel is touched.
func TestDstPitch(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
			if a != conv.Indirect && a != conv.Winograd2 && a != conv.Winograd4 {
				return
			}
			src, w, bias, residual := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.K), random(rng, s.DstLen())
			opt := conv.Options{Algorithm: a, Activation: kernels.ReLU}
			dense := newPlan(t, s, opt)
			want, work := make([]float32, s.DstLen()), make([]float32, dense.Workspace())
			pixels := s.DstLen() / s.K
			for _, more := range []int{1, 16, s.K} {
				opt.DstPitch = s.K + more
				p := newPlan(t, s, opt)
				extent := max(0, (pixels-1)*opt.DstPitch+min(pixels, 1)*s.K)
				got, add := kerneltest.Guarded(t, extent), kerneltest.Guarded(t, extent)
				for _, added := range []bool{false, true} {
					dense.Forward(want, src, w, bias, pick(added, residual), work)
					for i := range got {
						got[i], add[i] = float32(i), float32(math.NaN())
					}
					for i := range pixels {
						copy(add[i*opt.DstPitch:], residual[i*s.K:(i+1)*s.K])
					}
					p.Forward(got, src, w, bias, pick(added, add), work)
					for i, v := range got {
						pixel, k := i/opt.DstPitch, i%opt.DstPitch
						if k < s.K && math.Float32bits(v) != math.Float32bits(want[pixel*s.K+k]) {
							t.Fatalf("%v pitch=%d residual=%v: pixel %d channel %d is %v, want %v", s, opt.DstPitch, added, pixel, k, v, want[pixel*s.K+k])
						}
						if k >= s.K && v != float32(i) {
							t.Fatalf("%v pitch=%d residual=%v: pixel %d channel %d was written", s, opt.DstPitch, added, pixel, k)
						}
					}
				}
			}
		})
	})
}

// pick returns x if it is wanted.
func pick(want bool, x []float32) []float32 {
	if want {
		return x
	}
	return nil
}

// TestAllocations requires that running a plan allocates nothing.
func TestAllocations(t *testing.T) {
	forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
		if a == conv.Direct {
			return
		}
		p := newPlan(t, s, conv.Options{Algorithm: a})
		src, w, ddst, work := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen()), make([]float32, p.Workspace())
		dst, dsrc, dw, db := make([]float32, len(ddst)), make([]float32, len(src)), make([]float32, len(w)), make([]float32, s.K)
		n := kerneltest.AllocsPerRun(5, func() {
			p.Forward(dst, src, w, nil, nil, work)
			p.BackwardData(dsrc, ddst, w, work)
			p.BackwardWeights(dw, db, src, ddst, work)
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	})
}

// TestForwardOnly: the same results and workspace, and no gradients.
func TestForwardOnly(t *testing.T) {
	s := conv.Shape{N: 2, C: 9, H: 8, W: 7, K: 10, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
	rng := rand.New(rand.NewPCG(17, 1))
	src, w := random(rng, s.SrcLen()), random(rng, s.WeightLen())
	forEachAlgorithm(t, s, func(t *testing.T, a conv.Algorithm) {
		whole, part := newPlan(t, s, conv.Options{Algorithm: a}), newPlan(t, s, conv.Options{Algorithm: a, ForwardOnly: true})
		if part.WorkspaceForward() != whole.WorkspaceForward() || part.PackedLen() != whole.PackedLen() {
			t.Errorf("%v: workspace %d of %d", a, part.WorkspaceForward(), whole.WorkspaceForward())
		}
		want, got := make([]float32, s.DstLen()), make([]float32, s.DstLen())
		whole.Forward(want, src, w, nil, nil, make([]float32, whole.WorkspaceForward()))
		part.Forward(got, src, w, nil, nil, make([]float32, part.WorkspaceForward()))
		if !slices.Equal(got, want) {
			t.Errorf("%v: other results", a)
		}
		for name, f := range map[string]func(){
			"BackwardData":       func() { part.BackwardData(src, got, w, nil) },
			"BackwardDataPacked": func() { part.BackwardDataPacked(src, got, w, nil) },
			"BackwardWeights":    func() { part.BackwardWeights(w, nil, src, got, nil) },
			"PackData":           func() { part.PackData(w, w, nil) },
		} {
			func() {
				defer func() {
					if r, want := recover(), "conv.Plan."+name+": the plan is for the forward pass only"; r != want {
						t.Errorf("%v: panic %v, want %s", a, r, want)
					}
				}()
				f()
			}()
		}
		if strings.Contains(part.String(), "backward") {
			t.Errorf("%v: %v", a, part)
		}
	})
}

// TestShift moves the image by one pixel inside its padding: the output moves
// along.
func TestShift(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		s := conv.Shape{N: 1, C: 18, H: 12, W: 11, K: 20, R: 3, S: 3}
		rng := rand.New(rand.NewPCG(5, 0))
		src, w := random(rng, s.SrcLen()), random(rng, s.WeightLen())
		moved := make([]float32, len(src))
		copy(moved[s.C:], src) // one pixel to the right, the last column wraps
		forEachAlgorithm(t, s, func(t *testing.T, a conv.Algorithm) {
			p := newPlan(t, s, conv.Options{Algorithm: a})
			y, z, work := make([]float32, s.DstLen()), make([]float32, s.DstLen()), make([]float32, p.Workspace())
			p.Forward(y, src, w, nil, nil, work)
			p.Forward(z, moved, w, nil, nil, work)
			row := s.OW() * s.K
			for i := range s.OH() {
				// 162 products below 1; Winograd's tiles cut the image elsewhere.
				kerneltest.Close(t, "row", z[i*row+s.K:(i+1)*row], y[i*row:(i+1)*row-s.K], 8*0x1p-24*162, 0)
			}
		})
	})
}

// TestLinearity checks f(a*x + b*y) = a*f(x) + b*f(y) for powers of two.
func TestLinearity(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		forEachCase(t, func(t *testing.T, s conv.Shape, a conv.Algorithm, rng *rand.Rand) {
			x, y, w := random(rng, s.SrcLen()), random(rng, s.SrcLen()), random(rng, s.WeightLen())
			both := make([]float32, len(x))
			for i := range both {
				both[i] = 2*x[i] + 0.5*y[i]
			}
			p := newPlan(t, s, conv.Options{Algorithm: a})
			work := make([]float32, p.Workspace())
			fx, fy, got := make([]float32, s.DstLen()), make([]float32, s.DstLen()), make([]float32, s.DstLen())
			p.Forward(fx, x, w, nil, nil, work)
			p.Forward(fy, y, w, nil, nil, work)
			p.Forward(got, both, w, nil, nil, work)
			for i := range fx {
				fx[i] = 2*fx[i] + 0.5*fy[i]
			}
			terms := float64(s.C / max(1, s.Groups) * s.R * s.S)
			kerneltest.Close(t, s.String(), got, fx, 8*0x1p-24*2.5*(terms+4), 1e-6)
		})
	})
}

// rms returns the root of the mean square of x - y.
func rms(x, y []float32) float64 {
	sum := 0.0
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(x)))
}

// TestWinogradBlocks compares Winograd's algorithm with Indirect on shapes with many
// tiles, for each way of cutting them into blocks, and requires equal bits for several
// GOMAXPROCS and for a gradient that is overwritten.
func TestWinogradBlocks(t *testing.T) {
	for i, c := range []struct {
		s     conv.Shape
		modes [3]string // of forward, backward-data and backward-weights, in String
	}{
		{conv.Shape{N: 30, C: 2, H: 64, W: 64, K: 16}, [3]string{`\d blocks of`, `\d blocks of`, `10 blocks in 8 chunks`}},
		// Fused for one worker, shared for three.
		{conv.Shape{N: 10, C: 32, H: 32, W: 30, K: 16}, [3]string{`\d blocks of`, ``, ``}},
		{conv.Shape{N: 65, C: 400, H: 2, W: 3, K: 8}, [3]string{`staged`, `shared`, ``}},
		{conv.Shape{N: 65, C: 8, H: 2, W: 3, K: 400}, [3]string{`shared`, `staged`, ``}},
		{conv.Shape{N: 26, C: 4, H: 1, W: 2, K: 11000}, [3]string{``, ``, `2 shared blocks`}},
	} {
		if testing.Short() && i == 4 {
			break // the generic tier takes seconds
		}
		s := c.s
		s.R, s.S, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight = 3, 3, 1, 1, 1, 1
		const seed = 11
		rng := rand.New(rand.NewPCG(seed, uint64(s.N)))
		src, w, ddst, bias := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen()), random(rng, s.K)
		direct := newPlan(t, s, conv.Options{Algorithm: conv.Indirect})
		want := run(direct, src, w, ddst, bias, nil)
		scale := run(direct, absolute(src), absolute(w), absolute(ddst), absolute(bias), nil)
		opt := conv.Options{Algorithm: conv.Winograd4}
		kerneltest.ForEachISA(t, func(t *testing.T) {
			var got [4][]float32
			for _, procs := range []int{1, 3} {
				previous := runtime.GOMAXPROCS(procs)
				p := newPlan(t, s, opt)
				again := run(p, src, w, ddst, bias, nil)
				runtime.GOMAXPROCS(previous)
				if procs == 1 {
					got = again
					for i, line := range strings.Split(p.String(), "\n")[1:] {
						if !regexp.MustCompile(c.modes[i]).MatchString(line) {
							t.Errorf("%v: want %s, got %s", s, c.modes[i], line)
						}
					}
				}
				for j, name := range resultNames {
					closeSum(t, fmt.Sprintf("%v seed=%d %s", s, seed, name), got[j], want[j], scale[j], conv.Winograd4)
					if !slices.Equal(again[j], got[j]) {
						t.Errorf("%v: %s with GOMAXPROCS=%d differs from 1", s, name, procs)
					}
				}
			}
			opt := opt
			opt.Overwrite = true
			over := newPlan(t, s, opt)
			dw, db := random(rng, len(w)), random(rng, s.K)
			over.BackwardWeights(dw, db, src, ddst, make([]float32, over.Workspace()))
			if !slices.Equal(dw, got[2]) || !slices.Equal(db, got[3]) {
				t.Errorf("%v: BackwardWeights with Overwrite differs", s)
			}
		})
	}
}

// TestWinogradShapes compares Winograd's algorithm with Indirect on maps and numbers of
// channels drawn at random: their tiles end blocks, and the points that tiles at the
// edge have, at every row of a GEMM tile.
func TestWinogradShapes(t *testing.T) {
	count := 120
	if testing.Short() {
		count = 20
	}
	for i := range count {
		rng := rand.New(rand.NewPCG(13, uint64(i)))
		n := func(lo, most int) int { return lo + rng.IntN(most) }
		s := conv.Shape{N: n(1, 3), C: n(8, 60), H: n(3, 18), W: n(3, 18), K: n(8, 60), R: 3, S: 3,
			PadTop: n(0, 3), PadLeft: n(0, 3), PadBottom: n(0, 3), PadRight: n(0, 3)}
		src, w, ddst, bias := random(rng, s.SrcLen()), random(rng, s.WeightLen()), random(rng, s.DstLen()), random(rng, s.K)
		direct := newPlan(t, s, conv.Options{Algorithm: conv.Indirect})
		want := run(direct, src, w, ddst, bias, nil)
		scale := run(direct, absolute(src), absolute(w), absolute(ddst), absolute(bias), nil)
		kerneltest.ForEachISA(t, func(t *testing.T) {
			for _, a := range []conv.Algorithm{conv.Winograd2, conv.Winograd4} {
				got := run(newPlan(t, s, conv.Options{Algorithm: a}), src, w, ddst, bias, nil)
				for j, name := range resultNames {
					closeSum(t, fmt.Sprintf("%v %v shape=%d %s", s, a, i, name), got[j], want[j], scale[j], a)
				}
			}
		})
	}
}

// TestWinogradError holds the contract of Fast: against float64, the rms error is
// at most 8 times that of the indirect algorithm, on layers of the networks that
// lanes is measured on.
func TestWinogradError(t *testing.T) {
	layers := [][3]int{{64, 64, 16}, {128, 128, 8}, {256, 128, 8}, {512, 64, 4}, {64, 128, 7}, {128, 64, 14}}
	if testing.Short() {
		layers = layers[:2]
	}
	for _, l := range layers {
		// Batches as in training: a weight gradient sums over at least 256 pixels.
		s := conv.Shape{N: max(1, 256/(l[2]*l[2])), C: l[0], H: l[2], W: l[2], K: l[1], R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
		rng := rand.New(rand.NewPCG(9, uint64(l[0])))
		normal := func(n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			return x
		}
		src, w, ddst := normal(s.SrcLen()), normal(s.WeightLen()), normal(s.DstLen())
		exact := run(newPlan(t, s, conv.Options{Algorithm: conv.Direct}), src, w, ddst, nil, nil)
		direct := run(newPlan(t, s, conv.Options{Algorithm: conv.Indirect}), src, w, ddst, nil, nil)
		for _, a := range []conv.Algorithm{conv.Winograd2, conv.Winograd4} {
			got := run(newPlan(t, s, conv.Options{Algorithm: a}), src, w, ddst, nil, nil)
			for j, name := range resultNames[:3] {
				e, d := rms(got[j], exact[j]), rms(direct[j], exact[j])
				t.Logf("%v %v %s: rms error %.2g, direct %.2g, ratio %.1f", s, a, name, e, d, e/d)
				if e > 8*d {
					t.Errorf("%v %v %s: rms error %v is more than 8 times the direct sum's %v", s, a, name, e, d)
				}
			}
		}
	}
}
