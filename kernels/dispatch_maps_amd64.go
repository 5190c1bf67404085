//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/avx2"
	"github.com/golanes/lanes/asm/avx512"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices by ISA on amd64 for kernels on feature maps: channels.go, planes.go,
// halve.go and window.go.

func channelSums(dst, x []float32, rows, stride int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.ChannelSums(&dst[0], &x[0], rows, len(dst), stride)
	case isa.Active == isa.AVX2:
		avx2.ChannelSums(&dst[0], &x[0], rows, len(dst), stride)
	default:
		channelSumsGeneric(dst, x, rows, stride)
	}
}

func channelDots(dst, x, y []float32, rows, stride int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.ChannelDots(&dst[0], &x[0], &y[0], rows, len(dst), stride)
	case isa.Active == isa.AVX2:
		avx2.ChannelDots(&dst[0], &x[0], &y[0], rows, len(dst), stride)
	default:
		channelDotsGeneric(dst, x, y, rows, stride)
	}
}

func channelMax(dst, x []float32, rows, stride int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.ChannelMax(&dst[0], &x[0], rows, len(dst), stride)
	case isa.Active == isa.AVX2:
		avx2.ChannelMax(&dst[0], &x[0], rows, len(dst), stride)
	default:
		channelMaxGeneric(dst, x, rows, stride)
	}
}

// aheadOf returns the elements that channelMaxIndex prefetches: none unless
// its strips are narrower than a row.
func aheadOf(ahead bool, c, strip, elements int) int {
	if !ahead || c <= strip {
		return 0
	}
	return elements
}

func channelMaxIndex(dst []float32, index []int32, x []float32, rows, stride, first int, ahead bool) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.ChannelMaxIndex(&dst[0], &index[0], &x[0], rows, len(dst), stride, int32(first), aheadOf(ahead, len(dst), 8*16, rows*stride))
	case isa.Active == isa.AVX2:
		avx2.ChannelMaxIndex(&dst[0], &index[0], &x[0], rows, len(dst), stride, int32(first), aheadOf(ahead, len(dst), 4*8, rows*stride))
	default:
		channelMaxIndexGeneric(dst, index, x, rows, stride, first)
	}
}

func channelScale(dst, x, a []float32, rows, stride, ahead int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, stride, len(a)):
		avx512.ChannelScaleStream(&dst[0], &x[0], &a[0], rows, len(a), stride, ahead)
	case isa.Active == isa.AVX512:
		avx512.ChannelScale(&dst[0], &x[0], &a[0], rows, len(a), stride)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, stride, len(a)):
		avx2.ChannelScaleStream(&dst[0], &x[0], &a[0], rows, len(a), stride, ahead)
	case isa.Active == isa.AVX2:
		avx2.ChannelScale(&dst[0], &x[0], &a[0], rows, len(a), stride)
	default:
		channelScaleGeneric(dst, x, a, rows, stride)
	}
}

func channelScaleShift(dst, x, a, b []float32, rows, stride, ahead int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, stride, len(a)):
		avx512.ChannelScaleShiftStream(&dst[0], &x[0], &a[0], &b[0], rows, len(a), stride, ahead)
	case isa.Active == isa.AVX512:
		avx512.ChannelScaleShift(&dst[0], &x[0], &a[0], &b[0], rows, len(a), stride)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, stride, len(a)):
		avx2.ChannelScaleShiftStream(&dst[0], &x[0], &a[0], &b[0], rows, len(a), stride, ahead)
	case isa.Active == isa.AVX2:
		avx2.ChannelScaleShift(&dst[0], &x[0], &a[0], &b[0], rows, len(a), stride)
	default:
		channelScaleShiftGeneric(dst, x, a, b, rows, stride)
	}
}

func channelFill(dst, v []float32, rows, stride int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, stride, len(v)):
		avx512.ChannelFillStream(&dst[0], &v[0], rows, len(v), stride)
	case isa.Active == isa.AVX512:
		avx512.ChannelFill(&dst[0], &v[0], rows, len(v), stride)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, stride, len(v)):
		avx2.ChannelFillStream(&dst[0], &v[0], rows, len(v), stride)
	case isa.Active == isa.AVX2:
		avx2.ChannelFill(&dst[0], &v[0], rows, len(v), stride)
	default:
		channelFillGeneric(dst, v, rows, stride)
	}
}

func channelPick(dst, v []float32, index []int32, rows, stride, first int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, stride, len(v)):
		avx512.ChannelPickStream(&dst[0], &v[0], &index[0], rows, len(v), stride, int32(first))
	case isa.Active == isa.AVX512:
		avx512.ChannelPick(&dst[0], &v[0], &index[0], rows, len(v), stride, int32(first))
	case isa.Active == isa.AVX2 && streams(how, dst, 8, stride, len(v)):
		avx2.ChannelPickStream(&dst[0], &v[0], &index[0], rows, len(v), stride, int32(first))
	case isa.Active == isa.AVX2:
		avx2.ChannelPick(&dst[0], &v[0], &index[0], rows, len(v), stride, int32(first))
	default:
		channelPickGeneric(dst, v, index, rows, stride, first)
	}
}

func planeSums(dst, x []float32, n int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.PlaneSums(&dst[0], &x[0], len(dst), n)
	case isa.Active == isa.AVX2:
		avx2.PlaneSums(&dst[0], &x[0], len(dst), n)
	default:
		planeSumsGeneric(dst, x, n)
	}
}

func planeDots(dst, x, y []float32, n int) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.PlaneDots(&dst[0], &x[0], &y[0], len(dst), n)
	case isa.Active == isa.AVX2:
		avx2.PlaneDots(&dst[0], &x[0], &y[0], len(dst), n)
	default:
		planeDotsGeneric(dst, x, y, n)
	}
}

func planeScale(dst, x, a []float32, n, ahead int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, n, 0):
		avx512.PlaneScaleStream(&dst[0], &x[0], &a[0], len(a), n, ahead)
	case isa.Active == isa.AVX512:
		avx512.PlaneScale(&dst[0], &x[0], &a[0], len(a), n)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, n, 0):
		avx2.PlaneScaleStream(&dst[0], &x[0], &a[0], len(a), n, ahead)
	case isa.Active == isa.AVX2:
		avx2.PlaneScale(&dst[0], &x[0], &a[0], len(a), n)
	default:
		planeScaleGeneric(dst, x, a, n)
	}
}

func planeScaleShift(dst, x, a, b []float32, n, ahead int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, n, 0):
		avx512.PlaneScaleShiftStream(&dst[0], &x[0], &a[0], &b[0], len(a), n, ahead)
	case isa.Active == isa.AVX512:
		avx512.PlaneScaleShift(&dst[0], &x[0], &a[0], &b[0], len(a), n)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, n, 0):
		avx2.PlaneScaleShiftStream(&dst[0], &x[0], &a[0], &b[0], len(a), n, ahead)
	case isa.Active == isa.AVX2:
		avx2.PlaneScaleShift(&dst[0], &x[0], &a[0], &b[0], len(a), n)
	default:
		planeScaleShiftGeneric(dst, x, a, b, n)
	}
}

func planeFill(dst, v []float32, n int, how Store) {
	switch {
	case isa.Active == isa.AVX512 && streams(how, dst, 16, n, 0):
		avx512.PlaneFillStream(&dst[0], &v[0], len(v), n)
	case isa.Active == isa.AVX512:
		avx512.PlaneFill(&dst[0], &v[0], len(v), n)
	case isa.Active == isa.AVX2 && streams(how, dst, 8, n, 0):
		avx2.PlaneFillStream(&dst[0], &v[0], len(v), n)
	case isa.Active == isa.AVX2:
		avx2.PlaneFill(&dst[0], &v[0], len(v), n)
	default:
		planeFillGeneric(dst, v, n)
	}
}

func windowMax(dst, src []float32, w *windowCall) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.WindowMax(&dst[0], &src[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	case isa.Active == isa.AVX2:
		avx2.WindowMax(&dst[0], &src[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	default:
		windowMaxGeneric(dst, src, w)
	}
}

func windowMaxIndex(dst []float32, index []uint8, src []float32, w *windowCall) {
	switch {
	case isa.Active == isa.AVX512:
		avx512.WindowMaxIndex(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	case isa.Active == isa.AVX2:
		avx2.WindowMaxIndex(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	default:
		windowMaxIndexGeneric(dst, index, src, w)
	}
}

func windowMaxBackward(dst, src []float32, index []uint8, w *windowCall) {
	switch {
	case isa.Active == isa.AVX512 && streams(w.Store, dst, 16, w.DstStep, w.c):
		avx512.WindowMaxBackwardStream(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	case isa.Active == isa.AVX512:
		avx512.WindowMaxBackward(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	case isa.Active == isa.AVX2 && streams(w.Store, dst, 8, w.DstStep, w.c):
		avx2.WindowMaxBackwardStream(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	case isa.Active == isa.AVX2:
		avx2.WindowMaxBackward(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	default:
		windowMaxBackwardGeneric(dst, src, index, w)
	}
}

func windowAvg(dst, src []float32, scale float32, w *windowCall) {
	switch {
	case isa.Active == isa.AVX512 && streams(w.Store, dst, 16, w.DstStep, w.c):
		avx512.WindowAvgStream(&dst[0], &src[0], scale, &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	case isa.Active == isa.AVX512:
		avx512.WindowAvg(&dst[0], &src[0], scale, &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	case isa.Active == isa.AVX2 && streams(w.Store, dst, 8, w.DstStep, w.c):
		avx2.WindowAvgStream(&dst[0], &src[0], scale, &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	case isa.Active == isa.AVX2:
		avx2.WindowAvg(&dst[0], &src[0], scale, &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	default:
		windowAvgGeneric(dst, src, scale, w)
	}
}

// laneMax returns 0 if there is no such kernel, else the lanes it fills.
func laneMax(best *[lanePlanes * maxLanes]float32, from *[lanePlanes * maxLanes]int32, x []float32, n, stride int) int {
	switch {
	case isa.Active == isa.AVX512:
		avx512.LaneMax(&best[0], &from[0], &laneNumbers[0], &x[0], n, stride)
		return 16
	case isa.Active == isa.AVX2:
		avx2.LaneMax(&best[0], &from[0], &laneNumbers[0], &x[0], n, stride)
		return 8
	default:
		return 0
	}
}

func halveMax(dst, src []float32, index []uint8, p *halveCall) {
	switch {
	case isa.Active == isa.AVX512 && p.ow >= 16:
		middle, back, more := p.between(16)
		if p.k == 2 {
			avx512.HalveMax2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		} else {
			avx512.HalveMax3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		}
	case (isa.Active == isa.AVX512 || isa.Active == isa.AVX2) && p.ow >= 8:
		middle, back, more := p.between(8)
		if p.k == 2 {
			avx2.HalveMax2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		} else {
			avx2.HalveMax3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		}
	default:
		halveMaxGeneric(dst, src, index, p)
	}
}

func halveMaxBackward(dst, src []float32, index []uint8, p *halveCall) {
	switch {
	case isa.Active == isa.AVX512 && p.ow >= 16:
		full, back, covered := p.vectors(16)
		switch {
		case p.k == 2 && streams(p.how, dst, 16, 2*p.ow, 0):
			avx512.HalveMaxBackward2Stream(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		case p.k == 2:
			avx512.HalveMaxBackward2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		case streams(p.how, dst, 16, 2*p.ow, 0):
			avx512.HalveMaxBackward3Stream(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		default:
			avx512.HalveMaxBackward3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		}
	case (isa.Active == isa.AVX512 || isa.Active == isa.AVX2) && p.ow >= 8:
		full, back, covered := p.vectors(8)
		switch {
		case p.k == 2 && streams(p.how, dst, 8, 2*p.ow, 0):
			avx2.HalveMaxBackward2Stream(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		case p.k == 2:
			avx2.HalveMaxBackward2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		case streams(p.how, dst, 8, 2*p.ow, 0):
			avx2.HalveMaxBackward3Stream(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		default:
			avx2.HalveMaxBackward3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		}
	default:
		halveMaxBackwardGeneric(dst, src, index, p)
	}
}

func halveAvgBackward(dst, src []float32, scale float32, p *halveCall) {
	switch {
	case isa.Active == isa.AVX512 && p.ow >= 16:
		full, back, covered := p.vectors(16)
		switch {
		case p.k == 2 && streams(p.how, dst, 16, 2*p.ow, 0):
			avx512.HalveAvgBackward2Stream(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		case p.k == 2:
			avx512.HalveAvgBackward2(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		case streams(p.how, dst, 16, 2*p.ow, 0):
			avx512.HalveAvgBackward3Stream(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		default:
			avx512.HalveAvgBackward3(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		}
	case (isa.Active == isa.AVX512 || isa.Active == isa.AVX2) && p.ow >= 8:
		full, back, covered := p.vectors(8)
		switch {
		case p.k == 2 && streams(p.how, dst, 8, 2*p.ow, 0):
			avx2.HalveAvgBackward2Stream(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		case p.k == 2:
			avx2.HalveAvgBackward2(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		case streams(p.how, dst, 8, 2*p.ow, 0):
			avx2.HalveAvgBackward3Stream(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		default:
			avx2.HalveAvgBackward3(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		}
	default:
		halveAvgBackwardGeneric(dst, src, scale, p)
	}
}
