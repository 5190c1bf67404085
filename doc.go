// Package lanes is the root of a module for convolutional networks on CPUs in
// plain Go: SIMD kernels without cgo, training with the channel-correlation
// loss, and inference.
//
// There is nothing to import here. Start from
//
//   - [github.com/golanes/lanes/train] to train an image classifier,
//   - [github.com/golanes/lanes/infer] to run one,
//   - [github.com/golanes/lanes/kernels] for the kernels themselves, and
//     [github.com/golanes/lanes/kernels/blas] to speed up a gonum program,
//
// or from the lanes command: go run github.com/golanes/lanes/cmd/lanes train.
package lanes
