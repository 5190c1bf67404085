package kernels

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/klauspost/cpuid/v2"

	"github.com/golanes/lanes/kernels/internal/isa"
)

func TestChooseNEONTile(t *testing.T) {
	for _, c := range []struct {
		env, goos string
		vendor    cpuid.Vendor
		part      int
		want      string
		wantErr   bool
	}{
		{"", "linux", cpuid.ARM, 0xD03, "4x8", false},  // Cortex-A53
		{"", "linux", cpuid.ARM, 0xD08, "8x8", false},  // Cortex-A72
		{"", "linux", cpuid.ARM, 0xD0C, "8x12", false}, // Neoverse N1
		{"", "linux", cpuid.VendorUnknown, 0, "8x8", false},
		{"", "darwin", cpuid.VendorUnknown, 0, "8x12", false},
		{"8x12", "linux", cpuid.ARM, 0xD03, "8x12", false},
		{"9x9", "linux", cpuid.ARM, 0xD03, "4x8", true},
	} {
		tile, err := chooseNEONTile(c.env, c.goos, c.vendor, c.part)
		if got := fmt.Sprintf("%dx%d", tile.mr, tile.nr); got != c.want || (err != nil) != c.wantErr {
			t.Errorf("env=%q goos=%s vendor=%v part=%#x: %s, %v; want %s", c.env, c.goos, c.vendor, c.part, got, err, c.want)
		}
	}
}

// TestRequiredTile fails where LANES_REQUIRE_TILE names another tile than the
// one in use, or where an arm64 build without the tag purego does not run NEON:
// an emulated run must not be generic unnoticed.
func TestRequiredTile(t *testing.T) {
	want := os.Getenv("LANES_REQUIRE_TILE")
	if want == "" {
		t.Skip("LANES_REQUIRE_TILE is not set")
	}
	if runtime.GOARCH == "arm64" && isa.Active != isa.NEON {
		t.Errorf("the active ISA is %v, want neon", isa.Active)
	}
	if got := Info().GemmTile; got != want {
		t.Errorf("the GEMM tile is %s, LANES_REQUIRE_TILE is %s", got, want)
	}
}
