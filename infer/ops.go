package infer

// An operatorSpec is an entry of the table of operators.
type operatorSpec struct {
	apply operator
	// moves says that elements are moved, made or cast, never computed with: the
	// operator takes 16-bit floats as they are.
	moves bool
	// modular says that wider whole numbers give the same results in their low bits:
	// those of fewer than 64 bits are computed as int64, which saves a kernel for each
	// of their types. All inputs have one type.
	modular bool
	// view says that output 0 has the elements of input 0 in the same order.
	view bool
}

// operators are the supported operators of the standard domain, by name.
var operators = map[string]operatorSpec{
	"Add": {apply: opArith, modular: true}, "Sub": {apply: opArith, modular: true}, "Mul": {apply: opArith, modular: true},
	"Div": {apply: opArith, modular: true}, "Pow": {apply: opPow}, "Min": {apply: opVariadic, modular: true},
	"Max": {apply: opVariadic, modular: true}, "Mean": {apply: opVariadic, modular: true}, "Sum": {apply: opVariadic, modular: true},
	"Equal": {apply: opCompare, modular: true}, "Less": {apply: opCompare, modular: true}, "LessOrEqual": {apply: opCompare, modular: true},
	"Greater": {apply: opCompare, modular: true}, "GreaterOrEqual": {apply: opCompare, modular: true},
	"And": {apply: opLogic}, "Or": {apply: opLogic}, "Xor": {apply: opLogic}, "Not": {apply: opNot},

	"Relu": {apply: opNumeric, modular: true}, "Abs": {apply: opNumeric, modular: true}, "Neg": {apply: opNumeric, modular: true},
	"Sign": {apply: opNumeric, modular: true}, "Clip": {apply: opClip, modular: true},
	"LeakyRelu": {apply: opFloat}, "PRelu": {apply: opPRelu}, "Elu": {apply: opFloat}, "Selu": {apply: opFloat}, "Gelu": {apply: opFloat},
	"Sigmoid": {apply: opFloat}, "HardSigmoid": {apply: opFloat}, "HardSwish": {apply: opFloat}, "Tanh": {apply: opFloat},
	"Softplus": {apply: opFloat}, "Softsign": {apply: opFloat}, "Erf": {apply: opFloat}, "Exp": {apply: opFloat}, "Log": {apply: opFloat},
	"Sqrt": {apply: opFloat}, "Reciprocal": {apply: opFloat}, "Floor": {apply: opFloat}, "Ceil": {apply: opFloat},
	"Softmax": {apply: opSoftmax}, "LogSoftmax": {apply: opSoftmax},

	"Conv": {apply: opConv}, "ConvTranspose": {apply: opConvTranspose},
	"Gemm": {apply: opGemm, modular: true}, "MatMul": {apply: opMatMul, modular: true},
	"MaxPool": {apply: opMaxPool}, "AveragePool": {apply: opAveragePool},
	"GlobalAveragePool": {apply: opGlobalPool}, "GlobalMaxPool": {apply: opGlobalPool},
	"BatchNormalization": {apply: opBatchNorm}, "LayerNormalization": {apply: opLayerNorm},
	"GroupNormalization": {apply: opGroupNorm}, "InstanceNormalization": {apply: opGroupNorm}, "LRN": {apply: opLRN},

	"ReduceMean": {apply: opReduce}, "ReduceSum": {apply: opReduce}, "ReduceMax": {apply: opReduce}, "ReduceMin": {apply: opReduce},
	"ReduceProd": {apply: opReduce}, "ReduceL1": {apply: opReduce}, "ReduceL2": {apply: opReduce},
	"ReduceSumSquare": {apply: opReduce}, "ReduceLogSum": {apply: opReduce},
	"ArgMax": {apply: opArg}, "ArgMin": {apply: opArg}, "Resize": {apply: opResize}, "Upsample": {apply: opResize},

	"Reshape": {apply: opReshape, moves: true, view: true}, "Flatten": {apply: opFlatten, moves: true, view: true},
	"Squeeze": {apply: opSqueeze, moves: true, view: true}, "Unsqueeze": {apply: opUnsqueeze, moves: true, view: true},
	"Identity": {apply: opIdentity, moves: true, view: true}, "Dropout": {apply: opDropout, moves: true},
	"Transpose": {apply: opTranspose, moves: true}, "Concat": {apply: opConcat, moves: true}, "Split": {apply: opSplit, moves: true},
	"Slice": {apply: opSlice, moves: true}, "Pad": {apply: opPad, moves: true}, "Expand": {apply: opExpand, moves: true},
	"Tile": {apply: opTile, moves: true}, "Gather": {apply: opGather, moves: true}, "Where": {apply: opWhere, moves: true},
	"DepthToSpace": {apply: opDepthToSpace, moves: true}, "SpaceToDepth": {apply: opDepthToSpace, moves: true},
	"Cast": {apply: opCast, moves: true}, "CastLike": {apply: opCast, moves: true},
	"Shape": {apply: opShape, moves: true}, "Size": {apply: opSize, moves: true}, "Constant": {apply: opConstant, moves: true},
	"ConstantOfShape": {apply: opConstantOfShape, moves: true}, "Range": {apply: opRange},

	"QuantizeLinear": {apply: opQuantize}, "DequantizeLinear": {apply: opDequantize},
	"QLinearConv": {apply: opConvInteger}, "ConvInteger": {apply: opConvInteger},
	"QLinearMatMul": {apply: opMatMulInteger}, "MatMulInteger": {apply: opMatMulInteger},
}
