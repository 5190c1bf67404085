package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxIDX is the most bytes of elements that an IDX file may describe: ten times
// the MNIST training images, and little enough for any machine that trains.
const maxIDX = 512 << 20

// ReadIDX reads an array of bytes in the IDX format (big-endian: two zero bytes,
// the type code 8 for unsigned bytes, the number of dimensions, each dimension as
// 32 bits, then the elements) and returns its dimensions and elements. rank is
// the number of dimensions it must have. Fewer or more elements than the header
// says are an error. The format's other element types are not accepted.
//
// Source: Y. LeCun, "The MNIST database of handwritten digits", file formats.
func ReadIDX(r io.Reader, rank int) (shape []int, elements []byte, err error) {
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, nil, fmt.Errorf("no IDX header: %w", unexpected(err))
	}
	if want := [4]byte{0, 0, 8, byte(rank)}; magic != want {
		return nil, nil, fmt.Errorf("magic number 0x%x, want 0x%x (IDX, unsigned bytes, %d dimensions)", magic, want, rank)
	}
	dims := make([]byte, 4*rank)
	if _, err := io.ReadFull(r, dims); err != nil {
		return nil, nil, fmt.Errorf("truncated IDX header: %w", unexpected(err))
	}
	size := int64(1)
	for i := range rank {
		d := int64(binary.BigEndian.Uint32(dims[4*i:]))
		shape = append(shape, int(min(d, maxIDX+1)))
		if size *= d; size > maxIDX {
			return nil, nil, fmt.Errorf("the header describes more than the limit of %d bytes", maxIDX)
		}
	}
	// The buffer grows with the bytes that arrive, so a header that promises more
	// than the file holds costs nothing.
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(r, size+1))
	switch {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, err
	case n < size:
		return nil, nil, fmt.Errorf("truncated: %d bytes of elements, the header %v says %d", n, shape, size)
	case n > size:
		return nil, nil, fmt.Errorf("oversized: more than the %d bytes of elements that the header %v says", size, shape)
	case err != nil:
		return nil, nil, err
	}
	return shape, buf.Bytes(), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readIDXFile reads dir/name or dir/name.gz.
func readIDXFile(dir, name string, rank int) (path string, shape []int, elements []byte, err error) {
	f, err := openData(dir, name)
	if err != nil {
		return "", nil, nil, err
	}
	defer f.Close()
	shape, elements, err = ReadIDX(f, rank)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return f.path, shape, elements, err
}

// readIDXPair reads <prefix>-images-idx3-ubyte and <prefix>-labels-idx1-ubyte,
// gzipped or not, from dir.
func readIDXPair(dir, prefix string, classes []string) (*Images, error) {
	labelPath, labelShape, labelBytes, err := readIDXFile(dir, prefix+"-labels-idx1-ubyte", 1)
	if err != nil {
		return nil, err
	}
	labels := make([]int32, len(labelBytes))
	for i, label := range labelBytes {
		if int(label) >= len(classes) {
			return nil, fmt.Errorf("%s: label %d of record %d is out of range 0..%d", labelPath, label, i, len(classes)-1)
		}
		labels[i] = int32(label)
	}
	path, shape, pixels, err := readIDXFile(dir, prefix+"-images-idx3-ubyte", 3)
	switch {
	case err != nil:
		return nil, err
	case shape[0] != labelShape[0]:
		return nil, fmt.Errorf("%s: %d images, but %s has %d labels", path, shape[0], labelPath, labelShape[0])
	case shape[0] == 0 || shape[1] == 0 || shape[2] == 0:
		return nil, fmt.Errorf("%s: no images (%v)", path, shape)
	case shape[1] > maxSide || shape[2] > maxSide:
		return nil, fmt.Errorf("%s: images of %d x %d, larger than %d", path, shape[1], shape[2], maxSide)
	}
	return NewImages(shape[1], shape[2], 1, classes, pixels, labels)
}

// maxSide is the largest height or width of an image that a file may ask for: the
// buffers of a network grow with it.
const maxSide = 1024
