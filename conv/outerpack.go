package conv

import "github.com/golanes/lanes/kernels"

// findRuns lists, for every filter position, the runs of pixels that its
// products cover: first pixel in the packed src, first in ddst, length.
func (o *outer) findRuns(s *Shape, k outerBlock, wk *outerWorker) {
	if o.direct {
		wk.runs[0] = append(wk.data[:0], 0, 0, int32(k.p1-k.p0))
		return
	}
	for tap := range o.taps {
		runs := wk.data[tap*o.runsLen:][:0:o.runsLen]
		if o.sliding {
			wk.runs[tap] = o.slidingRuns(s, k, tap, runs)
		} else {
			wk.runs[tap] = o.rowRuns(s, k, tap/s.S, tap%s.S, runs)
		}
	}
}

// rowRuns appends the runs of filter position (r, q), rows of images.
func (o *outer) rowRuns(s *Shape, k outerBlock, r, q int, runs []int32) []int32 {
	ow, shift := s.OW(), q*s.DilationW-s.PadLeft
	lo, hi := insideRange(ow, s.StrideW, shift, s.W)
	if lo >= hi {
		return runs
	}
	// Where A starts, and its rows in an image.
	row0, rows := k.h0, k.h1-k.h0
	if o.inPlace {
		row0, rows = o.firstRow(s, k), s.H
	}
	b := lo
	for n := range k.n1 - k.n0 {
		for y := k.y0; y < k.y1; y++ {
			if h := y*s.StrideH - s.PadTop + r*s.DilationH; h >= 0 && h < s.H {
				if s.R == 1 && !o.inPlace {
					h = y
				}
				a := (n*rows+h-row0)*s.W + lo*s.StrideW + shift
				if s.StrideW == 1 {
					runs = addRun(runs, a, b, hi-lo)
				} else {
					runs = append(runs, int32(a), int32(b), int32(hi-lo))
				}
			}
			b += ow
		}
	}
	return runs
}

// slidingRuns appends the runs of filter row r, a row of an image each.
func (o *outer) slidingRuns(s *Shape, k outerBlock, r int, runs []int32) []int32 {
	ow, rows := s.OW(), k.h1-k.h0
	for i := range (k.n1 - k.n0) * (k.y1 - k.y0) {
		n, y := i/(k.y1-k.y0), k.y0+i%(k.y1-k.y0)
		h := y*s.StrideH - s.PadTop + r*s.DilationH
		if h < 0 || h >= s.H {
			continue
		}
		if o.stepping {
			runs = append(runs, int32((n*s.H+(y-k.y0)*s.StrideH)*s.W), int32(i*ow), int32(ow))
			continue
		}
		row := n*rows + h - k.h0
		if s.R == 1 {
			row = n*rows + y - k.h0
		}
		if s.S == 1 {
			runs = addRun(runs, row*ow, i*ow, ow)
		} else {
			runs = append(runs, int32(row*o.lineCols), int32(i*ow), int32(ow))
		}
	}
	return runs
}

// addRun appends a run with unit steps or lengthens the last one.
func addRun(runs []int32, a, b, count int) []int32 {
	if n := len(runs); n > 0 && int(runs[n-3]+runs[n-1]) == a && int(runs[n-2]+runs[n-1]) == b {
		runs[n-1] += int32(count)
		return runs
	}
	return append(runs, int32(a), int32(b), int32(count))
}

// insideRange returns the x in [0, n) for which x*stride+shift is in [0, extent).
func insideRange(n, stride, shift, extent int) (lo, hi int) {
	if shift < 0 {
		lo = (-shift + stride - 1) / stride
	}
	hi = n
	if last := extent - 1 - shift; last < 0 {
		hi = 0
	} else {
		hi = min(hi, last/stride+1)
	}
	return min(lo, n), hi
}

// packX copies a block of src into strips.
func (o *outer) packX(s *Shape, k outerBlock, tiles []strip, group int, x, src []float32) {
	// So many rows lie together.
	images, rows := k.n1-k.n0, k.h1-k.h0
	switch {
	case s.R == 1:
		rows = 1
	case rows == s.H:
		images, rows = 1, images*rows
	}
	for _, t := range tiles {
		for n := range images {
			for row := k.h0; row < k.h1; row += rows {
				if h := srcRow(s, row); h >= 0 && h < s.H { // no run reads others
					from := src[((k.n0+n)*s.H+h)*s.W*s.C+group*s.groupC()+t.row:]
					kernels.CopyBlock(x, t.height, from, s.C, rows*s.W, t.height)
				}
				x = x[rows*s.W*t.height:]
			}
		}
	}
}

// srcRow returns the row of src that a packed row holds.
func srcRow(s *Shape, row int) int {
	if s.R == 1 {
		return row*s.StrideH - s.PadTop
	}
	return row
}

// copyLines copies the rows of a block of src with the padding on their sides
// and, for a 1-wide filter, without the pixels that the stride steps over, which
// then holds the channels of the strips only.
func (o *outer) copyLines(s *Shape, k outerBlock, tiles []strip, group int, x, src []float32) {
	channels, first, step := s.groupC(), group*s.groupC(), 1
	if s.S == 1 {
		channels, first, step = rowsOf(tiles), first+tiles[0].row, s.StrideW
	}
	lo, hi := insideRange(o.lineCols, step, -s.PadLeft, s.W)
	for n := k.n0; n < k.n1; n++ {
		for row := k.h0; row < k.h1; row++ {
			line := x[:o.lineCols*channels]
			x = x[len(line):]
			h := srcRow(s, row)
			if h < 0 || h >= s.H {
				continue // no run reads it
			}
			clear(line[:lo*channels])
			clear(line[hi*channels:])
			if lo < hi {
				from := src[((n*s.H+h)*s.W+lo*step-s.PadLeft)*s.C+first:]
				if step*s.C == channels {
					copy(line[lo*channels:hi*channels], from)
					continue
				}
				kernels.CopyBlock(line[lo*channels:], channels, from, step*s.C, hi-lo, channels)
			}
		}
	}
}
