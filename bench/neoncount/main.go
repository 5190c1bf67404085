// Command neoncount counts the arm64 instructions that kernels execute on the NEON
// tier and on the generic one, and prints their ratio as a Markdown table. It needs
// Go and qemu-aarch64 (Debian's package qemu-user) on the PATH, but no arm64 machine.
//
// Use, from the root of the repository:
//
//	go run ./bench/neoncount [-kernels regexp] [-cpu neoverse-n1]
//
// The program builds itself for arm64 and runs one kernel at a time in the
// emulator, in a mode that logs every instruction.
// A kernel runs once in one process and twice in another; the difference is what
// one run costs, without start, set-up, and what only the first run does. Counted
// are functions of this module and of package math, and those of the runtime that
// copy and clear memory; not the runtime's own threads, which run when they like.
// Signals and the other threads disturb the log a little: counts repeat to some fifty
// instructions.
//
// A count is no time: a NEON instruction does four times the work of a scalar one
// and on small cores takes longer. It shows whether a kernel is vectorised all the
// way through, remainders included.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/golanes/lanes/kernels"
)

var (
	pick  = flag.String("kernels", ".", "`regexp` of the kernels to count")
	cpu   = flag.String("cpu", "neoverse-n1", "`core` that qemu-aarch64 emulates, which decides the tile of matrix products")
	run   = flag.String("run", "", "run this `kernel` instead of counting")
	times = flag.Int("times", 1, "with -run, this `often`")
)

func main() {
	flag.Parse()
	do := countAll
	if *run != "" {
		do = runOne
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "neoncount:", err)
		os.Exit(1)
	}
}

// runOne is what happens inside the emulator.
func runOne() error {
	if want := os.Getenv("LANES_ISA"); kernels.Info().ISA != want {
		return fmt.Errorf("the tier is %s, not %s", kernels.Info().ISA, want)
	}
	for _, k := range workloads {
		if k.name == *run {
			once := k.setup()
			for range *times {
				once()
			}
			return nil
		}
	}
	return fmt.Errorf("no kernel %q", *run)
}

func countAll() error {
	wanted, err := regexp.Compile(*pick)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "neoncount")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "neoncount")
	build := exec.Command("go", "build", "-o", program, "github.com/golanes/lanes/bench/neoncount")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building for arm64: %w\n%s", err, out)
	}
	where, err := addresses(program)
	if err != nil {
		return err
	}
	fmt.Print("| kernel | generic | neon | ratio |\n|---|---|---|---|\n")
	for _, k := range workloads {
		if !wanted.MatchString(k.name) {
			continue
		}
		var counts [2]int
		for i, tier := range []string{"generic", "neon"} {
			if counts[i], err = count(program, where, tier, k.name); err != nil {
				return fmt.Errorf("%s on tier %s: %w", k.name, tier, err)
			}
		}
		fmt.Printf("| %s | %d | %d | %.1f |\n", k.name, counts[0], counts[1], float64(counts[0])/float64(counts[1]))
	}
	return nil
}

// count returns the instructions of one run of a kernel.
func count(program, where, tier, kernel string) (int, error) {
	var totals [2]int
	for i := range totals {
		var err error
		if totals[i], err = emulate(program, where, tier, kernel, i+1); err != nil {
			return 0, err
		}
	}
	if totals[1] <= totals[0] {
		return 0, fmt.Errorf("%d instructions in two runs, %d in one", totals[1], totals[0])
	}
	return totals[1] - totals[0], nil
}

// emulate returns the instructions of a process that runs a kernel so many times.
func emulate(program, where, tier, kernel string, times int) (int, error) {
	cmd := exec.Command("qemu-aarch64", "-cpu", *cpu, "-singlestep", "-d", "nochain,exec", "-dfilter", where, "-D", "/dev/stdout",
		program, "-run", kernel, "-times", fmt.Sprint(times))
	// One thread and no collector, so that nothing but the kernel differs.
	cmd.Env = append(os.Environ(), "LANES_ISA="+tier, "GOMAXPROCS=1", "GOGC=off")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	log, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	n := 0
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("Trace ")) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return n, nil
}

// counted are the prefixes of the functions to count.
var counted = []string{"github.com/golanes/lanes/", "math.", "runtime.memmove", "runtime.memclr"}

// addresses returns where the counted functions of a program are, as the emulator
// takes it: 0xSTART+0xSIZE,...
func addresses(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return "", err
	}
	slices.SortFunc(symbols, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	var ranges []string
	inside := false
	start := uint64(0)
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC {
			continue
		}
		ours := slices.ContainsFunc(counted, func(p string) bool { return strings.HasPrefix(s.Name, p) })
		switch {
		case ours && !inside:
			start = s.Value
		case inside && !ours:
			ranges = append(ranges, fmt.Sprintf("%#x+%#x", start, s.Value-start))
		}
		inside = ours
	}
	if len(ranges) == 0 {
		return "", fmt.Errorf("%s: no function to count", program)
	}
	return strings.Join(ranges, ","), nil
}
