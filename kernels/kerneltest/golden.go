package kerneltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/golanes/lanes/train/safetensors"
)

// DataDir returns the folder of the test data: $LANES_DATA, by default
// ../shared/data, either seen from the root of the module when it is relative.
// It returns "" when that folder is absent.
func DataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LANES_DATA")
	if dir == "" {
		dir = filepath.Join("..", "shared", "data")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(moduleRoot(t), dir)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	return dir
}

// DataPath returns a file or folder in [DataDir]. It skips the test where that is
// absent.
func DataPath(t testing.TB, elem ...string) string {
	t.Helper()
	root, name := DataDir(t), filepath.Join(elem...)
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); root == "" || errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s: not in the test data", name)
	} else if err != nil {
		t.Fatal(err)
	}
	return path
}

// moduleRoot returns the nearest folder above the test's own that holds go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	start, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := start; ; {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("kerneltest: no go.mod above %s", start)
		}
		dir = parent
	}
}

// Golden runs f as one sub-test per reference case of op, the files
// golden/<op>/*.safetensors in [DataDir], named after the file. It skips when
// that folder is absent. It fails when the folder is empty or holds a file that
// cannot be read, that belongs to another op, or that has a tensor or metadata
// key which f did not use: such a case says more than f understands.
func Golden(t *testing.T, op string, f func(t *testing.T, c *Case)) {
	t.Helper()
	dir := DataPath(t, "golden", op)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatalf("%s holds no cases", dir)
	}
	for _, entry := range entries {
		t.Run(strings.TrimSuffix(entry.Name(), ".safetensors"), func(t *testing.T) {
			c := openCase(t, op, filepath.Join(dir, entry.Name()))
			f(t, c)
			if unread := c.unread(); len(unread) > 0 && !t.Failed() && !t.Skipped() {
				t.Errorf("not understood: the test did not use %s", strings.Join(unread, ", "))
			}
		})
	}
}

// Case is one reference case: named tensors and metadata. Every accessor fails
// the test when the name is missing or holds something else.
type Case struct {
	Name string

	t       testing.TB
	file    *safetensors.File
	tensors map[string]bool // used so far
	keys    map[string]bool
}

func openCase(t testing.TB, op, path string) *Case {
	t.Helper()
	if filepath.Ext(path) != ".safetensors" {
		t.Fatalf("not understood: %s is not a .safetensors file", path)
	}
	file, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Metadata["op"]; got != op {
		t.Fatalf("not understood: %s is a case of op %q, not %q", path, got, op)
	}
	return &Case{
		Name: strings.TrimSuffix(filepath.Base(path), ".safetensors"),
		t:    t, file: file,
		tensors: map[string]bool{}, keys: map[string]bool{"op": true},
	}
}

func (c *Case) unread() []string {
	var names []string
	for _, t := range c.file.Tensors() {
		if !c.tensors[t.Name] {
			names = append(names, "tensor "+strconv.Quote(t.Name))
		}
	}
	for key := range c.file.Metadata {
		if !c.keys[key] {
			names = append(names, "metadata "+strconv.Quote(key))
		}
	}
	slices.Sort(names)
	return names
}

// Tensors returns the names of all tensors, in the order of the file.
func (c *Case) Tensors() []string {
	var names []string
	for _, t := range c.file.Tensors() {
		names = append(names, t.Name)
	}
	return names
}

// Has reports whether the case has a tensor or a metadata key of this name. It
// does not count as using it.
func (c *Case) Has(name string) bool {
	_, tensor := c.file.Tensor(name)
	_, key := c.file.Metadata[name]
	return tensor || key
}

func (c *Case) tensor(name string) safetensors.Tensor {
	c.t.Helper()
	t, ok := c.file.Tensor(name)
	if !ok {
		c.t.Fatalf("%s: no tensor %q", c.Name, name)
	}
	return t
}

// Shape returns a tensor's shape, empty for a scalar.
func (c *Case) Shape(name string) []int {
	c.t.Helper()
	return slices.Clone(c.tensor(name).Shape)
}

// F32 returns a floating-point tensor's elements.
func (c *Case) F32(name string) []float32 {
	c.t.Helper()
	values, err := c.tensor(name).Float32s()
	if err != nil {
		c.t.Fatalf("%s: %v", c.Name, err)
	}
	c.tensors[name] = true
	return values
}

// I64 returns an integer tensor's elements.
func (c *Case) I64(name string) []int64 {
	c.t.Helper()
	values, err := c.tensor(name).Int64s()
	if err != nil {
		c.t.Fatalf("%s: %v", c.Name, err)
	}
	c.tensors[name] = true
	return values
}

// Labels returns an integer tensor's elements as class labels.
func (c *Case) Labels(name string) []int32 {
	c.t.Helper()
	values := c.I64(name)
	labels := make([]int32, len(values))
	for i, v := range values {
		if v < 0 || v > math.MaxInt32 {
			c.t.Fatalf("%s: %s[%d] = %d is not a label", c.Name, name, i, v)
		}
		labels[i] = int32(v)
	}
	return labels
}

// Str returns a metadata value as it is.
func (c *Case) Str(key string) string {
	c.t.Helper()
	value, ok := c.file.Metadata[key]
	if !ok {
		c.t.Fatalf("%s: no metadata %q", c.Name, key)
	}
	c.keys[key] = true
	return value
}

// Float returns a metadata value as a number.
func (c *Case) Float(key string) float64 {
	c.t.Helper()
	value, err := strconv.ParseFloat(c.Str(key), 64)
	if err != nil {
		c.t.Fatalf("%s: metadata %q: %v", c.Name, key, err)
	}
	return value
}

// Int returns a metadata value as a whole number.
func (c *Case) Int(key string) int {
	c.t.Helper()
	value, err := strconv.Atoi(c.Str(key))
	if err != nil {
		c.t.Fatalf("%s: metadata %q: %v", c.Name, key, err)
	}
	return value
}

// Ints returns a metadata value that is a JSON list of whole numbers; a single
// number is a list of one.
func (c *Case) Ints(key string) []int {
	c.t.Helper()
	return caseList[int](c, key)
}

// Pair returns a list of one number, for both sides alike, or two, or byDefault
// twice where the case has no such key.
func (c *Case) Pair(key string, byDefault int) (h, w int) {
	c.t.Helper()
	if !c.Has(key) {
		return byDefault, byDefault
	}
	switch v := c.Ints(key); len(v) {
	case 1:
		return v[0], v[0]
	case 2:
		return v[0], v[1]
	default:
		c.t.Fatalf("not understood: %s %v", key, v)
		return 0, 0
	}
}

// Floats returns a metadata value that is a JSON list of numbers; a single
// number is a list of one.
func (c *Case) Floats(key string) []float64 {
	c.t.Helper()
	return caseList[float64](c, key)
}

func caseList[T int | float64](c *Case, key string) []T {
	c.t.Helper()
	text := []byte(c.Str(key))
	var list []T
	if err := json.Unmarshal(text, &list); err == nil {
		return list
	}
	var one T
	if err := json.Unmarshal(text, &one); err != nil {
		c.t.Fatalf("%s: metadata %q: %v", c.Name, key, err)
	}
	return []T{one}
}

// Bool returns a metadata value that is true or false, in any case.
func (c *Case) Bool(key string) bool {
	c.t.Helper()
	switch value := c.Str(key); strings.ToLower(value) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	default:
		c.t.Fatalf("%s: metadata %q: %q is neither true nor false", c.Name, key, value)
		return false
	}
}

// SumTolerance is what a float32 sum of products may be off by, over the sum of the
// magnitudes of its m terms. With terms of random sign and standard deviation s,
// partial sum j is about s*sqrt(j), and its rounding off by 2^-24/sqrt(3) of that;
// the m errors together have a standard deviation of 2^-24*s*m/sqrt(6), which is at
// most 0.65*2^-24 of the magnitudes, s*m*0.64 or more for normal terms. Four times
// 2^-24 is six standard deviations: tensors of a million elements stay within.
const SumTolerance = 4 * Eps

// Close reports an error unless |got-want| <= atol + rtol*|want| for every
// element. NaN equals NaN, and an infinity equals itself only. The message has
// the element that exceeds its tolerance most, and how many do.
func Close(t testing.TB, name string, got, want []float32, atol, rtol float64) {
	t.Helper()
	CloseSums(t, name, got, want, nil, atol, rtol)
}

// CloseSums is Close for results whose terms cancel: magnitude[i], the sum of the
// magnitudes of the terms of element i, adds SumTolerance of itself to the
// tolerance.
func CloseSums(t testing.TB, name string, got, want []float32, magnitude []float64, atol, rtol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		return
	}
	worst, worstExcess, bad := -1, 0.0, 0
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		allowed := atol + rtol*math.Abs(w)
		if magnitude != nil {
			allowed += SumTolerance * magnitude[i]
		}
		excess := math.Abs(g-w) / allowed
		if math.IsInf(w, 0) || math.IsNaN(excess) {
			excess = math.Inf(1)
		}
		if excess <= 1 {
			continue
		}
		bad++
		if worst < 0 || excess > worstExcess {
			worst, worstExcess = i, excess
		}
	}
	if bad > 0 {
		t.Errorf("%s: %d of %d elements differ by more than %g + %g*|want|; worst at %d: got %v, want %v (%s of the tolerance)",
			name, bad, len(want), atol, rtol, worst, got[worst], want[worst], fmt.Sprintf("%.3g times", worstExcess))
	}
}

// ToNHWC returns x of shape n, c, h, w rearranged to n, h, w, c.
func ToNHWC(x []float32, n, c, h, w int) []float32 {
	return swapInner(x, n, c, h*w)
}

// ToNCHW returns x of shape n, h, w, c rearranged to n, c, h, w, the shape being
// given in the order of the result.
func ToNCHW(x []float32, n, c, h, w int) []float32 {
	return swapInner(x, n, h*w, c)
}

// swapInner transposes each of n matrices of rows x cols.
func swapInner(x []float32, n, rows, cols int) []float32 {
	if len(x) != n*rows*cols {
		panic(fmt.Sprintf("kerneltest.ToNHWC, ToNCHW: %d elements for a shape of %d", len(x), n*rows*cols))
	}
	out := make([]float32, len(x))
	for b := range n {
		for i := range rows {
			for j := range cols {
				out[(b*cols+j)*rows+i] = x[(b*rows+i)*cols+j]
			}
		}
	}
	return out
}
