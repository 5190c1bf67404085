package train

import (
	"math"

	"github.com/golanes/lanes/kernels"
)

// crossEntropy is the classification term: the softmax cross entropy of the
// scores z of a batch of n samples and k classes, with label smoothing e,
//
//	L = 1/n sum_i [ -(1-e) log p_iy - e/k sum_j log p_ij ],  p = softmax(z)
//
// or one of its variants: focal (Lin et al., 2017), L = 1/n sum_i
// -(1-p_iy)^gamma log p_iy; and, for scores that are cosines, the softmax of
// s*z with a margin on the true class: cosface (Wang et al., 2018) s*(z_y-m),
// arcface (Deng et al., 2019) s*cos(acos(z_y)+m).
type crossEntropy struct {
	cfg     LossConfig
	n, k    int
	logp    []float32 // n x k
	rowLoss []float64
	slope   []float32 // d(margin score)/d(cosine) of the true class, per sample
	second  []float32 // gradients of mixed samples for their second class, n x k

	io   *lossIO
	body func(lo, hi int)
}

// lossGrain is the number of scores from which a second core pays.
const lossGrain = 1 << 13

func newCrossEntropy(cfg LossConfig, n, k int) *crossEntropy {
	c := &crossEntropy{cfg: cfg, n: n, k: k,
		logp: make([]float32, n*k), rowLoss: make([]float64, n), slope: make([]float32, n)}
	c.body = c.rows
	return c
}

// compute returns the mean loss and, where io.dLogits is not nil, overwrites it
// with the gradient. The sum over samples is float64, in order.
func (c *crossEntropy) compute(io *lossIO) float64 {
	c.io = io
	if io.other != nil && io.dLogits != nil && c.second == nil {
		c.second = make([]float32, c.n*c.k)
	}
	kernels.Parallel(c.n, max(1, lossGrain/c.k), c.body)
	c.io = nil
	total := 0.0
	for _, l := range c.rowLoss {
		total += l
	}
	return total / float64(c.n)
}

func (c *crossEntropy) rows(lo, hi int) {
	for i := lo; i < hi; i++ {
		var d, second []float32
		if c.io.dLogits != nil {
			d = c.io.dLogits[i*c.k : (i+1)*c.k]
		}
		c.rowLoss[i] = c.row(d, i, int(c.io.labels[i]))
		if c.io.other == nil || c.io.weight[i] == 1 {
			continue
		}
		if d != nil {
			second = c.second[i*c.k : (i+1)*c.k]
		}
		w := c.io.weight[i]
		c.rowLoss[i] = float64(w)*c.rowLoss[i] + (1-float64(w))*c.row(second, i, int(c.io.other[i]))
		if d != nil {
			kernels.Scale(w, d)
			kernels.Axpy(1-w, second, d)
		}
	}
}

// row returns the loss of sample i as one of class y and, where d is not nil,
// overwrites d with the gradient.
func (c *crossEntropy) row(d []float32, i, y int) (loss float64) {
	row := c.logp[i*c.k : (i+1)*c.k]
	c.scores(row, c.io.logits[i*c.k:(i+1)*c.k], i, y)
	kernels.LogSoftmax(row, row, 1, c.k)
	switch c.cfg.Kind {
	case LossFocal:
		loss = c.focalRow(row, d, y)
	default:
		loss = c.smoothRow(row, d, y)
	}
	if d != nil && c.cfg.CosineHead() {
		kernels.Scale(float32(c.cfg.Scale), d)
		d[y] *= c.slope[i]
	}
	return loss
}

// scores writes the scores the softmax sees.
func (c *crossEntropy) scores(dst, z []float32, i, y int) {
	copy(dst, z)
	if !c.cfg.CosineHead() {
		return
	}
	kernels.Scale(float32(c.cfg.Scale), dst)
	cos := float64(z[y])
	switch c.cfg.Kind {
	case LossCosFace:
		c.slope[i] = 1
		dst[y] = float32(c.cfg.Scale * (cos - c.cfg.Margin))
	case LossArcFace:
		// cos(t+m) = cos t cos m - sin t sin m; its slope in cos t is
		// cos m + cos t sin m / sin t, unbounded where sin t = 0, so
		// sin t is kept from 0.
		sin := math.Sqrt(max(1-cos*cos, 1e-12))
		sm, cm := math.Sincos(c.cfg.Margin)
		dst[y] = float32(c.cfg.Scale * (cos*cm - sin*sm))
		c.slope[i] = float32(cm + cos*sm/sin)
	}
}

// smoothRow: dL/dz_j = (p_j - target_j)/n.
func (c *crossEntropy) smoothRow(logp, d []float32, y int) float64 {
	e := c.cfg.LabelSmoothing
	loss := -(1 - e) * float64(logp[y])
	if e > 0 {
		sum := 0.0
		for _, v := range logp {
			sum += float64(v)
		}
		loss -= e / float64(c.k) * sum
	}
	if d == nil {
		return loss
	}
	kernels.Exp(d, logp)
	inv := float32(1 / float64(c.n))
	low := float32(e / float64(c.k))
	for j := range d {
		t := low
		if j == y {
			t += float32(1 - e)
		}
		d[j] = (d[j] - t) * inv
	}
	return loss
}

// focalRow: with p = p_y and q = 1-p, L = -q^g log p and
// dL/dz_j = (g q^(g-1) p log p - q^g) (1[j=y] - p_j) / n.
// q is 1-exp(log p) computed without cancellation.
func (c *crossEntropy) focalRow(logp, d []float32, y int) float64 {
	g, lp := c.cfg.Gamma, float64(logp[y])
	q := -math.Expm1(lp)
	loss := -math.Pow(q, g) * lp
	if d == nil {
		return loss
	}
	slope := -math.Pow(q, g)
	if q > 0 {
		slope += g * math.Pow(q, g-1) * math.Exp(lp) * lp
	}
	kernels.Exp(d, logp)
	scale := float32(slope / float64(c.n))
	for j := range d {
		if j == y {
			d[j] = scale * float32(q)
		} else {
			d[j] *= -scale
		}
	}
	return loss
}
