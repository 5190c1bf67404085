//go:build purego || !(amd64 || arm64)

package kernels

// Without assembly every kernel is its pure-Go twin.

func axpy(alpha float32, x, y []float32) { axpyGeneric(alpha, x, y) }

func dot(x, y []float32) float32 { return dotGeneric(x, y) }

func gatherTiles() (rows [3]int, nr, narrow int) { return gatherTilesGeneric() }

func gatherGemm(g *GatherGemm) { gatherGemmGeneric(g) }

func outerTiles() (rows []int, nr, narrow int) { return outerTilesGeneric() }

func outerGemm(o *OuterGemm) { outerGemmGeneric(o) }
