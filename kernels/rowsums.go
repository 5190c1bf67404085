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
	// chunkRows is that for wide rows, in rows, as long as there are minChunks.
	chunkRows = 512
	minChunks = 8
	// maxChunks bounds the memory of partial sums and still leaves every thread
	// some chunks.
	maxChunks = 64
	// sumBlock is the elements of an assembly call: much for a prefetcher, and three
	// maps of them in less than 250 us.
	sumBlock = 1 << 17
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
	least := max((chunkElements+j.c-1)/j.c, min(chunkRows, (j.rows+minChunks-1)/minChunks))
	j.chunk = max(least, (j.rows+maxChunks-1)/maxChunks)
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
	step := max(1, sumBlock/j.c) * j.c
	for at := from; at < full; at += step {
		j.reduceBlock(i, at, min(at+step, full), j.c)
	}
	if end > full {
		j.reduceBlock(i, full, end, end-full)
	}
}

// reduceBlock adds the rows of c columns that are elements from to to-1 to the sums
// of chunk i.
func (j *rowsJob) reduceBlock(i, from, to, c int) {
	x := j.x[from:to]
	if j.kind == rowsSums {
		rowsSum(j.partials[i*j.c:][:c], x)
		return
	}
	s, q := j.partials[2*i*j.c:][:c], j.partials[(2*i+1)*j.c:][:c]
	switch {
	case j.kind == rowsMoments:
		first := i * j.chunk * j.c
		rowsMoment(s, q, x, j.x[first:first+c])
	case j.act == Identity:
		rowsGradSum(s, q, j.y[from:to], x, j.p[0][:c])
	default:
		rowsGradSumGated(s, q, j.y[from:to], x, j.z[from:to], j.p[0][:c], j.lo, j.hi)
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

// sumColumns is the number of columns that a twin sums up at a time.
const sumColumns = 64

// rowsSumGeneric adds the sums of the columns of x to dst: of each column, its
// elements in order and then the sum to what is there, as all kernels here do.
func rowsSumGeneric(dst, x []float32) {
	for from := 0; from < len(dst); from += sumColumns {
		var sum [sumColumns]float32
		n := min(sumColumns, len(dst)-from)
		for at := from; at < len(x); at += len(dst) {
			for k, v := range x[at : at+n] {
				sum[k] += v
			}
		}
		for k, v := range sum[:n] {
			dst[from+k] += v
		}
	}
}

// rowsMomentGeneric adds the column sums of x-k to sum and of its square to sq.
func rowsMomentGeneric(sum, sq, x, k []float32) {
	for from := 0; from < len(sum); from += sumColumns {
		var s, q [sumColumns]float32
		n := min(sumColumns, len(sum)-from)
		shift := k[from : from+n]
		for at := from; at < len(x); at += len(sum) {
			for i, v := range x[at : at+n] {
				d := v - shift[i]
				s[i] += d
				q[i] += d * d
			}
		}
		for i := range n {
			sum[from+i] += s[i]
			sq[from+i] += q[i]
		}
	}
}

// rowsGradSumGeneric adds the column sums of dy to sum and those of dy*(x-mean)
// to dot.
func rowsGradSumGeneric(sum, dot, dy, x, mean []float32) {
	for from := 0; from < len(sum); from += sumColumns {
		var s, q [sumColumns]float32
		n := min(sumColumns, len(sum)-from)
		center := mean[from : from+n]
		for at := from; at < len(x); at += len(sum) {
			g := dy[at : at+n]
			for i, v := range x[at : at+n] {
				s[i] += g[i]
				q[i] += g[i] * (v - center[i])
			}
		}
		for i := range n {
			sum[from+i] += s[i]
			dot[from+i] += q[i]
		}
	}
}

// rowsGradSumGatedGeneric is rowsGradSumGeneric with 0 for dy where y <= lo or
// y >= hi.
func rowsGradSumGatedGeneric(sum, dot, dy, x, y, mean []float32, lo, hi float32) {
	for from := 0; from < len(sum); from += sumColumns {
		var s, q [sumColumns]float32
		n := min(sumColumns, len(sum)-from)
		center := mean[from : from+n]
		for at := from; at < len(x); at += len(sum) {
			g, gate := dy[at:at+n], y[at:at+n]
			for i, v := range x[at : at+n] {
				if gate[i] <= lo || gate[i] >= hi {
					continue
				}
				s[i] += g[i]
				q[i] += g[i] * (v - center[i])
			}
		}
		for i := range n {
			sum[from+i] += s[i]
			dot[from+i] += q[i]
		}
	}
}
