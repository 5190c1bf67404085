//go:build !race

package kerneltest

// Race says whether the race detector is on, under which Go code takes ten times as
// long and memory several times as much.
const Race = false
