// Package safetensors reads and writes tensors in the safetensors format.
package safetensors
