package data

import (
	"errors"
	"fmt"
	"strings"
)

// Dataset is a data set divided for training, with what a loader needs to know
// about it.
type Dataset struct {
	Name string
	// Train, Val and Test have no image in common. Val is taken from the training
	// images, Test is the data set's own.
	Train, Val, Test Source
	// Augment is what may be done to this data set's training images without
	// changing their class.
	Augment Augment
	// Mean and Std are of Train alone, by channel; of a folder with more than 4096
	// training images, of 4096 of them.
	Mean, Std []float32
	// Skipped lists what Options.SkipBad left out.
	Skipped []Skipped
}

// Options choose a data set's files and division.
type Options struct {
	// Root is the folder of the files, for the data sets that have any.
	Root string
	// Seed decides which images are held out for validation and, for glyphs, what
	// is drawn.
	Seed uint64
	// Size is the side of the images of a folder; 0 stands for DefaultSize. The
	// other data sets have their own.
	Size int
	// SkipBad leaves out the files of a folder that cannot be used, and classes
	// without any, instead of failing on the first. Opening then takes as long as
	// decoding every file.
	SkipBad bool
	// Cache is the most bytes of decoded pictures of a folder to keep in memory:
	// 0 stands for DefaultCache, less for none. It does not change the images.
	Cache int64
	// Limit, if positive, is the most images to use for training and validation
	// together; a third of it, if less than all, is used for the test.
	Limit int
}

// Names lists the data sets that [Open] knows.
func Names() []string {
	return []string{"glyphs", "mnist", "fashion-mnist", "cifar-10", "cifar-100", "folder", "flowers5"}
}

// IsFolder reports whether a data set is an image folder. flowers5 is the name of
// one; it is opened as any other.
func IsFolder(name string) bool { return name == "folder" || name == "flowers5" }

// NeedsRoot reports whether a data set is read from files.
func NeedsRoot(name string) bool { return name != "glyphs" }

// valShare is the part of the training images held out for validation, 1 in 10.
const valShare = 10

// testShare is the part of the images held out for the test, 1 in 5, where a
// folder has no part of its own for it.
const testShare = 5

// Open reads or draws a data set.
func Open(name string, opt Options) (*Dataset, error) {
	if IsFolder(name) {
		return openImageFolder(name, opt)
	}
	if opt.Size != 0 || opt.SkipBad {
		return nil, fmt.Errorf("%s: a size, and bad files to skip, are for image folders", name)
	}
	var train, test *Images
	var augment Augment
	var err error
	switch name {
	case "glyphs":
		if opt.Root != "" {
			return nil, errors.New("glyphs are drawn by the program: they have no root folder")
		}
		o := GlyphOptions{Seed: opt.Seed}
		if opt.Limit > 0 {
			o.Train, o.Test = opt.Limit, (opt.Limit+2)/3
		}
		// A letter mirrored is another shape, and glyphs come already displaced.
		train, test, err = Glyphs(o)
	case "mnist":
		augment.Pad = 2
		train, test, err = openIDX(opt.Root, DigitClasses())
	case "fashion-mnist":
		augment = Augment{Pad: 2, Flip: true}
		train, test, err = openIDX(opt.Root, FashionClasses())
	case "cifar-10":
		augment = Augment{Pad: 4, Flip: true}
		train, test, err = cifar10().open(opt.Root)
	case "cifar-100":
		augment = Augment{Pad: 4, Flip: true}
		train, test, err = cifar100().open(opt.Root)
	default:
		err = fmt.Errorf("unknown data set %q, want one of %s", name, strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return divide(name, train, test, augment, opt)
}

// divide carves the validation images from train.
func divide(name string, train, test Source, augment Augment, opt Options) (*Dataset, error) {
	d := &Dataset{Name: name, Test: test, Augment: augment}
	if opt.Limit > 0 {
		_, train = Split(train, opt.Limit, mix(opt.Seed, 1))
		_, d.Test = Split(test, (opt.Limit+2)/3, mix(opt.Seed, 2))
	}
	d.Train, d.Val = Split(train, train.Len()/valShare, opt.Seed)
	return d, d.complete()
}

// complete checks the parts and measures the training images.
func (d *Dataset) complete() error {
	if d.Train.Len() == 0 || d.Val.Len() == 0 || d.Test.Len() == 0 {
		return fmt.Errorf("%s: too few images: %d for training, %d for validation, %d for the test", d.Name, d.Train.Len(), d.Val.Len(), d.Test.Len())
	}
	h, w, c := d.Train.Shape()
	if th, tw, tc := d.Test.Shape(); th != h || tw != w || tc != c {
		return fmt.Errorf("%s: training images are %d x %d x %d, test images %d x %d x %d", d.Name, h, w, c, th, tw, tc)
	}
	sample := d.Train
	if n := d.Train.Len(); !inMemory(sample) && n > maxStats {
		index := make([]int, maxStats)
		for i := range index {
			index[i] = i * n / maxStats
		}
		sample = Subset(sample, index)
	}
	var err error
	d.Mean, d.Std, err = Stats(sample)
	return err
}

// maxStats is the most images to decode for their mean and deviation.
const maxStats = 4096

// openImageFolder divides an image folder. One part besides train, val or test, is
// the test, and validation images are carved from train; with both, each is what
// it is called. Without parts the test is carved out first.
func openImageFolder(name string, opt Options) (*Dataset, error) {
	s, err := openFolder(opt)
	if err != nil {
		return nil, err
	}
	// A photo seen from anywhere and mirrored shows the same things.
	augment := Augment{Flip: true, ResizedCrop: 0.25}
	var train, test Source = s.train, s.test
	switch {
	case s.val == nil && s.test == nil:
		train, test = Split(s.train, s.train.Len()/testShare, mix(opt.Seed, 3))
	case s.val != nil && s.test == nil:
		test = s.val
	}
	var d *Dataset
	if s.val == nil || s.test == nil {
		d, err = divide(name, train, test, augment, opt)
	} else {
		d = &Dataset{Name: name, Train: s.train, Val: s.val, Test: s.test, Augment: augment}
		if val := opt.Limit / valShare; opt.Limit > 0 {
			_, d.Train = Split(s.train, opt.Limit-val, mix(opt.Seed, 1))
			_, d.Val = Split(s.val, val, mix(opt.Seed, 1))
			_, d.Test = Split(s.test, (opt.Limit+2)/3, mix(opt.Seed, 2))
		}
		err = d.complete()
	}
	if err != nil {
		return nil, err
	}
	d.Skipped = s.skipped
	return d, nil
}

// openIDX reads the four files of MNIST and its kin.
func openIDX(root string, classes []string) (train, test *Images, err error) {
	if err := checkRoot(root); err != nil {
		return nil, nil, err
	}
	if train, err = readIDXPair(root, "train", classes); err != nil {
		return nil, nil, err
	}
	test, err = readIDXPair(root, "t10k", classes)
	return train, test, err
}

// DigitClasses returns the classes of MNIST.
func DigitClasses() []string {
	return []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
}

// FashionClasses returns the classes of Fashion-MNIST.
func FashionClasses() []string {
	return []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}
}
