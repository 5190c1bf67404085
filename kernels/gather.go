package kernels

import "math"

// The gather kernels give the class statistics of the channel-correlation loss:
// they visit the rows of a matrix that an index list names and accumulate in
// float64, because a nearly collapsed class has a spread far below the rounding
// of a float32 mean.
//
// Assembly because the compiler does not vectorise the widening loads.

// GatherMoments sets mean[k] (len c) to the mean over the rows named by rows of
// a[row*c+k], summed in float64 in the order of rows, and returns what
// [GatherSquares] does for that mean. rows must not be empty.
func GatherMoments(mean []float64, a []float32, rows []int32) (squares float64) {
	c := len(mean)
	checkGather("kernels.GatherMoments", a, rows, c)
	if c == 0 {
		return 0
	}
	gatherMean(mean, a, rows)
	return gatherSquares(a, mean, rows)
}

func gatherMeanGeneric(mean []float64, a []float32, rows []int32) {
	c := len(mean)
	clear(mean)
	for _, r := range rows {
		for k, v := range a[int(r)*c : int(r)*c+c] {
			mean[k] += float64(v)
		}
	}
	inv := 1 / float64(len(rows))
	for k := range mean {
		mean[k] *= inv
	}
}

// GatherSquares returns the sum over the rows named by rows and the channels k
// of (a[row*c+k]-mean[k])², in float64, c being len(mean). The summation order
// depends on the ISA, c and the number of rows only.
func GatherSquares(a []float32, mean []float64, rows []int32) float64 {
	c := len(mean)
	checkGather("kernels.GatherSquares", a, rows, c)
	if c == 0 {
		return 0
	}
	return gatherSquares(a, mean, rows)
}

func gatherSquaresGeneric(a []float32, mean []float64, rows []int32) float64 {
	c := len(mean)
	var total float64
	for _, r := range rows {
		var even, odd float64
		row := a[int(r)*c : int(r)*c+c]
		k := 0
		for ; k+2 <= c; k += 2 {
			d, e := float64(row[k])-mean[k], float64(row[k+1])-mean[k+1]
			even += d * d
			odd += e * e
		}
		if k < c {
			d := float64(row[k]) - mean[k]
			even += d * d
		}
		total += even + odd
	}
	return total
}

func checkGather(name string, a []float32, rows []int32, c int) {
	if len(rows) == 0 {
		panic(name + ": no rows")
	}
	most := math.MaxInt32 // any row of none
	if c > 0 {
		most = len(a) / c
	}
	checkBelow(name, rows, most)
}

// checkBelow panics unless all indices are in [0, n).
func checkBelow(name string, index []int32, n int) {
	for _, i := range index {
		if uint64(i) >= uint64(n) { // which a negative one is, too
			panic(name + ": row outside the matrix")
		}
	}
}

// scaleShiftWork bounds the elements of an assembly call: some 50 us.
const scaleShiftWork = 1 << 16

// ScaleShiftRows sets, for the rows i of dst and x with l = class[i] and c elements
// each,
//
//	dst[i*c+k] = float32(slope[l]*x[i*c+k] + shift[l*c+k])
//
// computed in float64: a small difference of large terms survives. dst and x are
// len(class) x c, shift is len(slope) x c; dst may be x.
func ScaleShiftRows(dst, x []float32, class []int32, slope, shift []float64, how Store) {
	n := len(class)
	if len(dst) != len(x) || n == 0 && len(x) > 0 {
		panic("kernels.ScaleShiftRows: lengths differ")
	}
	if len(x) == 0 {
		return
	}
	c := len(x) / n
	if n*c != len(x) || len(shift) != len(slope)*c {
		panic("kernels.ScaleShiftRows: lengths differ")
	}
	checkBelow("kernels.ScaleShiftRows", class, len(slope))
	rows := max(1, scaleShiftWork/c)
	for i := 0; i < n; i += rows {
		m := min(rows, n-i)
		scaleShiftRows(dst[i*c:(i+m)*c], x[i*c:(i+m)*c], class[i:i+m], slope, shift, how)
	}
}

func scaleShiftRowsGeneric(dst, x []float32, class []int32, slope, shift []float64) {
	c := len(x) / len(class)
	for i, l := range class {
		y, row, add := dst[i*c:(i+1)*c], x[i*c:(i+1)*c], shift[int(l)*c:(int(l)+1)*c]
		y, add = y[:len(row)], add[:len(row)]
		factor := slope[l]
		for k, v := range row {
			y[k] = float32(factor*float64(v) + add[k])
		}
	}
}

// CombineF64 sets dst[k] = p*x[k] + q*y[k]; the ISAs that fuse do so with the first
// product. All have one length; dst may be x or y.
func CombineF64(dst []float64, p float64, x []float64, q float64, y []float64) {
	if len(x) != len(dst) || len(y) != len(dst) {
		panic("kernels.CombineF64: lengths differ")
	}
	if len(dst) == 0 {
		return
	}
	combineF64(dst, p, x, q, y)
}

func combineF64Generic(dst []float64, p float64, x []float64, q float64, y []float64) {
	x, y = x[:len(dst)], y[:len(dst)]
	for k := range dst {
		dst[k] = p*x[k] + q*y[k]
	}
}

// SquaresF64 returns the sum of (x[k]-y[k])². The summation order depends on the ISA
// and the length only. x and y have one length.
func SquaresF64(x, y []float64) float64 {
	if len(x) != len(y) {
		panic("kernels.SquaresF64: lengths differ")
	}
	if len(x) == 0 {
		return 0
	}
	return squaresF64(x, y)
}

func squaresF64Generic(x, y []float64) float64 {
	y = y[:len(x)]
	var sum float64
	for k, v := range x {
		d := v - y[k]
		sum += d * d
	}
	return sum
}
