//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices of dispatch_arm64.go for the kernels on rows of columns.

func rowsShift(dst, x, shift []float32, lo, hi float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsShift(&dst[0], &x[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsShiftGeneric(dst, x, shift, lo, hi)
	}
}

func rowsScaleShiftClamp(dst, x, scale, shift []float32, lo, hi float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsScaleShift(&dst[0], &x[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsScaleShiftClampGeneric(dst, x, scale, shift, lo, hi)
	}
}

func rowsScaleShiftAddClamp(dst, x, y, scale, shift []float32, lo, hi float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsScaleShiftAdd(&dst[0], &x[0], &y[0], &scale[0], &shift[0], len(x)/len(shift), len(shift), lo, hi)
	default:
		rowsScaleShiftAddClampGeneric(dst, x, y, scale, shift, lo, hi)
	}
}

// The column sums take a strip of all rows, with its sums in registers.

func rowsSum(dst, x []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsSum(&dst[0], &x[0], 1, len(dst), len(x)/len(dst), len(dst))
	default:
		rowsSumGeneric(dst, x)
	}
}

func rowsMoment(sum, sq, x, k []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsMoment(&sum[0], &sq[0], &x[0], &k[0], 1, len(sum), len(x)/len(sum), len(sum))
	default:
		rowsMomentGeneric(sum, sq, x, k)
	}
}

func rowsGradSum(sum, dot, dy, x, mean []float32) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsGradSum(&sum[0], &dot[0], &dy[0], &x[0], &mean[0], 1, len(sum), len(x)/len(sum), len(sum))
	default:
		rowsGradSumGeneric(sum, dot, dy, x, mean)
	}
}

func rowsGradSumGated(sum, dot, dy, x, y, mean []float32, lo, hi float32) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsGradSumGated(&sum[0], &dot[0], &dy[0], &x[0], &y[0], &mean[0], 1, len(sum), len(x)/len(sum), len(sum), lo, hi)
	default:
		rowsGradSumGatedGeneric(sum, dot, dy, x, y, mean, lo, hi)
	}
}

func rowsGradPlain(dx, dy, x, mean, f0, f1, f2 []float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsGrad(&dx[0], &dy[0], &x[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean))
	default:
		rowsGradPlainGeneric(dx, dy, x, mean, f0, f1, f2)
	}
}

func rowsGradGated(dx, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsGradGated(&dx[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	default:
		rowsGradGatedGeneric(dx, dy, x, y, mean, f0, f1, f2, lo, hi)
	}
}

func rowsGradRes(dx, dres, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.RowsGradRes(&dx[0], &dres[0], &dy[0], &x[0], &y[0], &mean[0], &f0[0], &f1[0], &f2[0], len(x)/len(mean), len(mean), lo, hi)
	default:
		rowsGradResGeneric(dx, dres, dy, x, y, mean, f0, f1, f2, lo, hi)
	}
}
