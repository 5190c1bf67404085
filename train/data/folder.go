package data

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// DefaultSize is the side of the images of a folder unless [Options.Size] says
// otherwise.
const DefaultSize = 64

// DefaultCache is the most bytes of decoded pictures that a folder keeps in memory
// unless [Options.Cache] says otherwise.
const DefaultCache = 256 << 20

// Skipped is a file or folder that [Options.SkipBad] left out.
type Skipped struct {
	Path string
	Err  error // names the file too
}

// Folder is a Source of image files in one folder per class. Each is decoded when
// it is asked for, unless it is among those kept in memory: the first that were
// asked for, as many as fit. Memory is bounded by the cache, and by one picture
// under way for each goroutine that asks.
type Folder struct {
	size    int
	classes []string
	files   []pictureFile
	cache   *pictureCache
}

type pictureFile struct {
	path  string
	label int32
	size  image.Point // as stored
	kept  atomic.Pointer[picture]
}

// pictureCache is what the folders of a data set share.
type pictureCache struct {
	left    atomic.Int64 // bytes
	scratch sync.Pool    // of *picture
}

// Len implements Source.
func (f *Folder) Len() int { return len(f.files) }

// Shape implements Source: images are square, of three channels.
func (f *Folder) Shape() (h, w, c int) { return f.size, f.size, 3 }

// Classes implements Source.
func (f *Folder) Classes() []string { return f.classes }

// Label implements Source.
func (f *Folder) Label(i int) int32 { return f.files[i].label }

// Path returns the file of image i.
func (f *Folder) Path(i int) string { return f.files[i].path }

// Pixels returns the width and height of image i as it is stored.
func (f *Folder) Pixels(i int) (w, h int) { return f.files[i].size.X, f.files[i].size.Y }

// Image implements Source: the middle square of the picture, resized.
func (f *Folder) Image(dst []byte, i int) error {
	p, err := f.whole(i)
	if err != nil {
		return err
	}
	scratch := f.cache.take()
	square(dst, p, f.size, scratch)
	f.cache.scratch.Put(scratch)
	f.release(p)
	return nil
}

// whole implements wholeSource.
func (f *Folder) whole(i int) (*picture, error) {
	file := &f.files[i]
	if p := file.kept.Load(); p != nil {
		return p, nil
	}
	p := f.cache.take()
	if err := readPicture(p, file.path, f.size); err != nil {
		f.cache.scratch.Put(p)
		return nil, err
	}
	n := int64(len(p.img.Pix))
	if f.cache.left.Add(-n) < 0 {
		f.cache.left.Add(n)
		return p, nil
	}
	kept := &picture{cached: true}
	copy(kept.reset(p.img.Rect.Dx(), p.img.Rect.Dy()).Pix, p.img.Pix)
	f.cache.scratch.Put(p)
	if !file.kept.CompareAndSwap(nil, kept) { // another goroutine was faster
		f.cache.left.Add(n)
	}
	return kept, nil
}

// release implements wholeSource.
func (f *Folder) release(p *picture) {
	if !p.cached {
		f.cache.scratch.Put(p)
	}
}

func (c *pictureCache) take() *picture {
	if p, ok := c.scratch.Get().(*picture); ok {
		return p
	}
	return &picture{}
}

// StoredSize returns the width and height of an image of src as its file has them,
// or 0 where src is no part of a folder.
func StoredSize(src Source, i int) (w, h int) {
	for {
		switch s := src.(type) {
		case *subset:
			src, i = s.Source, s.index[i]
			continue
		case *Folder:
			return s.Pixels(i)
		}
		return 0, 0
	}
}

// folderSet is an image folder's parts; val and test may be nil.
type folderSet struct {
	train, val, test *Folder
	skipped          []Skipped
}

// openFolder reads one of two layouts: root/train/<class>/<file> with root/val and
// root/test if they are there, or root/<class>/<file>. Names that begin with a dot
// are passed over, and so are files that lie beside the class folders.
func openFolder(opt Options) (*folderSet, error) {
	if err := checkRoot(opt.Root); err != nil {
		return nil, err
	}
	size := cmp.Or(opt.Size, DefaultSize)
	if size < minSide || size > maxPictureSide {
		return nil, fmt.Errorf("images of side %d, want %d to %d", size, minSide, maxPictureSide)
	}
	r := &folderReader{size: size, skip: opt.SkipBad, cache: &pictureCache{}}
	r.cache.left.Store(cmp.Or(opt.Cache, DefaultCache))
	var s folderSet
	var err error
	if !isFolder(filepath.Join(opt.Root, "train")) {
		s.train, err = r.read(opt.Root)
	} else {
		for _, part := range []struct {
			name string
			to   **Folder
		}{{"train", &s.train}, {"val", &s.val}, {"test", &s.test}} {
			dir := filepath.Join(opt.Root, part.name)
			if part.name != "train" && !isFolder(dir) {
				continue
			}
			if *part.to, err = r.read(dir); err != nil {
				break
			}
		}
	}
	s.skipped = r.skipped
	return &s, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// folderReader reads the folders of one data set.
type folderReader struct {
	size    int
	skip    bool
	cache   *pictureCache
	classes []string // of the first folder
	skipped []Skipped
}

// bad notes what cannot be used, or returns it as an error.
func (r *folderReader) bad(path string, err error) error {
	if !r.skip {
		return err
	}
	r.skipped = append(r.skipped, Skipped{path, err})
	return nil
}

// read reads dir/<class>/<file>. The first folder read decides the classes, in the
// order of their names.
func (r *folderReader) read(dir string) (*Folder, error) {
	names, err := visible(dir, true)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no class folders", dir)
	}
	first := r.classes == nil
	var files []pictureFile
	for _, name := range names {
		path := filepath.Join(dir, name)
		label := len(r.classes)
		if !first {
			if label = slices.Index(r.classes, name); label < 0 {
				if err := r.bad(path, fmt.Errorf("%s: there is no such class among the training images", path)); err != nil {
					return nil, err
				}
				continue
			}
		}
		good, err := r.readClass(path, int32(label))
		if err != nil {
			return nil, err
		}
		if len(good) == 0 {
			continue
		}
		if first {
			r.classes = append(r.classes, name)
		}
		for i := range good {
			files = append(files, pictureFile{path: good[i].path, label: good[i].label, size: good[i].size})
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no image can be used", dir)
	}
	return &Folder{size: r.size, classes: r.classes, files: files, cache: r.cache}, nil
}

// checked is a file that was looked at.
type checked struct {
	path  string
	label int32
	size  image.Point
	err   error
}

// readClass looks at every file of a class: at its header or, to leave out bad
// ones, at all of it, so that every run with these files leaves out the same.
func (r *folderReader) readClass(dir string, label int32) ([]checked, error) {
	names, err := visible(dir, false)
	if err != nil {
		return nil, r.bad(dir, err)
	}
	if len(names) == 0 {
		return nil, r.bad(dir, fmt.Errorf("%s: empty class folder", dir))
	}
	files := make([]checked, len(names))
	parallel(len(names), func(i int) {
		f := &files[i]
		f.path, f.label = filepath.Join(dir, names[i]), label
		if f.size, f.err = checkPicture(f.path); f.err == nil && r.skip {
			p := r.cache.take()
			f.err = readPicture(p, f.path, r.size)
			r.cache.scratch.Put(p)
		}
	})
	var good []checked
	for _, f := range files {
		if f.err == nil {
			good = append(good, f)
		} else if err := r.bad(f.path, f.err); err != nil {
			return nil, err
		}
	}
	if len(good) == 0 {
		return nil, r.bad(dir, fmt.Errorf("%s: no image in this class can be used", dir))
	}
	return good, nil
}

// visible lists the names in a folder, sorted, that do not begin with a dot: all,
// or those of folders.
func visible(dir string, folders bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || folders && !isFolder(filepath.Join(dir, name)) {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// parallel calls f(0) to f(n-1) on GOMAXPROCS goroutines.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// VerifyFolder decodes every file of an image folder and returns those that cannot
// be used, and how many there are in all. The error is of a folder that is none.
func VerifyFolder(root string) (bad []Skipped, files int, err error) {
	s, err := openFolder(Options{Root: root, SkipBad: true, Cache: -1})
	if s == nil {
		return nil, 0, err
	}
	for _, f := range []*Folder{s.train, s.val, s.test} {
		if f != nil {
			files += f.Len()
		}
	}
	for _, b := range s.skipped {
		if !errors.Is(b.Err, os.ErrNotExist) && !isFolder(b.Path) {
			files++
		}
	}
	if len(s.skipped) > 0 { // that nothing is left follows from them
		err = nil
	}
	return s.skipped, files, err
}
