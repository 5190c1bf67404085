package data

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// smallCIFAR is the files of a CIFAR-10 with n images a file, and of a CIFAR-100
// of three classes.
func smallCIFAR(n int) (ten, hundred map[string][]byte) {
	ten, hundred = map[string][]byte{}, map[string][]byte{}
	record := func(i int, labels ...byte) []byte {
		planes := make([]byte, cifarPixels)
		for p := range planes {
			planes[p] = byte(i + p/cifarPlane*10 + p%cifarPlane)
		}
		return append(labels, planes...)
	}
	for i := range n {
		for _, name := range append(cifar10().train, cifar10().test...) {
			ten[name] = append(ten[name], record(i, byte(i%10))...)
		}
		for _, name := range []string{"train.bin", "test.bin"} {
			hundred[name] = append(hundred[name], record(i, 7, []byte{90, 3, 50}[i%3])...)
		}
	}
	ten["batches.meta.txt"] = []byte("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n")
	hundred["classes.tsv"] = []byte("fine_id\tfine_name\textra\r\n3\tbear\t1\r\n90\ttrain\t2\r\n50\tmouse\t3\r\n")
	return ten, hundred
}

func TestOpenCIFAR(t *testing.T) {
	ten, hundred := smallCIFAR(20)
	ten["data_batch_3.bin.gz"] = gzipped(t, ten["data_batch_3.bin"])
	delete(ten, "data_batch_3.bin")
	d, err := Open("cifar-10", Options{Root: write(t, ten)})
	if err != nil {
		t.Fatal(err)
	}
	if d.Train.Len() != 90 || d.Val.Len() != 10 || d.Test.Len() != 20 || d.Augment != (Augment{Pad: 4, Flip: true}) || d.Test.Classes()[9] != "j" {
		t.Errorf("data set %+v", d)
	}
	pixels := make([]byte, cifarPixels)
	if err := d.Test.Image(pixels, 13); err != nil || d.Test.Label(13) != 3 {
		t.Fatalf("label %d, %v", d.Test.Label(13), err)
	}
	for p := range cifarPlane {
		for k := range 3 {
			if want := byte(13 + 10*k + p); pixels[3*p+k] != want {
				t.Fatalf("pixel %d, channel %d is %d, want %d", p, k, pixels[3*p+k], want)
			}
		}
	}
	if d, err = Open("cifar-100", Options{Root: write(t, hundred)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Test.Classes(), d.Test.Label(0), d.Test.Label(1), d.Test.Label(2)); got != "[bear train mouse] 1 0 2" {
		t.Errorf("classes and labels %s", got)
	}
}

func TestOpenCIFARRejects(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(f map[string][]byte)
		want   []string
	}{
		{"file missing", func(f map[string][]byte) { delete(f, "test.bin") }, []string{"test.bin", "is there"}},
		{"cut", func(f map[string][]byte) { f["train.bin"] = f["train.bin"][:2*3074+9] }, []string{"train.bin", "record 2 has 9 bytes of 3074"}},
		{"empty", func(f map[string][]byte) { f["test.bin"] = nil }, []string{"test.bin", "no records"}},
		{"label of no class", func(f map[string][]byte) { f["train.bin"][3074+1] = 4 }, []string{"train.bin", "label 4 of record 1"}},
		{"label out of range", func(f map[string][]byte) { f["train.bin"][1] = 200 }, []string{"train.bin", "label 200 of record 0"}},
		{"class twice", func(f map[string][]byte) { f["classes.tsv"] = []byte("x\n3\ta\n3\tb\n") }, []string{"classes.tsv", "line 3"}},
		{"class without name", func(f map[string][]byte) { f["classes.tsv"] = []byte("x\n3\n") }, []string{"classes.tsv", "line 2"}},
		{"class not a number", func(f map[string][]byte) { f["classes.tsv"] = []byte("x\nbear\t3\n") }, []string{"classes.tsv", "line 2"}},
		{"too many classes", func(f map[string][]byte) { f["classes.tsv"] = []byte(strings.Repeat("x\n", 200)) }, []string{"classes.tsv", "more than"}},
		{"no names", func(f map[string][]byte) { delete(f, "classes.tsv") }, []string{"fine_label_names.txt"}},
		{"few names", func(f map[string][]byte) {
			delete(f, "classes.tsv")
			f["fine_label_names.txt"] = []byte("a\nb\n")
		}, []string{"fine_label_names.txt", "2 names"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, files := smallCIFAR(20)
			c.damage(files)
			_, err := Open("cifar-100", Options{Root: write(t, files)})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not have %q", err, want)
				}
			}
		})
	}
}

// TestPublishedCIFAR reads 40 classes of CIFAR-100 and compares with what is
// known of them.
func TestPublishedCIFAR(t *testing.T) {
	t.Parallel()
	train, test, err := cifar100().open(kerneltest.DataPath(t, "cifar-100-40c"))
	if err != nil {
		t.Fatal(err)
	}
	if train.Len() != 20000 || test.Len() != 4000 || len(train.Classes()) != 40 {
		t.Fatalf("%d and %d images in %d classes", train.Len(), test.Len(), len(train.Classes()))
	}
	if !testing.Short() {
		mean, std, err := Stats(train)
		if err != nil {
			t.Fatal(err)
		}
		wantMean := []float64{0.5254808243, 0.4750578485, 0.4165577817}
		wantStd := []float64{0.2671627899, 0.2570117420, 0.2763564686}
		for k := range 3 {
			// float32 rounds to 2^-25 of numbers up to one half, 2^-24 above.
			if math.Abs(float64(mean[k])-wantMean[k]) > 6e-8 || math.Abs(float64(std[k])-wantStd[k]) > 3e-8 {
				t.Errorf("channel %d: mean %v, deviation %v, want %v, %v", k, mean[k], std[k], wantMean[k], wantStd[k])
			}
		}
	}
	counts := make([]int, 40)
	for i := range train.Len() {
		counts[train.Label(i)]++
	}
	for k, n := range counts {
		if n != 500 {
			t.Errorf("class %s has %d images", train.Classes()[k], n)
		}
	}
	fine := []string{}
	for i := range 5 {
		fine = append(fine, test.Classes()[test.Label(i)])
	}
	if got := strings.Join(fine, " "); got != "wardrobe orchid sea mushroom hamster" {
		t.Errorf("first test images: %s", got)
	}
}
