package gen

import (
	"bytes"
	"strings"
)

// lineLength bounds the lines that shareLines makes.
const lineLength = 110

// shareLines puts several instructions of Go assembly on a line where nothing is
// lost by it: not those that name an argument, which go vet checks line by line,
// nor jumps. The linker keeps two bytes for each line of code that a program
// has, 90 kB of the stripped command in all.
func shareLines(text []byte) []byte {
	var out bytes.Buffer
	line := ""
	end := func() {
		if line != "" {
			out.WriteString("\t" + line + "\n")
		}
		line = ""
	}
	for s := range strings.Lines(string(text)) {
		if !sharesLine(s) {
			end()
			out.WriteString(s)
			continue
		}
		s = strings.Join(strings.Fields(s), " ")
		if len(line)+len("; ")+len(s) > lineLength {
			end()
		}
		if line != "" {
			line += "; "
		}
		line += s
	}
	end()
	return out.Bytes()
}

// sharesLine reports whether a line is an instruction that others may follow and
// precede.
func sharesLine(s string) bool {
	if !strings.HasPrefix(s, "\t") || strings.Contains(s, "(FP)") || strings.ContainsAny(s, "#/") {
		return false
	}
	s = strings.TrimSpace(s)
	return s != "" && !strings.HasPrefix(s, "J") && s != "RET"
}
