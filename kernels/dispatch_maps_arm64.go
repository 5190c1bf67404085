//go:build !purego

package kernels

import (
	"github.com/golanes/lanes/asm/neon"
	"github.com/golanes/lanes/kernels/internal/isa"
)

// The choices by ISA on arm64 for kernels on feature maps: channels.go, planes.go,
// halve.go and window.go.

func channelSums(dst, x []float32, rows, stride int) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelSums(&dst[0], &x[0], rows, len(dst), stride)
	default:
		channelSumsGeneric(dst, x, rows, stride)
	}
}

func channelDots(dst, x, y []float32, rows, stride int) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelDots(&dst[0], &x[0], &y[0], rows, len(dst), stride)
	default:
		channelDotsGeneric(dst, x, y, rows, stride)
	}
}

func channelMax(dst, x []float32, rows, stride int) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelMax(&dst[0], &x[0], rows, len(dst), stride)
	default:
		channelMaxGeneric(dst, x, rows, stride)
	}
}

func channelMaxIndex(dst []float32, index []int32, x []float32, rows, stride, first int, _ bool) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelMaxIndex(&dst[0], &index[0], &x[0], rows, len(dst), stride, int32(first), 0)
	default:
		channelMaxIndexGeneric(dst, index, x, rows, stride, first)
	}
}

func channelScale(dst, x, a []float32, rows, stride, _ int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelScale(&dst[0], &x[0], &a[0], rows, len(a), stride)
	default:
		channelScaleGeneric(dst, x, a, rows, stride)
	}
}

func channelScaleShift(dst, x, a, b []float32, rows, stride, _ int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelScaleShift(&dst[0], &x[0], &a[0], &b[0], rows, len(a), stride)
	default:
		channelScaleShiftGeneric(dst, x, a, b, rows, stride)
	}
}

func channelFill(dst, v []float32, rows, stride int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.ChannelFill(&dst[0], &v[0], rows, len(v), stride)
	default:
		channelFillGeneric(dst, v, rows, stride)
	}
}

func channelPick(dst, v []float32, index []int32, rows, stride, first int, _ Store) {
	switch isa.Active {
	case isa.NEON:
		neon.ChannelPick(&dst[0], &v[0], &index[0], rows, len(v), stride, int32(first))
	default:
		channelPickGeneric(dst, v, index, rows, stride, first)
	}
}

func planeSums(dst, x []float32, n int) {
	switch {
	case isa.Active == isa.NEON:
		neon.PlaneSums(&dst[0], &x[0], len(dst), n)
	default:
		planeSumsGeneric(dst, x, n)
	}
}

func planeDots(dst, x, y []float32, n int) {
	switch {
	case isa.Active == isa.NEON:
		neon.PlaneDots(&dst[0], &x[0], &y[0], len(dst), n)
	default:
		planeDotsGeneric(dst, x, y, n)
	}
}

func planeScale(dst, x, a []float32, n, _ int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.PlaneScale(&dst[0], &x[0], &a[0], len(a), n)
	default:
		planeScaleGeneric(dst, x, a, n)
	}
}

func planeScaleShift(dst, x, a, b []float32, n, _ int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.PlaneScaleShift(&dst[0], &x[0], &a[0], &b[0], len(a), n)
	default:
		planeScaleShiftGeneric(dst, x, a, b, n)
	}
}

func planeFill(dst, v []float32, n int, _ Store) {
	switch {
	case isa.Active == isa.NEON:
		neon.PlaneFill(&dst[0], &v[0], len(v), n)
	default:
		planeFillGeneric(dst, v, n)
	}
}

func windowMax(dst, src []float32, w *windowCall) {
	switch {
	case isa.Active == isa.NEON:
		neon.WindowMax(&dst[0], &src[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	default:
		windowMaxGeneric(dst, src, w)
	}
}

func windowMaxIndex(dst []float32, index []uint8, src []float32, w *windowCall) {
	switch {
	case isa.Active == isa.NEON:
		neon.WindowMaxIndex(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	default:
		windowMaxIndexGeneric(dst, index, src, w)
	}
}

func windowMaxBackward(dst, src []float32, index []uint8, w *windowCall) {
	switch {
	case isa.Active == isa.NEON:
		neon.WindowMaxBackward(&dst[0], &src[0], &index[0], &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride, int32(w.Tap), int32(w.TapRow), int32(w.Columns.tapCol))
	default:
		windowMaxBackwardGeneric(dst, src, index, w)
	}
}

func windowAvg(dst, src []float32, scale float32, w *windowCall) {
	switch {
	case isa.Active == isa.NEON:
		neon.WindowAvg(&dst[0], &src[0], scale, &w.list[0].Start, len(w.list), w.c, w.DstStep-w.c, w.Rows, w.RowStride, w.Columns.colStride)
	default:
		windowAvgGeneric(dst, src, scale, w)
	}
}

// laneMax returns 0 if there is no such kernel, else the lanes it fills.
func laneMax(best *[lanePlanes * maxLanes]float32, from *[lanePlanes * maxLanes]int32, x []float32, n, stride int) int {
	switch {
	case isa.Active == isa.NEON:
		neon.LaneMax(&best[0], &from[0], &laneNumbers[0], &x[0], n, stride)
		return 4
	default:
		return 0
	}
}

func halveMax(dst, src []float32, index []uint8, p *halveCall) {
	switch {
	case isa.Active == isa.NEON && p.ow >= 4:
		middle, back, more := p.between(4)
		if p.k == 2 {
			neon.HalveMax2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		} else {
			neon.HalveMax3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, middle, back, more)
		}
	default:
		halveMaxGeneric(dst, src, index, p)
	}
}

func halveMaxBackward(dst, src []float32, index []uint8, p *halveCall) {
	switch {
	case isa.Active == isa.NEON && p.ow >= 4:
		full, back, covered := p.vectors(4)
		switch {
		case p.k == 2:
			neon.HalveMaxBackward2(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		default:
			neon.HalveMaxBackward3(&dst[0], &src[0], &index[0], p.planes, p.oh, p.ow, full, back, covered)
		}
	default:
		halveMaxBackwardGeneric(dst, src, index, p)
	}
}

func halveAvgBackward(dst, src []float32, scale float32, p *halveCall) {
	switch {
	case isa.Active == isa.NEON && p.ow >= 4:
		full, back, covered := p.vectors(4)
		switch {
		case p.k == 2:
			neon.HalveAvgBackward2(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		default:
			neon.HalveAvgBackward3(&dst[0], &src[0], scale, p.planes, p.oh, p.ow, full, back, covered)
		}
	default:
		halveAvgBackwardGeneric(dst, src, scale, p)
	}
}
