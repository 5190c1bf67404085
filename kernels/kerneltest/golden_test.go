package kerneltest

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/train/safetensors"
)

// recorder is a testing.TB that notes failures instead of reporting them.
type recorder struct {
	testing.TB
	messages []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(f string, args ...any) {
	r.messages = append(r.messages, fmt.Sprintf(f, args...))
}
func (r *recorder) Fatal(args ...any)            { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); runtime.Goexit() }

// record runs f, which may end its goroutine, and returns what it reported.
func record(f func(t testing.TB)) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return strings.Join(r.messages, "\n")
}

func writeCase(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "case_0.safetensors")
	err := safetensors.WriteFile(path, []safetensors.Tensor{
		safetensors.Float32("x", []int{2, 1}, []float32{1, 2}),
		safetensors.Int64("labels", []int{2}, []int64{0, 3}),
		safetensors.Int64("notlabels", []int{1}, []int64{-1}),
	}, map[string]string{"op": "demo", "eps": "1e-05", "stride": "[1, 2]", "groups": "3", "flag": "True"})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCase(t *testing.T) {
	c := openCase(t, "demo", writeCase(t))
	if c.Name != "case_0" || !c.Has("x") || !c.Has("eps") || c.Has("y") {
		t.Errorf("case %+v", c)
	}
	if got := c.unread(); len(got) != 7 {
		t.Errorf("unread at first: %v", got)
	}
	if !slices.Equal(c.Shape("x"), []int{2, 1}) || !slices.Equal(c.F32("x"), []float32{1, 2}) || !slices.Equal(c.Labels("labels"), []int32{0, 3}) {
		t.Error("tensors differ")
	}
	if c.Float("eps") != 1e-5 || !slices.Equal(c.Ints("stride"), []int{1, 2}) || !slices.Equal(c.Ints("groups"), []int{3}) ||
		c.Int("groups") != 3 || !c.Bool("flag") || !slices.Equal(c.Floats("stride"), []float64{1, 2}) {
		t.Error("metadata differs")
	}
	if got := c.unread(); !slices.Equal(got, []string{`tensor "notlabels"`}) {
		t.Errorf("unread at last: %v", got)
	}
}

func TestCaseFailures(t *testing.T) {
	path := writeCase(t)
	other := filepath.Join(filepath.Dir(path), "notes.txt")
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(t testing.TB){
		"missing tensor":   func(t testing.TB) { openCase(t, "demo", path).F32("y") },
		"missing metadata": func(t testing.TB) { openCase(t, "demo", path).Str("y") },
		"wrong type":       func(t testing.TB) { openCase(t, "demo", path).F32("labels") },
		"not a label":      func(t testing.TB) { openCase(t, "demo", path).Labels("notlabels") },
		"not a number":     func(t testing.TB) { openCase(t, "demo", path).Int("eps") },
		"not a list":       func(t testing.TB) { openCase(t, "demo", path).Ints("flag") },
		"not a bool":       func(t testing.TB) { openCase(t, "demo", path).Bool("eps") },
		"other op":         func(t testing.TB) { openCase(t, "conv2d", path) },
		"other kind":       func(t testing.TB) { openCase(t, "demo", other) },
	} {
		if record(f) == "" {
			t.Errorf("%s: no failure reported", name)
		}
	}
}

func TestClose(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		got, want []float32
		message   string
	}{
		{[]float32{1, nan, inf, 0}, []float32{1.05, nan, inf, 0.1}, ""},
		{[]float32{1}, []float32{1, 2}, "elements"},
		{[]float32{nan}, []float32{0}, "worst at 0"},
		{[]float32{0}, []float32{nan}, "worst at 0"},
		{[]float32{1}, []float32{inf}, "worst at 0"},
		{[]float32{inf}, []float32{-inf}, "worst at 0"},
		{[]float32{1.4, 5, 1.2}, []float32{1, 1, 1}, "3 of 3 elements differ by more than 0.1 + 0.05*|want|; worst at 1: got 5, want 1"},
	} {
		got := record(func(t testing.TB) { Close(t, "v", c.got, c.want, 0.1, 0.05) })
		if (got == "") != (c.message == "") || !strings.Contains(got, c.message) {
			t.Errorf("Close(%v, %v): %q, want %q", c.got, c.want, got, c.message)
		}
	}
}

func TestLayouts(t *testing.T) {
	x := []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} // n=1, c=2, h=2, w=3
	want := []float32{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}
	got := ToNHWC(x, 1, 2, 2, 3)
	if !slices.Equal(got, want) || !slices.Equal(ToNCHW(got, 1, 2, 2, 3), x) {
		t.Errorf("ToNHWC %v, back %v", got, ToNCHW(got, 1, 2, 2, 3))
	}
}

// TestGoldenFiles opens every reference case and reads its tensors.
func TestGoldenFiles(t *testing.T) {
	folders, err := os.ReadDir(DataPath(t, "golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		t.Run("op="+folder.Name(), func(t *testing.T) {
			Golden(t, folder.Name(), func(t *testing.T, c *Case) {
				for _, name := range c.Tensors() {
					if tensor := c.tensor(name); tensor.DType == safetensors.I64 {
						c.I64(name)
					} else {
						c.F32(name)
					}
				}
				for key := range c.file.Metadata {
					c.Str(key)
				}
			})
		})
	}
}
