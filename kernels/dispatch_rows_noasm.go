//go:build purego || !(amd64 || arm64)

package kernels

// The kernels on rows of columns without assembly; see dispatch_noasm.go.

func rowsShift(dst, x, shift []float32, lo, hi float32, _ Store) {
	rowsShiftGeneric(dst, x, shift, lo, hi)
}

func rowsScaleShiftClamp(dst, x, scale, shift []float32, lo, hi float32, _ Store) {
	rowsScaleShiftClampGeneric(dst, x, scale, shift, lo, hi)
}

func rowsScaleShiftAddClamp(dst, x, y, scale, shift []float32, lo, hi float32, _ Store) {
	rowsScaleShiftAddClampGeneric(dst, x, y, scale, shift, lo, hi)
}

func rowsSum(dst, x []float32) {
	rowsSumGeneric(dst, x)
}

func rowsMoment(sum, sq, x, k []float32) {
	rowsMomentGeneric(sum, sq, x, k)
}

func rowsGradSum(sum, dot, dy, x, mean []float32) {
	rowsGradSumGeneric(sum, dot, dy, x, mean)
}

func rowsGradSumGated(sum, dot, dy, x, y, mean []float32, lo, hi float32) {
	rowsGradSumGatedGeneric(sum, dot, dy, x, y, mean, lo, hi)
}

func rowsGradPlain(dx, dy, x, mean, f0, f1, f2 []float32, _ Store) {
	rowsGradPlainGeneric(dx, dy, x, mean, f0, f1, f2)
}

func rowsGradGated(dx, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, _ Store) {
	rowsGradGatedGeneric(dx, dy, x, y, mean, f0, f1, f2, lo, hi)
}

func rowsGradRes(dx, dres, dy, x, y, mean, f0, f1, f2 []float32, lo, hi float32, _ Store) {
	rowsGradResGeneric(dx, dres, dy, x, y, mean, f0, f1, f2, lo, hi)
}
