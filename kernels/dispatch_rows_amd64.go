//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices of dispatch_amd64.go for the kernels on rows of columns.

// streamedHalf returns the elements of half the rows of c columns, without the middle
// one, if dst can be streamed, else 0.
func streamedHalf(how Store, dst []float32, c int) int {
	lanes := 16
	if isa.Active != isa.AVX512 {
		lanes = 8
	}
	if isa.Active == isa.Generic || !streams(how, dst, lanes, c, 0) {
		return 0
	}
	return len(dst) / c / 2 * c
}

func rowsShift(dst, x, shift []float32, lo, hi float32, how Store) {
	half := streamedHalf(how, dst, len(shift))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsShiftStream(&dst[0], &x[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX512:
		avx512.RowsShift(&dst[0], &x[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	case half > 0:
		avx2.RowsShiftStream(&dst[0], &x[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX2:
		avx2.RowsShift(&dst[0], &x[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsShiftGeneric(dst, x, shift, lo, hi)
	}
	if half > 0 && 2*half < len(x) {
		rowsShift(dst[2*half:], x[2*half:], shift, lo, hi, Cached)
	}
}

func rowsScaleShiftClamp(dst, x, scale, shift []float32, lo, hi float32, how Store) {
	half := streamedHalf(how, dst, len(shift))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsScaleShiftStream(&dst[0], &x[0], &scale[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX512:
		avx512.RowsScaleShift(&dst[0], &x[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	case half > 0:
		avx2.RowsScaleShiftStream(&dst[0], &x[0], &scale[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX2:
		avx2.RowsScaleShift(&dst[0], &x[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsScaleShiftClampGeneric(dst, x, scale, shift, lo, hi)
	}
	if half > 0 && 2*half < len(x) {
		rowsScaleShiftClamp(dst[2*half:], x[2*half:], scale, shift, lo, hi, Cached)
	}
}

func rowsScaleShiftAddClamp(dst, x, y, scale, shift []float32, lo, hi float32, how Store) {
	half := streamedHalf(how, dst, len(shift))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsScaleShiftAddStream(&dst[0], &x[0], &y[0], &scale[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX512:
		avx512.RowsScaleShiftAdd(&dst[0], &x[0], &y[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	case half > 0:
		avx2.RowsScaleShiftAddStream(&dst[0], &x[0], &y[0], &scale[0], &shift[0], half/len(shift), len(shift), half, lo, hi)
	case isa.Active == isa.AVX2:
		avx2.RowsScaleShiftAdd(&dst[0], &x[0], &y[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsScaleShiftAddClampGeneric(dst, x, y, scale, shift, lo, hi)
	}
	if half > 0 && 2*half < len(x) {
		rowsScaleShiftAddClamp(dst[2*half:], x[2*half:], y[2*half:], scale, shift, lo, hi, Cached)
	}
}

// inStreams divides n rows of c columns into at most so many streams of as many rows,
// next elements apart, for a kernel of column sums: four of one map, two of several. It
// leaves less than that over.
func inStreams(n, c, most int) (rows, streams, next int) {
	if n < most {
		return 1, n, c
	}
	return n / most, most, n / most * c
}

func rowsSum(dst, x []float32) {
	rows, streams, next := inStreams(len(x)/len(dst), len(dst), 4)
	switch isa.Active {
	case isa.AVX512:
		avx512.RowsSum(&dst[0], &x[0], rows, len(dst), streams, next)
	case isa.AVX2:
		avx2.RowsSum(&dst[0], &x[0], rows, len(dst), streams, next)
	default:
		rowsSumGeneric(dst, x)
		return
	}
	if done := rows * streams * len(dst); done < len(x) {
		rowsSum(dst, x[done:])
	}
}

func rowsMoment(sum, sq, x, k []float32) {
	rows, streams, next := inStreams(len(x)/len(sum), len(sum), 4)
	switch isa.Active {
	case isa.AVX512:
		avx512.RowsMoment(&sum[0], &sq[0], &x[0], &k[0], rows, len(sum), streams, next)
	case isa.AVX2:
		avx2.RowsMoment(&sum[0], &sq[0], &x[0], &k[0], rows, len(sum), streams, next)
	default:
		rowsMomentGeneric(sum, sq, x, k)
		return
	}
	if done := rows * streams * len(sum); done < len(x) {
		rowsMoment(sum, sq, x[done:], k)
	}
}

func rowsGradSum(sum, dot, dy, x, mean []float32) {
	rows, streams, next := inStreams(len(x)/len(sum), len(sum), 2)
	switch isa.Active {
	case isa.AVX512:
		avx512.RowsGradSum(&sum[0], &dot[0], &dy[0], &x[0], &mean[0], rows, len(sum), streams, next)
	case isa.AVX2:
		avx2.RowsGradSum(&sum[0], &dot[0], &dy[0], &x[0], &mean[0], rows, len(sum), streams, next)
	default:
		rowsGradSumGeneric(sum, dot, dy, x, mean)
		return
	}
	if done := rows * streams * len(sum); done < len(x) {
		rowsGradSum(sum, dot, dy[done:], x[done:], mean)
	}
}

func rowsGradSumGated(sum, dot, dy, x, y, mean []float32, lo, hi float32) {
	rows, streams, next := inStreams(len(x)/len(sum), len(sum), 2)
	switch isa.Active {
	case isa.AVX512:
		avx512.RowsGradSumGated(&sum[0], &dot[0], &dy[0], &x[0], &y[0], &mean[0], rows, len(sum), streams, next, lo, hi)
	case isa.AVX2:
		avx2.RowsGradSumGated(&sum[0], &dot[0], &dy[0], &x[0], &y[0], &mean[0], rows, len(sum), streams, next, lo, hi)
	default:
		rowsGradSumGatedGeneric(sum, dot, dy, x, y, mean, lo, hi)
		return
	}
	if done := rows * streams * len(sum); done < len(x) {
		rowsGradSumGated(sum, dot, dy[done:], x[done:], y[done:], mean, lo, hi)
	}
}

func rowsGradPlain(dx, dy, x, mean, f0, f1, f2 []float32, how Store) {
	half := streamedHalf(how, dx, len(mean))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsGradStream(&dx[0], &dy[0], &x[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half)
	case isa.Active == isa.AVX512:
		avx512.RowsGrad(&dx[0], &dy[0], &x[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean))
	case half > 0:
		avx2.RowsGradStream(&dx[0], &dy[0], &x[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half)
	case isa.Active == isa.AVX2:
		avx2.RowsGrad(&dx[0], &dy[0], &x[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean))
	default:
		rowsGradPlainGeneric(dx, dy, x, mean, f0, f1, f2)
	}
	if half > 0 && 2*half < len(x) {
		rowsGradPlain(dx[2*half:], dy[2*half:], x[2*half:], mean, f0, f1, f2, Cached)
	}
}

func rowsGradGated(dx, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, how Store) {
	half := streamedHalf(how, dx, len(mean))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsGradGatedStream(&dx[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half, lo, hi)
	case isa.Active == isa.AVX512:
		avx512.RowsGradGated(&dx[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	case half > 0:
		avx2.RowsGradGatedStream(&dx[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half, lo, hi)
	case isa.Active == isa.AVX2:
		avx2.RowsGradGated(&dx[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	default:
		rowsGradGatedGeneric(dx, dy, x, y, mean, f0, f1, f2, lo, hi)
	}
	if half > 0 && 2*half < len(x) {
		rowsGradGated(dx[2*half:], dy[2*half:], x[2*half:], y[2*half:], mean, f0, f1, f2, lo, hi, Cached)
	}
}

func rowsGradRes(dx, dres, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, how Store) {
	half := min(streamedHalf(how, dx, len(mean)), streamedHalf(how, dres, len(mean)))
	switch {
	case half > 0 && isa.Active == isa.AVX512:
		avx512.RowsGradResStream(&dx[0], &dres[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half, lo, hi)
	case isa.Active == isa.AVX512:
		avx512.RowsGradRes(&dx[0], &dres[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	case half > 0:
		avx2.RowsGradResStream(&dx[0], &dres[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], half/len(mean), len(mean), half, lo, hi)
	case isa.Active == isa.AVX2:
		avx2.RowsGradRes(&dx[0], &dres[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	default:
		rowsGradResGeneric(dx, dres, dy, x, y, mean, f0, f1, f2, lo, hi)
	}
	if half > 0 && 2*half < len(x) {
		rowsGradRes(dx[2*half:], dres[2*half:], dy[2*half:], x[2*half:], y[2*half:], mean, f0, f1, f2, lo, hi, Cached)
	}
}
