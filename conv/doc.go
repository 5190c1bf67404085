// Package conv computes two-dimensional convolutions of float32 tensors,
// forward and backward: any filter size, stride, asymmetric padding, dilation
// and number of groups (depthwise with a multiplier included), with bias,
// residual addition and activation fused into the forward pass.
//
// # Letters
//
// N batch, C in-channels, K out-channels, H W input, OH OW output, R S filter.
// dX is the gradient of the loss with respect to X.
//
// # Layouts
//
// Activations are NHWC: src[n][h][w][c] and dst[n][oh][ow][k], C and K fastest.
// Callers that hold NCHW use the plan's methods that end in NCHW. Weights are
// in the interchange order w[k][c][r][s], where c counts the C/Groups channels
// of k's group; a plan packs them inside.
//
//	dst[n][y][x][k] = act(bias[k] + residual[n][y][x][k] +
//	    sum over c, r, s of w[k][c][r][s] *
//	    src[n][y*StrideH-PadTop+r*DilationH][x*StrideW-PadLeft+s*DilationW][k/(K/Groups)*(C/Groups)+c])
//
// with src taken as zero outside the image: convolution as in neural networks,
// without flipping the filter.
//
// # Plans
//
// [NewPlan] decides once, for a [Shape], which algorithm runs in each
// direction, in what tiles, with how much workspace; the plan's methods then
// run it without allocating. [Plan.String] says what was chosen and why.
//
// [PlanInt8] is the forward pass of quantised tensors, with the same layouts.
//
// # Numbers
//
// For one ISA and one plan a result is bitwise the same from run to run and for
// every GOMAXPROCS. Zeros are not skipped: 0*Inf is NaN, padding excepted, which
// the direct algorithms may leave out. NaN passes through activations. With
// [Fast] the transforms of Winograd's algorithm spread an Inf or NaN over the
// tile of outputs that contains it.
package conv
