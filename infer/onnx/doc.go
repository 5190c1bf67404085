// Package onnx reads and writes models in the ONNX format, straight from the
// protocol-buffer wire format and without generated code.
//
// It covers what networks for images are made of: graphs of nodes with
// attributes, dense tensors in any of the encodings, external data files, and
// the types of inputs and outputs. Sub-graphs (If, Loop), sparse tensors,
// sequences, maps and optional values are recognised, and reported as such when
// they are used.
//
// Every file is untrusted. Reading takes time and memory proportional to the
// size of the file: lengths are checked before anything is allocated, shapes
// are multiplied with overflow checks and compared with the data that is
// there, nothing recurses, and external data must lie in the model's folder.
//
// Most programs do not need this package: infer.Load reads a model and runs it.
package onnx
