package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// photo draws w x h pixels: red rises to the right, green downwards, with coarse
// structure in blue.
func photo(w, h int, seed uint64) *image.RGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	blue := make([]byte, 64)
	for i := range blue {
		blue[i] = byte(r.Uint32())
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{byte(255 * x / w), byte(255 * y / h), blue[8*(8*y/h)+8*x/w], 255})
		}
	}
	return img
}

func encoded(t testing.TB, format string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "jpg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 95})
	case "png":
		err = png.Encode(&b, img)
	case "gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plainWebP is a lossless WebP file of w x h pixels of one colour: five prefix
// codes with one symbol each, so that the pixels take no bits.
func plainWebP(w, h int, c color.RGBA) []byte {
	bits, n := []byte{0x2f}, 8
	put := func(v, count int) {
		for i := range count {
			if n%8 == 0 {
				bits = append(bits, 0)
			}
			bits[n/8] |= byte(v>>i&1) << (n % 8)
			n++
		}
	}
	put(w-1, 14)
	put(h-1, 14)
	put(0, 1+3) // no alpha, version 0
	put(0, 3)   // no transform, no colour cache, one group of codes
	for _, symbol := range []byte{c.G, c.R, c.B, 255, 0} {
		put(0b101, 3) // a simple code, one symbol, of 8 bits
		put(int(symbol), 8)
	}
	if len(bits)%2 == 1 {
		bits = append(bits, 0)
	}
	file := append([]byte("WEBPVP8L"), binary.LittleEndian.AppendUint32(nil, uint32(len(bits)))...)
	file = append(file, bits...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(file))), file...)
}

// pngBomb is a PNG file of side x side pixels of one bit, all black.
func pngBomb(t testing.TB, side int) []byte {
	t.Helper()
	img := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White})
	b := encoded(t, "png", img)
	binary.BigEndian.PutUint32(b[16:], uint32(side))
	binary.BigEndian.PutUint32(b[20:], uint32(side))
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

// tree writes files, by path below a new folder. A nil content makes a folder.
func tree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if content == nil {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			continue
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pictures returns n JPEG files of different sizes below dir/<class> for each class.
func pictures(t testing.TB, files map[string][]byte, dir string, n int, classes ...string) map[string][]byte {
	for k, class := range classes {
		for i := range n {
			files[fmt.Sprintf("%s/%s/%02d.jpg", dir, class, i)] = encoded(t, "jpg", photo(40+3*i, 60-2*k, uint64(100*k+i)))
		}
	}
	return files
}

func TestFolderLayouts(t *testing.T) {
	for _, c := range []struct {
		name             string
		parts            map[string]int // images of each of two classes
		train, val, test int
	}{
		{"plain", map[string]int{"": 20}, 29, 3, 8},
		{"train and val", map[string]int{"train": 10, "val": 4}, 18, 2, 8},
		{"train and test", map[string]int{"train": 10, "test": 3}, 18, 2, 6},
		{"train, val and test", map[string]int{"train": 10, "val": 4, "test": 3}, 20, 8, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string][]byte{"LICENSE.txt": []byte("beside the folders"), ".hidden/x": []byte("x")}
			for dir, n := range c.parts {
				pictures(t, files, dir, n, "cat", "dog")
			}
			files[filepath.Join(slices.Collect(keys(c.parts))[0], "cat", ".DS_Store")] = []byte("x")
			root := tree(t, files)
			d, err := Open("folder", Options{Root: root, Size: 16, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if d.Train.Len() != c.train || d.Val.Len() != c.val || d.Test.Len() != c.test {
				t.Errorf("%d, %d and %d images, want %d, %d and %d", d.Train.Len(), d.Val.Len(), d.Test.Len(), c.train, c.val, c.test)
			}
			if h, w, ch := d.Train.Shape(); h != 16 || w != 16 || ch != 3 || !slices.Equal(d.Train.Classes(), []string{"cat", "dog"}) || len(d.Skipped) != 0 {
				t.Errorf("images of %d x %d x %d, classes %v", h, w, ch, d.Train.Classes())
			}
			// Red rises over every picture from 0 to 255.
			if m := d.Mean[0]; m < 0.4 || m > 0.6 {
				t.Errorf("mean %v", d.Mean)
			}
			limited, err := Open("folder", Options{Root: root, Size: 16, Seed: 1, Limit: 12})
			if err != nil {
				t.Fatal(err)
			}
			if n := limited.Train.Len() + limited.Val.Len(); n != 12 || limited.Test.Len() != 4 {
				t.Errorf("of 12 images: %d, and %d for the test", n, limited.Test.Len())
			}
		})
	}
}

func keys[K comparable, V any](m map[K]V) func(yield func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// bad files by name, and what the error says beside the file's name.
func badFiles(t testing.TB) map[string]struct {
	content []byte
	want    string
} {
	good := encoded(t, "jpg", photo(100, 80, 1))
	broken := slices.Clone(good)
	for i := len(broken) / 2; i < len(broken)/2+40; i++ {
		broken[i] = 0xff
	}
	type bad = struct {
		content []byte
		want    string
	}
	return map[string]bad{
		"cut.jpg":     {good[:len(good)/2], "damaged"},
		"head.jpg":    {good[:20], "truncated"},
		"broken.jpg":  {broken, "damaged"},
		"one.png":     {encoded(t, "png", photo(1, 1, 1)), "1 x 1"},
		"thin.gif":    {encoded(t, "gif", photo(200, 2, 1)), "200 x 2"},
		"bomb.png":    {pngBomb(t, 16000), "16000 x 16000"}, // image/png takes no more where an int has 32 bits
		"cut.png":     {pngBomb(t, 4000), "image"},
		"bomb.webp":   {plainWebP(16384, 16384, color.RGBA{1, 2, 3, 255}), "16384 x 16384"},
		"notes.txt":   {[]byte("these are not pixels"), "not a JPEG, PNG, WebP or GIF image"},
		"nothing.jpg": {[]byte{}, "empty"},
	}
}

// TestBadFiles: each is an error that names the file, takes little memory, and is
// left out with SkipBad.
func TestBadFiles(t *testing.T) {
	for name, bad := range badFiles(t) {
		t.Run(name, func(t *testing.T) {
			files := pictures(t, map[string][]byte{}, "train", 10, "cat", "dog")
			pictures(t, files, "val", 4, "cat", "dog")
			files["train/cat/"+name] = bad.content
			root := tree(t, files)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Open("folder", Options{Root: root, Size: 16})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), filepath.Join(root, "train", "cat", name)) || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want the name and %q", err, bad.want)
			}
			// The bombs would take 256 MB and more; cut.png, of 4000 x 4000, is
			// small enough to be tried and takes 16.
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
				t.Errorf("%d MB allocated", got>>20)
			}
			d, err := Open("folder", Options{Root: root, Size: 16, SkipBad: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Skipped) != 1 || filepath.Base(d.Skipped[0].Path) != name || d.Train.Len()+d.Val.Len() != 20 {
				t.Errorf("skipped %v, %d images left", d.Skipped, d.Train.Len()+d.Val.Len())
			}
			skipped, n, err := VerifyFolder(root)
			if err != nil || len(skipped) != 1 || n != 29 {
				t.Errorf("verified: %v bad of %d, %v", skipped, n, err)
			}
		})
	}
}

func TestBadFolders(t *testing.T) {
	good := func(extra string, content []byte) map[string][]byte {
		files := pictures(t, map[string][]byte{}, "train", 10, "cat", "dog")
		pictures(t, files, "val", 4, "cat", "dog")
		if extra != "" {
			files[extra] = content
		}
		return files
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		link  string // made to point nowhere
		bad   string
		want  string
		skip  bool // SkipBad helps
	}{
		{"empty class", good("train/eel", nil), "", "train/eel", "empty class folder", true},
		{"empty class in val", good("val/cat2", nil), "", "val/cat2", "no such class", true},
		{"other class in val", pictures(t, good("", nil), "val", 1, "emu"), "", "val/emu", "no such class", true},
		{"folder among images", good("train/cat/more/x.jpg", []byte("x")), "", "train/cat/more", "a folder", true},
		{"dangling link", good("", nil), "train/dog/lost.jpg", "train/dog/lost.jpg", "no such file", true},
		{"only bad images", good("train/eel/x.jpg", []byte("x")), "", "train/eel/x.jpg", "not a JPEG", true},
		{"no classes", map[string][]byte{"x.jpg": {1}}, "", "", "no class folders", false},
		{"nothing good", map[string][]byte{"cat/x.jpg": []byte("x")}, "", "cat/x.jpg", "not a JPEG", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, c.files)
			if c.link != "" {
				if err := os.Symlink(filepath.Join(root, "nowhere"), filepath.Join(root, c.link)); err != nil {
					t.Skip(err)
				}
			}
			_, err := Open("folder", Options{Root: root, Size: 16})
			if err == nil || !strings.Contains(err.Error(), filepath.Join(root, c.bad)) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			d, err := Open("folder", Options{Root: root, Size: 16, SkipBad: true})
			if !c.skip {
				if err == nil {
					t.Error("opened with SkipBad")
				}
				return
			}
			if err != nil || len(d.Skipped) == 0 || !slices.Equal(d.Train.Classes(), []string{"cat", "dog"}) {
				t.Errorf("with SkipBad: %v, %+v", err, d)
			}
		})
	}
	if _, err := Open("folder", Options{Root: tree(t, good("", nil)), Size: 4}); err == nil {
		t.Error("images of side 4")
	}
	if _, err := Open("mnist", Options{Root: t.TempDir(), Size: 32}); err == nil {
		t.Error("mnist in another size")
	}
}

// TestFormats: every format gives the picture it holds.
func TestFormats(t *testing.T) {
	for format, tolerance := range map[string]float64{"jpg": 12, "png": 6, "gif": 40} {
		got, err := DecodePicture(encoded(t, format, photo(100, 64, 3)), 32)
		if err != nil {
			t.Fatal(format, err)
		}
		for y := range 32 {
			for x := range 32 {
				// The middle 64 of 100 columns, halved.
				red, green := 255*(18+2*float64(x)+0.5)/100, 255*(2*float64(y)+0.5)/64
				p := got[3*(32*y+x):]
				if math.Abs(float64(p[0])-red) > tolerance || math.Abs(float64(p[1])-green) > tolerance {
					t.Fatalf("%s: pixel (%d,%d) is %v, want red %.0f and green %.0f", format, x, y, p[:3], red, green)
				}
			}
		}
	}
	got, err := DecodePicture(plainWebP(20, 30, color.RGBA{10, 200, 77, 255}), 8)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(got); i += 3 {
		if !slices.Equal(got[i:i+3], []byte{10, 200, 77}) {
			t.Fatalf("WebP: pixel %d is %v", i/3, got[i:i+3])
		}
	}
	glass := image.NewNRGBA(image.Rect(0, 0, 10, 10)) // wholly transparent white
	for i := range glass.Pix {
		glass.Pix[i] = 255 * byte(min(1, (i+1)%4))
	}
	if got, err = DecodePicture(encoded(t, "png", glass), 8); err != nil || slices.Max(got) != 0 {
		t.Errorf("transparent pixels became %v, %v", got, err)
	}
	for _, size := range []int{7, maxPictureSide + 1} {
		if _, err := DecodePicture(encoded(t, "png", glass), size); err == nil {
			t.Errorf("a side of %d", size)
		}
	}
}

// TestShapes: pictures of extreme shapes become squares in bounded memory.
func TestShapes(t *testing.T) {
	for _, s := range [][2]int{{8, 8}, {8, 5000}, {5000, 8}, {129, 64}, {64, 257}, {1000, 999}} {
		var p picture
		if err := decodePicture(&p, encoded(t, "png", photo(s[0], s[1], 1)), 32); err != nil {
			t.Fatal(s, err)
		}
		w, h := p.img.Rect.Dx(), p.img.Rect.Dy()
		if short := min(w, h); max(w, h) > maxAspect*short+maxAspect || short > 2*32+1 || short < min(32, s[0], s[1]) {
			t.Errorf("%v became %d x %d", s, w, h)
		}
	}
}

// withOrientation puts an EXIF segment behind the first two bytes of a JPEG file.
func withOrientation(file []byte, orientation int, order binary.AppendByteOrder) []byte {
	tiff := []byte("II*\x00\x08\x00\x00\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*\x00\x00\x00\x08")
	}
	tiff = order.AppendUint16(tiff, 2)
	for _, entry := range [][2]int{{0x0100, 77}, {0x0112, orientation}} {
		tiff = order.AppendUint16(order.AppendUint16(tiff, uint16(entry[0])), 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(order.AppendUint16(tiff, uint16(entry[1])), 0)
	}
	tiff = order.AppendUint32(tiff, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	app1 := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(segment)+2))
	return slices.Concat(file[:2], app1, segment, file[2:])
}

// TestOrientation stores one scene in all eight ways: each must come out the same.
func TestOrientation(t *testing.T) {
	const w, h = 64, 48
	scene := photo(w, h, 5)
	want, err := DecodePicture(encoded(t, "jpg", scene), 16)
	if err != nil {
		t.Fatal(err)
	}
	for o := 1; o <= 8; o++ {
		stored := image.NewRGBA(image.Rect(0, 0, w, h))
		if o >= 5 {
			stored = image.NewRGBA(image.Rect(0, 0, h, w))
		}
		for y := range h {
			for x := range w {
				// By the definition: which side of the scene rows and columns
				// begin at.
				sx, sy := x, y
				switch o {
				case 2:
					sx = w - 1 - x
				case 3:
					sx, sy = w-1-x, h-1-y
				case 4:
					sy = h - 1 - y
				case 5: // first row left, first column top
					sx, sy = y, x
				case 6: // first row right, first column top
					sx, sy = y, w-1-x
				case 7: // first row right, first column bottom
					sx, sy = h-1-y, w-1-x
				case 8: // first row left, first column bottom
					sx, sy = h-1-y, x
				}
				stored.SetRGBA(sx, sy, scene.RGBAAt(x, y))
			}
		}
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			file := withOrientation(encoded(t, "jpg", stored), o, order)
			if got := Orientation(file); got != o {
				t.Fatalf("%v: orientation %d, want %d", order, got, o)
			}
			got, err := DecodePicture(file, 16)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				// Chroma is stored at half the resolution from the top left, so
				// turned pictures differ a little.
				if d := int(got[i]) - int(want[i]); d < -24 || d > 24 {
					t.Errorf("orientation %d: byte %d is %d, want %d", o, i, got[i], want[i])
					break
				}
			}
		}
	}
	jpg := withOrientation(encoded(t, "jpg", scene), 6, binary.LittleEndian)
	at := bytes.Index(jpg, exifHeader) + len(exifHeader)
	tiff := jpg[at : at+38]
	chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(tiff))), append([]byte("eXIf"), tiff...)...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	p := encoded(t, "png", scene)
	if got := Orientation(slices.Concat(p[:33], chunk, p[33:])); got != 6 {
		t.Errorf("PNG: orientation %d", got)
	}
	webp := plainWebP(8, 8, color.RGBA{})
	webp = append(webp, append(binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(tiff))), tiff...)...)
	if got := Orientation(webp); got != 6 {
		t.Errorf("WebP: orientation %d", got)
	}
	// A chunk of odd length, which a byte fills up, and a byte that fills up to a marker.
	odd := append([]byte("XMP \x03\x00\x00\x00abc\x00"), webp[12:]...)
	if got := Orientation(slices.Concat(webp[:12], odd)); got != 6 {
		t.Errorf("WebP with an odd chunk: orientation %d", got)
	}
	if got := Orientation(slices.Insert(slices.Clone(jpg), 2, 0xff)); got != 6 {
		t.Errorf("JPEG with a fill byte: orientation %d", got)
	}
	for n := range len(jpg) / 4 { // cut anywhere
		if got := Orientation(jpg[:n]); got != 1 && got != 6 {
			t.Errorf("%d bytes: orientation %d", n, got)
		}
	}
}

// TestFolderBatches: the same for every number of workers and size of the cache,
// with pictures that change under a resized crop.
func TestFolderBatches(t *testing.T) {
	root := tree(t, pictures(t, map[string][]byte{}, "", 24, "cat", "dog"))
	var want uint64
	for _, c := range []struct {
		workers int
		cache   int64
	}{{1, 0}, {2, 0}, {5, -1}, {1, -1}, {3, 100_000}} {
		d, err := Open("folder", Options{Root: root, Size: 16, Cache: c.cache})
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, d.Train, LoaderOptions{Batch: 5, Seed: 2, Shuffle: true, Workers: c.workers, Augment: d.Augment, Mean: d.Mean, Std: d.Std})
		for range 2 { // from files, and then perhaps from memory
			_, hash := digest(t, l, 1)
			if want == 0 {
				want = hash
			}
			if hash != want {
				t.Errorf("%+v: other batches", c)
			}
		}
	}
}

// TestFolderChanges: a file that is gone or damaged after opening ends the epoch
// with its name.
func TestFolderChanges(t *testing.T) {
	root := tree(t, pictures(t, map[string][]byte{}, "", 20, "cat", "dog"))
	d, err := Open("folder", Options{Root: root, Size: 16, Cache: -1})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, d.Train, LoaderOptions{Batch: 4})
	lost := base(d.Train).(*Folder).Path(d.Train.(*subset).Source.(*subset).index[d.Train.(*subset).index[6]])
	if err := os.WriteFile(lost, []byte("gone"), 0o644); err != nil {
		t.Fatal(err)
	}
	l.Start(0)
	for {
		b, err := l.Next()
		if err != nil {
			if !strings.Contains(err.Error(), lost) {
				t.Errorf("%v does not name %s", err, lost)
			}
			return
		}
		if b == nil {
			t.Fatal("no error")
		}
	}
}

func TestFlowers(t *testing.T) {
	t.Parallel()
	root := kerneltest.DataPath(t, "flowers5")
	opt := Options{Root: root}
	want := [3]int{225, 25, 80}
	if testing.Short() {
		opt.Limit, want = 50, [3]int{45, 5, 17}
	}
	d, err := Open("flowers5", opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]int{d.Train.Len(), d.Val.Len(), d.Test.Len()}; got != want || strings.Join(d.Test.Classes(), " ") != "daisy dandelion roses sunflowers tulips" {
		t.Errorf("%d training, validation and test images of %v, want %d", got, d.Test.Classes(), want)
	}
	if testing.Short() {
		return
	}
	if bad, n, err := VerifyFolder(root); err != nil || len(bad) != 0 || n != 330 {
		t.Errorf("%v bad of %d, %v", bad, n, err)
	}
}

// BenchmarkFolder reads photos of the size of flowers5's as a trainer would: at
// 224, resized crops, from files and from memory.
func BenchmarkFolder(b *testing.B) {
	files := map[string][]byte{}
	for i := range 64 {
		files[fmt.Sprintf("%d/%d.jpg", i%2, i)] = encoded(b, "jpg", photo(500, 375, uint64(i)))
	}
	root := tree(b, files)
	for _, c := range []struct {
		name  string
		cache int64
	}{{"files", -1}, {"memory", 0}} {
		for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("from=%s/workers=%d", c.name, workers), func(b *testing.B) {
				d, err := Open("folder", Options{Root: root, Size: 224, Cache: c.cache})
				if err != nil {
					b.Fatal(err)
				}
				l := open(b, d.Train, LoaderOptions{Batch: 16, Shuffle: true, Augment: d.Augment, Workers: workers})
				images := 0
				for epoch := 0; b.Loop(); epoch++ {
					l.Start(epoch)
					for batch, err := l.Next(); batch != nil; batch, err = l.Next() {
						if err != nil {
							b.Fatal(err)
						}
						images += len(batch.Labels)
					}
				}
				b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
