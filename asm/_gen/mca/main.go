// Command mca prints the static cost of every inner loop of the NEON kernels
// that multiplies and accumulates: what LLVM's machine-code analyser expects of
// it on three cores, as a Markdown table.
//
// Use, from asm/_gen, with llvm-mca (Debian's package llvm-19) on the PATH:
//
//	go run ./mca [-mca llvm-mca-19] [-kernels regexp] [-loops n] [-below]
//
// LLVM knows the Neoverse N1 since version 17; older ones take the model of the
// Cortex-A57 for it.
//
// An inner loop is the code between a backward branch and its target that holds
// no other such loop. The FMA use of a loop is the share of its cycles that the same
// analyser gives its multiply-adds alone, in 24 independent chains of the same form:
// LLVM's model of Apple's cores starts two a cycle of those by vector and three of
// those by element. Caches, branch prediction and preload behaviour are not
// modelled: it is an upper bound that shows port and latency stalls.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var cores = []string{"cortex-a72", "neoverse-n1", "apple-m1"}

// aim is the FMA use in per cent that a loop should reach on each core.
var aim = map[string]float64{"cortex-a72": 80, "neoverse-n1": 85, "apple-m1": 85}

var kernels = flag.String("kernels", ".", "`regexp` of the functions to list")

var analyser = flag.String("mca", "llvm-mca", "`command` that analyses")

var most = flag.Int("loops", 1<<30, "list only the first `n` loops of a function: in a matrix product they belong to the full tile")

var below = flag.Bool("below", false, "list only loops under 80 % on the Cortex-A72 or 85 % on another core")

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mca:", err)
		os.Exit(1)
	}
}

func run() error {
	pick, err := regexp.Compile(*kernels)
	if err != nil {
		return err
	}
	peak := map[string][2]float64{}
	for _, core := range cores {
		if peak[core], err = fmaPeaks(core); err != nil {
			return err
		}
	}
	files, err := filepath.Glob("../neon/*_arm64.s")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no ../neon/*_arm64.s: run it from asm/_gen")
	}
	fmt.Printf("| kernel | loop at line | multiply-adds | instructions |")
	for _, core := range cores {
		fmt.Printf(" %s |", core)
	}
	fmt.Printf("\n|---|---|---|---|%s\n", strings.Repeat("---|", len(cores)))
	for _, file := range files {
		functions, err := disassemble(file)
		if err != nil {
			return err
		}
		for _, f := range functions {
			if !pick.MatchString(f.name) {
				continue
			}
			loops := f.innerLoops()
			for _, l := range loops[:min(*most, len(loops))] {
				if err := report(f.name, l, peak); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func report(name string, loop []instruction, peak map[string][2]float64) error {
	multiplies, byElement := 0, 0
	var text []string
	for _, in := range loop {
		if in.multiplies() {
			multiplies++
			if strings.HasSuffix(in.gnu, "]") {
				byElement++
			}
		}
		text = append(text, in.gnu)
	}
	if multiplies == 0 {
		return nil
	}
	line, short := fmt.Sprintf("| %s | %s | %d | %d |", name, loop[0].line, multiplies, len(loop)), false
	for _, core := range cores {
		cycles, err := analyse(core, text)
		if err != nil {
			return err
		}
		least := float64(byElement)/peak[core][1] + float64(multiplies-byElement)/peak[core][0]
		use := 100 * least / cycles
		line += fmt.Sprintf(" %.0f %% |", use)
		short = short || use < aim[core]
	}
	if short || !*below {
		fmt.Println(line)
	}
	return nil
}

// An instruction is one line of the disassembly.
type instruction struct {
	line   string // of the .s file
	gnu    string
	offset int // of a branch, in instructions; 0 if it is none
}

func (in instruction) multiplies() bool {
	return strings.HasPrefix(in.gnu, "fmla ") || strings.HasPrefix(in.gnu, "fmls ")
}

type function struct {
	name string
	code []instruction
}

// innerLoops returns the code from each backward branch's target to the branch,
// without the loops that contain another one.
func (f function) innerLoops() [][]instruction {
	type span struct{ first, last int }
	var spans []span
	for i, in := range f.code {
		if in.offset < 0 {
			spans = append(spans, span{i + in.offset, i})
		}
	}
	var loops [][]instruction
	for _, s := range spans {
		inner := !slices.ContainsFunc(spans, func(o span) bool {
			return o != s && o.first >= s.first && o.last <= s.last
		})
		if inner {
			loops = append(loops, f.code[s.first:s.last+1])
		}
	}
	return loops
}

var (
	textLine = regexp.MustCompile(`^TEXT (?:\S*\.)?(\w+)\(SB\)`)
	codeLine = regexp.MustCompile(`^\s+\S+:(\d+)\s+0x[0-9a-f]+\s+[0-9a-f]{8}\s+(.*?)\s+// (.*?)\s*$`)
	branch   = regexp.MustCompile(`(-?\d+)\(PC\)`)
)

// disassemble assembles a file and returns its functions.
func disassemble(file string) ([]function, error) {
	dir, err := os.MkdirTemp("", "mca")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	object := filepath.Join(dir, "o")
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	include := filepath.Join(strings.TrimSpace(string(root)), "pkg", "include")
	assemble := exec.Command("go", "tool", "asm", "-p", "neon", "-I", include, "-o", object, file)
	assemble.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64")
	if out, err := assemble.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", file, err, out)
	}
	out, err := exec.Command("go", "tool", "objdump", "-gnu", object).Output()
	if err != nil {
		return nil, fmt.Errorf("objdump %s: %w", file, err)
	}
	var functions []function
	for _, line := range strings.Split(string(out), "\n") {
		if m := textLine.FindStringSubmatch(line); m != nil {
			functions = append(functions, function{name: m[1]})
			continue
		}
		m := codeLine.FindStringSubmatch(line)
		if m == nil || len(functions) == 0 {
			continue
		}
		in := instruction{line: m[1], gnu: m[3]}
		if b := branch.FindStringSubmatch(m[2]); b != nil {
			if in.offset, err = strconv.Atoi(b[1]); err != nil {
				return nil, err
			}
		}
		f := &functions[len(functions)-1]
		f.code = append(f.code, in)
	}
	return functions, nil
}

// fmaPeaks returns the multiply-adds a cycle of 24 independent chains, by vector and
// by element.
func fmaPeaks(core string) (peaks [2]float64, err error) {
	const chains = 24
	for form, last := range []string{"v31.4s", "v31.s[0]"} {
		var text []string
		for i := range chains {
			text = append(text, fmt.Sprintf("fmla v%d.4s, v30.4s, %s", i, last))
		}
		cycles, err := analyse(core, text)
		if err != nil {
			return peaks, err
		}
		peaks[form] = chains / cycles
	}
	return peaks, nil
}

var totalCycles = regexp.MustCompile(`Total Cycles:\s+(\d+)`)

// analyse returns the cycles an iteration of the loop takes on a core: the
// difference of two runs, so that start and drain cancel.
func analyse(core string, loop []string) (float64, error) {
	const short, long = 100, 600
	cycles := func(iterations int) (int, error) {
		cmd := exec.Command(*analyser, "-mtriple=aarch64", "-mcpu="+core, fmt.Sprintf("-iterations=%d", iterations), "-instruction-info=0", "-resource-pressure=0", "-")
		cmd.Stdin = strings.NewReader(strings.Join(loop, "\n") + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("llvm-mca for %s: %w\n%s", core, err, out)
		}
		m := totalCycles.FindSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("llvm-mca for %s: no cycle count", core)
		}
		return strconv.Atoi(string(m[1]))
	}
	a, err := cycles(short)
	if err != nil {
		return 0, err
	}
	b, err := cycles(long)
	if err != nil {
		return 0, err
	}
	return float64(b-a) / (long - short), nil
}
