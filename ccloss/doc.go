// Package ccloss computes the channel-correlation loss and its gradient.
package ccloss
