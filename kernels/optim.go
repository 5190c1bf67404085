package kernels

import "math"

// The optimizer steps follow PyTorch's definitions. Each is one pass over the
// weights, their gradient and their state; all slices have the same length and
// must not overlap. They are serial, elementwise, and allocate nothing.

// SGDMomentum updates the weights w and their momentum v by the gradient g:
//
//	d = g + weightDecay*w
//	v = momentum*v + (1-dampening)*d
//	w = w - lr*(nesterov ? d + momentum*v : v)
//
// PyTorch's first step stores v = d: with v = 0 that is a step with dampening 0.
// v may be nil if momentum is 0; then w = w - lr*d.
func SGDMomentum(w, v, g []float32, lr, momentum, dampening, weightDecay float32, nesterov bool) {
	checkSame("SGDMomentum", w, g)
	if v != nil || momentum != 0 {
		checkSame("SGDMomentum", w, v)
	}
	if len(w) == 0 {
		return
	}
	if momentum == 0 {
		sgd(w, g, lr, weightDecay)
		return
	}
	// One form for both: d*a + v*b, plain a = 0, b = 1, nesterov a = 1, b = momentum.
	a, b := float32(0), float32(1)
	if nesterov {
		a, b = 1, momentum
	}
	sgdMomentum(w, v, g, lr, momentum, 1-dampening, weightDecay, a, b)
}

func sgdGeneric(w, g []float32, lr, weightDecay float32) {
	g = g[:len(w)]
	for i, x := range w {
		w[i] = x - lr*(g[i]+weightDecay*x)
	}
}

func sgdMomentumGeneric(w, v, g []float32, lr, momentum, keep, weightDecay, a, b float32) {
	v, g = v[:len(w)], g[:len(w)]
	for i, x := range w {
		d := g[i] + weightDecay*x
		m := momentum*v[i] + keep*d
		v[i] = m
		w[i] = x - lr*(a*d+b*m)
	}
}

// AdamParams are the settings of one step of [Adam].
type AdamParams struct {
	LR, Beta1, Beta2, Eps float64
	WeightDecay           float64
	// Decoupled makes it AdamW: the weights decay by themselves and not
	// through the gradient.
	Decoupled bool
	// Step is the number of this step, from 1.
	Step int
}

// Adam updates the weights w, the first moment m and the second moment v by the
// gradient g:
//
//	Decoupled: w = w*(1 - LR*WeightDecay), else g = g + WeightDecay*w
//	m = Beta1*m + (1-Beta1)*g
//	v = Beta2*v + (1-Beta2)*g*g
//	w = w - LR/(1-Beta1^Step) * m / (sqrt(v/(1-Beta2^Step)) + Eps)
func Adam(w, m, v, g []float32, p AdamParams) {
	checkSame("Adam", w, m, v, g)
	if p.Step < 1 {
		panic("kernels.Adam: Step < 1")
	}
	if len(w) == 0 {
		return
	}
	step := float64(p.Step)
	f := adamFactors{
		beta1: float32(p.Beta1), rest1: float32(1 - p.Beta1),
		beta2: float32(p.Beta2), rest2: float32(1 - p.Beta2),
		rate:  float32(p.LR / (1 - math.Pow(p.Beta1, step))),
		root:  float32(1 / math.Sqrt(1-math.Pow(p.Beta2, step))),
		eps:   float32(p.Eps),
		decay: float32(p.WeightDecay), shrink: 1,
	}
	if p.Decoupled {
		f.decay, f.shrink = 0, float32(1-p.LR*p.WeightDecay)
	}
	adam(w, m, v, g, &f)
}

// adamFactors is laid out as the assembly reads it.
type adamFactors struct {
	beta1, rest1 float32 // 1-beta1
	beta2, rest2 float32
	rate         float32 // LR over the bias correction of m
	root         float32 // 1/sqrt of the bias correction of v
	eps          float32
	decay        float32 // of the gradient
	shrink       float32 // of the weights
}

func adamGeneric(w, m, v, g []float32, f *adamFactors) {
	m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
	for i, x := range w {
		d := g[i] + f.decay*x
		m1 := f.beta1*m[i] + f.rest1*d
		v1 := f.beta2*v[i] + f.rest2*d*d
		m[i], v[i] = m1, v1
		w[i] = x*f.shrink - f.rate*m1/(float32(math.Sqrt(float64(v1)))*f.root+f.eps)
	}
}

// RMSpropParams are the settings of [RMSprop].
type RMSpropParams struct {
	LR, Alpha, Eps, WeightDecay, Momentum float64
	Centered                              bool
}

// RMSprop updates the weights w, the mean square s, the mean gradient a (for
// Centered, else nil) and the momentum v (nil if Momentum is 0) by the gradient
// g:
//
//	d = g + WeightDecay*w
//	s = Alpha*s + (1-Alpha)*d*d
//	a = Alpha*a + (1-Alpha)*d
//	q = d / (sqrt(Centered ? s - a*a : s) + Eps)
//	v = Momentum*v + q
//	w = w - LR*(Momentum != 0 ? v : q)
func RMSprop(w, s, a, v, g []float32, p RMSpropParams) {
	checkSame("RMSprop", w, s, g)
	if p.Centered {
		checkSame("RMSprop", w, a)
	}
	if p.Momentum != 0 {
		checkSame("RMSprop", w, v)
	}
	if len(w) == 0 {
		return
	}
	f := rmspropFactors{
		alpha: float32(p.Alpha), rest: float32(1 - p.Alpha),
		rate: float32(p.LR), eps: float32(p.Eps),
		decay: float32(p.WeightDecay), momentum: float32(p.Momentum),
	}
	if p.Centered || p.Momentum != 0 {
		rmspropFull(w, s, a, v, g, &f, p.Centered)
		return
	}
	rmsprop(w, s, g, &f)
}

// rmspropFactors is laid out as the assembly reads it.
type rmspropFactors struct{ alpha, rest, rate, eps, decay, momentum float32 }

func rmspropGeneric(w, s, g []float32, f *rmspropFactors) {
	rmspropFull(w, s, nil, nil, g, f, false)
}

// rmspropFull is the step with all its options, which are rare.
func rmspropFull(w, s, a, v, g []float32, f *rmspropFactors, centered bool) {
	for i, x := range w {
		d := g[i] + f.decay*x
		s1 := f.alpha*s[i] + f.rest*d*d
		s[i] = s1
		if centered {
			a1 := f.alpha*a[i] + f.rest*d
			a[i] = a1
			s1 -= a1 * a1
		}
		q := d / (float32(math.Sqrt(float64(s1))) + f.eps)
		if f.momentum != 0 {
			q += f.momentum * v[i]
			v[i] = q
		}
		w[i] = x - f.rate*q
	}
}
