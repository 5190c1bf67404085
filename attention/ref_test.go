package attention_test

import "math"

// The modules by their definition, in float64. Everything is a slice of named
// float64 arrays, so that derivatives can be taken by central differences.

type refInput struct {
	n, c, cr, hw   int // cr: hidden units, for eca the number of weights
	kind           string
	src            []float64 // NHWC
	w1, b1, w2, b2 []float64 // eca: w1
	dy, da         []float64
	headOnly       bool
}

func (r *refInput) mean(n, c int) float64 {
	sum := 0.0
	for i := range r.hw {
		sum += r.src[(n*r.hw+i)*r.c+c]
	}
	return sum / float64(r.hw)
}

func (r *refInput) max(n, c int) float64 {
	best := math.Inf(-1)
	for i := range r.hw {
		best = max(best, r.src[(n*r.hw+i)*r.c+c])
	}
	return best
}

// mlp adds the two layers on z to logits.
func (r *refInput) mlp(logits, z []float64) {
	hidden := make([]float64, r.cr)
	for k := range hidden {
		for c, v := range z {
			hidden[k] += r.w1[k*r.c+c] * v
		}
		if r.b1 != nil {
			hidden[k] += r.b1[k]
		}
		hidden[k] = max(hidden[k], 0)
	}
	for c := range logits {
		for k, v := range hidden {
			logits[c] += r.w2[c*r.cr+k] * v
		}
		if r.b2 != nil {
			logits[c] += r.b2[c]
		}
	}
}

// attention returns a.
func (r *refInput) attention() []float64 {
	a := make([]float64, r.n*r.c)
	for n := range r.n {
		logits, z, m := a[n*r.c:(n+1)*r.c], make([]float64, r.c), make([]float64, r.c)
		for c := range r.c {
			z[c], m[c] = r.mean(n, c), r.max(n, c)
		}
		switch r.kind {
		case "eca":
			for c := range logits {
				for t, w := range r.w1 {
					if i := c + t - len(r.w1)/2; i >= 0 && i < r.c {
						logits[c] += w * z[i]
					}
				}
			}
		case "cbam":
			r.mlp(logits, z)
			r.mlp(logits, m)
		default:
			r.mlp(logits, z)
		}
		for c, v := range logits {
			logits[c] = 1 / (1 + math.Exp(-v))
		}
	}
	return a
}

// output returns a and y.
func (r *refInput) output() (a, y []float64) {
	a, y = r.attention(), make([]float64, len(r.src))
	for i, v := range r.src {
		y[i] = v
		if !r.headOnly {
			y[i] *= a[i/r.c/r.hw*r.c+i%r.c]
		}
	}
	return a, y
}

// loss is the sum of dy*y + da*a, whose derivatives Backward computes.
func (r *refInput) loss() float64 {
	a, y := r.output()
	sum := 0.0
	for i, v := range y {
		sum += r.dy[i] * v
	}
	for i, v := range a {
		sum += r.da[i] * v
	}
	return sum
}

// gradient returns d loss / d x by central differences, for x one of r's arrays.
// The step leaves a truncation error of about 1e-10 and a rounding error of
// about 1e-16*|loss|/1e-5.
func (r *refInput) gradient(x []float64) []float64 {
	const step = 1e-5
	g := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + step
		up := r.loss()
		x[i] = v - step
		g[i] = (up - r.loss()) / (2 * step)
		x[i] = v
	}
	return g
}
