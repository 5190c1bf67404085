package data

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// checkRoot reports a folder of data files that is not one.
func checkRoot(root string) error {
	if root == "" {
		return errors.New("the folder of the data files is missing")
	}
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: not a folder", root)
	}
	return nil
}

// dataFile is an open data file, decompressed as it is read.
type dataFile struct {
	io.Reader
	path string
	file *os.File
}

func (f *dataFile) Close() error { return f.file.Close() }

// openData opens dir/name or, if that is not there, dir/name.gz.
func openData(dir, name string) (*dataFile, error) {
	f := &dataFile{path: filepath.Join(dir, name)}
	var err error
	f.file, err = os.Open(f.path)
	compressed := errors.Is(err, os.ErrNotExist)
	if compressed {
		f.path += ".gz"
		f.file, err = os.Open(f.path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: neither %s nor %s.gz is there", dir, name, name)
	}
	if err != nil {
		return nil, err
	}
	f.Reader = bufio.NewReaderSize(f.file, 1<<16)
	if compressed {
		if f.Reader, err = gzip.NewReader(f.Reader); err != nil {
			f.file.Close()
			return nil, fmt.Errorf("%s: %w", f.path, unexpected(err))
		}
	}
	return f, nil
}
