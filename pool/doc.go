// Package pool computes pooling of float32 feature maps, forward and backward:
// maximum and average over windows with any size, stride, asymmetric padding
// and dilation, adaptive average, and the global average and maximum.
//
// # Letters and layouts
//
// N batch, C channels, H W input, OH OW output, R S window. dX is the gradient
// of the loss with respect to X. Maps are NHWC: src[n][h][w][c] and
// dst[n][oh][ow][c], C fastest. Functions and methods whose name ends in NCHW
// take maps as src[n][c][h][w].
//
// # Plans
//
// [NewMax], [NewAvg] and [NewAdaptiveAvg] check a shape once and return a plan
// whose methods allocate nothing after their first run. A plan must not be used
// by several goroutines at once; it uses several itself. Global pooling needs no plan:
// [GlobalAvg], [GlobalMax] and their backward functions.
//
// All slices of a call must be disjoint unless a method says otherwise; they may
// be longer than needed, and what lies behind is not touched. Gradients are
// overwritten, never accumulated. Methods panic with "pool.Func: what" if a slice
// is too short; constructors return errors.
//
// # Numbers
//
// For one ISA a result is bitwise the same from run to run and for every
// GOMAXPROCS. A NaN in a window makes its maximum and its average NaN. Padding never wins
// a maximum, which is over the elements of the window that lie inside the map.
// Every function says in which order it adds and bounds the error.
package pool
