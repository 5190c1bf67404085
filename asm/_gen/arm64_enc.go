package gen

import "fmt"

// Encodings of the Advanced SIMD instructions that Go's assembler does not
// know, from the Arm Architecture Reference Manual for A-profile (DDI 0487),
// section C7.2. Each function returns the instruction word together with its
// text in GNU syntax, so that a comment cannot disagree with the code; a test
// disassembles every word of every generated file and compares.

// A word is one encoded instruction.
type word struct {
	bits uint32
	text string
}

// A enc3 encodes op Vd.4S, Vn.4S, Vm.4S (or .16B).
type enc3 struct {
	name        string
	base        uint32
	arrangement string
}

func (e enc3) encode(d, n, m int) word {
	format := "%s v%d.%s, v%d.%s, v%d.%s"
	if e == encTBL {
		format = "%s v%d.%s, {v%d.%s}, v%d.%s"
	}
	return word{
		e.base | uint32(m)<<16 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf(format, e.name, d, e.arrangement, n, e.arrangement, m, e.arrangement),
	}
}

var (
	encFADD  = enc3{"fadd", 0x4E20D400, "4s"}
	encFSUB  = enc3{"fsub", 0x4EA0D400, "4s"}
	encFMUL  = enc3{"fmul", 0x6E20DC00, "4s"}
	encFDIV  = enc3{"fdiv", 0x6E20FC00, "4s"}
	encFMAX  = enc3{"fmax", 0x4E20F400, "4s"}
	encFMIN  = enc3{"fmin", 0x4EA0F400, "4s"}
	encFMLA  = enc3{"fmla", 0x4E20CC00, "4s"}
	encFMLS  = enc3{"fmls", 0x4EA0CC00, "4s"}
	encFCMGT = enc3{"fcmgt", 0x6EA0E400, "4s"}
	encFCMGE = enc3{"fcmge", 0x6E20E400, "4s"}
	encFCMEQ = enc3{"fcmeq", 0x4E20E400, "4s"}
	encADD   = enc3{"add", 0x4EA08400, "4s"}
	encSUB   = enc3{"sub", 0x6EA08400, "4s"}
	encCMEQ  = enc3{"cmeq", 0x6EA08C00, "4s"}
	encAND   = enc3{"and", 0x4E201C00, "16b"}
	encORR   = enc3{"orr", 0x4EA01C00, "16b"}
	encEOR   = enc3{"eor", 0x6E201C00, "16b"}
	encBIC   = enc3{"bic", 0x4E601C00, "16b"}
	encBIT   = enc3{"bit", 0x6EA01C00, "16b"}
	encZIP1  = enc3{"zip1", 0x4E803800, "4s"}
	encZIP2  = enc3{"zip2", 0x4E807800, "4s"}
	encUZP1  = enc3{"uzp1", 0x4E801800, "4s"}
	encUZP2  = enc3{"uzp2", 0x4E805800, "4s"}

	encFADDDouble = enc3{"fadd", 0x4E60D400, "2d"}
	encFSUBDouble = enc3{"fsub", 0x4EE0D400, "2d"}
	encFMULDouble = enc3{"fmul", 0x6E60DC00, "2d"}
	encFMLADouble = enc3{"fmla", 0x4E60CC00, "2d"}

	encORN      = enc3{"orn", 0x4EE01C00, "16b"}
	encADDByte  = enc3{"add", 0x4E208400, "16b"}
	encCMEQByte = enc3{"cmeq", 0x6E208C00, "16b"}
	encUZP1Byte = enc3{"uzp1", 0x4E001800, "16b"}
	encUZP1Half = enc3{"uzp1", 0x4E401800, "8h"}
	// The table is one register.
	encTBL = enc3{"tbl", 0x4E000000, "16b"}

	encMULHalf   = enc3{"mul", 0x4E609C00, "8h"}
	encSQADDHalf = enc3{"sqadd", 0x4E600C00, "8h"}
	encUMAXByte  = enc3{"umax", 0x2E206400, "8b"}
	encUMINByte  = enc3{"umin", 0x2E206C00, "8b"}
	encFMAXNM    = enc3{"fmaxnm", 0x4E20C400, "4s"}
)

// An encLong encodes op Vd.4S, Vn.<half>, Vm.<half>, which adds products of 16 bits.
type encLong struct {
	name string
	base uint32
	half string
}

func (e encLong) encode(d, n, m int) word {
	return word{
		e.base | uint32(m)<<16 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("%s v%d.4s, v%d.%s, v%d.%s", e.name, d, n, e.half, m, e.half),
	}
}

var (
	encSMLAL  = encLong{"smlal", 0x0E608000, "4h"}
	encSMLAL2 = encLong{"smlal2", 0x4E608000, "8h"}
)

// An enc2 encodes op Vd.4S, Vn.4S (or .16B).
type enc2 struct {
	name        string
	base        uint32
	arrangement string
}

func (e enc2) encode(d, n int) word {
	return word{
		e.base | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("%s v%d.%s, v%d.%s", e.name, d, e.arrangement, n, e.arrangement),
	}
}

var (
	encFSQRT      = enc2{"fsqrt", 0x6EA1F800, "4s"}
	encSCVTF      = enc2{"scvtf", 0x4E21D800, "4s"}
	encFCVTNS     = enc2{"fcvtns", 0x4E21A800, "4s"}
	encFRINTN     = enc2{"frintn", 0x4E218800, "4s"}
	encFNEGDouble = enc2{"fneg", 0x6EE0F800, "2d"}

	encNOT = enc2{"mvn", 0x6E205800, "16b"}
)

// An encShift encodes op Vd.4S, Vn.4S, #bits; left shifts count up from 32,
// right shifts down from 64.
type encShift struct {
	name string
	base uint32
	left bool
	half bool // lanes of 16 bits: 16 up, 32 down
}

func (e encShift) encode(d, n, bits int) word {
	width, arrangement := 32, "4s"
	if e.half {
		width, arrangement = 16, "8h"
	}
	imm := 2*width - bits
	if e.left {
		imm = width + bits
	}
	return word{
		e.base | uint32(imm)<<16 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("%s v%d.%s, v%d.%s, #%d", e.name, d, arrangement, n, arrangement, bits),
	}
}

var (
	encSHL  = encShift{"shl", 0x4F005400, true, false}
	encUSHR = encShift{"ushr", 0x6F000400, false, false}
	encSSHR = encShift{"sshr", 0x4F000400, false, false}

	encSHLHalf  = encShift{"shl", 0x4F005400, true, true}
	encUSHRHalf = encShift{"ushr", 0x6F000400, false, true}
	encSSHRHalf = encShift{"sshr", 0x4F000400, false, true}
)

// encFMLAElem encodes fmla Vd.4S, Vn.4S, Vm.S[lane].
func encFMLAElem(d, n, m, lane int) word {
	return word{
		0x4F801000 | uint32(lane&1)<<21 | uint32(lane>>1)<<11 | uint32(m)<<16 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane),
	}
}

// encDUPElem encodes dup Vd.4S, Vn.S[lane].
func encDUPElem(d, n, lane int) word {
	return word{
		0x4E040400 | uint32(lane)<<19 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("dup v%d.4s, v%d.s[%d]", d, n, lane),
	}
}

// encDUPDouble encodes dup Vd.2D, Vn.D[0].
func encDUPDouble(d, n int) word {
	return word{0x4E080400 | uint32(n)<<5 | uint32(d), fmt.Sprintf("dup v%d.2d, v%d.d[0]", d, n)}
}

// encEXT encodes ext Vd.16B, Vn.16B, Vm.16B, #bytes.
func encEXT(d, n, m, bytes int) word {
	return word{
		0x6E000000 | uint32(m)<<16 | uint32(bytes)<<11 | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("ext v%d.16b, v%d.16b, v%d.16b, #%d", d, n, m, bytes),
	}
}

// An encNarrow encodes a change of lane width, op Vd.<to>, Vn.<from>.
type encNarrow struct {
	name     string
	base     uint32
	to, from string
	shift    string
}

func (e encNarrow) encode(d, n int) word {
	return word{
		e.base | uint32(n)<<5 | uint32(d),
		fmt.Sprintf("%s v%d.%s, v%d.%s%s", e.name, d, e.to, n, e.from, e.shift),
	}
}

var (
	encXTNHalf  = encNarrow{"xtn", 0x0E612800, "4h", "4s", ""}
	encXTNByte  = encNarrow{"xtn", 0x0E212800, "8b", "8h", ""}
	encUXTLHalf = encNarrow{"uxtl", 0x2F08A400, "8h", "8b", ""}
	encUXTLWord = encNarrow{"uxtl", 0x2F10A400, "4s", "4h", ""}
	// Saturated; the form with 2 writes the high half, the one with U gives unsigned numbers.
	encSQXTN      = encNarrow{"sqxtn", 0x0E614800, "4h", "4s", ""}
	encSQXTN2     = encNarrow{"sqxtn2", 0x4E614800, "8h", "4s", ""}
	encSQXTUNByte = encNarrow{"sqxtun", 0x2E212800, "8b", "8h", ""}
	// float32 from and to float64; the forms with 2 read or write the high half.
	encFCVTL  = encNarrow{"fcvtl", 0x0E617800, "2d", "2s", ""}
	encFCVTL2 = encNarrow{"fcvtl2", 0x4E617800, "2d", "4s", ""}
	encFCVTN  = encNarrow{"fcvtn", 0x0E616800, "2s", "2d", ""}
	encFCVTN2 = encNarrow{"fcvtn2", 0x4E616800, "4s", "2d", ""}
	// Not a change of width alone: it adds pairs to what Vd holds.
	encSADALP = encNarrow{"sadalp", 0x4E606800, "4s", "8h", ""}
)
