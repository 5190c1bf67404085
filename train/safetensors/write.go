package safetensors

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/golanes/lanes/internal/atomicfile"
)

// Write writes one file. The tensors are laid out by element size, largest
// first, then by name, so that every tensor is aligned to its element; metadata
// is sorted by key. Names must be unique, valid UTF-8 and not "__metadata__",
// and Data must have the size that DType and Shape give. Nothing is written when
// an argument is wrong.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	sorted := make([]*Tensor, len(tensors))
	for i := range tensors {
		sorted[i] = &tensors[i]
	}
	slices.SortFunc(sorted, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	header, err := encodeHeader(sorted, metadata)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, 1<<16)
	var prefix [8]byte
	binary.LittleEndian.PutUint64(prefix[:], uint64(len(header)))
	buffered.Write(prefix[:])
	buffered.Write(header)
	for _, t := range sorted {
		buffered.Write(t.Data)
	}
	return buffered.Flush() // reports the first failure of the writes above
}

// encodeHeader returns the JSON header, padded with spaces so that the data
// begins at a multiple of 8 bytes.
func encodeHeader(tensors []*Tensor, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(metadata) > 0 {
		b.WriteString(`"` + metadataKey + `":{`)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeStrings(&b, key, ":", metadata[key]); err != nil {
				return nil, err
			}
		}
		b.WriteByte('}')
	}
	names := make(map[string]bool, len(tensors))
	offset := 0
	for i, t := range tensors {
		size, ok := byteSize(t.DType, t.Shape)
		switch {
		case t.Name == metadataKey || names[t.Name]:
			return nil, fmt.Errorf("safetensors: tensor name %q is reserved or used twice", t.Name)
		case t.DType.Size() == 0:
			return nil, fmt.Errorf("safetensors: tensor %q: unknown dtype %q", t.Name, string(t.DType))
		case !ok || size != len(t.Data):
			return nil, fmt.Errorf("safetensors: tensor %q: %d bytes for %s of shape %v", t.Name, len(t.Data), t.DType, t.Shape)
		}
		names[t.Name] = true
		if i > 0 || len(metadata) > 0 {
			b.WriteByte(',')
		}
		if err := writeStrings(&b, t.Name, `:{"dtype":`, string(t.DType)); err != nil {
			return nil, err
		}
		shape, err := json.Marshal(append([]int{}, t.Shape...))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `,"shape":%s,"data_offsets":[%d,%d]}`, shape, offset, offset+size)
		offset += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	return b.Bytes(), nil
}

func writeStrings(b *bytes.Buffer, first, between, second string) error {
	if !utf8.ValidString(first) || !utf8.ValidString(second) {
		return fmt.Errorf("safetensors: %q, %q: not valid UTF-8", first, second)
	}
	for i, s := range [...]string{first, second} {
		quoted, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if i == 1 {
			b.WriteString(between)
		}
		b.Write(quoted)
	}
	return nil
}

// WriteFile writes the file at path atomically: to a temporary file in the same
// folder, flushed to the disk and then renamed. A reader, or a crash at any
// moment, sees the old file or the new one and never a part.
func WriteFile(path string, tensors []Tensor, metadata map[string]string) error {
	return atomicfile.WriteFunc(path, func(w io.Writer) error { return Write(w, tensors, metadata) })
}
