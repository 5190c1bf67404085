package train

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

func opActivateGrad(act kernels.Activation, dx, dy, x []float32) {
	for i, v := range x {
		h := 1e-2
		switch act {
		case kernels.ReLU:
			if v > 0 || v != v {
				dx[i] = dy[i]
			} else {
				dx[i] = 0
			}
		default:
			dx[i] = dy[i] * float32((activate1(act, v+float32(h))-activate1(act, v-float32(h)))/(2*h))
		}
	}
}
func opAdd(dst, x, y []float32) {
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}
func opScale(a float32, x []float32) {
	for i := range x {
		x[i] *= a
	}
}
func opSumSquares(x []float32) float32 { return kernels.Dot(x, x) }
func opExp(dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v)))
	}
}
func opLogSoftmax(dst, x []float32, rows, cols int) {
	for r := range rows {
		row := x[r*cols : (r+1)*cols]
		m := math.Inf(-1)
		for _, v := range row {
			m = math.Max(m, float64(v))
		}
		s := 0.0
		for _, v := range row {
			s += math.Exp(float64(v) - m)
		}
		l := m + math.Log(s)
		for j, v := range row {
			dst[r*cols+j] = float32(float64(v) - l)
		}
	}
}
func opSumRows(dst, x []float32, rows, c int) {
	for r := range rows {
		for j := range c {
			dst[j] += x[r*c+j]
		}
	}
}
func opBatchNormStats(mean, variance, x []float32, rows, c int) {
	for j := range c {
		s := 0.0
		for r := range rows {
			s += float64(x[r*c+j])
		}
		m := s / float64(rows)
		q := 0.0
		for r := range rows {
			d := float64(x[r*c+j]) - m
			q += d * d
		}
		mean[j], variance[j] = float32(m), float32(q/float64(rows))
	}
}
func opBatchNormApply(act kernels.Activation, dst, x, scale, shift []float32, rows, c int) {
	for i, v := range x {
		dst[i] = float32(activate1(act, v*scale[i%c]+shift[i%c]))
	}
}
func opNHWCToNCHW(dst, src []float32, n, c, h, w int) {
	for i := range n {
		for k := range c {
			for p := range h * w {
				dst[(i*c+k)*h*w+p] = src[(i*h*w+p)*c+k]
			}
		}
	}
}
func opNCHWToNHWC(dst, src []float32, n, c, h, w int) {
	for i := range n {
		for k := range c {
			for p := range h * w {
				dst[(i*h*w+p)*c+k] = src[(i*c+k)*h*w+p]
			}
		}
	}
}

func opBatchNormApplyAdd(act kernels.Activation, dst, x, r, scale, shift []float32, rows, c int) {
	for i, v := range x {
		dst[i] = float32(activate1(act, v*scale[i%c]+shift[i%c]+r[i]))
	}
}

func opBatchNormBackward(act kernels.Activation, dx, dres, dweight, dbias, dy, x, y, mean, inv, weight []float32, rows, c int) {
	g := make([]float32, len(dy))
	copy(g, dy)
	if act != kernels.Identity {
		for i := range g {
			if !(y[i] > 0) && y[i] == y[i] {
				g[i] = 0
			}
		}
	}
	for j := range c {
		sg, sgx := 0.0, 0.0
		for r := range rows {
			v := float64(g[r*c+j])
			sg += v
			sgx += v * (float64(x[r*c+j]) - float64(mean[j])) * float64(inv[j])
		}
		dweight[j], dbias[j] = float32(sgx), float32(sg)
	}
	if dx != nil {
		n := float32(rows)
		for i := range g {
			j := i % c
			h := (x[i] - mean[j]) * inv[j]
			dx[i] = weight[j] * inv[j] * (g[i] - dbias[j]/n - h*dweight[j]/n)
		}
	}
	if dres != nil {
		copy(dres, g)
	}
}

func activate1(act kernels.Activation, x float32) float64 {
	v := [1]float32{x}
	kernels.Activate(act, v[:], v[:])
	return float64(v[0])
}
