// Package data turns labelled images into training batches.
//
// A [Source] is any numbered set of labelled images of one size, as bytes.
// [Open] gives the built-in data sets as a [Dataset]: `glyphs`, which the program
// draws itself, and the original files of `mnist`, `fashion-mnist`, `cifar-10` and
// `cifar-100`.
// [NewImages] wraps images that a program already holds.
//
// A [Loader] makes mini-batches from a source: shuffled, cropped, flipped and
// normalised, in NHWC float32, prepared ahead of the trainer in a fixed number of
// buffers. What a batch holds depends on the seed, the epoch and its place in the
// epoch alone: not on GOMAXPROCS, timing or earlier epochs.
//
// Files are treated as hostile: a wrong length, magic number or label is an error
// of one line that names the file, and memory stays bounded by the bytes that the
// file really holds.
package data
