package report

import (
	"math"
	"math/rand/v2"
)

// components are the two leading principal components of a set of vectors.
type components struct {
	axes      [2][]float64 // unit vectors, at right angles
	projected []point      // the vectors, less their mean, on the axes
	variance  [2]float64   // along the axes, descending
	total     float64      // variance along all directions
}

// componentSteps bounds the iterations. Where the third variance is so near the
// second that they do not settle, the plane found holds as much as the best one
// within the rounding of the share that the page prints.
const componentSteps = 300

// principal finds the two leading principal components of vectors, n of d
// elements each, by orthogonal iteration on their covariance (Golub and Van Loan,
// Matrix Computations, section 8.2.4) and a rotation inside the plane found. The
// component of largest magnitude of each axis is positive, so that equal vectors
// give equal drawings. It reports false for vectors that do not spread in two
// directions. The vectors must be finite; they are moved so that their mean is zero.
func principal(vectors []float64, n, d int) (c components, ok bool) {
	if n < 3 || d < 2 {
		return c, false
	}
	centre(vectors, n, d)
	for _, v := range vectors {
		c.total += v * v
	}
	if !(c.total > 0) {
		return c, false
	}
	r := rand.New(rand.NewPCG(uint64(d), 2))
	for k := range c.axes {
		c.axes[k] = make([]float64, d)
		for j := range d {
			c.axes[k][j] = r.NormFloat64()
		}
	}
	orthonormal(&c.axes)
	previous := 0.0
	for range componentSteps {
		var next [2][]float64
		for k := range next {
			next[k] = covarianceTimes(vectors, n, c.axes[k])
		}
		held := dot(c.axes[0], next[0]) + dot(c.axes[1], next[1])
		if !orthonormal(&next) {
			return c, false
		}
		c.axes = next
		if math.Abs(held-previous) <= 1e-15*held {
			break
		}
		previous = held
	}
	c.rotate(vectors, n)
	return c, c.variance[1] > 1e-12*c.total // below is rounding
}

// centre subtracts the mean vector.
func centre(vectors []float64, n, d int) {
	mean := make([]float64, d)
	for i, v := range vectors {
		mean[i%d] += v / float64(n)
	}
	for i := range vectors {
		vectors[i] -= mean[i%d]
	}
}

// covarianceTimes returns sum over the vectors of vector * (vector . v).
func covarianceTimes(vectors []float64, n int, v []float64) []float64 {
	d := len(v)
	product := make([]float64, d)
	for i := range n {
		row := vectors[i*d : (i+1)*d]
		s := dot(row, v)
		for j, x := range row {
			product[j] += s * x
		}
	}
	return product
}

// orthonormal makes two vectors unit vectors at right angles by Gram and
// Schmidt's method, the second step twice for precision. It reports false where
// one of them vanishes.
func orthonormal(v *[2][]float64) bool {
	if !unit(v[0]) || !unit(v[1]) {
		return false
	}
	for range 2 {
		s := dot(v[0], v[1])
		for j := range v[1] {
			v[1][j] -= s * v[0][j]
		}
		if !unit(v[1]) {
			return false
		}
	}
	return true
}

func unit(v []float64) bool {
	length := math.Sqrt(dot(v, v))
	if !(length > 0) {
		return false
	}
	for j := range v {
		v[j] /= length
	}
	return true
}

func dot(a, b []float64) float64 {
	s := 0.0
	for j, x := range a {
		s += x * b[j]
	}
	return s
}

// rotate turns the axes inside their plane until the projections on them are
// uncorrelated, fixes their signs, and projects the vectors.
func (c *components) rotate(vectors []float64, n int) {
	d := len(c.axes[0])
	first, second := covarianceTimes(vectors, n, c.axes[0]), covarianceTimes(vectors, n, c.axes[1])
	angle := 0.5 * math.Atan2(2*dot(c.axes[1], first), dot(c.axes[0], first)-dot(c.axes[1], second))
	sin, cos := math.Sincos(angle)
	for j := range d {
		u, v := c.axes[0][j], c.axes[1][j]
		c.axes[0][j], c.axes[1][j] = cos*u+sin*v, cos*v-sin*u
	}
	for k, a := range c.axes {
		largest := 0
		for j := range a {
			if math.Abs(a[j]) > math.Abs(a[largest]) {
				largest = j
			}
		}
		if a[largest] < 0 {
			for j := range a {
				a[j] = -a[j]
			}
		}
		c.variance[k] = 0
	}
	c.projected = make([]point, n)
	for i := range n {
		row := vectors[i*d : (i+1)*d]
		p := point{dot(row, c.axes[0]), dot(row, c.axes[1])}
		c.projected[i] = p
		c.variance[0] += p.x * p.x
		c.variance[1] += p.y * p.y
	}
	for k := range c.variance {
		c.variance[k] /= float64(n - 1)
	}
	c.total /= float64(n - 1)
}
