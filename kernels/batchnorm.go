package kernels

import "math"

// BatchNormStats computes the mean and the biased variance of each of the c
// columns of x, a matrix of rows > 0 rows. It makes one pass over x: each chunk
// of rows is summed relative to its first row, and the chunks are combined in
// float64, so a large mean costs no accuracy. It runs on all threads.
func BatchNormStats(mean, variance, x []float32, rows, c int) {
	checkRows("BatchNormStats", rows, c, x)
	checkPerChannel("BatchNormStats", c, mean, variance)
	if rows == 0 {
		panic("kernels.BatchNormStats: no rows")
	}
	if c == 0 {
		return
	}
	rep := widening(rows, c)
	j := newRowsJob(rowsMoments, (rows+rep-1)/rep, rep*c)
	j.x = x
	buffer, chunks := j.reduceRows(2)
	for k := 0; k < c; k += momentBlock {
		end := min(k+momentBlock, c)
		j.combineMoments(mean[k:end], variance[k:end], buffer.s, chunks, k, c, rows)
	}
	scratch.Put(buffer)
	j.free()
}

// momentBlock is how many channels are combined together: enough to read partial
// sums by the line.
const momentBlock = 64

// combineMoments sets the mean and variance of the channels from first on, of c,
// from the partial sums s = sum(x-shift), q = sum((x-shift)^2) of the wide columns
// that belong to each: the sum of squares about the mean is, summed over the parts
// of m elements, q - s^2/m and m*(mean of the part - mean)^2.
func (j *rowsJob) combineMoments(mean, variance, partials []float32, chunks, first, c, rows int) {
	var means, squares [momentBlock]float64
	for i := range chunks {
		from, full, end := j.chunkRange(i, len(j.x))
		for col := first; col < j.c; col += c {
			p := part{whole: (full - from) / j.c, cut: end - full - col, s: partials[2*i*j.c+col:][:len(mean)], x: j.x[min(from+col, len(j.x)):]}
			p.addSums(&means)
		}
	}
	for k := range mean {
		means[k] /= float64(rows)
		mean[k] = float32(means[k])
	}
	for i := range chunks {
		from, full, end := j.chunkRange(i, len(j.x))
		for col := first; col < j.c; col += c {
			p := part{whole: (full - from) / j.c, cut: end - full - col, s: partials[2*i*j.c+col:][:len(mean)], x: j.x[min(from+col, len(j.x)):]}
			p.addSquares(&squares, &means, partials[(2*i+1)*j.c+col:][:len(mean)])
		}
	}
	for k := range variance {
		// Below 0 by rounding, where all elements are nearly the same.
		variance[k] = float32(max(0, squares[k]/float64(rows)))
	}
}

// A part is some columns of a chunk: whole rows and one cut to so many of them, the
// sums s relative to the first row x.
type part struct {
	whole, cut int
	s, x       []float32
}

// columns returns the columns that have n rows, n > 0: from lo to hi-1. Those before
// the cut have one row more than the others.
func (p *part) columns(behindCut bool) (lo, hi, n int) {
	cut := min(max(p.cut, 0), len(p.s))
	if behindCut {
		if p.whole == 0 {
			return 0, 0, 0
		}
		return cut, len(p.s), p.whole
	}
	return 0, cut, p.whole + 1
}

// addSums adds the sums of the elements.
func (p *part) addSums(means *[momentBlock]float64) {
	for _, behindCut := range [...]bool{false, true} {
		lo, hi, n := p.columns(behindCut)
		if lo == hi {
			continue
		}
		m, s, x, out := float64(n), p.s[lo:hi], p.x[lo:hi], means[lo:hi]
		for k, v := range s {
			out[k] += float64(v) + m*float64(x[k])
		}
	}
}

// addSquares adds the sums of squares about the means; q are those about x.
func (p *part) addSquares(squares, means *[momentBlock]float64, q []float32) {
	for _, behindCut := range [...]bool{false, true} {
		lo, hi, n := p.columns(behindCut)
		if lo == hi {
			continue
		}
		m, inverse := float64(n), 1/float64(n)
		s, x, q, mean, out := p.s[lo:hi], p.x[lo:hi], q[lo:hi], means[lo:hi], squares[lo:hi]
		for k, v := range s {
			part := float64(v) * inverse
			d := float64(x[k]) + part - mean[k]
			out[k] += float64(q[k]) - part*float64(v) + m*d*d
		}
	}
}

// BatchNormFold turns the statistics and parameters of a batch norm into the
// scale and shift of [BatchNormApply]: scale = gamma/sqrt(variance+eps), shift =
// beta - mean*scale, computed in float64.
func BatchNormFold(scale, shift, gamma, beta, mean, variance []float32, eps float32) {
	checkPerChannel("BatchNormFold", len(scale), shift, gamma, beta, mean, variance)
	for k := range scale {
		s := float64(gamma[k]) / math.Sqrt(float64(variance[k])+float64(eps))
		scale[k] = float32(s)
		shift[k] = float32(float64(beta[k]) - float64(mean[k])*s)
	}
}

// BatchNormUpdate moves the running statistics towards those of a batch of rows
// rows, as PyTorch does: running += momentum*(batch - running), where the batch
// variance is made unbiased by rows/(rows-1); for one row it is left as it is.
func BatchNormUpdate(runningMean, runningVar, mean, variance []float32, rows int, momentum float32) {
	checkPerChannel("BatchNormUpdate", len(mean), runningMean, runningVar, variance)
	unbias := 1.0
	if rows > 1 {
		unbias = float64(rows) / float64(rows-1)
	}
	m := float64(momentum)
	for k := range mean {
		runningMean[k] = float32((1-m)*float64(runningMean[k]) + m*float64(mean[k]))
		runningVar[k] = float32((1-m)*float64(runningVar[k]) + m*unbias*float64(variance[k]))
	}
}

// BatchNormApply computes dst[i*c+j] = act(x[i*c+j]*scale[j] + shift[j]) for i <
// rows. dst may be x. The product and sum are fused where the ISA has FMA; act
// has the contract of [Activate]. It runs on all threads.
func BatchNormApply(act Activation, dst, x, scale, shift []float32, rows, c int) {
	checkActivation("BatchNormApply", act)
	checkRows("BatchNormApply", rows, c, dst, x)
	checkPerChannel("BatchNormApply", c, scale, shift)
	scaleShift(act, dst, x, nil, scale, shift, rows, c)
}

// BatchNormApplyAdd is [BatchNormApply] with a residual: dst = act(x*scale +
// shift + residual). dst may be x or residual.
func BatchNormApplyAdd(act Activation, dst, x, residual, scale, shift []float32, rows, c int) {
	checkActivation("BatchNormApplyAdd", act)
	checkRows("BatchNormApplyAdd", rows, c, dst, x, residual)
	checkPerChannel("BatchNormApplyAdd", c, scale, shift)
	scaleShift(act, dst, x, residual, scale, shift, rows, c)
}

// BatchNormGrad holds the operands of [BatchNormBackward]. Maps have rows*c
// elements, vectors c.
type BatchNormGrad struct {
	// Act is the activation after the batch norm: Identity, ReLU or ReLU6.
	Act Activation
	DY  []float32 // gradient of the activation's result
	X   []float32 // input of the forward pass
	Y   []float32 // the activation's result; not needed for Identity

	Gamma          []float32
	Mean, Variance []float32 // of the batch, as BatchNormStats computed them
	Eps            float32

	DX     []float32 // receives the gradient of X; may be DY
	DRes   []float32 // if not nil, receives that of a residual added before Act; may be DY if DX is not
	DGamma []float32 // the gradient is added to it
	DBeta  []float32 // the gradient is added to it
}

// BatchNormBackward computes the gradients of y = act((x-mean)/sqrt(variance +
// eps)*gamma + beta + residual) in training, where mean and variance depend on
// x. With g = dy*act' and xhat = (x-mean)/sqrt(variance+eps),
//
//	dbeta  += sum g
//	dgamma += sum g*xhat
//	dx      = gamma/sqrt(variance+eps) * (g - mean(g) - xhat*mean(g*xhat))
//	dres    = g
//
// in two passes over the maps: sums, then dx. act' is 0 at a bound of act, see
// [ActivateGrad]. It runs on all threads.
func BatchNormBackward(b *BatchNormGrad, rows, c int) {
	if !activationIsClamp(b.Act) {
		panic("kernels.BatchNormBackward: activation is not Identity, ReLU or ReLU6")
	}
	checkRows("BatchNormBackward", rows, c, b.DY, b.X, b.DX)
	if b.Act != Identity {
		checkRows("BatchNormBackward", rows, c, b.Y)
	}
	if b.DRes != nil {
		checkRows("BatchNormBackward", rows, c, b.DRes)
	}
	checkPerChannel("BatchNormBackward", c, b.Gamma, b.Mean, b.Variance, b.DGamma, b.DBeta)
	if rows*c == 0 {
		return
	}
	rep := widening(rows, c)
	j := newRowsJob(rowsGradSums, (rows+rep-1)/rep, rep*c)
	j.act, j.x, j.y, j.z = b.Act, b.X, b.DY, b.Y
	j.lo, j.hi = 0, notANumber
	if b.Act == ReLU6 {
		j.hi = 6
	}
	j.widen(0, b.Mean, rep)
	buffer, chunks := j.reduceRows(2)
	factors := getScratch(3 * c)
	j.gradFactors(b, buffer.s, factors.s, chunks, rows, c)
	for i := range 3 {
		j.widen(i+1, factors.s[i*c:(i+1)*c], rep)
	}
	j.kind, j.dst, j.dst2 = rowsGradApply, b.DX, b.DRes
	if b.DRes == nil {
		// What the sums left of X and DY in the last-level cache is worth more than DX
		// there. DRes is as a rule DY, whose lines are at hand.
		j.how = StoreFor(3 * rows * c)
	}
	Parallel(j.rows, j.grain(), j.run)
	scratch.Put(factors)
	scratch.Put(buffer)
	j.free()
}

// gradFactors adds up the partial sums of g and g*(x-mean), updates dbeta and
// dgamma, and sets factors to the three vectors of dx = f0*g + f1*(x-mean) + f2.
func (j *rowsJob) gradFactors(b *BatchNormGrad, partials, factors []float32, chunks, rows, c int) {
	for first := 0; first < c; first += momentBlock {
		var sum, dot [momentBlock]float64
		n := min(momentBlock, c-first)
		for i := range chunks {
			for col := first; col < j.c; col += c {
				s, d := partials[2*i*j.c+col:][:n], partials[(2*i+1)*j.c+col:][:n]
				for k, v := range s {
					sum[k] += float64(v)
					dot[k] += float64(d[k])
				}
			}
		}
		for k := first; k < first+n; k++ {
			sum, dot := sum[k-first], dot[k-first]
			inverse := 1 / math.Sqrt(float64(b.Variance[k])+float64(b.Eps))
			b.DBeta[k] += float32(sum)
			b.DGamma[k] += float32(dot * inverse)
			f := float64(b.Gamma[k]) * inverse
			factors[k] = float32(f)
			factors[c+k] = float32(-f * inverse * inverse * dot / float64(rows))
			factors[2*c+k] = float32(-f * sum / float64(rows))
		}
	}
}

// gradApply handles wide rows lo to hi of the second pass, the last first, as
// scaleShift does.
func (j *rowsJob) gradApply(lo, hi int) {
	step := max(1, mapBlock/j.c)
	for ; hi > lo; hi -= step {
		from, to := max(lo, hi-step)*j.c, min(hi*j.c, len(j.x))
		full := from + (to-from)/j.c*j.c
		if full > from {
			j.gradApplyBlock(from, full, j.c)
		}
		if to > full {
			j.gradApplyBlock(full, to, to-full)
		}
	}
}

// gradApplyBlock handles the elements from to to-1, which are rows of c columns.
func (j *rowsJob) gradApplyBlock(from, to, c int) {
	dx, dy, x := j.dst[from:to], j.y[from:to], j.x[from:to]
	mean, f0, f1, f2 := j.p[0][:c], j.p[1][:c], j.p[2][:c], j.p[3][:c]
	switch {
	case j.act == Identity:
		if j.dst2 != nil {
			copy(j.dst2[from:to], dy)
		}
		rowsGradPlain(dx, dy, x, mean, f0, f1, f2, j.how)
	case j.dst2 == nil:
		rowsGradGated(dx, dy, x, j.z[from:to], mean, f0, f1, f2, j.lo, j.hi, j.how)
	default:
		rowsGradRes(dx, j.dst2[from:to], dy, x, j.z[from:to], mean, f0, f1, f2, j.lo, j.hi, j.how)
	}
}

// rowsGradPlainGeneric computes dx = f0*dy + f1*(x-mean) + f2 over rows of
// len(mean) columns.
func rowsGradPlainGeneric(dx, dy, x, mean, f0, f1, f2 []float32) {
	c := len(mean)
	for i := 0; i < len(x); i += c {
		d, g, v := dx[i:i+c], dy[i:i+c], x[i:i+c]
		for k, m := range mean {
			d[k] = f0[k]*g[k] + f1[k]*(v[k]-m) + f2[k]
		}
	}
}

// rowsGradGatedGeneric is rowsGradPlainGeneric with 0 for dy where y <= lo
// or y >= hi.
func rowsGradGatedGeneric(dx, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32) {
	c := len(mean)
	for i := range x {
		g, k := dy[i], i%c
		if y[i] <= lo || y[i] >= hi {
			g = 0
		}
		dx[i] = f0[k]*g + f1[k]*(x[i]-mean[k]) + f2[k]
	}
}

// rowsGradResGeneric also stores the gated gradient in dres.
func rowsGradResGeneric(dx, dres, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32) {
	c := len(mean)
	for i := range x {
		g, k := dy[i], i%c
		if y[i] <= lo || y[i] >= hi {
			g = 0
		}
		v := x[i]
		dres[i] = g
		dx[i] = f0[k]*g + f1[k]*(v-mean[k]) + f2[k]
	}
}
