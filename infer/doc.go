// Package infer runs ONNX models on the CPU.
package infer
