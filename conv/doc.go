// Package conv computes 2-D convolutions, forward and backward.
package conv
