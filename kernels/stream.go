package kernels

import (
	"math"
	"unsafe"
)

// Elementwise kernels whose result goes past the caches. Rare ones compute a block
// in the first-level cache and write it from there; memory is then read and written
// in turns.

// streamBlock is the elements of a block, a multiple of every vector: few, so that
// the next block is read while this one is written.
const streamBlock = 1024

// Add is the function [Add] with the result stored as s says, worth it where
// the slices are parts of something for which [StoreFor] returned s. So are the
// other methods of Store the functions of their names.
func (s Store) Add(dst, x, y []float32) {
	checkSame("Store.Add", dst, x, y)
	if s == Cached {
		Add(dst, x, y)
		return
	}
	from, to := streamedRows(dst)
	if from > 0 {
		add(dst[:from], x[:from], y[:from])
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		rowsScaleShiftAddClamp(dst[from:end], x[from:end], y[from:end], ones[:], negativeZeros[:], negativeInf, positiveInf, Streamed)
	}
	if to < len(dst) {
		add(dst[to:], x[to:], y[to:])
	}
}

// streamedRows returns the part of dst that is whole blocks from the beginning of a
// cache line on.
func streamedRows(dst []float32) (from, to int) {
	if from = streamUntil(dst, 0); from == streamBlock {
		from = 0
	}
	return from, from + (len(dst)-from)/streamBlock*streamBlock
}

// ones and negativeZeros change nothing when they multiply and are added: with them
// the streaming kernels over rows of a map serve slices. Unlike through a block in
// the first-level cache, memory is then read and written at the same time.
var ones, negativeZeros = constantBlock(1), constantBlock(float32(math.Copysign(0, -1)))

func constantBlock(v float32) (block [streamBlock]float32) {
	for i := range block {
		block[i] = v
	}
	return block
}

// Mul: see [Store.Add].
func (s Store) Mul(dst, x, y []float32) {
	checkSame("Store.Mul", dst, x, y)
	if s == Cached {
		Mul(dst, x, y)
		return
	}
	from, to := streamedRows(dst)
	if from > 0 {
		mul(dst[:from], x[:from], y[:from])
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		mulStream(dst[from:end], x[from:end], y[from:end])
	}
	if to < len(dst) {
		mul(dst[to:], x[to:], y[to:])
	}
}

// Clamp: see [Store.Add].
func (s Store) Clamp(dst, x []float32, lo, hi float32) {
	checkSame("Store.Clamp", dst, x)
	if s == Cached {
		Clamp(dst, x, lo, hi)
		return
	}
	if !(lo <= hi) {
		panic("kernels.Store.Clamp: not lo <= hi")
	}
	clampStreamed(dst, x, lo, hi)
}

// clampStreamed is clamp with whole blocks streamed.
func clampStreamed(dst, x []float32, lo, hi float32) {
	from, to := streamedRows(dst)
	if from > 0 {
		clamp(dst[:from], x[:from], lo, hi)
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		rowsShift(dst[from:end], x[from:end], negativeZeros[:], lo, hi, Streamed)
	}
	if to < len(dst) {
		clamp(dst[to:], x[to:], lo, hi)
	}
}

// Exp: see [Store.Add].
func (s Store) Exp(dst, x []float32) {
	checkSame("Store.Exp", dst, x)
	if s == Cached {
		Exp(dst, x)
		return
	}
	from, to := streamedRows(dst)
	if from > 0 {
		expTo(dst[:from], x[:from])
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		expStream(dst[from:end], x[from:end])
	}
	if to < len(dst) {
		expTo(dst[to:], x[to:])
	}
}

// Log: see [Store.Add].
func (s Store) Log(dst, x []float32) {
	checkSame("Store.Log", dst, x)
	if s == Cached {
		Log(dst, x)
		return
	}
	from, to := streamedRows(dst)
	if from > 0 {
		logTo(dst[:from], x[:from])
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		logStream(dst[from:end], x[from:end])
	}
	if to < len(dst) {
		logTo(dst[to:], x[to:])
	}
}

// Activate: see [Store.Add].
func (s Store) Activate(act Activation, dst, x []float32) {
	checkActivation("Store.Activate", act)
	checkSame("Store.Activate", dst, x)
	if s == Cached {
		Activate(act, dst, x)
		return
	}
	switch act {
	case ReLU, ReLU6:
		lo, hi := activationBounds(act)
		clampStreamed(dst, x, lo, hi)
		return
	case Sigmoid, Tanh, SiLU, GELU, HardSwish:
		curveStreamed(act, dst, x)
		return
	}
	var block [streamBlock]float32
	for lo := 0; lo < len(dst); {
		hi := streamUntil(dst, lo)
		activate(act, block[:hi-lo], x[lo:hi])
		streamCopy(dst[lo:hi], block[:hi-lo])
		lo = hi
	}
	streamFence()
}

// curveStreamed is curve with whole blocks streamed.
func curveStreamed(act Activation, dst, x []float32) {
	from, to := streamedRows(dst)
	if from > 0 {
		curve(act, dst[:from], x[:from])
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		curveStream(act, dst[from:end], x[from:end])
	}
	if to < len(dst) {
		curve(act, dst[to:], x[to:])
	}
}

// ActivateGrad: see [Store.Add].
func (s Store) ActivateGrad(act Activation, dx, dy, x []float32) {
	checkActivation("Store.ActivateGrad", act)
	checkSame("Store.ActivateGrad", dx, dy, x)
	if s == Cached {
		ActivateGrad(act, dx, dy, x)
		return
	}
	if act == ReLU || act == ReLU6 {
		gateStreamed(act, dx, dy, x)
		return
	}
	var block [streamBlock]float32
	for lo := 0; lo < len(dx); {
		hi := streamUntil(dx, lo)
		activateGrad(act, block[:hi-lo], dy[lo:hi], x[lo:hi])
		streamCopy(dx[lo:hi], block[:hi-lo])
		lo = hi
	}
	streamFence()
}

// gateStreamed is activateGrad of a clamp with whole blocks streamed.
func gateStreamed(act Activation, dx, dy, x []float32) {
	lo, hi := float32(0), float32(notANumber)
	if act == ReLU6 {
		hi = 6
	}
	from, to := streamedRows(dx)
	if from > 0 {
		gate(dx[:from], dy[:from], x[:from], lo, hi, 0)
	}
	for ; from < to; from += mapBlock {
		end := min(from+mapBlock, to)
		gateStream(dx[from:end], dy[from:end], x[from:end], lo, hi, 0)
	}
	if to < len(dx) {
		gate(dx[to:], dy[to:], x[to:], lo, hi, 0)
	}
}

// streamUntil returns the end of the block of dst that begins at lo: the first
// one ends where a cache line begins, so that the others can be streamed.
func streamUntil(dst []float32, lo int) int {
	const line = 64 / 4
	if lo == 0 {
		if head := int(-uintptr(unsafe.Pointer(unsafe.SliceData(dst))) / 4 % line); head != 0 {
			return min(head, len(dst))
		}
	}
	return min(lo+streamBlock, len(dst))
}

// streamCopyGeneric copies src to dst, which may bypass the caches; streamFence
// must follow before another thread looks at dst.
func streamCopyGeneric(dst, src []float32) { copy(dst, src) }
