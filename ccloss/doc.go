// Package ccloss computes the channel-correlation loss (CC-Loss) and its
// gradient.
//
// The loss looks at one attention vector per sample, the output of a channel
// attention module such as squeeze-and-excitation. Vectors of the same class
// are pulled together, vectors of different classes are pushed apart; the term
// is added to the cross entropy:
//
//	L = CE + lambda * L_cc
//
// That much, with the Euclidean distance matrix between the vectors of a batch,
// is the method of Song, Chang, Ma, Li and Tan, "CC-Loss: Channel Correlation
// Loss For Image Classification", 2020 (arXiv:2010.05469). How the two sides are
// measured and combined is a choice of this package: see [Metric] and [Form].
//
// # Cost
//
// With [SquaredEuclidean] and the forms [Ratio] and [Difference] no pair is ever
// looked at. The sums over all pairs follow from each class's count, mean and
// centred sum of squares: O(N*C) time, O(K*C) memory for K classes. These
// statistics merge exactly ([Stats.Merge]), so a batch may be spread over
// workers or machines. The other combinations visit the pairs in tiles, from
// differences and never through the Gram matrix, which cancels; nothing of size
// N x N is stored. DERIVATION.md leads from the definition to the code.
//
// # Numbers
//
// a is float32, row-major, N x C. Class statistics and all sums over pairs are
// accumulated in float64; one distance is summed in float32 over blocks of 256
// channels, so its relative error is at most (256+C/256)*2^-24. A squared
// difference under 2^-149 counts as zero. NaN in a gives NaN in the loss and in
// the gradient, provided the sample is part of a pair. Results are bitwise the
// same for every GOMAXPROCS.
//
// # Degenerate batches
//
// Without a same-class pair W is 0 and has no gradient. Without a
// different-class pair Ratio and Difference are 0 and Margin is W. Coinciding
// vectors have distance 0 and, in the Euclidean metric, gradient 0.
package ccloss
