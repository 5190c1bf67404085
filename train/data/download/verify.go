package download

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golanes/lanes/internal/atomicfile"
)

// SumsFile has the SHA-256 of the members that were taken from an archive, as
// sha256sum writes and checks them.
const SumsFile = "SHA256SUMS"

// maxMember bounds a member of an archive. The largest, CIFAR-100's training
// records, has 154 MB.
const maxMember = 256 << 20

// extract writes the members of the gzipped tar archive at name to dir, each in one
// rename, whatever folder they are in, and their checksums.
func extract(name, dir string, members []string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := atomicfile.Clean(dir, slices.Concat(members, []string{SumsFile})...); err != nil {
		return err
	}
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	sums := map[string]string{}
	for archive := tar.NewReader(z); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		member := path.Base(head.Name)
		if head.Typeflag != tar.TypeReg || !slices.Contains(members, member) {
			continue
		}
		if head.Size > maxMember {
			return fmt.Errorf("%s: %s has %d bytes, more than the limit of %d", name, member, head.Size, maxMember)
		}
		sum := sha256.New()
		err = atomicfile.WriteFunc(filepath.Join(dir, member), func(w io.Writer) error {
			_, err := io.Copy(w, io.TeeReader(archive, sum))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, member, err)
		}
		sums[member] = fmt.Sprintf("%x", sum.Sum(nil))
	}
	var lines strings.Builder
	for _, member := range members {
		if sums[member] == "" {
			return fmt.Errorf("%s: %s is missing in it", name, member)
		}
		fmt.Fprintf(&lines, "%s  %s\n", sums[member], member)
	}
	return atomicfile.Write(filepath.Join(dir, SumsFile), []byte(lines.String()))
}

// Check compares the files of a set in dir with the published checksums or, of an
// archive's members, with those that Get noted. It returns an error, which names
// the file, for each that is missing or different.
func Check(s Set, dir string) []error {
	if s.Members != nil {
		return checkMembers(s, dir)
	}
	var bad []error
	for _, f := range s.Files {
		path, want := filepath.Join(dir, f.Name), f.MD5
		if _, err := os.Stat(path); notThere(err) {
			if plain := strings.TrimSuffix(path, ".gz"); exists(plain) {
				path, want = plain, f.Plain
			}
		}
		sum, err := md5File(path)
		if err == nil && sum != want {
			err = fmt.Errorf("%s: MD5 is %s, the published one %s", path, sum, want)
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}

// checkMembers checks what SumsFile lists, if it is there, and that every member
// is.
func checkMembers(s Set, dir string) []error {
	var bad []error
	sums := map[string]string{}
	path := filepath.Join(dir, SumsFile)
	text, err := readSmall(path)
	if err != nil && !notThere(err) {
		bad = append(bad, err)
	}
	for line := range strings.Lines(text) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || len(sum) != 2*sha256.Size {
			return append(bad, fmt.Errorf("%s: not a list of checksums", path))
		}
		sums[name] = sum
	}
	for _, member := range s.Members {
		path := filepath.Join(dir, member)
		if !exists(path) && exists(path+".gz") {
			path += ".gz"
		}
		f, err := os.Open(path)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		sum, _, err := sumOf(f, sha256.New())
		f.Close()
		if want := sums[filepath.Base(path)]; err == nil && want != "" && sum != want {
			err = fmt.Errorf("%s: SHA-256 is %s, it was %s", path, sum, want)
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	return bad
}

// readSmall reads a text file of at most 64 KB.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<16))
	return string(text), err
}
