// Package pool computes pooling, forward and backward.
package pool
