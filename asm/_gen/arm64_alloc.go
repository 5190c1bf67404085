package gen

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// The arm64 assembler: functions are lists of instructions over virtual
// registers, which allocate maps to physical ones.

// A class is a register file.
type class int

const (
	classV class = iota // V0..V31
	classR              // general-purpose
)

// allocatable lists the physical registers of each class. Missing from the
// general ones: R16 and R17 (the linker's), R18 (the platform's), R27 (the
// assembler's), R28 (g), R29 and R30 (frame and link).
var allocatable = [...][]int{
	classV: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
	classR: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 24, 25, 26},
}

// A vreg is a virtual register.
type vreg struct {
	class class
	id    int
}

// An inst is an instruction, a label or a comment.
type inst struct {
	// print returns the line for the physical numbers of args.
	print func(r []int) string
	args  []vreg
	// reads and writes say how args[i] is used; both for read-modify-write.
	reads, writes []bool

	label  string // this is a label
	target string // branches there
	jump   bool   // never falls through
	move   bool   // copies args[1] to args[0]
}

// A function is one TEXT block.
type function struct {
	name, signature string
	doc             []string
	params          map[string]param
	frame           string // size of arguments and results, with the $0- prefix
	insts           []inst
	labels          int
}

// liveIn returns the registers live before each instruction.
func (f *function) liveIn() []map[vreg]bool {
	at := map[string]int{}
	for i, in := range f.insts {
		if in.label != "" {
			at[in.label] = i
		}
	}
	live := make([]map[vreg]bool, len(f.insts)+1)
	for i := range live {
		live[i] = map[vreg]bool{}
	}
	for changed := true; changed; {
		changed = false
		for i := len(f.insts) - 1; i >= 0; i-- {
			in := f.insts[i]
			now := map[vreg]bool{}
			if !in.jump {
				maps.Copy(now, live[i+1])
			}
			if in.target != "" {
				maps.Copy(now, live[at[in.target]])
			}
			for a, r := range in.args {
				if in.writes[a] {
					delete(now, r)
				}
			}
			for a, r := range in.args {
				if in.reads[a] {
					now[r] = true
				}
			}
			if len(now) != len(live[i]) {
				live[i], changed = now, true
			}
		}
	}
	return live
}

// allocate colours the interference graph greedily, in order of first
// appearance. Two registers interfere where one is written while the other is
// live behind the instruction, or where one instruction writes both. Of the free
// ones a register takes that of another it is copied from or to, if it can, which
// makes the copy superfluous.
func (f *function) allocate() (map[vreg]int, error) {
	live := f.liveIn()
	interferes := map[vreg]map[vreg]bool{}
	copies := map[vreg][]vreg{}
	var order []vreg
	edge := func(a, b vreg) {
		if a != b && a.class == b.class {
			interferes[a][b], interferes[b][a] = true, true
		}
	}
	for _, in := range f.insts {
		for _, r := range in.args {
			if interferes[r] == nil {
				interferes[r] = map[vreg]bool{}
				order = append(order, r)
			}
		}
	}
	for i, in := range f.insts {
		if in.move {
			to, from := in.args[0], in.args[1]
			copies[to], copies[from] = append(copies[to], from), append(copies[from], to)
		}
		for a, r := range in.args {
			if !in.writes[a] {
				continue
			}
			for other := range live[i+1] {
				edge(r, other)
			}
			for b, other := range in.args {
				if in.writes[b] {
					edge(r, other)
				}
			}
		}
	}
	phys := map[vreg]int{}
	for _, r := range order {
		taken := map[int]bool{}
		for other := range interferes[r] {
			if n, ok := phys[other]; ok {
				taken[n] = true
			}
		}
		i := slices.IndexFunc(allocatable[r.class], func(n int) bool { return !taken[n] })
		if i < 0 {
			return nil, fmt.Errorf("%s: out of registers of class %d", f.name, r.class)
		}
		phys[r] = allocatable[r.class][i]
		for _, other := range copies[r] {
			if n, ok := phys[other]; ok && !taken[n] {
				phys[r] = n
				break
			}
		}
	}
	return phys, nil
}

// print appends the function in Go's assembler syntax.
func (f *function) print(b *bytes.Buffer) error {
	phys, err := f.allocate()
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n// func %s%s\nTEXT ·%s(SB), NOSPLIT, %s\n", f.name, f.signature, f.name, f.frame)
	for _, in := range f.insts {
		if in.label != "" {
			fmt.Fprintf(b, "\n%s:\n", in.label)
			continue
		}
		r := make([]int, len(in.args))
		for a, v := range in.args {
			r[a] = phys[v]
		}
		if in.move && r[0] == r[1] {
			continue
		}
		fmt.Fprintf(b, "\t%s\n", in.print(r))
	}
	return nil
}
