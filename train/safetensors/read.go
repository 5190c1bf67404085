package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Limits bound what a reader accepts. The zero value of a field stands for the
// default.
type Limits struct {
	// Header is the largest JSON header, in bytes. Default 16 MiB: about a
	// hundred thousand tensors.
	Header int64
	// Data is the largest total of all tensors, in bytes. Default 4 GiB.
	Data int64
}

func (l Limits) orDefault() Limits {
	if l.Header == 0 {
		l.Header = 16 << 20
	}
	if l.Data == 0 {
		l.Data = 4 << 30
	}
	return l
}

// File is a parsed file.
type File struct {
	// Metadata is the header's __metadata__, nil when there is none.
	Metadata map[string]string

	tensors []Tensor
	index   map[string]int
}

// Tensors returns the tensors in the order of their data. The slice is f's own.
func (f *File) Tensors() []Tensor { return f.tensors }

// Tensor returns the tensor with this name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Open reads the file at path with the default [Limits]. Errors name the file.
func Open(path string) (*File, error) { return OpenLimited(path, Limits{}) }

// OpenLimited is [Open] with limits. The header is checked in full against the
// size of the file before any memory is taken for the data.
func OpenLimited(path string, limits Limits) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := Read(file, info.Size(), limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Read reads one file of exactly size bytes from r.
func Read(r io.Reader, size int64, limits Limits) (*File, error) {
	limits = limits.orDefault()
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("safetensors: %d bytes are too short for a header", size)
	}
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, fmt.Errorf("safetensors: reading the header length: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	rest := size - int64(len(prefix))
	if length > uint64(rest) {
		return nil, fmt.Errorf("safetensors: header length %d exceeds the %d bytes that follow", length, rest)
	}
	if length > uint64(limits.Header) {
		return nil, fmt.Errorf("safetensors: header length %d exceeds the limit of %d bytes", length, limits.Header)
	}
	dataSize := rest - int64(length)
	if dataSize > limits.Data {
		return nil, fmt.Errorf("safetensors: %d bytes of tensors exceed the limit of %d", dataSize, limits.Data)
	}
	header, err := readExactly(r, int64(length))
	if err != nil {
		return nil, fmt.Errorf("safetensors: reading the header: %w", err)
	}
	f, ranges, err := parseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	if err := f.layOut(ranges, dataSize); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	data, err := readExactly(r, dataSize)
	if err != nil {
		return nil, fmt.Errorf("safetensors: reading the tensors: %w", err)
	}
	for i := range f.tensors {
		r := ranges[i]
		f.tensors[i].Data = data[r.begin:r.end:r.end]
	}
	return f, nil
}

// Parse reads a file held in memory. The tensors alias b.
func Parse(b []byte) (*File, error) {
	return Read(bytes.NewReader(b), int64(len(b)), Limits{})
}

// readExactly reads n bytes, growing with what arrives: a size that promises
// more than the stream holds costs no memory.
func readExactly(r io.Reader, n int64) ([]byte, error) {
	const trusted = 1 << 20
	var buf bytes.Buffer
	buf.Grow(int(min(n, trusted)))
	got, err := io.CopyN(&buf, r, n)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%d bytes of %d: %w", got, n, io.ErrUnexpectedEOF)
		}
		return nil, err
	}
	return buf.Bytes(), nil
}

// byteRange is a tensor's place in the data section.
type byteRange struct{ begin, end int64 }

// layOut sorts the tensors by their place and checks that they tile
// [0, dataSize) without gap or overlap.
func (f *File) layOut(ranges []byteRange, dataSize int64) error {
	order := make([]int, len(ranges))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if ranges[a].begin != ranges[b].begin {
			return int(min(1, max(-1, ranges[a].begin-ranges[b].begin)))
		}
		return int(min(1, max(-1, ranges[a].end-ranges[b].end)))
	})
	tensors, sorted := make([]Tensor, len(order)), make([]byteRange, len(order))
	f.index = make(map[string]int, len(order))
	end := int64(0)
	for i, from := range order {
		t, r := f.tensors[from], ranges[from]
		switch {
		case r.begin < end:
			return fmt.Errorf("tensor %q at byte %d overlaps the one before, which ends at %d", t.Name, r.begin, end)
		case r.begin > end:
			return fmt.Errorf("tensor %q at byte %d leaves a gap after byte %d", t.Name, r.begin, end)
		}
		end = r.end
		tensors[i], sorted[i] = t, r
		f.index[t.Name] = i
	}
	if end != dataSize {
		return fmt.Errorf("the header describes %d bytes of tensors, the file holds %d", end, dataSize)
	}
	f.tensors = tensors
	copy(ranges, sorted)
	return nil
}

// headerParser walks the header token by token, because unmarshalling into a
// map would let the last of two equal keys win silently.
type headerParser struct{ dec *json.Decoder }

func parseHeader(header []byte) (*File, []byteRange, error) {
	if !utf8.Valid(header) {
		return nil, nil, errors.New("not valid UTF-8")
	}
	p := headerParser{json.NewDecoder(bytes.NewReader(header))}
	p.dec.UseNumber()
	f := &File{}
	var ranges []byteRange
	seen := map[string]bool{}
	err := p.object(func(key string) error {
		if seen[key] {
			return fmt.Errorf("duplicate key %q", key)
		}
		seen[key] = true
		if key == metadataKey {
			return p.metadata(f)
		}
		t, r, err := p.tensor(key)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		f.tensors, ranges = append(f.tensors, t), append(ranges, r)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if tail := bytes.TrimRight(header[p.dec.InputOffset():], " \t\r\n\x00"); len(tail) != 0 {
		return nil, nil, errors.New("text after the JSON object")
	}
	return f, ranges, nil
}

const metadataKey = "__metadata__"

// object reads one JSON object and calls member for each key, which reads the
// value.
func (p headerParser) object(member func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	for p.dec.More() {
		key, err := p.string()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p headerParser) metadata(f *File) error {
	f.Metadata = map[string]string{}
	return p.object(func(key string) error {
		if _, ok := f.Metadata[key]; ok {
			return fmt.Errorf("duplicate metadata key %q", key)
		}
		value, err := p.string()
		if err != nil {
			return fmt.Errorf("metadata %q: %w", key, err)
		}
		f.Metadata[key] = value
		return nil
	})
}

func (p headerParser) tensor(name string) (Tensor, byteRange, error) {
	t := Tensor{Name: name}
	var offsets []int
	var has struct{ dtype, shape, offsets bool }
	once := func(seen *bool) error {
		if *seen {
			return errors.New("duplicate field")
		}
		*seen = true
		return nil
	}
	err := p.object(func(key string) (err error) {
		switch key {
		case "dtype":
			if err = once(&has.dtype); err == nil {
				var s string
				s, err = p.string()
				t.DType = DType(s)
			}
		case "shape":
			if err = once(&has.shape); err == nil {
				t.Shape, err = p.ints()
			}
		case "data_offsets":
			if err = once(&has.offsets); err == nil {
				offsets, err = p.ints()
			}
		default:
			err = errors.New("unknown field")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return t, byteRange{}, err
	case !has.dtype || !has.shape || !has.offsets:
		return t, byteRange{}, errors.New("needs dtype, shape and data_offsets")
	case t.DType.Size() == 0:
		return t, byteRange{}, fmt.Errorf("unknown dtype %q", string(t.DType))
	case len(offsets) != 2 || offsets[0] > offsets[1]:
		return t, byteRange{}, fmt.Errorf("data_offsets %v are not [begin, end]", offsets)
	}
	size, ok := byteSize(t.DType, t.Shape)
	if !ok {
		return t, byteRange{}, fmt.Errorf("shape %v is too large", t.Shape)
	}
	if size != offsets[1]-offsets[0] {
		return t, byteRange{}, fmt.Errorf("%s of shape %v takes %d bytes, data_offsets %v give %d", t.DType, t.Shape, size, offsets, offsets[1]-offsets[0])
	}
	return t, byteRange{int64(offsets[0]), int64(offsets[1])}, nil
}

func (p headerParser) delim(want json.Delim) error {
	token, err := p.token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v where %v should be", token, want)
	}
	return nil
}

func (p headerParser) string() (string, error) {
	token, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("%v where a string should be", token)
	}
	return s, nil
}

// ints reads an array of non-negative whole numbers.
func (p headerParser) ints() ([]int, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	out := []int{}
	for p.dec.More() {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%v where a number should be", token)
		}
		v, err := strconv.ParseUint(string(number), 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("%s is not a size", number)
		}
		out = append(out, int(v))
	}
	return out, p.delim(']')
}

func (p headerParser) token() (json.Token, error) {
	token, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	return token, err
}
