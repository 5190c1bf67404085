package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	for _, content := range []string{"first", "", "second, longer"} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v, want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	failure := errors.New("half way")
	err := WriteFunc(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("third")); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want the writer's", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second, longer" {
		t.Errorf("after a failed write: %q, %v", got, err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"config.json"}) {
		t.Errorf("left behind: %v", got)
	}
	absent := filepath.Join(dir, "no", "folder")
	if err := Write(absent, nil); !errors.Is(err, os.ErrNotExist) || err.Error() != "open "+absent+": no such file or directory" && runtime.GOOS == "linux" {
		t.Errorf("a folder that does not exist: %v", err)
	}
	if err := Write("", nil); err == nil || !strings.Contains(err.Error(), "without a name") {
		t.Errorf("a file without a name: %v", err)
	}
	for _, other := range []string{dir, os.DevNull} {
		if err := Write(other, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s was to be replaced: %v", other, err)
		}
	}
}

// TestWriteLink: a link stays, and what it leads to is replaced.
func TestWriteLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file, link := filepath.Join(elsewhere, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Logf("no symbolic links here: %v", err)
		return
	}
	if err := Write(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "new" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	keep := []string{".a.bin.9", ".config", "a.json", "config.json.5"}
	for _, name := range append([]string{".a.json.123", ".b.json.0", ".last.bin.77"}, keep...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(dir, "*.json", "last.bin"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, keep) {
		t.Errorf("left %v, want %v", got, keep)
	}
	if err := Clean(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent folder: %v", err)
	}
}
