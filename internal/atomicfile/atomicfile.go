// Package atomicfile replaces files whole: a reader, or a crash at any moment,
// sees the old file or the new one and never a part.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path, readable by everyone, by content.
func Write(path string, content []byte) error {
	return WriteFunc(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteFunc replaces the file at path, readable by everyone, by what write writes:
// into a temporary file in the same folder, which is flushed to the disk and then
// renamed. If anything fails the old file stays and the temporary one goes. What
// is no regular file, such as a folder or a device, is not replaced, and of a
// symbolic link the file that it leads to.
func WriteFunc(path string, write func(w io.Writer) error) error {
	if path == "" {
		return errors.New("cannot write to a file without a name")
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("cannot replace %s: not a regular file", path)
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, temporary(filepath.Base(path)))
	if err != nil {
		var failed *fs.PathError
		if errors.As(err, &failed) {
			failed.Path = path // what the caller knows
		}
		return err
	}
	err = write(temp)
	if err == nil {
		err = temp.Chmod(0o644) // CreateTemp makes it private to the owner
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to report
		return err
	}
	return syncDir(dir)
}

// Clean deletes the temporary files that killed processes have left in dir for
// files whose names match one of the patterns of [filepath.Match]. Nobody else may
// be writing those.
func Clean(dir string, patterns ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, pattern := range patterns {
			if match, err := filepath.Match(temporary(pattern), e.Name()); err != nil {
				return err
			} else if !match {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// temporary is the pattern of the temporary files' names for a file of that name.
func temporary(name string) string { return "." + name + ".*" }

// syncDir makes a rename durable. A system that cannot flush a folder says so
// with an error that has nothing to do with the file; it is dropped.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
