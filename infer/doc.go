// Package infer runs networks from ONNX files.
//
//	s, err := infer.Load("model.onnx", nil)
//	...
//	err = s.Run(outputs, inputs)
//
// Loading checks everything that can be checked without data: an operator, a
// shape or a file that is not supported is an error then, which names the node.
// Operator sets 1 to 25 are known; the operators are the keys of the table in ops.go.
//
// A session plans once for each combination of input shapes. It infers all
// shapes, computes what depends on constants only, folds batch norm and other
// constants by channel into convolutions, lets convolutions apply residual and
// activation as they store, keeps maps in NHWC and converts only where an
// operator insists, packs weights, and places every intermediate result in one
// arena from its lifetime. [Session.Explain] prints the outcome. A graph whose
// shapes depend on elements is evaluated node by node instead.
//
// Quantised models run on bytes: QLinearConv and its kin, and float layers
// between DequantizeLinear and QuantizeLinear. Package quantize makes such models.
//
// [Classifier] goes from a picture to class names.
//
// Results are those of package conv and kernels: bitwise the same for every
// number of threads and from run to run on one instruction set. Winograd's
// algorithm is used where it is faster unless [Options].Exact says otherwise.
package infer
