// Package train trains image classifiers on the CPU: models, losses, optimizers,
// learning-rate schedules, and a loop with checkpoints.
//
// # In ten lines
//
// [Fit] builds the model that a [Spec] names ([ModelNames]), trains it on a
// [data.Dataset] and measures it; [New] builds one to keep at hand, [Evaluate]
// measures it again, [Model.Save] and [OpenModel] keep it, [Model.InitFile] starts
// from another's tensors. The example of Fit is a complete program.
//
// # Models
//
// A network is a [Graph]: a list of [Layer] values, each applied to the image or to
// the outputs of earlier ones. [NewModel] gives the layers their tensors, under the
// names and in the shapes that torchvision uses, so that state dicts can be
// exchanged as safetensors. Activations are NHWC.
//
// A [Plan] is a model fixed for a batch size. It places every activation, gradient
// and scratch buffer in one arena, where buffers that are not in use at the same
// time share storage, and its Forward and Backward allocate nothing.
//
// # Losses
//
// [LossConfig] chooses among the cross entropy with label smoothing, focal, margin
// losses (arcface, cosface), and the cross entropy with a second term: the
// channel-correlation loss of package ccloss on the attention vectors, center loss,
// supervised contrastive or triplet loss on the features.
//
// # What a run depends on
//
// For one ISA the weights at the end depend on the [Config], the weights at the
// start and the images alone: not on GOMAXPROCS or timing, nor on whether the run
// was interrupted and resumed. Everything random is drawn from the seed and a
// counter: the order and the augmentation of the images from the epoch and the
// place in it, dropout from the step.
//
// # Checkpoints
//
// A run's folder holds [LastFile], from which it can go on, [BestFile], the
// weights of the best epoch by validation accuracy, [StateFile], which has all of
// [EpochMetrics], and [MetricsFile] with a part of it. Every file is replaced atomically, so a run can be killed at any
// moment. A damaged checkpoint is an error.
package train
