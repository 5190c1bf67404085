// Package kernels is the compute core of lanes: float32 vector, matrix,
// normalisation and activation kernels with one implementation per instruction
// set and a pure-Go twin of each.
//
// Which implementation runs is decided once per program (see [Info]); the
// environment variable LANES_ISA=generic|avx2|avx512|neon lowers it.
//
// Matrices are row-major with an explicit leading dimension. Kernels panic on
// programmer errors (wrong lengths, negative sizes, forbidden overlap) with a
// message of the form "kernels.Func: what". They allocate nothing unless they
// say so. For one ISA a result is bitwise the same from run to run and for
// every GOMAXPROCS.
package kernels
