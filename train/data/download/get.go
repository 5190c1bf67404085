package download

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say where to and how to fetch.
type Options struct {
	// Dir is the folder for the files, made if it is not there.
	Dir string
	// From replaces the set's address, for a mirror; "" leaves it.
	From string
	// Progress, if set, is told of every file how many bytes are there, of how many.
	Progress func(file string, done, total int64)
}

const (
	// attempts is how often in a row a connection may end without a byte before
	// Get gives up.
	attempts = 3
	// stall is how long a connection may stay silent.
	stall = time.Minute
	// partSuffix marks a file that is not complete.
	partSuffix = ".part"
)

// client gives up on servers that do not answer; fetch watches over what follows.
var client = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
	TLSHandshakeTimeout:   20 * time.Second,
	ResponseHeaderTimeout: 30 * time.Second,
	ForceAttemptHTTP2:     true,
}}

// Get fetches what opt.Dir lacks of a set. A file gets its name when it is complete
// and its checksum is right; until then it is NAME.part, with which the next call
// goes on. Of an archive only the members are kept, and their SHA-256 in SumsFile.
func Get(ctx context.Context, s Set, opt Options) error {
	base, err := url.Parse(cmp.Or(opt.From, s.Base))
	if err != nil || base.Scheme != "https" && base.Scheme != "http" {
		return fmt.Errorf("%q is no http or https address", cmp.Or(opt.From, s.Base))
	}
	if err := os.MkdirAll(opt.Dir, 0o777); err != nil {
		return err
	}
	if s.Members != nil && len(checkMembers(s, opt.Dir)) == 0 && exists(filepath.Join(opt.Dir, SumsFile)) {
		return nil
	}
	for _, f := range s.Files {
		path := filepath.Join(opt.Dir, f.Name)
		if sum, err := md5File(path); err != nil || sum != f.MD5 {
			if err := getFile(ctx, base.JoinPath(f.Name).String(), path, f, opt.Progress); err != nil {
				return err
			}
		}
		if s.Members == nil {
			continue
		}
		if err := extract(path, opt.Dir, s.Members); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// getFile fetches one file to path.
func getFile(ctx context.Context, address, path string, f File, progress func(string, int64, int64)) error {
	part, err := os.OpenFile(path+partSuffix, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if info, err := part.Stat(); err == nil && info.Size() == 0 {
			_ = os.Remove(part.Name()) // nothing to go on with
		}
		_ = part.Close() // closed already after success
	}()
	for idle := 0; ; {
		at, err := part.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if at >= f.Bytes {
			break
		}
		err = fetch(ctx, address, part, at, f, progress)
		if err == nil {
			continue
		}
		var failed *statusError
		if ctx.Err() != nil {
			return fmt.Errorf("%s: interrupted; the next call goes on", f.Name)
		}
		if errors.As(err, &failed) {
			return fmt.Errorf("%s: %w", address, err)
		}
		if now, seekErr := part.Seek(0, io.SeekEnd); seekErr != nil || now > at {
			idle = 0
		} else if idle++; idle == attempts {
			return fmt.Errorf("%s: %d of %d bytes: %w; the next call goes on", f.Name, at, f.Bytes, reason(err))
		}
	}
	if err := checkPart(part, f); err != nil {
		if removed := os.Remove(part.Name()); removed != nil {
			return removed
		}
		return fmt.Errorf("%s: %w; it was deleted", address, err)
	}
	if err := part.Sync(); err != nil {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// reason leaves out what a message says anyway.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("cannot reach %s: %w", hostOf(u.URL), u.Err)
	}
	return err
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return address
}

// statusError is an answer that asking again will not change.
type statusError struct{ text string }

func (e *statusError) Error() string { return e.text }

// fetch appends to part, which has at bytes, what the server gives.
func fetch(ctx context.Context, address string, part *os.File, at int64, f File, progress func(string, int64, int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	// Offsets count bytes of the file as it is published.
	request.Header.Set("Accept-Encoding", "identity")
	if at > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusPartialContent && at > 0:
		if got := response.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", at)) {
			return &statusError{fmt.Sprintf("asked for the bytes from %d, the server sent %q", at, got)}
		}
	case response.StatusCode == http.StatusOK: // from the beginning, whatever was asked
		at = 0
		if err := part.Truncate(0); err != nil {
			return err
		}
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		if err := part.Truncate(0); err != nil {
			return err
		}
		return &statusError{fmt.Sprintf("the server's file ends before byte %d; what was there was deleted", at)}
	default:
		return &statusError{"the server answers " + response.Status}
	}
	if _, err := part.Seek(at, io.SeekStart); err != nil {
		return err
	}
	watch := time.AfterFunc(stall, cancel)
	defer watch.Stop()
	_, err = io.Copy(part, io.LimitReader(&counted{response.Body, func(n int64) {
		watch.Reset(stall)
		if at += n; progress != nil {
			progress(f.Name, min(at, f.Bytes), f.Bytes)
		}
	}}, f.Bytes-at+1))
	switch {
	case errors.Is(err, context.Canceled):
		err = fmt.Errorf("the connection was silent for %v", stall)
	case err == nil && at < f.Bytes:
		err = io.ErrUnexpectedEOF
	}
	return err
}

// counted reports what was read.
type counted struct {
	io.Reader
	report func(n int64)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.report(int64(n))
	return n, err
}

// checkPart compares a complete file with what is published.
func checkPart(part *os.File, f File) error {
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum, n, err := sumOf(part, md5.New())
	switch {
	case err != nil:
		return err
	case n != f.Bytes:
		return fmt.Errorf("more than the %d bytes of the published file", f.Bytes)
	case sum != f.MD5:
		return fmt.Errorf("MD5 is %s, the published one %s", sum, f.MD5)
	}
	return nil
}

func md5File(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, _, err := sumOf(f, md5.New())
	return sum, err
}

func sumOf(r io.Reader, h hash.Hash) (sum string, n int64, err error) {
	n, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// notThere reports whether err says that a file does not exist.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
