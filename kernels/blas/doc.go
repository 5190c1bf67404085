// Package blas puts the kernels of lanes behind gonum's float32 BLAS interface.
//
//	blas32.Use(blas.Implementation{})
//
// in a main function is all it takes: every later call through
// gonum.org/v1/gonum/blas/blas32 uses these routines, and the program stays as
// it is.
//
// Matrix products (Sgemm, Ssymm, Ssyrk, Ssyr2k, Strmm, Strsm) are built on
// kernels.Gemm and run in parallel. Dense and packed matrix-vector routines run
// on kernels.Gemm, kernels.Dot and kernels.Axpy row by row, vectors with an
// increment other than 1 being gathered first. The banded routines, rotations, the
// strided level 1 and matrix-vector routines on a small matrix, which a call of a kernel
// for each row would only slow down, are gonum's own, by embedding; so are the routines
// of the other types, which makes Implementation usable wherever gonum's is. Rows and
// products of a few elements are loops, or gonum's where it skips no zeros.
//
// Arguments are checked as gonum checks them, with gonum's panic messages:
// whatever is not plainly valid is handed to gonum's implementation. As in gonum
// and the reference BLAS, alpha = 0 does not read A, B or x and beta = 0 does
// not read C or y; elements of the other triangle, and the diagonal with Unit,
// are not read either. Unlike gonum's, these routines do not skip zeros inside a
// matrix or vector, so 0*Inf and 0*NaN give NaN wherever they belong to a sum.
package blas
