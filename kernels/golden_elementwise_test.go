package kernels_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestGoldenElementwise(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		kerneltest.Golden(t, "elementwise", func(t *testing.T, c *kerneltest.Case) {
			key := "fn"
			if !c.Has(key) {
				key = "kind"
			}
			name := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(c.Str(key)))
			if goldenBinary(t, c, name) {
				return
			}
			x, want := c.F32("x"), c.F32("y")
			y := make([]float32, len(x))
			unary(t, c, name, y, x)
			kerneltest.Close(t, "y", y, want, goldenAbs, goldenRel)
			if c.Has("gy") {
				dx := make([]float32, len(x))
				unaryGrad(t, c, name, dx, c.F32("gy"), x)
				kerneltest.Close(t, "gx", dx, c.F32("gx"), goldenAbs, goldenRel)
			}
		})
	})
}

// goldenBinary checks a function of two tensors of one shape; false for others.
func goldenBinary(t *testing.T, c *kerneltest.Case, name string) bool {
	first, second := "", ""
	for _, pair := range [][2]string{{"x", "z"}, {"a", "b"}, {"x1", "x2"}, {"x", "other"}} {
		if c.Has(pair[0]) && c.Has(pair[1]) {
			first, second = pair[0], pair[1]
		}
	}
	if second == "" {
		return false
	}
	x, z, y := c.F32(first), c.F32(second), c.F32("y")
	got := make([]float32, len(x))
	var g1, g2 func(gy []float32) []float32
	same := func(gy []float32) []float32 { return gy }
	times := func(v []float32) func([]float32) []float32 {
		return func(gy []float32) []float32 {
			d := make([]float32, len(v))
			kernels.Mul(d, gy, v)
			return d
		}
	}
	switch name {
	case "add":
		kernels.Add(got, x, z)
		g1, g2 = same, same
	case "sub":
		kernels.Sub(got, x, z)
		g1, g2 = same, func(gy []float32) []float32 { return scaled(-1, gy) }
	case "mul":
		kernels.Mul(got, x, z)
		g1, g2 = times(z), times(x)
	default:
		t.Fatalf("not understood: %q of two tensors", name)
	}
	kerneltest.Close(t, "y", got, y, goldenAbs, goldenRel)
	if c.Has("gy") {
		gy := c.F32("gy")
		kerneltest.Close(t, "g"+first, g1(gy), c.F32("g"+first), goldenAbs, goldenRel)
		kerneltest.Close(t, "g"+second, g2(gy), c.F32("g"+second), goldenAbs, goldenRel)
	}
	return true
}

func scaled(alpha float32, x []float32) []float32 {
	y := slices.Clone(x)
	kernels.Scale(alpha, y)
	return y
}

// param returns the parameter of a case that has one of these names.
func param(c *kerneltest.Case, byDefault float64, names ...string) float32 {
	for _, name := range names {
		if c.Has(name) {
			byDefault = c.Float(name)
		}
	}
	return float32(byDefault)
}

// SELU's constants (Klambauer et al., 2017).
const seluScale, seluAlpha = 1.0507009873554805, 1.6732632423543772

// unary applies the function a case names, with the parameters it gives:
// a kernel, or a few of them.
func unary(t *testing.T, c *kerneltest.Case, name string, y, x []float32) {
	switch name {
	case "exp":
		kernels.Exp(y, x)
	case "log":
		kernels.Log(y, x)
	case "neg":
		copy(y, scaled(-1, x))
	case "square":
		kernels.Mul(y, x, x)
	case "leakyrelu":
		kernels.LeakyReLUWith(param(c, 0.01, "alpha", "slope", "negative_slope"), y, x)
	case "elu":
		kernels.ELUWith(param(c, 1, "alpha"), y, x)
	case "celu": // max(0,x) + min(0, a(exp(x/a)-1))
		alpha := param(c, 1, "alpha")
		kernels.ELUWith(1, y, scaled(1/alpha, x))
		kernels.Scale(alpha, y)
	case "selu":
		kernels.ELUWith(seluAlpha, y, x)
		kernels.Scale(seluScale, y)
	case "hardsigmoid":
		kernels.HardSigmoidWith(param(c, 1./6, "alpha"), param(c, 0.5, "beta"), y, x)
	case "hardtanh", "clamp", "clip":
		kernels.Clamp(y, x, param(c, -1, "min", "min_val", "lo"), param(c, 1, "max", "max_val", "hi"))
	case "mish":
		kernels.Activate(kernels.Softplus, y, x)
		kernels.Activate(kernels.Tanh, y, y)
		kernels.Mul(y, y, x)
	case "logsigmoid":
		kernels.Activate(kernels.Softplus, y, scaled(-1, x))
		kernels.Scale(-1, y)
	case "softplus": // of slope beta: log(1+exp(beta x))/beta
		beta := param(c, 1, "beta")
		param(c, 20, "threshold") // beyond which torch returns x, equal within rounding
		kernels.Activate(kernels.Softplus, y, scaled(beta, x))
		kernels.Scale(1/beta, y)
	case "softmax":
		rows, cols := lastAxis(t, c)
		kernels.Softmax(y, x, rows, cols)
	case "logsoftmax":
		rows, cols := lastAxis(t, c)
		kernels.LogSoftmax(y, x, rows, cols)
	case "gelutanh":
		geluTanh(y, x)
	case "gelu":
		if c.Has("approximate") && c.Str("approximate") == "tanh" {
			geluTanh(y, x)
			return
		}
		kernels.Activate(kernels.GELU, y, x)
	default:
		act, err := kernels.ParseActivation(name)
		if err != nil {
			t.Fatalf("not understood: %v", err)
		}
		kernels.Activate(act, y, x)
	}
}

// lastAxis is the shape of x as rows of its last dimension.
func lastAxis(t *testing.T, c *kerneltest.Case) (rows, cols int) {
	shape := c.Shape("x")
	last := len(shape) - 1
	for _, key := range []string{"dim", "axis"} {
		if c.Has(key) {
			if d := c.Int(key); d != -1 && d != last {
				t.Fatalf("not understood: %s %d of %v", key, d, shape)
			}
		}
	}
	return len(c.F32("x")) / max(shape[last], 1), shape[last]
}

// geluTanh is the approximation x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
func geluTanh(y, x []float32) {
	for i, v := range x {
		y[i] = v + 0.044715*v*v*v
	}
	kernels.Scale(float32(math.Sqrt(2/math.Pi)), y)
	kernels.Activate(kernels.Tanh, y, y)
	for i, v := range x {
		y[i] = v / 2 * (1 + y[i])
	}
}

// unaryGrad applies the derivative, for the functions that have a kernel for it.
func unaryGrad(t *testing.T, c *kerneltest.Case, name string, dx, dy, x []float32) {
	switch name {
	case "exp":
		kernels.Exp(dx, x)
		kernels.Mul(dx, dx, dy)
		return
	case "neg":
		copy(dx, scaled(-1, dy))
		return
	case "square":
		kernels.Mul(dx, scaled(2, x), dy)
		return
	}
	act, err := kernels.ParseActivation(name)
	if err != nil {
		t.Fatalf("not understood: a gradient of %q", name)
	}
	for _, p := range []struct {
		key   string
		value float32
	}{{"alpha", map[string]float32{"leakyrelu": 0.01, "elu": 1, "hardsigmoid": 1. / 6}[name]}, {"slope", 0.01}, {"negative_slope", 0.01}, {"beta", map[string]float32{"hardsigmoid": 0.5}[name]}} {
		if c.Has(p.key) && float32(c.Float(p.key)) != p.value {
			t.Fatalf("not understood: a gradient of %q with %s %s", name, p.key, c.Str(p.key))
		}
	}
	kernels.ActivateGrad(act, dx, dy, x)
}
