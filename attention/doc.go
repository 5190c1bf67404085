// Package attention computes sigmoid channel attention, forward and backward:
// squeeze-and-excitation ([SE]), efficient channel attention ([ECA]) and the
// channel half of the convolutional block attention module ([CBAM]).
//
// All three squeeze each feature map to a number per channel, turn these into an
// attention vector a in (0,1)^C, and scale the map by it:
//
//	z[n][c] = mean over pixels i of src[n][i][c]
//	SE:    a[n] = sigmoid(W2*relu(W1*z[n] + b1) + b2)
//	ECA:   a[n] = sigmoid(w (*) z[n]), a correlation along the channels
//	CBAM:  a[n] = sigmoid(mlp(z[n]) + mlp(max over pixels of src[n]))
//	dst[n][i][c] = src[n][i][c]*a[n][c]
//
// The attention vector is an output of Forward and takes its own gradient in
// Backward, beside that of dst: the channel-correlation loss trains it directly.
// With Options.HeadOnly the module computes nothing but the vector; the features
// go on unscaled, and at inference it can be left out.
//
// # Letters, layouts
//
// N batch, C channels, H W map, Cr hidden units. Maps are NHWC, or NCHW with
// Options.NCHW. Vectors are a[n][c]. Weights are in the interchange order: w1 is
// Cr x C, w2 is C x Cr, row-major. dX is the gradient of the loss with respect to
// X.
//
// # Plans
//
// A plan is made once for a shape. Its methods allocate nothing after their
// first run, use several goroutines and must not be called from several at
// once. What Backward needs of Forward is in a State.
// Slices of a call must be disjoint unless a method says otherwise, and may be
// longer than needed. Methods panic with "attention.Type.Method: what" if one is
// too short; constructors return errors.
//
// # Memory
//
// Samples are taken in groups of about 256 KiB a map, so that the second pass over
// a map finds it in the L2 cache; where the maps of a whole batch stay in the last
// level, SE and CBAM take them at once, and their layers are products over all
// samples. Bytes that move per element of a map of float32 between L2 and what is
// behind it, in groups:
//
//	                      map in L2                larger map
//	SE, ECA  Forward       8: src, dst             12: src twice, dst
//	         Backward     12: src, dy, dx          16: src, dy twice, dx
//	CBAM     Forward       8: src, dst             16: src three times, dst
//	         Backward     12: src, dy, dx          16: src, dy twice, dx
//
// Each written element costs 4 more where it is not in a cache and the store goes
// through the caches, since the line is read first; maps larger than half the last
// level are stored past them. With Options.HeadOnly Forward reads src, and Backward
// reads dy, if there is one, and writes dx.
//
// # Numbers
//
// For one ISA a result is bitwise the same from run to run and for every
// GOMAXPROCS. Means are summed as [kernels.ChannelSums] and [kernels.PlaneSums]
// say. NaN and Inf are not skipped: a NaN in a map makes all attention of its
// sample NaN.
package attention
