//go:build purego || !(amd64 || arm64)

package kernels

// Kernels on feature maps without assembly: channels.go, planes.go,
// halve.go and window.go.

func channelSums(dst, x []float32, rows, stride int) { channelSumsGeneric(dst, x, rows, stride) }

func channelDots(dst, x, y []float32, rows, stride int) { channelDotsGeneric(dst, x, y, rows, stride) }

func channelMax(dst, x []float32, rows, stride int) { channelMaxGeneric(dst, x, rows, stride) }

func channelMaxIndex(dst []float32, index []int32, x []float32, rows, stride, first int, _ bool) {
	channelMaxIndexGeneric(dst, index, x, rows, stride, first)
}

func channelScale(dst, x, a []float32, rows, stride, _ int, _ Store) {
	channelScaleGeneric(dst, x, a, rows, stride)
}

func channelScaleShift(dst, x, a, b []float32, rows, stride, _ int, _ Store) {
	channelScaleShiftGeneric(dst, x, a, b, rows, stride)
}

func channelFill(dst, v []float32, rows, stride int, _ Store) {
	channelFillGeneric(dst, v, rows, stride)
}

func channelPick(dst, v []float32, index []int32, rows, stride, first int, _ Store) {
	channelPickGeneric(dst, v, index, rows, stride, first)
}

func planeSums(dst, x []float32, n int) { planeSumsGeneric(dst, x, n) }

func planeDots(dst, x, y []float32, n int) { planeDotsGeneric(dst, x, y, n) }

func planeScale(dst, x, a []float32, n, _ int, _ Store) { planeScaleGeneric(dst, x, a, n) }

func planeScaleShift(dst, x, a, b []float32, n, _ int, _ Store) {
	planeScaleShiftGeneric(dst, x, a, b, n)
}

func planeFill(dst, v []float32, n int, _ Store) { planeFillGeneric(dst, v, n) }

func windowMax(dst, src []float32, w *windowCall) { windowMaxGeneric(dst, src, w) }

func windowMaxIndex(dst []float32, index []uint8, src []float32, w *windowCall) {
	windowMaxIndexGeneric(dst, index, src, w)
}

func windowMaxBackward(dst, src []float32, index []uint8, w *windowCall) {
	windowMaxBackwardGeneric(dst, src, index, w)
}

func windowAvg(dst, src []float32, scale float32, w *windowCall) {
	windowAvgGeneric(dst, src, scale, w)
}

func laneMax(*[lanePlanes * maxLanes]float32, *[lanePlanes * maxLanes]int32, []float32, int, int) int {
	return 0
}

func halveMax(dst, src []float32, index []uint8, p *halveCall) {
	halveMaxGeneric(dst, src, index, p)
}

func halveMaxBackward(dst, src []float32, index []uint8, p *halveCall) {
	halveMaxBackwardGeneric(dst, src, index, p)
}

func halveAvgBackward(dst, src []float32, scale float32, p *halveCall) {
	halveAvgBackwardGeneric(dst, src, scale, p)
}
