// Package gen generates every assembly file of lanes.
//
// A kernel is a Go function, the op program, that emits instructions. Most op
// programs are written once against [Machine], a small portable vector machine,
// and the [manifest] instantiates them for each instruction set; programs that
// live from the particulars of one ISA (GEMM tiles) use its backend directly.
//
// The generator is a test. In this folder,
//
//	go test              fails if a generated file is stale
//	go test -generate    rewrites the generated files
//
// Output depends on this folder only: it holds no date, path or command line,
// so regenerating without a change here changes nothing.
package gen
