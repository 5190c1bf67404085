// Package data turns labelled images into training batches.
//
// A [Source] is any numbered set of labelled images of one size, as bytes.
// [Open] gives the built-in data sets as a [Dataset]: `glyphs`, which the program
// draws itself, the original files of `mnist`, `fashion-mnist`, `cifar-10` and
// `cifar-100`, and `folder`: image files (JPEG, PNG, WebP, GIF) in one folder per
// class. [NewImages] wraps images that a program already holds.
//
// A [Loader] makes mini-batches from a source: drawn by a [Sampler], varied as
// [Augment] says and normalised, in NHWC float32, prepared by several goroutines
// ahead of the trainer in a fixed number of buffers. What a batch holds depends on
// the seed, the epoch and its place in the epoch alone: not on GOMAXPROCS, timing
// or earlier epochs.
//
// Files are treated as hostile: a wrong length, magic number or label is an error
// of one line that names the file, and memory stays bounded by the bytes that the
// file really holds or, for pictures, by a limit on their pixels that is checked
// before they are decoded.
package data
