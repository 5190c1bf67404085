package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// Kernels on bytes: every result must equal the definition exactly, on every
// instruction set.

// guardedBytes returns n random bytes before a guard page, the extremes among
// them often.
func guardedBytes(t *testing.T, rng *kerneltest.Random, n int) []uint8 {
	b := kerneltest.GuardedOf[uint8](t, n)
	for i := range b {
		switch rng.IntN(4) {
		case 0:
			b[i] = []uint8{0, 255, 127, 128}[rng.IntN(4)]
		default:
			b[i] = uint8(rng.IntN(256))
		}
	}
	return b
}

func guardedInt8(t *testing.T, rng *kerneltest.Random, n int) []int8 {
	w := kerneltest.GuardedOf[int8](t, n)
	for i, b := range guardedBytes(t, rng, n) {
		w[i] = int8(b)
	}
	return w
}

func guardedInt32(t *testing.T, rng *kerneltest.Random, n, limit int) []int32 {
	x := kerneltest.GuardedOf[int32](t, n)
	for i := range x {
		x[i] = int32(rng.Int64N(2*int64(limit)+1) - int64(limit))
	}
	return x
}

func TestGatherInt8(t *testing.T) {
	kerneltest.ForEachInt8(t, func(t *testing.T) {
		heights, wide, narrow := kernels.GatherInt8Tiles()
		for _, mr := range heights {
			for _, nr := range []int{wide, narrow} {
				for _, size := range [][2]int{{1, 1}, {1, 2}, {3, 1}, {2, 7}, {9, 16}} {
					t.Run(fmt.Sprintf("tile=%dx%d/taps=%dx%d", mr, nr, size[0], size[1]), func(t *testing.T) {
						testGatherInt8(t, mr, nr, size[0], size[1])
					})
				}
			}
		}
	})
}

func testGatherInt8(t *testing.T, mr, nr, taps, quads int) {
	rng := kerneltest.Rand(61)
	g := kernels.GatherInt8{
		MR: mr, NR: nr, Quads: quads, B: guardedInt8(t, rng, 4*taps*quads*nr), Bias: guardedInt32(t, rng, nr, math.MaxInt32),
		Acc: kerneltest.GuardedOf[int32](t, mr*nr), Rows: kerneltest.GuardedOf[int32](t, mr), Offsets: kerneltest.GuardedOf[int32](t, taps),
	}
	const step = 5 // rows overlap
	for i := range g.Rows {
		g.Rows[i] = int32(i * step)
	}
	for i := range g.Offsets {
		g.Offsets[i] = int32((taps - 1 - i) * (4*quads + 3))
	}
	g.A = guardedBytes(t, rng, (mr-1)*step+int(g.Offsets[0])+4*quads)
	g.Run()
	for i := range mr {
		for j := range nr {
			want := g.Bias[j]
			for k := range taps {
				for e := range 4 * quads {
					a := g.A[int(g.Rows[i]+g.Offsets[k])+e]
					want += int32(a) * int32(g.B[4*((k*quads+e/4)*nr+j)+e%4])
				}
			}
			if got := g.Acc[i*nr+j]; got != want {
				t.Fatalf("seed=%d: [%d][%d] = %d, want %d", rng.Seed, i, j, got, want)
			}
		}
	}
	for i, size := range [][2]int{{mr, nr}, {1, nr}, {(mr + 1) / 2, nr}, {mr, nr - 3}} {
		testGatherBytes(t, rng, &g, size[0], size[1], byteRanges[i])
	}
}

// testGatherBytes compares bytes with those of the sums that are in g.
func testGatherBytes(t *testing.T, rng *kerneltest.Random, g *kernels.GatherInt8, rows, cols int, r kernels.ByteRange) {
	sums, scale := slices.Clone(g.Acc), kerneltest.Guarded(t, cols)
	for j := range scale {
		scale[j] = rng.Float32() * 0x1p-23 // the bias fills 31 bits
		if rng.IntN(16) == 0 {
			scale[j] = []float32{float32(math.NaN()), float32(math.Inf(1)), -3e38, 1e6}[rng.IntN(4)]
		}
	}
	ldc := cols + 5
	dst := kerneltest.GuardedOf[uint8](t, (rows-1)*ldc+cols)
	for i := range dst {
		dst[i] = 99
	}
	g.RunBytes(dst, ldc, scale, rows, cols, r)
	for at, got := range dst {
		want, i, j := uint8(99), at/ldc, at%ldc
		if j < cols {
			want = roundedByte(float32(sums[i*g.NR+j])*scale[j], r)
		}
		if got != want {
			t.Fatalf("rows=%d cols=%d range=%v seed=%d: [%d][%d] = %d, want %d", rows, cols, r, rng.Seed, i, j, got, want)
		}
	}
}

// byteCounts sit on the boundaries of vectors and unrolled strips.
var byteCounts = []int{1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257}

var byteRanges = []kernels.ByteRange{{Zero: 0, Min: 0, Max: 255}, {Zero: 131, Min: 131, Max: 200}, {Zero: -3, Min: -128, Max: 127}, {Zero: 255, Min: 0, Max: 255}}

// roundedByte is the definition of the conversion to bytes.
func roundedByte(v float32, r kernels.ByteRange) uint8 {
	q := math.RoundToEven(float64(v)) + float64(r.Zero)
	if !(q > float64(r.Min)) {
		q = float64(r.Min)
	}
	return uint8(int(min(q, float64(r.Max))))
}

func TestQuantizeBytes(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(62)
		kernels.QuantizeBytes(nil, nil, 1, kernels.ByteRange{Max: 255})
		kernels.DequantizeBytes(nil, nil, 1, 0, false)
		for _, n := range byteCounts {
			for _, r := range byteRanges {
				src, dst := kerneltest.GuardedCopy(t, rng.WithSpecials(n)), kerneltest.GuardedOf[uint8](t, n)
				const scale = 0.25
				for i := range src {
					if i%3 == 0 { // ties
						src[i] = scale * (float32(rng.IntN(600)-300) + 0.5)
					}
				}
				kernels.QuantizeBytes(dst, src, scale, r)
				for i, v := range src {
					if want := roundedByte(v/scale, r); dst[i] != want {
						t.Fatalf("n=%d range=%v seed=%d: %g gives %d, want %d", n, r, rng.Seed, v, dst[i], want)
					}
				}
				bytes, out := guardedBytes(t, rng, n), kerneltest.Guarded(t, n)
				for _, signed := range []bool{false, true} {
					kernels.DequantizeBytes(out, bytes, 0.3, r.Zero, signed)
					for i, b := range bytes {
						q := int32(b)
						if signed {
							q = int32(int8(b))
						}
						if want := float32(q-r.Zero) * 0.3; out[i] != want {
							t.Fatalf("n=%d signed=%v seed=%d: %d gives %g, want %g", n, signed, rng.Seed, b, out[i], want)
						}
					}
				}
			}
		}
	})
}

func TestRows32(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(63)
		for _, cols := range byteCounts {
			for _, rows := range []int{0, 1, 2, 12} {
				lda, ldc := cols+2, cols+3
				size := func(ld int) int { return max(0, (rows-1)*ld+cols) }
				acc, scale := guardedInt32(t, rng, size(lda), 1<<26), kerneltest.Guarded(t, cols)
				for j := range scale {
					scale[j] = rng.Float32() * 0x1p-18
				}
				for _, r := range byteRanges {
					dst := guardedBytes(t, rng, size(ldc))
					before := slices.Clone(dst)
					kernels.RequantizeRows(dst, ldc, acc, lda, scale, rows, cols, r)
					for i, got := range dst {
						want := before[i]
						if j := i % ldc; j < cols {
							want = roundedByte(float32(acc[i/ldc*lda+j])*scale[j], r)
						}
						if got != want {
							t.Fatalf("rows=%d/cols=%d seed=%d: [%d] = %d, want %d", rows, cols, rng.Seed, i, got, want)
						}
					}
				}
				out := kerneltest.Guarded(t, size(ldc))
				kernels.DequantizeRows(out, ldc, acc, lda, scale, rows, cols, -20, float32(math.Inf(1)))
				for i, got := range out {
					want := float32(0)
					if j := i % ldc; j < cols {
						want = max(-20, float32(acc[i/ldc*lda+j])*scale[j])
					}
					if got != want {
						t.Fatalf("rows=%d/cols=%d seed=%d: [%d] = %g, want %g", rows, cols, rng.Seed, i, got, want)
					}
				}
			}
		}
	})
}

func TestByteAdd(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(64)
		for _, n := range append([]int{0}, byteCounts...) {
			for _, r := range byteRanges {
				x, y, dst := guardedBytes(t, rng, n), guardedBytes(t, rng, n), kerneltest.GuardedOf[uint8](t, n)
				a := kernels.ByteAdd{XScale: 0.02, YScale: 0.013, Scale: 0.031, XZero: 128, YZero: 3, Range: r}
				a.Run(dst, x, y)
				for i := range dst {
					v, w := float32(int32(x[i])-128)*a.XScale, float32(int32(y[i])-3)*a.YScale
					if want := roundedByte(float32(v+w)/a.Scale, r); dst[i] != want {
						t.Fatalf("n=%d seed=%d: %d+%d = %d, want %d", n, rng.Seed, x[i], y[i], dst[i], want)
					}
				}
				a.Run(x, x, y)
				if !slices.Equal(x, dst) {
					t.Fatalf("n=%d: in place differs", n)
				}
			}
		}
	})
}

func TestByteTaps(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		rng := kerneltest.Rand(65)
		for _, c := range byteCounts {
			for _, count := range []int{1, 2, 9, kernels.MaxByteTaps} {
				src, dst := guardedBytes(t, rng, (count+1)*c), kerneltest.GuardedOf[uint8](t, c)
				taps := make([]int, count)
				for i := range taps {
					taps[i] = (count - i) * c // the last pixel ends at the guard page
				}
				kernels.MaxBytes(dst, src, taps)
				for i, got := range dst {
					want := uint8(0)
					for _, at := range taps {
						want = max(want, src[at+i])
					}
					if got != want {
						t.Fatalf("c=%d/taps=%d seed=%d: max[%d] = %d, want %d", c, count, rng.Seed, i, got, want)
					}
				}
				w, bias, scale := kerneltest.Guarded(t, count*c), guardedInt32(t, rng, c, 1<<20), kerneltest.Guarded(t, c)
				for i, v := range guardedInt8(t, rng, len(w)) {
					w[i] = float32(v)
				}
				for i := range scale {
					scale[i] = rng.Float32() * 0x1p-12
				}
				kernels.DepthwiseBytes(dst, src, taps, w, c, bias, scale, byteRanges[1])
				for i, got := range dst {
					s := bias[i]
					for k, at := range taps {
						s += int32(src[at+i]) * int32(w[k*c+i])
					}
					if want := roundedByte(float32(s)*scale[i], byteRanges[1]); got != want {
						t.Fatalf("c=%d/taps=%d seed=%d: depthwise[%d] = %d, want %d", c, count, rng.Seed, i, got, want)
					}
				}
			}
		}
	})
}

func TestDepthwiseByteRow(t *testing.T) {
	kerneltest.ForEachInt8(t, func(t *testing.T) {
		rng := kerneltest.Rand(66)
		for _, c := range append([]int{40, 95, 96, 97, 160}, byteCounts...) {
			for _, size := range [][4]int{{1, 1, 0, 1}, {1, 1, 3, 5}, {1, 2, 1, 2}, {1, 7, 1, 7}, {2, 1, 1, 3}, {2, 6, 0, 3}, {2, 7, 1, 4}, {2, 5, 5, 6}} {
				stride, width, left, pixels := size[0], size[1], size[2], size[3]
				d := kernels.NewDepthwiseByteRow(stride, c, width, left, pixels)
				if d == nil {
					if c >= 32 {
						t.Errorf("no kernel for %d channels", c)
					}
					continue
				}
				t.Run(fmt.Sprintf("c=%d/stride=%d/width=%d/left=%d/pixels=%d", c, stride, width, left, pixels), func(t *testing.T) {
					testDepthwiseByteRow(t, rng, d, c, stride, width, left, pixels)
				})
			}
		}
	})
}

func testDepthwiseByteRow(t *testing.T, rng *kerneltest.Random, d *kernels.DepthwiseByteRow, c, stride, width, left, pixels int) {
	w, bias, scale := make([]int8, 9*c), guardedInt32(t, rng, c, 1<<20), kerneltest.Guarded(t, c)
	copy(w, guardedInt8(t, rng, len(w)))
	for i := range scale {
		scale[i] = rng.Float32() * 0x1p-12
		if rng.IntN(16) == 0 {
			scale[i] = []float32{float32(math.NaN()), float32(math.Inf(1)), -3e38, 1e6}[rng.IntN(4)]
		}
	}
	o := kernels.DepthwiseByteOperands{Dst: kerneltest.GuardedOf[uint8](t, pixels*c), Src: guardedBytes(t, rng, 2*width*c), Pad: kerneltest.GuardedOf[uint8](t, width*c),
		Rows: [3]int{width * c, 0, -1}, Zero: 201, W: d.Pack(w, bias), Scale: kerneltest.Guarded(t, d.Lanes()), Range: byteRanges[1]}
	for i := range o.Pad {
		o.Pad[i] = o.Zero
	}
	d.PackScale(o.Scale, scale)
	d.Run(&o)
	for i, got := range o.Dst {
		p, k := i/c, i%c
		v := bias[k]
		for r, at := range o.Rows {
			for s := range 3 {
				x := o.Zero
				if col := p*stride - left + s; at >= 0 && col >= 0 && col < width {
					x = o.Src[at+col*c+k]
				}
				v += int32(x) * int32(w[9*k+3*r+s])
			}
		}
		if want := roundedByte(float32(v)*scale[k], o.Range); got != want {
			t.Fatalf("seed=%d: pixel %d channel %d = %d, want %d", rng.Seed, p, k, got, want)
		}
	}
}

func TestInt8Panics(t *testing.T) {
	r := kernels.ByteRange{Max: 255}
	b, x, acc := make([]uint8, 4), make([]float32, 4), make([]int32, 4)
	row := kernels.NewDepthwiseByteRow(1, 64, 1, 0, 1)
	for name, f := range map[string]func(){
		"QuantizeBytes: lengths differ":   func() { kernels.QuantizeBytes(b, x[:3], 1, r) },
		"QuantizeBytes: range":            func() { kernels.QuantizeBytes(b, x, 1, kernels.ByteRange{Min: 1}) },
		"DequantizeBytes: lengths differ": func() { kernels.DequantizeBytes(x[:3], b, 1, 0, false) },
		"RequantizeRows: sizes":           func() { kernels.RequantizeRows(b, 3, acc, 3, x, 2, 3, r) },
		"DequantizeRows: sizes":           func() { kernels.DequantizeRows(x, 2, acc, 2, x[:1], 2, 2, 0, 1) },
		"ByteAdd: lengths differ":         func() { (&kernels.ByteAdd{Range: r}).Run(b, b[:2], b) },
		"MaxBytes: tap out of range":      func() { kernels.MaxBytes(b[:2], b, []int{3}) },
		"DepthwiseBytes: short w":         func() { kernels.DepthwiseBytes(b[:2], b, []int{0, 2}, x[:3], 2, acc, x, r) },
		"NewDepthwiseByteRow: c, width":   func() { kernels.NewDepthwiseByteRow(1, 0, 1, 0, 1) },
		"DepthwiseByteRow.Pack: lengths":  func() { row.Pack(make([]int8, 9), acc) },
		"DepthwiseByteRow.Run: range of":  func() { row.Run(&kernels.DepthwiseByteOperands{Range: kernels.ByteRange{Min: -1}}) },
		"DepthwiseByteRow.Run: short Dst": func() { row.Run(&kernels.DepthwiseByteOperands{Range: r}) },
		"DepthwiseByteRow.Run: W or Scal": func() { row.Run(&kernels.DepthwiseByteOperands{Range: r, Dst: make([]uint8, 64)}) },
		"DepthwiseByteRow.Run: row out o": func() {
			row.Run(&kernels.DepthwiseByteOperands{Range: r, Dst: make([]uint8, 64), W: row.Pack(make([]int8, 9*64), make([]int32, 64)), Scale: make([]float32, 64)})
		},
		"GatherInt8: size": func() { (&kernels.GatherInt8{MR: 1, NR: 1, Quads: 1}).Run() },
		"GatherInt8.RunBytes: sizes": func() {
			(&kernels.GatherInt8{MR: 1, NR: 1, Quads: 1, Offsets: acc[:1], Rows: acc, Bias: acc, Acc: acc, A: b, B: make([]int8, 4)}).RunBytes(b, 1, x, 5, 1, r)
		},
		"GatherInt8: short Rows": func() { (&kernels.GatherInt8{MR: 1, NR: 1, Quads: 1, Offsets: acc}).Run() },
		"GatherInt8: short A or B": func() {
			(&kernels.GatherInt8{MR: 1, NR: 1, Quads: 1, Offsets: acc[:1], Rows: acc, Bias: acc, Acc: acc, A: b, B: make([]int8, 3)}).Run()
		},
	} {
		mustPanic(t, "kernels."+name, f)
	}
}

// BenchmarkDepthwiseByteRow reports multiplications of bytes per nanosecond.
func BenchmarkDepthwiseByteRow(b *testing.B) {
	const c, pixels = 192, 28
	for _, stride := range []int{1, 2} {
		b.Run(fmt.Sprintf("stride=%d", stride), func(b *testing.B) {
			width := pixels * stride
			d := kernels.NewDepthwiseByteRow(stride, c, width, 1, pixels)
			o := kernels.DepthwiseByteOperands{Dst: make([]uint8, pixels*c), Src: make([]uint8, width*c), W: d.Pack(make([]int8, 9*c), make([]int32, c)),
				Scale: make([]float32, d.Lanes()), Range: kernels.ByteRange{Max: 255}}
			for b.Loop() {
				d.Run(&o)
			}
			b.ReportMetric(float64(9*pixels*c)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "mul/ns")
		})
	}
}

// BenchmarkGatherInt8 reports multiplications of bytes per nanosecond.
func BenchmarkGatherInt8(b *testing.B) {
	heights, nr, _ := kernels.GatherInt8Tiles()
	mr, quads := heights[0], 144
	g := kernels.GatherInt8{MR: mr, NR: nr, Quads: quads, A: make([]uint8, mr*4*quads), B: make([]int8, 4*quads*nr), Bias: make([]int32, nr),
		Acc: make([]int32, mr*nr), Rows: make([]int32, mr), Offsets: make([]int32, 1)}
	for i := range g.Rows {
		g.Rows[i] = int32(4 * i * quads)
	}
	for b.Loop() {
		g.Run()
	}
	b.ReportMetric(float64(4*quads*mr*nr)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "mul/ns")
}
