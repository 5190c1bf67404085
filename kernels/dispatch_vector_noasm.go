//go:build purego || !(amd64 || arm64)

package kernels

// The vector and optimizer kernels without assembly; see dispatch_noasm.go.

func add(dst, x, y []float32) {
	addGeneric(dst, x, y)
}

func sub(dst, x, y []float32) {
	subGeneric(dst, x, y)
}

func mul(dst, x, y []float32) {
	mulGeneric(dst, x, y)
}

// mulStream and gateStream are mul and gate: there are no streamed stores.
func mulStream(dst, x, y []float32) { mul(dst, x, y) }

func expStream(dst, x []float32) { expTo(dst, x) }

func logStream(dst, x []float32) { logTo(dst, x) }

func curveStream(act Activation, dst, x []float32) { curve(act, dst, x) }

func gateStream(dx, dy, x []float32, lo, hi, slope float32) { gate(dx, dy, x, lo, hi, slope) }

func scale(alpha float32, x []float32) {
	scaleGeneric(alpha, x)
}

func clamp(dst, x []float32, lo, hi float32) {
	clampGeneric(dst, x, lo, hi)
}

func sum(x []float32) float32 {
	return sumGeneric(x)
}

func maxOf(x []float32) float32 {
	return maxGeneric(x)
}

func expTo(dst, x []float32) {
	expGeneric(dst, x)
}

func logTo(dst, x []float32) {
	logGeneric(dst, x)
}

func leaky(dst, x []float32, slope float32) {
	leakyGeneric(dst, x, slope)
}

func elu(dst, x []float32, alpha float32) {
	eluGeneric(dst, x, alpha)
}

func hardSigmoid(dst, x []float32, alpha, beta float32) {
	hardSigmoidGeneric(dst, x, alpha, beta)
}

func gate(dx, dy, x []float32, lo, hi, slope float32) {
	gateGeneric(dx, dy, x, lo, hi, slope)
}

// curve computes dst = act(x) for the activations that are no clamp and have no
// parameter.
func curve(act Activation, dst, x []float32) {
	curveGeneric(act, dst, x)
}

// curveGrad computes dx = dy*act'(x) for the activations that gate does not
// cover.
func curveGrad(act Activation, dx, dy, x []float32) {
	curveGradGeneric(act, dx, dy, x)
}

func expSum(dst, x []float32, m float32) float32 {
	return expSumGeneric(dst, x, m)
}

func softmaxRows(_, _ []float32, _, _ int) bool { return false }

func offset(dst, x []float32, a, b float32) {
	offsetGeneric(dst, x, a, b)
}

func sgd(w, g []float32, lr, weightDecay float32) {
	sgdGeneric(w, g, lr, weightDecay)
}

func sgdMomentum(w, v, g []float32, lr, momentum, keep, weightDecay, a, b float32) {
	sgdMomentumGeneric(w, v, g, lr, momentum, keep, weightDecay, a, b)
}

func adam(w, m, v, g []float32, f *adamFactors) {
	adamGeneric(w, m, v, g, f)
}

func rmsprop(w, s, g []float32, f *rmspropFactors) {
	rmspropGeneric(w, s, g, f)
}

func transpose(rows, cols int, dst []float32, ldd int, src []float32, lds, _ int, _ Store) {
	transposeGeneric(rows, cols, dst, ldd, src, lds)
}

func streamCopy(dst, src []float32) { streamCopyGeneric(dst, src) }

func streamFence() {}
