package blas_test

import (
	"fmt"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/golanes/lanes/kernels/blas"
)

// solve is some program written for gonum: it knows nothing of lanes.
func solve() {
	a := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{2, 1, 0, 4}}
	x := blas32.Vector{N: 2, Inc: 1, Data: []float32{3, -1}}
	y := blas32.Vector{N: 2, Inc: 1, Data: make([]float32, 2)}
	blas32.Gemv('N', 1, a, x, 0, y)
	fmt.Println("A*x =", y.Data, "norm", blas32.Nrm2(x))

	u := blas32.Triangular{Uplo: 'U', Diag: 'N', N: 2, Stride: 2, Data: a.Data}
	blas32.Trsv('N', u, y)
	fmt.Println("x   =", y.Data)
}

// An unmodified gonum program before and after blas32.Use.
func Example() {
	solve()
	blas32.Use(blas.Implementation{})
	defer blas32.Use(gonum.Implementation{})
	solve()
	// Output:
	// A*x = [5 -4] norm 3.1622777
	// x   = [3 -1]
	// A*x = [5 -4] norm 3.1622777
	// x   = [3 -1]
}
