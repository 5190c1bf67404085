package download

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// server gives files, and misbehaves as asked.
type server struct {
	*httptest.Server
	files map[string][]byte
	cut   int  // bytes after which it hangs up; 0 never
	whole bool // it knows no ranges
	wrong bool // it sends another range than asked for

	mu       sync.Mutex
	requests []string // path and range
}

func serve(t *testing.T, files map[string][]byte) *server {
	s := &server{files: files}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
	s.mu.Unlock()
	content, ok := s.files[strings.TrimPrefix(r.URL.Path, "/sets/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.whole {
		r.Header.Del("Range")
	}
	if s.wrong {
		w.Header().Set("Content-Range", "bytes 0-9/100")
		w.WriteHeader(http.StatusPartialContent)
		return
	}
	if s.cut > 0 {
		w = &cutWriter{w, s.cut}
	}
	http.ServeContent(w, r, "file", time.Time{}, bytes.NewReader(content))
}

// cutWriter hangs up after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		_, _ = w.ResponseWriter.Write(b[:w.left])
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.left -= len(b)
	return w.ResponseWriter.Write(b)
}

// randomBytes cannot be compressed, so that lengths are what they seem.
func randomBytes(n int, seed uint64) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func md5Of(b []byte) string { return fmt.Sprintf("%x", md5.Sum(b)) }

// plainSet is a set of two files.
func plainSet() (Set, map[string][]byte) {
	files := map[string][]byte{"a.gz": randomBytes(100_000, 1), "b.gz": randomBytes(500, 2)}
	s := Set{Name: "plain"}
	for _, name := range []string{"a.gz", "b.gz"} {
		s.Files = append(s.Files, File{Name: name, Bytes: int64(len(files[name])), MD5: md5Of(files[name])})
	}
	return s, files
}

func get(t *testing.T, set Set, s *server, dir string) error {
	t.Helper()
	return Get(context.Background(), set, Options{Dir: dir, From: s.URL + "/sets", Progress: func(file string, done, total int64) {
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d bytes", file, done, total)
		}
	}})
}

func isComplete(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestGet(t *testing.T) {
	set, files := plainSet()
	s := serve(t, files)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, files)
	if err := get(t, set, s, dir); err != nil || len(s.requests) != 2 {
		t.Errorf("again: %v, after requests %v", err, s.requests)
	}
	if bad := Check(set, dir); len(bad) != 0 {
		t.Errorf("checked: %v", bad)
	}
	// A file that was damaged is fetched again.
	if err := os.WriteFile(filepath.Join(dir, "b.gz"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if bad := Check(set, dir); len(bad) != 1 || !strings.Contains(bad[0].Error(), "b.gz") {
		t.Errorf("damaged: %v", bad)
	}
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, files)
}

// TestGetGoesOn: a server that hangs up is asked for the rest, and a part that an
// earlier call left is gone on with.
func TestGetGoesOn(t *testing.T) {
	set, files := plainSet()
	s := serve(t, files)
	s.cut = 40_000
	dir := t.TempDir()
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, files)
	if len(s.requests) < 4 || !strings.Contains(s.requests[1], "bytes=") {
		t.Errorf("requests %v", s.requests)
	}

	s = serve(t, files)
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.gz.part"), files["a.gz"][:70_000], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, files)
	if s.requests[0] != "/sets/a.gz bytes=70000-" {
		t.Errorf("requests %v", s.requests)
	}

	s = serve(t, files)
	s.whole = true
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.gz.part"), []byte("another file's beginning"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, files)
}

// TestGetFails: one line that says what and where, nothing under a file's own name,
// and a part only where going on can help.
func TestGetFails(t *testing.T) {
	set, files := plainSet()
	other := randomBytes(100_000, 9)
	for _, c := range []struct {
		name string
		make func(s *server, dir string)
		want []string
		part bool
	}{
		{"not found", func(s *server, dir string) { s.files = nil }, []string{"/sets/a.gz", "404"}, false},
		{"another file", func(s *server, dir string) { s.files = map[string][]byte{"a.gz": other} }, []string{"a.gz", "MD5", md5Of(other), "deleted"}, false},
		{"too long", func(s *server, dir string) { s.files = map[string][]byte{"a.gz": make([]byte, 1<<20)} }, []string{"a.gz", "100000 bytes"}, false},
		{"too short", func(s *server, dir string) { s.files = map[string][]byte{"a.gz": other[:1000]} }, []string{"a.gz", "before byte 1000"}, false},
		{"too short, no ranges", func(s *server, dir string) {
			s.files, s.whole = map[string][]byte{"a.gz": other[:1000]}, true
		}, []string{"a.gz", "1000 of 100000 bytes", "unexpected EOF"}, true},
		{"wrong range", func(s *server, dir string) {
			s.wrong = true
			_ = os.WriteFile(filepath.Join(dir, "a.gz.part"), other[:500], 0o644) // the test fails without
		}, []string{"a.gz", "from 500", "bytes 0-9/100"}, true},
		{"hangs up at once", func(s *server, dir string) { s.cut = 1; s.whole = true }, []string{"a.gz", "of 100000 bytes"}, true},
		{"nobody there", func(s *server, dir string) { s.Close() }, []string{"a.gz", "0 of 100000 bytes", "cannot reach 127.0.0.1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, files)
			dir := t.TempDir()
			c.make(s, dir)
			err := get(t, set, s, dir)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not have %q", err, part)
				}
			}
			if exists(filepath.Join(dir, "a.gz")) || exists(filepath.Join(dir, "a.gz.part")) != c.part {
				entries, err := os.ReadDir(dir)
				t.Errorf("the folder has %v, %v", entries, err)
			}
		})
	}
	for _, from := range []string{"ftp://example.org/", "file:///etc", "::", "mirror"} {
		if err := Get(context.Background(), set, Options{Dir: t.TempDir(), From: from}); err == nil || !strings.Contains(err.Error(), "address") {
			t.Errorf("from %q: %v", from, err)
		}
	}
}

func TestGetInterrupted(t *testing.T) {
	set, files := plainSet()
	s := serve(t, files)
	ctx, cancel := context.WithCancel(context.Background())
	err := Get(ctx, set, Options{Dir: t.TempDir(), From: s.URL + "/sets", Progress: func(string, int64, int64) { cancel() }})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
}

// archive is a tar file, gzipped.
func archive(t *testing.T, members map[string][]byte, more ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range members {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range more {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGetArchive(t *testing.T) {
	one, two := randomBytes(3000, 3), []byte("airplane\n")
	file := archive(t, map[string][]byte{"set-bin/one.bin": one, "../../names.txt": two, "set-bin/readme.html": []byte("x")})
	set := Set{Name: "packed", Files: []File{{Name: "set.tar.gz", Bytes: int64(len(file)), MD5: md5Of(file)}}, Members: []string{"names.txt", "one.bin"}}
	s := serve(t, map[string][]byte{"set.tar.gz": file})
	dir := t.TempDir()
	if err := get(t, set, s, dir); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(dir, SumsFile))
	if err != nil {
		t.Fatal(err)
	}
	isComplete(t, dir, map[string][]byte{"one.bin": one, "names.txt": two, SumsFile: sums})
	if err := get(t, set, s, dir); err != nil || len(s.requests) != 1 {
		t.Errorf("again: %v, after requests %v", err, s.requests)
	}
	one[7]++
	if err := os.WriteFile(filepath.Join(dir, "one.bin"), one, 0o644); err != nil {
		t.Fatal(err)
	}
	if bad := Check(set, dir); len(bad) != 1 || !strings.Contains(bad[0].Error(), "one.bin") || !strings.Contains(bad[0].Error(), "SHA-256") {
		t.Errorf("damaged: %v", bad)
	}
	if err := get(t, set, s, dir); err != nil || len(Check(set, dir)) != 0 {
		t.Errorf("fetched again: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, SumsFile), []byte("garbage\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if bad := Check(set, dir); len(bad) != 1 || !strings.Contains(bad[0].Error(), SumsFile) {
		t.Errorf("damaged list: %v", bad)
	}

	for name, file := range map[string][]byte{
		"is missing":     archive(t, map[string][]byte{"one.bin": one}),
		"gzip: invalid":  randomBytes(1000, 4),
		"names.txt is":   archive(t, map[string][]byte{"one.bin": one}, &tar.Header{Name: "names.txt", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"unexpected EOF": file[:len(file)-600],
	} {
		set.Files[0].Bytes, set.Files[0].MD5 = int64(len(file)), md5Of(file)
		err := get(t, set, serve(t, map[string][]byte{"set.tar.gz": file}), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "set.tar.gz") {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

func TestSets(t *testing.T) {
	for _, name := range Names() {
		s, err := Find(name)
		if err != nil || !strings.HasPrefix(s.Base, "https://") || !strings.HasSuffix(s.Base, "/") {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		for _, f := range s.Files {
			if len(f.MD5) != 32 || f.Bytes <= 0 || (len(f.Plain) == 32) != (s.Members == nil) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	if _, err := Find("imagenet"); err == nil {
		t.Error("found imagenet")
	}
	for _, name := range []string{"mnist", "fashion-mnist"} {
		dir := kerneltest.DataPath(t, name)
		s, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range Check(s, dir) {
			t.Error(err)
		}
	}
}
