package gen

import (
	"encoding/binary"
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
		{encFMLAElem(0, 1, 2, 0), 0x4F821020},
		{encFMLAElem(0, 1, 2, 3), 0x4FA21820},
		{encFMLAElem(5, 6, 31, 1), 0x4FBF10C5},
		{encDUPElem(0, 1, 2), 0x4E140420},
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

// TestWords disassembles every WORD of every generated file and compares the
// text with the comment beside it.
func TestWords(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for name, text := range files {
		if !strings.HasSuffix(name, "_arm64.s") {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			match := wordLine.FindStringSubmatch(line)
			if match == nil {
				if strings.Contains(line, "WORD") {
					t.Errorf("%s:%d: a WORD without its text: %s", name, i+1, line)
				}
				continue
			}
			words++
			bits, err := strconv.ParseUint(match[1], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			in, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, uint32(bits)))
			if err != nil {
				t.Errorf("%s:%d: %s does not decode: %v", name, i+1, match[1], err)
				continue
			}
			if got := arm64asm.GNUSyntax(in); got != match[2] {
				t.Errorf("%s:%d: %s is %q, the comment says %q", name, i+1, match[1], got, match[2])
			}
		}
	}
	if words == 0 {
		t.Error("no WORD found in any arm64 file")
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
