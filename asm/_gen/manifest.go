package gen

// manifest lists every generated assembly file: for each, the op programs it
// holds, in order, and the instruction sets it is made for. A new kernel is one
// line here.
var manifest = []entry{
	{"vector", on(avx2, avx512, neon), portable(axpy, dot, sum, maximum)},
	{"elementwise", on(avx2, avx512, neon), portable(elementwise...)},
	{"math", on(avx2, avx512, neon), portable(transcendental...)},
	{"math_gradients", on(avx2, avx512, neon), portable(transcendentalGradients...)},
	{"rows", on(avx2, avx512, neon), portable(rowsMaps...)},
	{"rows_sums", on(avx2, avx512, neon), portable(rowsSum, rowsMoment, rowsGradSum(false), rowsGradSum(true))},
	{"transpose", on(avx2, avx512), native(transposeMatrix)},
	{"optim", on(avx2, avx512, neon), portable(sgd, sgdMomentum, adam, rmsprop)},
	{"gathergemm", on(avx2, avx512), native(gatherGemm)},
	{"gathergemm", on(neon), nativeARM(gatherNEON(3), gatherNEON(1))},
	{"outergemm", on(avx2, avx512), native(outerGemm)},
	{"outergemm", on(neon), nativeARM(outerNEON(3), outerNEON(1))},
	{"peak", on(avx2, avx512, neon), portable(fmaLoop)},
	{"winograd", on(avx2, avx512, neon), portable(winograd)},
	{"depthwise", on(avx2, avx512, neon), portable(depthwise)},
	{"dots", on(avx2, avx512, neon), portable(dots(1), dots(2))},
	{"pack", on(avx2, avx512, neon), portable(copyBlock)},
	{"transpose_block", on(avx2, avx512), native(transposeBlock)},
	{"transpose_block", on(neon), nativeARM(transposeBlockNEON)},
	{"gemm_6x16", on(avx2), native(gemm(gemmTile{maxRows: 6, vecs: 2}))},
	{"gemm_12x8", on(avx2), native(gemm(gemmTile{maxRows: 12, vecs: 1, masked: true}))},
	{"gemm_14x32", on(avx512), native(gemm(gemmTile{maxRows: 14, vecs: 2}))},
	{"gemm_14x16", on(avx512), native(gemm(gemmTile{maxRows: 14, vecs: 1, masked: true}))},
	{"gemm_8x12", on(neon), nativeARM(gemmNEON(gemmTile{maxRows: 8, vecs: 3}))},
	{"gemm_8x8", on(neon), nativeARM(gemmNEON(gemmTile{maxRows: 8, vecs: 2}))},
	{"gemm_4x8", on(neon), nativeARM(gemmNEON(gemmTile{maxRows: 4, vecs: 2}))},
	{"gemm_8x4", on(neon), nativeARM(gemmNEON(gemmTile{maxRows: 8, vecs: 1, masked: true}))},
	{"channels", on(avx2, avx512, neon), portable(channelSums, channelDots, channelScale, channelScaleShift, channelFill)},
	{"planes", on(avx2, avx512, neon), portable(planeSums, planeDots, planeScale, planeScaleShift, planeFill)},
	{"window", on(avx2, avx512, neon), portable(windowMax, windowMaxIndex, windowMaxBackward, windowAvg)},
	{"pairs", on(avx2, avx512, neon), portable(pairSquares, pairSums, pairSumsAll, pairWeights, pairWeightsHinge, pairApply)},
	{"gather", on(avx2, avx512), native(gatherMean, gatherSquares, scaleShift)},
}
