package gen

// manifest lists every generated assembly file: for each, the op programs it
// holds, in order, and the instruction sets it is made for. A new kernel is one
// line here.
var manifest = []entry{
	{"vector", on(avx2, avx512, neon), portable(axpy, dot)},
	{"gathergemm", on(avx2, avx512), native(gatherGemm)},
	{"outergemm", on(avx2, avx512), native(outerGemm)},
}
