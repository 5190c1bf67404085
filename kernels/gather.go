package kernels

// The gather kernels give the class statistics of the channel-correlation loss:
// they visit the rows of a matrix that an index list names and accumulate in
// float64, because a nearly collapsed class has a spread far below the rounding
// of a float32 mean.
//
// Assembly because the compiler does not vectorise the widening loads.

// GatherMean sets mean[k] (len c) to the mean over the rows named by rows of
// a[row*c+k], summed in float64 in the order of rows. rows must not be empty.
func GatherMean(mean []float64, a []float32, rows []int32) {
	c := len(mean)
	checkGather("kernels.GatherMean", a, rows, c)
	if c == 0 {
		return
	}
	gatherMean(mean, a, rows)
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
	for _, r := range rows {
		if r < 0 || (int(r)+1)*c > len(a) {
			panic(name + ": row outside the matrix")
		}
	}
}

// ScaleShiftF64 sets dst[k] = float32(slope*x[k] - shift[k]), computed in
// float64: a small difference of large terms survives. All have one length;
// dst may be x.
func ScaleShiftF64(dst, x []float32, slope float64, shift []float64) {
	if len(dst) != len(x) || len(shift) != len(x) {
		panic("kernels.ScaleShiftF64: lengths differ")
	}
	if len(x) == 0 {
		return
	}
	scaleShiftF64(dst, x, slope, shift)
}

func scaleShiftF64Generic(dst, x []float32, slope float64, shift []float64) {
	dst, shift = dst[:len(x)], shift[:len(x)]
	for k, v := range x {
		dst[k] = float32(slope*float64(v) - shift[k])
	}
}
