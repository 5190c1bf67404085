package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// rowShapes have channels below, at and beside the vector lengths and the width
// at which rows are taken one by one (64), and rows that leave every remainder
// of a group and a part of a widened row. The last ones take several chunks.
var rowShapes = [][2]int{
	{0, 5}, {5, 0}, {1, 1}, {1, 3}, {2, 7}, {3, 8}, {4, 15}, {5, 16}, {6, 17}, {7, 31}, {9, 32}, {33, 3}, {65, 1},
	{50, 10}, {7, 63}, {8, 64}, {9, 65}, {11, 127}, {6, 130}, {33, 256}, {35, 257}, {3, 1000}, {10945, 3}, {40000, 3}, {1301, 64}, {501, 100}, {17, 2050},
}

// shortRowShapes end with shapes of just two chunks, of 2^15 elements.
var shortRowShapes = append(rowShapes[:len(rowShapes)-4:len(rowShapes)-4], [][2]int{{11000, 3}, {520, 64}, {340, 100}, {17, 2050}}...)

func eachRowShape(t *testing.T, f func(t *testing.T, rows, c int, rng *kerneltest.Random)) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		shapes := rowShapes
		if testing.Short() {
			shapes = shortRowShapes
		}
		for _, s := range shapes {
			t.Run(fmt.Sprintf("rows=%d/c=%d", s[0], s[1]), func(t *testing.T) {
				f(t, s[0], s[1], kerneltest.Rand(uint64(s[0]*10000+s[1])))
			})
		}
	})
}

func TestBiasActivateAndBatchNormApply(t *testing.T) {
	eachRowShape(t, func(t *testing.T, rows, c int, rng *kerneltest.Random) {
		n := rows * c
		guard := func(x []float32) []float32 { return kerneltest.GuardedCopy(t, x) }
		x, y := guard(rng.WithSpecials(n)), guard(rng.Slice(n))
		scale, shift := guard(rng.Slice(c)), guard(rng.Slice(c))
		dst, want, z := kerneltest.Guarded(t, n), make([]float32, n), make([]float32, n)
		for act := kernels.Identity; act <= kernels.ELU; act++ {
			check := func(name string) {
				t.Helper()
				kernels.Activate(act, want, z)
				// A rounding or two of z, up to 4, where the tier does not fuse, and the
				// activation's slope of at most 1.5.
				kerneltest.Close(t, fmt.Sprintf("%s/act=%v", name, act), dst, want, 8*kerneltest.Eps, 8*kerneltest.Eps)
			}
			for i := range z {
				z[i] = x[i] + shift[i%c]
			}
			kernels.BiasActivate(act, dst, x, shift, rows, c)
			check("bias")
			for i := range z {
				z[i] = float32(float64(x[i])*float64(scale[i%c]) + float64(shift[i%c]))
			}
			kernels.BatchNormApply(act, dst, x, scale, shift, rows, c)
			check("apply")
			for i := range z {
				z[i] = float32(float64(x[i])*float64(scale[i%c]) + float64(shift[i%c]) + float64(y[i]))
			}
			copy(dst, y)
			kernels.BatchNormApplyAdd(act, dst, x, dst, scale, shift, rows, c)
			check("residual")
		}
	})
}

func TestSumRowsAndStats(t *testing.T) {
	eachRowShape(t, func(t *testing.T, rows, c int, rng *kerneltest.Random) {
		n := rows * c
		x := kerneltest.GuardedCopy(t, rng.Normal(n))
		const mean = 100 // many times the deviation
		for i := range x {
			x[i] += mean
		}
		sums, wantSums := kerneltest.Guarded(t, c), make([]float32, c)
		means, variances := kerneltest.Guarded(t, c), kerneltest.Guarded(t, c)
		wantMeans, wantVariances := make([]float32, c), make([]float32, c)
		for j := range c {
			sums[j] = 1
			total := 0.0
			for i := range rows {
				total += float64(x[i*c+j])
			}
			wantSums[j] = float32(1 + total)
			m, v := total/float64(rows), 0.0
			for i := range rows {
				d := float64(x[i*c+j]) - m
				v += d * d
			}
			wantMeans[j], wantVariances[j] = float32(m), float32(v/float64(rows))
		}
		kernels.SumRows(sums, x, rows, c)
		kerneltest.Close(t, "sums", sums, wantSums, 0, (float64(rows)/64+2048)*kerneltest.Eps)
		if rows == 0 {
			return
		}
		kernels.BatchNormStats(means, variances, x, rows, c)
		// Sums of x minus a row, which is within a few deviations of the mean.
		kerneltest.Close(t, "mean", means, wantMeans, 0, 4*kerneltest.Eps)
		kerneltest.Close(t, "variance", variances, wantVariances, 1e-5, 1e-5)
	})
}

// normRef is batch norm in float64: y before the activation, from x, and the
// gradients for g.
func normRef(x, g, gamma, beta []float32, rows, c int, eps float64) (y, dx, dgamma, dbeta []float64) {
	y, dx = make([]float64, rows*c), make([]float64, rows*c)
	dgamma, dbeta = make([]float64, c), make([]float64, c)
	n := float64(rows)
	for j := range c {
		mean, variance := 0.0, 0.0
		for i := range rows {
			mean += float64(x[i*c+j]) / n
		}
		for i := range rows {
			d := float64(x[i*c+j]) - mean
			variance += d * d / n
		}
		inverse := 1 / math.Sqrt(variance+eps)
		for i := range rows {
			hat := (float64(x[i*c+j]) - mean) * inverse
			y[i*c+j] = hat*float64(gamma[j]) + float64(beta[j])
			dbeta[j] += float64(g[i*c+j])
			dgamma[j] += float64(g[i*c+j]) * hat
		}
		for i := range rows {
			hat := (float64(x[i*c+j]) - mean) * inverse
			dx[i*c+j] = float64(gamma[j]) * inverse * (float64(g[i*c+j]) - dbeta[j]/n - hat*dgamma[j]/n)
		}
	}
	return y, dx, dgamma, dbeta
}

func toFloat32(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func TestBatchNormBackward(t *testing.T) {
	const eps = 1e-3
	eachRowShape(t, func(t *testing.T, rows, c int, rng *kerneltest.Random) {
		if rows < 2 {
			return // the variance is 0
		}
		n := rows * c
		x, dy, y := rng.Normal(n), rng.Slice(n), rng.Slice(n)
		kernels.Scale(8, y)
		gamma, beta := rng.Slice(c), rng.Slice(c)
		mean, variance := make([]float32, c), make([]float32, c)
		kernels.BatchNormStats(mean, variance, x, rows, c)
		for _, act := range []kernels.Activation{kernels.Identity, kernels.ReLU, kernels.ReLU6} {
			g := make([]float32, n)
			kernels.ActivateGrad(act, g, dy, y)
			_, wantDX, wantGamma, wantBeta := normRef(x, g, gamma, beta, rows, c, eps)
			for _, residual := range []bool{false, true} {
				b := kernels.BatchNormGrad{
					Act: act, DY: kerneltest.GuardedCopy(t, dy), X: kerneltest.GuardedCopy(t, x), Y: kerneltest.GuardedCopy(t, y),
					Gamma: gamma, Mean: mean, Variance: variance, Eps: eps,
					DX: kerneltest.Guarded(t, n), DGamma: make([]float32, c), DBeta: make([]float32, c),
				}
				if residual {
					b.DRes = b.DY
				} else {
					b.DX = b.DY
				}
				kernels.BatchNormBackward(&b, rows, c)
				name := fmt.Sprintf("act=%v/residual=%v", act, residual)
				if residual {
					kerneltest.Close(t, name+"/dres", b.DRes, g, 0, 0)
				}
				// Sums of rows terms below 4 in chunks of at most 32768, whose
				// errors mostly cancel; the deviation is at least 0.03 = sqrt(eps).
				tol := 4 * kerneltest.Eps * (16 + math.Sqrt(float64(rows))*4)
				kerneltest.Close(t, name+"/dgamma", b.DGamma, toFloat32(wantGamma), tol*30, tol)
				kerneltest.Close(t, name+"/dbeta", b.DBeta, toFloat32(wantBeta), tol, tol)
				kerneltest.Close(t, name+"/dx", b.DX, toFloat32(wantDX), 1e-5, 2e-5)
			}
		}
	})
}

// TestBatchNormGradient checks the reference itself, and so the formula, by
// central differences of sum(g*y) with random g.
func TestBatchNormGradient(t *testing.T) {
	const rows, c, eps, seed, h = 7, 3, 1e-3, 11, 1e-3
	rng := kerneltest.Rand(seed)
	x, g, gamma, beta := rng.Normal(rows*c), rng.Slice(rows*c), rng.Slice(c), rng.Slice(c)
	value := func() float64 {
		y, _, _, _ := normRef(x, g, gamma, beta, rows, c, eps)
		total := 0.0
		for i, v := range y {
			total += v * float64(g[i])
		}
		return total
	}
	_, dx, dgamma, dbeta := normRef(x, g, gamma, beta, rows, c, eps)
	for name, p := range map[string]struct {
		x    []float32
		want []float64
	}{"x": {x, dx}, "gamma": {gamma, dgamma}, "beta": {beta, dbeta}} {
		for i := range p.x {
			old := p.x[i]
			p.x[i] = old + h
			step, up := float64(p.x[i]), value()
			p.x[i] = old - h
			step, down := step-float64(p.x[i]), value()
			p.x[i] = old
			// Off by h^2 times the third derivative, below 10.
			if got := (up - down) / step; math.Abs(got-p.want[i]) > 1e-5+10*h*h {
				t.Errorf("seed=%d: d%s[%d] = %v, differences give %v", seed, name, i, p.want[i], got)
			}
		}
	}
}

func TestRowsThreads(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		const rows, c = 20011, 24
		rng := kerneltest.Rand(3)
		x, dy := rng.Normal(rows*c), rng.Slice(rows*c)
		var first [][]float32
		for _, procs := range []int{1, 2, 5} {
			withProcs(t, procs, func() {
				vector := func() []float32 { return make([]float32, c) }
				sums, mean, variance := vector(), vector(), vector()
				kernels.SumRows(sums, x, rows, c)
				kernels.BatchNormStats(mean, variance, x, rows, c)
				b := kernels.BatchNormGrad{Act: kernels.ReLU, DY: dy, X: x, Y: x, Gamma: mean, Mean: mean, Variance: variance,
					DX: make([]float32, rows*c), DGamma: vector(), DBeta: vector()}
				kernels.BatchNormBackward(&b, rows, c)
				results := [][]float32{sums, mean, variance, b.DX, b.DGamma, b.DBeta}
				if first == nil {
					first = results
				}
				for i, r := range results {
					kerneltest.Close(t, fmt.Sprintf("threads=%d/result=%d", procs, i), r, first[i], 0, 0)
				}
			})
		}
	})
}

// TestRowsInMemory makes maps count as larger than the caches: streamed stores and
// prefetches change no bit.
func TestRowsInMemory(t *testing.T) {
	run := func(rows, c int) [][]float32 {
		rng := kerneltest.Rand(5)
		n := rows * c
		x, y, dy := kerneltest.GuardedCopy(t, rng.Normal(n)), rng.Normal(n), kerneltest.GuardedCopy(t, rng.Slice(n))
		vector := func() []float32 { return rng.Slice(c) }
		mean, variance, sums := vector(), vector(), vector()
		kernels.BatchNormStats(mean, variance, x, rows, c)
		kernels.SumRows(sums, x, rows, c)
		results := [][]float32{mean, variance, sums}
		result := func() []float32 {
			results = append(results, kerneltest.Guarded(t, n))
			return results[len(results)-1]
		}
		scale, shift := vector(), vector()
		kernels.BiasActivate(kernels.ReLU, result(), x, shift, rows, c)
		kernels.BatchNormApply(kernels.ReLU6, result(), x, scale, shift, rows, c)
		kernels.BatchNormApply(kernels.SiLU, result(), x, scale, shift, rows, c)
		kernels.BatchNormApplyAdd(kernels.Identity, result(), x, y, scale, shift, rows, c)
		for _, act := range []kernels.Activation{kernels.Identity, kernels.ReLU} {
			for _, dres := range [][]float32{nil, result()} {
				b := kernels.BatchNormGrad{Act: act, DY: dy, X: x, Y: y, Gamma: scale, Mean: mean, Variance: variance, Eps: 1e-3,
					DX: result(), DRes: dres, DGamma: vector(), DBeta: vector()}
				kernels.BatchNormBackward(&b, rows, c)
				results = append(results, b.DGamma, b.DBeta)
			}
		}
		g := kernels.NewGatedNorm(1, rows, c, kernels.ReLU)
		g.Stats(mean, variance, vector(), x)
		g.Apply(result(), x, y, scale, shift)
		g.GradApply(result(), result(), dy, x, y, mean, scale, scale, shift)
		return results
	}
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, s := range [][2]int{{3, 16}, {70, 64}, {300, 8}, {40, 256}, {33, 264}, {50, 512}, {9, 65}} {
			want := run(s[0], s[1])
			restore := kernels.WithoutCaches()
			got := run(s[0], s[1])
			restore()
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("rows=%d/c=%d: result %d differs", s[0], s[1], i)
				}
			}
		}
	})
}

func TestTransposes(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, s := range [][4]int{
			{1, 1, 1, 1}, {2, 3, 5, 7}, {1, 3, 32, 32}, {2, 16, 4, 4}, {1, 17, 3, 11}, {3, 8, 8, 2}, {1, 64, 9, 9},
			{2, 65, 8, 8}, {1, 15, 1, 31}, {1, 130, 13, 5}, {4, 1, 6, 6}, {2, 33, 1, 1}, {0, 3, 4, 4},
			{2, 80, 8, 12}, {1, 144, 4, 40}, {3, 32, 16, 17}, {2, 48, 5, 16},
		} {
			testTransposes(t, s[0], s[1], s[2], s[3])
			restore := kernels.WithoutCaches() // streams where sizes and alignment allow it
			testTransposes(t, s[0], s[1], s[2], s[3])
			restore()
		}
	})
}

func testTransposes(t *testing.T, n, c, h, w int) {
	name := fmt.Sprintf("n=%d/c=%d/h=%d/w=%d", n, c, h, w)
	x := kerneltest.GuardedCopy(t, kerneltest.Rand(5).Slice(n*c*h*w))
	nhwc, back := kerneltest.Guarded(t, len(x)), kerneltest.GuardedStart(t, len(x))
	kernels.NCHWToNHWC(nhwc, x, n, c, h, w)
	kerneltest.Close(t, name, nhwc, kerneltest.ToNHWC(x, n, c, h, w), 0, 0)
	kernels.NHWCToNCHW(back, nhwc, n, c, h, w)
	kerneltest.Close(t, name+"/back", back, x, 0, 0)
}

// TestOptimizers compares Adam and RMSprop with their formulas in float64 over
// some steps.
func TestOptimizers(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 7, 16, 33, 100} {
			for _, decoupled := range []bool{false, true} {
				testAdam(t, n, decoupled)
			}
			for _, p := range []kernels.RMSpropParams{
				{LR: 0.01, Alpha: 0.9, Eps: 1e-6, WeightDecay: 0.1},
				{LR: 0.01, Alpha: 0.9, Eps: 1e-6, Momentum: 0.8, Centered: true},
			} {
				testRMSprop(t, n, p)
			}
		}
	})
}

func testAdam(t *testing.T, n int, decoupled bool) {
	rng := kerneltest.Rand(uint64(n))
	w, m, v := kerneltest.GuardedCopy(t, rng.Slice(n)), kerneltest.Guarded(t, n), kerneltest.Guarded(t, n)
	ref, refM, refV := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w {
		ref[i] = float64(w[i])
	}
	p := kernels.AdamParams{LR: 0.01, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, Decoupled: decoupled}
	for p.Step = 1; p.Step <= 5; p.Step++ {
		g := kerneltest.GuardedCopy(t, rng.Slice(n))
		kernels.Adam(w, m, v, g, p)
		for i := range ref {
			d := float64(g[i])
			if decoupled {
				ref[i] *= 1 - p.LR*p.WeightDecay
			} else {
				d += p.WeightDecay * ref[i]
			}
			refM[i] = p.Beta1*refM[i] + (1-p.Beta1)*d
			refV[i] = p.Beta2*refV[i] + (1-p.Beta2)*d*d
			hat := refV[i] / (1 - math.Pow(p.Beta2, float64(p.Step)))
			ref[i] -= p.LR / (1 - math.Pow(p.Beta1, float64(p.Step))) * refM[i] / (math.Sqrt(hat) + p.Eps)
		}
	}
	// Some roundings of the weight per step; m may cancel, but moves w by 1 % of it.
	kerneltest.Close(t, fmt.Sprintf("adam/n=%d/decoupled=%v", n, decoupled), w, toFloat32(ref), 1e-6, 1e-6)
}

func testRMSprop(t *testing.T, n int, p kernels.RMSpropParams) {
	rng := kerneltest.Rand(uint64(n))
	w, s := kerneltest.GuardedCopy(t, rng.Slice(n)), kerneltest.Guarded(t, n)
	a, v := kerneltest.Guarded(t, n), kerneltest.Guarded(t, n)
	ref, refS, refA, refV := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w {
		ref[i] = float64(w[i])
	}
	for range 5 {
		g := kerneltest.GuardedCopy(t, rng.Slice(n))
		kernels.RMSprop(w, s, a, v, g, p)
		for i := range ref {
			d := float64(g[i]) + p.WeightDecay*ref[i]
			refS[i] = p.Alpha*refS[i] + (1-p.Alpha)*d*d
			root := refS[i]
			if p.Centered {
				refA[i] = p.Alpha*refA[i] + (1-p.Alpha)*d
				root -= refA[i] * refA[i]
			}
			refV[i] = p.Momentum*refV[i] + d/(math.Sqrt(root)+p.Eps)
			ref[i] -= p.LR * refV[i]
		}
	}
	// As for Adam; centred, the root loses up to four bits.
	kerneltest.Close(t, fmt.Sprintf("rmsprop/n=%d/%+v", n, p), w, toFloat32(ref), 1e-5, 1e-5)
}

func TestRowsAllocateNothing(t *testing.T) {
	rows, c := 4000, 24
	if testing.Short() {
		rows = 2000
	}
	x, y, v := make([]float32, rows*c), make([]float32, rows*c), make([]float32, c)
	b := kernels.BatchNormGrad{DY: x, X: x, Gamma: v, Mean: v, Variance: v, Eps: 1, DX: y, DGamma: make([]float32, c), DBeta: make([]float32, c)}
	for name, f := range map[string]func(){
		"Add":       func() { kernels.Add(y, x, x) },
		"Activate":  func() { kernels.Activate(kernels.SiLU, y, x) },
		"Softmax":   func() { kernels.Softmax(y, x, rows, c) },
		"LogSoft":   func() { kernels.LogSoftmax(y, x, rows, c) },
		"Bias":      func() { kernels.BiasActivate(kernels.ReLU, y, x, v, rows, c) },
		"SumRows":   func() { kernels.SumRows(v, x, rows, c) },
		"Stats":     func() { kernels.BatchNormStats(v, v[:c:c], x, rows, c) },
		"Backward":  func() { kernels.BatchNormBackward(&b, rows, c) },
		"Transpose": func() { kernels.NCHWToNHWC(y, x, rows/1000, c, 10, 100) },
		"Adam":      func() { kernels.Adam(y, x, x, x, kernels.AdamParams{Step: 1, Beta1: 0.9, Beta2: 0.9}) },
	} {
		if allocs := kerneltest.AllocsPerRun(50, f); allocs >= 1 {
			t.Errorf("%s: %g allocations per call", name, allocs)
		}
	}
}

// TestCopyBlock copies blocks around the vector and strip lengths between guard
// pages, and checks that the gaps between rows of dst are left alone.
func TestCopyBlock(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		for _, cols := range []int{0, 1, 3, 4, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129} {
			for _, s := range [][3]int{{1, 0, 0}, {2, 0, 5}, {7, 3, 0}, {12, 1, 17}} { // rows, gaps of dst and src
				rows, ldd, lds := s[0], cols+s[1], cols+s[2]
				name := fmt.Sprintf("rows=%d/cols=%d/ldd=%d/lds=%d", rows, cols, ldd, lds)
				src := kerneltest.GuardedCopy(t, kerneltest.Rand(6).Slice((rows-1)*lds+cols))
				old := kerneltest.Rand(7).Slice((rows-1)*ldd + cols)
				dst, want := kerneltest.GuardedCopy(t, old), slices.Clone(old)
				for i := range rows {
					copy(want[i*ldd:][:cols], src[i*lds:])
				}
				kernels.CopyBlock(dst, ldd, src, lds, rows, cols)
				kerneltest.Close(t, name, dst, want, 0, 0)
			}
		}
	})
	for _, f := range []func(){
		func() { kernels.CopyBlock(make([]float32, 5), 4, make([]float32, 8), 4, 2, 4) },
		func() { kernels.CopyBlock(make([]float32, 8), 4, make([]float32, 7), 4, 2, 4) },
		func() { kernels.CopyBlock(make([]float32, 8), 3, make([]float32, 8), 4, 2, 4) },
	} {
		mustPanic(t, "kernels.CopyBlock: ", f)
	}
}
