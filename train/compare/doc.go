// Package compare trains the same models with several losses under equal budgets
// and says how far the losses differ.
//
// A [Plan] names data sets, models and losses. For each combination, [Run] first
// tunes the loss: it trains every setting of the loss's grid with one seed, for
// TuneEpochs epochs, and keeps the setting with the highest validation accuracy
// (the first of equals). All grids have the same number of settings, so no loss
// gets more tuning than another; tuning never looks at test images. Then it trains
// the chosen setting with the other seeds, for Epochs epochs each, and tests them.
// All runs of a data set share its division into training, validation and test
// images, its augmentation, the batch size, the optimizer and the schedule. Runs
// with the same seed share the initial weights, as far as their models have the
// same tensors, and the order of the images: they are pairs.
//
// [Results] has means and standard deviations over the seeds, and the differences
// from cross entropy between the runs of a pair with 95 % confidence intervals.
//
// Every finished run is a file in the folder, and runs under way keep checkpoints
// there, so that a process that was killed goes on where it was and ends with the
// same results.
package compare
