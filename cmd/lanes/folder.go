package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/golanes/lanes/train"
)

// folder is the folder of a run. Until a new run has begun, undo leaves the disk
// as it was.
type folder struct {
	path    string
	created []string // the folders made for it, outermost first
	unlock  func()
}

// makeFolder creates path, checks that files can be written there, and keeps
// other processes from running there until unlock.
func makeFolder(path string) (*folder, error) {
	f := &folder{path: path}
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		f.created = append([]string{dir}, f.created...)
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		f.undo()
		return nil, fmt.Errorf("cannot write to %s: %w", path, err)
	}
	probe, err := os.CreateTemp(path, ".lanes-*")
	if err != nil {
		f.undo()
		return nil, fmt.Errorf("cannot write to %s: %w", path, err)
	}
	err = probe.Close()
	if removed := os.Remove(probe.Name()); err == nil {
		err = removed
	}
	if err != nil {
		f.undo()
		return nil, fmt.Errorf("cannot write to %s: %w", path, err)
	}
	f.unlock, err = train.LockDir(path)
	return f, err
}

// undo removes a run that never began: its config.json if there is no checkpoint,
// and the folders made for it, as far as they are empty.
func (f *folder) undo() {
	if !exists(f.path, train.LastFile) {
		_ = os.Remove(filepath.Join(f.path, configFile)) // absent, most often
	}
	for i := len(f.created) - 1; i >= 0; i-- {
		if os.Remove(f.created[i]) != nil {
			return
		}
	}
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// holdsRun reports whether a folder holds files of a run.
func holdsRun(dir string) bool {
	return exists(dir, configFile) || exists(dir, train.LastFile) || exists(dir, train.StateFile)
}

// defaultFolder names the folder for runs with these settings when none is given:
// the next one that holds no run, or to resume the last one that does.
func defaultFolder(s *Settings, resume bool) string {
	base := filepath.Join("runs", s.Data+"-"+s.Model+"-"+s.Loss)
	name := func(i int) string {
		if i == 1 {
			return base
		}
		return fmt.Sprintf("%s-%d", base, i)
	}
	next := 1
	for holdsRun(name(next)) {
		next++
	}
	if resume && next > 1 {
		next--
	}
	return name(next)
}
