package fuzz

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/golanes/lanes/train/safetensors"
)

// FuzzSafetensors feeds the reader any bytes: it must return, without a panic;
// and what it accepts must survive being written and read again, to the byte.
func FuzzSafetensors(f *testing.F) {
	add := func(header string, data ...byte) {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		f.Add(append(append(b, header...), data...))
	}
	add(`{}`)
	add(`{"__metadata__":{"op":"x"},"a":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}`, 0, 60)
	add(`{"b":{"dtype":"U8","shape":[],"data_offsets":[4,5]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3, 4, 5)
	add(`{"a":{"dtype":"I64","shape":[0,9223372036854775807],"data_offsets":[0,0]}}`)
	f.Add(append(binary.LittleEndian.AppendUint64(nil, 2<<30), `{}`...)) // a header of 2 GB
	add(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	add(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`)
	add(`{"a":{"dtype":"F32","shape":[-1,-4],"data_offsets":[0,16]}}`, make([]byte, 16)...)
	add(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}`, 1, 2, 3, 4)
	nan := make([]byte, 8)
	binary.LittleEndian.PutUint32(nan, 0x7fc00001)
	binary.LittleEndian.PutUint32(nan[4:], 0xff800001) // signalling
	add(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, nan...)
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := safetensors.Parse(b)
		if err != nil {
			return
		}
		total := 0
		for _, tensor := range file.Tensors() {
			total += len(tensor.Data)
			_, floats := tensor.Float32s()
			_, integers := tensor.Int64s()
			if floats == nil && integers == nil {
				t.Errorf("tensor %q of %s is both float and integer", tensor.Name, tensor.DType)
			}
		}
		if total > len(b) {
			t.Errorf("%d bytes of tensors from a file of %d", total, len(b))
		}
		var once, twice bytes.Buffer
		if err := safetensors.Write(&once, file.Tensors(), file.Metadata); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		again, err := safetensors.Parse(once.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if err := safetensors.Write(&twice, again.Tensors(), again.Metadata); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Error("writing is not stable")
		}
	})
}
