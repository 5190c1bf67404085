package data

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The binary format of CIFAR: one record per image, of one label byte (CIFAR-10)
// or a coarse and a fine one (CIFAR-100), then the red, the green and the blue
// plane of 32 x 32 bytes.
//
// Source: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarPixels = 3 * cifarPlane
)

// cifar describes one of the two data sets.
type cifar struct {
	labels      int // label bytes in a record; the last is used
	names       string
	classes     int
	train, test []string
}

func cifar10() cifar {
	c := cifar{labels: 1, names: "batches.meta.txt", classes: 10, test: []string{"test_batch.bin"}}
	for i := range 5 {
		c.train = append(c.train, fmt.Sprintf("data_batch_%d.bin", i+1))
	}
	return c
}

func cifar100() cifar {
	return cifar{labels: 2, names: "fine_label_names.txt", classes: 100, train: []string{"train.bin"}, test: []string{"test.bin"}}
}

// open reads the files in root, gzipped or not. A file classes.tsv there says
// that only some of the classes occur, and in which order they are numbered: after
// a line of headings, the first column of each line is the label in the files, the
// second the name.
func (c cifar) open(root string) (train, test *Images, err error) {
	if err := checkRoot(root); err != nil {
		return nil, nil, err
	}
	classes, number, err := c.selection(root)
	if err != nil {
		return nil, nil, err
	}
	if train, err = c.read(root, c.train, classes, number); err != nil {
		return nil, nil, err
	}
	test, err = c.read(root, c.test, classes, number)
	return train, test, err
}

// selection returns the class names and, for each label of the files, the number
// of its class, or -1.
func (c cifar) selection(root string) (classes []string, number []int32, err error) {
	number = make([]int32, c.classes)
	path := filepath.Join(root, "classes.tsv")
	lines, err := readLines(path, c.classes+1)
	if errors.Is(err, os.ErrNotExist) {
		path = filepath.Join(root, c.names)
		lines, err = readLines(path, c.classes)
		if err == nil && len(lines) != c.classes {
			err = fmt.Errorf("%s: %d names, want %d", path, len(lines), c.classes)
		}
		for i := range number {
			number[i] = int32(i)
		}
		return lines, number, err
	}
	if err != nil {
		return nil, nil, err
	}
	for i := range number {
		number[i] = -1
	}
	for i, line := range lines[1:] {
		label, name, _ := strings.Cut(line, "\t")
		name, _, _ = strings.Cut(name, "\t")
		v, err := strconv.Atoi(label)
		if err != nil || v < 0 || v >= c.classes || number[v] >= 0 || name == "" {
			return nil, nil, fmt.Errorf("%s: line %d does not begin with a new label below %d and a name", path, i+2, c.classes)
		}
		number[v] = int32(i)
		classes = append(classes, name)
	}
	return classes, number, nil
}

// readLines reads a text file of at most most lines, without empty lines at the
// end.
func readLines(path string, most int) ([]string, error) {
	const longest = 1 << 16
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(string(text)), "\r\n", "\n"), "\n")
	if len(text) > longest || len(lines) > most {
		return nil, fmt.Errorf("%s: more than %d lines or %d bytes", path, most, longest)
	}
	return lines, nil
}

// read joins the records of some files.
func (c cifar) read(root string, files, classes []string, number []int32) (*Images, error) {
	var pixels []byte
	var labels []int32
	for _, name := range files {
		f, err := openData(root, name)
		if err != nil {
			return nil, err
		}
		pixels, labels, err = c.records(f, pixels, labels, number)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return NewImages(cifarSide, cifarSide, 3, classes, pixels, labels)
}

// records appends what r holds to pixels and labels.
func (c cifar) records(r io.Reader, pixels []byte, labels []int32, number []int32) ([]byte, []int32, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	record := make([]byte, c.labels+cifarPixels)
	for i := 0; ; i++ {
		n, err := io.ReadFull(buffered, record)
		switch {
		case n == 0 && errors.Is(err, io.EOF):
			if i == 0 {
				return nil, nil, errors.New("no records")
			}
			return pixels, labels, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, nil, fmt.Errorf("truncated: record %d has %d bytes of %d", i, n, len(record))
		case err != nil:
			return nil, nil, err
		case len(pixels)+cifarPixels > maxIDX:
			return nil, nil, fmt.Errorf("oversized: more than the limit of %d bytes", maxIDX)
		}
		label := int(record[c.labels-1])
		if label >= len(number) || number[label] < 0 {
			return nil, nil, fmt.Errorf("label %d of record %d is out of range", label, i)
		}
		labels = append(labels, number[label])
		planes := record[c.labels:]
		pixels = slices.Grow(pixels, cifarPixels)
		for p := range cifarPlane {
			pixels = append(pixels, planes[p], planes[cifarPlane+p], planes[2*cifarPlane+p])
		}
	}
}
