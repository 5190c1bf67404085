package main

import (
	"errors"
	"slices"

	"github.com/golanes/lanes/bench"
)

// benchCmd is `lanes bench`.
type benchCmd struct {
	Suite      string `enum:"${suites}" required:"" placeholder:"NAME" help:"What to measure: ${enum}."`
	Threads    int    `placeholder:"N" help:"Threads (default GOMAXPROCS)."`
	ISA        string `name:"isa" placeholder:"NAME" help:"Instruction set: generic, avx2, avx512 or neon (default the one in use)."`
	Match      string `placeholder:"TEXT" help:"Only the cases whose name contains TEXT."`
	Dir        string `placeholder:"NAME" help:"Suite conv: ${directions} (default all). The first two find their weights packed; with --algorithms, the last two pack them and do the first two."`
	Model      string `placeholder:"NAME" help:"Suites conv and int8: the layers of ${networks} (default all). Suite train: a model of lanes train (default ${trained}). Suite infer: ${runnable} or FILE.onnx."`
	Batch      int    `placeholder:"N" help:"Suites conv, int8, train and infer: images in a batch (default each network's own, 128, or 1 and 16)."`
	Rounds     int    `placeholder:"N" help:"Samples of each case, of which the median counts (default 7)."`
	Algorithms bool   `help:"Suite conv: beside the algorithm that a plan chooses, as rivals, the others that take the layer."`
	Rivals     bool   `help:"Also time the other libraries that are installed, in turn with lanes."`
	JSON       bool   `name:"json" help:"Print one JSON object per case."`
}

// Help is shown after the flags.
func (benchCmd) Help() string {
	return `Every case is compared with what the machine could do at most, measured in the same run. Keep the machine quiet meanwhile.

Examples:
  lanes bench --suite gemm --threads 1
  lanes bench --suite conv --dir fwd --model resnet18 --batch 16
  lanes bench --suite conv --algorithms --threads 1 --model resnet18-cifar
  lanes bench --suite train --model se-resnet18 --threads 1 --rounds 3 --rivals
  lanes bench --suite gemm --match 512 --isa avx2 --rivals --json
  LANES_ONNXRUNTIME=DIR lanes bench --suite infer --model resnet18 --batch 1 --threads 1 --rivals`
}

// Run measures.
func (cmd *benchCmd) Run(c *console) error {
	if cmd.Suite != "conv" && cmd.Algorithms {
		return errors.New("--algorithms is for --suite conv")
	}
	layers := slices.Contains([]string{"conv", "int8", "train", "infer"}, cmd.Suite)
	if cmd.Suite != "conv" && cmd.Dir != "" || !layers && (cmd.Model != "" || cmd.Batch != 0) {
		return errors.New("--dir is for --suite conv, --model and --batch for conv, int8, train and infer")
	}
	return bench.Run(c.ctx, c.out, bench.Options{Suite: cmd.Suite, Threads: cmd.Threads, ISA: cmd.ISA,
		Match: cmd.Match, JSON: cmd.JSON, Rivals: cmd.Rivals, Rounds: cmd.Rounds,
		Dir: cmd.Dir, Model: cmd.Model, Batch: cmd.Batch, Algorithms: cmd.Algorithms})
}
