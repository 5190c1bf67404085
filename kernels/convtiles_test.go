package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// The kernels of convolution against their pure-Go twins, between guard pages.

// integers returns n small integers between guard pages: their products and sums
// are exact, so that a kernel must equal its twin bit by bit.
func integers(t *testing.T, seed uint64, n int) []float32 {
	return kerneltest.GuardedCopy(t, kerneltest.Rand(seed).Integers(n, 8))
}

func TestGatherGemm(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		heights, wide, narrow := kernels.GatherTiles()
		for _, mr := range heights {
			for _, nr := range []int{wide, narrow} {
				for _, cols := range []int{1, nr/2 - 1, nr / 2, nr/2 + 1, nr - 1, nr} {
					for _, taps := range [][2]int{{0, 1}, {1, 1}, {1, 17}, {3, 5}} {
						t.Run(fmt.Sprintf("tile=%dx%d/cols=%d/taps=%dx%d", mr, nr, cols, taps[0], taps[1]), func(t *testing.T) {
							testGatherTile(t, mr, nr, cols, taps[0], taps[1])
						})
					}
				}
			}
		}
	})
}

func testGatherTile(t *testing.T, mr, nr, cols, taps, tapLen int) {
	const seed = 1
	ldc := cols + 3
	size := (mr-1)*ldc + cols
	start, residual := integers(t, seed, size), integers(t, seed+1, size)
	a := integers(t, seed+2, max(1, taps*mr*tapLen))
	table, rows := make([]int32, taps*mr), make([]int32, mr)
	for i := range table {
		table[i] = int32(i * tapLen)
		if i%5 == 3 {
			table[i] = -1
		}
	}
	if taps > 2 {
		table[mr] = kernels.GatherSkip
	}
	for i := range rows {
		rows[i] = int32(i * ldc)
	}
	if mr > 1 {
		// The last row stands twice, as in an incomplete tile.
		rows[mr-1] = rows[mr-2]
		for k := range taps {
			table[k*mr+mr-1] = table[k*mr+mr-2]
		}
	}
	for variant := range 8 {
		run := func() []float32 {
			g := kernels.GatherGemm{
				MR: mr, NR: nr, Taps: taps, TapLen: tapLen, Cols: cols, A: a, Table: table, Rows: rows,
				Zero: kerneltest.Guarded(t, tapLen), B: integers(t, seed+3, taps*tapLen*nr), C: kerneltest.GuardedCopy(t, start),
				Lo: float32(math.Inf(-1)), Hi: float32(math.Inf(1)), Accumulate: variant&1 != 0,
			}
			if variant&2 != 0 {
				g.Bias = integers(t, seed+4, cols)
			}
			if variant&4 != 0 {
				g.Residual, g.Lo, g.Hi = residual, 0, 6
			}
			g.Run()
			return g.C
		}
		got := run()
		var want []float32
		onGeneric(t, func() { want = run() })
		if !slices.Equal(got, want) {
			t.Fatalf("variant=%d seed=%d: got %v, want %v", variant, seed, got, want)
		}
	}
}

// TestGatherGemmStreamed stores whole tiles past the caches, which must change no bit,
// and tiles that cannot be stored so.
func TestGatherGemmStreamed(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		heights, wide, narrow := kernels.GatherTiles()
		for _, mr := range heights {
			for _, nr := range []int{wide, narrow} {
				for _, ldc := range []int{nr, 64, 65} {
					for _, cols := range []int{nr, nr - 1} {
						const seed, tapLen = 5, 3
						table, rows := make([]int32, mr), make([]int32, mr)
						for i := range rows {
							table[i], rows[i] = int32(i), int32(i*ldc)
						}
						a, b := integers(t, seed, mr+tapLen), integers(t, seed+1, tapLen*nr)
						run := func(store kernels.Store, lo, hi float32) []float32 {
							g := kernels.GatherGemm{
								MR: mr, NR: nr, Taps: 1, TapLen: tapLen, Cols: cols, A: a, Table: table, Rows: rows, B: b, Store: store,
								Zero: make([]float32, tapLen), C: kerneltest.Guarded(t, 64*mr+ldc*(mr-1)+cols)[64*mr:], Lo: lo, Hi: hi,
							}
							g.Run()
							store.Fence()
							return g.C
						}
						for _, limits := range [][2]float32{{float32(math.Inf(-1)), float32(math.Inf(1))}, {-3, 3}} {
							want, got := run(kernels.Cached, limits[0], limits[1]), run(kernels.Streamed, limits[0], limits[1])
							if !slices.Equal(got, want) {
								t.Fatalf("tile=%dx%d/ldc=%d/cols=%d/limits=%v seed=%d: got %v, want %v", mr, nr, ldc, cols, limits, seed, got, want)
							}
						}
					}
				}
			}
		}
	})
}

// TestGatherGemmTiles computes several tiles at once and one after another.
func TestGatherGemmTiles(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		heights, wide, narrow := kernels.GatherTiles()
		for _, mr := range heights {
			for _, nr := range []int{wide, narrow} {
				for _, cols := range []int{nr, nr - 1} {
					for variant := range 16 {
						const seed, tiles, taps, tapLen = 9, 3, 2, 5
						n := tiles * mr
						table, rows := make([]int32, taps*n), make([]int32, n)
						for i := range table {
							if table[i] = int32(i * tapLen); i%7 == 3 {
								table[i] = -1
							}
						}
						if variant&8 != 0 { // a tap of the first tile, and all of the second
							for _, t := range []int{0, 2, 3} {
								table[t*mr] = kernels.GatherSkip
							}
						}
						for i := range rows {
							rows[i] = int32((n - 1 - i) * (nr + 1))
						}
						size := (n-1)*(nr+1) + cols
						g := kernels.GatherGemm{
							MR: mr, NR: nr, Taps: taps, TapLen: tapLen, Cols: cols, A: integers(t, seed, taps*n*tapLen),
							Zero: kerneltest.Guarded(t, tapLen), B: integers(t, seed+1, taps*tapLen*nr), Bias: integers(t, seed+2, cols),
							Accumulate: variant&1 != 0, Fetch: variant&2 != 0, Lo: -20, Hi: 20,
						}
						if variant&4 != 0 {
							g.Residual = integers(t, seed+3, size)
						}
						if variant&8 != 0 {
							g.Bias = nil
						}
						want := integers(t, seed+4, size)
						g.C = want
						for i := range tiles {
							g.Table, g.Rows = table[i*taps*mr:], rows[i*mr:]
							g.Run()
						}
						g.C, g.Table, g.Rows, g.Tiles = integers(t, seed+4, size), table, rows, tiles
						g.Run()
						if !slices.Equal(g.C, want) {
							t.Fatalf("tile=%dx%d/cols=%d/variant=%d seed=%d: got %v, want %v", mr, nr, cols, variant, seed, g.C, want)
						}
					}
				}
			}
		}
	})
}

// TestClearBlock clears blocks around the vector and strip lengths between guard
// pages, and checks that the gaps between rows are left alone.
func TestClearBlock(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, cols := range []int{0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 80} {
			for _, s := range [][2]int{{0, 0}, {1, 0}, {2, 5}, {5, 16}, {7, 96 - cols}} { // rows, gap
				for _, how := range []kernels.Store{kernels.Cached, kernels.Streamed} {
					rows, ldd := s[0], cols+s[1]
					old := kerneltest.Rand(8).Slice(max(0, (rows-1)*ldd+cols))
					dst, want := kerneltest.GuardedCopy(t, old), slices.Clone(old)
					for i := range rows {
						clear(want[i*ldd:][:cols])
					}
					kernels.ClearBlock(dst, ldd, rows, cols, how)
					how.Fence()
					kerneltest.Close(t, fmt.Sprintf("rows=%d/cols=%d/ldd=%d/how=%d", rows, cols, ldd, how), dst, want, 0, 0)
				}
			}
		}
	})
	for _, f := range []func(){
		func() { kernels.ClearBlock(make([]float32, 7), 4, 2, 4, kernels.Cached) },
		func() { kernels.ClearBlock(make([]float32, 8), 3, 2, 4, kernels.Cached) },
		func() { kernels.ClearBlock(nil, 4, -1, 4, kernels.Cached) },
	} {
		mustPanic(t, "kernels.ClearBlock: ", f)
	}
}

// TestPrefetchRows asks for rows before, in and behind a guarded slice: no prefetch
// faults.
func TestPrefetchRows(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		x := kerneltest.Guarded(t, 64)
		for _, rows := range [][]int32{nil, {0}, {-1, 63, 1 << 20, math.MinInt32}} {
			for _, n := range []int{0, 1, 17, 1000} {
				kernels.PrefetchRows(x, rows, 8, n)
				kernels.PrefetchRows(x, rows, 64, n)
				kernels.PrefetchRows(nil, rows, 0, n)
			}
		}
	})
}

func TestOuterGemm(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		heights, wide, narrow := kernels.OuterTiles()
		for _, mr := range heights {
			for _, nr := range []int{wide, narrow} {
				for _, runs := range [][]int32{nil, {0, 0, 1}, {2, 1, 3, 0, 4, 5, 7, 0, 1}} {
					t.Run(fmt.Sprintf("tile=%dx%d/runs=%d", mr, nr, len(runs)/3), func(t *testing.T) {
						const seed, pixels, step = 2, 9, 2
						for _, accumulate := range []bool{false, true} {
							run := func() []float32 {
								o := kernels.OuterGemm{
									MR: mr, NR: nr, Runs: runs, APitch: mr + 1, AStep: step * mr, BPitch: nr + 2, LDC: nr + 1, Accumulate: accumulate,
									A: integers(t, seed, pixels*step*(mr+1)), B: integers(t, seed+1, pixels*(nr+2)),
									C: integers(t, seed+2, (mr-1)*(nr+1)+nr),
								}
								if accumulate { // what is asked for may lie anywhere
									o.Ahead, o.AheadStep, o.AheadA = o.B[1:], 1<<20, -1<<20
								}
								o.Run()
								return o.C
							}
							got := run()
							var want []float32
							onGeneric(t, func() { want = run() })
							if !slices.Equal(got, want) {
								t.Fatalf("accumulate=%v seed=%d: got %v, want %v", accumulate, seed, got, want)
							}
						}
					})
				}
			}
		}
	})
}

// channelCounts sit on the boundaries of vectors.
var channelCounts = []int{1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47}

func TestWinogradTransforms(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, m := range []int{2, 4} {
			for _, n := range channelCounts {
				t.Run(fmt.Sprintf("m=%d/n=%d", m, n), func(t *testing.T) { testWinograd(t, m, n) })
			}
		}
	})
}

func testWinograd(t *testing.T, m, n int) {
	const seed = 3
	size := m + 2
	points, stride := size*size, n+5
	rng := kerneltest.Rand(seed)
	image := kerneltest.GuardedCopy(t, rng.Slice(points*n))
	u := kerneltest.GuardedCopy(t, rng.Slice((points-1)*stride+n))
	filters := kerneltest.GuardedCopy(t, rng.Slice(8*stride+n))
	bias := kerneltest.GuardedCopy(t, rng.Slice(n))
	zero := kerneltest.Guarded(t, n)
	offsets := make([]int32, points)
	for i := range offsets {
		offsets[i] = int32(i * n)
		if i%7 == 5 {
			offsets[i] = -1
		}
	}
	scratch := kerneltest.Guarded(t, kernels.WinogradScratch(n))
	run := func() (results [][]float32) {
		result := func(count int) []float32 {
			results = append(results, kerneltest.Guarded(t, count))
			return results[len(results)-1]
		}
		for _, width := range []int{n, (n + 1) / 2, 4} {
			slices := (n + width - 1) / width
			at := kernels.WinogradSlices{Stride: stride, Width: width, Step: points*stride + 3}
			length := (slices-1)*at.Step + (points-1)*stride + n - (slices-1)*width
			kernels.WinogradInput(m, result(length), at, image, offsets, zero, n, scratch)
			kernels.WinogradGrad(m, result(length), at, image, offsets, zero, n, scratch)
		}
		kernels.WinogradFilter(m, result((points-1)*stride+n), stride, filters, stride, n, scratch, kernels.Cached)
		wide := (n + 15) / 16 * 16
		streamed := kernels.AlignedFloats((points-1)*wide + n)
		kernels.WinogradFilter(m, streamed, wide, filters, stride, n, scratch, kernels.Streamed)
		kernels.Streamed.Fence()
		results = append(results, streamed)
		kernels.WinogradFilterGrad(m, result(8*stride+n), stride, u, stride, n, scratch)
		kernels.WinogradOutput(m, result(points*n), offsets, make([]float32, n), u, stride, bias, nil, n, -0.5, 0.5, scratch, kernels.Cached)
		kernels.WinogradOutput(m, result(points*n), offsets, make([]float32, n), u, stride, bias, image, n,
			float32(math.Inf(-1)), float32(math.Inf(1)), scratch, kernels.Cached)
		// Pixels that start on cache lines.
		spread := make([]int32, m*m)
		for i := range spread {
			spread[i] = int32(i * wide)
		}
		streamed = kernels.AlignedFloats((m*m-1)*wide + n)
		kernels.WinogradOutput(m, streamed, spread, make([]float32, n), u, stride, bias, nil, n, float32(math.Inf(-1)), float32(math.Inf(1)),
			scratch, kernels.Streamed)
		kernels.Streamed.Fence()
		results = append(results, streamed)
		return results
	}
	got := run()
	var want [][]float32
	onGeneric(t, func() { want = run() })
	for i := range got {
		// Two sums of up to 6 terms below 8*8 times the data, fused or not.
		kerneltest.Close(t, fmt.Sprintf("seed=%d transform=%d", seed, i), got[i], want[i], 64*12*0x1p-24, 1e-6)
	}
}

// TestPrefetchPixels: it takes every size, beyond the slice too, and changes nothing.
func TestPrefetchPixels(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		x := kerneltest.GuardedCopy(t, kerneltest.Rand(1).Slice(101))
		before := slices.Clone(x)
		for _, rows := range []int{0, 1, 2, 3} {
			for _, n := range []int{0, 1, 15, 16, 17, 40, 101, 102} {
				for _, step := range []int{0, 1, 16, 33} {
					kernels.PrefetchPixels(x, step, rows, step, 2, n)
					kernels.PrefetchPixels(x[100:], step, rows, 0, 1, n)
				}
			}
		}
		if !slices.Equal(x, before) {
			t.Error("values changed")
		}
	})
}

func TestDepthwiseRows(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, size := range []int{3, 5} {
			for _, stride := range []int{1, 2} {
				for _, c := range []int{1, 8, 15, 17, 33, 49} {
					for _, pixels := range []int{1, 3, 4, 5, 6, 13} {
						t.Run(fmt.Sprintf("size=%d/stride=%d/c=%d/pixels=%d", size, stride, c, pixels), func(t *testing.T) {
							for _, left := range []int{-1, 0, 1, size - 1} {
								testDepthwiseRows(t, size, stride, c, pixels, left, 1)
								testDepthwiseRows(t, size, stride, c, pixels, left, 5)
							}
						})
					}
				}
			}
		}
	})
}

func testDepthwiseRows(t *testing.T, size, stride, c, pixels, left, count int) {
	const seed = 4
	// The last window ends in the padding, or before the last pixel.
	for _, width := range []int{max(1, (pixels-1)*stride+size-left-1), (pixels-1)*stride + size + 1} {
		wStride := c + 2
		o := kernels.DepthwiseOperands{
			Count: count, Src: integers(t, seed, 4*width*c), Zero: kerneltest.Guarded(t, width*c),
			WStride: wStride, Bias: integers(t, seed+2, c), Store: []kernels.Store{kernels.Cached, kernels.Streamed}[pixels%2],
		}
		for r := range o.Rows {
			o.Rows[r] = []int{width * c, -1, 0, 2 * width * c, 3 * width * c}[r%5]
		}
		w, dy := integers(t, seed+1, (size*size-1)*wStride+c), integers(t, seed+3, count*pixels*c)
		inf := float32(math.Inf(1))
		run := func() (results [][]float32) {
			d := kernels.NewDepthwiseRows(size, stride, c, width, left, pixels)
			o.From, o.To = c/3, c
			for _, limits := range [][2]float32{{-100, 100}, {-inf, inf}, {0, inf}} {
				o.Y, o.W, o.Lo, o.Hi, o.Ahead, o.AheadY = kerneltest.Guarded(t, count*pixels*c), w, limits[0], limits[1], o.Src, nil
				d.Forward(&o)
				o.Store.Fence()
				results = append(results, o.Y)
			}
			o.Y, o.AheadY = dy, dy
			for _, o.Set = range []bool{false, true} {
				o.W = kerneltest.GuardedCopy(t, w)
				d.Gradient(&o)
				results = append(results, o.W)
			}
			return results
		}
		got := run()
		var want [][]float32
		onGeneric(t, func() { want = run() })
		for i := range got {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("left=%d count=%d width=%d seed=%d result=%d: got %v, want %v", left, count, width, seed, i, got[i], want[i])
			}
		}
	}
}

func TestDepthwiseSpread(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range channelCounts {
			for flags := range 16 {
				t.Run(fmt.Sprintf("c=%d/flags=%d", c, flags), func(t *testing.T) {
					for _, blocks := range []int{0, 1, 4} {
						d := kernels.DepthwiseSpread{
							C: c, Blocks: blocks, WStride: c + 1,
							Store: []kernels.Store{kernels.Cached, kernels.Streamed}[flags%2],
							First: flags&1 != 0, Last: flags&2 != 0, Before: flags&4 != 0, After: flags&8 != 0,
						}
						if blocks > 0 || d.First || d.Last {
							testDepthwiseSpread(t, d)
						}
					}
				})
			}
		}
	})
}

func testDepthwiseSpread(t *testing.T, d kernels.DepthwiseSpread) {
	const seed = 6
	pixels, from := 2*d.Blocks, d.Blocks
	for _, v := range []struct {
		on     bool
		pixels int
		from   int
	}{{d.First, 1, 0}, {d.Last, 1, 0}, {d.Before, 0, 1}, {d.Last && d.After, 0, 1}} {
		if v.on {
			pixels, from = pixels+v.pixels, from+v.from
		}
	}
	from = max(1, from)
	u, v, w := integers(t, seed, from*d.C), integers(t, seed+1, from*d.C), integers(t, seed+2, 8*d.WStride+d.C)
	run := func() [2][]float32 {
		dst := [2][]float32{kerneltest.Guarded(t, pixels*d.C), kerneltest.Guarded(t, pixels*d.C)}
		d.Run(dst[0], dst[1], u, v, w, u, v)
		d.Store.Fence()
		return dst
	}
	got := run()
	var want [2][]float32
	onGeneric(t, func() { want = run() })
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("%+v seed=%d row=%d: got %v, want %v", d, seed, i, got[i], want[i])
		}
	}
}

func TestDepthwisePixels(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, c := range channelCounts {
			for _, pixels := range []int{1, 2, 5} {
				t.Run(fmt.Sprintf("c=%d/pixels=%d", c, pixels), func(t *testing.T) { testDepthwisePixels(t, c, pixels) })
			}
		}
	})
}

func testDepthwisePixels(t *testing.T, c, pixels int) {
	const size, seed = 3, 4
	length := (pixels + size - 1) * c
	wStride := c + 2
	src := integers(t, seed, size*length)
	w, bias, dy := integers(t, seed+1, (size*size-1)*wStride+c), integers(t, seed+2, c), integers(t, seed+3, c)
	taps := []int{0, 0, length - c, wStride, (size*size - 1) * c, (size*size - 1) * wStride}
	run := func() [][]float32 {
		one, grad := kerneltest.Guarded(t, c), kerneltest.GuardedCopy(t, w)
		kernels.DepthwisePixel(one, src, w, taps, bias, -100, 100, c)
		kernels.DepthwiseGradPixel(grad, src, taps, dy, c)
		results := [][]float32{one, grad}
		for _, count := range []int{1, 2, 4} {
			steps := kerneltest.GuardedCopy(t, make([]float32, (pixels-1)*(c+3)+c))
			from := []int{length, wStride, 0, 0, 2 * length, 2 * wStride, (size-1)*length + (size-1)*c, (size*size - 1) * wStride}
			kernels.DepthwiseSteps(steps, c+3, src, w, from[:2*count], c, c, pixels)
			results = append(results, steps)
		}
		return results
	}
	got := run()
	var want [][]float32
	onGeneric(t, func() { want = run() })
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("seed=%d kernel=%d: got %v, want %v", seed, i, got[i], want[i])
		}
	}
}

// TestDepthwiseRowsNaN puts a NaN into one pixel: it must come through the limits, and
// only in the pixels whose taps it is.
func TestDepthwiseRowsNaN(t *testing.T) {
	const size, c, pixels, left = 3, 9, 14, 1
	inf := float32(math.Inf(1))
	kerneltest.ForEachISA(t, func(t *testing.T) {
		src, w := make([]float32, size*pixels*c), make([]float32, size*size*c)
		for i := range w {
			w[i] = 1
		}
		d := kernels.NewDepthwiseRows(size, 1, c, pixels, left, pixels)
		for _, at := range []int{0, 5, 9, pixels - 1} {
			for i := range src {
				src[i] = 10
			}
			for i := range c {
				src[(pixels+at)*c+i] = float32(math.NaN())
			}
			for _, limits := range [][2]float32{{0, 6}, {-inf, inf}} {
				o := kernels.DepthwiseOperands{
					Count: 1, Y: kerneltest.Guarded(t, pixels*c), Src: src, W: w, WStride: c, Bias: make([]float32, c),
					Lo: limits[0], Hi: limits[1], To: c,
				}
				copy(o.Rows[:], []int{0, pixels * c, 2 * pixels * c})
				d.Forward(&o)
				for i, v := range o.Y {
					p := i / c
					want := min(90, limits[1])
					if p == 0 || p == pixels-1 {
						want = min(60, limits[1])
					}
					if p-left <= at && at < p-left+size {
						if v == v {
							t.Fatalf("limits=%v at=%d: pixel %d is %v, want NaN", limits, at, p, v)
						}
					} else if v != want {
						t.Fatalf("limits=%v at=%d: pixel %d is %v, want %v", limits, at, p, v, want)
					}
				}
			}
		}
	})
}
