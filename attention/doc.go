// Package attention computes sigmoid channel attention, forward and backward.
package attention
