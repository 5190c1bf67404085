// Package safetensors reads and writes named tensors in the safetensors format:
// an 8-byte little-endian header length, a JSON header that gives each tensor's
// dtype, shape and byte range, and the raw little-endian elements.
//
// The reader treats its input as hostile. Every length is checked before it is
// used, memory stays proportional to the bytes that are really there, and a
// header that leaves a gap, overlaps two tensors, repeats a name or disagrees
// with the size of the file is an error. It does not use the mmap trick of other
// implementations: a file is read once into memory, and [Tensor.Data] aliases it.
//
// The writer's bytes depend on the names, values and metadata alone, not on the
// order they are given in: two checkpoints of the same weights are the same file.
//
// The package imports nothing else of this module.
package safetensors
