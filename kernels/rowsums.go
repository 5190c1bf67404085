package kernels

import "sync"

// Column sums over the rows of a feature map, on all threads. The rows are cut
// into chunks by shape alone; each chunk is summed in float32, the chunks are
// added in float64 and in order. So a result does not depend on the number of
// threads.

const (
	// chunkElements is the least size of a chunk, so that adding up the chunks
	// costs little beside summing them.
	chunkElements = 32768
	// maxChunks bounds the memory of partial sums and still leaves every thread
	// some chunks.
	maxChunks = 64
)

// A floats is a buffer from the pool of scratch memory.
type floats struct{ s []float32 }

var scratch = sync.Pool{New: func() any { return new(floats) }}

// getScratch returns a buffer of n float32, contents unspecified.
func getScratch(n int) *floats {
	f := scratch.Get().(*floats)
	if cap(f.s) < n {
		f.s = make([]float32, n)
	}
	f.s = f.s[:n]
	return f
}

// reduceRows runs j, a job over sums, on whole chunks. For each it leaves sums
// rows of j.c partial sums in the buffer it returns, which the caller puts back.
func (j *rowsJob) reduceRows(sums int) (buffer *floats, chunks int) {
	j.chunk = max((chunkElements+j.c-1)/j.c, (j.rows+maxChunks-1)/maxChunks)
	chunks = (j.rows + j.chunk - 1) / j.chunk
	buffer = getScratch(chunks * sums * j.c)
	j.partials = buffer.s
	clear(j.partials)
	Parallel(chunks, 1, j.run)
	j.partials = nil
	return buffer, chunks
}

// chunkRange returns the elements of chunk i: full wide rows up to full, and up
// to end the columns of a cut one.
func (j *rowsJob) chunkRange(i, elements int) (from, full, end int) {
	from = i * j.chunk * j.c
	end = min(from+j.chunk*j.c, elements)
	return from, from + (end-from)/j.c*j.c, end
}

// reduce handles chunk i.
func (j *rowsJob) reduce(i int) {
	from, full, end := j.chunkRange(i, len(j.x))
	c := j.c
	switch j.kind {
	case rowsSums:
		s := j.partials[i*c:][:c]
		j.sums(s, from, full)
		j.sums(s[:end-full], full, end)
	case rowsMoments:
		s, q := j.partials[2*i*c:][:c], j.partials[(2*i+1)*c:][:c]
		shift := j.x[from:min(from+c, end)]
		j.moments(s, q, shift, from, full)
		j.moments(s[:end-full], q[:end-full], shift, full, end)
	case rowsGradSums:
		s, q := j.partials[2*i*c:][:c], j.partials[(2*i+1)*c:][:c]
		j.gradSums(s, q, from, full)
		j.gradSums(s[:end-full], q[:end-full], full, end)
	}
}

func (j *rowsJob) sums(s []float32, from, to int) {
	if from < to {
		rowsSum(s, j.x[from:to])
	}
}

func (j *rowsJob) moments(s, q, shift []float32, from, to int) {
	if from < to {
		rowsMoment(s, q, j.x[from:to], shift[:len(s)])
	}
}

func (j *rowsJob) gradSums(s, q []float32, from, to int) {
	switch {
	case from == to:
	case j.act == Identity:
		rowsGradSum(s, q, j.y[from:to], j.x[from:to], j.p[0][:len(s)])
	default:
		rowsGradSumGated(s, q, j.y[from:to], j.x[from:to], j.z[from:to], j.p[0][:len(s)], j.lo, j.hi)
	}
}

// SumRows adds to dst[j] the sum of x[i*c+j] over i < rows: the gradient of a
// bias. dst must not overlap x. The error of the sum is at most
// (rows/64+2048)*eps*sum|x|, eps = 2^-24, and mostly its square root.
func SumRows(dst, x []float32, rows, c int) {
	checkRows("SumRows", rows, c, x)
	checkPerChannel("SumRows", c, dst)
	if rows*c == 0 {
		return
	}
	rep := widening(rows, c)
	j := newRowsJob(rowsSums, (rows+rep-1)/rep, rep*c)
	j.x = x
	buffer, chunks := j.reduceRows(1)
	for k := range dst {
		var total float64
		for i := k; i < chunks*j.c; i += c {
			total += float64(buffer.s[i])
		}
		dst[k] += float32(total)
	}
	scratch.Put(buffer)
	j.free()
}

// rowsSumGeneric adds the sums of the columns of x to dst.
func rowsSumGeneric(dst, x []float32) {
	for ; len(x) > 0; x = x[len(dst):] {
		for k, v := range x[:len(dst)] {
			dst[k] += v
		}
	}
}

// rowsMomentGeneric adds the column sums of x-k to sum and of its square to sq.
func rowsMomentGeneric(sum, sq, x, k []float32) {
	c := len(sum)
	sq, k = sq[:c], k[:c]
	for ; len(x) > 0; x = x[c:] {
		for i, v := range x[:c] {
			d := v - k[i]
			sum[i] += d
			sq[i] += d * d
		}
	}
}

// rowsGradSumGeneric adds the column sums of dy to sum and those of dy*(x-mean)
// to dot.
func rowsGradSumGeneric(sum, dot, dy, x, mean []float32) {
	c := len(sum)
	dot, mean = dot[:c], mean[:c]
	for ; len(x) > 0; x, dy = x[c:], dy[c:] {
		g := dy[:c]
		for i, v := range x[:c] {
			sum[i] += g[i]
			dot[i] += g[i] * (v - mean[i])
		}
	}
}

// rowsGradSumGatedGeneric is rowsGradSumGeneric with 0 for dy where y <= lo or
// y >= hi.
func rowsGradSumGatedGeneric(sum, dot, dy, x, y, mean []float32, lo, hi float32) {
	c := len(sum)
	dot, mean = dot[:c], mean[:c]
	for ; len(x) > 0; x, dy, y = x[c:], dy[c:], y[c:] {
		g, gate := dy[:c], y[:c]
		for i, v := range x[:c] {
			if gate[i] <= lo || gate[i] >= hi {
				continue
			}
			sum[i] += g[i]
			dot[i] += g[i] * (v - mean[i])
		}
	}
}
