package bench

import (
	"fmt"
	"slices"

	"github.com/golanes/lanes/kernels"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// A gemmShape is a product of op(A), m x k, and op(B), k x n.
type gemmShape struct {
	transA, transB bool
	m, n, k        int
}

// gemmCases are cubes, the products that convolutions of ResNet make, and
// skinny ones: batch 1, few classes, vectors.
func gemmCases() []benchCase {
	var cases []benchCase
	add := func(class string, s gemmShape) { cases = append(cases, gemmCase(class, s)) }
	for _, n := range []int{64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096} {
		for _, t := range []string{"NN", "NT", "TN", "TT"} {
			if n < 4096 || t == "NN" {
				add("cube", shape(t, n, n, n))
			}
		}
	}
	for _, s := range [][3]int{{64, 3136, 576}, {128, 784, 1152}, {256, 196, 2304}, {512, 49, 4608}, {3136, 64, 576}, {784, 128, 1152}, {8192, 128, 576}, {128, 8192, 576}} {
		for _, t := range []string{"NN", "NT", "TN"} {
			add("conv", shape(t, s[0], s[1], s[2]))
		}
	}
	for _, few := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16} {
		for _, t := range []string{"NN", "NT", "TN", "TT"} {
			add("skinny", shape(t, 1024, few, 1024))
			add("skinny", shape(t, few, 1024, 1024))
		}
	}
	return cases
}

// shape returns the product with the given transposition, "N" or "T" for A and
// for B.
func shape(trans string, m, n, k int) gemmShape {
	return gemmShape{trans[0] == 'T', trans[1] == 'T', m, n, k}
}

func gemmCase(class string, s gemmShape) benchCase {
	letter := map[bool]string{false: "N", true: "T"}
	bit := map[bool]int{true: 1}
	c := benchCase{
		name:   fmt.Sprintf("%s/%s%s/m=%d/n=%d/k=%d", class, letter[s.transA], letter[s.transB], s.m, s.n, s.k),
		flops:  2 * float64(s.m) * float64(s.n) * float64(s.k),
		native: fmt.Sprintf("gemm %d %d %d %d %d", bit[s.transA], bit[s.transB], s.m, s.n, s.k),
		setup: func() func() {
			a, b, c := s.operands()
			lda, ldb := s.leading()
			return func() {
				kernels.Gemm(s.transA, s.transB, s.m, s.n, s.k, 1, a, lda, b, ldb, 0, c, s.n)
			}
		},
	}
	if c.flops <= gonumFlops {
		c.gonum = func() func() {
			a, b, c := s.operands()
			lda, ldb := s.leading()
			t := map[bool]blas.Transpose{false: blas.NoTrans, true: blas.Trans}
			return func() {
				gonum.Implementation{}.Sgemm(t[s.transA], t[s.transB], s.m, s.n, s.k, 1, a, lda, b, ldb, 0, c, s.n)
			}
		}
	}
	return c
}

// gonumFlops is the most work given to gonum, which is an order of magnitude
// slower than the others.
const gonumFlops = 3e9

// leading returns the leading dimensions of A and B stored without gaps.
func (s gemmShape) leading() (lda, ldb int) {
	lda, ldb = s.k, s.n
	if s.transA {
		lda = s.m
	}
	if s.transB {
		ldb = s.k
	}
	return lda, ldb
}

func (s gemmShape) operands() (a, b, c []float32) {
	return filled(s.m * s.k), filled(s.k * s.n), kernels.AlignedFloats(s.m * s.n)
}

// filled returns n numbers in [-1, 1], none of them denormal. They lie as a plan's memory
// does: many of them on huge pages.
func filled(n int) []float32 { return fill(kernels.AlignedFloats(n)) }

// fill sets x to values in [-1, 1] and returns it.
func fill(x []float32) []float32 {
	for i := range x {
		x[i] = float32(i*7%23)/11 - 1
	}
	return x
}

// has tells whether the CPU has a feature, by its cpuid name.
func has(feature string) bool { return slices.Contains(kernels.Info().Features, feature) }
