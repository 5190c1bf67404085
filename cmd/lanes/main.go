// Command lanes trains and evaluates image classifiers on CPUs.
//
//	lanes train                      draw a data set, train on it, write a report
//	lanes compare --out runs/...     compare losses under equal budgets
//	lanes eval --run runs/...        measure a trained model
//	lanes export --run runs/... -o m.onnx
//	lanes infer m.onnx picture.jpg   classify pictures with an ONNX model
//	lanes serve m.onnx               answer HTTP requests with an ONNX model
//	lanes quantize m.onnx --calib pictures/ -o m8.onnx
//	lanes info                       what this machine has and what will be used
//	lanes data get mnist --root DIR  fetch a data set; info and verify look at one
//	lanes bench --suite gemm         how fast the kernels are here
//
// Each command explains itself with -h.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/golanes/lanes/bench"
	"github.com/golanes/lanes/infer/quantize"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/data/download"
)

// cli is the grammar of the command line.
type cli struct {
	Train    trainCmd    `cmd:"" help:"Train an image classifier."`
	Compare  compareCmd  `cmd:"" help:"Compare losses under equal budgets, over seeds."`
	Eval     evalCmd     `cmd:"" help:"Measure a trained classifier on test images."`
	Export   exportCmd   `cmd:"" help:"Write a trained model as an ONNX file."`
	Infer    inferCmd    `cmd:"" help:"Run an ONNX model on pictures, check it or measure it."`
	Quantize quantizeCmd `cmd:"" help:"Make an int8 model from a float one."`
	Serve    serveCmd    `cmd:"" help:"Serve an ONNX model over HTTP."`
	Info     infoCmd     `cmd:"" help:"Show what this machine has and what lanes uses of it."`
	Data     dataCmd     `cmd:"" help:"Describe, check and fetch data sets."`
	Bench    benchCmd    `cmd:"" help:"Measure the kernels against the machine and against other libraries."`
}

const description = `Train and run image classifiers on CPUs, with SIMD kernels and without cgo.

'lanes train' without any flag draws its own data set, trains a small network on it with the channel-correlation loss and writes a report.`

// console is where a command prints and what can interrupt it.
type console struct {
	ctx         context.Context
	out, errors io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
	}()
	os.Exit(run(os.Args[1:], &console{ctx, os.Stdout, os.Stderr}))
}

// vars are what the help texts and lists of choices refer to.
func vars() kong.Vars {
	return kong.Vars{
		"suites":        strings.Join(bench.Suites(), ","),
		"directions":    strings.Join(bench.ConvDirections, ", "),
		"networks":      strings.Join(bench.ConvModels(), ", "),
		"runnable":      strings.Join(bench.InferModels(), ", "),
		"trained":       strings.Join(bench.TrainModels, ", "),
		"downloads":     strings.Join(download.Names(), ","),
		"datasets":      strings.Join(data.Names(), ","),
		"augmentations": strings.Join(data.AugmentNames(), ","),
		"samplers":      strings.Join(data.SamplerNames(), ","),
		"methods":       strings.Join(quantize.Methods(), ","),
		"models":        strings.Join(train.ModelNames(), ","),
		"backbones":     strings.Join(train.Backbones(), ", "),
		"epochs":        "3",
		"losses":        strings.Join(train.LossKinds(), ","),
	}
}

// run is main without the process: it returns the exit status, 2 for a wrong
// command line and 1 for what failed after it.
func run(args []string, c *console) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parser, err := kong.New(&cli{}, kong.Name("lanes"), kong.Description(description),
		kong.Writers(c.out, c.errors),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		vars())
	if err != nil {
		return fail(c, 2, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fail(c, 2, err)
	}
	// lanes info makes an error of it.
	if warning := kernels.Info().Warning; warning != "" && parsed.Command() != "info" {
		fmt.Fprintln(c.errors, "lanes: "+warning)
	}
	if err := parsed.Run(c); err != nil {
		return fail(c, 1, err)
	}
	return 0
}

// fail prints an error on one line.
func fail(c *console, status int, err error) int {
	text := strings.Join(strings.Fields(err.Error()), " ")
	var usage *kong.ParseError
	if errors.As(err, &usage) {
		text += " (-h explains)"
	}
	fmt.Fprintln(c.errors, "lanes: "+text)
	return status
}
