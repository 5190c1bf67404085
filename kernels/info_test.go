package kernels_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

func TestInfo(t *testing.T) {
	kerneltest.ForEachISA(t, func(t *testing.T) {
		c := kernels.Info()
		if t.Name() != "TestInfo/isa="+c.ISA {
			t.Errorf("Info().ISA = %q in %s", c.ISA, t.Name())
		}
		if !slices.Contains(c.Available, c.ISA) || c.Available[0] != "generic" {
			t.Errorf("Info().Available = %v", c.Available)
		}
		if c.CPU == "" || c.L1D < 8<<10 || c.L2 < 64<<10 || c.L3 < 0 || c.Cores < 1 || c.GOMAXPROCS < 1 || c.GemmTile == "" {
			t.Errorf("implausible: %+v", c)
		}
	})
}

func TestUseISA(t *testing.T) {
	before := kernels.Info().ISA
	previous, err := kernels.UseISA("generic")
	if err != nil || previous != before || kernels.Info().ISA != "generic" {
		t.Errorf("UseISA(generic) = %q, %v with %q active", previous, err, before)
	}
	if _, err := kernels.UseISA(before); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "sse", "avx513"} {
		if _, err := kernels.UseISA(name); err == nil {
			t.Errorf("UseISA(%q) succeeded", name)
		}
	}
	if kernels.Info().ISA != before {
		t.Errorf("%q is active, want %q", kernels.Info().ISA, before)
	}
}

func ExampleInfo() {
	info := kernels.Info()
	fmt.Println("the lowest level is", info.Available[0])
	// Output: the lowest level is generic
}
