package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/golanes/lanes/kernels"
)

// infoCmd is `lanes info`.
type infoCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Help is shown after the flags.
func (infoCmd) Help() string {
	return `LANES_ISA=generic|avx2|avx512|neon uses a lower instruction set than the machine has; naming one that it lacks is an error here.

Example:
  LANES_ISA=avx2 lanes info --json`
}

// Run prints the configuration of the kernels.
func (cmd *infoCmd) Run(c *console) error {
	info := kernels.Info()
	if cmd.JSON {
		if err := printLine(c.out, info); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		for _, row := range [][2]string{
			{"CPU", info.CPU},
			{"features", strings.Join(info.Features, " ")},
			{"instruction sets", strings.Join(info.Available, " ")},
			{"in use", info.ISA},
			{"matrix tile", info.GemmTile},
			{"products of bytes", info.Int8},
			{"caches", fmt.Sprintf("L1d %s, L2 %s, L3 %s", size(info.L1D), size(info.L2), size(info.L3))},
			{"cores", fmt.Sprintf("%d, GOMAXPROCS %d", info.Cores, info.GOMAXPROCS)},
			{"Go", runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH},
		} {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if info.Warning != "" {
		return errors.New(info.Warning)
	}
	return nil
}

// size prints a number of bytes in the largest unit that leaves it whole.
func size(bytes int) string {
	switch {
	case bytes == 0:
		return "none"
	case bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
