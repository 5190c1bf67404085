package pool_test

import (
	"math"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/pool"
)

// The maps of TestLargeMaps.
const (
	largeC, largeH, largeW = 48, 32, 32
	largeImage             = largeC * largeH * largeW
	largeOut               = largeImage / 4 // of windows of 2x2
)

// A gradient is a backward pass: plan returns it for n images like image.
type gradient struct {
	name string
	out  int // floats of dy of an image
	plan func(t *testing.T, n int, image []float32) func(dx, dy []float32)
}

func gradients() []gradient {
	const hw, c = largeH * largeW, largeC
	shape := pool.Shape{C: c, H: largeH, W: largeW, R: 2, S: 2, StrideH: 2, StrideW: 2}
	global := func(run func(dx, dy []float32, arg []int32, n int)) func(t *testing.T, n int, image []float32) func(dx, dy []float32) {
		return func(_ *testing.T, n int, image []float32) func(dx, dy []float32) {
			best, arg := make([]float32, c), make([]int32, n*c)
			for i := range n {
				pool.GlobalMax(best, arg[i*c:][:c], image, 1, hw, c)
			}
			return func(dx, dy []float32) { run(dx, dy, arg, n) }
		}
	}
	average := func(run func(p *pool.Avg, dx, dy []float32)) func(t *testing.T, n int, image []float32) func(dx, dy []float32) {
		return func(t *testing.T, n int, _ []float32) func(dx, dy []float32) {
			s := shape
			s.N = n
			p, err := pool.NewAvg(s, pool.CountPadding)
			if err != nil {
				t.Fatal(err)
			}
			return func(dx, dy []float32) { run(p, dx, dy) }
		}
	}
	maximum := func(nchw bool) func(t *testing.T, n int, image []float32) func(dx, dy []float32) {
		return func(t *testing.T, n int, image []float32) func(dx, dy []float32) {
			s := shape
			s.N = n
			p, err := pool.NewMax(s)
			if err != nil {
				t.Fatal(err)
			}
			src, dst, arg := make([]float32, 0, n*largeImage), make([]float32, n*largeOut), p.NewArgmax()
			for range n {
				src = append(src, image...)
			}
			if nchw {
				p.ForwardNCHW(dst, arg, src)
				return func(dx, dy []float32) { p.BackwardNCHW(dx, dy, arg) }
			}
			p.Forward(dst, arg, src)
			return func(dx, dy []float32) { p.Backward(dx, dy, arg) }
		}
	}
	return []gradient{
		{"GlobalAvg", c, global(func(dx, dy []float32, _ []int32, n int) { pool.GlobalAvgBackward(dx, dy, n, hw, c) })},
		{"GlobalAvgNCHW", c, global(func(dx, dy []float32, _ []int32, n int) { pool.GlobalAvgBackwardNCHW(dx, dy, n, c, hw) })},
		{"GlobalMax", c, global(func(dx, dy []float32, arg []int32, n int) { pool.GlobalMaxBackward(dx, dy, arg, n, hw, c) })},
		{"GlobalMaxNCHW", c, global(func(dx, dy []float32, arg []int32, n int) { pool.GlobalMaxBackwardNCHW(dx, dy, arg, n, c, hw) })},
		{"Avg", largeOut, average((*pool.Avg).Backward)},
		{"AvgNCHW", largeOut, average((*pool.Avg).BackwardNCHW)},
		{"Max", largeOut, maximum(false)},
		{"MaxNCHW", largeOut, maximum(true)},
	}
}

// TestLargeMaps: gradients of maps too large for the caches, which are stored past
// them, have the bits of those of single images, which are not.
func TestLargeMaps(t *testing.T) {
	if testing.Short() {
		t.Skip("writes maps of the size of the last-level cache, on every instruction set")
	}
	n := 2
	for kernels.StoreFor(n*largeImage) != kernels.Streamed {
		n++
	}
	rng := kerneltest.Rand(7)
	image, dx, one := rng.Slice(largeImage), kernels.AlignedFloats(n*largeImage), make([]float32, largeImage)
	for _, g := range gradients() {
		t.Run(g.name, func(t *testing.T) {
			dy := rng.Slice(n * g.out)
			all, single := g.plan(t, n, image), g.plan(t, 1, image)
			kerneltest.ForEachISA(t, func(t *testing.T) {
				for i := range dx {
					dx[i] = float32(math.NaN())
				}
				all(dx, dy)
				for i := range n {
					single(one, dy[i*g.out:(i+1)*g.out])
					for j, want := range one {
						if got := dx[i*largeImage+j]; math.Float32bits(got) != math.Float32bits(want) {
							t.Fatalf("image %d of %d, element %d: %v, by itself %v", i, n, j, got, want)
						}
					}
				}
			})
		})
	}
}
