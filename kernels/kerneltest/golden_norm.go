package kerneltest

import "math"

// NormCase is a reference case of batch normalisation in NHWC rows, with the
// magnitudes of what its results are sums of: y is the difference of x*scale and
// mean*scale, and everything behind it inherits the error.
type NormCase struct {
	Rows, C                 int
	X, DY, Y, DX, YEval     []float32
	Gamma, Beta             []float32
	Affine                  bool // the case has gamma and beta
	MagY, MagDX, MagEval    []float64
	MagGamma                []float64
	Eps, Momentum           float64
	DGamma, DBeta           []float32
	RunningMean, RunningVar []float32
}

// ReadNorm reads a case of batch normalisation of x of shape N, C, ....
func ReadNorm(c *Case) *NormCase {
	shape := c.Shape("x")
	n, ch, plane := shape[0], shape[1], 1
	for _, d := range shape[2:] {
		plane *= d
	}
	rows := func(name string) []float32 { return ToNHWC(c.F32(name), n, ch, 1, plane) }
	k := &NormCase{Rows: n * plane, C: ch, X: rows("x"), DY: rows("gy"), Y: rows("y"), DX: rows("gx"), YEval: rows("y_eval"),
		Gamma: make([]float32, ch), Beta: make([]float32, ch), Affine: c.Has("gamma"), Eps: c.Float("eps"), Momentum: c.Float("momentum"),
		RunningMean: c.F32("running_mean"), RunningVar: c.F32("running_var")}
	for i := range k.Gamma {
		k.Gamma[i] = 1
	}
	if k.Affine {
		k.Gamma, k.Beta, k.DGamma, k.DBeta = c.F32("gamma"), c.F32("beta"), c.F32("ggamma"), c.F32("gbeta")
	}
	k.magnitudes()
	return k
}

func (k *NormCase) magnitudes() {
	mean, square, total := make([]float64, k.C), make([]float64, k.C), make([]float64, k.C)
	for i, v := range k.X {
		mean[i%k.C] += float64(v) / float64(k.Rows)
	}
	for i, v := range k.X {
		d := float64(v) - mean[i%k.C]
		square[i%k.C] += d * d / float64(k.Rows)
		total[i%k.C] += math.Abs(float64(k.DY[i]))
	}
	k.MagY, k.MagDX, k.MagEval = make([]float64, len(k.X)), make([]float64, len(k.X)), make([]float64, len(k.X))
	k.MagGamma = make([]float64, k.C)
	for i, v := range k.X {
		c := i % k.C
		gamma := math.Abs(float64(k.Gamma[c]))
		inv := 1 / math.Sqrt(square[c]+k.Eps)
		far := (math.Abs(float64(v)) + math.Abs(mean[c])) * inv // terms of the normalised x
		k.MagY[i] = gamma * far
		k.MagDX[i] = gamma * inv * (math.Abs(float64(k.DY[i])) + far*total[c]/float64(k.Rows))
		run := 1 / math.Sqrt(float64(k.RunningVar[c])+k.Eps)
		k.MagEval[i] = gamma * run * (math.Abs(float64(v)) + math.Abs(float64(k.RunningMean[c])))
		k.MagGamma[c] += math.Abs(float64(k.DY[i])) * far
	}
}
