package kernels

import (
	"fmt"
	"runtime"

	"github.com/golanes/lanes/kernels/internal/isa"
	"github.com/klauspost/cpuid/v2"
)

// A Config describes what the kernels run on and how: for logs, bug reports and
// benchmarks.
type Config struct {
	ISA       string   `json:"isa"`               // active level
	Available []string `json:"available"`         // levels of this machine, ascending
	Warning   string   `json:"warning,omitempty"` // what was wrong with LANES_ISA or LANES_NEON_TILE

	CPU        string   `json:"cpu"`
	Features   []string `json:"features"` // instruction sets of the CPU that matter here
	L1D        int      `json:"l1d"`      // bytes per core; an assumption if the CPU does not tell
	L2         int      `json:"l2"`
	L3         int      `json:"l3"`    // bytes, 0 if there is none
	Cores      int      `json:"cores"` // physical cores, or logical ones if unknown
	GOMAXPROCS int      `json:"gomaxprocs"`

	GemmTile string `json:"gemm_tile"` // rows x columns of the matrix-product tile
	Int8     string `json:"int8"`      // how bytes are multiplied, see [Int8Dot]
}

// Info returns the present configuration.
func Info() Config {
	tile := activeGemmTile()
	c := Config{
		ISA:        isa.Active.String(),
		CPU:        cpuid.CPU.BrandName,
		L1D:        caches.l1d,
		L2:         caches.l2,
		L3:         caches.l3,
		Cores:      cpuid.CPU.PhysicalCores,
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		GemmTile:   fmt.Sprintf("%dx%d", tile.mr, tile.nr),
		Int8:       Int8Dot(),
	}
	for _, l := range isa.Available() {
		c.Available = append(c.Available, l.String())
	}
	if err := isa.Err(); err != nil {
		c.Warning = err.Error()
	} else if err := tileErr(); err != nil {
		c.Warning = err.Error()
	}
	if c.CPU == "" {
		c.CPU = runtime.GOARCH
	}
	if c.Cores <= 0 {
		c.Cores = runtime.NumCPU()
	}
	for _, f := range []cpuid.FeatureID{cpuid.SSE42, cpuid.AVX, cpuid.FMA3, cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW,
		cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.AVX512VNNI, cpuid.AVX512BF16, cpuid.ASIMD, cpuid.ASIMDDP, cpuid.FPHP, cpuid.ASIMDHP} {
		if cpuid.CPU.Has(f) {
			c.Features = append(c.Features, f.String())
		}
	}
	return c
}

// UseISA makes the named level active and returns the previous one's name. It
// is for tests and benchmarks: no kernel may be running.
func UseISA(name string) (previous string, err error) {
	want, err := isa.Parse(name)
	if err != nil {
		return "", err
	}
	for _, l := range isa.Available() {
		if l == want {
			return isa.Set(l).String(), nil
		}
	}
	return "", fmt.Errorf("ISA %s: this machine has %v", want, isa.Available())
}

// caches holds the sizes that blocking uses, in bytes.
var caches = detectCaches()

// detectCaches asks the CPU. Where it does not tell (most arm64 systems), and
// where a virtual machine answers nonsense, small sizes are assumed, which cost
// little on larger caches.
func detectCaches() (c struct{ l1d, l2, l3 int }) {
	reported := cpuid.CPU.Cache
	c.l1d, c.l2, c.l3 = reported.L1D, reported.L2, max(0, reported.L3)
	if c.l1d < 8<<10 || c.l1d > 1<<20 {
		c.l1d = 32 << 10
	}
	if c.l2 < 64<<10 || c.l2 > 64<<20 {
		c.l2 = 512 << 10
	}
	return c
}
