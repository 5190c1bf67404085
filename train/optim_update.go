package train

import "math"

// The updates below are elementwise over slices of one length: w the weights, g
// the gradients, and the moments. Coefficients are computed in float64 and
// rounded once.

func (o *Optimizer) sgd(w, g []float32, lo int, decay float64) {
	v := o.slice(0, lo, len(w))
	dampening := o.cfg.Dampening
	if o.steps == 1 {
		dampening = 0 // the first gradient starts the average
	}
	lr, wd := float32(o.lr), float32(decay)
	mu, keep := float32(o.cfg.Momentum), float32(1-dampening)
	for i, gi := range g {
		gi += wd * w[i]
		m := mu*v[i] + keep*gi
		v[i] = m
		if o.cfg.Nesterov {
			m = gi + mu*m
		}
		w[i] -= lr * m
	}
}

// adam divides the averaged gradient by the root of its averaged square, both
// corrected for starting at zero (Kingma and Ba, 2015; decoupled decay:
// Loshchilov and Hutter, 2019; AMSGrad: Reddi et al., 2018).
func (o *Optimizer) adam(w, g []float32, lo int, decay float64) {
	m, v := o.slice(0, lo, len(w)), o.slice(1, lo, len(w))
	var peak []float32
	if o.cfg.AMSGrad {
		peak = o.slice(2, lo, len(w))
	}
	b1, b2 := float32(o.cfg.Beta1), float32(o.cfg.Beta2)
	c1, c2 := float32(1-o.cfg.Beta1), float32(1-o.cfg.Beta2)
	rate := float32(o.lr / (1 - math.Pow(o.cfg.Beta1, float64(o.steps))))
	root := float32(1 / math.Sqrt(1-math.Pow(o.cfg.Beta2, float64(o.steps))))
	eps := float32(o.cfg.Eps)
	wd, shrink := float32(decay), float32(1)
	if o.cfg.Kind == AdamW {
		wd, shrink = 0, float32(1-o.lr*decay)
	}
	for i, gi := range g {
		wi := w[i] * shrink
		gi += wd * wi
		m[i] = b1*m[i] + c1*gi
		v[i] = b2*v[i] + c2*gi*gi
		second := v[i]
		if peak != nil {
			second = max(second, peak[i])
			peak[i] = second
		}
		w[i] = wi - rate*m[i]/(sqrt32(second)*root+eps)
	}
}

// rmsprop divides the gradient by the root of its averaged square (Hinton, 2012;
// centred: Graves, 2013).
func (o *Optimizer) rmsprop(w, g []float32, lo int, decay float64) {
	square := o.slice(0, lo, len(w))
	var mean, buf []float32
	k := 1
	if o.cfg.Centered {
		mean = o.slice(k, lo, len(w))
		k++
	}
	if o.cfg.Momentum > 0 {
		buf = o.slice(k, lo, len(w))
	}
	lr, wd, mu := float32(o.lr), float32(decay), float32(o.cfg.Momentum)
	a, c, eps := float32(o.cfg.Alpha), float32(1-o.cfg.Alpha), float32(o.cfg.Eps)
	for i, gi := range g {
		gi += wd * w[i]
		square[i] = a*square[i] + c*gi*gi
		second := square[i]
		if mean != nil {
			mean[i] = a*mean[i] + c*gi
			second -= mean[i] * mean[i]
		}
		step := gi / (sqrt32(second) + eps)
		if buf != nil {
			buf[i] = mu*buf[i] + step
			step = buf[i]
		}
		w[i] -= lr * step
	}
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
