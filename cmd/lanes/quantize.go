package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/infer/quantize"
)

// quantizeCmd is `lanes quantize`.
type quantizeCmd struct {
	Model string `arg:"" help:"ONNX file of a float model."`

	imageFlags

	Calib   string `required:"" placeholder:"PATH" help:"What to calibrate with: a folder of pictures (searched recursively), of test_data_set folders, or of CIFAR (.bin) or IDX files, gzipped or not; or one such file."`
	Out     string `short:"o" required:"" placeholder:"FILE" help:"The ONNX file to write."`
	Samples int    `default:"100" help:"Inputs to take, spread evenly over what is there."`
	Method  string `default:"minmax" enum:"${methods}" help:"How ranges of activations are chosen: ${methods}."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Help is shown after the flags.
func (quantizeCmd) Help() string {
	return `Weights become signed bytes with a scale for each output channel, activations unsigned bytes; batch norms are folded first. The file is standard ONNX (QuantizeLinear and DequantizeLinear, opset 13) that other runtimes read too.

Examples:
  lanes quantize model.onnx --calib pictures/ -o model-int8.onnx
  lanes quantize cifar.onnx --calib cifar-10/test_batch.bin.gz --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 -o cifar-int8.onnx`
}

// Run quantises.
func (cmd *quantizeCmd) Run(c *console) error {
	if cmd.Samples < 1 || cmd.Samples > 1<<20 {
		return fmt.Errorf("--samples %d, want 1 to %d", cmd.Samples, 1<<20)
	}
	m, err := onnx.ReadFile(cmd.Model)
	if err != nil {
		return err
	}
	s, err := infer.New(m, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Model, err)
	}
	list, err := findSamples(cmd.Calib)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s: no picture, no test_data_set folder, no CIFAR or IDX file", cmd.Calib)
	}
	list = spread(list, cmd.Samples)
	var classifier *infer.Classifier
	picture := func(x sample) ([]*infer.Tensor, error) {
		if classifier == nil {
			opt, err := cmd.options(cmd.Model, m)
			if err != nil {
				return nil, err
			}
			if classifier, err = infer.NewClassifier(s, opt); err != nil {
				return nil, err
			}
		}
		img, err := x.picture()
		if err != nil {
			return nil, err
		}
		t, err := classifier.Input(img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.path, err)
		}
		return []*infer.Tensor{t}, nil
	}
	samples := func(yield func([]*infer.Tensor) error) error {
		for _, x := range list {
			var in []*infer.Tensor
			var err error
			if x.set {
				in, err = readTensors(x.path, "input", len(s.Inputs()))
			} else {
				in, err = picture(x)
			}
			if err != nil {
				return err
			}
			if err := yield(in); err != nil {
				return fmt.Errorf("%s: %w", x.path, err)
			}
			if c.ctx.Err() != nil {
				return errors.New("interrupted")
			}
		}
		return nil
	}
	q, report, err := quantize.Run(m, samples, quantize.Options{Method: quantize.Method(cmd.Method)})
	if err != nil {
		return err
	}
	if err := onnx.WriteFile(cmd.Out, q); err != nil {
		return err
	}
	if cmd.JSON {
		return json.NewEncoder(c.out).Encode(struct {
			File string `json:"file"`
			*quantize.Report
		}{cmd.Out, report})
	}
	_, err = fmt.Fprintf(c.out, "%s: %d layers, %d sums and %d poolings on bytes, %d nodes in float32; ranges of %d tensors from %d samples\n",
		cmd.Out, report.Layers, report.Sums, report.Pools, report.Float, report.Tensors, report.Samples)
	return err
}
