package gen

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// TestEncodings checks the encoders against words worked out from the encoding
// diagrams of the Arm Architecture Reference Manual.
func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		got  word
		want uint32
	}{
		{encFADD.encode(0, 0, 0), 0x4E20D400},
		{encFADD.encode(31, 30, 29), 0x4E3DD7DF},
		{encFSUB.encode(1, 2, 3), 0x4EA3D441},
		{encFMUL.encode(1, 2, 3), 0x6E23DC41},
		{encFDIV.encode(1, 2, 3), 0x6E23FC41},
		{encFMAX.encode(1, 2, 3), 0x4E23F441},
		{encFMIN.encode(1, 2, 3), 0x4EA3F441},
		{encFMLA.encode(1, 2, 3), 0x4E23CC41},
		{encFCMGT.encode(1, 2, 3), 0x6EA3E441},
		{encORN.encode(1, 2, 3), 0x4EE31C41},
		{encADDByte.encode(1, 2, 3), 0x4E238441},
		{encCMEQByte.encode(1, 2, 3), 0x6E238C41},
		{encUZP1Byte.encode(1, 2, 3), 0x4E031841},
		{encUZP1Half.encode(1, 2, 3), 0x4E431841},
		{encTBL.encode(1, 2, 3), 0x4E030041},
		{encFSQRT.encode(1, 2), 0x6EA1F841},
		{encSCVTF.encode(1, 2), 0x4E21D841},
		{encFRINTN.encode(1, 2), 0x4E218841},
		{encSHL.encode(1, 2, 23), 0x4F375441},
		{encUSHR.encode(1, 2, 23), 0x6F290441},
		{encSHLHalf.encode(1, 2, 8), 0x4F185441},
		{encUSHRHalf.encode(1, 2, 8), 0x6F180441},
		{encSSHRHalf.encode(1, 2, 8), 0x4F180441},
		{encMULHalf.encode(1, 2, 3), 0x4E639C41},
		{encSADALP.encode(1, 2), 0x4E606841},
		{encSMLAL.encode(1, 2, 3), 0x0E638041},
		{encSMLAL2.encode(1, 2, 3), 0x4E638041},
		{encSQXTN.encode(1, 2), 0x0E614841},
		{encSQXTN2.encode(1, 2), 0x4E614841},
		{encSQXTUNByte.encode(1, 2), 0x2E212841},
		{encSQADDHalf.encode(1, 2, 3), 0x4E630C41},
		{encUMAXByte.encode(1, 2, 3), 0x2E236441},
		{encUMINByte.encode(1, 2, 3), 0x2E236C41},
		{encFMAXNM.encode(1, 2, 3), 0x4E23C441},
		{encFMLAElem(0, 1, 2, 0), 0x4F821020},
		{encFMLAElem(0, 1, 2, 3), 0x4FA21820},
		{encFMLAElem(5, 6, 31, 1), 0x4FBF10C5},
		{encDUPElem(0, 1, 2), 0x4E140420},
		{encDUPDouble(1, 2), 0x4E080441},
		{encFADDDouble.encode(1, 2, 3), 0x4E63D441},
		{encFSUBDouble.encode(1, 2, 3), 0x4EE3D441},
		{encFMULDouble.encode(1, 2, 3), 0x6E63DC41},
		{encFMLADouble.encode(1, 2, 3), 0x4E63CC41},
		{encFNEGDouble.encode(1, 2), 0x6EE0F841},
		{encFCVTL.encode(1, 2), 0x0E617841},
		{encFCVTL2.encode(1, 2), 0x4E617841},
		{encFCVTN.encode(1, 2), 0x0E616841},
		{encFCVTN2.encode(1, 2), 0x4E616841},
		{encEXT(0, 1, 2, 8), 0x6E024020},
	} {
		if c.got.bits != c.want {
			t.Errorf("%s: %08X, want %08X", c.got.text, c.got.bits, c.want)
		}
	}
}

var (
	wordLine = regexp.MustCompile(`WORD \$0x([0-9A-F]{8}) // (.*)$`)
	register = regexp.MustCompile(`\b[RFV](\d+)\b`)
)

// checkWords disassembles every WORD of a file, compares the text with the
// comment beside it, and returns the number of words and what is wrong.
func checkWords(name, text string) (words int, wrong []string) {
	for i, line := range strings.Split(text, "\n") {
		report := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: ", name, i+1)+fmt.Sprintf(format, args...))
		}
		match := wordLine.FindStringSubmatch(line)
		if match == nil {
			if strings.Contains(line, "WORD") {
				report("a WORD without its text: %s", line)
			}
			continue
		}
		words++
		bits, err := strconv.ParseUint(match[1], 16, 32)
		if err != nil {
			report("%v", err)
			continue
		}
		in, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, uint32(bits)))
		if err != nil {
			report("%s does not decode: %v", match[1], err)
		} else if got := arm64asm.GNUSyntax(in); got != match[2] {
			report("%s is %q, the comment says %q", match[1], got, match[2])
		}
	}
	return words, wrong
}

// TestWords checks the WORDs of every generated file.
func TestWords(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for name, text := range files {
		if strings.HasSuffix(name, "_arm64.s") {
			n, wrong := checkWords(name, string(text))
			words += n
			for _, w := range wrong {
				t.Error(w)
			}
		}
	}
	if words == 0 {
		t.Error("no WORD found in any arm64 file")
	}
}

// TestWordsNotices: every single bit of a word and any change of its text is
// found.
func TestWordsNotices(t *testing.T) {
	good := encFMLAElem(5, 6, 31, 1)
	if n, wrong := checkWords("good", good.String()); n != 1 || len(wrong) > 0 {
		t.Fatalf("%d words, %v", n, wrong)
	}
	for bit := range 32 {
		bad := word{good.bits ^ 1<<bit, good.text}
		if _, wrong := checkWords("bad", bad.String()); len(wrong) != 1 {
			t.Errorf("bit %d of %s was changed: %v", bit, good, wrong)
		}
	}
	for _, text := range []string{"", "fmla v5.4s, v6.4s, v31.s[2]", "fmls v5.4s, v6.4s, v31.s[1]", good.text + " "} {
		if _, wrong := checkWords("bad", word{good.bits, text}.String()); len(wrong) != 1 {
			t.Errorf("text %q: %v", text, wrong)
		}
	}
	if _, wrong := checkWords("bad", "WORD $0x4FBF10C5"); len(wrong) != 1 {
		t.Errorf("no text: %v", wrong)
	}
}

var (
	textLine  = regexp.MustCompile(`(?m)^TEXT ·(\w+)\(SB\)`)
	tileSize  = regexp.MustCompile(`\d+x\d+$`)
	amd64Only = regexp.MustCompile(`^Stream|Stream$|^Prefetch|^SoftmaxRows$`)
)

// TestEveryKernelOnNEON: what has an AVX2 form has a NEON form, tiles of another
// size counting. Exceptions are streaming stores and prefetches, which KERNELS.md leaves
// out, and SoftmaxRows, which masks rows shorter than a vector.
func TestEveryKernelOnNEON(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	names := func(folder string) map[string]bool {
		set := map[string]bool{}
		for name, text := range files {
			if strings.Contains(name, folder) && strings.HasSuffix(name, ".s") {
				for _, m := range textLine.FindAllStringSubmatch(string(text), -1) {
					set[tileSize.ReplaceAllString(m[1], "")] = true
				}
			}
		}
		return set
	}
	avx2, neon := names("avx2"), names("neon")
	if len(avx2) < 50 || len(neon) < 50 {
		t.Fatalf("%d functions for AVX2, %d for NEON", len(avx2), len(neon))
	}
	for name := range avx2 {
		if !neon[name] && !amd64Only.MatchString(name) {
			t.Errorf("%s has no NEON form", name)
		}
	}
}

// TestReservedRegisters checks that no generated line names a general-purpose
// register that belongs to the linker, the platform, the assembler or the
// runtime: R16-R18 and R27-R30.
func TestReservedRegisters(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if !strings.HasSuffix(name, "_arm64.s") {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			code, _, _ := strings.Cut(line, "//")
			for _, match := range register.FindAllStringSubmatch(code, -1) {
				n, _ := strconv.Atoi(match[1])
				if match[0][0] == 'R' && (n >= 16 && n <= 18 || n >= 27) {
					t.Errorf("%s:%d: %s is reserved: %s", name, i+1, match[0], line)
				}
			}
		}
	}
}
