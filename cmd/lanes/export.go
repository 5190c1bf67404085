package main

import (
	"errors"
	"fmt"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/train"
)

// exportCmd is `lanes export`.
type exportCmd struct {
	RunDir string `name:"run" placeholder:"DIR" help:"Folder of the run whose best weights are exported."`
	Model  string `placeholder:"NAME" help:"Export a model with random weights instead: ${models}."`
	Init   string `enum:"random" default:"random" help:"Weights of --model: ${enum}."`
	Size   int    `default:"224" help:"Side of the images of --model."`
	Count  int    `name:"classes" default:"1000" help:"Number of classes of --model."`
	Seed   uint64 `default:"1" help:"Seed of the weights of --model."`
	Fold   bool   `name:"fold-bn" help:"Fold batch norms into the convolutions in front of them."`
	Out    string `short:"o" required:"" placeholder:"FILE" help:"The ONNX file to write."`
}

// Help is shown after the flags.
func (exportCmd) Help() string {
	return `The file has input "image" (N x C x H x W, normalised as in training) and output "logits", in opset 17. Class names, mean and deviation are in its metadata, where 'lanes infer' finds them.

Examples:
  lanes export --run runs/glyphs-se-resnet8-cc -o model.onnx
  lanes export --model resnet18 --init random --fold-bn -o resnet18.onnx`
}

// Run exports.
func (cmd *exportCmd) Run(c *console) error {
	if (cmd.RunDir == "") == (cmd.Model == "") {
		return errors.New("give either --run or --model")
	}
	opt := train.ExportOptions{FoldBatchNorm: cmd.Fold}
	var model *train.Model
	if cmd.RunDir != "" {
		config, trained, err := openRun(cmd.RunDir)
		if err != nil {
			return err
		}
		model = trained
		opt.Classes, opt.Mean, opt.Std = config.Classes, config.Mean, config.Std
	} else {
		if cmd.Size < 1 || cmd.Size > 1<<12 {
			return fmt.Errorf("--size %d, want 1 to %d", cmd.Size, 1<<12)
		}
		var err error
		spec := train.Spec{Name: cmd.Model, Image: train.Shape{H: cmd.Size, W: cmd.Size, C: 3}, Classes: cmd.Count}
		if model, err = train.New(spec, cmd.Seed); err != nil {
			return err
		}
	}
	m, err := train.Export(model, opt)
	if err != nil {
		return err
	}
	if err := onnx.WriteFile(cmd.Out, m); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %s, %d parameters, %d nodes\n", cmd.Out, model.Spec.Name, model.NumParams(), len(m.Graph.Nodes))
	return err
}
