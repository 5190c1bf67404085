package kernels

// The pure-Go twins of the GEMM machine code. They run in the same blocked
// algorithm.

// gemmTileGeneric is 4 x 16 with the columns taken four at a time: sixteen
// accumulators are what the Go compiler keeps in registers.
func gemmTileGeneric() *gemmTile { return &tileGeneric }

var tileGeneric = gemmTile{mr: 4, shallow: 4, nr: 16, narrow: 16, limits: limitsGeneric, pack: packGeneric}

func gemmPanelGeneric(t *panelArgs) {
	u, i := *t, 0
	for tile := range t.tiles + t.less {
		rows := t.rows
		if tile >= t.tiles {
			rows--
		}
		at := i * t.rsa
		if t.pitch != 0 {
			at = tile * t.pitch
		}
		u.a, u.d, u.c = t.a[at:], t.d[i*t.ldc:], t.c[i*t.ldc:]
		gemmRowsGeneric(&u, 0, rows)
		i += rows
	}
}

// gemmRowsGeneric computes rows i to i+rows-1.
func gemmRowsGeneric(t *panelArgs, i, rows int) {
	for ; rows >= 2; rows -= 2 {
		j := 0
		for ; j+4 <= t.n; j += 4 {
			gemm2x4Generic(t, i, j)
		}
		for ; j < t.n; j++ {
			t.finishGeneric(i, j, gemm1x1Generic(t, i, j))
			t.finishGeneric(i+1, j, gemm1x1Generic(t, i+1, j))
		}
		i += 2
	}
	if rows == 1 {
		for j := range t.n {
			t.finishGeneric(i, j, gemm1x1Generic(t, i, j))
		}
	}
}

func gemm1x1Generic(t *panelArgs, i, j int) float32 {
	var s float32
	a, b := i*t.rsa, j
	for range t.k {
		s += t.a[a] * t.b[b]
		a += t.csa
		b += t.ldb
	}
	return s
}

func gemm2x4Generic(t *panelArgs, i, j int) {
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	a0, a1, rb := t.a[i*t.rsa:], t.a[(i+1)*t.rsa:], t.b[j:]
	a, b := 0, 0
	for range t.k {
		v := rb[b : b+4 : b+4]
		x, y := a0[a], a1[a]
		s00 += x * v[0]
		s01 += x * v[1]
		s02 += x * v[2]
		s03 += x * v[3]
		s10 += y * v[0]
		s11 += y * v[1]
		s12 += y * v[2]
		s13 += y * v[3]
		a += t.csa
		b += t.ldb
	}
	t.finishGeneric(i, j, s00)
	t.finishGeneric(i, j+1, s01)
	t.finishGeneric(i, j+2, s02)
	t.finishGeneric(i, j+3, s03)
	t.finishGeneric(i+1, j, s10)
	t.finishGeneric(i+1, j+1, s11)
	t.finishGeneric(i+1, j+2, s12)
	t.finishGeneric(i+1, j+3, s13)
}

// finishGeneric stores element (i, j), whose sum over k is s.
func (t *panelArgs) finishGeneric(i, j int, s float32) {
	c := &t.c[i*t.ldc+j]
	s *= t.alpha
	if t.beta != 0 {
		s += t.beta * t.d[i*t.ldc+j]
	}
	if t.bias != nil {
		s += t.bias[j]
	}
	if t.clamp != nil {
		// Comparisons that are false for NaN let it through.
		if s < t.clamp[0] {
			s = t.clamp[0]
		}
		if s > t.clamp[1] {
			s = t.clamp[1]
		}
	}
	*c = s
}

// copyBlockGeneric computes dst[i*ldd+j] = src[i*lds+j] for i < rows, j < cols, rows
// in ascending order: where they overlap, that is ldd < cols, the later one stays, and
// what is left of the last beyond ldd is undefined.
func copyBlockGeneric(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	cols = min(cols, ldd)
	for i := range rows {
		copy(dst[i*ldd:i*ldd+cols], src[i*lds:i*lds+cols])
	}
}

// transposeBlockGeneric computes dst[j*ldd+i] = src[i*lds+j] for i < rows, j < cols,
// rows of dst in ascending order: where ldd < rows, as copyBlockGeneric.
func transposeBlockGeneric(rows, cols int, dst []float32, ldd int, src []float32, lds int) {
	for i := range min(rows, ldd) {
		row := src[i*lds : i*lds+cols]
		for j, v := range row {
			dst[j*ldd+i] = v
		}
	}
}
