package kernels

import "math"

// Softmax computes, for each of rows rows of cols elements, dst = exp(x-m) /
// sum(exp(x-m)), m being the row's maximum. dst may be x. Elements are within
// 4 ulp plus (cols+2)*2^-24 of the exact value, relative; a row with a NaN or
// +Inf is all NaN, as is a row of -Inf only. It runs on one thread.
func Softmax(dst, x []float32, rows, cols int) {
	checkRows("Softmax", rows, cols, dst, x)
	if cols == 0 {
		return
	}
	for lo, step := 0, max(1, mapBlock/cols); lo < rows; lo += step {
		hi := min(lo+step, rows)
		if softmaxRows(dst[lo*cols:hi*cols], x[lo*cols:hi*cols], hi-lo, cols) {
			continue
		}
		for i := lo; i < hi; i++ {
			softmaxRow(dst[i*cols:(i+1)*cols], x[i*cols:(i+1)*cols])
		}
	}
}

// LogSoftmax computes, for each of rows rows of cols elements, dst = x - m -
// ln(sum(exp(x-m))), m being the row's maximum. dst may be x. Elements are
// within (cols+4)*2^-24 + 2^-23*|x-m| of the exact value; NaN as [Softmax]. It
// runs on one thread.
func LogSoftmax(dst, x []float32, rows, cols int) {
	checkRows("LogSoftmax", rows, cols, dst, x)
	for i := 0; i < rows && cols > 0; i++ {
		logSoftmaxRow(dst[i*cols:(i+1)*cols], x[i*cols:(i+1)*cols])
	}
}

func softmaxRow(dst, x []float32) {
	scale(1/expSum(dst, x, maxOf(x)), dst)
}

func logSoftmaxRow(dst, x []float32) {
	m := maxOf(x)
	// The exponentials are needed for their sum only, but have to go somewhere:
	// to a block that stays in L1.
	var block [256]float32
	var total float64
	for lo := 0; lo < len(x); lo += len(block) {
		part := x[lo:min(lo+len(block), len(x))]
		total += float64(expSum(block[:len(part)], part, m))
	}
	offset(dst, x, m, float32(math.Log(total)))
}

// expSumGeneric computes dst = exp(x-m) and returns the sum of dst.
func expSumGeneric(dst, x []float32, m float32) float32 {
	dst = dst[:len(x)]
	var sum float64
	for i, v := range x {
		e := exp64(float64(v - m))
		sum += e
		dst[i] = float32(e)
	}
	return float32(sum)
}

// offsetGeneric computes dst = (x-a)-b.
func offsetGeneric(dst, x []float32, a, b float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = (v - a) - b
	}
}
