// Package bench measures the kernels against the ceilings of the machine and
// against other libraries, all in one run: machines differ, and so does one
// machine from hour to hour, so only ratios of neighbouring measurements mean
// anything. In each turn a case and every rival run for some milliseconds before they
// are timed, so that each has its own operands in the caches.
//
// Peak is the rate of independent multiply-adds on registers of the ISA under
// test; bandwidth is that of a copy over as much memory as the case touches.
//
// Rivals written in C and C++ run in helper processes, compiled on first use from
// _compare with the system's compiler, so that this module stays free
// of cgo. A rival that is not installed is left out.
//
// Suite infer runs whole networks, on random weights where they are ours. Its
// rival onnxruntime is the npm package onnxruntime-node, from the folder that
// LANES_ONNXRUNTIME names: npm install --ignore-scripts onnxruntime-node there.
// Both run the same file, in turn.
package bench
