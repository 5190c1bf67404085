package kernels

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"
)

// Which GEMM tile a NEON core gets. The kernels are the same; what differs is
// how many accumulators the core can keep busy.

// neonTiles are the tiles that NEON has, by the name that LANES_NEON_TILE and
// [Config] use. 8x12 is for cores with two or more vector pipes and wide issue,
// 8x8 for out-of-order cores that issue three, and the safe default, 4x8 for
// in-order cores, which stall on what a larger tile loads.
var neonTiles = map[string]gemmTile{
	"8x12": {mr: 8, shallow: 8, nr: 12, narrow: 4, limits: limitsGeneric, pack: packGeneric},
	"8x8":  {mr: 8, shallow: 8, nr: 8, narrow: 4, limits: limitsGeneric, pack: packGeneric},
	"4x8":  {mr: 4, shallow: 4, nr: 8, narrow: 4, limits: limitsGeneric, pack: packGeneric},
}

// chooseNEONTile returns the tile for a core, named by the implementer and part
// number of its MIDR_EL1, which Linux lets a program read. env, if not empty,
// names the tile instead.
func chooseNEONTile(env, goos string, vendor cpuid.Vendor, part int) (gemmTile, error) {
	name := "8x8"
	switch {
	case goos == "darwin" || vendor == cpuid.Ampere || vendor == cpuid.NVIDIA || vendor == cpuid.Fujitsu:
		name = "8x12"
	case vendor == cpuid.ARM:
		name = armPartTile(part)
	}
	if env == "" {
		return neonTiles[name], nil
	}
	tile, ok := neonTiles[env]
	if !ok {
		return neonTiles[name], fmt.Errorf("LANES_NEON_TILE=%s: no such tile (8x12, 8x8, 4x8), using %s", env, name)
	}
	return tile, nil
}

// armPartTile returns the name of the tile for a part number of Arm Limited.
func armPartTile(part int) string {
	switch part {
	case 0xD03, 0xD04, 0xD05, 0xD46, 0xD80: // Cortex-A53, A35, A55, A510, A520
		return "4x8"
	case 0xD0C, 0xD0D, 0xD40, 0xD41, 0xD44, 0xD47, 0xD48, 0xD49, 0xD4B, 0xD4D, 0xD4E, 0xD4F, 0xD81, 0xD82, 0xD84, 0xD85:
		// Neoverse N1, V1, N2, V2, V3; Cortex-A77, A78 and later, X1 and later
		return "8x12"
	default: // Cortex-A57, A72, A73, A75, A76 and what is not known
		return "8x8"
	}
}
