package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// file builds the bytes of a file from a header and data as they are.
func file(header, data string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestRoundTrip(t *testing.T) {
	tensors := []Tensor{
		Float32("w", []int{2, 3}, []float32{1, -2, 3.5, float32(math.Inf(1)), 0, -0.25}),
		Int64("steps", nil, []int64{-7}),
		{Name: "flags", DType: Bool, Shape: []int{3}, Data: []byte{1, 0, 1}},
		{Name: "none", DType: F16, Shape: []int{0, 5}, Data: nil},
		{Name: "ünïcode \"quoted\"\n", DType: BF16, Shape: []int{1}, Data: []byte{0x80, 0x3f}},
	}
	metadata := map[string]string{"op": "x", "a": "<&>", "": "empty key"}
	var first, second bytes.Buffer
	if err := Write(&first, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(tensors)
	if err := Write(&second, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the bytes depend on the order of the arguments")
	}
	if n := binary.LittleEndian.Uint64(first.Bytes()); n%8 != 0 {
		t.Errorf("header length %d leaves the data unaligned", n)
	}
	f, err := Parse(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Metadata, metadata) {
		t.Errorf("metadata %v, want %v", f.Metadata, metadata)
	}
	if len(f.Tensors()) != len(tensors) {
		t.Fatalf("%d tensors, want %d", len(f.Tensors()), len(tensors))
	}
	for _, want := range tensors {
		got, ok := f.Tensor(want.Name)
		if !ok || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("tensor %q: got %+v, want %+v", want.Name, got, want)
		}
	}
	if _, ok := f.Tensor("absent"); ok {
		t.Error("found a tensor that is not there")
	}
}

func TestConversions(t *testing.T) {
	inf := float32(math.Inf(1))
	half := Tensor{Name: "h", DType: F16, Data: []byte{
		0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0xff, 0x03, 0x00, 0x04, 0x00, 0x80, 0x00, 0x7c, 0x00, 0xfc,
	}}
	got, err := half.Float32s()
	want := []float32{1, -2, 65504, 0x1p-24, 1023 * 0x1p-24, 0x1p-14, float32(math.Copysign(0, -1)), inf, -inf}
	if err != nil || !slices.Equal(got, want) || !math.Signbit(float64(got[6])) {
		t.Errorf("F16: %v, %v, want %v", got, err, want)
	}
	nan := Tensor{DType: F16, Data: []byte{0x01, 0x7c, 0x00, 0x7e}}
	if got, _ := nan.Float32s(); got[0] == got[0] || got[1] == got[1] {
		t.Errorf("F16 NaN became %v", got)
	}
	brain := Tensor{DType: BF16, Data: []byte{0x80, 0x3f, 0x49, 0xc0}}
	if got, err := brain.Float32s(); err != nil || !slices.Equal(got, []float32{1, -3.140625}) {
		t.Errorf("BF16: %v, %v", got, err)
	}
	double := Tensor{DType: F64, Data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(1+0x1p-24+0x1p-50))}
	if got, err := double.Float32s(); err != nil || got[0] != 1+0x1p-23 {
		t.Errorf("F64: %v, %v", got, err)
	}
	for _, c := range []struct {
		dtype DType
		data  []byte
		want  int64
	}{
		{Bool, []byte{1}, 1}, {U8, []byte{255}, 255}, {I8, []byte{255}, -1},
		{U16, []byte{255, 255}, 65535}, {I16, []byte{254, 255}, -2},
		{U32, []byte{255, 255, 255, 255}, 1<<32 - 1}, {I32, []byte{0, 0, 0, 128}, -1 << 31},
		{I64, []byte{0, 0, 0, 0, 0, 0, 0, 128}, math.MinInt64}, {U64, []byte{1, 0, 0, 0, 0, 0, 0, 64}, 1<<62 + 1},
	} {
		got, err := Tensor{DType: c.dtype, Data: c.data}.Int64s()
		if err != nil || got[0] != c.want {
			t.Errorf("%s: %v, %v, want %d", c.dtype, got, err, c.want)
		}
	}
	if _, err := (Tensor{DType: U64, Data: bytes.Repeat([]byte{255}, 8)}).Int64s(); err == nil {
		t.Error("U64 overflow passed")
	}
	if _, err := (Tensor{DType: F32}).Int64s(); err == nil {
		t.Error("F32 read as integers")
	}
	if _, err := (Tensor{DType: I32}).Float32s(); err == nil {
		t.Error("I32 read as floats")
	}
}

// TestHalfExhaustive compares every binary16 with the value its fields define.
func TestHalfExhaustive(t *testing.T) {
	for i := range 1 << 16 {
		exponent, fraction := i>>10&31, float64(i&0x3ff)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch exponent {
		case 0:
			want = math.Ldexp(fraction, -24)
		case 31:
			want = math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		}
		if i>>15 != 0 {
			want = -want
		}
		got := float64(halfToFloat32(uint16(i)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("half %#04x: got %g, want %g", i, got, want)
		}
	}
}

func TestReadRejects(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	cases := []struct{ name, header, data, want string }{
		{"empty header", ``, "", "unexpected EOF"},
		{"not an object", `[]`, "", "should be"},
		{"truncated object", `{` + a, "1234", "unexpected EOF"},
		{"text after", `{` + a + `}{}`, "1234", "text after"},
		{"invalid UTF-8", "{\"\xff\":{}}", "", "UTF-8"},
		{"duplicate tensor", `{` + a + `,` + a + `}`, "1234", "duplicate key"},
		{"duplicate tensor, escaped", `{` + a + `,` + strings.Replace(a, "a", `\u0061`, 1) + `}`, "1234", "duplicate key"},
		{"duplicate metadata", `{"__metadata__":{},"__metadata__":{}}`, "", "duplicate key"},
		{"duplicate metadata key", `{"__metadata__":{"k":"1","k":"2"}}`, "", "duplicate metadata"},
		{"metadata not a string", `{"__metadata__":{"k":1}}`, "", "string"},
		{"duplicate field", `{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234", "duplicate field"},
		{"unknown field", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[[[]]]}}`, "1234", "unknown field"},
		{"missing field", `{"a":{"dtype":"F32","shape":[1]}}`, "", "needs"},
		{"unknown dtype", `{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}`, "1234", "dtype"},
		{"dtype not a string", `{"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}}`, "1234", "string"},
		{"negative dimension", `{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "1234", "size"},
		{"fractional dimension", `{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}`, "1234", "size"},
		{"null shape", `{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, "1234", "should be"},
		{"dimension beyond int", `{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}}`, "1234", "size"},
		{"product overflows", `{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}`, "1234", "too large"},
		{"product wraps to fit", `{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}`, "1234", "too large"},
		{"shape disagrees", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "1234", "takes 8 bytes"},
		{"offsets reversed", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, "1234", "begin, end"},
		{"three offsets", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, "1234", "begin, end"},
		{"beyond the file", `{` + a + `}`, "123", "describes 4"},
		{"bytes left over", `{` + a + `}`, "12345", "describes 4"},
		{"gap at the start", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12", "gap"},
		{"gap between", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, "123", "gap"},
		{"overlap", `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, "123", "overlaps"},
		{"same place twice", `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, "12", "overlaps"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(file(c.header, c.data))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %v", err)
			}
		})
	}
	for n := range 9 {
		if _, err := Parse(make([]byte, n)); err == nil {
			t.Errorf("%d zero bytes passed", n)
		}
	}
}

func TestReadAccepts(t *testing.T) {
	for _, c := range []struct{ name, header, data string }{
		{"no tensors", `{}`, ""},
		{"padded", "{}   \n", ""},
		{"out of order", `{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, "12"},
		{"empty tensor at the end", `{"e":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "1"},
		{"empty beside huge", `{"e":{"dtype":"F32","shape":[4611686018427387904,0],"data_offsets":[0,0]}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse(file(c.header, c.data)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTruncation cuts a good file at every length: each cut is an error.
func TestTruncation(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, []Tensor{Float32("w", []int{3}, []float32{1, 2, 3})}, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, err := Parse(b.Bytes()[:n]); err == nil {
			t.Errorf("the first %d of %d bytes passed", n, b.Len())
		}
	}
}

// TestLyingSize gives sizes that the stream does not hold: the reader must fail
// without taking memory for them.
func TestLyingSize(t *testing.T) {
	header := `{"a":{"dtype":"U8","shape":[2000000000],"data_offsets":[0,2000000000]}}`
	b := file(header, "short")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(bytes.NewReader(b), int64(len(b)-5)+2000000000, Limits{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want an unexpected EOF", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("took %d bytes for a file of %d", took, len(b))
	}
}

func TestLimits(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}`, "123456789")
	read := func(l Limits) error {
		_, err := Read(bytes.NewReader(b), int64(len(b)), l)
		return err
	}
	if err := read(Limits{Header: 53, Data: 9}); err != nil {
		t.Error(err)
	}
	if err := read(Limits{Header: 52}); err == nil {
		t.Error("a header beyond the limit passed")
	}
	if err := read(Limits{Data: 8}); err == nil {
		t.Error("data beyond the limit passed")
	}
}

func TestWriteRejects(t *testing.T) {
	ok := Float32("w", []int{1}, []float32{1})
	for _, c := range []struct {
		name     string
		tensors  []Tensor
		metadata map[string]string
	}{
		{"same name twice", []Tensor{ok, ok}, nil},
		{"reserved name", []Tensor{Float32(metadataKey, []int{1}, []float32{1})}, nil},
		{"invalid name", []Tensor{Float32("\xff", []int{1}, []float32{1})}, nil},
		{"invalid metadata", nil, map[string]string{"k": "\xff"}},
		{"wrong size", []Tensor{Float32("w", []int{2}, []float32{1})}, nil},
		{"negative shape", []Tensor{Float32("w", []int{-1, -1}, []float32{1})}, nil},
		{"unknown dtype", []Tensor{{Name: "w", DType: "F7"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, c.tensors, c.metadata); err == nil {
				t.Error("no error")
			}
			if b.Len() != 0 {
				t.Errorf("%d bytes written before the error", b.Len())
			}
		})
	}
}

func TestWriteFileIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.safetensors")
	if err := WriteFile(path, []Tensor{Float32("w", []int{1}, []float32{1})}, nil); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []Tensor{{Name: "bad", DType: "F7"}}, nil); err == nil {
		t.Fatal("no error")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Tensor("w"); !ok {
		t.Error("the failed write replaced the file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := WriteFile(filepath.Join(dir, "no", "such", "m"), nil, nil); err == nil {
		t.Error("wrote into a folder that does not exist")
	}
	if _, err := Open(dir); err == nil {
		t.Error("opened a folder")
	}
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}
